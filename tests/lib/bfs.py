# SPDX-License-Identifier: GPL-2.0-or-later
"""Files for a BFS as mkfs.bfs makes it: contents in one piece behind each other, an inode of 64 bytes and a name of up to 14 each."""
import struct

BLOCK = 512
MAGIC = 0x1BADFACE
ROOT_INODE = 2
MTIME = 1614834367


def fill(image, files):
    """@files: names (bytes) and contents, of what has only a root directory yet."""
    with open(image, "r+b") as f:
        magic, start, end = struct.unpack("<III", f.read(12))
        if magic != MAGIC:
            raise ValueError("%s is no BFS" % image)
        f.seek(BLOCK)
        root = list(struct.unpack("<HHIIIIIIIIII", f.read(44)))
        first, at = root[2], root[4] + 1		# its first block, and the byte behind its last
        free = root[3] + 1
        for i, (name, data) in enumerate(files.items()):
            number = ROOT_INODE + 1 + i
            last = free + max((len(data) + BLOCK - 1) // BLOCK, 1) - 1
            f.seek(BLOCK + 64 * (1 + i))
            place = (free, last, free * BLOCK + len(data) - 1) if data else (0, 0, 0)
            f.write(struct.pack("<HHIIIIIIIIII", number, 0, *place, 1, 0o100640, 7, 8, 1, MTIME, MTIME) + struct.pack("<I", MTIME) + bytes(16))
            f.seek(at)
            f.write(struct.pack("<H14s", number, name))
            at += 16
            if data:
                f.seek(free * BLOCK)
                f.write(data)
                free = last + 1
        if at > (first + 1) * BLOCK or 64 * (1 + len(files)) > start - BLOCK or free * BLOCK > end:
            raise ValueError("no room for so many files")
        root[4] = at - 1
        f.seek(BLOCK)
        f.write(struct.pack("<HHIIIIIIIIII", *root))
