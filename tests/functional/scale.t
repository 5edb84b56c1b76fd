#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Large things at a cost that does not grow with them: directories, disks, files with holes, many disks, and one that stops answering.
import base64
import json
import os
import subprocess
import sys
import tarfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import erofs
import images
from images import MIB
from program import SANITIZED, Pluck, Scratch, wait_for, watch_memory
from tap import TOP, Tap

GIB, TIB = 1 << 30, 1 << 40
CROWD = 100000
MARKS = ((0, b"begin"), (TIB // 2, b"middle"), (TIB - 4096, b"end"))	# of the file of 1 TiB


def crowd(scratch):
    path = scratch.join("crowd.img")
    erofs.save_crowd(path, CROWD)
    return ["--disk", "crowd=" + path]


def check_directory(tap, pluck, disk, scratch):
    peaks, counts = {}, {}
    pluck.run("list", *disk, "crowd/raw")
    for name in ("few", "many"):
        path = scratch.join(name + ".jsonl")
        with open(path, "wb") as out:
            child = pluck.popen("list", *disk, "--output-format", "jsonl", "crowd/raw/" + name, stdout=out)
            peaks[name] = watch_memory(child)
        with open(path, "rb") as f:
            counts[name] = len({json.loads(line)["filepath"] for line in f}) if child.returncode == 0 else child.returncode
    tap.equal(counts, {"few": 10, "many": CROWD}, "jsonl gives every entry of a large directory once")
    if SANITIZED:
        tap.skip("in the memory of a small one", "sanitizers keep what was freed")
    else:
        tap.ok(peaks["many"] < peaks["few"] + 4, "in the memory of a small one", peaks)


def sectors_read(pluck, disk):
    r = pluck.run("run", *disk, "--", "cat", "/sys/block/vda/stat")
    return int(r.out.split()[2]) if r.code == 0 else r


def check_sizes(tap, pluck, scratch):
    """XFS as large as the disk. (ext4 has 64 bytes for every 128 MiB of the disk, which the kernel reads when it mounts it.)"""
    read = {}
    for size, text in ((GIB, "1 GiB"), (4 * TIB, "4 TiB")):
        image = scratch.join("size.img")
        images.run("truncate", "-s", str(size), image)
        images.run("mkfs.xfs", "-q", "-f", "-l", "size=64m", image)
        disk = ["--disk", "x=" + image]
        r = pluck.run("list", *disk, "x/raw")
        read[text] = sectors_read(pluck, disk) if r.code == 0 else r
        pluck.stop()
        os.unlink(image)
    tap.ok(isinstance(read["4 TiB"], int) and isinstance(read["1 GiB"], int) and read["4 TiB"] < read["1 GiB"] * 1.2,
           "the first listing reads no more of 4 TiB than of 1 GiB", read)


def data_at(path):
    """[(offset, first bytes)] of each run of data, from its first byte that is not zero."""
    out = []
    with open(path, "rb") as f:
        end = os.fstat(f.fileno()).st_size
        at = 0
        while at < end:
            try:
                at = os.lseek(f.fileno(), at, os.SEEK_DATA)
            except OSError:
                break
            hole = os.lseek(f.fileno(), at, os.SEEK_HOLE)
            f.seek(at)
            text = f.read(min(hole - at, MIB))
            if text.strip(b"\0"):
                out.append((at, text.strip(b"\0")))
            at = hole
    return out


def check_holes(tap, pluck, scratch):
    top, image, target = scratch.new_dir("top"), scratch.join("holes.img"), scratch.new_dir("target")
    source = os.path.join(top, "sparse")
    with open(source, "wb") as f:
        f.truncate(TIB)
        for at, text in MARKS:
            f.seek(at)
            f.write(text)
    images.run("truncate", "-s", str(4 * TIB), image)
    images.run("mke2fs", "-q", "-F", "-t", "ext4", "-E", "lazy_itable_init=1,nodiscard", "-d", top, image)
    disk = ["--disk", "x=" + image]
    listed = {e["text"]: e.get("size") for e in pluck.json("list", *disk, "x/raw", "--output-format", "json") or []}
    tap.equal(listed.get("sparse"), TIB, "a file of 1 TiB on a disk of 4 TiB is listed")
    r = pluck.run("extract", *disk, "x/raw/sparse", target)
    path = os.path.join(target, "sparse")
    if tap.ok(r.code == 0 and os.path.getsize(path) == TIB, "and extracted", r):
        tap.ok(os.stat(path).st_blocks * 512 < MIB, "as a sparse file", os.stat(path).st_blocks)
        tap.equal(data_at(path), list(MARKS), "with its data where it was")
    tar = scratch.join("sparse.tar")
    with open(tar, "wb") as out:
        r = pluck.run("extract", *disk, "--format", "tar", "x/raw/sparse", "-", stdout=out)
    tap.ok(r.code == 0 and os.path.getsize(tar) < MIB, "and as a sparse member of a small tar", r, os.path.getsize(tar))
    if r.code == 0:
        with tarfile.open(tar) as f:
            member = f.getmembers()[0]
            tap.equal((member.size, [s for s in member.sparse or [] if s[1]] != []), (TIB, True), "whose size is that of the file")
    pluck.stop()
    os.unlink(image)


def check_many_disks(tap, pluck, scratch):
    """As many as mmio has slots for, one more (which takes PCIe), and 30."""
    for count in (22, 23, 30):
        words = []
        for i in range(count):
            fs = erofs.Erofs()
            fs.add(fs.root, b"disk-%02d" % i)
            path = scratch.join("d%02d.img" % i)
            fs.save(path)
            words += ["--disk", path]
        top = pluck.json("list", *words, "/", "--output-format", "json") or []
        tap.equal(len(top), count, "%d disks are listed" % count)
        wrong = []
        for i in (0, 1, 21, count - 2, count - 1):
            r = pluck.run("list", *words, "d%02d.img/raw" % i, "--output-format", "json")
            if r.code or [e["text"] for e in json.loads(r.out)] != ["disk-%02d" % i]:
                wrong.append(r)
        tap.ok(not wrong, "and each of %d has its own content" % count, *wrong[:2])
        pluck.stop()


def mount_slow(scratch, disk, go):
    """A file whose reads wait for the file go. Return: (process, path), or why not."""
    program, at = scratch.join("slow_file"), scratch.new_dir(os.path.basename(disk) + ".slow")
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "fuse3"], stdout=subprocess.PIPE, check=True).stdout.decode().split()
    subprocess.run(["cc", "-std=gnu11", "-D_GNU_SOURCE", "-D_FILE_OFFSET_BITS=64", "-o", program,
                    os.path.join(TOP, "tests/lib/slow_file.c"), *flags], check=True)
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return None, "no /dev/fuse"
    child = subprocess.Popen([program, at, disk, go], stderr=subprocess.DEVNULL)
    wait_for(lambda: os.path.ismount(at) or child.poll() is not None, 20)
    if not os.path.ismount(at):
        child.kill()
        child.wait()
        return None, "FUSE does not mount here"
    return child, os.path.join(at, "disk")


