#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Tar, zip and pxar of one tree with everything in it, read back by all whom people use: GNU tar, bsdtar, Python, unzip, 7-Zip
# and our own reader.
import base64
import hashlib
import io
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import images
import manifest as M
from images import MIB
from program import Pluck, Scratch
from tap import Tap

ROOT = os.geteuid() == 0


def make_disk(scratch):
    ns = {b"posix/times/time-1960": 250000000, b"posix/times/time-2100": 1}
    path, volume = images.make_ext4_disk(scratch, "disk.img", 96 * MIB, images.make_posix_tree, ns=ns)
    return ["--disk", "a=" + path], volume


def digest(data):
    return hashlib.sha256(data).hexdigest()


def run(*args, **kw):
    return subprocess.run(args, check=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kw)


def write_archive(pluck, disk, scratch, form, *options):
    path = scratch.join("all." + form)
    with open(path, "wb") as out:
        r = pluck.run("extract", *disk, *options, "--format", form, "a/raw", "-", stdout=out)
    return path, r


def unpack(tap, scratch, volume, name, command, wrong=None):
    """Everything that came out of a reader against the image; the volume's root is the member "raw"."""
    target = scratch.new_dir("by-" + name)
    done = run(*command, cwd=target)
    tap.ok(done.returncode == 0, "%s reads it without a word against it" % name, done.stderr)
    fields = () if ROOT else ("uid", "gid", "xattrs", "rdev", "mode")
    without = () if ROOT else ("b", "c")
    seen = without_lost(M.from_tree(os.path.join(target, "raw")))
    differences = M.compare(wanted(volume, without), seen, ignore=("links",) + fields)
    differences = [d for d in differences if (d.path, d.field) != wrong]
    tap.ok(not differences, "%s: all is as in the image" % name, *[str(d) for d in differences[:12]])
    return target


def without_lost(seen):
    return {p: e for p, e in seen.items() if p != b"lost+found"}


def wanted(volume, without):
    return {p: e for p, e in volume.entries.items() if p != b"lost+found" and e.type not in without}


def check_tar(tap, pluck, disk, volume, scratch):
    path, r = write_archive(pluck, disk, scratch, "tar")
    tap.ok(r.code == 0, "a tar of everything", r)
    tap.ok(os.stat(path).st_size < 12 * MIB, "holes are not in it", os.stat(path).st_size)
    options = ["--xattrs", "--xattrs-include=*", "--acls", "-p", "--same-owner"] if ROOT else []
    target = unpack(tap, scratch, volume, "tar", ["tar", *options, "-xf", path])
    st = os.stat(os.path.join(target, "raw/posix/sparse"))
    tap.ok(st.st_size == 40 * MIB and st.st_blocks * 512 < MIB, "tar: holes are holes", st)
    tap.ok(os.path.samefile(os.path.join(target, "raw/posix/hard-a"), os.path.join(target, "raw/posix/hard-b")), "tar: hard links")
    tap.equal(os.stat(os.path.join(target, "raw/posix/times/time-1960")).st_mtime_ns, -315619200 * 10**9 + 250000000, "tar: a time before 1970")
    if shutil.which("bsdtar"):    # it takes the fraction of a time before 1970 the wrong way
        unpack(tap, scratch, volume, "bsdtar", ["bsdtar", "-xpf", path], (b"posix/times/time-1960", "mtime"))
    else:
        tap.skip("bsdtar", "not installed")
    with open(path, "rb") as f:
        seen = without_lost(M.beneath(M.from_tar(f), b"raw"))
    differences = M.compare(wanted(volume, ()), seen, ignore=("links",))
    tap.ok(not differences, "tarfile: all is as in the image", *[str(d) for d in differences[:12]])
    with tarfile.open(path) as t:
        sizes = {m.name: m.size for m in t}
    tap.equal(sizes["raw/posix/all-hole"], 5 * MIB, "tarfile: a file that is one hole")


def zip_wants(volume):
    """{path: (type, digest or target)} of what a zip holds."""
    found = {}
    for path, e in wanted(volume, ()).items():
        if path and e.type in "dfl":
            found[path] = e
    return found


def check_zip(tap, pluck, disk, volume, scratch):
    path, r = write_archive(pluck, disk, scratch, "zip")
    tap.ok(r.code == 1 and "zip has only" in r.text and (not ROOT or "neither attributes" in r.text),
           "a zip: what it cannot hold is named, exit code 1", r)
    path, r = write_archive(pluck, disk, scratch, "zip", "--skip-special")
    tap.equal(r.code, 0, "unless that is no loss", r)
    want = zip_wants(volume)
    bad, seen = [], set()
    with zipfile.ZipFile(path) as z:
        tap.ok(z.testzip() is None, "zipfile: all checksums are right")
        for m in z.infolist():
            # a name that is no UTF-8 has no flag, and Python takes it for code page 437
            name = m.filename.encode("utf-8" if m.flag_bits & 0x800 else "cp437")
            name = name.rstrip(b"/")[4:]
            if name in (b"", b"lost+found"):
                continue
            seen.add(name)
            e = want.get(name)
            mode = m.external_attr >> 16
            if e is None or M.type_of_mode(mode) != e.type or (e.type != "l" and mode & 0o7777 != e.mode & 0o7777):
                bad.append((name, oct(mode), e))
            elif e.type == "f" and e.sha is not None and digest(z.read(m)) != e.sha:
                bad.append((name, "contents"))
            elif e.type == "l" and z.read(m) != e.target:
                bad.append((name, "target"))
    tap.ok(not bad and seen == set(want), "zipfile: names, modes, contents and targets", bad[:5], sorted(set(want) - seen)[:5],
           sorted(seen - set(want))[:5])
    check_unzip(tap, path, want, scratch)
    check_7z(tap, path, want, scratch)


