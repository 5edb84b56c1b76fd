#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# A disk of our own with vfat, ext4, xfs and btrfs: every level, every output, every kind of error.
import base64
import hashlib
import io
import json
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import images
import manifest as M
from program import Pluck, Scratch
from tap import Tap
from volume_check import VolumeCheck

FS = {"p1": "vfat", "p2": "ext4", "p3": "xfs", "p4": "btrfs"}


def listing(pluck, *args):
    return pluck.json("list", "--output-format", "json", *args) or []


def names(entries):
    return sorted(e["text"] for e in entries)


def check_levels(tap, pluck, disk):
    r = pluck.run("list", *disk, "/")
    tap.ok(r.code == 0 and b"sample" in r.out, "list / names the disk", r, r.out)
    top = listing(pluck, *disk, "/")
    tap.equal([(e["type"], e["leaf"], e.get("size")) for e in top], [("v", False, os.path.getsize(disk[1]))], "/ as JSON")
    if not top:
        return None
    name = base64.b64decode(top[0]["filepath"]).decode().strip("/")
    tap.equal(names(listing(pluck, *disk, name)), ["part"], "the disk has the bucket part")
    parts = listing(pluck, *disk, name + "/part")
    tap.equal(names(parts), ["1", "2", "3", "4", "5"], "part lists five partitions")
    tap.equal([e.get("size") for e in sorted(parts, key=lambda e: e["text"])], [m * images.MIB for m in (40, 96, 320, 128, 2)],
              "partitions have their sizes")
    return name


def check_entries(tap, pluck, disk, name):
    entries = {e["text"]: e for e in listing(pluck, *disk, name + "/part/2/etc")}
    tap.equal(sorted(entries), ["hostname", "passwd"], "a directory of ext4")
    e = entries.get("passwd", {})
    tap.equal((e.get("type"), e.get("leaf"), e.get("size")), ("f", True, 30), "a file's type, leaf and size")
    tap.equal(base64.b64decode(e.get("filepath", "")).lstrip(b"/"), name.encode() + b"/part/2/etc/passwd", "filepath is the whole path")
    again = listing(pluck, *disk, "--base64", e.get("filepath", ""))
    tap.equal(names(again), ["passwd"], "filepath can be passed back with --base64")
    one = listing(pluck, *disk, name + "/part/2/etc/passwd")
    tap.equal(names(one), ["passwd"], "a file lists as itself")
    for slashes in ("/%s/part/2/etc/", "//%s/part/2//etc"):
        tap.equal(names(listing(pluck, *disk, slashes % name)), ["hostname", "passwd"], "extra slashes: " + slashes)
    tap.equal(names(listing(pluck, *disk, name + ".img.fidx/part/2/etc")) if not name.endswith(".fidx") else ["hostname", "passwd"],
              ["hostname", "passwd"], "the suffix .img.fidx is accepted")
    r = pluck.run("list", *disk, name + "/part/2")
    lines = r.out.decode("utf-8", "replace")
    tap.ok(r.code == 0 and "etc" in lines and "lost+found" in lines, "text table of a directory", r, lines)
    r = pluck.run("list", *disk, name + "/part/2/odd")
    tap.ok(r.code == 0 and b"\x1b" not in r.out and b"line\nfeed" not in r.out, "the table shows no control characters of names", r, r.out)
    r = pluck.run("list", *disk, "--output-format", "json-pretty", name + "/part/2/etc")
    tap.ok(r.code == 0 and len(r.out.splitlines()) > 4 and len(json.loads(r.out)) == 2, "json-pretty", r)


def check_odd_names(tap, pluck, disk, name, scratch):
    base = os.fsencode(name) + b"/part/2/"
    r = pluck.run("list", *disk, "--output-format", "json", base + b"odd")
    seen = {base64.b64decode(e["filepath"]).rsplit(b"/", 1)[1] for e in json.loads(r.out or b"[]")}
    tap.equal(seen, set(images.ODD_NAMES), "odd names are listed byte for byte", r)
    bad = []
    for odd in images.ODD_NAMES:
        got = pluck.run("extract", *disk, base + b"odd/" + odd, "-")
        inner = pluck.run("list", *disk, "--output-format", "json", base + b"odd dirs/" + odd)
        if got.code != 0 or got.out != b"name " + odd or b'"inner"' not in inner.out:
            bad += [got, inner]
    tap.ok(not bad, "odd names are extracted and listed", *bad[:3])
    target = scratch.new_dir("odd")
    r = pluck.run("extract", *disk, base + b"odd", target)
    got = set(os.listdir(os.fsencode(os.path.join(target, "odd")))) if r.code == 0 else r
    tap.equal(got, set(images.ODD_NAMES), "odd names are restored")


