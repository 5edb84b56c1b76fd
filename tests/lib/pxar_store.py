# SPDX-License-Identifier: GPL-2.0-or-later
"""
Datastores with file archives, written without pluck's own code: pxar (unified and split), catalog, dynamic index, manifest.

A tree is a list of Node in archive order, the root first, the end of each directory marked by None.
"""

import hashlib
import json
import os
import random
import stat
import struct
import zlib

ENTRY, FILENAME, SYMLINK = 0xd5956474e588acef, 0x16701121063917b3, 0x27f971e7dbf5dc5f
XATTR, HARDLINK, PAYLOAD, REF = 0x0dab0229b57dcd03, 0x51269c8422bd7275, 0x28147a1b0b7c1a25, 0x419d3d6bc4ba977e
DEVICE = 0x9fc9e906586d5ce9
GOODBYE, TAIL = 0x2fec4fa642d5731d, 0xef5eed5b753e1555
VERSION, START, STOP = 0x730f6c75df16a40d, 0x834c68c2194a4ed2, 0x6c72b78b984c81b5
M64 = (1 << 64) - 1


class Node:
    def __init__(self, name, mode, data=b"", target=None, link=None, mtime=(1700000000, 5), xattrs=None, owner=None, flags=0, rdev=(1, 3),
                 items=()):
        self.name, self.mode, self.data, self.target, self.link = name, mode, data, target, link
        self.mtime, self.xattrs, self.owner, self.flags, self.rdev = mtime, xattrs or {}, owner, flags, rdev
        self.items = items  # further attributes: (type, content)


