#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Verification: every kind of damage is found, named, and mapped to what it costs. All in 2 GiB of address space.
import base64
import json
import os
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import golden as G
import pxar_store as P
from program import LIMITED, Pluck, Scratch
from tap import Tap, test_data


class Case:
    """A copy of the sample store, to be damaged."""

    def __init__(self, pluck, scratch, made):
        self.pluck, self.made, self.path = pluck, made, scratch.join("copy")
        shutil.rmtree(self.path, ignore_errors=True)
        shutil.copytree(made.store, self.path)
        self.dir = os.path.join(self.path, made.snapshot)

    def chunk(self, name, i):
        return P.chunk_path(self.path, self.made.digests[name][i])

    def verify(self, *args):
        before = state_of(self.path)
        r = self.pluck.run("verify", "--repository", self.path, "--output-format", "json", *args)
        self.untouched = state_of(self.path) == before
        self.answer = json.loads(r.out) if r.out else {"snapshots": []}
        self.files = {f["filename"]: f for s in self.answer["snapshots"] for f in s["files"]}
        return r

    def bad(self):
        return {n for n, f in self.files.items() if f["state"] != "ok"}

    def paths(self, name):
        return {base64.b64decode(p["path"]) for p in self.files[name]["paths"]}

    def ranges(self, name):
        return [(r["offset"], r["length"]) for r in self.files[name]["ranges"]]


def state_of(top):
    return sorted((d, n, os.lstat(os.path.join(d, n)).st_mtime_ns) for d, dirs, files in os.walk(top) for n in dirs + files)


def change(path, at, data):
    with open(path, "r+b") as f:
        f.seek(at)
        f.write(data)


def check_good(tap, pluck, scratch, made):
    c = Case(pluck, scratch, made)
    r = c.verify(made.snapshot)
    distinct = len({d for digests in made.digests.values() for d in digests})
    tap.ok(r.code == 0 and not c.bad() and c.answer["snapshots"][0]["state"] == "ok" and c.untouched, "a good snapshot", r, c.answer)
    tap.equal(c.answer["chunks"]["read"], distinct, "each distinct chunk is read once")
    P.Snapshot(c.path, "host", "other", 1700000000, "2023-11-14T22:13:20Z").finish()
    shutil.copytree(c.dir, os.path.join(c.path, "ns/a", made.snapshot))
    os.makedirs(os.path.join(c.path, "vm/1/2023-11-14T22:13:20Z"))
    r = c.verify()
    tap.ok(r.code == 0 and [(s["ns"], s["state"]) for s in c.answer["snapshots"]] ==
           [("", "ok"), ("", "ok"), ("", "skipped"), ("a", "ok")] and c.answer["chunks"]["read"] == distinct,
           "the whole store: namespaces, unfinished snapshots; still each chunk once", r, c.answer)
    for args, want in ((["host/h"], 1), (["host/other"], 1), (["--ns", "a"], 1), (["--max-depth", "0"], 3)):
        r = c.verify(*args)
        tap.ok(r.code == 0 and len(c.answer["snapshots"]) == want, "only %s" % " ".join(args), r)
    for args, want in ((["host/none"], 0), (["host/h/2023-11-14T22:13:21Z"], 3), (["nonsense"], 2), (["--ns", "none"], 3)):
        r = c.verify(*args)
        tap.ok(r.code in (want, 3), "%s: %d" % (" ".join(args), r.code), r)
    r = pluck.run("verify", "--repository", c.path)
    tap.ok(r.code == 0 and b"3 ok, 0 damaged, 0 sealed, 1 skipped" in r.out, "as text", r, r.out)
    r = pluck.run("verify", "--repository", c.path, "--output-format", "jsonl")
    tap.ok([json.loads(line).get("state") for line in r.out.splitlines()] == ["ok", "ok", "skipped", "ok", None], "a line a snapshot, and one of totals", r.out)


def check_chunks(tap, pluck, scratch, made):
    c = Case(pluck, scratch, made)
    change(c.chunk("disk.img.fidx", 1), 500, b"xx")
    r = c.verify(made.snapshot)
    tap.ok(r.code == 5 and c.bad() == {"disk.img.fidx"} and c.ranges("disk.img.fidx") == [(P.CHUNK, P.CHUNK)] and c.untouched,
           "a chunk with a wrong CRC", r, c.files["disk.img.fidx"])
    P.write_blob(c.chunk("disk.img.fidx", 1), b"z" * P.CHUNK)
    r = c.verify(made.snapshot)
    tap.ok(r.code == 5 and "digest" in c.files["disk.img.fidx"]["ranges"][0]["error"], "other contents with a right CRC", r)
    P.write_blob(c.chunk("disk.img.fidx", 1), b"z")
    os.truncate(c.chunk("disk.img.fidx", 0), 0)
    shutil.copy(c.chunk("disk.img.fidx", 8), c.chunk("disk.img.fidx", 7))
    zero = c.chunk("disk.img.fidx", 3)
    os.unlink(zero)
    r = c.verify(made.snapshot)
    size = len(P.IMAGE)
    tap.ok(r.code == 5 and c.ranges("disk.img.fidx") == [(i * P.CHUNK, P.CHUNK) for i in (0, 1, 2, 3, 4, 5, 7)] and size > 8 * P.CHUNK,
           "too short, empty, swapped, missing; one chunk in several places", r, c.ranges("disk.img.fidx"))
    r = pluck.run("verify", "--repository", c.path, made.snapshot)
    tap.ok(r.code == 5 and b"65536 bytes at 0: chunk " in r.out and b"is missing" in r.out, "as text", r, r.out)
    r = pluck.run("verify", "--repository", c.path, made.snapshot, "--quiet")
    tap.ok(r.code == 5 and b"damaged" in r.out and b"ok," not in r.out, "--quiet tells of what is bad alone", r, r.out)


