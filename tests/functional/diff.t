#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# What differs between two snapshots. All in 2 GiB of address space.
import base64
import copy
import json
import os
import random
import shutil
import stat
import struct
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import golden as G
import pxar_store as P
from program import LIMITED, Pluck, Scratch
from tap import Tap, test_data

DIR, FILE, LINK = P.DIR, P.FILE, P.LINK
Node = P.Node
OLD, NEW = "host/h/2023-11-14T22:13:20Z", "host/h/2023-11-15T22:13:20Z"
ACL_USER, ACL_GROUP_OBJ, FCAPS, PROJID = 0x2ce8540a457d55b8, 0x10868031e9582876, 0x2da9dd9db5f7fb67, 0xe07540e82f7d1cbb
NOISE = random.Random(11).randbytes


class Two:
    """A store with two snapshots of the same archives."""

    def __init__(self, pluck, path):
        self.pluck, self.path = pluck, path
        shutil.rmtree(path, ignore_errors=True)
        P.make_store(path)
        self.snap = [P.Snapshot(path, "host", "h", 1700000000 + 86400 * i, name.split("/")[-1]) for i, name in enumerate((OLD, NEW))]

    def archive(self, name, old, new, split=(False, False), chunk=4096):
        """Return: digests of the chunks that hold the contents, of each side."""
        digests = []
        for snap, tree, two in zip(self.snap, (old, new), split):
            meta, payload = P.encode(tree, split=two)
            if two:
                snap.add_stream(name + ".mpxar.didx", meta, chunk)
                digests.append(snap.add_stream(name + ".ppxar.didx", payload, chunk))
            else:
                digests.append(snap.add_stream(name + ".pxar.didx", meta, chunk))
        return digests

    def finish(self):
        for snap in self.snap:
            snap.finish()
        return self

    def lose(self, digests):
        for digest in digests:
            os.unlink(P.chunk_path(self.path, digest))

    def run(self, *args):
        return self.pluck.run("diff", "--repository", self.path, OLD, NEW, *args)

    def json(self, *args):
        """Return: the result, {path: (op, changes)} and the whole answer."""
        r = self.run(*args, "--output-format", "json")
        answer = json.loads(r.out) if r.out else {"differences": [], "totals": {}}
        return r, {base64.b64decode(d["path"]): (d["op"], frozenset(d.get("changes", ()))) for d in answer["differences"]}, answer


def resolve(nodes, node):
    return nodes[node.link] if node.link is not None else node


def expected(old, new):
    """The same, found out here."""
    a, b, want = dict(P.paths_of(old)), dict(P.paths_of(new)), {}
    a[b""], b[b""] = old[0], new[0]
    for path in a.keys() | b.keys():
        if path not in b or path not in a:
            want[path] = ("removed" if path in a else "added", frozenset())
            continue
        x, y = resolve(a, a[path]), resolve(b, b[path])
        what = set()
        if stat.S_IFMT(x.mode) != stat.S_IFMT(y.mode):
            what = {"type"}
        else:
            for name, key in (("mode", lambda n: n.mode), ("mtime", lambda n: n.mtime), ("owner", lambda n: n.owner), ("xattrs", lambda n: n.xattrs),
                              ("flags", lambda n: n.flags), ("target", lambda n: n.target), ("contents", lambda n: n.data), ("size", lambda n: len(n.data))):
                if key(x) != key(y):
                    what.add(name)
            if a[path].link != b[path].link:
                what.add("link")
            if stat.S_ISCHR(x.mode) and x.rdev != y.rdev:
                what.add("rdev")
            of = [{kind: content for kind, content in n.items} for n in (x, y)]
            for name, kinds in (("acl", (ACL_USER, ACL_GROUP_OBJ)), ("capabilities", (FCAPS,)), ("project", (PROJID,))):
                if any(of[0].get(k) != of[1].get(k) for k in kinds):
                    what.add(name)
        if what:
            want[path] = ("changed", frozenset(what))
    return want


