#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Options and endings of commands: what is printed, what is kept, and the exit codes.
import hashlib
import io
import json
import os
import signal
import sys
import tarfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import images
from images import MIB
from program import Pluck, Scratch, roles, wait_gone
from tap import Tap

ROOT = os.geteuid() == 0
SNAPSHOT = "vm/100/2023-11-14T22:13:20Z"
IMAGE = "drive-scsi0.img.fidx"
CHUNK = 4 * MIB


def make_store(scratch, pluck):
    """A datastore with one disk: ext4 on the whole of it."""
    top = scratch.new_dir("tree")
    images.make_posix_tree(top)
    images.put(top, "big/whole.bin", images.noise(12 * MIB, 7))
    images.put(top, "big/broken.bin", images.noise(12 * MIB, 8))
    for i in range(2000):
        images.put(top, "crowd/%s-%04d" % ("n" * 200, i), b"")
    images.settle_times(top)
    disk, store = scratch.join("disk.img"), scratch.join("store")
    images.make_ext4(disk, 128 * MIB, top, "whole")
    images.remove_tree(top)
    for args in (("datastore", "create", store),
                 ("backup", "--repository", store, "--backup-id", "100", "--backup-time", "1700000000", "drive-scsi0.img:" + disk)):
        r = pluck.run(*args)
        if r.code:
            raise RuntimeError(str(r))
    return store, disk


def read(path):
    with open(path, "rb") as f:
        return f.read()


def write(path, data, mtime):
    with open(path, "wb") as f:
        f.write(data)
    os.utime(path, (mtime, mtime))


