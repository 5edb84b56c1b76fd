#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# What the options of extract change: filters, owners, attributes, dry runs, reports with hashes, progress for scripts.
# Each for a disk in the VM, for a file archive of a snapshot, and for one that is a plain file, unified and split.
import base64
import hashlib
import io
import json
import os
import shutil
import stat
import struct
import subprocess
import sys
import tarfile
import zipfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import images
import pxar_store as P
from images import MIB
from program import Pluck, Scratch
from tap import TOP, Tap

ROOT = os.geteuid() == 0
DIR, FILE = stat.S_IFDIR | 0o755, stat.S_IFREG | 0o644
BIG = os.urandom(MIB)
# path: contents; None for a directory
TREE = {
    "w": None, "w/a.c": b"a", "w/a.h": b"h", "w/big": BIG, "w/docs": None, "w/docs/in": None, "w/docs/in/x.h": b"x",
    "w/docs/secret.c": b"s", "w/empty": None, "w/src": None, "w/src/deep": None, "w/src/deep/b.c": b"b",
    "w/src/deep/b.o": b"o", "w/src/note.txt": b"n",
}
XATTRS = {"user.keep": b"1", "trusted.drop": b"2"}


class Source:
    """What all these extract from."""

    def __init__(self, pluck, kind, source, path):
        self.pluck, self.kind, self.source, self.path = pluck, kind, source, path

    def extract(self, *options, path="", target=None):
        """@path: beneath the tree; None: the options name paths."""
        path = [] if path is None else [self.path + path]
        return self.pluck.run("extract", *self.source, *options, *path, *([target] if target else []))


class Plain(Source):
    """pxar extract: paths are options."""

    def extract(self, *options, path="", target=None):
        path = [] if path is None else ["--path", self.path + path]
        return self.pluck.run("pxar", "extract", *self.source, *options, *path, *([target] if target else []))


def make_image(scratch):
    top = scratch.new_dir("tree")
    for path, data in TREE.items():
        full = os.path.join(top, path)
        if data is None:
            os.mkdir(full)
            continue
        with open(full, "wb") as f:
            f.write(data)
    os.link(os.path.join(top, "w/a.c"), os.path.join(top, "w/src/link.c"))
    with open(os.path.join(top, "w/sparse"), "wb") as f:
        f.truncate(3 * MIB)
        f.seek(MIB)
        f.write(b"middle")
    if ROOT:
        suid = os.path.join(top, "w/suid")
        with open(suid, "wb") as f:
            f.write(b"suid")
        os.chown(suid, 1234, 2345)
        os.chmod(suid, 0o4755)
        for name, value in XATTRS.items():
            os.setxattr(suid, name, value)
    images.settle_times(top)
    path = scratch.join("disk.img")
    images.make_ext4(path, 32 * MIB, top, "whole")
    images.remove_tree(top)
    return ["--disk", "a=" + path], "a/raw/w"


def archive_tree():
    suid = P.Node(b"suid", stat.S_IFREG | 0o4755, b"suid", owner=(1234, 2345), xattrs={k.encode(): v for k, v in XATTRS.items()})
    tree = [P.Node(b"", DIR), P.Node(b"w", DIR), *nodes("w"), None, None]
    return tree[:-2] + ([suid] if ROOT else []) + tree[-2:]


def make_plain(scratch):
    """Return: arguments for the unified and the split archive."""
    one, meta, payload = (scratch.join(n) for n in ("plain.pxar", "split.mpxar", "elsewhere.data"))
    parts = P.encode(archive_tree(), split=True)
    for path, data in ((one, P.encode(archive_tree())[0]), (meta, parts[0]), (payload, parts[1])):
        with open(path, "wb") as f:
            f.write(data)
    return [one], [meta, "--payload-input", payload]


def nodes(at):
    """The tree beneath @at for an archive: names in order, directories closed by None."""
    names = sorted({p[len(at) + 1:] for p in TREE if p.startswith(at + "/") and "/" not in p[len(at) + 1:]})
    for name in names:
        data = TREE[at + "/" + name]
        if data is None:
            yield P.Node(name.encode(), DIR)
            yield from nodes(at + "/" + name)
            yield None
        else:
            yield P.Node(name.encode(), FILE, data)
    if at == "w/src":
        yield P.Node(b"link.c", FILE, link=b"w/a.c")
    if at == "w":
        yield P.Node(b"sparse", FILE, bytes(MIB) + b"middle" + bytes(2 * MIB - 6))


