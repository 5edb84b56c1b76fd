#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# The helpers of these tests: does a comparison really see a difference?
import io
import json
import os
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import images
import manifest as M
from program import Scratch
from tap import Tap


def as_listing(volume, prefix):
    """What list would print for a volume."""
    lines = []
    bits = {"f": 0o100000, "d": 0o040000, "l": 0o120000, "c": 0o020000, "b": 0o060000, "p": 0o010000, "s": 0o140000}
    for e in volume.entries.values():
        full = prefix + (b"/" + e.path if e.path else b"")
        o = {"filepath": M.b64(full), "text": full.rsplit(b"/", 1)[-1].decode("utf-8", "replace"), "type": e.type, "leaf": e.type != "d",
             "mode": e.mode | bits[e.type], "uid": e.uid, "gid": e.gid, "inode": e.ino or 10000 + len(lines)}
        for key, value in (("size", e.size), ("mtime-ns", e.mtime), ("links", e.links)):
            if value is not None:
                o[key] = value
        if e.target is not None:
            o["target"] = M.b64(e.target)
        if e.rdev is not None:
            o["rdev"] = list(e.rdev)
        lines.append(json.dumps(o))
    return "\n".join(lines)


def check_views(tap, scratch, volume, top):
    seen, problems = M.from_listing(as_listing(volume, b"d/part/1"), b"d/part/1")
    tap.equal([str(d) for d in M.compare(volume.entries, seen)] + problems, [], "a listing that is right")
    tap.equal([str(d) for d in M.compare(volume.entries, M.from_tree(top))], [], "a directory that is right")
    tar = scratch.join("x.tar")
    subprocess.run(["tar", "-C", top, "--format=pax", "-cf", tar, "."], check=True, stderr=subprocess.DEVNULL)
    with open(tar, "rb") as f:
        members = M.from_tar(f)
    tap.equal([str(d) for d in M.compare(volume.entries, members, ignore=("xattrs", "links"), without=("s",))], [], "a tar that is right")
    volume.add(M.Entry(b"sock", type="s"))
    tap.equal(len(M.compare(volume.entries, members, ignore=("xattrs", "links"))), 1, "a missing socket is seen")
    del volume.entries[b"sock"]
    path = scratch.join("m.jsonl")
    m = M.Manifest("m")
    m.volumes["v"] = volume
    m.save(path)
    back = M.read_manifest(path).volumes["v"]
    tap.equal([str(d) for d in M.compare(volume.entries, back.entries)], [], "a manifest written and read")


def check_differences(tap, volume, top):
    changes = {b"etc/passwd": ("mode", 0o600), b"etc/hostname": ("mtime", 5), b"data/big.bin": ("sha", "0" * 64), b"home": ("type", "f"),
               b"posix/dangling": ("target", b"x"), b"posix/xattr-user": ("xattrs", {}), b"posix/sparse": ("size", 1),
               b"posix/fifo": ("uid", 77)}
    seen = M.from_tree(top)
    for path, (field, value) in changes.items():
        setattr(seen[path], field, value)
    found = {d.path: d.field for d in M.compare(volume.entries, seen)}
    tap.equal(found, {p: f for p, (f, _) in changes.items()}, "every changed field is seen")
    seen = M.from_tree(top)
    del seen[b"void"]
    seen[b"more"] = M.Entry(b"more", type="f")
    seen[b"posix/hard-b"].ino = "another"
    found = sorted((d.path, d.field) for d in M.compare(volume.entries, seen))
    tap.equal(sorted(f for _, f in found), ["entry", "entry", "hard links"], "missing, additional and separated entries are seen", found)
    if found:
        rules = M.KnownDifferences("/dev/null")
        rules.rules.append(["im*", "v", "*", "entry", "mo*"])
        left = rules.filter("image", "v", "dir", M.compare(volume.entries, seen))
        tap.equal(len(left), 2, "a known difference is left out, the others stay")


def check_bad_listing(tap, volume):
    text = as_listing(volume, b"d/part/1")
    for what, bad in (("a line outside of the volume", json.dumps({"filepath": M.b64(b"d/part/2/x"), "text": "x", "type": "f", "leaf": True})),
                      ("a line twice", text.splitlines()[1]),
                      ("a wrong leaf", json.dumps({"filepath": M.b64(b"d/part/1/zz"), "text": "zz", "type": "f", "leaf": False}))):
        tap.ok(M.from_listing(text + "\n" + bad, b"d/part/1")[1], what + " is seen")
    out = io.StringIO()
    sys.stdout, stdout = out, sys.stdout
    try:
        Tap().ok(False, "bad \x1b[31m name", "note\r\x07")
    finally:
        sys.stdout = stdout
    tap.ok("\x1b" not in out.getvalue() and "\x07" not in out.getvalue(), "foreign names cannot upset the terminal", repr(out.getvalue()))


with Tap() as tap, Scratch() as scratch:
    top = scratch.new_dir("tree")
    images.make_posix_tree(top)
    images.settle_times(top)
    volume = images.volume_of_tree("v", top)
    check_views(tap, scratch, volume, top)
    check_differences(tap, volume, top)
    check_bad_listing(tap, volume)
