#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Every file archive that the official tools of all versions and the Go clients wrote, against the manifests of what went in: listed,
# extracted to a directory and as tar. Of archives with the same bytes in one store, one: that all of them decode to these bytes is
# compared by restore.t, with images and blobs. Prints a table of what was compared.
import base64
import collections
import fcntl
import json
import os
import struct
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import golden as G
import manifest as M
from images import remove_tree
from program import LIMITED, Pluck, Scratch
from tap import Tap, test_data

FLAG_BITS = {"i": 0x10, "a": 0x20, "A": 0x80}	# of chattr flags those that every file system with flags has
EXCLUDES = b".pxarexclude-cli"	# written by the client, in no source tree
PASS = {"": "golden pass", "old": "old pass"}


def unb64(s):
    return base64.b64decode(s)


def acl_of(who, owner, group, other, mask):
    rows = [(1, owner, 0xffffffff), (4, group, 0xffffffff), (32, other, 0xffffffff)]
    rows += [(2 if name.startswith("user") else 8, perm, int(name.split(":")[1])) for name, perm in who.items()]
    if mask is not None:
        rows.append((16, mask, 0xffffffff))
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", t, p, i) for t, p, i in sorted(rows, key=lambda r: (r[0], r[2])))


def go_entry(o, seen):
    kind = o["t"]
    path = unb64(o["p"])
    if kind == "hardlink":
        first = seen[unb64(o["l"])]
        e = M.Entry(path, **{f: getattr(first, f) for f in M.FIELDS if f != "links"})
        e.ino = first.ino
        return e
    e = M.Entry(path, type=M.TYPES[kind], mode=int(o["m"], 8), uid=o["u"], gid=o["g"], mtime=o["mt"], sha=o.get("h"), ino=o["p"])
    e.size = o.get("s") if e.type == "f" else None
    e.target = unb64(o["l"]) if "l" in o else None
    e.rdev = tuple(o["r"]) if "r" in o else None
    e.xattrs = {k: unb64(v) for k, v in o.get("x", {}).items()}
    acl = o.get("acl", {})
    named = {k: v for k, v in acl.items() if k.startswith(("user:", "group:"))}
    bits = [e.mode >> 6 & 7, e.mode >> 3 & 7, e.mode & 7]
    if named or "group_obj" in acl:
        e.xattrs[G.ACCESS] = acl_of(named, bits[0], acl.get("group_obj", bits[1]), bits[2], bits[1])
    if "default" in acl:
        named = {k[8:]: v for k, v in acl.items() if k.startswith(("default_user:", "default_group:"))}
        e.xattrs[G.DEFAULT] = acl_of(named, *acl["default"], acl.get("default_mask"))
    return e


class Want:
    """What an archive must hold: entries by path, chattr flags by path."""

    def __init__(self, path):
        self.entries, self.flags, self.changed = {}, {}, 0	# changed: entries with flags or a project id
        for o in G.lines_of(path):
            if o.get("ex") or "p" not in o:
                continue
            self.changed += "fl" in o or "pj" in o
            e = G.entry(o) if "sec" in o else go_entry(o, self.entries)
            self.entries[e.path] = e
            self.flags[e.path] = o.get("fl", "")
        names = collections.Counter(e.ino for e in self.entries.values() if e.type == "f")
        for e in self.entries.values():
            e.links = names[e.ino] if e.type == "f" else None