def unmount_slow(child, path):
    subprocess.run(["fusermount3", "-u", os.path.dirname(path)], check=False)
    child.wait(20)


def end_all(processes):
    for p in processes:
        if p.poll() is None:
            p.kill()
            p.wait()


def touch(path):
    with open(path, "wb"):
        pass


def check_slow_disk(tap, pluck, disk, scratch):
    """A disk that answers nothing, from the first moment on, holds up nobody but who asks for it."""
    go, fs = scratch.join("go"), erofs.Erofs()
    fs.add(fs.root, b"late")
    fs.save(scratch.join("late.img"))
    child, slow = mount_slow(scratch, scratch.join("late.img"), go)
    if child is None:
        tap.skip("a disk that does not answer", slow)
        return
    both = disk + ["--disk", "slow=" + slow]
    waiting = []
    try:
        r = pluck.run("list", *both, "/")
        tap.ok(r.code == 0, "a session starts with a disk that does not answer", r)
        waiting = [pluck.popen("list", *both, "slow/raw", stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
        time.sleep(1)			# no test of time: the next one passes if they have not come so far
        r = pluck.run("list", *both, "--output-format", "jsonl", "crowd/raw/few", timeout=120)
        tap.ok(r.code == 0 and r.out.count(b"\n") == 10, "a disk is listed while four wait for one that does not answer", r)
        r = pluck.run("extract", *both, "--format", "tar", "crowd/raw/few", "-", timeout=120)
        tap.ok(r.code == 0 and r.out, "and extracted", r)
        tap.ok(all(w.poll() is None for w in waiting), "they still wait", [w.returncode for w in waiting])
        touch(go)
        ends = [(w.communicate(timeout=120), w.returncode) for w in waiting]
        tap.ok(all(code == 0 and b"late" in out for (out, _), code in ends), "and get it when it answers at last", ends)
    finally:
        touch(go)
        end_all(waiting)
        pluck.stop()
        unmount_slow(child, slow)


def reads_in_flight(pluck, disks, device):
    return int(pluck.run("run", *disks, "--", "cat", "/sys/block/%s/inflight" % device).out.split()[0])


def check_stopped_disk(tap, pluck, scratch):
    """One that stops answering when it has been opened, with any number of reads that wait. FUSE: no read is done at once."""
    names = [b"%d" % i for i in range(8)]
    files, mounts, go, reads = [], [], [], []
    for name in "quick", "stopped":
        path = images.make_ext4_disk(scratch, name, 64 * MIB, lambda top: [images.put(top, n, n * MIB) for n in names])[0]
        go.append(scratch.join(name + ".go"))
        touch(go[-1])
        child, slow = mount_slow(scratch, path, go[-1])
        if child is None:
            tap.skip("a disk that stops answering", slow)
            return
        mounts.append((child, slow))
        files += ["--disk", name + "=" + slow]
    try:
        r = pluck.run("list", *files, "stopped/raw")
        tap.ok(r.code == 0, "a disk is listed", r)
        os.unlink(go[1])
        reads = [pluck.popen("cat", *files, "stopped/raw/%d" % i, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for i in range(len(names))]
        wait_for(lambda: reads_in_flight(pluck, files, "vdb") >= len(reads), 60)
        tap.ok(reads_in_flight(pluck, files, "vdb") >= len(reads), "it stops, and eight reads of it wait in the VM")
        r = pluck.run("cat", *files, "quick/raw/0", timeout=120)
        tap.ok(r.code == 0 and r.out == b"0" * MIB, "another is opened and read meanwhile", r)
        tap.ok(all(w.poll() is None for w in reads), "they still wait", [w.returncode for w in reads])
        touch(go[1])
        got = [w.communicate(timeout=120)[0] for w in reads]
        tap.ok(got == [n * MIB for n in names], "and get theirs when it answers again", [(len(g), w.returncode) for g, w in zip(got, reads)])
    finally:
        touch(go[1])
        end_all(reads)
        pluck.stop()
        for child, slow in mounts:
            unmount_slow(child, slow)


def check_text(tap, pluck, scratch):
    """The table: odd names, wide ones, time zones, everything beneath."""
    fs = erofs.Erofs(mtime=1700000000)
    wide, odd = "\u6f22\u5b57".encode(), b"esc\x1b[31m\nx\xff"
    top = fs.add(fs.root, b"top", erofs.DIR)
    for name in (wide, odd, b"plain"):
        fs.add(top, name)
    path = scratch.join("text.img")
    fs.save(path)
    disk = ["--disk", "t=" + path]
    r = pluck.run("list", *disk, "t/raw/top")
    lines = r.out.decode().splitlines()
    tap.ok(r.code == 0 and "\\x1b[31m\\x0ax\\xff" in r.out.decode() and not any(ord(c) < 32 for line in lines for c in line),
           "odd names are escaped", r, r.out)
    columns = {len(line) + sum(c in "\u6f22\u5b57" for c in line) for line in lines}
    tap.equal(len(columns), 1, "wide characters take two columns", r.out)
    tap.equal([c for line in lines[3:-1] for c in line.split("\u2502")[2].split()][:1], ["esc\\x1b[31m\\x0ax\\xff"], "sorted by name")
    for zone, want in (("UTC", "2023-11-14 22:13:20"), ("Asia/Kathmandu", "2023-11-15 03:58:20"), ("<-03>3", "2023-11-14 19:13:20")):
        if "/" in zone and not os.path.exists("/usr/share/zoneinfo/" + zone):
            tap.skip("time in " + zone, "no time zones here")
            continue
        r = pluck.run("list", *disk, "t/raw/top", env=dict(pluck.env, TZ=zone))
        tap.ok(r.code == 0 and r.out.count(want.encode()) == 3, "time in " + zone, r, r.out)
    r = pluck.run("list", *disk, "--recursive", "t/raw")
    seen = [line.split("\u2502")[2].strip() for line in r.out.decode().splitlines()[3:-1]]
    tap.equal(seen, ["top", "top/esc\\x1b[31m\\x0ax\\xff", "top/plain", "top/" + wide.decode()], "--recursive shows paths", r)
    env = dict(pluck.env, PROXMOX_OUTPUT_NO_BORDER="1", PROXMOX_OUTPUT_NO_HEADER="1", TZ="UTC")
    r = pluck.run("list", *disk, "t/raw", env=env)
    tap.equal(r.out.decode().split(), ["d", "top", "2023-11-14", "22:13:20"], "no border and no header", r)
    pluck.stop()
    check_broken(tap, pluck, path, scratch)


def check_broken(tap, pluck, path, scratch):
    """One inode is damaged: its entry has an error, the others are there, exit code 1 (damage that the disk's reads do not show)."""
    with open(path, "rb") as f:
        data = bytearray(f.read())
    at = erofs.BLOCK + 3 * erofs.SLOT				# the first entry of top
    data[at:at + 2] = b"\xff\xff"
    broken = scratch.join("broken.img")
    with open(broken, "wb") as f:
        f.write(data)
    disk = ["--disk", "t=" + broken]
    r = pluck.run("list", *disk, "--output-format", "json", "t/raw/top")
    entries = json.loads(r.out) if r.out else []
    failed = [base64.b64decode(e["filepath"]).rsplit(b"/", 1)[1] for e in entries if "error" in e]
    tap.ok(r.code == 1 and len(entries) == 3 and len(failed) == 1 and r.text.count("\u6f22\u5b57") == 1,
           "an entry that cannot be examined is shown with its error, exit code 1", r, entries)
    r = pluck.run("list", *disk, "t/raw/top")
    tap.ok(r.code == 1 and b"plain" in r.out and "\u6f22\u5b57" in r.text and len(r.out.splitlines()) == 7,
           "also as text, with all three in the table", r, r.out)
    pluck.stop()


with Tap() as tap, Scratch() as scratch, Pluck(scratch) as pluck:
    disk = crowd(scratch)
    check_directory(tap, pluck, disk, scratch)
    check_slow_disk(tap, pluck, disk, scratch)
    pluck.stop()
    check_stopped_disk(tap, pluck, scratch)
    check_text(tap, pluck, scratch)
    check_sizes(tap, pluck, scratch)
    check_holes(tap, pluck, scratch)
    check_many_disks(tap, pluck, scratch)
