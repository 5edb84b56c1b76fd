# SPDX-License-Identifier: GPL-2.0-or-later
"""
HFS+ volumes with files as macOS compresses them (decmpfs): Debian has no tool that makes either. One leaf in each tree.
"""

import os
import struct
import zlib

BLOCK = 4096
NODE = 8192
TYPE_ZLIB, TYPE_ZLIB_FORK, TYPE_LZVN, TYPE_LZVN_FORK, TYPE_RAW, TYPE_RAW_FORK, TYPE_LZFSE, TYPE_LZFSE_FORK = 3, 4, 7, 8, 9, 10, 11, 12
CHUNK = 65536
UF_COMPRESSED = 0x20


def lzvn(data):
    """LZVN by a greedy search for repeats."""
    out, seen, literals, at = bytearray(), {}, bytearray(), 0

    def flush():
        while literals:
            n = min(len(literals), 271)
            out.extend((0xe0 | n,) if n < 16 else (0xe0, n - 16))
            out.extend(literals[:n])
            del literals[:n]

    while at < len(data):
        word, before = data[at:at + 4], seen.get(data[at:at + 4])
        seen[word] = at
        if len(word) < 4 or before is None or at - before > 65535:
            literals.append(data[at])
            at += 1
            continue
        n, distance = 4, at - before
        while n < 266 and at + n < len(data) and data[at + n] == data[before + n]:
            n += 1
        lead = bytes(literals[-3:]) if len(literals) <= 3 else b""
        if lead:
            literals.clear()
        flush()
        first = min(n, (10, 8, 6, 4)[len(lead)])	# what would be more belongs to other forms
        if distance < 1536:
            out.extend(((len(lead) << 6) | (first - 3) << 3 | distance >> 8, distance & 255))
        elif distance < 16384:
            first = min(n, 34)
            m = first - 3
            pair = distance << 2 | m & 3
            out.extend((0xa0 | len(lead) << 3 | m >> 2, pair & 255, pair >> 8))
        else:
            out.extend(((len(lead) << 6) | (first - 3) << 3 | 7, distance & 255, distance >> 8))
        out.extend(lead)
        left = n - first
        if left >= 16:
            out.extend((0xf0, left - 16))
        elif left:
            out.append(0xf0 | left)
        at += n
    flush()
    return bytes(out) + b"\x06" + bytes(7)


class Content:
    """What a file has: data fork, resource fork, attributes by name."""

    def __init__(self, data=b"", resource=b"", attributes=None, flags=0):
        self.data, self.resource, self.attributes, self.flags = data, resource, attributes or {}, flags


def decmpfs(kind, size, data=b""):
    return {"com.apple.decmpfs": b"fpmc" + struct.pack("<IQ", kind, size) + data}


def vector(name):
    """A block that macOS's own encoder made: of the fuzz target's corpus, without the three bytes in front."""
    with open(os.path.join(os.path.dirname(__file__), "..", "fuzz", "corpus", "agent_decmpfs", name), "rb") as f:
        return f.read()[3:]


def offsets(chunks):
    """A resource fork as LZVN and LZFSE have it: where each chunk begins, and where the last ends."""
    at, table = 4 * (len(chunks) + 1), b""
    for c in chunks:
        table += struct.pack("<I", at)
        at += len(c)
    return table + struct.pack("<I", at) + b"".join(chunks)


def classic(chunks):
    """A resource fork as zlib has it: the first resource is the number of chunks, offset and size of each, and the chunks."""
    at, table = 4 + 8 * len(chunks), b""
    for c in chunks:
        table += struct.pack("<II", at, len(c))
        at += len(c)
    body = struct.pack("<I", len(chunks)) + table + b"".join(chunks)
    head = struct.pack(">IIII", 256, 260 + len(body), 4 + len(body), 50).ljust(256, b"\0")
    return head + struct.pack(">I", len(body)) + body + bytes(50)


def of_chunks(kind, size, chunks, table=offsets):
    return Content(resource=table(chunks), attributes=decmpfs(kind, size), flags=UF_COMPRESSED)


def compressed(kind, data):
    """A file of these contents as kind says; chunks that do not shrink are stored as they are."""
    if kind == TYPE_RAW:
        return Content(attributes=decmpfs(kind, len(data), b"\xcc" + data), flags=UF_COMPRESSED)
    if kind in (TYPE_ZLIB, TYPE_LZVN):
        packed = zlib.compress(data) if kind == TYPE_ZLIB else lzvn(data)
        plain = (b"\xff" if kind == TYPE_ZLIB else b"\x06") + data
        return Content(attributes=decmpfs(kind, len(data), min(packed, plain, key=len)), flags=UF_COMPRESSED)
    chunks = []
    for at in range(0, len(data), CHUNK):
        chunk = data[at:at + CHUNK]
        packed = zlib.compress(chunk) if kind == TYPE_ZLIB_FORK else lzvn(chunk)
        chunks.append(min(packed, (b"\xff" if kind == TYPE_ZLIB_FORK else b"\x06") + chunk, key=len))
    resource = classic(chunks) if kind == TYPE_ZLIB_FORK else offsets(chunks)
    return Content(resource=resource, attributes=decmpfs(kind, len(data)), flags=UF_COMPRESSED)


def fork(size, extents):
    first = (extents + [(0, 0)] * 8)[:8]
    return struct.pack(">QII", size, 0, sum(n for _, n in extents)) + b"".join(struct.pack(">II", *e) for e in first)