def check_paths(tap, pluck, scratch, made):
    for name, data, hits in (("one.pxar.didx", 20, {b"big"}), ("two.ppxar.didx", 20, {b"big"})):
        c = Case(pluck, scratch, made)
        os.unlink(c.chunk(name, data))
        r = c.verify(made.snapshot)
        tap.ok(r.code == 5 and c.bad() == {name} and c.paths(name) == hits, "%s: the file that a chunk of data costs" % name, r, c.files[name])
    at = made.raw["two.ppxar.didx"].index(b"contents of a") // 4096
    c = Case(pluck, scratch, made)
    os.unlink(c.chunk("two.ppxar.didx", at))
    c.verify(made.snapshot)
    inside = {p for p, n in P.paths_of(made.tree).items() if n.data and made.raw["two.ppxar.didx"].index(n.data) + len(n.data) > at * 4096}
    tap.equal(c.paths("two.ppxar.didx"), inside, "several small files that a chunk costs")
    c = Case(pluck, scratch, made)
    os.unlink(c.chunk("two.mpxar.didx", 0))
    r = c.verify(made.snapshot)
    tap.ok(r.code == 5 and c.bad() == {"two.mpxar.didx"} and c.paths("two.mpxar.didx") == {b""}, "metadata that is lost", r, c.files["two.mpxar.didx"])
    c = Case(pluck, scratch, made)
    os.unlink(c.chunk("catalog.pcat1.didx", 0))
    r = c.verify(made.snapshot)
    tap.ok(r.code == 5 and c.bad() == {"catalog.pcat1.didx"} and len(c.ranges("catalog.pcat1.didx")) == 1, "a catalog has ranges alone", r)


def check_files(tap, pluck, scratch, made):
    def rewrite(c, **fields):
        path = os.path.join(c.dir, "index.json.blob")
        with open(path, "rb") as f:
            manifest = json.loads(f.read()[12:])
        P.write_blob(path, json.dumps(dict(manifest, **fields)).encode())

    for what, name, act in (
            ("an index with a changed digest", "disk.img.fidx", lambda p: change(p, 4096, b"\0")),
            ("a cut index", "one.pxar.didx", lambda p: os.truncate(p, 4096 + 20)), ("an index that is missing", "two.mpxar.didx", os.unlink),
            ("an index whose ends do not rise", "one.pxar.didx", lambda p: change(p, 4096, bytes(8))),
            ("a changed small file", "vm.conf.blob", lambda p: change(p, 20, b"!")), ("a small file that is missing", "vm.conf.blob", os.unlink)):
        c = Case(pluck, scratch, made)
        act(os.path.join(c.dir, name))
        r = c.verify(made.snapshot)
        tap.ok(r.code == 5 and c.bad() == {name} and c.files[name].get("error"), what, r, c.files.get(name))
    for what, fields in (("the manifest of another snapshot", {"backup-id": "other"}), ("of another time", {"backup-time": 1}), ("no list of files", {"files": 1})):
        c = Case(pluck, scratch, made)
        rewrite(c, **fields)
        r = c.verify(made.snapshot)
        tap.ok(r.code == 5 and c.answer["snapshots"][0]["state"] == "damaged" and c.answer["snapshots"][0]["error"], what, r, c.answer)