def siphash(data):
    def rotl(x, n):
        return (x << n | x >> (64 - n)) & M64

    k0, k1 = 0x83ac3f1cfbb450db, 0xaa4f1b6879369fbd
    v = [k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573]

    def turn(n):
        for _ in range(n):
            v[0] = (v[0] + v[1]) & M64
            v[1] = rotl(v[1], 13) ^ v[0]
            v[0] = rotl(v[0], 32)
            v[2] = (v[2] + v[3]) & M64
            v[3] = rotl(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & M64
            v[3] = rotl(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & M64
            v[1] = rotl(v[1], 17) ^ v[2]
            v[2] = rotl(v[2], 32)

    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) & 255])
    for (word,) in struct.iter_unpack("<Q", padded):
        v[3] ^= word
        turn(2)
        v[0] ^= word
    v[2] ^= 255
    turn(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def item(kind, content):
    return struct.pack("<QQ", kind, 16 + len(content)) + content


def place(rows):
    """Sorted rows in the order of the search tree."""
    out = [None] * len(rows)

    def rec(count, base, e, i):
        p = 1 << e
        t = p + p // 2 - 1
        m = p - 1 if count > t else p - 1 - (t - count)
        out[i] = rows[base + m]
        if m:
            rec(m, base, e - 1, 2 * i + 1)
        if m + 1 < count:
            rec(count - m - 1, base + m + 1, e - 1, 2 * i + 2)

    if rows:
        rec(len(rows), 0, len(rows).bit_length() - 1, 0)
    return out


def encode(tree, split=False):
    """Return: (archive, None) or (metadata stream, payload stream)."""
    out = bytearray(item(VERSION, struct.pack("<Q", 2)) if split else b"")
    payload = bytearray(item(START, b""))
    stack, where, path = [], {}, []
    for node in tree:
        if node is None:
            entry_pos, rows, name_pos = stack.pop()
            start = len(out)
            table = b"".join(struct.pack("<QQQ", h, start - pos, size) for h, pos, size in place(sorted(rows)))
            size = 16 + len(table) + 24
            out += item(GOODBYE, table + struct.pack("<QQQ", TAIL, start - (entry_pos if stack else 0), size))
            if stack:
                stack[-1][1].append((siphash(path.pop()), name_pos, len(out) - name_pos))
            continue
        pos = len(out)
        if stack:
            out += item(FILENAME, node.name + b"\0")
        if node.link is not None:
            out += item(HARDLINK, struct.pack("<Q", pos - where[node.link]) + node.link + b"\0")
        else:
            where[b"/".join(path + [node.name])] = pos
            entry_pos = len(out)
            out += item(ENTRY, struct.pack("<QQIIqII", node.mode, node.flags, *(node.owner or (os.geteuid(), os.getegid())), *node.mtime, 0))
            for key, value in node.xattrs.items():
                out += item(XATTR, key + b"\0" + value)
            for kind, content in node.items:
                out += item(kind, content)
        if stat.S_ISLNK(node.mode):
            out += item(SYMLINK, node.target + b"\0")
        if stat.S_ISCHR(node.mode) or stat.S_ISBLK(node.mode):
            out += item(DEVICE, struct.pack("<QQ", *node.rdev))
        if node.link is not None:
            pass
        elif stat.S_ISREG(node.mode) and split:
            out += item(REF, struct.pack("<QQ", len(payload), len(node.data)))
            payload += item(PAYLOAD, node.data)
        elif stat.S_ISREG(node.mode):
            out += item(PAYLOAD, node.data)
        if stat.S_ISDIR(node.mode):
            path += [node.name] if stack else []
            stack.append((entry_pos, [], pos))
        else:
            stack[-1][1].append((siphash(node.name), pos, len(out) - pos))
    return bytes(out), bytes(payload + item(STOP, b"")) if split else None


def varint(v):
    out = bytearray()
    while v > 127:
        out.append(v & 127 | 128)
        v >>= 7
    return bytes(out + bytes([v]))


def varint_signed(v):
    if v >= 0:
        return varint(v)
    return bytes(b | 128 for b in varint(-v)) + b"\0"


def catalog(archives):
    """archives: {stored name: tree}."""
    out = bytearray(bytes.fromhex("91fd60f9c46758d5"))

    def block(entries):
        pos = len(out)
        table = varint(len(entries)) + b"".join(
            kind + varint(len(name)) + name + (varint(pos - extra) if kind == b"d" else extra) for kind, name, extra in entries)
        out.extend(varint(len(table)) + table)
        return pos

    def directory(nodes):
        entries = []
        for node in nodes:
            if node is None:
                break
            if stat.S_ISDIR(node.mode):
                entries.append((b"d", node.name, directory(nodes)))
            elif node.link is not None:
                entries.append((b"h", node.name, b""))
            elif stat.S_ISREG(node.mode):
                entries.append((b"f", node.name, varint(len(node.data)) + varint_signed(node.mtime[0])))
            else:
                entries.append((b"l" if stat.S_ISLNK(node.mode) else b"p", node.name, b""))
        return block(entries)

    root = []
    for name, tree in archives.items():
        nodes = iter(tree)
        next(nodes)
        root.append((b"d", name.encode(), directory(nodes)))
    pos = block(root)
    return bytes(out) + struct.pack("<Q", pos)


DIR, FILE, LINK = stat.S_IFDIR | 0o755, stat.S_IFREG | 0o640, stat.S_IFLNK | 0o777
BIG = random.Random(7).randbytes(300000)
CHUNK = 65536
NOISE = random.Random(3).randbytes
# Data, zeros, data that begins with zeros, a last chunk that is short.
IMAGE = NOISE(2 * CHUNK) + bytes(4 * CHUNK) + bytes(8192) + NOISE(CHUNK - 8192) + NOISE(CHUNK) + NOISE(1000)
BLOB, LOG = b"cores: 2\nname: x\n" * 50, b"INFO: done\n"


def sample_tree():
    return [
        Node(b"", DIR, mtime=(1600000000, 1)),
        Node(b"big", FILE, BIG, mtime=(-1, 750000000)),
        Node(b"dir", stat.S_IFDIR | 0o750, mtime=(1500000000, 999999999)),
        Node(b"a", FILE, b"contents of a", xattrs={b"user.k": b"v\0w"}),
        Node(b"b", FILE, link=b"dir/a"),
        Node(b"sub", DIR), Node(b"deep", FILE, b"deep"), Node(b"up", FILE, link=b"dir/a"), None,
        Node(b"sym", LINK, target=b"../nowhere"),
        None,
        Node(b"empty", DIR), None,
        Node(b"hard", FILE, link=b"dir/a"),
        Node(b"hard2", FILE, link=b"dir/a"),
        Node(b"n\xffame\n", FILE, b"odd"),
        Node(b"pipe", stat.S_IFIFO | 0o600),
        None,
    ]


def paths_of(tree):
    """{path: node} without the root."""
    found, path = {}, []
    for node in tree[1:]:
        if node is None:
            path = path[:-1]
            continue
        found[b"/".join(path + [node.name])] = node
        if stat.S_ISDIR(node.mode):
            path = path + [node.name]
    return found


def check_tree(tap, what, r, top, want, root=None):
    """@want: {path below top: node}; a hard link's node has .link as a path below top."""
    bad, inodes = [], {}
    seen = {os.path.relpath(os.path.join(d, n), os.fsencode(top)) for d, dirs, files in os.walk(os.fsencode(top)) for n in dirs + files}
    for path, node in want.items():
        try:
            st = os.lstat(os.path.join(os.fsencode(top), path))
        except FileNotFoundError:
            bad.append((path, "missing"))
            continue
        inodes[path] = st.st_ino
        of = want.get(node.link, node) if node.link is not None else node
        if node.link is not None and node.link in want and inodes.get(node.link) != st.st_ino:
            bad.append((path, "not linked"))
        if node.link is not None and node.link not in want:
            continue
        if (stat.S_IFMT(st.st_mode), st.st_mtime_ns) != (stat.S_IFMT(of.mode), of.mtime[0] * 10**9 + of.mtime[1]):
            bad.append((path, oct(st.st_mode), st.st_mtime_ns))
        if not stat.S_ISLNK(of.mode) and stat.S_IMODE(st.st_mode) != stat.S_IMODE(of.mode):
            bad.append((path, oct(st.st_mode)))
        full = os.path.join(os.fsencode(top), path)
        if stat.S_ISREG(of.mode) and open(full, "rb").read() != of.data:
            bad.append((path, "contents"))
        if stat.S_ISLNK(of.mode) and os.readlink(full) != of.target:
            bad.append((path, "target"))
    if root is not None and os.stat(top).st_mtime_ns != root.mtime[0] * 10**9 + root.mtime[1]:
        bad.append(("the target itself", os.stat(top).st_mtime_ns))
    tap.ok(r.code == 0 and not bad and seen == set(want), what, r, *bad, *(seen ^ set(want)))


def make_store(path):
    """An empty store; chunk directories come with their chunks."""
    os.makedirs(os.path.join(path, ".chunks"))
    with open(os.path.join(path, ".lock"), "wb"):
        pass


def write_blob(path, data):
    with open(path, "wb") as f:
        f.write(bytes.fromhex("42ab3807be8370a1") + struct.pack("<I", zlib.crc32(data)) + data)


def chunk_path(store, digest):
    return os.path.join(store, ".chunks", digest[:4], digest)


class Snapshot:
    """Adds files to a snapshot directory of an existing store; finish() writes the manifest."""

    def __init__(self, store, kind, ident, when, text):
        self.store, self.kind, self.ident, self.when = store, kind, ident, when
        self.name = "%s/%s/%s" % (kind, ident, text)
        self.dir = os.path.join(store, self.name)
        os.makedirs(self.dir)
        self.files, self.chunks = [], {}

    def add_chunk(self, piece):
        digest = hashlib.sha256(piece).hexdigest()
        path = chunk_path(self.store, digest)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write_blob(path, piece)
        return digest

    def add_stream(self, name, data, chunk=4096):
        """Return: digests of the chunks."""
        entries, digests = b"", []
        for at in range(0, len(data), chunk):
            piece = data[at:at + chunk]
            digests.append(self.add_chunk(piece))
            entries += struct.pack("<Q", at + len(piece)) + bytes.fromhex(digests[-1])
        self.add_index(name, len(data), entries)
        return digests

    def add_index(self, name, size, entries):
        """@entries: ends and digests of chunks that are there."""
        head = bytes.fromhex("1c914ea519bab3cd") + bytes(16) + struct.pack("<q", self.when) + hashlib.sha256(entries).digest()
        with open(os.path.join(self.dir, name), "wb") as f:
            f.write(head.ljust(4096, b"\0") + entries)
        self.files.append({"crypt-mode": "none", "csum": hashlib.sha256(entries).hexdigest(), "filename": name, "size": size})

    def add_image(self, name, data, chunk=65536, times=1):
        """@times: the data so often behind each other, then it must fill its chunks. Return: digests of the chunks."""
        digests = [self.add_chunk(data[at:at + chunk]) for at in range(0, len(data), chunk)] * times
        entries = b"".join(bytes.fromhex(d) for d in digests)
        head = bytes.fromhex("2f7f41ed91fd0fcd") + bytes(16) + struct.pack("<q", self.when) + hashlib.sha256(entries).digest()
        with open(os.path.join(self.dir, name), "wb") as f:
            f.write((head + struct.pack("<QQ", len(data) * times, chunk)).ljust(4096, b"\0") + entries)
        self.files.append({"crypt-mode": "none", "csum": hashlib.sha256(entries).hexdigest(), "filename": name, "size": len(data) * times})
        return digests

    def add_blob(self, name, data, listed=True):
        path = os.path.join(self.dir, name)
        write_blob(path, data)
        with open(path, "rb") as f:
            raw = f.read()
        if listed:
            self.files.append({"crypt-mode": "none", "csum": hashlib.sha256(raw).hexdigest(), "filename": name, "size": len(raw)})

    def finish(self, **unprotected):
        manifest = {"backup-id": self.ident, "backup-time": self.when, "backup-type": self.kind, "files": self.files,
                    "signature": None, "unprotected": unprotected}
        write_blob(os.path.join(self.dir, "index.json.blob"), json.dumps(manifest).encode())
        return self.name


class SampleStore:
    """One snapshot with an image, archives of both forms, a catalog, and small files."""

    def __init__(self, scratch):
        self.store, self.tree = scratch.join("store"), sample_tree()
        make_store(self.store)
        snap = Snapshot(self.store, "host", "h", 1700000000, "2023-11-14T22:13:20Z")
        self.raw = {"disk.img.fidx": IMAGE, "one.pxar.didx": encode(self.tree)[0], "catalog.pcat1.didx": catalog({"one.pxar.didx": self.tree})}
        self.raw["two.mpxar.didx"], self.raw["two.ppxar.didx"] = encode(self.tree, split=True)
        self.raw["empty.conf.blob"], self.raw["vm.conf.blob"], self.raw["client.log.blob"] = b"", BLOB, LOG
        self.digests = {}
        for name, data in self.raw.items():
            if name.endswith(".fidx"):
                self.digests[name] = snap.add_image(name, data)
            elif name.endswith(".didx"):
                self.digests[name] = snap.add_stream(name, data)
            else:
                snap.add_blob(name, data, listed=name != "client.log.blob")
        self.snapshot = snap.finish(notes="n")
        self.source = ["--repository", self.store, self.snapshot]
        with open(os.path.join(snap.dir, "index.json.blob"), "rb") as f:
            self.raw["index.json.blob"] = f.read()[12:]

    def chunk(self, name, i):
        return chunk_path(self.store, self.digests[name][i])