def make_store(scratch):
    store = scratch.join("store")
    P.make_store(store)
    snap = P.Snapshot(store, "host", "h", 1700000000, "2023-11-14T22:13:20Z")
    snap.add_stream("one.pxar.didx", P.encode(archive_tree())[0])
    return ["--repository", store, snap.finish()], "one/w"


def tree_of(top):
    found = set()
    for at, dirs, files in os.walk(top):
        found |= {os.path.relpath(os.path.join(at, n), top) for n in dirs + files}
    return found


# patterns, and what is there afterwards
FILTERS = [
    (["--include", "*.c"], "w w/a.c w/docs w/docs/secret.c w/src w/src/deep w/src/deep/b.c w/src/link.c"),
    (["--include", "*.c", "--exclude", "secret*"], "w w/a.c w/src w/src/deep w/src/deep/b.c w/src/link.c"),
    (["--include", "docs/"], "w w/docs w/docs/in w/docs/in/x.h w/docs/secret.c"),
    (["--include", "/src/*.txt"], "w w/src w/src/note.txt"),
    (["--include", "src/**"], "w w/src w/src/deep w/src/deep/b.c w/src/deep/b.o w/src/link.c w/src/note.txt"),
    (["--include", "**/in/*"], "w w/docs w/docs/in w/docs/in/x.h"),
    (["--exclude", "src", "--exclude", "docs", "--exclude", "big", "--exclude", "sparse", "--exclude", "suid"], "w w/a.c w/a.h w/empty"),
    (["--include", "nothing"], "w"),
]


def check_filters(tap, src, scratch):
    kind = src.kind
    for i, (options, want) in enumerate(FILTERS):
        target = scratch.new_dir("filter-%s-%d" % (kind, i))
        r = src.extract(*options, target=target)
        tap.ok(r.code == 0 and tree_of(target) == set(want.split()), "%s: %s" % (kind, " ".join(options)), r, sorted(tree_of(target)))
    r = src.extract("--include", "*.c", "--format", "tar", target="-")
    with tarfile.open(fileobj=io.BytesIO(r.out)) as t:
        seen = set(t.getnames())
    tap.ok(r.code == 0 and seen == set(FILTERS[0][1].split()), "%s: the same as tar" % kind, r, seen)
    r = src.extract("--include", "*.c", "--format", "zip", target="-")
    with zipfile.ZipFile(io.BytesIO(r.out)) as z:
        seen = {n.rstrip("/") for n in z.namelist()}
        good = z.testzip() is None and z.read("w/src/link.c") == b"a"
    tap.ok(r.code == 0 and good and seen == set(FILTERS[0][1].split()), "%s: and as zip" % kind, r, seen)
    target = scratch.new_dir("filter-link-" + kind)
    r = src.extract("--include", "link.c", target=target)
    with open(os.path.join(target, "w/src/link.c"), "rb") as f:
        tap.ok(r.code == 0 and f.read() == b"a", "%s: a hard link without its first name is the file" % kind, r)
    target = scratch.new_dir("filter-two-" + kind)
    r = src.extract("--path", src.path + "/src", "--path", src.path + "/a.h", "--path", src.path + "/a.c", "--exclude", "deep",
                    "--include", "*.[cx]", path=None, target=target)
    tap.ok(r.code == 0 and tree_of(target) == {"src", "src/link.c", "a.c"}, "%s: several paths, a file by its own name" % kind, r,
           sorted(tree_of(target)))
    for pattern in ("[a", "", "a//b", "x\\"):
        r = src.extract("--include", pattern, target=scratch.join("bad-" + kind))
        tap.ok(r.code == 2 and "--include" in r.text and not os.path.exists(scratch.join("bad-" + kind)),
               "%s: no pattern: '%s', exit code 2" % (kind, pattern), r)
    r = src.extract("--exclude", "x", "--format", "pxar", target="-")
    tap.ok(r.code == 2 and not r.out, "%s: not of a pxar" % kind, r)


