#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# File archives of a datastore, read without a VM: listings, metadata, extraction, damage. All in 2 GiB of address space.
import base64
import hashlib
import io
import json
import os
import signal
import stat
import subprocess
import sys
import tarfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import pxar_store as P
from program import LIMITED, SANITIZED, Pluck, Scratch, full_pipe
from tap import Tap, test_data

DIR, FILE, LINK, BIG = P.DIR, P.FILE, P.LINK, P.BIG
make_tree, paths_of, check_tree = P.sample_tree, P.paths_of, P.check_tree


def make_store(scratch):
    """Return: store, snapshot, digests of the chunks of the unified archive and of the payload stream."""
    store, tree = scratch.join("store"), make_tree()
    P.make_store(store)
    snap = P.Snapshot(store, "host", "h", 1700000000, "2023-11-14T22:13:20Z")
    unified = snap.add_stream("one.pxar.didx", P.encode(tree)[0])
    meta, payload = P.encode(tree, split=True)
    payload = snap.add_stream("two.ppxar.didx", payload)
    snap.add_stream("two.mpxar.didx", meta)
    snap.add_stream("catalog.pcat1.didx", P.catalog({"one.pxar.didx": tree}))
    return store, snap.finish(), unified, payload


def listing(pluck, source, path, *options):
    r = pluck.run("list", *source, *options, "--output-format", "jsonl", path)
    return r, [json.loads(line) for line in r.out.splitlines()]


def b64(s):
    return base64.b64decode(s)


def check_listing(tap, pluck, source):
    r = pluck.run("list", *source, "--output-format", "json", "/")
    tap.equal([(e["text"], e["type"], e["leaf"]) for e in json.loads(r.out)],
              [("one.pxar.didx", "d", False), ("two.mpxar.didx", "d", False)], "/ lists the archives in the manifest's order", r)
    want = paths_of(make_tree())
    for archive, asked in (("one.pxar.didx", "one.pxar.didx"), ("one.pxar.didx", "/one.pxar"), ("one.pxar.didx", "one"),
                           ("two.mpxar.didx", "two.pxar.didx"), ("two.mpxar.didx", "two.ppxar.didx"), ("two.mpxar.didx", "two")):
        r, seen = listing(pluck, source, asked, "--recursive")
        paths = {b64(e["filepath"])[len(archive) + 1:]: e for e in seen}
        tap.ok(r.code == 0 and set(paths) == set(want), "%s: everything is listed" % asked, r, sorted(paths))
    bad = []
    for path, node in want.items():
        e, of = paths[path], want[node.link] if node.link is not None else node
        kind = "h" if node.link is not None else {DIR: "d", stat.S_IFDIR | 0o750: "d", LINK: "l", FILE: "f"}.get(node.mode, "p")
        if (e["type"], e["mode"], e["mtime-ns"]) != (kind, of.mode, of.mtime[0] * 10**9 + of.mtime[1]):
            bad.append((path, e))
        if stat.S_ISREG(of.mode) and e["size"] != len(of.data):
            bad.append((path, e))
        target = node.link if node.link is not None else node.target
        if (b64(e["target"]) if "target" in e else None) != target:
            bad.append((path, e))
    tap.ok(not bad, "kinds, modes, times, sizes and targets are right", *bad)
    r, one = listing(pluck, source, "one/dir")
    tap.equal(sorted(e["text"] for e in one), ["a", "b", "sub", "sym"], "one directory", r)
    again = pluck.json("list", *source, "--base64", "--output-format", "json", one[0]["filepath"])
    tap.ok(again is not None, "a filepath can be passed back", again)
    texts = [pluck.run("list", *source, p).out.decode() for p in ("one/dir", "two/dir")]
    tap.ok(all(" a " in t and "13" in t for t in texts), "text with and without a catalog", *texts)
    text = pluck.run("list", *source, "--recursive", "one").out.decode()
    tap.ok("dir/sub/deep" in text and "\\xff" in text, "recursive text out of the catalog, escaped", text)
    for path, code in (("one/nope", 3), ("two/dir/nope/x", 3), ("one/big/x", 3), ("none.pxar.didx", 3), ("two/dir/../x", 2)):
        for command in ("list", "stat"):
            r = pluck.run(command, *source, path)
            tap.ok(r.code == code and r.err, "%s %s: exit code %d" % (command, path, code), r)


