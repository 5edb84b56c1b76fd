#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# The program under its other name, against what the official one printed for the same datastores.
import base64
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import golden as G
import images
import pxar_store as P
from images import MIB
from program import LIMITED, Pluck, Scratch, binary
from tap import Tap, test_data

NAME = "proxmox-file-restore"
SNAPSHOT = "vm/100/2024-01-02T00:00:00Z"
ROOTFS = "drive-scsi0.img.fidx/part/2"
SERVER_ONLY = ("nostore",)
# A line feed in a name breaks the official table's cell into two lines; here it is shown as what it is not: text.
KNOWN = (["list", "host/legacy/2024-01-01T00:00:00Z", "/types.pxar.didx/hard"],)


def as_json(data):
    try:
        return json.loads(data)
    except ValueError:
        return None


def passphrase(row):
    """What the environment had is not in the row: the message tells."""
    if "too short" in row["stderr"]:
        return "x"
    return "a wrong one" if "hint" in row["stderr"] or "wrong password" in row["stderr"] else "golden pass"


class Totals:
    """How many answers are the very same, have the same in another order, say it in other words, or differ."""

    def __init__(self, tap):
        self.tap, self.rows = tap, {}

    def add(self, kind, what):
        self.rows.setdefault(kind, {}).setdefault(what, 0)
        self.rows[kind][what] += 1

    def show(self):
        names = ("same", "other order", "other words", "different")
        self.tap.diag("%-28s %8s %12s %12s %10s" % (("compared",) + names))
        for kind, row in self.rows.items():
            self.tap.diag("%-28s %8d %12d %12d %10d" % ((kind,) + tuple(row.get(n, 0) for n in names)))


def as_set(entries):
    return sorted(json.dumps(e, sort_keys=True) for e in entries)


def judge(row, r):
    """same: byte for byte (JSON: the same values in the same order); other words: status and kind agree."""
    seen, want = as_json(r.out), as_json(row["stdout"])
    if r.code != row["rc"]:
        return "different"
    if isinstance(want, (dict, list)):
        if seen == want:
            return "same"
        if isinstance(seen, list) and isinstance(want, list):
            return "other order" if as_set(seen) == as_set(want) else "different"
        both = isinstance(seen, dict) and isinstance(want, dict)
        return "other words" if both and seen.get("code") == want.get("code") else "different"
    if r.out.decode() != row["stdout"]:
        return "different"
    return "same" if r.err.decode() == row["stderr"] else "other words"


def check_rows(tap, totals, rows, pluck, scratch, golden):
    for row in rows:
        args = row["args"]
        if args[0] != NAME or row["store"] in SERVER_ONLY:
            continue
        env = dict(pluck.env, PBS_REPOSITORY=scratch.join(row["store"]), PBS_ENCRYPTION_PASSWORD=passphrase(row), HOME=scratch.path)
        r = pluck.run(*args[1:], env=env, cwd=golden)
        kind = "images, errors, options" if args[2].startswith("vm/") or "not supported" in row["stderr"] else "file archives, keys"
        what = judge(row, r)
        totals.add(kind, what)
        good = what == "same" if kind.startswith("images") else what != "different"
        if args[1:] in KNOWN and not good:
            tap.skip("known difference: %s" % " ".join(args[1:]), "a name with a line feed")
            continue
        tap.ok(good, "%s %s" % (what, " ".join(args[1:])), r, "seen: %r" % r.out[:600], "want: %r" % row["stdout"][:600],
               "want: %d %r" % (row["rc"], row["stderr"]))


def snapshot_of(name):
    """root,host,data,2024-01-01T000000Z: the namespace and the snapshot."""
    ns, kind, ident, time = name.split(",")
    return ("" if ns == "root" else ns.replace("_", "/")), "%s/%s/%s:%s:%s" % (kind, ident, time[:13], time[13:15], time[15:])


def expected_lists(top):
    """(path arguments, what the official program printed) of one snapshot: archives, their roots, and directories in them."""
    for file in sorted(os.listdir(top)):
        if file == "catalog.txt":
            continue
        with open(os.path.join(top, file), encoding="utf-8") as f:
            text = f.read()
        archive = file[3:].rsplit(".", 1)[0]
        if file == "fr-root.json":
            yield "archives", ["/"], text
        elif file.startswith("fr-") and file.endswith(".json"):
            yield "roots", ["/" + archive + ".didx"], text
        elif file.startswith("fr-") and file.endswith(".txt"):
            yield "roots as text", ["/" + archive + ".didx"], text
        elif file.startswith("fr-") and file.endswith(".dirs"):
            lines = [line for line in text.split("\n") if line]	# names hold other separators
            for path, answer in zip(lines[::2], lines[1::2]):
                yield "directories", [path, "--base64", "1"], answer