def check_dry_run(tap, src, scratch):
    kind = src.kind
    target = scratch.join("dry-" + kind)
    r = src.extract("--dry-run", target=target)
    lines = set(r.out.decode().splitlines())
    want = {"make " + p + ("/" if d is None else "") for p, d in TREE.items()}
    tap.ok(r.code == 0 and want <= lines and not os.path.exists(target), "%s: --dry-run says what would be made and makes nothing" % kind, r)
    tap.ok(str(len(BIG)) not in r.text or b"1048576" not in r.err, "%s: bytes are counted without being read" % kind, r)
    os.makedirs(os.path.join(target, "w/src"))
    for name in ("w/a.h", "w/src/note.txt"):
        with open(os.path.join(target, name), "wb") as f:
            f.write(b"mine")
    before = tree_of(target)
    r = src.extract("--dry-run", target=target)
    lines = r.out.decode().splitlines()
    tap.ok(r.code == 1 and any(x.startswith("leave w/a.h: exists") for x in lines) and "make w/src/" not in lines and
           "make w/docs/" in lines, "%s: what would be left out, exit code 1" % kind, r)
    os.utime(os.path.join(target, "w/a.h"), (1, 1))
    r = src.extract("--dry-run", "--overwrite", "if-newer", target=target)
    lines = r.out.decode().splitlines()
    tap.ok(r.code == 1 and "replace w/a.h" in lines and any(x.startswith("leave w/src/note.txt: exists and is not older") for x in lines),
           "%s: what would be replaced" % kind, r)
    tap.equal(tree_of(target), before, "%s: nothing was touched" % kind)
    r = src.extract("--overwrite", "if-newer", target=target)
    with open(os.path.join(target, "w/a.h"), "rb") as f, open(os.path.join(target, "w/src/note.txt"), "rb") as g:
        tap.ok(r.code == 1 and f.read() == b"h" and g.read() == b"mine" and "note.txt" in r.text,
               "%s: --overwrite if-newer replaces what is older and nothing else" % kind, r)
    r = src.extract("--dry-run", "--format", "zip", target="-")
    tap.ok(r.code == 0 and b"make w/a.h" in r.out.splitlines(), "%s: --dry-run of a zip" % kind, r)
    for options in (("--format", "pxar"), ("--hash", "sha256", "--report", "/dev/null")):
        r = src.extract("--dry-run", *options, target="-")
        tap.ok(r.code == 2 and not r.out, "%s: --dry-run %s is refused" % (kind, options[0]), r)


def check_report(tap, src, scratch):
    kind = src.kind
    file = scratch.join("report-%s.json" % kind)
    for where in ("dir", "tar", "zip", "plain"):
        options = ["--format", where] if where in ("tar", "zip") else []
        target = scratch.join("hashed-" + kind) if where == "dir" else "-"
        r = src.extract("--skip-special", "--hash", "sha256", "--report", file, *options, path="/big" if where == "plain" else "", target=target)
        report = load_report(tap, file, "%s, %s" % (kind, where))
        files = {base64.b64decode(f["path"]).decode(): f for f in report["files"]}
        want = {p: d for p, d in TREE.items() if d is not None}
        if kind == "disk" and where in ("dir", "tar") and "w/src/link.c" in files:    # the first name is the directory's choice
            want["w/src/link.c"] = want.pop("w/a.c")
        want["w/sparse"] = bytes(MIB) + b"middle" + bytes(2 * MIB - 6)
        if where == "plain":
            want = {"big": BIG}
        if where == "zip":
            want["w/src/link.c"] = b"a"
        bad = [p for p, d in want.items() if p not in files or files[p]["size"] != len(d) or
               files[p]["sha256"] != hashlib.sha256(d).hexdigest()]
        tap.ok(r.code == 0 and not bad and set(files) - set(want) <= {"w/suid"}, "%s: --hash to %s: every file, and its sum" % (kind, where),
               r, bad, sorted(files))
        tap.ok(report["versions"]["pluck"] and report["begun"] <= report["ended"] and report["exit-status"] == 0,
               "%s: versions, times, exit status" % kind, report)
    r = src.extract("--hash", "sha256", target=scratch.join("unhashed"))
    tap.ok(r.code == 2 and "--report" in r.text, "%s: --hash without a report is refused" % kind, r)
    target = scratch.new_dir("left-" + kind)
    with open(os.path.join(target, "w"), "wb"):
        pass
    r = src.extract("--report", file, target=target)
    report = load_report(tap, file, "%s, left out" % kind)
    names = {p["text"] for p in report["problems"]}
    tap.ok(r.code == 1 and {"w"} | set(TREE) <= names and report["problems-total"] == report["totals"]["left-out"],
           "%s: all that lies in a directory that is left out is in the report" % kind, sorted(set(TREE) - names), report["totals"])