def check_stat(tap, pluck, source):
    for archive in "one", "two":
        o = pluck.json("stat", *source, archive + "/dir/a", "--output-format", "json")
        tap.ok(o["type"] == "f" and o["size"] == 13 and o["mode"] == FILE and o["mtime-ns"] == 1700000000000000005 and
               [(b64(x["name"]), b64(x["value"])) for x in o["xattrs"]] == [(b"user.k", b"v\0w")], "%s: stat of a file" % archive, o)
        o = pluck.json("stat", *source, archive + "/hard", "--output-format", "json")
        tap.ok(o["type"] == "h" and o["size"] == 13 and b64(o["target"]) == b"dir/a", "%s: stat of a hard link" % archive, o)
        o = pluck.json("stat", *source, archive, "--output-format", "json")
        tap.ok(o["type"] == "d" and o["mtime"] == 1600000000, "%s: stat of the root" % archive, o)


def check_extract(tap, pluck, source, scratch):
    tree = make_tree()
    want = paths_of(tree)
    for archive in "one", "two":
        top = scratch.join("x-" + archive)
        r = pluck.run("extract", *source, archive, top)
        check_tree(tap, "%s: the whole archive, with the root's metadata" % archive, r, top, want, tree[0])
        top = scratch.join("d-" + archive)
        r = pluck.run("extract", *source, archive + "/dir", top)
        check_tree(tap, "%s: a directory" % archive, r, top, {p: n for p, n in want.items() if p == b"dir" or p.startswith(b"dir/")})
        top = scratch.join("s-" + archive)
        r = pluck.run("extract", *source, archive + "/dir/sub", top)
        up = os.path.join(top, "sub/up")
        tap.ok(r.code == 0 and open(up, "rb").read() == b"contents of a", "%s: a link to something outside becomes the file" % archive, r)
        top = scratch.join("f-" + archive)
        r = pluck.run("extract", *source, "--path", archive + "/hard", "--path", archive + "/big", top)
        tap.ok(r.code == 0 and open(os.path.join(top, "hard"), "rb").read() == b"contents of a" and
               open(os.path.join(top, "big"), "rb").read() == BIG, "%s: single files, several paths" % archive, r)
        for path, data in (("big", BIG), ("hard2", b"contents of a")):
            r = pluck.run("extract", *source, archive + "/" + path, "-")
            tap.ok(r.code == 0 and r.out == data, "%s/%s to standard output" % (archive, path), r)
        r = pluck.run("extract", *source, archive + "/dir", "-", "--format", "plain")
        tap.ok(r.code == 2 and not r.out, "%s: a directory has no contents" % archive, r)


def check_streams(tap, pluck, source, scratch):
    outs = [pluck.run("extract", *source, a, "-").out for a in ("one", "two")]
    tar = tarfile.open(fileobj=io.BytesIO(outs[0]))
    names = {os.fsencode(m.name) for m in tar.getmembers()} - {b"."}
    tap.equal(names, set(paths_of(make_tree())), "a directory comes as tar")
    tap.ok(outs[0] == outs[1], "both forms give the same tar")
    outs = [pluck.run("extract", *source, a, "-", "--format", "pxar").out for a in ("one", "two")]
    tap.ok(outs[0] == outs[1] == P.encode(make_tree())[0], "pxar of the whole unified archive is that archive itself")