class Target:
    """What a directory on this machine can hold: asked, not assumed."""

    def __init__(self, scratch):
        self.file, self.dir = scratch.join("probe"), scratch.new_dir("probe.d")
        with open(self.file, "wb"):
            pass
        self.known = {}

    def holds_time(self, ns):
        if ns not in self.known:
            try:
                os.utime(self.file, ns=(0, ns))
                self.known[ns] = os.stat(self.file).st_mtime_ns == ns
            except OverflowError:
                self.known[ns] = False
        return self.known[ns]

    def holds_xattrs(self, xattrs, is_dir):
        """All of them at once: a file system may have room for each, but not for all."""
        place, there = self.dir if is_dir else self.file, []
        try:
            for name, value in xattrs.items():
                os.setxattr(place, name, value)
                there.append(name)
        except OSError:
            return False
        finally:
            for name in there:
                os.removexattr(place, name)
        return True

    def fit_xattrs(self, want, seen, is_dir):
        """Of attributes that do not all fit those that came first are there: none of the others has room beside them."""
        out = {k: v for k, v in want.items() if self.holds_xattrs({k: v}, is_dir)}
        if self.holds_xattrs(out, is_dir):
            return out
        there = {k: v for k, v in out.items() if k in seen}
        return {k: v for k, v in out.items() if k in there or self.holds_xattrs(dict(there, **{k: v}), is_dir)}

    def fit(self, want, seen):
        """The entries as far as this place can hold them, and how many are not quite the same."""
        out, cut = {}, 0
        for path, e in want.items():
            n = M.Entry(path, **{f: getattr(e, f) for f in M.FIELDS})
            n.ino = e.ino
            if not self.holds_time(e.mtime):
                n.mtime = None
            if e.xattrs:
                n.xattrs = self.fit_xattrs(e.xattrs, seen[path].xattrs or {} if path in seen else {}, e.type == "d")
            cut += n.mtime is None or n.xattrs != e.xattrs
            out[path] = n
        return out, cut


def flags_of(path):
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        return struct.unpack("i", fcntl.ioctl(fd, 0x80086601, bytes(8))[:4])[0]
    except OSError:
        return None
    finally:
        os.close(fd)


def plain_listing(text):
    entries = [M.listed_entry(unb64(o["filepath"]).lstrip(b"/"), o) for o in map(json.loads, text.splitlines())]
    return {e.path: e for e in entries}, []


class Check:
    def __init__(self, tap, pluck, scratch):
        self.tap, self.pluck, self.scratch = tap, pluck, scratch
        self.target = Target(scratch)
        self.wants, self.tarred = {}, set()
        self.rows = []
        self.count = collections.Counter()
        self.bad = []

    def want(self, path):
        if path not in self.wants:
            self.wants[path] = Want(path)
        return self.wants[path]

    def note(self, what, differences, *more):
        if differences:
            self.bad.append("%s: %s %s" % (what, "; ".join(str(d) for d in differences[:5]), " ".join(str(m) for m in more)))

    def end_part(self, name):
        """One line of the table, one test."""
        self.rows.append((name, dict(self.count)))
        self.tap.ok(not self.bad and self.count, "%s: %s" % (name, ", ".join("%d %s" % (v, k) for k, v in self.count.items())), *self.bad[:10])
        self.count, self.bad = collections.Counter(), []

    def listing(self, what, args, prefix, want):
        r = self.pluck.run(*args)
        seen, problems = M.from_listing(r.out.decode(), prefix) if prefix else plain_listing(r.out)
        expect = {p: e for p, e in want.entries.items() if p != b""}
        seen.pop(EXCLUDES, None)
        d = M.compare(expect, seen, ignore=("links", "xattrs"))
        self.note(what + ", listed", d + problems + ([] if r.code == 0 else [r]))
        self.count["listed"] += 1
        self.count["entries"] += len(expect)

    def directory(self, what, args, want):
        top = self.scratch.new_dir("out")
        r = self.pluck.run(*args, top)
        seen = M.from_tree(top)
        expect, cut = self.target.fit(want.entries, seen)
        seen.pop(EXCLUDES, None)
        d = M.compare(expect, seen, ignore=("links",))
        for path, letters in want.flags.items():
            has = flags_of(os.path.join(os.fsencode(top), path)) if letters and not set(letters) - set(FLAG_BITS) else None
            if has is not None and any((c in letters) != bool(has & bit) for c, bit in FLAG_BITS.items()):
                d.append("%r has flags %x, not %s" % (path, has, letters))
        ok = r.code == 0 or (r.code == 1 and (cut or want.changed))
        self.note(what + ", extracted", d + ([] if ok else [r]))
        self.count["extracted"] += 1
        self.count["entries this file system cannot hold exactly"] += cut
        remove_tree(top)

    def tar(self, what, args, want):
        with open(self.scratch.join("tar"), "w+b") as out:
            r = self.pluck.run(*args, stdout=out)
            out.seek(0)
            seen = M.from_tar(out)
        seen.pop(EXCLUDES, None)
        for e in seen.values():	# a header cannot hold "=" in a name
            e.xattrs = {k.replace("%3D", "="): v for k, v in (e.xattrs or {}).items()}
        expect = want.entries if b"" in seen else {p: e for p, e in want.entries.items() if p != b""}
        without = [p for p, e in expect.items() if e.type == "s"]
        d = M.compare(expect, seen, ignore=("links",), without=("s",))
        self.note(what + ", as tar", d + ([] if r.code == 0 or (r.code == 1 and (without or want.changed)) else [r]))
        self.count["as tar"] += 1