def load_report(tap, file, name):
    with open(file, encoding="utf-8") as f:
        report = json.load(f)
    try:
        import jsonschema
        with open(os.path.join(TOP, "docs/report.schema.json"), encoding="utf-8") as f:
            schema = json.load(f)
        try:
            jsonschema.validate(report, schema)
            tap.ok(True, "%s: the report fits its schema" % name)
        except jsonschema.ValidationError as e:
            tap.ok(False, "%s: the report fits its schema" % name, e)
    except ImportError:
        tap.skip("the report fits its schema", "no python3-jsonschema")
    return report


def check_progress(tap, src, scratch):
    kind = src.kind
    target = scratch.new_dir("progress-" + kind)
    os.mkdir(os.path.join(target, "w"))
    with open(os.path.join(target, "w/a.h"), "wb"):
        pass
    r = src.extract("--progress", "json", target=target)
    lines = [json.loads(x) for x in r.err.splitlines()]
    last = lines[-1]
    tap.ok(r.code == 1 and last["type"] == "result" and last["exit-status"] == 1 and last["totals"]["left-out"] == 1,
           "%s: --progress json ends with the result" % kind, r)
    problem = [x for x in lines if x["type"] == "problem"]
    tap.ok([base64.b64decode(x["path"]) for x in problem] == [b"w/a.h"] and "exists" in problem[0]["what"],
           "%s: and has what was left out" % kind, r)
    r = src.extract("--progress", "json", path="/none", target=target)
    lines = [json.loads(x) for x in r.err.splitlines()]
    tap.ok(r.code == 3 and lines[0]["type"] == "message" and lines[-1]["exit-status"] == 3, "%s: also of a failure" % kind, r)
    r = src.extract("--quiet", target=scratch.new_dir("quiet-" + kind))
    tap.ok(r.code == 0 and not r.err, "%s: --quiet is silent" % kind, r)


def check_owner(tap, src, scratch):
    if not ROOT:
        tap.skip("owners and attributes", "need root")
        return
    cases = [
        (["--owner", "1001:1002"], (1001, 1002), 0o755), (["--owner", ":77"], (1234, 77), 0o755), (["--owner", "nobody"], (65534, 2345), 0o755),
        (["--owner", "nobody:"], (65534, 65534), 0o755), (["--no-same-owner"], (0, 0), 0o755), ([], (1234, 2345), 0o4755),
    ]
    for i, (options, owner, mode) in enumerate(cases):
        target = scratch.new_dir("owner-%s-%d" % (src.kind, i))
        r = src.extract(*options, target=target)
        st = os.stat(os.path.join(target, "w/suid"))
        tap.ok(r.code == 0 and (st.st_uid, st.st_gid) == owner and st.st_mode & 0o7777 == mode, "owner: %s" % " ".join(options), r, st)
    r = src.extract("--owner", "1001:1002", "--format", "tar", target="-")
    with tarfile.open(fileobj=io.BytesIO(r.out)) as t:
        bad = [m.name for m in t if (m.uid, m.gid) != (1001, 1002) or m.mode & 0o6000]
    tap.ok(r.code == 0 and not bad, "owner: in a tar", r, bad)
    for options in (["--owner", "no-such-user"], ["--owner", "1:no-such-group"], ["--owner", ""], ["--owner", ":"], ["--owner", "4294967295"],
                    ["--owner", "1", "--no-same-owner"]):
        r = src.extract(*options, target=scratch.join("owner-bad"))
        tap.ok(r.code == 2 and "owner" in r.text, "owner: %s is refused" % " ".join(options), r)
    r = src.extract("--no-same-owner", "--format", "tar", target="-")
    tap.ok(r.code == 2 and not r.out, "owner: --no-same-owner is for directories", r)
    for mode, want in (("all", set(XATTRS)), ("user", {"user.keep"}), ("none", set())):
        target = scratch.new_dir("xattrs-%s-%s" % (src.kind, mode))
        r = src.extract("--xattrs", mode, target=target)
        seen = set(os.listxattr(os.path.join(target, "w/suid")))
        tap.ok(r.code == 0 and seen == want, "--xattrs %s" % mode, r, seen)
        r = src.extract("--xattrs", mode, "--format", "tar", target="-")
        with tarfile.open(fileobj=io.BytesIO(r.out)) as t:
            seen = {k[13:] for m in t for k in m.pax_headers if k.startswith("SCHILY.xattr.")}
        tap.ok(r.code == 0 and seen == want, "--xattrs %s in a tar" % mode, r, seen)
    r = src.extract("--format", "zip", target="-")
    tap.ok(r.code == 1 and "suid" in r.text, "a zip holds no attributes: told, exit code 1", r)
    r = src.extract("--format", "zip", "--xattrs", "none", target="-")
    tap.equal(r.code, 0, "unless none are wanted", r)