def old_tree():
    acl = [(ACL_USER, struct.pack("<QQ", 5, 7)), (ACL_GROUP_OBJ, struct.pack("<Q", 5))]
    return [
        Node(b"", DIR), Node(b"a", FILE, b"same"), Node(b"big", FILE, NOISE(100000)), Node(b"cap", FILE, b"x", items=[(FCAPS, b"abcdefgh")]),
        Node(b"dev", stat.S_IFCHR | 0o600), Node(b"dir", DIR), Node(b"gone", FILE, b"1"), Node(b"in", FILE, b"2"),
        Node(b"sub", DIR), Node(b"deep", FILE, b"3"), None, None,
        Node(b"dir-to-file", DIR), Node(b"lost", FILE, b""), None, Node(b"file-to-dir", FILE, b"x"),
        Node(b"first", FILE, b"linked"), Node(b"flag", FILE, b"", flags=1 << 17), Node(b"hard", FILE, link=b"first"), Node(b"link", LINK, target=b"here"),
        Node(b"mode", FILE, b"m"), Node(b"own", FILE, b"o", owner=(1, 2)), Node(b"proj", FILE, b"", items=[(PROJID, struct.pack("<Q", 7))]),
        Node(b"tree", DIR), Node(b"1", FILE, b"1"), Node(b"2", DIR), Node(b"3", FILE, b"3"), None, None,
        Node(b"u-acl", FILE, b"", items=acl), Node(b"x", FILE, b"x", xattrs={b"user.a": b"1", b"user.b": b"2"}),
        Node(b"y", FILE, b"y", xattrs={b"user.a": b"1", b"user.b": b"2"}), Node(b"z\n\xff", FILE, b"odd"), None]


def new_tree():
    old = {path: node for path, node in P.paths_of(old_tree()).items()}
    acl = [(ACL_USER, struct.pack("<QQ", 5, 6)), (ACL_GROUP_OBJ, struct.pack("<Q", 5))]
    big = bytearray(old[b"big"].data)
    big[50000] ^= 1
    return [
        Node(b"", DIR, mtime=(1700000001, 0)), Node(b"a", FILE, b"same"), Node(b"big", FILE, bytes(big)), Node(b"cap", FILE, b"x", items=[(FCAPS, b"abcdefgX")]),
        Node(b"dev", stat.S_IFCHR | 0o600, rdev=(1, 5)), Node(b"dir", DIR), Node(b"in", FILE, b"22"),
        Node(b"sub", DIR), Node(b"deep", FILE, b"4"), None, None,
        Node(b"dir-to-file", FILE, b""), Node(b"file-to-dir", DIR), Node(b"found", FILE, b""), None,
        Node(b"first", FILE, b"LINKED"), Node(b"flag", FILE, b""), Node(b"hard", FILE, link=b"first"), Node(b"link", LINK, target=b"there"),
        Node(b"mode", stat.S_IFREG | 0o600, b"m", mtime=(1700000000, 6)), Node(b"new", DIR), Node(b"1", FILE, b"1"), Node(b"2", DIR), Node(b"3", FILE, b"3"), None, None,
        Node(b"own", FILE, b"o", owner=(1, 3)), Node(b"proj", FILE, b"", items=[(PROJID, struct.pack("<Q", 8))]),
        Node(b"u-acl", FILE, b"", items=acl), Node(b"x", FILE, b"x", xattrs={b"user.b": b"2", b"user.a": b"1"}),
        Node(b"y", FILE, b"y", xattrs={b"user.a": b"1", b"user.b": b"3"}), Node(b"z\n\xff", FILE, b"ODD"), None]


FORMS = [(a, b) for a in (False, True) for b in (False, True)]


def check_all(tap, pluck, scratch):
    old, new = old_tree(), new_tree()
    for form in FORMS:
        two = Two(pluck, scratch.join("s"))
        two.archive("root", old, new, form)
        two.finish()
        what = " and ".join("split" if f else "unified" for f in form)
        r, seen, answer = two.json("root.pxar")
        want = expected(old, new)
        tap.ok(r.code == 0 and seen == want, "every kind of difference, %s" % what, r, {k: (seen.get(k), want.get(k)) for k in seen.keys() | want.keys()
                                                                                      if seen.get(k) != want.get(k)})
        paths = [base64.b64decode(d["path"]) for d in answer["differences"]]
        tap.equal(paths, sorted(paths, key=lambda p: p.split(b"/")), "in the order of names, %s" % what)
        tap.equal([answer["totals"][k] for k in ("added", "removed", "changed", "unknown")],
                  [sum(op == k for op, _ in want.values()) for k in ("added", "removed", "changed", "unknown")], "with totals, %s" % what)
    back = two.pluck.run("diff", "--repository", two.path, NEW, OLD, "root", "--output-format", "jsonl")
    lines = [json.loads(line) for line in back.out.splitlines()]
    turned = {p: ({"added": "removed", "removed": "added"}.get(op, op), c) for p, (op, c) in want.items()}
    tap.ok(back.code == 0 and {base64.b64decode(d["path"]): (d["op"], frozenset(d.get("changes", ()))) for d in lines[:-1]} == turned and
           lines[-1]["totals"]["added"] == answer["totals"]["removed"] and lines[-1]["old"]["snapshot"] == NEW, "backwards, a line a difference", back)