def check_expected(tap, totals, store, pluck, scratch, golden):
    """Of each snapshot the list of its archives, and of each archive its root and the directories at its top."""
    top = scratch.join("expect", store)
    bad = []
    for name in sorted(n for n in os.listdir(top) if "," in n):
        ns, snapshot = snapshot_of(name)
        env = dict(pluck.env, PBS_REPOSITORY=scratch.join(store), PBS_ENCRYPTION_PASSWORD="golden pass")
        key = G.key_file(golden, store, snapshot)
        options = (["--ns", ns] if ns else []) + (["--keyfile", key] if key else [])
        for kind, path, answer in expected_lists(os.path.join(top, name)):
            text = kind.endswith("text")
            r = pluck.run("list", snapshot, *path, *options, "--output-format", "text" if text else "json", env=dict(env, TZ="UTC"))
            what = judge({"rc": 0, "stdout": answer if text else json.dumps(as_json(answer)), "stderr": ""}, r)
            totals.add("%s: %s" % (store, kind), what)
            if what == "different":
                bad.append("%s %s: %r, want %r" % (snapshot, path, r.out[:300], answer[:300]))
    tap.ok(not bad, "lists of the %s store are the same" % store, *bad[:5])


def unescaped(line):
    """The bytes that either program means: it writes \\xEF, \\n, \\u{1b}, \\\" where pluck writes \\xef, \\x0a, \\x1b, and the quote itself."""
    short = {"n": b"\n", "r": b"\r", "t": b"\t", "0": b"\0"}

    def one(m):
        s = m.group(1)
        if s[0] == "x":
            return bytes.fromhex(s[1:]).decode("utf-8", "surrogateescape")
        return chr(int(s[2:-1], 16)) if s[0] == "u" else short.get(s, s.encode()).decode()

    return re.sub(r"\\(x[0-9a-fA-F]{2}|u\{[0-9a-f]+\}|.)", one, line).encode("utf-8", "surrogateescape")


def check_catalogs(tap, totals, store, full, scratch, golden):
    """What catalog dump says, line by line. Only names that need escapes may be written otherwise."""
    top, bad = scratch.join("expect", store), []
    for name in sorted(os.listdir(top)):
        file = os.path.join(top, name, "catalog.txt")
        if not os.path.exists(file):
            continue
        with open(file, encoding="utf-8") as f:
            want = f.read().split("\n")
        ns, snapshot = snapshot_of(name)
        key = G.key_file(golden, store, snapshot)
        r = full.run("catalog", "dump", "--repository", scratch.join(store), *(["--ns", ns] if ns else []), *(["--keyfile", key] if key else []), snapshot,
                     env=dict(full.env, PBS_ENCRYPTION_PASSWORD="golden pass"))
        seen = r.out.decode().split("\n")
        other = [(a, b) for a, b in zip(seen, want) if a != b]
        wrong = [(a, b) for a, b in other if unescaped(a) != unescaped(b) or "\\" not in b]
        totals.add("%s: catalogs" % store, "different" if r.code or wrong or len(seen) != len(want) else "other words" if other else "same")
        if r.code or wrong or len(seen) != len(want):
            bad += [snapshot, r, len(seen), len(want), wrong[:3]]
    tap.ok(not bad, "catalogs of the %s store" % store, *bad[:10])