def check_pxar_patterns(tap, pluck, src, stored, scratch):
    """Arguments behind the target and --pattern choose what extract --include does; those with a slash count at any depth."""
    for nr, (patterns, include) in enumerate((
            (["*.c"], ["*.c"]), (["/w/src"], ["/w/src"]), (["deep/*.o", "*.txt"], ["**/deep/*.o", "*.txt"]), (["in/"], ["in/"]),
            (["w/docs/in/"], ["**/w/docs/in/"]), (["in/**"], ["**/in/**"]), (["nothing"], ["nothing"]))):
        wants = scratch.new_dir("pattern-want-%d" % nr)
        r = pluck.run("extract", *stored.source, *[w for i in include for w in ("--include", i)], "one", wants)
        for how in "arguments", "options", "both":
            target = scratch.new_dir("pattern-%d-%s" % (nr, how))
            words = [] if how == "arguments" else [w for p in (patterns if how == "options" else patterns[:1]) for w in ("--pattern", p)]
            behind = patterns if how == "arguments" else patterns[1:] if how == "both" else []
            seen = pluck.run("pxar", "extract", *src.source, *words, target, *behind)
            tap.ok(r.code == seen.code == 0 and tree_of(target) == tree_of(wants), "%s: patterns as %s: %s" % (src.kind, how, " ".join(patterns)),
                   r, seen, sorted(tree_of(target)), sorted(tree_of(wants)))
    r = pluck.run("pxar", "extract", *src.source, scratch.join("bad-pattern"), "[a")
    tap.ok(r.code == 2 and "[a" in r.text and not os.path.exists(scratch.join("bad-pattern")), "%s: no pattern: 2" % src.kind, r)


def check_pxar_streams(tap, pluck, src, stored):
    """All of a plain file as a stream: what extract makes of the archive in a store."""
    for options in (["--format", "tar"], ["--format", "zip", "--skip-special"], ["--format", "pxar"], [], ["--format", "tar", "--include", "*.c"]):
        want = pluck.run("extract", *stored.source, *options, "one", "-")
        seen = pluck.run("pxar", "extract", *src.source, *options, "-")
        tap.ok(want.code == seen.code == 0 and want.out and want.out == seen.out, "%s to standard output: %s" % (src.kind, " ".join(options)), want, seen)
    r = pluck.run("pxar", "extract", *src.source, "--path", "w/big", "-")
    tap.ok(r.code == 0 and r.out == BIG, "%s: a file to standard output" % src.kind, r)
    r = pluck.run("pxar", "extract", *src.source, "--path", "w/a.c", "--path", "w/src", "--format", "tar", "--zstd", "-")
    tap.ok(r.code == 0 and r.out.startswith(b"\x28\xb5\x2f\xfd"), "%s: compressed" % src.kind, r)


def check_pxar_usage(tap, pluck, src, scratch):
    target = scratch.join("never")
    for what, args, code in (
            ("list has no patterns", ["list", *src.source, "--include", "x"], 2), ("list has one path", ["list", *src.source, "a", "b"], 2),
            ("extract prints no JSON", ["extract", *src.source, target, "--output-format", "json"], 2),
            ("--format of a directory", ["extract", *src.source, target, "--format", "tar"], 2),
            ("several paths are no file", ["extract", *src.source, "-", "--path", "w/a.c", "--path", "w/a.h", "--format", "plain"], 2),
            ("a directory has no contents", ["extract", *src.source, "-", "--format", "plain"], 2),
            ("'..' in a path", ["extract", *src.source, target, "--path", "w/.."], 2), ("no archive", ["extract", scratch.join("none.pxar"), target], 3),
            ("no payload stream", ["extract", src.source[0], "--payload-input", scratch.join("none"), target], 3)):
        r = pluck.run("pxar", *args)
        tap.ok(r.code == code and r.err and not r.out and not os.path.exists(target), "pxar: %s: exit code %d" % (what, code), r)