def plain_files(want):
    """Files whose names every reader can make in every locale."""
    return {p: e for p, e in want.items() if e.type == "f" and p.isascii() and all(32 < c < 127 and c not in b"\\*?[]:\"<>|" for c in p)}


def compare_files(tap, want, top, name):
    bad = []
    for p, e in plain_files(want).items():
        at = os.path.join(os.fsencode(top), b"raw", p)
        try:
            with open(at, "rb") as f:
                if e.sha is not None and digest(f.read()) != e.sha:
                    bad.append((p, "contents"))
            seconds = e.mtime // 10**9
            if 315532800 <= seconds < 2**31 and os.stat(at).st_mtime_ns // 10**9 != seconds:
                bad.append((p, os.stat(at).st_mtime_ns, e.mtime))
        except OSError as error:
            bad.append((p, error))
    tap.ok(len(plain_files(want)) > 40 and not bad, "%s: %d files are whole, with their times" % (name, len(plain_files(want))), bad[:6])


def check_unzip(tap, path, want, scratch):
    if not shutil.which("unzip"):
        tap.skip("unzip", "not installed")
        return
    done = run("unzip", "-tq", path)
    tap.ok(done.returncode == 0, "unzip finds no error", done.stdout[-300:], done.stderr)
    target = scratch.new_dir("by-unzip")
    done = run("unzip", "-Xqo", path, cwd=target, env=dict(os.environ, LC_ALL="C.UTF-8"))
    compare_files(tap, want, target, "unzip")
    if ROOT:
        st = os.stat(os.path.join(target, "raw/posix/own-1000"))
        tap.equal((st.st_uid, st.st_gid), (1000, 1000), "unzip -X: the owner", done.stderr)
        st = os.stat(os.path.join(target, "raw/posix/own-big"))
        tap.equal((st.st_uid, st.st_gid), (3000000000, 70000), "unzip -X: an owner of 32 bits")
    tap.equal(os.readlink(os.path.join(target, "raw/posix/link")), "mode-0444", "unzip: a symbolic link")


def check_7z(tap, path, want, scratch):
    seven = shutil.which("7zz") or shutil.which("7z")
    if not seven:
        tap.skip("7-Zip", "not installed")
        return
    done = run(seven, "t", path)
    tap.ok(done.returncode == 0 and b"Everything is Ok" in done.stdout, "7-Zip finds no error", done.stdout[-300:], done.stderr)
    target = scratch.new_dir("by-7z")
    names = [os.fsdecode(b"raw/" + p) for p in plain_files(want)]
    done = run(seven, "x", "-y", path, *names, cwd=target)
    compare_files(tap, want, target, "7-Zip")


def check_pxar(tap, pluck, disk, volume, scratch):
    """Official: without holes and in-band errors. Our reader of plain archives gets everything out of it."""
    path, r = write_archive(pluck, disk, scratch, "pxar")
    tap.equal(r.code, 0, "a pxar of everything", r)
    r = pluck.run("pxar", "list", path, "--output-format", "jsonl")
    seen = {}
    for line in r.out.splitlines():
        o = json.loads(line)
        name = base64.b64decode(o["path"] if "path" in o else o["filepath"])
        seen[name.removeprefix(b"/").removeprefix(b"raw/")] = o
    want = wanted(volume, ())
    missing = [p for p in want if p and p not in seen]
    bad = [(p, seen[p]["type"], e.type) for p, e in want.items() if p in seen and seen[p]["type"] not in (e.type, "h")]
    sizes = [p for p, e in want.items() if p in seen and e.type == "f" and seen[p]["type"] == "f" and seen[p]["size"] != e.size]
    tap.ok(r.code == 0 and not missing and not bad and not sizes, "pxar list: every entry, kind and size", r.err, missing[:5], bad[:5], sizes[:5])
    target = scratch.new_dir("by-pxar")
    r = pluck.run("pxar", "extract", path, target, "--devices")
    fields = () if ROOT else ("uid", "gid", "xattrs", "rdev", "mode")
    # attributes of other kinds than user.*, and of anything but files and directories, are no part of the format
    differences = M.compare(wanted(volume, ()), without_lost(M.from_tree(os.path.join(target, "raw"))), ignore=("links", "xattrs") + fields)
    tap.ok(r.code == (0 if ROOT else 1) and not differences, "pxar extract: all is as in the image", r.err,
           *[str(d) for d in differences[:12]])


def check_cut(tap, pluck, disk, scratch):
    """What is cut is never taken for whole."""
    for form, test in (("tar", ["tar", "-tf"]), ("zip", ["python3", "-m", "zipfile", "-t"])):
        path = scratch.join("cut." + form)
        with open(path, "wb") as out:
            child = pluck.popen("extract", *disk, "--format", form, "a/raw", "-", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            out.write(child.stdout.read(200000))
            child.stdout.close()
            child.wait()
        tap.ok(run(*test, path).returncode != 0, "a %s that was cut off is no %s" % (form, form))


with Tap() as tap, Scratch() as scratch, Pluck(scratch) as pluck:
    disk, volume = make_disk(scratch)
    check_tar(tap, pluck, disk, volume, scratch)
    check_zip(tap, pluck, disk, volume, scratch)
    check_pxar(tap, pluck, disk, volume, scratch)
    check_cut(tap, pluck, disk, scratch)
