# SPDX-License-Identifier: GPL-2.0-or-later
"""What a listing costs: the first one of each file system and of disks of any size, large directories, and memory."""

import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import erofs
import images
from images import MIB
from program import peak_memory, roles, watch_memory

GIB, TIB = 1 << 30, 1 << 40
SIZES = ((GIB, "1 GiB"), (100 * GIB, "100 GiB"), (4 * TIB, "4 TiB"))


def mkfs(image, size, *words):
    images.run("truncate", "-s", str(size), image)
    images.run(*words, image)


def small_tree(scratch):
    top = scratch.new_dir("small")
    for i in range(200):
        images.put(top, "d%02d/f%03d" % (i % 10, i), b"%d\n" % i)
    return top


def file_systems(scratch):
    """[(name, image)]: each on the whole of a disk, with a few files where its mkfs takes them."""
    top = small_tree(scratch)
    makers = (
        ("ext4", 256 * MIB, ("mke2fs", "-q", "-F", "-t", "ext4", "-d", top)),
        ("xfs", 512 * MIB, ("mkfs.xfs", "-q", "-f")),
        ("btrfs", 256 * MIB, ("mkfs.btrfs", "-q", "--rootdir", top)),
        ("vfat", 256 * MIB, ("mkfs.vfat",)),
        ("exfat", 256 * MIB, ("mkfs.exfat",)),
        ("ntfs", 256 * MIB, ("mkfs.ntfs", "-q", "-F", "-f")),
        ("f2fs", 256 * MIB, ("mkfs.f2fs", "-q", "-f")),
        ("jfs", 256 * MIB, ("mkfs.jfs", "-q")),
        ("nilfs2", 256 * MIB, ("mkfs.nilfs2", "-q", "-f")),
        ("udf", 256 * MIB, ("mkudffs", "--utf8")),
    )
    made = []
    for name, size, words in makers:
        image = scratch.join("fs-%s.img" % name)
        if not images.missing_tools(words[0]):
            mkfs(image, size, *(images.with_mtab(*words) if name == "nilfs2" else words))
            made.append((name, image))
    image = scratch.join("fs-erofs.img")
    images.run("mkfs.erofs", "--quiet", image, top)
    made.append(("erofs", image))
    images.remove_tree(top)
    return made


def many_erofs(image, count):
    fs = erofs.Erofs()
    top = fs.add(fs.root, b"many", erofs.DIR)
    for i in range(count):
        fs.add(top, b"entry-%07d" % i)
    fs.save(image)


def many_xfs(image, count):
    with open(image + ".proto", "w", encoding="ascii") as f:
        f.write("/\n0 0\nd--755 0 0\nmany d--755 0 0\n")
        f.writelines("entry-%07d ---644 0 0 /dev/null\n" % i for i in range(count))
        f.write("$\n$\n")
    mkfs(image, 400 * MIB, "mkfs.xfs", "-q", "-f", "-p", image + ".proto")
    os.unlink(image + ".proto")


def by_file_system(table, ours, count, scratch):
    table.say()
    table.say("first listing, cold, by file system")
    made = file_systems(scratch)
    results = {name: [] for name, _ in made}
    for _ in range(count):
        for name, image in made:
            results[name].append(ours.cold("list", "--disk", "x=" + image, "x/raw"))
    for name, image in made:
        table.row("  " + name, results[name])
        os.unlink(image)


def by_size(table, ours, count, scratch):
    table.say()
    table.say("first listing, cold, of a file system as large as the disk; with it what the guest read")
    made = []
    for fs, words in (("ext4", ("mke2fs", "-q", "-F", "-t", "ext4", "-E", "lazy_itable_init=1,nodiscard")),
                      ("xfs", ("mkfs.xfs", "-q", "-f", "-l", "size=64m"))):
        for size, text in SIZES:
            image = scratch.join("size-%s-%d.img" % (fs, size))
            mkfs(image, size, *words)
            made.append(("  %s, %s" % (fs, text), image))
    results, sectors = {what: [] for what, _ in made}, {}
    for _ in range(count):
        for what, image in made:
            disk = ("--disk", "x=" + image)
            results[what].append(ours.cold("list", *disk, "x/raw"))
            r = ours.pluck.run("run", *disk, "--", "cat", "/sys/block/vda/stat")
            sectors[what] = int(r.out.split()[2])
    for what, image in made:
        table.row("%s (%.1f MiB)" % (what, sectors[what] / 2048), results[what])
        os.unlink(image)


def one_large(ours, disk):
    """(wall, QEMU's CPU, the command's peak memory in MiB)"""
    ours.pluck.stop()
    ours.timed("list", *disk, "x/raw")
    before, begin = ours.qemu_cpu(), time.monotonic()
    child = ours.pluck.popen("list", *disk, "x/raw/many", "--output-format", "jsonl", stdout=subprocess.DEVNULL)
    peak = watch_memory(child)
    if child.returncode:
        raise RuntimeError("list of a large directory: exit code %s" % child.returncode)
    return time.monotonic() - begin, ours.qemu_cpu() - before, peak


def large_directories(table, ours, count, scratch):
    table.say()
    table.say("directories of many entries as jsonl, volume mounted; peak memory of all processes behind it")
    for what, make, entries in (("100 000 entries, XFS", many_xfs, 10**5), ("100 000 entries, EROFS", many_erofs, 10**5),
                                ("1 000 000 entries, EROFS", many_erofs, 10**6)):
        image = scratch.join("many.img")
        make(image, entries)
        disk = ["--disk", "x=" + image]
        runs = [one_large(ours, disk) for _ in range(count if entries < 10**6 else 1)]
        table.row("  " + what, [r[:2] for r in runs])
        used = ["command %.1f" % max(r[2] for r in runs)]
        used += ["%s %.1f" % (role, peak_memory(pid)) for role, pid in roles(ours.pluck.session_pids()[0]).items()]
        table.say("    MiB: " + ", ".join(used))
        ours.pluck.stop()
        os.unlink(image)


def measure(table, ours, peer, count, scratch):
    mine, theirs = [], []
    for _ in range(count):
        mine.append(ours.cold("disks", *ours.disk))
        if peer:
            theirs.append(peer.volumes())
    table.row("disks / virt-filesystems, cold", mine, theirs)
    by_file_system(table, ours, count, scratch)
    by_size(table, ours, count, scratch)
    large_directories(table, ours, count, scratch)