def check_text(tap, pluck, scratch):
    two = Two(pluck, scratch.join("s"))
    two.archive("root", old_tree(), new_tree())
    two.finish()
    r = two.run("root")
    lines = r.out.decode().splitlines()
    for line in ("M d .: mtime 2023-11-14 22:13:20.000000005 -> 2023-11-14 22:13:21.000000000", "M f big: contents", "D f dir/gone", "M f dir/in: size 1 -> 2, contents",
                 "M f dir-to-file: type d -> f", "D f dir-to-file/lost", "M d file-to-dir: type f -> d", "A d new", "A f new/2/3", "D d tree/2",
                 "M l link: target here -> there", "M c dev: rdev 1:3 -> 1:5", "M f own: owner 1:2 -> 1:3", "M f y: xattrs", "M f z\\x0a\\xff: contents",
                 "M f mode: mode 0640 -> 0600, mtime 2023-11-14 22:13:20.000000005 -> 2023-11-14 22:13:20.000000006"):
        tap.ok(line in lines, "text: %s" % line, *lines)
    tap.ok(r.code == 0 and "compared, " in r.text and " %d added, %d removed" % tuple(sum(op == k for op, _ in expected(old_tree(), new_tree()).values()) for k in ("added", "removed")) in r.text and not any("\x0a" in x or "\xff" in x for x in lines), "and a line of totals", r)
    r = two.run("root", "--quiet")
    tap.ok(r.code == 0 and not r.err and r.out.decode().splitlines() == lines, "--quiet: without it", r)
    r = pluck.run("diff", "--repository", two.path, OLD, OLD, "root")
    tap.ok(r.code == 0 and not r.out and "0 B read" in r.text, "a snapshot and itself: nothing, and no contents are read", r)
    for args, code, text in ((["none.pxar"], 3, OLD), (["root/none"], 3, "none"), (["/"], 2, "list SNAPSHOT"), (["root/.."], 2, "..")):
        r = two.run(*args)
        tap.ok(r.code == code and text in r.text and not r.out, "%s: %d" % (args[0], code), r)
    r = pluck.run("diff", "--repository", two.path, OLD, "root")
    tap.ok(r.code == 2 and not r.out, "two snapshots are needed: 2", r)


def check_parts(tap, pluck, scratch):
    two = Two(pluck, scratch.join("s"))
    old, new = old_tree(), new_tree()
    two.archive("root", old, new, (True, False))
    two.finish()
    want = expected(old, new)
    for part in (b"dir", b"dir/sub", b"new", b"tree", b"big", b"file-to-dir", b"dir/in", b"tree/2/3"):
        r, seen, _ = two.json("root//" + part.decode() + "/")
        inside = {p: c for p, c in want.items() if p == part or p.startswith(part + b"/")}
        tap.ok(r.code == 0 and seen == inside, "a part: %s" % part.decode(), r, seen, inside)


def check_digests(tap, pluck, scratch):
    for split in (False, True):
        data = NOISE(400000)
        new = bytearray(data)
        new[200000] ^= 1
        two = Two(pluck, scratch.join("s"))
        tree = [Node(b"", DIR), Node(b"f", FILE, data), Node(b"g", FILE, data[:50000]), None]
        changed = [Node(b"", DIR), Node(b"f", FILE, bytes(new)), Node(b"g", FILE, data[:50000]), None]
        digests = two.archive("root", tree, changed, (split, split))
        two.archive("same", tree, tree, (split, split))
        two.finish()
        inner = [[d for i, d in enumerate(side) if 8192 < i * 4096 < 390000] for side in digests]
        form = "split" if split else "unified"
        two.lose(set(inner[0]) | set(inner[1]))
        r, seen, answer = two.json("same")
        tap.ok(r.code == 0 and not seen and not answer["totals"]["bytes-read"] and answer["totals"]["bytes-by-digest"] == 450000,
               "chunks with the same digest are not read: %s" % form, r, seen, answer["totals"])
        r, seen, answer = two.json("root")
        tap.ok(r.code == 0 and seen == {b"f": ("changed", frozenset({"contents"}))} and answer["totals"]["bytes-read"] == 0,
               "nor are those that prove a difference: %s" % form, r, seen, answer["totals"])


