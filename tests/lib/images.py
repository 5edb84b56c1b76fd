# SPDX-License-Identifier: GPL-2.0-or-later
"""
Disk images with known content, made without mounting and without root (as root they also have owners and devices).
A tree is made in a directory, a mkfs tool copies it, and its manifest says what the file system must show.
"""

import os
import random
import shutil
import stat
import subprocess

from manifest import Entry, Manifest, Volume, from_tree

MIB = 1 << 20
GPT_TYPES = {
    "linux": "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
    "esp": "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
    "swap": "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F",
}
SBIN = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def run(*args, **kw):
    """Run a tool; its output appears only when it fails."""
    env = dict(os.environ, PATH=SBIN, LC_ALL="C", MTOOLS_SKIP_CHECK="1", TZ="UTC", **kw.pop("env", {}))
    done = subprocess.run([os.fspath(a) for a in args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env, check=False, **kw)
    if done.returncode:
        raise RuntimeError("%s: exit %d: %s" % (args[0], done.returncode, done.stdout.decode("utf-8", "replace")[-2000:]))
    return done.stdout


def missing_tools(*names):
    return [n for n in names if shutil.which(n, path=SBIN) is None]


def with_mtab(*command):
    """A command that insists on /etc/mtab, which a minimal system lacks: there in a mount namespace with one."""
    if os.path.exists("/etc/mtab"):
        return command
    return ("bwrap", "--dev-bind", "/", "/", "--tmpfs", "/etc", "--symlink", "/proc/self/mounts", "/etc/mtab", *command)


def noise(size, seed):
    """Bytes that do not compress; the same for the same seed."""
    return random.Random(seed).randbytes(size)


# -- trees -------------------------------------------------------------------------------------------------------

TIME0 = 1700000000

ODD_NAMES = [
    b"with space", b" leading and trailing ", b"line\nfeed", b"tab\there", b"quote'\"`$(x)", b"back\\slash", b"-rf", b"*?[a]", b"...",
    b"\xff\xfe not utf-8 \x80", "\u00fcml\u00e4ut \u20ac \U0001f600".encode(), b"esc\x1b[31mred", b"x" * 255, b"%41 percent", b"#hash",
    b"semi;colon&", b"~tilde", b"comma,equals=",
]


def put(top, name, data=b"", mode=0o644, mtime=None):
    """A file in a tree; directories above it appear."""
    path = os.path.join(os.fsencode(top), os.fsencode(name))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)
    os.chmod(path, mode)
    if mtime is not None:
        os.utime(path, ns=(mtime, mtime))
    return path


def settle_times(top):
    """Give every entry without a time of its own a fixed one, in whole seconds, children first."""
    top = os.fsencode(top)
    number = 0
    for at, dirs, files in os.walk(top, topdown=False):
        dirs.sort()
        for name in sorted(files) + [d for d in dirs if os.path.islink(os.path.join(at, d))]:
            path = os.path.join(at, name)
            if os.lstat(path).st_mtime_ns > (TIME0 + 10**6) * 10**9:
                number += 1
                t = (TIME0 + number) * 10**9
                os.utime(path, ns=(t, t), follow_symlinks=False)
    for at, dirs, files in os.walk(top, topdown=False):
        number += 1
        t = (TIME0 + number) * 10**9
        os.utime(at, ns=(t, t))


