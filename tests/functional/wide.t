#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# A directory with so many members that their positions, and what hard links may refer to, go to a temporary file.
import base64
import json
import os
import struct
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import pxar_store as P
from faults import small_fs
from program import LIMITED, Pluck, Scratch
from tap import Tap

CHUNK = 1 << 20
NR = 300000	# members; 4 MiB of positions stay in memory: 262144


def archive():
    """Names n000000 and on. Hashes are not those of the names: nobody looks one up here."""
    stat = struct.pack("<QQIIqII", 0o40755, 0, 0, 0, 1700000000, 0, 0)
    entry = P.item(P.ENTRY, struct.pack("<QQIIqII", 0o100644, 0, 0, 0, 1700000000, 0, 0)) + P.item(P.PAYLOAD, b"")
    out = [P.item(P.ENTRY, stat)]
    size = len(out[0])
    first = P.item(P.FILENAME, b"n000000\0")
    length = len(first) + len(entry)
    start = size + NR * length
    out += [first[:16] + b"n%06d\0" % i + entry for i in range(NR)]
    # the order of the table is not that of the archive
    rows = b"".join(struct.pack("<QQQ", i, start - size - (i * 7919 % NR) * length, length) for i in range(NR))
    return b"".join(out) + P.item(P.GOODBYE, rows + struct.pack("<QQQ", P.TAIL, start, 16 + 24 * (NR + 1)))


def run(pluck, tmp, *args):
    return pluck.run(*args, env={**pluck.env, "TMPDIR": tmp})


def check_whole(tap, pluck, what, tmp, pxar, store):
    for name, args in (("pxar list", ["pxar", "list", pxar]), ("list", ["list", "--output-format", "jsonl", *store, "wide.pxar"])):
        r = run(pluck, tmp, *args)
        names = [line if name == "pxar list" else base64.b64decode(json.loads(line)["filepath"]).rsplit(b"/", 1)[-1] for line in r.out.splitlines()]
        tap.ok(r.code == 0 and names == [b"n%06d" % i for i in range(NR)],
               "%s: %s has all members in their order" % (what, name), r, names[:3])
    r = run(pluck, tmp, "list", *store, "wide.pxar")
    names = [line.split()[3] for line in r.out.splitlines()[3:-1]]
    tap.ok(r.code == 0 and names == [b"n%06d" % i for i in range(NR)], "%s: list as a table has all of them sorted" % what, r, names[:3], len(names))
    for name, args in (("pxar extract", ["pxar", "extract", pxar, "-"]), ("extract", ["extract", "--format", "tar", *store, "wide.pxar", "-"])):
        r = run(pluck, tmp, *args)
        tap.ok(r.code == 0 and r.out.count(b"ustar") == NR, "%s: %s has all files" % (what, name), r, r.out.count(b"ustar"))
    check_pxar(tap, pluck, what, tmp, store)