def check_vm(tap, pluck, full, store):
    env = dict(pluck.env, PBS_REPOSITORY=store)

    def run(*args, **kw):
        return pluck.run(*args, env=dict(env, **kw.pop("env", {})), **kw)

    r = run("list", SNAPSHOT, base64.b64encode(b"/" + ROOTFS.encode()).decode(), "--base64", "1", "--output-format=json", "--timeout", "100")
    entries = as_json(r.out) or []
    tap.ok(r.code == 0 and {e["type"] for e in entries} <= {"d", "f"} and entries, "a partition: directories and files only", r)
    tap.ok(all(set(e) <= {"filepath", "leaf", "mtime", "size", "text", "type"} for e in entries), "with the fields that callers know", entries)
    tap.ok(all(base64.b64decode(e["filepath"]).decode() == "%s/%s" % (ROOTFS, e["text"]) for e in entries), "paths to be passed back", entries)
    links = {e["text"]: e["type"] for e in as_json(run("list", SNAPSHOT, ROOTFS + "/links", "--output-format", "json").out) or []}
    tap.ok(links.get("to-dir") == "d" and links.get("rel") == "f" and "dangling" not in links, "links appear as what they lead to", links)
    r = run("list", SNAPSHOT, ROOTFS + "/none", "--output-format", "json")
    tap.ok(r.code == 0 and (as_json(r.out) or {}).get("code") == 400 and not r.err, "what is not there is told in JSON, status 0", r, r.out)
    r = run("list", SNAPSHOT, ROOTFS + "/none")
    tap.ok(r.code == 255 and r.err.startswith(b"Error: ") and not r.out, "and in text with 255", r)
    r = run("list", SNAPSHOT, "/", env={"PROXMOX_OUTPUT_NO_BORDER": "1", "PROXMOX_OUTPUT_NO_HEADER": "1"})
    tap.ok(r.code == 0 and [line.split() for line in r.out.decode().splitlines()] ==
           [["v", "drive-sata1.img.fidx", "31457280"], ["v", "drive-scsi0.img.fidx", "100663296"]], "text without border and header", r, r.out)
    r = run("status", env={"PROXMOX_OUTPUT_FORMAT": "json"})
    ids = (as_json(r.out) or {}).get("Qemu", {}).get("ids", {})
    tap.ok(list(ids) == ["qemu_%s/%s" % (store, SNAPSHOT)] and set(list(ids.values())[0]) == {"pid", "cid", "uptime", "timeout"}, "status", r, r.out)
    check_extract(tap, run, full, store)
    tap.ok(run("stop", list(ids)[0]).code == 0 and run("status").out == b"Qemu: no mappings\n", "stop, by the name that status gives")
    r = run("stop", "nothing")
    tap.ok(r.code == 255 and r.err == b"Error: no mapping with name 'nothing' found\n", "stop of what is not there", r)


def check_extract(tap, run, full, store):
    plain = full.run("extract", "--repository", store, SNAPSHOT, ROOTFS + "/docs", "-", "--format", "tar")
    files = {}
    for m in tarfile.open(fileobj=io.BytesIO(plain.out)):
        if m.isfile():
            files[m.name] = tarfile.open(fileobj=io.BytesIO(plain.out)).extractfile(m.name).read()
    name, content = max(files.items(), key=lambda i: len(i[1]))
    r = run("extract", SNAPSHOT, ROOTFS + "/" + name, "-")
    tap.ok(r.code == 0 and r.out == content and not r.err, "a file comes as it is", r)
    r = run("extract", SNAPSHOT, ROOTFS + "/docs", "-")
    try:
        with zipfile.ZipFile(io.BytesIO(r.out)) as z:
            seen = {i.filename: z.read(i) for i in z.infolist() if not i.is_dir()}
            bad = z.testzip()
    except zipfile.BadZipFile as e:
        seen, bad = {}, str(e)
    tap.ok(r.code == 0 and bad is None and seen == files, "a directory comes as zip", r, bad, sorted(seen)[:9], sorted(files)[:9])
    r = run("extract", SNAPSHOT, ROOTFS, "-")
    with zipfile.ZipFile(io.BytesIO(r.out)) as z:
        names = [n for n in z.namelist() if "owned" in n]
        contents = {z.read(n) for n in names}
        bad = z.testzip()
        links = {i.filename: z.read(i) for i in z.infolist() if i.external_attr >> 28 == 0xa}
    tap.ok(r.code == 0 and not r.err and bad is None and len(names) > 2 and len(contents) == 1,
           "a whole partition: every name of a file has its contents, what a zip cannot hold is no error", r, names)
    tap.ok(links.get("2/links/rel") == b"target.txt", "symbolic links stay what they are", links)
    target = os.path.join(os.path.dirname(store), "out")
    r = run("extract", SNAPSHOT, ROOTFS + "/docs", target)
    got = {n: open(os.path.join(target, n), "rb").read() for n in files if os.path.exists(os.path.join(target, n))}
    tap.ok(r.code == 0 and got == files, "into a directory", r, sorted(got)[:9])
    r = run("extract", SNAPSHOT, ROOTFS + "/docs", "-", "--format", "tar", "--zstd", "1")
    done = subprocess.run(["zstd", "-dcq"], input=r.out, stdout=subprocess.PIPE, check=False)
    tap.ok(r.code == 0 and done.returncode == 0 and done.stdout == plain.out, "tar and zstd", r)
    for path, options, text in ((ROOTFS + "/docs", ["--format", "plain"], "cannot stream dir with format 'plain'"),
                                ("/", [], "cannot extract '/'"), ("drive-scsi0.img.fidx/part", [], "invalid path, cannot restore meta-directory"),
                                (ROOTFS + "/none", [], "does not exist"), ("x.conf", [], "'x.conf' is not supported for file-restore")):
        r = run("extract", SNAPSHOT, path, "-", *options)
        tap.ok(r.code == 255 and r.text.startswith("Error: ") and text in r.text and not r.out, "extract: %s" % text, r)