def key_of(keys, snapshot, old):
    """The key file a snapshot was made with."""
    group, when = snapshot.split("/")[1], snapshot.split("/")[2]
    if old:
        version = group[1:].split("-")
        return os.path.join(keys, "%s-%s.json" % (".".join(version[:3]), "none" if "nokdf" in group else "scrypt"))
    name = {"nokdf": "none", "pbkdf2": "pbkdf2"}.get(group, "scrypt")
    return os.path.join(keys, ("none" if group == "change" and when.startswith("2024-01-03") else name) + ".json")


def sealed(lines):
    return {o["snapshot"] for o in lines if o.get("crypt-mode", "none") != "none"}


def check_store(c, golden, name, old):
    base = os.path.join(golden, "old" if old else "")
    place = c.scratch.new_dir("store")
    with subprocess.Popen(["zstd", "-dcq", "--long=27", os.path.join(base, "stores", name + ".tar.zst")], stdout=subprocess.PIPE) as z:
        subprocess.run(["tar", "-x", "-C", place, "--no-same-owner"], stdin=z.stdout, check=True)
    store = os.path.join(place, os.listdir(place)[0])
    if not os.path.isdir(os.path.join(store, ".chunks")):
        store = place
    lines = G.lines_of(os.path.join(base, "stores", name + ".contents.jsonl.zst"))
    with_key, done = sealed(lines), set()
    streams = {(o["snapshot"], o["file"]): o.get("sha256") for o in lines if "file" in o}
    for o in lines:
        if o.get("unfinished") or "missing-chunk" in o or "sha256" not in o or "tree" not in o:
            continue
        mark = (o["sha256"], streams.get((o["snapshot"], o["file"].replace(".mpxar.", ".ppxar."))), o["tree"])
        c.count["archives"] += 1
        if mark in done:
            continue
        done.add(mark)
        words = o["snapshot"].split("/")
        ns, snapshot = "/".join(words[1:-3:2]), "/".join(words[-3:])
        source = ["--repository", store] + (["--ns", ns] if ns else [])
        if o["snapshot"] in with_key:
            source += ["--keyfile", key_of(os.path.join(base, "keys"), snapshot, old)]
        what = "%s, %s, %s" % (name, o["snapshot"], o["file"])
        tree = os.path.join(base, "trees", o["tree"] + ".jsonl.zst")
        want = c.want(tree)
        c.listing(what, ["list", *source, snapshot, o["file"], "--recursive", "--output-format", "jsonl"], o["file"].encode(), want)
        c.directory(what, ["extract", *source, snapshot, o["file"], "--devices", "--quiet"], want)
        if tree not in c.tarred:	# the same extractor: once for each tree
            c.tar(what, ["extract", *source, snapshot, o["file"], "-", "--format", "tar", "--quiet"], want)
            c.tarred.add(tree)
    remove_tree(place)
    c.end_part("store %s%s" % ("old/" if old else "", name))


def check_plain(c, part, files, want_of):
    """files: {name: path of .pxar or .mpxar}."""
    for name, path in sorted(files.items()):
        want = c.want(want_of(name))
        c.listing("%s, %s" % (part, name), ["pxar", "list", path, "--output-format", "jsonl"], b"", want)
        c.directory("%s, %s" % (part, name), ["pxar", "extract", "--devices", path], want)
    c.end_part(part)


def unpacked(scratch, place, names):
    top = scratch.new_dir("plain")
    for n in names:
        subprocess.run(["zstd", "-dqf", os.path.join(place, n + ".zst"), "-o", os.path.join(top, n)], check=True)
    return top


def check_official_files(c, golden):
    place = os.path.join(golden, "pxar")
    names = [n[:-4] for n in os.listdir(place) if n.endswith("pxar.zst")]
    top = unpacked(c.scratch, place, names)
    files = {n: os.path.join(top, n) for n in names if not n.endswith(".ppxar")}
    check_plain(c, "pxar", files, lambda n: os.path.join(place, n.rsplit(".", 1)[0] + ".jsonl.zst"))


