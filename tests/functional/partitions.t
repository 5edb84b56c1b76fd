#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Partition tables of all kinds, sound and not: each partition has a small file system that says which one it is.
import json
import os
import struct
import sys
import zlib

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import images
from images import MIB, run
from program import Pluck, Scratch
from tap import Tap

LINUX = bytes.fromhex("af3dc60f838472478e793d69d8477de4")	# as the table has it
DISK = 24 * MIB


class Disk:
    """An image with marked file systems at given places."""

    def __init__(self, scratch, name, size=DISK):
        self.path, self.scratch, self.size = scratch.join(name), scratch, size
        run("truncate", "-s", str(size), self.path)

    def write(self, off, data):
        with open(self.path, "r+b") as f:
            f.seek(off)
            f.write(data)

    def read(self, off, n):
        with open(self.path, "rb") as f:
            f.seek(off)
            return f.read(n)

    def mark(self, off, word):
        """A file system with the file "mark" that has the word."""
        top = self.scratch.new_dir("top")
        images.put(top, "mark", word.encode())
        part = self.scratch.join("part.squashfs")
        run("mksquashfs", top, part, "-noappend", "-quiet")
        with open(part, "rb") as f:
            self.write(off, f.read())
        os.unlink(part)

    def parted(self, *words):
        run("parted", "-s", self.path, *words)


def gpt_entry(first, last, name="", kind=LINUX, guid=b"\1" * 16):
    return kind + guid + struct.pack("<QQQ", first, last, 0) + name.encode("utf-16-le").ljust(72, b"\0")


def gpt_header(own, other, entries_at, last, table):
    head = b"EFI PART" + struct.pack("<IIIIQQQQ", 0x10000, 92, 0, 0, own, other, 34, last) + b"\2" * 16
    head += struct.pack("<QIII", entries_at, 128, 128, zlib.crc32(table))
    return head[:16] + struct.pack("<I", zlib.crc32(head)) + head[20:]


def write_gpt(disk, entries, block=512, primary=True, backup=True, mbr=True):
    """A table of our own: entries by gpt_entry(), in blocks."""
    table = b"".join(entries).ljust(128 * 128, b"\0")
    blocks, room = disk.size // block, len(table) // block
    if mbr:
        disk.write(446, bytes((0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff)) + struct.pack("<II", 1, blocks - 1))
        disk.write(510, b"\x55\xaa")
    if primary:
        disk.write(block, gpt_header(1, blocks - 1, 2, blocks - room - 2, table))
        disk.write(2 * block, table)
    if backup:
        disk.write((blocks - 1) * block, gpt_header(blocks - 1, 1, blocks - 1 - room, blocks - room - 2, table))
        disk.write((blocks - 1 - room) * block, table)