def check_keys(tap, pluck, scratch):
    store, key, other = scratch.join("enc"), scratch.join("key.json"), scratch.join("other.json")
    disk = scratch.join("d.raw")
    with open(disk, "wb") as f:
        f.write(P.IMAGE)
    for args in (["key", "create", key, "--kdf", "none"], ["key", "create", other, "--kdf", "none"], ["datastore", "create", store],
                 ["backup", "--repository", store, "--backup-id", "7", "--backup-type", "vm", "--backup-time", "1700000000", "--keyfile", key, "d.img:" + disk],
                 ["backup", "--repository", store, "--backup-id", "8", "--backup-type", "vm", "--backup-time", "1700000000", "d.img:" + disk]):
        r = pluck.run(*args)
        tap.ok(r.code == 0, args[0], r)
    name, env = "vm/7/2023-11-14T22:13:20Z", dict(pluck.env, HOME=scratch.path)

    def run(*args):
        r = pluck.run("verify", "--repository", store, "--output-format", "json", *args, env=env)
        return r, {s["snapshot"].split("/")[1]: (s["state"], s["signature"]) for s in (json.loads(r.out)["snapshots"] if r.out else [])}

    r, seen = run(name, "--keyfile", key)
    tap.ok(r.code == 0 and seen == {"7": ("ok", "valid")}, "encrypted, with its key", r, seen)
    tap.equal([run(name)[0].code, run(name, "--keyfile", other)[0].code], [4, 4], "named, without its key or with another: 4")
    r, seen = run(name, "--crypt-mode", "none")
    tap.ok(r.code == 1 and seen == {"7": ("sealed", "unchecked")}, "without any key on purpose: checksums alone, 1", r, seen)
    for args in ([], ["--keyfile", other]):
        r, seen = run(*args)
        tap.ok(r.code == 1 and seen == {"7": ("sealed", "unchecked"), "8": ("ok", "none")}, "the whole store: sealed ones are told apart, 1", r, seen)
    tap.ok("NOT SIGNED" in r.text, "a key, and a snapshot without a signature: a warning", r)
    r, seen = run("--keyfile", key, "--require-signature")
    tap.ok(r.code == 4 and seen == {"7": ("ok", "valid"), "8": ("refused", "none")}, "--require-signature: 4", r, seen)
    chunk = subprocess.run(["find", store + "/.chunks", "-type", "f", "-size", "+60k"], stdout=subprocess.PIPE, check=True, text=True).stdout.split()
    for path in chunk:
        change(path, 3000, b"12345678")
    r, seen = run("--crypt-mode", "none")
    tap.ok(r.code == 5 and seen["7"][0] == "damaged", "rot is found without a key", r, seen)


# Version 0.8.9 made this one with a key of its own (0.8.9-none.json), which manifests of that time do not name: with the other key its
# signature is simply wrong. Later versions name theirs, so the same snapshot of 1.1.14 is known to be sealed.
OLDEST = "host/v0-8-9-nokdf/2020-01-01T00:00:00Z"


def check_oldest(tap, pluck, store, golden, env, answer):
    tap.equal([s["snapshot"] for s in answer["snapshots"] if s["state"] == "damaged"], [OLDEST], "0.8.9: of two keys the one that was not given")
    for key, code, state, signature in (("none", 0, "ok", "valid"), ("scrypt", 5, "damaged", "unchecked")):
        r = pluck.run("verify", "--repository", store.path, "--output-format", "json", OLDEST, "--keyfile", os.path.join(golden, "old/keys/0.8.9-%s.json" % key), env=env)
        (s,) = json.loads(r.out)["snapshots"]
        tap.ok(r.code == code and (s["state"], s["signature"]) == (state, signature) and (code == 0 or "made with another key" in s["error"]),
               "0.8.9: that snapshot with the key 0.8.9-%s: %s" % (key, state), r, s)


def check_golden(tap, pluck, scratch, golden):
    for name, key, want in (("plain", None, {"ok": 33, "damaged": 1, "skipped": 1}), ("encrypted", "keys/scrypt.json", {"ok": 13, "sealed": 3}),
                            ("server-0.8.9", "old/keys/0.8.9-scrypt.json", {"ok": 10, "damaged": 1}), ("server-1.1.14", "old/keys/1.1.14-scrypt.json", None),
                            ("server-4.2.3", None, None)):
        store = G.Store(golden, name, scratch)
        r = pluck.run("verify", "--repository", store.path, "--output-format", "json", *(["--keyfile", os.path.join(golden, key)] if key else []),
                      env=dict(store.env(pluck.env), HOME=scratch.path))
        states, answer = {}, json.loads(r.out) if r.out else {"snapshots": []}
        for s in answer["snapshots"]:
            states[s["state"]] = states.get(s["state"], 0) + 1
        good = states == want if want else r.code in (0, 1) and states.get("ok", 0) > 5 and not states.get("damaged")
        tap.ok(good, "the %s store: %s" % (name, states), r)
        if name == "server-0.8.9":
            check_oldest(tap, pluck, store, golden, dict(store.env(pluck.env), HOME=scratch.path), answer)
        if name == "server-1.1.14":
            tap.equal([s["snapshot"].split("/")[1] for s in answer["snapshots"] if s["state"] == "sealed"], ["v1-1-14-nokdf"], "1.1.14: the same one is sealed")


with Tap() as tap, Scratch() as scratch, Pluck(scratch, prefix=LIMITED) as pluck:
    made = P.SampleStore(scratch)
    check_good(tap, pluck, scratch, made)
    check_chunks(tap, pluck, scratch, made)
    check_paths(tap, pluck, scratch, made)
    check_files(tap, pluck, scratch, made)
    check_keys(tap, pluck, scratch)
    golden = test_data("PLUCK_GOLDEN", "golden")
    if golden is None:
        tap.skip("stores of the official tools", "no golden data ($PLUCK_GOLDEN)")
    else:
        check_golden(tap, pluck, scratch, golden)
    tap.equal(pluck.session_pids(), [], "no session was started for any of this")