def check_extract(tap, pluck, disk, name, manifest, scratch):
    bad = []
    for part, fs in FS.items():
        for path in (b"data/big.bin", b"home/ann/empty", b"home/ann/one"):
            r = pluck.run("extract", *disk, os.fsencode(name) + b"/part/" + part[1:].encode() + b"/" + path, "-")
            if r.code != 0 or hashlib.sha256(r.out).hexdigest() != manifest.volumes[part].entries[path].sha:
                bad += [fs, r, "%d bytes" % len(r.out)]
    tap.ok(not bad, "single files of all four file systems come to standard output", *bad[:4])

    target = scratch.join("new target")
    r = pluck.run("extract", *disk, name + "/part/2/home/ann/notes.txt", target)
    good = r.code == 0 and os.listdir(target) == ["notes.txt"]
    tap.ok(good and os.stat(target).st_mode & 0o777 == 0o700, "a file to a directory that did not exist: it is made, mode 0700", r)
    here = scratch.new_dir("here")
    r = pluck.run("extract", *disk, name + "/part/2/home/ann", cwd=here)
    tap.ok(r.code == 0 and os.path.exists(os.path.join(here, "ann/docs/report.txt")), "without a target: the current directory", r)
    r = pluck.run("extract", *disk, "--format", "tar", name + "/part/2/home/ann", "-")
    members = sorted(M.from_tar(io.BytesIO(r.out))) if r.code == 0 else r
    tap.equal(members, [b"ann", b"ann/docs", b"ann/docs/report.txt", b"ann/empty", b"ann/notes.txt", b"ann/one"], "a directory as tar")
    r = pluck.run("extract", *disk, "--format", "pxar", name + "/part/2/home/ann", "-")
    tap.ok(r.code == 0 and b"quarterly report" in r.out, "a directory as pxar", r)
    several = scratch.new_dir("several")
    r = pluck.run("extract", *disk, "--path", name + "/part/2/etc/hostname", "--path", name + "/part/3/home/ann/one", several)
    found = sorted(os.path.relpath(os.path.join(a, f), several) for a, _, fs in os.walk(several) for f in fs)
    tap.ok(r.code == 0 and len(found) == 2 and found[0].endswith("hostname") and found[1].endswith("one"), "--path picks two files", r, found)
    with open(scratch.join("paths"), "w", encoding="ascii") as f:
        f.write("%s/part/2/etc/hostname\n%s/part/2/home/ann/docs\n" % (name, name))
    several = scratch.new_dir("several")
    r = pluck.run("extract", *disk, "--paths-from", scratch.join("paths"), several)
    found = sorted(f for _, _, fs in os.walk(several) for f in fs)
    tap.ok(r.code == 0 and found == ["hostname", "report.txt"], "--paths-from picks a file and a directory", r, found)


def check_disks(tap, pluck, disk):
    r = pluck.run("disks", *disk, "--output-format", "json")
    try:
        tree = json.loads(r.out)
        parts = {c["name"]: c for c in tree[0]["children"]}
        text = json.dumps(tree)
    except (ValueError, KeyError, IndexError, TypeError) as e:
        tap.ok(False, "disks as JSON", repr(e), r, r.out[:500])
        return
    tap.equal(len(parts), 5, "disks shows five partitions", text)
    flat = {}

    def walk(node):
        flat.setdefault(node.get("type"), []).append(node)
        for child in node.get("children", []):
            walk(child)

    for node in tree:
        walk(node)
    missing = [t for t in ("vfat", "ext4", "xfs", "btrfs") if t not in flat]
    tap.ok(not missing, "disks names the file systems", missing, text)
    tap.ok(all(label in text for label in ("FATVOL", '"data"', "xdata", "btr", "EFI System", "root / 'q'")),
           "disks shows labels and partition names", text)
    listable = [n for n in flat.get("ext4", []) if "filepath" in n]
    tap.ok(listable and base64.b64decode(listable[0]["filepath"]).endswith(b"/part/2"), "disks gives the path that list takes", text)
    r = pluck.run("disks", *disk)
    tap.ok(r.code == 0 and b"ext4" in r.out and b"btrfs" in r.out, "disks as text", r, r.out)