def check_pxar(tap, pluck, what, tmp, store):
    """An archive that pluck makes: its table finds each member, in the middle of the names and at both ends."""
    out = os.path.join(os.path.dirname(store[1]), "made.pxar")
    r = run(pluck, tmp, "extract", "--format", "pxar", *store, "wide.pxar", "-")
    tap.ok(r.code == 0, "%s: extract as pxar" % what, r)
    with open(out, "wb") as f:
        f.write(r.out)
    r = run(pluck, tmp, "pxar", "list", out)
    names = r.out.splitlines()
    tap.ok(r.code == 0 and names == [b"n%06d" % i for i in range(NR)], "%s: that one has all members in their order" % what, r, names[:3])
    for i in (0, 1, NR // 3, NR // 2, NR - 1):
        r = run(pluck, tmp, "pxar", "extract", out, "-", "n%06d" % i)
        tap.ok(r.code == 0 and r.out.count(b"ustar") == 1, "%s: n%06d is found in it" % (what, i), r)


def check_catalog(tap, pluck, path, data):
    """What the catalog says of such a directory; that of the archive differs in the size of files."""
    P.make_store(path)
    snap = P.Snapshot(path, "host", "h", 1700000000, "2023-11-14T22:13:20Z")
    tree = [P.Node(b"", P.DIR), *(P.Node(b"n%06d" % i, P.FILE, b"four") for i in range(NR)), None]
    snap.add_stream("wide.pxar.didx", data, chunk=CHUNK)
    snap.add_stream("catalog.pcat1.didx", P.catalog({"wide.pxar.didx": tree}), chunk=CHUNK)
    source = ["--repository", path, snap.finish()]
    r = pluck.run("list", *source, "wide.pxar")
    rows = [line.split() for line in r.out.splitlines()[3:-1]]
    tap.ok(r.code == 0 and [(w[3], w[8]) for w in rows] == [(b"n%06d" % i, b"4") for i in range(NR)], "list out of the catalog", r, rows[:2], len(rows))
    r = pluck.run("catalog", "dump", *source)
    names = [line.split(b'"')[1] for line in r.out.splitlines()]
    tap.ok(r.code == 0 and names == [b"./wide.pxar.didx", *(b"./wide.pxar.didx/n%06d" % i for i in range(NR))], "catalog dump", r, names[:2], len(names))


def check_verify(tap, pluck, what, tmp, store):
    """Each member whose payload lies in a chunk that is lost is named, in text and in JSON."""
    first = (CHUNK - 16) // 17
    want = ["n%06d" % i for i in range(first, NR)]
    r = run(pluck, tmp, "verify", *store)
    names = [line.split(b"'")[1] for line in r.out.splitlines() if line.startswith(b"    '")]
    tap.ok(r.code == 5 and [n.decode() for n in names] == want, "%s: verify names all that are hit" % what, r, names[:3], len(names))
    r = run(pluck, tmp, "verify", *store, "--output-format", "json")
    snapshot = json.loads(r.out)["snapshots"][0] if r.code == 5 else {"files": []}
    names = [p["text"] for f in snapshot["files"] for p in f["paths"]]
    tap.ok(names == want, "%s: and as JSON" % what, r, names[:3], len(names))


def split_store(path):
    """A split archive, whose members have one byte of payload each; of the payloads only the first chunk is there."""
    P.make_store(path)
    snap = P.Snapshot(path, "host", "h", 1700000000, "2023-11-14T22:13:20Z")
    stat = struct.pack("<QQIIqII", 0o100644, 0, 0, 0, 1700000000, 0, 0)
    head = P.item(P.VERSION, struct.pack("<Q", 2))
    root = P.item(P.ENTRY, struct.pack("<QQIIqII", 0o40755, 0, 0, 0, 1700000000, 0, 0))
    start, meta, rows = P.item(P.START, b""), [], []
    at, payload = len(head) + len(root), len(start)
    for i in range(NR):
        member = P.item(P.FILENAME, b"n%06d\0" % i) + P.item(P.ENTRY, stat) + P.item(P.REF, struct.pack("<QQ", payload, 1))
        meta.append(member)
        rows.append((i, at, len(member)))
        at += len(member)
        payload += 17
    table = b"".join(struct.pack("<QQQ", h, at - p, n) for h, p, n in rows)
    table += struct.pack("<QQQ", P.TAIL, at, 16 + 24 * (NR + 1))
    snap.add_stream("wide.mpxar.didx", head + root + b"".join(meta) + P.item(P.GOODBYE, table), chunk=1 << 20)
    payloads = start + P.item(P.PAYLOAD, b"x") * NR + P.item(P.STOP, b"")
    for digest in snap.add_stream("wide.ppxar.didx", payloads, chunk=CHUNK)[1:]:
        if os.path.exists(P.chunk_path(path, digest)):
            os.unlink(P.chunk_path(path, digest))
    return ["--repository", path, snap.finish()]


def large_store(path, tib):
    """An archive of one file of zeros, and a small one behind it: a chunk for each 4 MiB, all but two of them the same."""
    size, zeros = tib << 40, bytes(4 << 20)
    stat = struct.pack("<QQIIqII", 0o100644, 0, 0, 0, 1700000000, 0, 0)
    root = P.item(P.ENTRY, struct.pack("<QQIIqII", 0o40755, 0, 0, 0, 1700000000, 0, 0))
    head = P.item(P.FILENAME, b"large\0") + P.item(P.ENTRY, stat) + struct.pack("<QQ", P.PAYLOAD, 16 + size)
    small = P.item(P.FILENAME, b"small\0") + P.item(P.ENTRY, stat) + P.item(P.PAYLOAD, b"contents")
    end = len(root) + len(head) + size + len(small)
    large = P.siphash(b"large"), end - len(root), len(head) + size
    rows = sorted([large, (P.siphash(b"small"), len(small), len(small))])
    table = b"".join(struct.pack("<QQQ", *rows[i]) for i in (1, 0)) + struct.pack("<QQQ", P.TAIL, end, 16 + 72)
    P.make_store(path)
    snap = P.Snapshot(path, "host", "h", 1700000000, "2023-11-14T22:13:20Z")
    chunks = [(root + head, 1), (zeros, size // len(zeros)), (small + P.item(P.GOODBYE, table), 1)]
    at, entries = 0, []
    for data, nr in chunks:
        digest = bytes.fromhex(snap.add_chunk(data))
        entries += [struct.pack("<Q", at + (i + 1) * len(data)) + digest for i in range(nr)]
        at += nr * len(data)
    snap.add_index("large.pxar.didx", at, b"".join(entries))
    return ["--repository", path, snap.finish()], size


def check_large(tap, pluck, scratch, tmp):
    """An index too large for memory: it lies in a temporary file, too."""
    store, size = large_store(scratch.join("large"), 1)
    for what, at in (("with a temporary file", tmp), ("without one", "/nonexistent")):
        r = run(pluck, at, "list", "--output-format", "jsonl", *store, "large.pxar")
        rows = {base64.b64decode(v["filepath"]): v["size"] for v in map(json.loads, r.out.splitlines())}
        tap.ok(r.code == 0 and rows == {b"large.pxar.didx/large": size, b"large.pxar.didx/small": 8}, "%s: list of an archive of 1 TiB" % what, r, rows)
        r = run(pluck, at, "cat", *store, "large.pxar/small")
        tap.ok(r.code == 0 and r.out == b"contents", "%s: what lies behind the large file" % what, r)
    tiny = small_fs(scratch, "tiny-large", 1 << 20)
    if tiny is None:
        tap.skip("a full place for the index", "tmpfs cannot be mounted")
        return
    try:
        r = run(pluck, tiny, "cat", *store, "large.pxar/small")
        tap.ok(r.code == 0 and r.out == b"contents", "where the index finds no room it stays in memory", r)
    finally:
        subprocess.run(["umount", tiny], check=False)


def check_no_room(tap, pluck, scratch, pxar, store):
    tmp = small_fs(scratch, "tiny", 1 << 20)
    if tmp is None:
        tap.skip("a full place for temporary files", "tmpfs cannot be mounted")
        return
    try:
        for name, args in (("pxar list", ["pxar", "list", pxar]), ("list", ["list", "--output-format", "jsonl", *store, "wide.pxar"]),
                           ("list as a table", ["list", *store, "wide.pxar"]),
                           ("extract as pxar", ["extract", "--format", "pxar", *store, "wide.pxar", "-"]),
                           ("pxar extract to standard output", ["pxar", "extract", pxar, "-"]),
                           ("extract to standard output", ["extract", *store, "wide.pxar", "-"])):
            r = run(pluck, tmp, *args)
            tap.ok(r.code == 7 and b"temporary file" in r.err and b"No space left" in r.err, "%s: exit code 7, the reason" % name, r)
        tap.equal(os.listdir(tmp), [], "nothing is left there")
    finally:
        subprocess.run(["umount", tmp], check=False)


with Tap() as tap, Scratch() as scratch, Pluck(scratch, prefix=LIMITED) as pluck:
    data = archive()
    pxar = scratch.join("wide.pxar")
    with open(pxar, "wb") as f:
        f.write(data)
    path = scratch.join("store")
    P.make_store(path)
    snap = P.Snapshot(path, "host", "h", 1700000000, "2023-11-14T22:13:20Z")
    snap.add_stream("wide.pxar.didx", data, chunk=1 << 20)
    store = ["--repository", path, snap.finish()]
    tmp = scratch.new_dir("tmp")
    check_whole(tap, pluck, "with a temporary file", tmp, pxar, store)
    tap.equal(os.listdir(tmp), [], "no temporary file is left")
    check_whole(tap, pluck, "without one", "/nonexistent", pxar, store)
    check_no_room(tap, pluck, scratch, pxar, store)
    check_catalog(tap, pluck, scratch.join("catalog"), data)
    check_large(tap, pluck, scratch, tmp)
    split = split_store(scratch.join("split"))
    check_verify(tap, pluck, "with a temporary file", tmp, split)
    check_verify(tap, pluck, "without one", "/nonexistent", split)