def node(kind, height, records):
    out, table = bytearray(struct.pack(">IIbBHH", 0, 0, kind, height, len(records), 0)), []
    for r in records:
        table.append(len(out))
        out += r
    table.append(len(out))
    if len(out) + 2 * len(table) > NODE:
        raise ValueError("too much for one node")
    out = out.ljust(NODE - 2 * len(table), b"\0")
    return bytes(out) + b"".join(struct.pack(">H", t) for t in reversed(table))


def tree(records, key_max, flags, compare=0):
    """Header and one leaf."""
    root, nr = (1, 2) if records else (0, 1)
    head = struct.pack(">HIIIIHHIIHIBBI", 1 if records else 0, root, len(records), root, root, NODE, key_max, 2, 2 - nr, 0, NODE, 0,
                       compare, flags).ljust(106, b"\0")
    used = bytes((0xc0 if records else 0x80,)).ljust(NODE - 14 - 106 - 128 - 8, b"\0")
    leaf = node(-1, 1, records) if records else bytes(NODE)
    return node(1, 0, [head, bytes(128), used]) + leaf


def uni(text):
    return struct.pack(">H", len(text)) + text.encode("utf-16-be")


def keyed(key, data):
    return struct.pack(">H", len(key)) + key + data + bytes(len(data) % 2)


class Writer:
    def __init__(self, path, size, files):
        self.size, self.files, self.path = size, files, path
        self.blocks = {}		# content by block
        self.used = set()
        self.extent_records = []
        self.next = 64

    def place(self, first, data):
        for i in range(0, len(data), BLOCK):
            self.blocks[first + i // BLOCK] = data[i:i + BLOCK].ljust(BLOCK, b"\0")

    def store(self, ident, kind, data, scattered):
        """A fork's blocks: in one run, or with a gap behind each."""
        nr = -(-len(data) // BLOCK)
        extents = []
        for i in range(nr):
            self.place(self.next, data[i * BLOCK:(i + 1) * BLOCK])
            if extents and not scattered:
                extents[-1] = (extents[-1][0], extents[-1][1] + 1)
            else:
                extents.append((self.next, 1))
            self.next += 2 if scattered else 1
        for i in range(8, len(extents), 8):
            first = sum(n for _, n in extents[:i])
            more = (extents[i:i + 8] + [(0, 0)] * 8)[:8]
            self.extent_records.append(((ident, kind, first), keyed(struct.pack(">BBII", kind, 0, ident, first),
                                                                    b"".join(struct.pack(">II", *e) for e in more))))
        return fork(len(data), extents)

    def catalog(self):
        date = 2082844800 + 1700000000
        rights = struct.pack(">IIBBHI", 0, 0, 0, 0, 0o40755, 1)
        folder = struct.pack(">HHIIIIIII", 1, 0, len(self.files), 2, date, date, date, date, 0) + rights + bytes(32) + bytes(8)
        records = [keyed(struct.pack(">I", 1) + uni("test"), folder),
                   keyed(struct.pack(">I", 2) + uni(""), struct.pack(">HHI", 3, 0, 1) + uni("test"))]
        threads = []
        for i, (name, content) in enumerate(sorted(self.files.items())):
            ident = 16 + i
            rights = struct.pack(">IIBBHI", 501, 20, 0, content.flags, 0o100644, 1)
            file = struct.pack(">HHIIIIIII", 2, 6 if content.attributes else 2, 0, ident, date, date, date, date, 0) + rights + bytes(40)
            file += self.store(ident, 0, content.data, False)
            file += self.store(ident, 0xff, content.resource, name.startswith("scattered"))
            records.append(keyed(struct.pack(">I", 2) + uni(name), file))
            threads.append(keyed(struct.pack(">I", ident) + uni(""), struct.pack(">HHI", 4, 0, 2) + uni(name)))
        return tree(records + threads, 516, 6, 0xcf)

    def attributes(self):
        records = []
        for i, (_, content) in enumerate(sorted(self.files.items())):
            for name, value in sorted(content.attributes.items()):
                key = struct.pack(">HII", 0, 16 + i, 0) + uni(name)
                records.append(keyed(key, struct.pack(">IIII", 0x10, 0, 0, len(value)) + value))
        return tree(records, 266, 6)

    def write(self):
        catalog, attributes = self.catalog(), self.attributes()
        extents = tree([r for _, r in sorted(self.extent_records)], 10, 2)
        places, at = [], 2
        for data in (extents, catalog, attributes):
            self.place(at, data)
            places.append(fork(len(data), [(at, len(data) // BLOCK)]))
            at += len(data) // BLOCK
        total = self.size // BLOCK
        used = set(self.blocks) | {0, 1, total - 1}
        bits = bytearray(BLOCK)
        for b in used:
            bits[b // 8] |= 0x80 >> b % 8
        self.blocks[1] = bytes(bits)
        head = struct.pack(">HHI4sIIIIIIIIIIIIIIIQ", 0x482b, 4, 0x100, b"10.0", 0, 3782844800, 3782844800, 0, 3782844800, len(self.files), 0,
                           BLOCK, total, total - len(used), self.next, 65536, 65536, 16 + len(self.files), 1, 1)
        head = (head + bytes(32) + fork(BLOCK, [(1, 1)]) + b"".join(places) + fork(0, [])).ljust(512, b"\0")
        with open(self.path, "wb") as f:
            f.truncate(self.size)
            for number, data in self.blocks.items():
                f.seek(number * BLOCK)
                f.write(data)
            for off in (1024, self.size - 1024):
                f.seek(off)
                f.write(head)


def make(path, files, size=16 << 20):
    """files: {name: Content}; a name that begins with "scattered" has its resource fork in pieces."""
    Writer(path, size, files).write()
