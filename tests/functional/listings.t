#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# What a datastore holds: namespaces, groups, snapshots, files, and the contents of single files. All in 2 GiB of address space.
import json
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import golden as G
import pxar_store as P
from program import LIMITED, Pluck, Scratch
from tap import Tap, test_data

T1, T2 = (1700000000, "2023-11-14T22:13:20Z"), (1700086400, "2023-11-15T22:13:20Z")
UPID = "UPID:x:1:"


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)


def make_store(scratch):
    store, tree = scratch.join("store"), P.sample_tree()
    P.make_store(store)
    for top in (store, os.path.join(store, "ns/a"), os.path.join(store, "ns/a/ns/b")):
        for kind, ident, when in (("vm", "10", T1), ("vm", "9", T1), ("host", "h", T1), ("host", "h", T2)):
            snap = P.Snapshot(top, kind, ident, *when)
            snap.store = store
            snap.add_blob("x.conf.blob", b"small\n")
            snap.add_stream("one.pxar.didx", P.encode(tree)[0])
            snap.finish(notes="first\nsecond", verify_state={"state": "failed", "upid": UPID})
    host = os.path.join(store, "host/h")
    write(os.path.join(host, "owner"), b"me@pbs!token\n")
    write(os.path.join(host, "notes"), b"of the group\nmore\n")
    write(os.path.join(host, T2[1], ".protected"), b"")
    write(os.path.join(host, T2[1], "client.log.blob"), b"")
    for junk in ("host/.hidden", "vm/-x", "ns/..x", "ns/a/ns/-", "host/h/latest", "vm/10/2023-13-01T00:00:00Z"):
        os.makedirs(os.path.join(store, junk))
    open_one = os.path.join(store, "ct/7", T1[1])
    os.makedirs(open_one)
    write(os.path.join(open_one, "a.tmp_didx"), b"")
    write(os.path.join(open_one, "b.conf.blob"), b"")
    broken = os.path.join(store, "ct/8", T1[1])
    os.makedirs(broken)
    write(os.path.join(broken, "index.json.blob"), b"no blob")
    return store


def check_own(tap, pluck, store):
    def run(*args):
        return pluck.run(*args, "--repository", store)

    def ask(*args):
        return pluck.json(*args, "--repository", store, "--output-format", "json")

    spaces = {"data": [{"ns": ""}, {"ns": "a"}, {"ns": "a/b"}]}
    tap.equal(ask("namespaces"), spaces, "namespaces; what has no valid name is none")
    tap.equal(run("namespaces").out, b"a\na/b\n", "the same as text")
    tap.equal(ask("namespaces", "--ns", "a"), {"data": [{"ns": "a"}, {"ns": "a/b"}]}, "beneath a namespace")
    tap.equal(ask("namespaces", "--max-depth", "1"), {"data": [{"ns": ""}, {"ns": "a"}]}, "--max-depth")
    tap.equal(run("namespaces", "--ns", "no").code, 3, "a namespace that is not there: 3")
    groups = ask("groups")
    tap.equal([(g["backup-type"], g["backup-id"], g["backup-count"]) for g in groups],
              [("ct", "7", 1), ("ct", "8", 1), ("host", "h", 2), ("vm", "9", 1), ("vm", "10", 1)], "groups, numbers by value")
    tap.equal({k: groups[2].get(k) for k in ("owner", "comment", "last-backup")},
              {"owner": "me@pbs!token", "comment": "of the group\n", "last-backup": T2[0]}, "owner, note and newest snapshot of a group")
    tap.equal(set(groups[2]["files"]), {"x.conf.blob", "one.pxar.didx", "index.json.blob", "client.log.blob"}, "its files")
    tap.ok(b"host/h/" + T2[1].encode() in run("groups").out, "groups as text")
    shots = {(s["backup-id"], s["backup-time"]): s for s in ask("snapshots")}
    first, second = shots[("h", T1[0])], shots[("h", T2[0])]
    tap.ok(second["protected"] and not first["protected"], "protected snapshots")
    tap.ok(first["comment"] == "first" and first["verification"] == {"state": "failed", "upid": UPID} and first["owner"] == "me@pbs!token",
           "note, verification and owner of a snapshot", first)
    tap.ok("size" not in shots[("7", T1[0])] and "size" not in shots[("8", T1[0])], "no size without a manifest")
    text = run("snapshots").out.decode()
    tap.ok("unfinished" in text and "unreadable" in text, "text says why", text)
    tap.equal(len(ask("snapshots", "host/h")), 2, "snapshots of a group")
    tap.equal([run("snapshots", "host/none").code, run("snapshots", "host").code, run("snapshots", "x/h").code], [3, 2, 2], "of none: 3; no group: 2")
    files = {f["filename"]: f for f in ask("files", "host/h/" + T2[1])}
    tap.equal(files["client.log.blob"], {"filename": "client.log.blob"}, "a file that the manifest does not name")
    tap.ok(files["one.pxar.didx"]["crypt-mode"] == "none" and files["one.pxar.didx"]["size"] > 300000, "files of a snapshot", files)
    tap.equal([f["filename"] for f in ask("files", "ct/7/" + T1[1])], ["b.conf.blob"], "of an unfinished one")
    tap.equal([run("files", "host/h/2023-11-13T22:13:20Z").code, run("files", "host/none/" + T1[1]).code, run("files", "host/h").code], [3, 3, 2],
              "no such snapshot: 3; no snapshot: 2")


