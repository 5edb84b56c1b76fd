# SPDX-License-Identifier: GPL-2.0-or-later
"""
Files in an exFAT that mkfs.exfat made: no tool of Debian puts any there without mounting it. Contents lie in one piece, without a chain in the FAT.
Format: Microsoft's exFAT specification. Directories have one cluster each.
"""

import calendar
import struct
import time

DIRECTORY, ARCHIVE = 0x10, 0x20
SECOND = 10**9


def _sum(data, value=0):
    for byte in data:
        value = ((value << 15 | value >> 1) + byte) & 0xffff
    return value


def _upper(text):
    """As the table of the volume has it: one unit for one."""
    return "".join(c.upper() if len(c.upper()) == 1 else c for c in text)


def _stamp(ns):
    """(date and time in steps of two seconds, hundredths of a second on top)"""
    t = time.gmtime(ns // SECOND)
    date = (t.tm_year - 1980) << 9 | t.tm_mon << 5 | t.tm_mday
    return date << 16 | t.tm_hour << 11 | t.tm_min << 5 | t.tm_sec // 2, t.tm_sec % 2 * 100 + ns % SECOND // 10**7


class Exfat:
    """A new image of mkfs.exfat; put() files by path, then save()."""

    def __init__(self, path):
        self.path = path
        with open(path, "rb") as f:
            self.image = bytearray(f.read())
        _, _, heap, _, self.root = struct.unpack_from("<5I", self.image, 80)
        sector, per_cluster = self.image[108], self.image[109]
        self.heap, self.cluster = heap << sector, 1 << (sector + per_cluster)
        root = self._at(self.root)
        self.ends = {b"": next(at for at in range(root, root + self.cluster, 32) if not self.image[at])}
        bitmap = next(at for at in range(root, self.ends[b""], 32) if self.image[at] == 0x81)
        self.bitmap = self._at(struct.unpack_from("<I", self.image, bitmap + 20)[0])
        self.free = self.root + 1

    def _at(self, cluster):
        return self.heap + (cluster - 2) * self.cluster

    def _take(self, size):
        """Clusters behind each other. Return: the first; 0 for none."""
        first, count = self.free, -(-size // self.cluster)
        for n in range(first - 2, first - 2 + count):
            self.image[self.bitmap + n // 8] |= 1 << n % 8
        self.free += count
        return first if count else 0

    def _add(self, parent, name, attributes, first, size, valid, ns):
        text = name.decode().encode("utf-16-le")
        names = [text[i:i + 30].ljust(30, b"\0") for i in range(0, len(text), 30)]
        stamp, hundredths = _stamp(ns)
        head = struct.pack("<BBHHHIIIBBBBB7x", 0x85, 1 + len(names), 0, attributes, 0, stamp, stamp, stamp, hundredths, hundredths, 0x80, 0x80, 0x80)
        stream = struct.pack("<BBBBHHQIIQ", 0xC0, 3 if first else 1, 0, len(text) // 2, _sum(_upper(name.decode()).encode("utf-16-le")), 0,
                             valid, 0, first, size)
        entries = bytearray(head + stream + b"".join(b"\xC1\0" + n for n in names))
        struct.pack_into("<H", entries, 2, _sum(entries[4:], _sum(entries[:2])))
        at = self.ends[parent]
        self.image[at:at + len(entries)] = entries
        self.ends[parent] = at + len(entries)

    def _directory(self, path, ns):
        if path not in self.ends:
            parent, _, name = path.rpartition(b"/")
            self._directory(parent, ns)
            first = self._take(self.cluster)
            self.ends[path] = self._at(first)
            self._add(parent, name, DIRECTORY, first, self.cluster, self.cluster, ns)

    def put(self, path, data, size=None, ns=calendar.timegm((2021, 3, 4, 5, 6, 7)) * SECOND + 120 * 10**6):
        """A file, and the directories above it. @size: with more than the data only these are valid, and the rest is zeros."""
        parent, _, name = path.rpartition(b"/")
        self._directory(parent, ns)
        size = len(data) if size is None else size
        first = self._take(size)
        if first:
            at = self._at(first)
            self.image[at:at + size] = data.ljust(size, b"\xee")		# what is not valid must not be seen
        self._add(parent, name, ARCHIVE, first, size, len(data), ns)

    def save(self):
        with open(self.path, "wb") as f:
            f.write(self.image)