def check_reading(tap, pluck, scratch):
    """The same contents at other places of the chunks."""
    for form in FORMS:
        data = NOISE(300000)
        two = Two(pluck, scratch.join("s"))
        digests = two.archive("root", [Node(b"", DIR), Node(b"f", FILE, data), Node(b"z", FILE, b"end"), None],
                              [Node(b"", DIR), Node(b"a", FILE, b"moves it"), Node(b"f", FILE, data), Node(b"z", FILE, b"END"), None], form)
        two.finish()
        r, seen, answer = two.json("root")
        want = {b"a": ("added", frozenset()), b"z": ("changed", frozenset({"contents"}))}
        tap.ok(r.code == 0 and seen == want and answer["totals"]["bytes-read"] >= 300000, "contents that only reading tells, %s" % (form,), r, seen, answer["totals"])
        r, seen, answer = two.json("root", "--no-contents")
        tap.ok(r.code == 0 and set(seen) == {b"a"} and answer["totals"]["contents-not-read"] == 2 and not answer["totals"]["bytes-read"],
               "--no-contents reads none, and says of how many files, %s" % (form,), r, seen, answer["totals"])
        two.lose([digests[0][len(digests[0]) // 2]])
        r, seen, answer = two.json("root")
        why = [d["error"]["text"] for d in answer["differences"] if "error" in d]
        tap.ok(r.code == 5 and seen.get(b"f") == ("unknown", frozenset()) and seen.get(b"a") and "the old one" in why[0] and answer["totals"]["unknown"] == 1,
               "a lost chunk: said, and 5, %s" % (form,), r, seen, why)
        r = two.run("root")
        tap.ok(r.code == 5 and b"? f f: contents cannot be compared" in r.out, "the same as text, %s" % (form,), r, r.out)


def shuffled(tree, rnd):
    """The same tree with the members of each directory in another order."""
    nodes = iter(tree[1:])

    def directory():
        groups = []
        for node in nodes:
            if node is None:
                break
            groups.append([node] + (directory() + [None] if stat.S_ISDIR(node.mode) else []))
        rnd.shuffle(groups)
        return [n for g in groups for n in g]

    return [tree[0]] + directory() + [None]


def random_tree(rnd, depth=0):
    nodes = []
    for name in sorted({b"%x" % rnd.randrange(40) for _ in range(rnd.randrange(2, 14))}):
        kind = rnd.randrange(6)
        mtime = (1700000000 + rnd.randrange(2), 0)
        if kind == 0 and depth < 4:
            nodes += [Node(name, DIR, mtime=mtime)] + random_tree(rnd, depth + 1) + [None]
        elif kind == 1:
            nodes.append(Node(name, LINK, target=b"t%d" % rnd.randrange(2), mtime=mtime))
        else:
            nodes.append(Node(name, FILE, b"data%d" % rnd.randrange(3) * rnd.choice((1, 1000)), mtime=mtime))
    return nodes


def check_orders(tap, pluck, scratch):
    bad = []
    for seed in range(24):
        rnd = random.Random(seed)
        trees = [[Node(b"", DIR)] + random_tree(rnd) + [None] for _ in range(2)]
        want = expected(*trees)
        form = FORMS[seed % 4]
        two = Two(pluck, scratch.join("s"))
        two.archive("root", *[shuffled(t, rnd) if seed % 3 != side else t for side, t in enumerate(trees)], form)
        two.finish()
        r, seen, _ = two.json("root")
        if r.code or seen != want:
            bad.append((seed, r.code, r.text, {k: (seen.get(k), want.get(k)) for k in seen.keys() | want.keys() if seen.get(k) != want.get(k)}))
    tap.equal(bad, [], "24 pairs of trees at random, members in any order")


def check_lost_tables(tap, pluck, scratch):
    nodes = [Node(b"f%03d" % i, FILE, b"%d" % i) for i in range(400)]
    old = [Node(b"", DIR), Node(b"d", DIR)] + nodes + [None, Node(b"e", FILE, b"1"), None]
    new = [Node(b"", DIR), Node(b"d", DIR)] + nodes[:200] + [Node(b"f199x", FILE, b"")] + nodes[200:] + [None, Node(b"e", FILE, b"2"), None]
    for side in (0, 1):
        two = Two(pluck, scratch.join("s"))
        two.archive("root", old, new, (True, True))
        two.finish()
        index = os.path.join(two.path, (OLD, NEW)[side], "root.mpxar.didx")
        with open(index, "rb") as f:
            entries = f.read()[4096:]
        # The last but one 4096 bytes hold nothing but the table of d.
        digests = [entries[i + 8:i + 40].hex() for i in range(0, len(entries), 40)]
        two.lose([digests[-2]])
        r, seen, answer = two.json("root")
        tap.ok(r.code == 5 and seen.get(b"d", ("",))[0] == "unknown" and seen.get(b"e") == ("changed", frozenset({"contents"})) and
               not [p for p, (op, _) in seen.items() if op in ("added", "removed") and p != b"d/f199x"],
               "a directory whose table is lost: nothing false is said of its members", r, {p: c for p, c in seen.items()}, len(seen))


def check_hostile(tap, pluck, scratch):
    codes = set()
    rnd = random.Random(5)
    for i in range(60):
        two = Two(pluck, scratch.join("s"))
        form = FORMS[i % 4]
        two.archive("root", old_tree(), old_tree(), (form[0], form[0]))
        meta, payload = P.encode(old_tree(), split=form[0])
        meta = bytearray(meta)
        for _ in range(rnd.randrange(1, 4)):
            meta[rnd.randrange(len(meta))] = rnd.randrange(256)
        snap = two.snap[1]
        snap.files = []
        snap.add_stream("root.mpxar.didx" if form[0] else "root.pxar.didx", bytes(meta))
        if form[0]:
            snap.add_stream("root.ppxar.didx", payload)
        two.finish()
        r = two.run("root", "--output-format", "jsonl")
        codes.add(r.code)
        if r.code not in (0, 5):
            tap.ok(False, "seed %d" % i, r)
    tap.ok(codes == {0, 5}, "60 archives with changed bytes: compared, or refused with 5", codes)
    two = Two(pluck, scratch.join("s"))
    deep = [Node(b"", DIR)] + [Node(b"d", DIR)] * 20000 + [None] * 20001
    two.archive("root", deep, deep, chunk=1 << 20)
    two.finish()
    r = two.run("root")
    tap.ok(r.code == 1 and b"too deep" in r.out, "20000 directories in each other", r)


def image(tap, pluck, path, old, new, chunk=(65536, 65536)):
    two = Two(pluck, path)
    for snap, data, size in zip(two.snap, (old, new), chunk):
        snap.add_image("disk.img.fidx", data, size)
    return two.finish()


def check_images(tap, pluck, scratch):
    C = 65536
    base = bytearray(NOISE(20 * C))
    new = bytearray(base)
    for i in (2, 3, 4, 9, 15):
        new[i * C] ^= 1
    new[11 * C:12 * C] = bytes(C)
    two = image(tap, pluck, scratch.join("s"), bytes(base), bytes(new))
    shutil.rmtree(os.path.join(two.path, ".chunks"))
    os.mkdir(os.path.join(two.path, ".chunks"))
    r = two.run("disk.img")
    want = [("M", 2 * C, 3 * C), ("M", 9 * C, C), ("M", 11 * C, C), ("M", 15 * C, C)]
    tap.ok(r.code == 0 and r.out.decode() == "".join("%s %d %d\n" % w for w in want) and "384 KiB changed (64 KiB to zeros)" in r.text,
           "changed ranges of an image, merged, without any chunk", r, r.out)
    r = two.run("disk", "--output-format", "json-pretty")
    answer = json.loads(r.out)
    tap.ok(r.code == 0 and answer["kind"] == "image" and [(d["offset"], d["length"]) for d in answer["differences"]] == [w[1:] for w in want] and
           answer["totals"] == {"same": 14 * C, "changed": 6 * C, "zeroed": C, "added": 0, "removed": 0, "chunks": 6} and answer["new"]["size"] == 20 * C,
           "as JSON", r, answer)
    r = pluck.run("diff", "--repository", two.path, OLD, OLD, "disk")
    tap.ok(r.code == 0 and not r.out, "an image and itself", r)
    r = two.run("disk/part/1")
    tap.ok(r.code == 2 and not r.out and "as a whole" in r.text, "a partition cannot be compared: 2", r)
    for grown, ops in ((True, "A"), (False, "D")):
        a, b = bytes(base[:5 * C + 512]), bytes(base[:8 * C])
        two = image(tap, pluck, scratch.join("s"), *((a, b) if grown else (b, a)))
        r = two.run("disk")
        tap.equal((r.code, r.out.decode()), (0, "M %d 512\n%s %d %d\n" % (5 * C, ops, 5 * C + 512, 3 * C - 512)), "an image that %s" % ("grew" if grown else "shrank"))
    two = image(tap, pluck, scratch.join("s"), bytes(base), bytes(base), (C, 2 * C))
    for args in ([], ["--output-format", "json"], ["--output-format", "jsonl"]):
        r = two.run("disk", *args)
        tap.ok(r.code == 1 and "different sizes" in r.text and b'"totals"' not in r.out, "chunks of different sizes: it cannot be told, 1", r, r.out)
    two = Two(pluck, scratch.join("s"))
    two.snap[0].add_image("x.img.fidx", bytes(base))
    two.archive("x", old_tree(), old_tree())
    two.snap[0].files.pop()
    two.finish()
    r = two.run("x")
    tap.ok(r.code == 2 and "disk image in one" in r.text, "an image and an archive: 2", r)


def check_keys(tap, pluck, scratch):
    store, disk = scratch.join("enc"), scratch.join("d.raw")
    env = dict(pluck.env, HOME=scratch.path)
    keys = [scratch.join("key%d.json" % i) for i in range(2)]
    base = bytearray(NOISE(9 << 20))
    tap.equal([pluck.run("key", "create", k, "--kdf", "none").code for k in keys] + [pluck.run("datastore", "create", store).code], [0, 0, 0], "keys and a store")
    for i, key in enumerate((keys[0], keys[0], keys[1], None)):
        base[4 << 20] ^= i != 0
        with open(disk, "wb") as f:
            f.write(base)
        r = pluck.run("backup", "--repository", store, "--backup-id", "1", "--backup-time", str(1700000000 + i), "d.img:" + disk, *(["--keyfile", key] if key else []), env=env)
        tap.ok(r.code == 0, "backup", r)
    name = ["vm/1/2023-11-14T22:13:2%dZ" % i for i in range(4)]

    def run(a, b, *args):
        return pluck.run("diff", "--repository", store, name[a], name[b], "d.img", *args, env=env)

    want = b"M %d %d\n" % (4 << 20, 4 << 20)
    r = run(0, 1, "--keyfile", keys[0])
    tap.ok(r.code == 0 and r.out == want and "signature" not in r.text, "images with the same key", r, r.out)
    with open(keys[0], "rb") as f:
        r = run(0, 1, "--keyfd", str(f.fileno())) if False else pluck.run("diff", "--repository", store, name[0], name[1], "d.img", "--keyfile", "/dev/stdin", env=env, stdin=f)
    tap.ok(r.code == 0 and r.out == want, "the key is read once", r, r.out)
    for args in ([], ["--keyfile", keys[1]], ["--crypt-mode", "none"]):
        r = run(0, 1, *args)
        tap.ok(r.code == 0 and r.out == want and "signature was not checked" in r.text, "the same without it, and a warning: %s" % args, r, r.out)
    for a, b, args, text in ((0, 2, ["--keyfile", keys[0]], "different keys"), (0, 2, [], "different keys"), (0, 3, ["--keyfile", keys[0]], "is not"), (3, 0, [], "is not")):
        r = run(a, b, *args)
        tap.ok(r.code == 1 and text in r.text and not r.out, "images whose digests do not compare: 1", r, r.out)
    r = run(0, 1, "--require-signature")
    tap.ok(r.code == 4 and not r.out, "--require-signature without a key: 4", r)


class GoldenTree:
    def __init__(self, path):
        self.entries, self.lines = {}, {}
        for o in G.lines_of(path):
            if not o.get("ex"):
                e = G.entry(o)
                self.entries[e.path], self.lines[e.path] = e, o

    def attributes(self, path):
        """{what diff calls it: value}"""
        e, o = self.entries[path], self.lines[path]
        own = {G.ACCESS: "acl", G.DEFAULT: "acl", G.CAPS: "capabilities"}
        out = {"mode": e.mode, "owner": (e.uid, e.gid), "mtime": e.mtime, "flags": set(o.get("fl", "")), "project": o.get("pj", 0),
               "xattrs": {k: v for k, v in e.xattrs.items() if k not in own}, "acl": {k: v for k, v in e.xattrs.items() if own.get(k) == "acl"},
               "capabilities": e.xattrs.get(G.CAPS), "target": e.target, "rdev": e.rdev, "size": e.size, "contents": e.sha,
               "link": o.get("hl") if e.type == "f" else None}
        return e.type, out


def golden_expected(a, b):
    want = {}
    for path in a.entries.keys() | b.entries.keys():
        if path not in a.entries or path not in b.entries:
            want[path] = ("removed" if path in a.entries else "added", frozenset())
            continue
        (kind, x), (other, y) = a.attributes(path), b.attributes(path)
        what = {k for k in x if x[k] != y[k]} if kind == other else {"type"}
        if what:
            want[path] = ("changed", frozenset(what))
    return want


def check_golden(tap, pluck, scratch, golden):
    trees, total = {}, 0
    for name in ("plain", "encrypted"):
        store, bad, pairs = G.Store(golden, name, scratch), [], 0
        env = dict(store.env(pluck.env), HOME=scratch.path)
        rows = {}
        for row in store.contents():
            if "tree" in row:
                rows.setdefault((row["ns"], row["snapshot"].rsplit("/", 1)[0], row["file"].split(".")[0]), []).append((row["snapshot"], row["tree"]))
        for (ns, group, stem), made in sorted(rows.items()):
            for (a, old), (b, new) in zip(made, made[1:]):
                for tree in (old, new):
                    trees[tree] = trees.get(tree) or GoldenTree(os.path.join(golden, "trees", tree + ".jsonl.zst"))
                want = golden_expected(trees[old], trees[new])
                key = store.key(a) or store.key(b)
                r = pluck.run("diff", "--repository", store.path, *(["--ns", ns] if ns else []), *(["--keyfile", key] if key else []), a, b, stem,
                              "--output-format", "json", env=env)
                if key and store.key(b) and store.key(a) and store.key(a) != store.key(b):
                    bad += [] if r.code == 4 else [(a, b, r)]
                    continue
                answer = json.loads(r.out) if r.code == 0 else {"differences": []}
                seen = {base64.b64decode(d["path"]): (d["op"], frozenset(d.get("changes", ()))) for d in answer["differences"]}
                seen.pop(b".pxarexclude-cli", None)	# made by the client, in no tree
                if r.code or seen != want:
                    bad.append((a, b, stem, r, {k: (seen.get(k), want.get(k)) for k in seen.keys() | want.keys() if seen.get(k) != want.get(k)}))
                pairs, total = pairs + 1, total + len(want)
        tap.ok(not bad and pairs > 3, "%s: %d pairs of snapshots that the official tools wrote" % (name, pairs), *bad)
    tap.ok(total > 100, "%d differences" % total)


with Tap() as tap, Scratch() as scratch, Pluck(scratch, prefix=LIMITED) as pluck:
    check_all(tap, pluck, scratch)
    check_text(tap, pluck, scratch)
    check_parts(tap, pluck, scratch)
    check_digests(tap, pluck, scratch)
    check_reading(tap, pluck, scratch)
    check_orders(tap, pluck, scratch)
    check_lost_tables(tap, pluck, scratch)
    check_hostile(tap, pluck, scratch)
    check_images(tap, pluck, scratch)
    check_keys(tap, pluck, scratch)
    golden = test_data("PLUCK_GOLDEN", "golden")
    if golden is None:
        tap.skip("stores of the official tools", "no golden data ($PLUCK_GOLDEN)")
    else:
        check_golden(tap, pluck, scratch, golden)
    tap.equal(pluck.session_pids(), [], "no session was started for any of this")