def make_common_tree(top, files=40, big=3 * MIB):
    """Plain content that every file system can hold."""
    put(top, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n")
    put(top, "etc/hostname", b"example\n")
    put(top, "home/ann/notes.txt", b"remember the milk\n" * 100)
    put(top, "home/ann/docs/report.txt", b"quarterly report\n" * 5000)
    put(top, "home/ann/empty")
    put(top, "home/ann/one", b"1")
    put(top, "data/big.bin", noise(big, 1))
    for i in range(files):
        put(top, "many/file-%04d.txt" % i, b"file %d\n" % i * (i % 50 + 1))
    deep = "deep"
    for i in range(20):
        deep += "/level%02d" % i
    put(top, deep + "/bottom", b"here\n")
    os.makedirs(os.path.join(top, "void"), exist_ok=True)


def make_posix_tree(top):
    """On top of the common tree: what POSIX file systems hold. As root also owners, devices, and all attributes."""
    make_common_tree(top)
    top = os.fsencode(top)
    for name in ODD_NAMES:
        put(top, b"odd/" + name, b"name " + name)
        put(top, b"odd dirs/" + name + b"/inner", b"inner")
    posix = os.path.join(top, b"posix")
    put(posix, b"mode-4755", b"suid", 0o4755)
    put(posix, b"mode-2755", b"sgid", 0o2755)
    put(posix, b"mode-0444", b"read only", 0o444)
    for name, mode in ((b"dir-1777", 0o1777), (b"dir-2775", 0o2775), (b"dir-0555", 0o555)):
        os.mkdir(os.path.join(posix, name))
        os.chmod(os.path.join(posix, name), mode)
    for name, target in ((b"link", b"mode-0444"), (b"dangling", b"no/such\nfile"), (b"absolute", b"/etc/passwd"),
                         (b"loop", b"loop"), (b"out", b"../../../../../../etc/passwd"), (b"long", b"y" * 3000), (b"to-dir", b"../etc")):
        os.symlink(target, os.path.join(posix, name))
    put(posix, b"hard-a", b"three names\n")
    os.link(os.path.join(posix, b"hard-a"), os.path.join(posix, b"hard-b"))
    os.link(os.path.join(posix, b"hard-a"), os.path.join(top, b"home/hard-c"))
    os.mkfifo(os.path.join(posix, b"fifo"), 0o600)
    with open(os.path.join(posix, b"sparse"), "wb") as f:
        f.write(b"begin")
        f.seek(20 * MIB)
        f.write(noise(70000, 2))
        f.truncate(40 * MIB)
    put(posix, b"all-hole")
    os.truncate(os.path.join(posix, b"all-hole"), 5 * MIB)
    os.setxattr(put(posix, b"xattr-user", b"x"), "user.comment", b"binary \x00\xff value")
    os.setxattr(os.path.join(posix, b"xattr-user"), "user.empty", b"")
    for name, t in ((b"time-1960", -315619200), (b"time-2100", 4102444800), (b"time-1970", 0)):
        put(posix, b"times/" + name, name, mtime=t * 10**9)
    if os.geteuid() == 0:
        make_root_things(posix)


def make_root_things(posix):
    for name, uid, gid in ((b"own-1000", 1000, 1000), (b"own-big", 3000000000, 70000), (b"own-34", 34, 34)):
        os.chown(put(posix, name, name), uid, gid)
    os.lchown(os.path.join(posix, b"link"), 1001, 1002)
    os.chown(os.path.join(posix, b"dir-2775"), 1000, 50)
    os.chmod(os.path.join(posix, b"dir-2775"), 0o2775)
    os.mknod(os.path.join(posix, b"dev-null"), 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    os.mknod(os.path.join(posix, b"dev-big"), 0o640 | stat.S_IFBLK, os.makedev(259, 70000))
    path = put(posix, b"xattr-all", b"x", 0o755)
    os.setxattr(path, "user.note", b"n" * 300)
    os.setxattr(path, "trusted.note", b"trusted")
    os.setxattr(path, "security.capability", bytes.fromhex("0100000200040000000000000000000000000000"))
    # version 2: user::rw- user:1000:rwx group::r-- mask::rwx other::---
    acl = bytes.fromhex("02000000" "01000600ffffffff" "02000700e8030000" "04000400ffffffff" "10000700ffffffff" "20000000ffffffff")
    os.setxattr(put(posix, b"acl-file", b"a", 0o670), "system.posix_acl_access", acl)
    os.mkdir(os.path.join(posix, b"acl-dir"), 0o755)
    os.setxattr(os.path.join(posix, b"acl-dir"), "system.posix_acl_default", acl)


# -- file systems ------------------------------------------------------------------------------------------------

def volume_of_tree(ident, top, **info):
    volume = Volume(ident, info)
    for e in from_tree(top).values():
        if e.type not in "d" and (e.links or 0) < 2:
            e.ino = None
        if e.type == "d":
            e.ino = None
        volume.add(e)
    renumber(volume)
    return volume


def renumber(volume):
    """Inode numbers are only there to group names of one file."""
    numbers = {}
    for e in volume.entries.values():
        if e.ino is not None:
            e.ino = numbers.setdefault(e.ino, len(numbers) + 1)


def quoted(path):
    return '"%s"' % path.decode()


def make_ext4(image, size, top, ident, label="data", fstype="ext4", features=None, ns=()):
    """
    ext4 with the content of top. Times are whole seconds but for the plain names in ns: {path: nanoseconds}. mke2fs adds
    lost+found.
    """
    run("truncate", "-s", str(size), image)
    extra = ["-O", features] if features else []
    run("mke2fs", "-q", "-F", "-t", fstype, "-L", label, "-U", "aaaaaaaa-0000-4000-8000-000000000001", "-I", "256", "-b", "4096",
        "-E", "lazy_itable_init=0,hash_seed=aaaaaaaa-0000-4000-8000-000000000009,nodiscard", *extra, "-d", top, image)
    volume = volume_of_tree(ident, top, fs=fstype, label=label)
    for e in volume.entries.values():
        e.mtime -= e.mtime % 10**9
    root = volume.entries[b""]
    root.mtime = None
    volume.add(Entry(b"lost+found", type="d", mode=0o700, uid=root.uid, gid=root.gid))
    script = []
    for path, nsec in dict(ns).items():
        entry = volume.entries[path]
        entry.mtime += nsec
        epoch = ((entry.mtime // 10**9) + 2**31) >> 32
        script.append("sif %s mtime_extra %d" % (quoted(path), nsec << 2 | epoch))
    # mke2fs stores the low 32 bits of a time alone
    for path, entry in volume.entries.items():
        sec = None if entry.mtime is None else entry.mtime // 10**9
        if sec is not None and not 0 <= sec < 2**31 and path not in dict(ns):
            script.append("sif %s mtime_extra %d" % (quoted(path), (sec + 2**31) >> 32))
    if script:
        run("debugfs", "-w", "-f", "/dev/stdin", image, input=("\n".join(script) + "\n").encode())
    return volume


def make_ext4_disk(scratch, name, size, fill, **kw):
    """ext4 on a whole disk, with what fill(top) makes. Return: its path, its volume."""
    top = scratch.new_dir("tree")
    fill(top)
    settle_times(top)
    path = scratch.join(name)
    volume = make_ext4(path, size, top, "whole", **kw)
    remove_tree(top)
    os.chmod(path, 0o644)
    return path, volume


def make_vfat(image, size, top, ident, label="FATVOL"):
    """FAT32 by mtools: no owners, times every two seconds, names that FAT can hold only."""
    run("truncate", "-s", str(size), image)
    run("mkfs.vfat", "-F", "32", "-s", "1", "-n", label, "-i", "12345678", image)
    volume = Volume(ident, {"fs": "vfat", "label": label})
    volume.add(Entry(b"", type="d", uid=0, gid=0))
    for at, dirs, files in os.walk(top):
        dirs.sort()
        rel = os.path.relpath(at, top)
        for name in dirs:
            run("mmd", "-i", image, "::" + os.path.normpath(os.path.join(rel, name)))
            volume.add(Entry(os.fsencode(os.path.normpath(os.path.join(rel, name))), type="d", uid=0, gid=0))
        if files:
            run("mcopy", "-m", "-i", image, *[os.path.join(at, n) for n in sorted(files)], "::" + ("" if rel == "." else rel + "/"))
    for path, e in from_tree(top).items():
        if e.type == "f":
            sec = e.mtime // 10**9
            volume.add(Entry(path, type="f", uid=0, gid=0, size=e.size, sha=e.sha, mtime=(sec - sec % 2) * 10**9, links=1))
    return volume


def make_btrfs(image, size, top, ident, label="btr"):
    run("truncate", "-s", str(size), image)
    run("mkfs.btrfs", "-q", "-L", label, "-m", "single", "--rootdir", top, image)
    volume = volume_of_tree(ident, top, fs="btrfs", label=label)
    for e in volume.entries.values():
        e.mtime -= e.mtime % 10**9
    volume.entries[b""].mtime = None
    return volume


def make_xfs(image, size, top, ident, label="xdata"):
    """XFS by a prototype file: names without blanks, no times. The tools refuse less than 300 MiB."""
    run("truncate", "-s", str(max(size, 320 * MIB)), image)
    proto = image + ".proto"
    volume = volume_of_tree(ident, top, fs="xfs", label=label)
    with open(proto, "w", encoding="ascii") as f:
        f.write("/\n0 0\nd--755 0 0\n")
        write_proto(f, top, b"", volume)
        f.write("$\n")
    run("mkfs.xfs", "-q", "-f", "-L", label, "-p", proto, image)
    os.unlink(proto)
    for e in volume.entries.values():
        e.mtime = None
    volume.entries[b""].mode = 0o755
    volume.entries[b""].uid = volume.entries[b""].gid = 0
    return volume


def write_proto(f, top, at, volume):
    for name in sorted(os.listdir(os.path.join(os.fsencode(top), at))):
        rel = os.path.join(at, name)
        e = volume.entries[rel]
        if e.type not in "fdl" or any(c <= 32 or c >= 127 for c in name):
            del volume.entries[rel]
            continue
        bits = ("u" if e.mode & 0o4000 else "-") + ("g" if e.mode & 0o2000 else "-") + "%03o" % (e.mode & 0o777)
        kind = {"f": "-", "d": "d", "l": "l"}[e.type]
        f.write("%s %s%s %d %d" % (name.decode(), kind, bits, e.uid, e.gid))
        if e.type == "f":
            f.write(" %s\n" % os.path.join(os.fspath(top), rel.decode()))
        elif e.type == "l":
            f.write(" %s\n" % e.target.decode())
        else:
            f.write("\n")
            write_proto(f, top, rel, volume)
            f.write("$\n")


# -- partitions --------------------------------------------------------------------------------------------------

def make_disk(image, parts, label="gpt"):
    """
    A disk of parts: [(image file or None, size, type, name)], aligned to 1 MiB. Files are taken over sparse.
    """
    at = 1
    lines = ["label: " + label, "unit: sectors", "first-lba: 2048"] if label == "gpt" else ["label: dos", "unit: sectors"]
    places = []
    for source, size, kind, name in parts:
        mib = -(-size // MIB)
        kind = GPT_TYPES.get(kind, kind) if label == "gpt" else {"linux": "83", "esp": "ef", "swap": "82"}.get(kind, kind)
        lines.append("start=%d, size=%d, type=%s%s" % (at * 2048, mib * 2048, kind, ', name="%s"' % name if label == "gpt" else ""))
        places.append((source, at))
        at += mib
    run("truncate", "-s", str((at + 1) * MIB), image)
    run("sfdisk", "-q", "--no-reread", "--no-tell-kernel", image, input=("\n".join(lines) + "\n").encode())
    for source, mib in places:
        if source is not None:
            run("dd", "if=" + os.fspath(source), "of=" + os.fspath(image), "bs=1M", "seek=%d" % mib, "conv=notrunc,sparse", "status=none")


def make_sample_disk(directory, name="sample.img"):
    """
    GPT disk: p1 vfat, p2 ext4, p3 xfs, p4 btrfs, p5 swap-typed and blank. Return: (path, Manifest).
    """
    image = os.path.join(directory, name)
    common, posix, plain = (os.path.join(directory, name + "." + x) for x in ("common", "posix", "plain"))
    for top, fill in ((common, make_common_tree), (posix, make_posix_tree), (plain, make_plain_tree)):
        os.mkdir(top, 0o755)
        fill(top)
        settle_times(top)
    manifest = Manifest(name.split(".")[0])
    parts = []
    for ident, make, size, top, kind, title in (("p1", make_vfat, 40 * MIB, common, "esp", "EFI System"),
                                                ("p2", make_ext4, 96 * MIB, posix, "linux", "root / 'q'"),
                                                ("p3", make_xfs, 320 * MIB, plain, "linux", "xfs data"),
                                                ("p4", make_btrfs, 128 * MIB, common, "linux", "btrfs data")):
        part = "%s.%s" % (image, ident)
        extra = {"ns": {b"etc/passwd": 123456789, b"posix/times/time-1960": 750000000}} if make is make_ext4 else {}
        manifest.volumes[ident] = make(part, size, top, ident, **extra)
        parts.append((part, os.path.getsize(part), kind, title))
    make_disk(image, parts + [(None, 2 * MIB, "swap", "swap")])
    for part in parts:
        os.unlink(part[0])
    for top in (common, posix, plain):
        remove_tree(top)
    manifest.disks = [{"file": name, "size": os.path.getsize(image)}]
    return image, manifest


def make_plain_tree(top):
    """What an XFS prototype file can say: names without blanks, links without blanks."""
    make_common_tree(top)
    put(top, "suid", b"s", 0o4755)
    put(top, "sgid", b"group", 0o2750)
    os.symlink("etc/passwd", os.path.join(top, "link"))


def remove_tree(top):
    """rm -rf, also when restored files are immutable or directories unreadable."""
    if os.geteuid() == 0:
        subprocess.run(["chattr", "-R", "-f", "-i", "-a", top], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False,
                       env=dict(os.environ, PATH=SBIN))
    else:
        for at, dirs, _ in os.walk(top):
            for d in dirs:
                path = os.path.join(at, d)
                if not os.path.islink(path):
                    os.chmod(path, 0o700)
    shutil.rmtree(top, ignore_errors=True)
