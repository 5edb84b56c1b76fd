# SPDX-License-Identifier: GPL-2.0-or-later
"""
EROFS images of empty files and directories, of any number and depth: mkfs.erofs wants each of them on a disk first.
Format: linux/fs/erofs/erofs_fs.h. Superblock in block 0, then compact inodes, then the blocks of directories.
"""

import struct

BLOCK = 4096
SLOT = 32			# bytes of a compact inode; an inode's number is its place in slots
MAGIC = 0xE0F5E1E2
FILE, DIR = 1, 2		# types in directory entries
MODES = {FILE: 0o100644, DIR: 0o040755}


class Erofs:
    """root is a directory; add() puts entries into directories. Names are bytes."""

    def __init__(self, mtime=1700000000):
        self.mtime = mtime
        self.kinds = [None]	# by number; 0 stays free
        self.children = {}	# number of a directory: [(name, number, type)]
        self.root = self._new(DIR)
        self.children[self.root].append((b"..", self.root, DIR))

    def _new(self, kind):
        self.kinds.append(kind)
        number = len(self.kinds) - 1
        if kind == DIR:
            self.children[number] = [(b".", number, DIR)]
        return number

    def add(self, parent, name, kind=FILE):
        number = self._new(kind)
        self.children[parent].append((name, number, kind))
        if kind == DIR:
            self.children[number].append((b"..", parent, DIR))
        return number

    def save(self, path):
        first = 1 + -(-len(self.kinds) * SLOT // BLOCK)
        with open(path, "wb") as f:
            where, at = {}, first
            for number, entries in self.children.items():
                blocks = directory(entries)
                f.seek(at * BLOCK)
                f.write(b"".join(blocks))
                where[number] = (at, len(blocks))
                at += len(blocks)
            f.truncate(at * BLOCK)
            f.seek(1024)
            f.write(struct.pack("<IIIBBHQQIIII", MAGIC, 0, 0, 12, 0, self.root, len(self.kinds) - 1, self.mtime, 0, at, 1, 0))
            f.seek(BLOCK)
            f.write(b"".join(self._inode(n, *where.get(n, (0, 0))) for n in range(len(self.kinds))))

    def _inode(self, number, block, blocks):
        kind = self.kinds[number]
        if kind is None:
            return bytes(SLOT)
        links = 1 if kind == FILE else 2 + sum(k == DIR for name, _, k in self.children[number] if name not in (b".", b".."))
        return struct.pack("<HHHHIIIIHHI", 0, 0, MODES[kind], min(links, 65535), blocks * BLOCK, 0, block, number, 0, 0, 0)


def save_crowd(path, count):
    """An image with a directory "many" of count entries, and "few" of 10."""
    fs = Erofs()
    for name, nr in ((b"many", count), (b"few", 10)):
        at = fs.add(fs.root, name, DIR)
        for i in range(nr):
            fs.add(at, b"entry-%07d" % i)
    fs.save(path)


def directory(entries):
    """The blocks of a directory: entries in front, their names behind, sorted across all blocks."""
    blocks, part, room = [], [], BLOCK
    for entry in sorted(entries):
        need = 12 + len(entry[0])
        if need > room:
            blocks.append(one_block(part))
            part, room = [], BLOCK
        part.append(entry)
        room -= need
    blocks.append(one_block(part))
    return blocks


def one_block(part):
    at, out, names = 12 * len(part), [], []
    for name, number, kind in part:
        out.append(struct.pack("<QHBB", number, at, kind, 0))
        names.append(name)
        at += len(name)
    return (b"".join(out) + b"".join(names)).ljust(BLOCK, b"\0")