def break_directory(image, path):
    """The block of a directory's entries is overwritten."""
    said = subprocess.run(["debugfs", "-R", "blocks " + path, image], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    stats = subprocess.run(["debugfs", "-R", "show_super_stats -h", image], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    size = int(stats.split(b"Block size:")[1].split()[0])
    with open(image, "r+b") as f:
        f.seek(int(said.split()[0]) * size)
        f.write(b"\xa5" * size)


def make_broken(scratch, disk):
    """The same disk and archive, but for the directory w/docs, which cannot be read."""
    image, archive = scratch.join("broken.img"), scratch.join("broken.pxar")
    shutil.copyfile(disk[1][2:], image)
    break_directory(image, "/w/docs")
    data = bytearray(P.encode(archive_tree())[0])
    table = data.index(struct.pack("<Q", P.GOODBYE), data.index(b"secret.c\0"))
    data[table:table + 8] = bytes(8)
    with open(archive, "wb") as f:
        f.write(data)
    return ["--disk", "a=" + image], [archive]


def check_walk(tap, src, scratch):
    """A directory is read only where something beneath it may be wanted."""
    for i, (options, reads) in enumerate(((["--include", "/src/**"], False), (["--include", "/src/*.txt", "--include", "/*.c"], False),
                                          (["--include", "/d?c/x"], False), (["--exclude", "docs"], False), (["--include", "*.txt"], True),
                                          (["--include", "/src/**", "--include", "/d*/x"], True), (["--include", "**/x"], True), ([], True))):
        target = scratch.new_dir("walk-%s-%d" % (src.kind, i))
        r = src.extract(*options, target=target)
        good = r.code != 0 and b"docs'" in r.err if reads else r.code == 0
        tap.ok(good, "%s: a directory that cannot be read is %s: %s" % (src.kind, "told of" if reads else "not visited", " ".join(options)), r)


def check_cat(tap, pluck, scratch, image):
    """Paths of a file archive and of a disk in one command: the VM starts before anything is read of the archive."""
    store = scratch.join("both")
    P.make_store(store)
    snap = P.Snapshot(store, "vm", "1", 1700000000, "2023-11-14T22:13:20Z")
    with open(image, "rb") as f:
        snap.add_image("disk.img.fidx", f.read())
    snap.add_stream("one.pxar.didx", P.encode(archive_tree())[0])
    snap.add_blob("x.conf.blob", b"small")
    name = snap.finish()
    archive, disk = ("one.pxar/w/a.c", "disk.img.fidx/raw/w/a.c")
    for paths in ([archive, disk, "x.conf", archive], [disk, archive, disk], ["x.conf", archive]):
        r = pluck.run("cat", "--repository", store, name, *paths)
        want = b"".join(b"small" if p == "x.conf" else TREE["w/a.c"] for p in paths)
        tap.ok(r.code == 0 and r.out == want, "cat %s" % " ".join(paths), r)
        pluck.run("stop", "--all")
    r = pluck.run("extract", "--repository", store, name, "--path", "one.pxar/w/docs", "--path", "disk.img.fidx/raw/w/src", scratch.join("of-both-2"))
    tap.ok(r.code == 0 and {"docs", "src"} <= tree_of(scratch.join("of-both-2")), "extract of two directories of both", r)


with Tap() as tap, Scratch() as scratch, Pluck(scratch) as pluck:
    stored, plain, split = Source(pluck, "archive", *make_store(scratch)), *(Plain(pluck, k, s, "w") for k, s in
                                                                            zip(("file", "split file"), make_plain(scratch)))
    disk = Source(pluck, "disk", *make_image(scratch))
    for src in disk, stored, plain, split:
        check_filters(tap, src, scratch)
        check_dry_run(tap, src, scratch)
        check_report(tap, src, scratch)
        check_progress(tap, src, scratch)
        check_owner(tap, src, scratch)
    broken = make_broken(scratch, disk.source)
    for src in Source(pluck, "broken disk", broken[0], "a/raw/w"), Plain(pluck, "broken file", broken[1], "w"):
        check_walk(tap, src, scratch)
    for src in plain, split:
        check_pxar_patterns(tap, pluck, src, stored, scratch)
        check_pxar_streams(tap, pluck, src, stored)
    check_pxar_usage(tap, pluck, plain, scratch)
    check_cat(tap, pluck, scratch, disk.source[1][2:])