def check_damage(tap, pluck, scratch):
    store, name, unified, payload = make_store(scratch)
    source = ["--repository", store, name]
    for archive, digests in (("one", unified), ("two", payload)):
        lost = digests[30]	# within big
        path = os.path.join(store, ".chunks", lost[:4], lost)
        os.rename(path, path + ".away")
        top = scratch.new_dir("damaged-" + archive)
        r = pluck.run("extract", *source, archive, top)
        there = sorted(os.listdir(top))
        tap.ok(r.code == 5 and lost in r.text and "big" not in there and "hard" in there and len(there) == 6,
               "%s: a lost chunk costs the file it is in, is named, exit code 5" % archive, r, there)
        r = pluck.run("extract", *source, "--keep-partial", archive + "/big", top)
        part = open(os.path.join(top, "big.partial"), "rb").read()
        tap.ok(r.code == 5 and len(part) == len(BIG) and part[:100000] == BIG[:100000] and part[-100000:] == BIG[-100000:],
               "%s: --keep-partial keeps what could be read, on both sides" % archive, r)
        for form in "plain", "pxar":
            r = pluck.run("extract", *source, archive + "/big", "-", "--format", form)
            tap.ok(r.code == 5 and lost in r.text and len(r.out) < len(BIG), "%s: %s breaks off with exit code 5" % (archive, form), r)
        r = pluck.run("extract", *source, archive + "/big", "-", "--format", "tar")
        tap.ok(r.code == 5 and lost in r.text, "%s: so does tar" % archive, r)
        with open(path, "wb") as f:
            P.write_blob(path, b"x" * 4096)
        r = pluck.run("extract", *source, archive + "/big", scratch.new_dir("swapped"))
        tap.ok(r.code == 5 and lost in r.text, "%s: a chunk with other contents is not believed" % archive, r)
        os.rename(path + ".away", path)


def check_lost_ends(tap, pluck, scratch):
    """The first or the last chunk of what holds the tables is lost: everything else comes, named and with exit code 5."""
    store, tree = scratch.join("store"), make_tree()
    many = [P.Node(b"%s-%03d" % (x, i), FILE, b"%d" % i) for x in (b"0", b"z") for i in range(100)]
    tree[1:1], tree[-1:] = many[:100], many[100:] + [None]
    P.make_store(store)
    snap = P.Snapshot(store, "host", "h", 1700000000, "2023-11-14T22:13:20Z")
    unified = snap.add_stream("one.pxar.didx", P.encode(tree)[0])
    meta, payload = P.encode(tree, split=True)
    snap.add_stream("two.ppxar.didx", payload)
    meta = snap.add_stream("two.mpxar.didx", meta)
    source, want = ["--repository", store, snap.finish()], paths_of(tree)
    for archive, digests in (("one", unified), ("two", meta)):
        for what, lost in (("last", digests[-1]), ("first", digests[0])):
            path = os.path.join(store, ".chunks", lost[:4], lost)
            os.rename(path, path + ".away")
            top = scratch.new_dir("lost")
            r = pluck.run("extract", *source, archive, top)
            there = {os.path.relpath(os.path.join(d, n), os.fsencode(top)) for d, dirs, files in os.walk(os.fsencode(top)) for n in dirs + files}
            wrong = [p for p in there if stat.S_ISREG(want[p].mode) and want[p].link is None and
                     open(os.path.join(os.fsencode(top), p), "rb").read() != want[p].data]
            tap.ok(r.code == 5 and lost in r.text and not wrong and b"dir/sub/deep" in there and b"dir/a" in there,
                   "%s: without its %s chunk the rest comes, exit code 5" % (archive, what), r, there, wrong)
            r, seen = listing(pluck, source, archive, "--recursive")
            tap.ok(r.code == 5 and lost in r.text and any("dir/sub/deep" in b64(e["filepath"]).decode("utf-8", "replace") for e in seen),
                   "%s: without its %s chunk the rest is listed, exit code 5" % (archive, what), r)
            r = pluck.run("extract", *source, archive + "/dir/sub/deep", "-")
            tap.ok(r.code == 0 and r.out == b"deep", "%s: without its %s chunk a file is found" % (archive, what), r)
            os.rename(path + ".away", path)