def check_stat(tap, pluck, source):
    r = pluck.run("stat", *source, IMAGE + "/raw/etc/passwd", "--output-format", "json")
    stat = json.loads(r.out) if r.code == 0 else {}
    listed = pluck.json("list", *source, IMAGE + "/raw/etc", "--output-format", "json") or []
    one = [e for e in listed if e["text"] == "passwd"]
    xattrs = stat.pop("xattrs", None)
    tap.ok(one and stat == one[0] and xattrs == [], "stat prints the fields of list, and xattrs", r, one)
    tap.ok(isinstance(stat.get("mtime-ns"), int) and stat["mtime-ns"] // 10**9 == stat["mtime"], "mtime-ns is one exact integer", stat)
    disks = pluck.json("disks", *source, "--output-format", "json") or []
    tap.ok(disks and disks[0]["name"] == "drive-scsi0", "disks: a disk's name stays plain", disks)
    paths = [v["path"] for d in disks for v in [d] + d.get("children", []) if "path" in v]
    tap.ok(paths and all(p.startswith(IMAGE) for p in paths), "disks: paths begin with the archive", paths)
    tap.ok(all(pluck.run("list", *source, p).code == 0 for p in paths), "list takes every path that disks shows", paths)


def check_if_newer(tap, pluck, source, scratch):
    target = scratch.new_dir("newer")
    for name, mtime in (("passwd", 4000000000), ("hostname", 1)):
        write(os.path.join(target, name), b"mine", mtime)
    paths = [w for n in ("passwd", "hostname") for w in ("--path", "%s/raw/etc/%s" % (IMAGE, n))]
    r = pluck.run("extract", *source, "--overwrite", "if-newer", *paths, target)
    tap.ok(read(os.path.join(target, "passwd")) == b"mine", "--overwrite if-newer: a newer file stays", r)
    tap.ok(read(os.path.join(target, "hostname")) != b"mine", "--overwrite if-newer: an older file is replaced", r)
    tap.ok(r.code == 1 and "passwd" in r.text and "1 entry left out" in r.text and "1 file, 0 directories" in r.text,
           "it is told what stayed, in good English, exit code 1", r)


def check_forms(tap, pluck, source, scratch):
    r = pluck.run("extract", *source, "--format", "pxar", IMAGE + "/raw/etc", "-")
    tap.ok(r.code == 0 and r.out, "--format pxar gives bytes", r)
    tap.ok(b"passwd\0" in r.out and b"hostname\0" in r.out, "they are an archive of the directory", len(r.out))
    r = pluck.run("extract", *source, "--format", "tar", IMAGE + "/raw/etc", "-")
    names = tarfile.open(fileobj=io.BytesIO(r.out)).getnames() if r.code == 0 else []
    tap.ok("etc/passwd" in [n.lstrip("./").replace("raw/", "") for n in names], "--format tar gives a tar", r, names)
    r = pluck.run("extract", *source, "--format", "plain", IMAGE + "/raw/etc", "-")
    tap.ok(r.code == 2 and not r.out and b"cannot stream dir" in r.err, "--format plain of a directory is refused", r)
    if not ROOT:
        tap.skip("--devices", "needs root")
        return
    target = scratch.new_dir("devices")
    r = pluck.run("extract", *source, "--devices", IMAGE + "/raw/posix/dev-null", target)
    path = os.path.join(target, "dev-null")
    tap.ok(r.code == 0 and os.path.exists(path) and os.lstat(path).st_rdev == os.makedev(1, 3), "--devices makes device nodes", r)


def check_report(tap, pluck, source, scratch):
    path = scratch.join("report.json")
    r = pluck.run("extract", *source, "--report", path, IMAGE + "/raw/posix", scratch.new_dir("reported"))
    with open(path, encoding="utf-8") as f:
        report = json.load(f)
    texts = [p["text"] for p in report["problems"]]
    tap.ok(report["exit-status"] == r.code == 1 and "posix/dev-null" in texts and report["problems-total"] == len(texts),
           "--report names what was left out", r, report)
    tap.ok(report["totals"]["files"] > 0 and report["totals"]["left-out"] > 0 and report["snapshot"] == SNAPSHOT, "and counts", report)
    r = pluck.run("extract", *source, "--report", path, IMAGE + "/raw/none", scratch.join("reported"))
    with open(path, encoding="utf-8") as f:
        report = json.load(f)
    tap.ok(report["exit-status"] == r.code == 3 and report["error"], "--report of what failed", r, report)
    r = pluck.run("extract", *source, "--report", scratch.join("no/such"), IMAGE + "/raw/etc", scratch.join("reported"))
    tap.ok(r.code == 7 and r.err.strip(), "a report that cannot be written: exit code 7", r)


def chunk_of(disk, content, skip=0):
    """Number of a chunk that lies wholly inside the content of one file."""
    data = read(disk)
    at = data.find(content[:4096])
    first = -(-at // CHUNK) * CHUNK
    if at < 0 or data[first:first + CHUNK] != content[first - at:first - at + CHUNK]:
        return None
    return first // CHUNK


def chunk_path(store, disk, number):
    with open(disk, "rb") as f:
        f.seek(number * CHUNK)
        digest = hashlib.sha256(f.read(CHUNK)).hexdigest()
    return os.path.join(store, ".chunks", digest[:4], digest)


def check_damage(tap, pluck, source, store, disk, scratch):
    number = chunk_of(disk, images.noise(12 * MIB, 8))
    if number is None:
        tap.skip("damaged chunks", "no chunk lies inside one file")
        return
    path = chunk_path(store, disk, number)
    os.rename(path, path + ".0.bad")
    pluck.stop()
    target = scratch.new_dir("damaged")
    r = pluck.run("extract", *source, IMAGE + "/raw/big", target)
    names = sorted(f for _, _, fs in os.walk(target) for f in fs)
    tap.ok(r.code == 5 and os.path.basename(path)[:16] in r.text and "broken.bin" in r.text,
           "extract: a chunk that is missing is named, exit code 5", r)
    tap.equal(names, ["whole.bin"], "only whole files are there")
    target = scratch.new_dir("partial")
    r = pluck.run("extract", *source, "--keep-partial", IMAGE + "/raw/big", target)
    names = sorted(f for _, _, fs in os.walk(target) for f in fs)
    tap.ok(r.code == 5 and names == ["broken.bin.partial", "whole.bin"], "--keep-partial keeps the part under another name", r, names)
    if "broken.bin.partial" in names:
        part = read(os.path.join(target, "big/broken.bin.partial"))
        tap.ok(images.noise(12 * MIB, 8)[:MIB] == part[:MIB], "what came before the damage is in it", len(part))
    r = pluck.run("list", *source, IMAGE + "/raw/big")
    tap.ok(r.code == 0, "list of what is not damaged: exit code 0, although damage was seen", r)
    r = pluck.run("list", *source, IMAGE + "/raw/none")
    tap.ok(r.code == 3, "what is not there: exit code 3, although damage was seen", r)
    os.rename(path + ".0.bad", path)


def check_damaged_list(tap, pluck, source, store, disk):
    """Every chunk but the first is away: directories cannot be read."""
    data = read(disk)
    at = data.find(b"n" * 200 + b"-1999")
    number = at // CHUNK
    if number == 0:
        number = None
    if number is None or at < 0:
        tap.skip("a damaged directory", "it lies in the first chunk")
        return
    path = chunk_path(store, disk, number)
    os.rename(path, path + ".0.bad")
    pluck.stop()
    r = pluck.run("list", *source, "--recursive", "--output-format", "jsonl", IMAGE + "/raw")
    tap.ok(r.code == 5 and os.path.basename(path)[:16] in r.text, "list: a chunk that is missing is named, exit code 5", r)
    os.rename(path + ".0.bad", path)
    pluck.stop()


def check_stopped(tap, pluck, source, *stopped):
    """A session whose processes of these roles do not answer: time-out, and stop ends it nevertheless."""
    r = pluck.run("list", *source, IMAGE + "/raw")
    pids = pluck.session_pids()
    if r.code or len(pids) != 1:
        tap.ok(False, "one session runs", r, pids)
        return
    tree = list(roles(pids[0]).values())
    for role in stopped:
        os.kill(roles(pids[0])[role], signal.SIGSTOP)
    r = pluck.run("list", *source, "--timeout", "1", IMAGE + "/raw")
    tap.ok(r.code == 8 and "list not finished in time" in r.text and r.seconds < 30, "--timeout: exit code 8", r)
    r = pluck.run("status", "--output-format", "json", timeout=60)
    tap.ok(r.code == 0 and b"error" in r.out, "status says that it does not answer", r)
    r = pluck.run("stop", *source, timeout=60)
    tap.ok(r.code == 0 and not wait_gone(tree), "stop ends a session that does not answer", r)
    r = pluck.run("list", *source, IMAGE + "/raw")
    tap.ok(r.code == 0, "and the next one starts", r)


with Tap() as tap, Scratch() as scratch, Pluck(scratch) as pluck:
    store, disk = make_store(scratch, pluck)
    source = ["--repository", store, SNAPSHOT]
    check_stat(tap, pluck, source)
    check_if_newer(tap, pluck, source, scratch)
    check_forms(tap, pluck, source, scratch)
    check_report(tap, pluck, source, scratch)
    check_damage(tap, pluck, source, store, disk, scratch)
    check_damaged_list(tap, pluck, source, store, disk)
    check_stopped(tap, pluck, source, "broker")
    check_stopped(tap, pluck, source, "session", "broker")