def two_parts(disk, block=512):
    for i, mib in ((1, 2), (2, 8)):
        disk.mark(mib * MIB, str(i))
    return [gpt_entry(mib * MIB // block, (mib + 4) * MIB // block - 1, "p%d" % mib) for mib in (2, 8)]


def make_gpts(scratch):
    for name, how in (("gpt", {}), ("gpt-primary", {"backup": False}), ("gpt-backup", {"primary": False}),
                      ("gpt-no-mbr", {"mbr": False}), ("gpt-4k", {"block": 4096})):
        disk = Disk(scratch, name)
        write_gpt(disk, two_parts(disk, how.get("block", 512)), **how)
        yield name, disk, {"1": "1", "2": "2"}
    disk = Disk(scratch, "gpt-bad-crc")
    write_gpt(disk, two_parts(disk))
    disk.write(1024, b"\xff")
    yield "gpt-bad-crc", disk, {"1": "1", "2": "2"}
    disk = Disk(scratch, "gpt-cut")
    write_gpt(disk, two_parts(disk))
    os.truncate(disk.path, 10 * MIB)
    yield "gpt-cut", disk, {"1": "1", "2": "2"}
    disk = Disk(scratch, "gpt-hybrid")
    write_gpt(disk, two_parts(disk))
    disk.write(446 + 16, bytes((0, 0, 0, 0, 0x83, 0, 0, 0)) + struct.pack("<II", 2 * 2048, 4 * 2048))
    yield "gpt-hybrid", disk, {"1": "1", "2": "2"}
    disk = Disk(scratch, "gpt-overlap")
    write_gpt(disk, two_parts(disk) + [gpt_entry(3 * 2048, 9 * 2048), gpt_entry(9000, 8000), gpt_entry(2**40, 2**41),
                                       gpt_entry(20 * 2048, 2**63 - 1)])
    yield "gpt-overlap", disk, {"1": "1", "2": "2"}


def mbr_entry(kind, start, size):
    return bytes((0, 0, 0, 0, kind, 0, 0, 0)) + struct.pack("<II", start, size)


def write_mbr(disk, at, *entries):
    disk.write(at + 446, b"".join(entries).ljust(64, b"\0") + b"\x55\xaa")


def make_mbrs(scratch):
    disk = Disk(scratch, "mbr-logical")
    write_mbr(disk, 0, mbr_entry(0x83, 2048, 2048), mbr_entry(5, 2 * 2048, 20 * 2048))
    disk.mark(MIB, "1")
    want = {"1": "1"}
    for i in range(18):
        at = (2 + i) * 2048
        follow = [mbr_entry(5, (i + 1) * 2048, 2048)] if i < 17 else []
        write_mbr(disk, at * 512, mbr_entry(0x83, 64, 1900), *follow)
        disk.mark((at + 64) * 512, str(5 + i))
        want[str(5 + i)] = str(5 + i)
    yield "mbr-logical", disk, want
    disk = Disk(scratch, "mbr-loop")
    write_mbr(disk, 0, mbr_entry(0x83, 2048, 2048), mbr_entry(5, 2 * 2048, 20 * 2048))
    disk.mark(MIB, "1")
    write_mbr(disk, 2 * MIB, mbr_entry(0x83, 64, 1900), mbr_entry(5, 2048, 2048))
    write_mbr(disk, 3 * MIB, mbr_entry(0x83, 64, 1900), mbr_entry(5, 0, 2048))
    disk.mark(2 * MIB + 64 * 512, "5")
    disk.mark(3 * MIB + 64 * 512, "6")
    yield "mbr-loop", disk, {"1": "1", "5": "5", "6": "6"}
    disk = Disk(scratch, "mbr-beyond")
    write_mbr(disk, 0, mbr_entry(0x83, 2048, 2**32 - 1), mbr_entry(0x83, 2**32 - 2, 2**32 - 2))
    disk.mark(MIB, "1")
    yield "mbr-beyond", disk, {"1": "1", "2": "left out"}


def make_parted(scratch):
    """Tables of other machines: partitions from 4 and 12 MiB on."""
    for label, words in (("sun", ("ext2",)), ("mac", ("data", "ext2")), ("amiga", ("data", "ext2")), ("bsd", ("ext2",)),
                         ("dvh", ("primary", "ext2"))):
        disk = Disk(scratch, label, 64 * MIB)
        disk.parted("mklabel", label)
        starts = {}
        for begin, end in ((8, 16), (24, 32)):
            disk.parted("unit", "MiB", "mkpart", *words, str(begin), str(end))
        for line in run("parted", "-s", "-m", disk.path, "unit", "s", "print").decode().splitlines():
            part = line.split(":")
            if part[0].isdigit() and int(part[1].rstrip("s")) >= 4 * 2048:
                starts[part[0]] = int(part[1].rstrip("s"))
        for number, start in starts.items():
            disk.mark(start * 512, number)
        yield label, disk, {n: n for n in starts}


def check(tap, pluck, name, disk, want):
    """All partitions at their numbers, with what was put on them."""
    source = ("--disk", name + "=" + disk.path)
    r = pluck.run("disks", *source, "--output-format", "json", timeout=60)
    if not tap.ok(r.code == 0, "%s: disks" % name, r):
        return
    parts = [n["name"] for d in json.loads(r.out) for n in d.get("children", []) if n["type"] == "squashfs"]
    seen = {}
    for d in json.loads(r.out):
        seen.update({n["name"][5:]: "left out" for n in d.get("children", []) if "left out" in n.get("error", "")})
    for part in parts:
        got = pluck.run("extract", *source, "%s/%s/mark" % (name, part), "-")
        seen[part.rpartition("/")[2]] = got.out.decode("utf-8", "replace") if got.code == 0 else str(got)
    tap.equal(seen, want, "%s: partitions %s" % (name, " ".join(sorted(want))), r.out)


missing = images.missing_tools("mksquashfs", "parted")
if missing:
    Tap.skip_all("no " + ", ".join(missing))
with Tap() as tap, Scratch() as scratch, Pluck(scratch) as pluck:
    for make in (make_gpts, make_mbrs, make_parted):
        for name, disk, want in make(scratch):
            check(tap, pluck, name, disk, want)
            os.unlink(disk.path)
            pluck.stop()