def check_foreign_catalog(tap, pluck, scratch):
    """A catalog that does not know the archive, and one that is none."""
    store = scratch.join("foreign")
    P.make_store(store)
    for i, catalog in enumerate((P.catalog({}), P.catalog({"other.pxar.didx": make_tree()}), b"no catalog at all, just bytes")):
        snap = P.Snapshot(store, "host", "h", 1700000000 + i, "2023-11-14T22:13:2%dZ" % i)
        snap.add_stream("one.pxar.didx", P.encode(make_tree())[0])
        snap.add_stream("catalog.pcat1.didx", catalog)
        r = pluck.run("list", "--repository", store, snap.finish(), "one")
        tap.ok(r.code == 0 and b" big " in r.out and b" empty " in r.out, "a catalog of no use (%d): listed from the archive" % i, r)


def check_damaged_catalog(tap, pluck, scratch):
    """A catalog that cannot be read to its end: nothing is taken from it, the archive is listed, and that is said."""
    store, name, _, _ = make_store(scratch)
    index = os.path.join(store, name, "catalog.pcat1.didx")
    with open(index, "rb") as f:
        good = f.read()
    digest = good[4096 + 8:4096 + 40].hex()
    chunk = os.path.join(store, ".chunks", digest[:4], digest)
    with open(chunk, "rb") as f:
        data = f.read()
    for what, path, new in (("a chunk of it is damaged", chunk, data[:20] + b"\xff" + data[21:]), ("a chunk of it is empty", chunk, b""),
                            ("its index is cut", index, good[:-1]), ("its index is another", index, good[:-1] + b"\0")):
        before = good if path == index else data
        with open(path, "wb") as f:
            f.write(new)
        for options in [], ["--recursive"]:
            r = pluck.run("list", "--repository", store, name, *options, "one")
            tap.ok(r.code == 0 and b" big " in r.out and b" empty " in r.out and r.err.count(b"the catalog ") == 1 and b"listed instead" in r.err,
                   "a catalog of no use: %s" % what, r)
        r = pluck.run("catalog", "dump", "--repository", store, name)
        tap.ok(r.code == 5, "catalog dump: %s" % what, r)
        with open(path, "wb") as f:
            f.write(before)
    # one block in the middle of the catalog is bad: no half of a listing comes out of it
    snap = P.Snapshot(store, "host", "h", 1700000009, "2023-11-14T22:13:29Z")
    snap.add_stream("one.pxar.didx", P.encode(make_tree())[0])
    catalog = P.catalog({"one.pxar.didx": make_tree()})
    at = catalog.index(b"deep")
    snap.add_stream("catalog.pcat1.didx", catalog[:at - 2] + b"?" + catalog[at - 1:])
    r = pluck.run("list", "--repository", store, snap.finish(), "--recursive", "one")
    tap.ok(r.code == 0 and r.out.count(b" big ") == 1 and b"dir/sub/deep" in r.out and b"listed instead" in r.err,
           "a catalog that is bad in the middle: each entry comes once", r)


def check_malformed(tap, pluck, scratch):
    """One member is malformed, or was never written: the others are listed, and the exit code says so."""
    tree = make_tree()
    store, data = scratch.join("malformed"), bytearray(P.encode(tree)[0])
    at = data.index(b"empty\0")
    data[at + 6:at + 14] = bytes(8)	# the type of what follows its name
    P.make_store(store)
    snap = P.Snapshot(store, "host", "h", 1700000000, "2023-11-14T22:13:20Z")
    snap.add_stream("one.pxar.didx", bytes(data))
    tree.insert(1, P.Node(b"", FILE))
    snap.add_stream("catalog.pcat1.didx", P.catalog({"two.pxar.didx": tree}))
    source, plain = ["--repository", store, snap.finish()], scratch.join("malformed.pxar")
    with open(plain, "wb") as f:
        f.write(data)
    for args in (["list", *source, "one"], ["list", *source, "one", "--output-format", "jsonl"], ["list", *source, "one", "--recursive"],
                 ["pxar", "list", plain], ["pxar", "list", plain, "--output-format", "jsonl"]):
        r = pluck.run(*args)
        tap.ok(r.code == 5 and b"hard2" in r.out and b"big" in r.out and "empty" in r.text, "a malformed member, %s: the others, and 5" % " ".join(args[:2]), r, r.out)
    r = pluck.run("catalog", "dump", *source)
    tap.ok(r.code == 5 and b"hard2" in r.out and "a member is missing" in r.text, "catalog dump with a member that is missing: the others, and 5", r)


