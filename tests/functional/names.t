#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# How disks are named, which calls mean the same session, and what things are called that come out.
import base64
import io
import json
import os
import sys
import tarfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import images
from images import MIB
from program import Pluck, Scratch
from tap import Tap

SNAPSHOT = "vm/7/2024-05-01T12:00:00Z"


def make_disks(scratch):
    """one.img: ext4 on the whole disk; two.img: ext4 in the second partition; blank.img: nothing at all."""
    top = scratch.new_dir("tree")
    images.put(top, "dir/file", b"contents\n")
    images.settle_times(top)
    one, two, blank, part = (scratch.join(n) for n in ("one.img", "two.img", "blank.img", "part"))
    images.make_ext4(one, 16 * MIB, top, "whole")
    images.make_ext4(part, 16 * MIB, top, "p2")
    images.make_disk(two, [(None, MIB, "linux", "first"), (part, 16 * MIB, "linux", "second")])
    os.unlink(part)
    images.remove_tree(top)
    with open(blank, "wb") as f:
        f.truncate(4 * MIB)
    return one, two, blank


def top_names(pluck, *args):
    r = pluck.run("list", *args, "--output-format", "json", "/")
    return sorted(e["text"] for e in json.loads(r.out)) if r.code == 0 else r


def check_names(tap, pluck, scratch, one, two):
    """The rule of NAME=: it counts only if it has no other characters than a name may have."""
    tap.equal(top_names(pluck, "--disk", one), ["one.img"], "a disk's name is the base name of its file")
    tap.equal(top_names(pluck, "--disk", "a.B_9-=" + one), ["a.B_9-"], "NAME=FILE gives it another")
    tap.equal(top_names(pluck, "--disk", "a=" + one, "--disk", two), ["a", "two.img"], "several disks")
    for name in ("k=v.img", "with space=x.img"):
        link = scratch.join(name)
        os.symlink(one, link)
        cwd = os.getcwd()
        os.chdir(scratch.path)
        # "k=v.img" alone is NAME=FILE, with a path before it it is a file
        tap.equal(top_names(pluck, "--disk", "./" + name), [name], "a file with an equals sign: %s" % name)
        os.chdir(cwd)
    suffixed = scratch.join("drive.img.fidx")
    os.symlink(one, suffixed)
    tap.equal(top_names(pluck, "--disk", suffixed), ["drive"], "the suffix of an archive is no part of the name")
    for names, why in (((one, one), "given twice"), (("x=" + one, "x=" + two), "given twice"), (("=" + one,), ""), (("n=",), "names no file")):
        r = pluck.run("list", *[w for n in names for w in ("--disk", n)], "/")
        tap.ok(r.code in ((2, 3) if not why else (2,)) and why in r.text, "refused: --disk %s" % " ".join(map(os.path.basename, names)), r)
    r = pluck.run("list", "--disk", one, "--repository", scratch.path, "/")
    tap.ok(r.code == 2 and "--disk takes the place" in r.text, "--disk together with --repository: exit code 2", r)


def check_sessions(tap, pluck, one, two):
    """The same disks in any order are the same session; a disk that was written to is another disk."""
    def session():
        return sorted(pluck.session_pids())

    tap.equal(pluck.run("list", "--disk", one, "--disk", two, "one.img/raw").code, 0, "list of one of two disks")
    first = session()
    tap.equal(pluck.run("list", "--disk", two, "--disk", one, "two.img/part/2").code, 0, "the other one, named in the other order")
    tap.ok(len(first) == 1 and session() == first, "that is the same session", first, session())
    tap.equal(pluck.run("list", "--disk", one, "one.img/raw").code, 0, "one of them alone")
    tap.equal(len(session()), 2, "is a session of its own")
    r = pluck.run("status", "--disk", one, "--output-format", "json")
    tap.ok(r.code == 0 and len(json.loads(r.out)) == 1, "status --disk shows that one", r, r.out)
    r = pluck.run("stop", "--disk", two, "--disk", one)
    tap.ok(r.code == 0 and len(session()) == 1, "stop --disk ends the one with both, in any order", r)
    st = os.stat(one)
    os.utime(one, ns=(st.st_mtime_ns, st.st_mtime_ns + 1))
    tap.equal(pluck.run("list", "--disk", one, "one.img/raw").code, 0, "the file was written to")
    tap.equal(len(session()), 2, "its old session is not taken for it")
    state = pluck.json("status", "--output-format", "json") or {}
    tap.equal(len(state), 2, "status shows both", state)
    r = pluck.run("stop", "--disk", one)
    tap.ok(r.code == 0 and session() == [], "stop --disk ends both", r)


def members(r):
    return sorted(tarfile.open(fileobj=io.BytesIO(r.out)).getnames()) if r.code == 0 else r