def check_own(tap, pluck, made):
    """A store of our own: archives and their directories, with and without the catalog; what is told in which form."""
    env = dict(pluck.env, PBS_REPOSITORY=made.store)

    def run(*args, **kw):
        return pluck.run(*args, env=env, **kw)

    def ask(path, *options):
        return as_json(run("list", made.snapshot, path, "--output-format", "json", *options).out)

    def entry(path, kind, **more):
        return dict({"filepath": base64.b64encode(path).decode(), "leaf": kind not in "dv", "text": path.rsplit(b"/", 1)[1].decode("utf-8", "replace"),
                     "type": kind}, **more)

    sizes = {name: len(data) for name, data in made.raw.items()}
    want = [entry(b"/disk.img.fidx", "v", size=sizes["disk.img.fidx"])]
    want += [entry(b"/" + n.encode(), "d", size=sizes[n]) for n in ("one.pxar.didx", "two.mpxar.didx")]
    tap.ok(as_set(ask("/") or []) == as_set(want), "own store: its archives", ask("/"), want)
    tap.ok(ask("Lw==", "--base64", "1") == ask("/"), "own store: the same by base64")
    for name in ("one.pxar.didx", "two.mpxar.didx"):
        top = name.encode()
        want = [entry(top + b"/dir/" + n, k, **more) for n, k, more in
                ((b"a", "f", {"size": 13, "mtime": 1700000000}), (b"b", "h", {}), (b"sub", "d", {}), (b"sym", "l", {}))]
        seen = ask("/%s/dir" % name)
        tap.ok(isinstance(seen, list) and as_set(seen) == as_set(want), "own store: a directory of %s" % name, seen, want)
        r = run("extract", made.snapshot, "/%s/dir/a" % name, "-")
        tap.ok(r.code == 0 and r.out == b"contents of a", "own store: a file of %s" % name, r)
        r = run("extract", made.snapshot, "/%s/dir" % name, "-")
        with zipfile.ZipFile(io.BytesIO(r.out)) as z:
            tap.ok(r.code == 0 and z.testzip() is None and z.read("dir/b") == b"contents of a", "own store: a directory of %s as zip" % name, r)
    r = run("list", made.snapshot, "/one.pxar.didx/none", "--output-format", "json")
    tap.ok(r.code == 0 and "message" in (as_json(r.out) or {}) and not r.err, "own store: what is not there, in JSON with 0", r, r.out)
    r = run("list", made.snapshot, "/one.pxar.didx/none")
    tap.ok(r.code == 255 and r.err.startswith(b"Error: ") and not r.out, "own store: and in text with 255", r)
    r = run("list", "host/none/2024-01-01T00:00:00Z", "/", "--output-format", "json")
    tap.ok(r.code == 0 and (as_json(r.out) or {}).get("code") == 400, "own store: no such snapshot", r, r.out)
    r = run("status")
    tap.ok(r.code == 0 and r.out == b"Qemu: no mappings\n", "own store: no VM was started", r)
    r = run("list", made.snapshot, "/one.pxar.didx/empty")
    tap.ok(r.code == 0 and not r.out and not r.err, "own store: of an empty directory no table", r, r.out)


def make_disk(scratch):
    """A store with a disk of one partition. Return: the store, the snapshot."""
    top, part, disk, store = scratch.new_dir("tree"), scratch.join("part"), scratch.join("disk.img"), scratch.join("disks")
    images.put(top, "docs/a.txt", b"contents of a")
    os.link(os.path.join(top, "docs/a.txt"), os.path.join(top, "docs/b.txt"))
    os.symlink("docs", os.path.join(top, "to-dir"))
    os.symlink("docs/a.txt", os.path.join(top, "to-file"))
    os.symlink("nowhere", os.path.join(top, "dangling"))
    images.settle_times(top)
    images.make_ext4(part, 16 * MIB, top, "p1")
    images.make_disk(disk, [(part, 16 * MIB, "linux", "root")])
    for args in (("datastore", "create", store),
                 ("backup", "--repository", store, "--backup-id", "100", "--backup-time", "1700000000", "drive-scsi0.img:" + disk)):
        subprocess.run([binary(), *args], check=True, stdout=subprocess.DEVNULL)
    return store, "vm/100/2023-11-14T22:13:20Z"