def confined_while_stuck(pluck, which, *args):
    """Runs with @which output full, until the process has filter and no_new_privs. Return: did it get them before its end?"""
    r, w = full_pipe()
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, which: w}
    child = pluck.popen(*args, **streams)
    os.close(w)
    end, found = time.monotonic() + 60, False
    while not found and child.poll() is None and time.monotonic() < end:
        with open("/proc/%d/status" % child.pid, encoding="utf-8") as f:
            status = dict(line.split(":", 1) for line in f)
        found = (status["Seccomp"].strip(), status["NoNewPrivs"].strip()) == ("2", "1")
    os.close(r)
    child.communicate(timeout=60)
    return found


def check_confined(tap, pluck, source, scratch):
    if SANITIZED:
        tap.skip("filters of the commands", "there are none with sanitizers")
        return
    plain = scratch.join("confined.pxar")
    with open(plain, "wb") as f:
        f.write(P.encode(make_tree())[0])
    cases = (("stdout", "list", *source, "one"), ("stdout", "list", *source, "--output-format", "jsonl", "--recursive", "two"),
             ("stdout", "stat", *source, "one/dir/a"), ("stdout", "catalog", "dump", *source), ("stdout", "pxar", "list", plain),
             ("stdout", "diff", *source, source[-1], "one", "--output-format", "jsonl"), ("stdout", "extract", *source, "one/dir/a", "-"), ("stderr", "pxar", "extract", plain, scratch.join("confined")),
             ("stderr", "extract", *source, "one", scratch.join("confined-2")))
    for which, *args in cases:
        tap.ok(confined_while_stuck(pluck, which, *args), "%s has its filter" % " ".join(a for a in args[:2] if a[0] != "-"), args)


def check_catalog(tap, pluck, source):
    r = pluck.run("catalog", "dump", *source)
    lines = r.out.decode().splitlines()
    tap.ok(r.code == 0 and len(lines) == 1 + len(paths_of(make_tree())) and lines[0] == 'd "./one.pxar.didx"' and
           lines[1] == 'f "./one.pxar.didx/big" 300000 1969-12-31T23:59:59Z' and 'h "./one.pxar.didx/dir/sub/up"' in lines,
           "catalog dump", r, *lines)