def check_errors(tap, pluck, disk, name, scratch):
    plain = scratch.join("plain-file")
    with open(plain, "wb") as f:
        f.write(bytes(images.MIB))
    cases = [
        ("no command", [], 2), ("unknown command", ["frobnicate"], 2), ("unknown option", ["list", *disk, "--frob", "/"], 2),
        ("no path", ["list", *disk], 2), ("bad value", ["list", *disk, "--output-format", "yaml", "/"], 2),
        ("option without its value", ["list", "--disk"], 2), ("neither disk nor repository", ["list", "/"], 2),
        ("bad base64", ["list", *disk, "--base64", "%%%"], 2),
        ("no such disk file", ["list", "--disk", scratch.join("none.img"), "/"], 3),
        ("no such disk in the path", ["list", *disk, "other/part/1"], 3),
        ("no such bucket", ["list", *disk, name + "/zork/1"], 3), ("no such partition", ["list", *disk, name + "/part/9"], 3),
        ("a partition that is no number", ["list", *disk, name + "/part/abc"], (2, 3)),
        ("no such file", ["list", *disk, name + "/part/2/nothing/here"], 3),
        ("a file as directory", ["list", *disk, name + "/part/2/etc/passwd/x"], 3),
        ("extract: no such file", ["extract", *disk, name + "/part/2/nothing", "-"], 3),
        ("stat: no such file", ["stat", *disk, name + "/part/2/nothing"], 3),
        ("upwards out of the volume", ["extract", *disk, name + "/part/2/../../../init", "-"], (2, 3)),
        ("a link that leaves the volume", ["list", *disk, name + "/part/2/posix/out/x"], 3),
        ("a bucket to a directory", ["extract", *disk, name + "/part", scratch.join("t")], (2, 3)),
        ("a directory as plain", ["extract", *disk, "--format", "plain", name + "/part/2/etc", "-"], 2),
        ("target is a file", ["extract", *disk, name + "/part/2/etc", plain], 7),
        ("no such session", ["stop", "no such session"], 3),
        ("no such datastore", ["list", "--repository", scratch.join("nowhere"), "vm/100/2024-01-01T00:00:00Z", "/"], 3),
    ]
    for what, args, want in cases:
        r = pluck.run(*args)
        codes = want if isinstance(want, tuple) else (want,)
        tap.ok(r.code in codes and r.err.strip() and not r.out, "%s: exit code %s, a message" % (what, want), r, r.out[:300])
    r = pluck.run("list", *disk, name + "/part/5")
    tap.ok(r.code == 3 and b"no known file system" in r.err, "a blank partition: an error that says so", r)
    os.chmod(plain, 0)
    if os.geteuid() == 0:
        tap.skip("unreadable disk file: exit code 4", "root reads everything; session.t tests it as a user")
    else:
        r = pluck.run("list", "--disk", plain, "/")
        tap.ok(r.code == 4, "unreadable disk file: exit code 4", r)
    for args in (["--help"], ["help"], ["list", "--help"], ["--version"], ["version"]):
        r = pluck.run(*args)
        tap.ok(r.code == 0 and r.out, "pluck %s" % " ".join(args), r)


with Tap() as tap, Scratch() as scratch, Pluck(scratch) as pluck:
    image, manifest = images.make_sample_disk(scratch.path)
    disk = ["--disk", image]
    name = check_levels(tap, pluck, disk)
    if name is not None:
        check = VolumeCheck(tap, pluck, scratch, "sample")
        for part, volume in manifest.volumes.items():
            check.all(disk, "%s/part/%s" % (name, part[1:]), [volume])
        check_entries(tap, pluck, disk, name)
        check_odd_names(tap, pluck, disk, name, scratch)
        check_extract(tap, pluck, disk, name, manifest, scratch)
        check_disks(tap, pluck, disk)
        check_errors(tap, pluck, disk, name, scratch)
        renamed = ["--disk", "drive-scsi0=" + image]
        tap.equal(names(listing(pluck, *renamed, "drive-scsi0/part/2/etc")), ["hostname", "passwd"], "--disk NAME=FILE names the disk")