def check_own_disk(tap, pluck, store, snapshot):
    env, root = dict(pluck.env, PBS_REPOSITORY=store), "drive-scsi0.img.fidx/part/1"

    def run(*args):
        return pluck.run(*args, env=env)

    def ask(path):
        return as_json(run("list", snapshot, path, "--output-format", "json").out)

    seen = {e["text"]: e for e in ask("/" + root)}
    tap.equal({n: e["type"] for n, e in seen.items()}, {"docs": "d", "lost+found": "d", "to-dir": "d", "to-file": "f"},
              "own disk: links appear as what they lead to, or not at all")
    tap.equal(seen["to-file"], {"filepath": base64.b64encode((root + "/to-file").encode()).decode(), "leaf": True, "mtime": seen["to-file"]["mtime"],
                                "size": 13, "text": "to-file", "type": "f"}, "own disk: with the fields that callers know")
    tap.equal((ask(root + "/none") or {}).get("code"), 400, "own disk: what is not there is told in JSON")
    r = run("list", snapshot, root + "/none")
    tap.ok(r.code == 255 and r.err.startswith(b"Error: ") and not r.out, "own disk: and in text with 255", r)
    r = run("extract", snapshot, root + "/docs/b.txt", "-")
    tap.ok(r.code == 0 and r.out == b"contents of a" and not r.err, "own disk: a file comes as it is", r)
    r = run("extract", snapshot, root + "/docs", "-")
    with zipfile.ZipFile(io.BytesIO(r.out)) as z:
        tap.ok(r.code == 0 and z.testzip() is None and {n: z.read(n) for n in z.namelist() if not n.endswith("/")} ==
               {"docs/a.txt": b"contents of a", "docs/b.txt": b"contents of a"}, "own disk: a directory comes as zip, every name whole", r)
    ids = as_json(run("status", "--output-format", "json").out)["Qemu"]["ids"]
    tap.equal(list(ids), ["qemu_%s/%s" % (store, snapshot)], "own disk: status")
    tap.ok(run("stop", list(ids)[0]).code == 0 and run("status").out == b"Qemu: no mappings\n", "own disk: stop, by the name that status gives")


def check_official(tap, scratch, golden):
    os.mkdir(scratch.join("expect"))
    for store in ("plain", "encrypted"):
        G.unpack(os.path.join(golden, "stores", store + ".tar.zst"), scratch.path)
        G.unpack(os.path.join(golden, "expect", store + ".tar.zst"), scratch.join("expect"))
    data = subprocess.run(["zstd", "-dcq", os.path.join(golden, "expect/misc.jsonl.zst")], stdout=subprocess.PIPE, check=True).stdout
    with Pluck(scratch, program=scratch.join(NAME)) as pluck, Pluck(scratch, "run-full") as full:
        totals = Totals(tap)
        check_rows(tap, totals, [json.loads(line) for line in data.splitlines()], pluck, scratch, golden)
        check_expected(tap, totals, "plain", pluck, scratch, golden)
        check_expected(tap, totals, "encrypted", pluck, scratch, golden)
        for store in ("plain", "encrypted"):
            check_catalogs(tap, totals, store, full, scratch, golden)
        totals.show()
        check_vm(tap, pluck, full, scratch.join("plain"))


golden = test_data("PLUCK_GOLDEN", "golden")
with Tap() as tap, Scratch() as scratch:
    os.symlink(os.path.realpath(binary()), scratch.join(NAME))
    with Pluck(scratch, "run-own", prefix=LIMITED, program=scratch.join(NAME)) as pluck:
        check_own(tap, pluck, P.SampleStore(scratch))
    with Pluck(scratch, "run-disk", program=scratch.join(NAME)) as pluck:
        check_own_disk(tap, pluck, *make_disk(scratch))
    if golden is None:
        tap.skip("answers of the official program", "no golden data ($PLUCK_GOLDEN)")
    else:
        check_official(tap, scratch, golden)
