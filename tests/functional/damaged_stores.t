#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Damaged datastores, a case for each rule of the format: the exact exit code, what is named, and that nothing false comes out.
import contextlib
import hashlib
import json
import os
import random
import shutil
import stat
import struct
import subprocess
import sys
import zlib

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import pxar_store as P
from program import LIMITED, Pluck, Scratch
from tap import Tap, test_data

PLAIN, ZSTD = bytes.fromhex("42ab3807be8370a1"), bytes.fromhex("31b958426fb6a37f")
SEALED, SEALED_ZSTD = bytes.fromhex("7b6785be222d4cf0"), bytes.fromhex("e6591bbf0bbfd80b")
DATA = random.Random(3).randbytes(100000)
TREE = [P.Node(b"", stat.S_IFDIR | 0o755), P.Node(b"big", stat.S_IFREG | 0o644, DATA), P.Node(b"small", stat.S_IFREG | 0o644, b"all of it"), None]
FIRST, SECOND = 1700000000, 1700000001
MIDDLE = 12		# a chunk within big


def put(path, data):
    with open(path, "wb") as f:
        f.write(data)


def get(path):
    with open(path, "rb") as f:
        return f.read()


def blob(magic, data, crc=None, more=b""):
    return magic + struct.pack("<I", zlib.crc32(data) if crc is None else crc) + more + data


def zstd(data):
    return subprocess.run(["zstd", "-cq", "-3", "--no-check"], input=data, stdout=subprocess.PIPE, check=True).stdout


BOMB = zstd(bytes(1 << 30))


@contextlib.contextmanager
def kept(*paths):
    """What is changed of these is put back."""
    for path in paths:
        os.rename(path, path + ".kept")
        shutil.copy(path + ".kept", path)
    try:
        yield
    finally:
        for path in paths:
            if os.path.isdir(path) and not os.path.islink(path):
                os.rmdir(path)
            elif os.path.lexists(path):
                os.unlink(path)
            os.rename(path + ".kept", path)


class Case:
    """One store with two snapshots of the same tree in different archives."""

    def __init__(self, scratch):
        self.store = scratch.join("store")
        P.make_store(self.store)
        snap = P.Snapshot(self.store, "host", "h", FIRST, "2023-11-14T22:13:20Z")
        self.digests = snap.add_stream("one.pxar.didx", P.encode(TREE)[0])
        self.name, self.dir = snap.finish(), snap.dir
        snap = P.Snapshot(self.store, "host", "h", SECOND, "2023-11-14T22:13:21Z")
        snap.add_stream("one.pxar.didx", P.encode(TREE[:1] + TREE[2:])[0])
        self.other, self.other_dir = snap.finish(), snap.dir
        self.index, self.manifest = os.path.join(self.dir, "one.pxar.didx"), os.path.join(self.dir, "index.json.blob")

    def chunk(self, i):
        return os.path.join(self.store, ".chunks", self.digests[i][:4], self.digests[i])


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