def old_manifest(golden, name):
    version, tree = name.rsplit(".", 1)[0].split("-", 1)
    state = {"0": 0, "1": 1, "2": 2}.get(version[0], 3)
    tree = {"T0": "T0-noattr.v0", "T0-attrs": "T0.v0"}.get(tree, tree if tree == "TO" else "%s.v%d" % (tree, state))
    return os.path.join(golden, "old/trees", tree + ".jsonl.zst")


def check_old_files(c, golden):
    top = c.scratch.new_dir("plain")
    with subprocess.Popen(["zstd", "-dcq", "--long=27", os.path.join(golden, "old/pxar/archives.tar.zst")], stdout=subprocess.PIPE) as z:
        subprocess.run(["tar", "-x", "-C", top, "--no-same-owner"], stdin=z.stdout, check=True)
    top = os.path.join(top, "pxar")
    files = {n: os.path.join(top, n) for n in os.listdir(top) if n.endswith((".pxar", ".mpxar"))}
    check_plain(c, "old/pxar", files, lambda n: old_manifest(golden, n))


def check_go_files(c, golden):
    place = os.path.join(golden, "go-pxar")
    names = [n[:-4] for n in os.listdir(place) if n.endswith("pxar.zst") and not n.startswith(("bad-", "duplicate-", "tizbac-dangling"))]
    top = unpacked(c.scratch, place, names)
    files = {n: os.path.join(top, n) for n in names if not n.endswith(".ppxar")}
    check_plain(c, "go-pxar", files, lambda n: os.path.join(place, n.split(".")[0].split("-split")[0] + ".jsonl.zst"))
    odd = unpacked(c.scratch, place, ["bad-split-streamed.mpxar", "bad-split-streamed.ppxar", "duplicate-names.pxar", "tizbac-dangling.pxar"])
    r = c.pluck.run("pxar", "list", os.path.join(odd, "bad-split-streamed.mpxar"))
    c.tap.ok(r.code == 5 and "bytes between members" in r.text, "go-pxar: data in the metadata stream is refused", r)
    r = c.pluck.run("pxar", "list", os.path.join(odd, "duplicate-names.pxar"))
    c.tap.ok(r.code == 0 and r.out.count(b"same\n") == 2, "go-pxar: two members of one name are both listed", r)
    r = c.pluck.run("pxar", "extract", os.path.join(odd, "duplicate-names.pxar"), c.scratch.new_dir("out"))
    c.tap.ok(r.code in (0, 1), "go-pxar: two members of one name, extracted", r, os.listdir(c.scratch.join("out")))
    r = c.pluck.run("pxar", "extract", os.path.join(odd, "tizbac-dangling.pxar"), c.scratch.new_dir("out"))
    there = set(os.listdir(c.scratch.join("out")))
    c.tap.ok(r.code != 0 and {"a", "z", "sub"} <= there, "go-pxar: members that were never written: the rest comes, and it is told", r, there)


golden = test_data("PLUCK_GOLDEN", "golden")
if golden is None:
    Tap.skip_all("no golden data ($PLUCK_GOLDEN)")
if os.geteuid() != 0:
    Tap.skip_all("owners and devices need root")
with Tap() as tap, Scratch() as scratch, Pluck(scratch, prefix=LIMITED, env={"HOME": scratch.path, "PBS_ENCRYPTION_PASSWORD": PASS[""]}) as pluck:
    check = Check(tap, pluck, scratch)
    for stored in "plain", "encrypted":
        check_store(check, golden, stored, False)
    pluck.env["PBS_ENCRYPTION_PASSWORD"] = PASS["old"]
    for stored in "server-0.8.9", "server-1.1.14", "server-4.2.3":
        check_store(check, golden, stored, True)
    check_official_files(check, golden)
    check_old_files(check, golden)
    check_go_files(check, golden)
    columns = sorted({k for _, row in check.rows for k in row})
    print("# compared" + "".join("  %s" % k for k in columns))
    for part, row in check.rows:
        print("# %-22s" % part + "".join("%*d" % (len(k) + 2, row.get(k, 0)) for k in columns))