def check_cat(tap, pluck, store):
    def cat(*args):
        return pluck.run("cat", "--repository", store, "host/h/" + T1[1], *args)

    tap.equal(cat("x.conf").out, b"small\n", "cat of a small file")
    tap.equal(json.loads(cat("index.json").out)["backup-id"], "h", "of the manifest")
    tap.equal(cat("one.pxar/dir/a").out, b"contents of a", "of a file in an archive")
    tap.equal(cat("one/hard", "x.conf.blob", "one/big").out, b"contents of asmall\n" + P.BIG, "of several, a hard link among them")
    tap.equal(cat("--base64", "b25lL2Rpci9h").out, b"contents of a", "of a path in base64")
    for what, args, want in (("a directory", ["one/dir"], 2), ("nothing there", ["one/none"], 3), ("no such archive", ["none/x"], 3),
                             ("the root", ["/"], 2), ("no path", [], 2)):
        r = cat(*args)
        tap.ok(r.code == want and not r.out and r.err, "cat: %s: %d" % (what, want), r)
    with open("/dev/full", "wb") as full:
        r = pluck.run("cat", "--repository", store, "host/h/" + T1[1], "x.conf", stdout=full)
    tap.equal(r.code, 7, "output that cannot be written: 7")


def entries(value):
    """Order says nothing: the official server lists as its directories come."""
    rows = [dict(v, files=sorted(json.dumps(f, sort_keys=True) for f in v["files"])) if "files" in v else v for v in value]
    return sorted(json.dumps(r, sort_keys=True) for r in rows)


def check_golden(tap, pluck, scratch, golden):
    totals = {"JSON": 0, "text": 0}
    for name in G.STORES:
        store = G.Store(golden, name, scratch)
        expect = scratch.new_dir("expect")
        G.unpack(os.path.join(golden, "expect", name + ".tar.zst"), expect)
        expect, bad = os.path.join(expect, name), []

        def compare(file, *args):
            with open(os.path.join(expect, file), encoding="utf-8") as f:
                want = f.read()
            form = "text" if file.endswith(".txt") else "json"
            r = pluck.run(*args, "--repository", store.path, "--output-format", form)
            if want.startswith("Error: manifest not found"):
                return
            if form == "text":
                totals["text"] += 1
                # Numbers come by their value here, by their digits there; what has no size is said to be unfinished here.
                same = sorted(r.out.decode().replace(" unfinished ", " " * 12).splitlines()) == sorted(want.splitlines())
            else:
                totals["JSON"] += 1
                seen, want = json.loads(r.out or "{}"), json.loads(want)
                same = seen == want if isinstance(want, dict) else entries(seen) == entries(want)
            if not same:
                bad.append((file, r.text, r.out.decode()[:2000], want[:2000]))

        for file in sorted(os.listdir(expect)):
            kind, ns, *_ = file.split(".") + [""]
            ns = [] if ns == "root" else ["--ns", ns.replace("_", "/")]
            if file == "namespaces.json":
                compare(file, "namespaces")
            elif kind in ("groups", "snapshots"):
                compare(file, kind, *ns)
            elif "," in file:
                ns, kind, ident, time = file.split(",")
                ns = [] if ns == "root" else ["--ns", ns.replace("_", "/")]
                compare(file + "/files.json", "files", "%s/%s/%s:%s:%s" % (kind, ident, time[:13], time[13:15], time[15:]), *ns)
        tap.ok(not bad, "listings of the %s store are those of the official client" % name, *bad[:4])
    tap.diag("compared: %d answers as JSON, %d as text" % (totals["JSON"], totals["text"]))


with Tap() as tap, Scratch() as scratch, Pluck(scratch, prefix=LIMITED) as pluck:
    store = make_store(scratch)
    check_own(tap, pluck, store)
    check_cat(tap, pluck, store)
    golden = test_data("PLUCK_GOLDEN", "golden")
    if golden is None:
        tap.skip("answers of the official client", "no golden data ($PLUCK_GOLDEN)")
    else:
        check_golden(tap, pluck, scratch, golden)
    tap.equal(pluck.session_pids(), [], "no session was started for any of this")