def chunk_cases(c):
    """[what, new contents of a chunk file or a function that makes it, words]"""
    good = get(c.chunk(MIDDLE))
    data = good[12:]
    packed = zstd(data)
    return [
        ("a byte flipped", flipped(good, 2000), "wrong CRC"), ("its CRC flipped", flipped(good, 9), "wrong CRC"),
        ("a byte flipped, its CRC made right", blob(PLAIN, flipped(data, 2000)), "do not have this digest"),
        ("missing", None, "is missing"), ("empty", b"", "is missing"),
        ("in the place of another", get(c.chunk(MIDDLE + 1)), "do not have this digest"),
        ("shorter", blob(PLAIN, data[:-1]), "holds 4095 bytes instead of 4096"), ("longer", blob(PLAIN, data + b"x"), "4097 bytes instead of 4096"),
        ("compressed, a byte flipped, its CRC made right", blob(ZSTD, flipped(packed, len(packed) // 2)), "is damaged"),
        ("compressed and cut, its CRC made right", blob(ZSTD, packed[:-5]), "is damaged"),
        ("compressed, with bytes behind it", blob(ZSTD, packed + b"more"), "is damaged"),
        ("of 1 GiB, compressed to %d bytes" % len(BOMB), blob(ZSTD, BOMB), "more"),
        ("cut within its header", good[:11], "too short"), ("nothing but a header", good[:12], "wrong CRC"),
        ("of an unknown kind", blob(b"\0" * 8, data), "magic"),
        ("encrypted", blob(SEALED, data, more=bytes(32)), "is encrypted, but its index says that it must not be"),
        ("encrypted and compressed", blob(SEALED_ZSTD, data, more=bytes(32)), "is encrypted, but"),
        ("encrypted and cut", SEALED + bytes(20), "is damaged"),
        ("larger than any chunk", blob(PLAIN, bytes(17 << 20)), "larger than any chunk"),
        ("a symlink to itself elsewhere", lambda p: os.symlink(p + ".kept", p), "is damaged"),
        ("a directory", os.mkdir, "no regular file"), ("a pipe", os.mkfifo, "no regular file")]


def check_chunks(tap, pluck, scratch, c):
    source = ["--repository", c.store, c.name]
    lost = c.digests[MIDDLE]
    for what, new, words in chunk_cases(c):
        path, out = c.chunk(MIDDLE), scratch.new_dir("out")
        with kept(path):
            os.unlink(path)
            if callable(new):
                new(path)
            elif new is not None:
                put(path, new)
            r = pluck.run("extract", *source, "one", out)
            there = sorted(os.listdir(out))
            tap.ok(r.code == 5 and lost in r.text and words in r.text and there == ["small"],
                   "a chunk %s: extract gives all but its file, exit code 5" % what, r, there)
            r = pluck.run("extract", *source, "one/big", "-")
            tap.ok(r.code == 5 and lost in r.text and DATA.startswith(r.out) and len(r.out) < len(DATA),
                   "a chunk %s: to standard output nothing false comes" % what, r, len(r.out))
            r = pluck.run("list", *source, "one")
            tap.ok(r.code == 0 and b"big" in r.out and b"small" in r.out, "a chunk %s: list does not need it" % what, r)
            check_raw(tap, pluck, source, what, lost)
    with kept(c.chunk(MIDDLE), c.chunk(MIDDLE + 1)):
        a, b = get(c.chunk(MIDDLE)), get(c.chunk(MIDDLE + 1))
        put(c.chunk(MIDDLE), b)
        put(c.chunk(MIDDLE + 1), a)
        r = pluck.run("extract", *source, "one", scratch.new_dir("out"))
        tap.ok(r.code == 5 and "do not have this digest" in r.text, "two chunks swapped: exit code 5", r)
    r = pluck.run("extract", *source, "one/big", "-")
    tap.ok(r.code == 0 and r.out == DATA, "all is good again", r)


def check_raw(tap, pluck, source, what, lost):
    if not HAS_RESTORE:
        return
    r = pluck.run("restore", *source, "--raw", "one.pxar.didx", "-")
    whole = P.encode(TREE)[0]
    tap.ok(r.code == 5 and lost in r.text and whole.startswith(r.out) and len(r.out) < len(whole),
           "a chunk %s: restore --raw ends with exit code 5" % what, r, len(r.out))


def index_cases(c):
    good = get(c.index)
    head, rows = good[:4096], [good[i:i + 40] for i in range(4096, len(good), 40)]

    def ends(*new):
        """The index with other ends in its first rows."""
        return head + b"".join(struct.pack("<Q", e) + row[8:] for e, row in zip(new, rows)) + b"".join(rows[len(new):])

    return [
        ("of no bytes", b"", "shorter than its header"), ("cut in its header", good[:4095], "shorter than its header"),
        ("cut within an entry", good[:-1], "bytes of entries"), ("cut by an entry", good[:-40], "wrong checksum"),
        ("cut to its header", good[:4096], ""), ("with an entry more", good + good[-40:], "chunk"),
        ("with another magic", b"\0" + good[1:], "magic"), ("with the magic of the other kind", bytes.fromhex("2f7f41ed91fd0fcd") + good[8:], "magic"),
        ("unsorted", ends(8192, 4096), "chunk 1 goes from 8192 to 4096"), ("with an empty chunk", ends(4096, 4096), "chunk 1 goes from 4096 to 4096"),
        ("that begins with an empty chunk", ends(0), "chunk 0 goes from 0 to 0"),
        ("with a chunk of more than 16 MiB", ends((16 << 20) + 1), "chunk 0 goes from 0 to 16777217"),
        ("with an end beyond all numbers", ends((1 << 64) - 1), "chunk 0 goes from 0 to 18446744073709551615"),
        ("with a negative end", ends(4096, 1 << 63), "chunk 1 goes from 4096"),
        ("with another digest", good[:4200] + bytes([good[4200] ^ 1]) + good[4201:], "wrong checksum"),
        ("with two entries swapped", head + ends(4096, 8192)[4096:4104] + rows[1][8:] + rows[1][:8] + rows[0][8:] + b"".join(rows[2:]), "wrong checksum")]


def check_indexes(tap, pluck, scratch, c):
    source = ["--repository", c.store, c.name]
    for what, new, words in index_cases(c):
        with kept(c.index):
            put(c.index, new)
            out = scratch.new_dir("out")
            for r in (pluck.run("list", *source, "one"), pluck.run("extract", *source, "one", out), pluck.run("stat", *source, "one/small")):
                tap.ok(r.code == 5 and "one.pxar.didx" in r.text and words in r.text and not r.out and not os.listdir(out),
                       "an index %s: %s ends with exit code 5" % (what, r.args[0]), r)
    with kept(c.index):	# its own checksum is nobody's business: the manifest's counts
        put(c.index, get(c.index)[:32] + bytes(32) + get(c.index)[64:])
        r = pluck.run("extract", *source, "one/big", "-")
        tap.ok(r.code == 0 and r.out == DATA, "the checksum in the index itself is not what is trusted", r)
    with kept(c.index):
        os.unlink(c.index)
        r = pluck.run("list", *source, "one")
        tap.ok(r.code in (3, 5) and "one.pxar.didx" in r.text, "an index that is missing is named", r)


def manifest_of(c):
    return json.loads(get(c.manifest)[12:])


def manifest_cases(c):
    m = manifest_of(c)
    f = m["files"][0]

    def with_(**new):
        return json.dumps(dict(m, **new)).encode()

    def file(**new):
        return with_(files=[{k: v for k, v in dict(f, **new).items() if v is not None}])

    return [
        ("whose file has another checksum", file(csum="0" * 64), "wrong checksum for file 'one.pxar.didx'"),
        ("whose file has another size", file(size=f["size"] + 1), "wrong size for file 'one.pxar.didx'"),
        ("whose checksum is none", file(csum="zz"), "bad csum of 'one.pxar.didx'"), ("with a negative size", file(size=-1), "bad size"),
        ("with a size of text", file(size="1"), "bad size"), ("with an unknown crypt mode", file(**{"crypt-mode": "rot13"}), "bad crypt-mode"),
        ("with a file that leaves the directory", file(filename="../one.pxar.didx"), "bad file name"),
        ("with a hidden file", file(filename=".one.pxar.didx"), "bad file name"),
        ("with a file twice", with_(files=[f, f]), "comes twice"), ("without files", with_(files=None), "list of files"),
        ("of another time", with_(**{"backup-time": SECOND}), "manifest is that of another snapshot, host/h/2023-11-14T22:13:21Z"),
        ("of another group", with_(**{"backup-id": "other"}), "another snapshot, host/other"),
        ("of another type", with_(**{"backup-type": "ct"}), "another snapshot, ct/h"), ("of no type", with_(**{"backup-type": "x"}), "bad backup-type"),
        ("with a broken signature", with_(signature="abc"), "malformed signature"), ("that is no JSON", b"{", "not a JSON object"),
        ("that is a list", b"[]", "not a JSON object"), ("with bytes behind it", with_() + b"{}", "not a JSON object"),
        ("of deep nesting", b"[" * 100000, "not a JSON object"), ("that is not UTF-8", with_().replace(b'"h"', b'"\xff"'), "not a JSON object"),
        ("with a key twice", with_()[:-1] + b', "files": []}', "not a JSON object")]


def check_manifests(tap, pluck, c):
    source = ["--repository", c.store, c.name]

    def refused(what, words):
        for command, place in (("list", "/"), ("list", "one"), ("extract", "one/big")):
            r = pluck.run(command, *source, place, *["-"] * (command == "extract"))
            tap.ok(r.code == 5 and words in r.text and not r.out, "a manifest %s: %s %s ends with exit code 5" % (what, command, place), r)

    for what, new, words in manifest_cases(c):
        with kept(c.manifest):
            P.write_blob(c.manifest, new)
            if "for file" in words:	# told when the file is opened
                r = pluck.run("extract", *source, "one/big", "-")
                tap.ok(r.code == 5 and words in r.text and not r.out, "a manifest %s: extract ends with exit code 5" % what, r)
            else:
                refused(what, words)
    good = get(c.manifest)
    for what, new, words in (("with a byte flipped", flipped(good, 40), "wrong CRC"), ("cut", good[:-1], "wrong CRC"), ("of no bytes", b"", "too short"),
                             ("that is encrypted", blob(SEALED, b"x" * 50, more=bytes(32)), "is encrypted"),
                             ("of 1 GiB, compressed", blob(ZSTD, BOMB), "holds more than")):
        with kept(c.manifest):
            put(c.manifest, new)
            refused(what, words)
    with kept(c.manifest, os.path.join(c.other_dir, "index.json.blob")):
        put(c.manifest, get(os.path.join(c.other_dir, "index.json.blob")))
        refused("of the next snapshot in its place", "another snapshot")
    with kept(c.manifest, c.index):
        put(c.index, get(os.path.join(c.other_dir, "one.pxar.didx")))
        r = pluck.run("list", *source, "one")
        tap.ok(r.code == 5 and "wrong checksum" in r.text, "the index of the next snapshot in its place: exit code 5", r)
    with kept(c.manifest):
        os.unlink(c.manifest)
        r = pluck.run("list", *source, "one")
        tap.ok(r.code == 3 and "not finished" in r.text, "no manifest: not finished, exit code 3", r)


def check_blobs(tap, pluck, c):
    """A file that is one blob, read with restore."""
    text = b"some configuration\n"
    path = os.path.join(c.dir, "pct.conf.blob")
    P.write_blob(path, text)
    m = manifest_of(c)
    with kept(c.manifest, path):
        good = get(path)
        m["files"].append({"filename": "pct.conf.blob", "crypt-mode": "none", "size": len(good), "csum": hashlib.sha256(good).hexdigest()})
        P.write_blob(c.manifest, json.dumps(m).encode())
        ask = ["restore", "--repository", c.store, c.name, "pct.conf.blob", "-"]
        r = pluck.run(*ask)
        tap.ok(r.code == 0 and r.out == text, "a blob", r)
        for what, new, words in (("cut", good[:-1], "wrong size"), ("changed, its CRC made right", blob(PLAIN, b"S" + text[1:]), "wrong checksum"),
                                 ("changed", flipped(good, 14), "pct.conf.blob"), ("empty", b"", "pct.conf.blob"),
                                 ("encrypted", blob(SEALED, text, more=bytes(32)), "pct.conf.blob")):
            put(path, new)
            r = pluck.run(*ask)
            tap.ok(r.code == 5 and words in r.text and not r.out, "a blob %s: exit code 5" % what, r)


def check_sealed(tap, pluck, scratch):
    """Encrypted and signed: what the key protects."""
    image, store, key = scratch.join("disk.img"), scratch.join("sealed"), scratch.join("key.json")
    put(image, DATA + bytes((8 << 20) - len(DATA)))
    env = dict(pluck.env, PBS_ENCRYPTION_PASSWORD="some words")
    made = [pluck.run("key", "create", key, "--kdf", "none"), pluck.run("datastore", "create", store)]
    for when in "2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z":
        made.append(pluck.run("backup", "--repository", store, "--backup-id", "1", "--backup-time", when, "--keyfile", key, "drive-a.img:" + image))
    tap.equal([r.code for r in made], [0] * 4, "an encrypted store of our own", *made)
    where = [os.path.join(store, "vm/1", t) for t in ("2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z")]
    manifest, index = os.path.join(where[0], "index.json.blob"), os.path.join(where[0], "drive-a.img.fidx")
    ask = ["list", "--repository", store, "--keyfile", key, "vm/1/2024-01-01T00:00:00Z", "/"]
    r = pluck.run(*ask)
    tap.ok(r.code == 0 and b"drive-a" in r.out and not r.err, "it opens", r)
    text = unpack(get(manifest))
    m = json.loads(text)

    def with_(**new):
        return json.dumps({k: v for k, v in dict(m, **new).items() if v is not ...}).encode()

    plain = [dict(f, **{"crypt-mode": "none"}) for f in m["files"]]
    for what, new, code, words in (
            ("with another size", with_(files=[dict(m["files"][0], size=4096)]), 5, "wrong signature"),
            ("that says its files are not encrypted", with_(files=plain), 5, "wrong signature"),
            ("with another signature", with_(signature="00" * 32), 5, "wrong signature"),
            ("unsigned though encrypted", with_(signature=None), 5, "no signature"),
            ("without a signature at all", with_(signature=...), 5, "no signature"),
            ("of another key", with_(unprotected={"key-fingerprint": ":".join(["00"] * 32)}), 4, "wrong key"),
            ("with other notes, which nothing protects", with_(unprotected=dict(m["unprotected"], notes="x")), 0, "")):
        with kept(manifest):
            P.write_blob(manifest, new)
            r = pluck.run(*ask)
            tap.ok(r.code == code and words in r.text and (not code or not r.out), "a signed manifest %s: exit code %d" % (what, code), r)
    with kept(manifest):	# stripped of all that would show it
        P.write_blob(manifest, with_(files=plain, signature=None, unprotected={}))
        r = pluck.run(*ask, env=env)
        tap.ok(r.code == 0 and "NOT SIGNED" in r.text, "stripped of everything: a loud warning", r)
        r = pluck.run(*ask, "--require-signature")
        tap.ok(r.code == 4 and not r.out, "and refused with --require-signature: exit code 4", r)
    with kept(manifest, index):
        for name in "index.json.blob", "drive-a.img.fidx":
            put(os.path.join(where[0], name), get(os.path.join(where[1], name)))
        r = pluck.run(*ask)
        tap.ok(r.code == 5 and "another snapshot" in r.text, "a signed manifest of the next snapshot: exit code 5", r)
    check_sealed_chunk(tap, pluck, store, key, get(index))


def unpack(data):
    return subprocess.run(["zstd", "-dcq"], input=data[12:], stdout=subprocess.PIPE, check=True).stdout if data[:8] == ZSTD else data[12:]


def check_sealed_chunk(tap, pluck, store, key, index):
    """A chunk that is not encrypted, in an encrypted snapshot."""
    if not HAS_RESTORE:
        tap.skip("chunks of an encrypted snapshot", "there is no restore")
        return
    digest = index[4096:4128].hex()
    path = os.path.join(store, ".chunks", digest[:4], digest)
    ask = ["restore", "--repository", store, "--keyfile", key, "vm/1/2024-01-01T00:00:00Z", "drive-a.img.fidx", "-"]
    r = pluck.run(*ask)
    tap.ok(r.code == 0 and r.out[:len(DATA)] == DATA, "an encrypted image", r.code, r.text)
    chunk = DATA + bytes((4 << 20) - len(DATA))
    good = get(path)
    for what, new, words in (
            ("plain", blob(PLAIN, chunk), "is not encrypted, but its index says that it must be"),
            ("plain and compressed", blob(ZSTD, zstd(chunk)), "is not encrypted, but"),
            ("with another byte and a right CRC", good[:8] + struct.pack("<I", zlib.crc32(flipped(good, 60)[44:])) + flipped(good, 60)[12:], "does not decrypt"),
            ("with another tag", flipped(good, 30), "does not decrypt"), ("with another IV", flipped(good, 13), "does not decrypt"),
            ("of the other kind", (SEALED if good[:8] == SEALED_ZSTD else SEALED_ZSTD) + good[8:], "is damaged")):
        with kept(path):
            put(path, new)
            r = pluck.run(*ask)
            tap.ok(r.code == 5 and digest in r.text and words in r.text and not r.out, "a chunk %s in an encrypted snapshot: exit code 5" % what, r.code, r.text)


def check_golden(tap, pluck, scratch, golden):
    """A plain chunk in an encrypted archive of the official tools, and a manifest of another snapshot that has a good signature."""
    with subprocess.Popen(["zstd", "-dcq", "--long=27", os.path.join(golden, "stores/encrypted.tar.zst")], stdout=subprocess.PIPE) as z:
        subprocess.run(["tar", "-x", "-C", scratch.path, "--no-same-owner"], stdin=z.stdout, check=True)
    store = scratch.join("encrypted")
    where = os.path.join(store, "host/scrypt")
    times = sorted(t for t in os.listdir(where) if t.startswith("2"))
    env = dict(pluck.env, PBS_ENCRYPTION_PASSWORD="golden pass")
    ask = ["--repository", store, "--keyfile", os.path.join(golden, "keys/scrypt.json"), "host/scrypt/" + times[0]]
    index = sorted(n for n in os.listdir(os.path.join(where, times[0])) if n.endswith(".pxar.didx"))[0]
    r = pluck.run("stat", *ask, index, env=env)
    tap.ok(r.code == 0, "an encrypted archive of the official tools", r)
    data = get(os.path.join(where, times[0], index))
    digest = data[-32:].hex()
    path = os.path.join(store, ".chunks", digest[:4], digest)
    with kept(path):
        put(path, blob(PLAIN, bytes(1000)))
        r = pluck.run("extract", *ask, index, "-", env=env, stdout=subprocess.DEVNULL)
        tap.ok(r.code == 5 and digest in r.text and "is not encrypted" in r.text, "a plain chunk in it: exit code 5", r)
    manifest = os.path.join(where, times[0], "index.json.blob")
    with kept(manifest):
        put(manifest, get(os.path.join(where, times[1], "index.json.blob")))
        r = pluck.run("list", *ask, "/", env=env)
        tap.ok(r.code == 5 and "another snapshot" in r.text, "another snapshot's manifest with a good signature: exit code 5", r)


with Tap() as tap, Scratch() as scratch, Pluck(scratch, prefix=LIMITED, env={"HOME": scratch.path}) as pluck:
    HAS_RESTORE = pluck.run("restore", "--help").code == 0
    case = Case(scratch)
    check_chunks(tap, pluck, scratch, case)
    check_indexes(tap, pluck, scratch, case)
    check_manifests(tap, pluck, case)
    if HAS_RESTORE:
        check_blobs(tap, pluck, case)
    else:
        tap.skip("blobs, and raw streams", "there is no restore")
    check_sealed(tap, pluck, scratch)
    golden = test_data("PLUCK_GOLDEN", "golden")
    if golden:
        check_golden(tap, pluck, scratch, golden)
    else:
        tap.skip("snapshots of the official tools", "no golden data ($PLUCK_GOLDEN)")
    tap.equal(pluck.session_pids(), [], "no session was started for any of this")