def check_short_payload(tap, pluck, scratch, meta, parts):
    """The payload stream ends within the data of the first file."""
    short = scratch.join("short.ppxar")
    with open(short, "wb") as f:
        f.write(parts[1][:16 + 16 + len(BIG) - 5000])
    top, report = scratch.join("p-short"), scratch.join("p-short.json")
    r = pluck.run("pxar", "extract", meta, "--payload-input", short, "--keep-partial", "--report", report, top)
    kept = open(os.path.join(top, "big.partial"), "rb").read() if os.path.exists(os.path.join(top, "big.partial")) else b""
    good = len(BIG) - 5000
    tap.ok(r.code == 5 and kept[:good // 4096 * 4096] == BIG[:good // 4096 * 4096] and len(kept) == len(BIG),
           "a payload stream that ends early: --keep-partial keeps what is there", r, len(kept))
    lines = [line for line in r.err.splitlines() if b"'big'" in line]
    tap.ok(len(lines) == 1 and b"ends at byte %d" % good in lines[0] and not os.path.exists(os.path.join(top, "big")),
           "it is told once, with the byte where it ends", lines)
    with open(report, encoding="utf-8") as f:
        problems = [p["text"] for p in json.load(f)["problems"]]
    tap.ok(problems.count("big") == 1 and "dir/a" in problems, "and once in the report", problems)
    r = pluck.run("pxar", "extract", meta, "-", "--payload-input", short, "--format", "pxar")
    tap.ok(r.code == 5 and b"'big'" in r.err and b"ends at byte" in r.err, "as pxar it ends there, by name", r)


def check_plain_files(tap, pluck, scratch):
    tree = make_tree()
    one, meta = scratch.join("plain.pxar"), scratch.join("plain.mpxar")
    with open(one, "wb") as f:
        f.write(P.encode(tree)[0])
    parts = P.encode(tree, split=True)
    for path, data in ((meta, parts[0]), (scratch.join("plain.ppxar"), parts[1])):
        with open(path, "wb") as f:
            f.write(data)
    want = paths_of(tree)
    for path in one, meta:
        r = pluck.run("pxar", "list", path)
        tap.ok(r.code == 0 and len(r.out.splitlines()) == len(want) and b"dir/sub/deep" in r.out, "pxar list: a path a line", r)
        top = scratch.join("p-" + os.path.basename(path))
        r = pluck.run("pxar", "extract", path, top)
        check_tree(tap, "pxar extract", r, top, want, tree[0])
        if path == meta:
            check_short_payload(tap, pluck, scratch, meta, parts)
        os.truncate(path, os.path.getsize(path) - 1)
        r = pluck.run("pxar", "list", path)
        tap.ok(r.code == 5 and not r.out, "pxar list of an archive that was cut: exit code 5", r)
    r = pluck.run("pxar", "create", one)
    tap.equal(r.code, 2, "pxar knows list and extract alone", r)


def lines_of(path):
    return [json.loads(line) for line in subprocess.run(["zstd", "-dcq", path], stdout=subprocess.PIPE, check=True).stdout.splitlines()]


def same_entry(mine, theirs):
    keys = ["filepath", "text", "type", "leaf"] + (["size", "mtime"] if theirs["type"] == "f" else [])
    differ = [k for k in keys if mine.get(k) != theirs.get(k)]
    return not differ or (differ == ["mtime"] and theirs["mtime"] <= 0 and mine["mtime"] - theirs["mtime"] == -1)


def check_official(tap, pluck, scratch, golden):
    """What the official program lists, and contents by the manifests."""
    for name in "stores/plain", "expect/plain":
        place = scratch.new_dir(os.path.dirname(name))
        with subprocess.Popen(["zstd", "-dcq", "--long=27", os.path.join(golden, name + ".tar.zst")], stdout=subprocess.PIPE) as z:
            subprocess.run(["tar", "-x", "-C", place, "--no-same-owner"], stdin=z.stdout, check=True)
    store, expect, nr, bad = scratch.join("stores/plain"), scratch.join("expect/plain"), 0, []
    for name in sorted(os.listdir(expect)):
        where = os.path.join(expect, name)
        if not os.path.isdir(where) or not name.startswith("root,host") or "rotten,2024-01-01" in name:
            continue
        kind, ident, time = name.split(",")[1:]
        source = ["--repository", store, "%s/%s/%s:%s:%s" % (kind, ident, time[:13], time[13:15], time[15:])]
        pairs = []
        for f in sorted(os.listdir(where)):
            if f.endswith(".json") and f.startswith("fr-") and f != "fr-root.json":
                pairs.append((base64.b64encode(f[3:-5].encode() + b".didx").decode(), open(os.path.join(where, f), encoding="utf-8").read()))
            elif f.endswith(".dirs"):
                lines = [x for x in open(os.path.join(where, f), encoding="utf-8").read().splitlines() if x.strip()]
                pairs += list(zip(lines[0::2], lines[1::2]))[:12]
        for path, text in pairs:
            theirs = json.loads(text) if text.strip() else {}
            if isinstance(theirs, dict):
                continue
            r = pluck.run("list", *source, "--base64", "--output-format", "json", path)
            mine = {e["filepath"]: e for e in (json.loads(r.out) if r.code == 0 else [])}
            nr += 1
            if len(mine) != len(theirs) or not all(same_entry(mine.get(e["filepath"], {}), e) for e in theirs):
                bad.append((name, path, r))
    tap.ok(nr > 50 and not bad, "%d directories are listed as the official program lists them" % nr, nr, *bad[:3])
    check_contents(tap, pluck, scratch, golden, store)


def check_contents(tap, pluck, scratch, golden, store):
    for snap, archive, tree in (("host/legacy/2024-01-02T00:00:00Z", "types.pxar.didx", "T1b"),
                                ("host/meta/2024-01-03T00:00:00Z", "data.mpxar.didx", "T3b-meta"),
                                ("host/meta/2024-01-02T00:00:00Z", "many.mpxar.didx", "T2")):
        top, bad = scratch.new_dir("official"), []
        r = pluck.run("extract", "--repository", store, snap, archive, top, "--quiet")
        for line in lines_of(os.path.join(golden, "trees", tree + ".jsonl.zst")):
            path = os.path.join(os.fsencode(top), b64(line["p"]))
            if line["t"] == "f" and not line.get("ex"):
                try:
                    with open(path, "rb") as f:
                        if hashlib.sha256(f.read()).hexdigest() != line["h"]:
                            bad.append(path)
                except OSError as e:
                    bad.append(e)
        tap.ok(r.code in (0, 1) and not bad, "%s of %s: contents of every file" % (archive, snap), r, *bad[:5])


def check_ended(tap, pluck, scratch):
    """Ended while it writes: no half file under any name."""
    whole = 3000
    archive = scratch.join("ended.pxar")
    with open(archive, "wb") as f:
        f.write(P.encode([P.Node(b"", DIR), *(P.Node(b"f%04d" % i, FILE, b"%04d" % i * 8192) for i in range(whole)), None])[0])
    for sig, want in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        top = scratch.new_dir("ended-%d" % want)
        child = pluck.popen("pxar", "extract", archive, top, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while child.poll() is None and not os.listdir(top):
            pass
        child.send_signal(sig)
        err = child.communicate(timeout=120)[1]
        names = os.listdir(top)
        half = [n for n in names if open(os.path.join(top, n), "rb").read() != n[1:].encode() * 8192]
        tap.ok(child.returncode == want and err == b"pluck: interrupted\n" and 0 < len(names) < whole and not half,
               "pxar extract ended by signal %d: exit code %d, whole files only" % (sig, want), child.returncode, err, len(names), half[:5])


with Tap() as tap, Scratch() as scratch, Pluck(scratch, prefix=LIMITED) as pluck:
    where, name, _, _ = make_store(scratch)
    main = ["--repository", where, name]
    check_listing(tap, pluck, main)
    check_stat(tap, pluck, main)
    check_extract(tap, pluck, main, scratch)
    check_streams(tap, pluck, main, scratch)
    check_catalog(tap, pluck, main)
    check_confined(tap, pluck, main, scratch)
    os.rename(where, where + ".done")
    check_damage(tap, pluck, scratch)
    os.rename(where, where + ".damaged")
    check_damaged_catalog(tap, pluck, scratch)
    os.rename(where, where + ".catalog")
    check_lost_ends(tap, pluck, scratch)
    check_foreign_catalog(tap, pluck, scratch)
    check_malformed(tap, pluck, scratch)
    check_plain_files(tap, pluck, scratch)
    check_ended(tap, pluck, scratch)
    golden = test_data("PLUCK_GOLDEN", "golden")
    if golden is None:
        tap.skip("archives of the official tools", "no golden data ($PLUCK_GOLDEN)")
    else:
        check_official(tap, pluck, scratch, golden)
    tap.equal(pluck.session_pids(), [], "no session was started for any of this")