def check_components(tap, pluck, scratch, one, two):
    """What comes out has one component of its path above it: a volume the last of its own."""
    disks = ["--disk", one, "--disk", two]
    for path, name in (("one.img/raw", "raw"), ("two.img/part/2", "2"), ("one.img/raw/dir", "dir"), ("two.img/part/2/dir/", "dir")):
        r = pluck.run("extract", *disks, "--format", "tar", path, "-")
        got = members(r)
        inner = "file" if name == "dir" else "dir/file"
        tap.ok(isinstance(got, list) and "%s/%s" % (name, inner) in got and all(m.split("/")[0] == name for m in got),
               "tar of %s: all members are beneath %s" % (path, name), got)
        target = scratch.new_dir("target")
        r = pluck.run("extract", *disks, path, target)
        tap.ok(r.code == 0 and os.listdir(target) == [name] and os.path.isfile(os.path.join(target, name, inner)),
               "and so are the files in a directory", r, os.listdir(target))
    r = pluck.run("extract", *disks, "--format", "tar", "--path", "one.img/raw/dir", "--path", "two.img/part/2/dir/file", "-")
    tap.equal(members(r), ["dir", "dir/file", "file"], "several paths in one tar")


def check_empty(tap, pluck, blank):
    r = pluck.run("disks", "--disk", blank, "--output-format", "json")
    tree = json.loads(r.out) if r.code == 0 else None
    tap.ok(tree and tree[0]["name"] == "blank.img" and not tree[0].get("children"), "disks: no volume at all is exit code 0", r, tree)
    r = pluck.run("disks", "--disk", blank)
    tap.ok(r.code == 0 and b"blank.img" in r.out, "also as text", r, r.out)
    r = pluck.run("list", "--disk", blank, "blank.img/raw")
    tap.ok(r.code == 3 and b"no known file system" in r.err, "list of what has no file system is an error", r)


def check_namespace(tap, pluck, scratch, one):
    """A store with a namespace: the same snapshot in the root and in it are two."""
    pluck.stop()
    store = scratch.join("store")
    pluck.run("datastore", "create", store)
    time = "--backup-time", "2024-05-01T12:00:00Z"
    r = pluck.run("backup", "--repository", store, "--ns", "a/b", "--backup-id", "7", *time, "d.img:" + one)
    tap.ok(r.code == 3 and "a/b" in r.text, "backup into a namespace that is not there: exit code 3", r)
    os.makedirs(os.path.join(store, "ns/a/ns/b"))
    for ns in ((), ("--ns", "a/b")):
        r = pluck.run("backup", "--repository", store, *ns, "--backup-id", "7", *time, "d.img:" + one)
        tap.ok(r.code == 0, "backup into namespace '%s'" % "".join(ns[1:]), r)
        listed = pluck.json("list", "--repository", store, *ns, SNAPSHOT, "--output-format", "json", "d/raw/dir") or []
        tap.equal([base64.b64decode(e["filepath"]) for e in listed], [b"d.img.fidx/raw/dir/file"], "and a file in it is listed")
    tap.equal(len(pluck.session_pids()), 2, "each has its session")
    env = dict(pluck.env, PBS_REPOSITORY=store, PBS_NAMESPACE="a/b")
    r = pluck.run("extract", SNAPSHOT, "d.img.fidx/raw/dir/file", "-", env=env)
    tap.ok(r.code == 0 and r.out == b"contents\n", "PBS_REPOSITORY and PBS_NAMESPACE stand for the options", r)
    for bad in ("../x", "a//b", ".hidden", "a/b/c/d/e/f/g/h"):
        r = pluck.run("list", "--repository", store, "--ns", bad, SNAPSHOT, "/")
        tap.ok(r.code == 2 and "namespace" in r.text, "refused: --ns %s" % bad, r)
    for repository, code in (("relative/path", 9), ("user@pbs@host:store", 9), (scratch.join("none"), 3)):
        r = pluck.run("list", "--repository", repository, SNAPSHOT, "/")
        tap.ok(r.code == code and r.err.strip(), "--repository %s: exit code %d" % (os.path.basename(repository), code), r)
    for snapshot in ("vm/7", "vm/7/2024-05-01", "qemu/7/2024-05-01T12:00:00Z", "vm/7/2024-02-30T12:00:00Z"):
        r = pluck.run("list", "--repository", store, snapshot, "/")
        tap.ok(r.code == 2, "no snapshot's name: %s" % snapshot, r)
    r = pluck.run("list", "--repository", store, "vm/8/2024-05-01T12:00:00Z", "/")
    tap.ok(r.code == 3 and "vm/8/2024-05-01T12:00:00Z" in r.text, "a snapshot that is not there: exit code 3, by name", r)


with Tap() as tap, Scratch() as scratch, Pluck(scratch) as pluck:
    one, two, blank = make_disks(scratch)
    check_names(tap, pluck, scratch, one, two)
    check_sessions(tap, pluck, one, two)
    check_components(tap, pluck, scratch, one, two)
    check_empty(tap, pluck, blank)
    check_namespace(tap, pluck, scratch, one)
