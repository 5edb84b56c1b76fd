#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# A directory of a million entries, and 10 000 directories beneath each other, listed and extracted by a VM of 128 MiB.
import json
import os
import subprocess
import sys
import tarfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))
import erofs
from program import Pluck, Scratch, peak_memory, roles, watch_memory
from tap import Tap

MILLION, LEVELS = 10**6, 10**4
SECONDS = 3600		# against a hang
GROWTH = 4		# MiB that a process may need more for a million than for ten


def crowd(scratch):
    path = scratch.join("crowd.img")
    erofs.save_crowd(path, MILLION)
    return ["--disk", "crowd=" + path, "--memory", "128"]


def anonymous(pid):
    """MiB of its own: the guest's memory, which the device maps, is not in it."""
    with open("/proc/%d/status" % pid, encoding="utf-8") as f:
        return next(int(line.split()[1]) / 1024 for line in f if line.startswith("RssAnon"))


def measured(pluck, path, *args):
    """(exit code, peak of the command, {role: MiB}) with standard output in a file"""
    with open(path, "wb") as out:
        child = pluck.popen(*args, stdout=out, stderr=subprocess.DEVNULL)
        peak = watch_memory(child, SECONDS)
    pids = roles(pluck.session_pids()[0])
    return child.returncode, peak, {"session": peak_memory(pids["session"]), "device": anonymous(pids["device"])}


def check_growth(tap, name, few, many):
    tap.ok(many[1] < few[1] + GROWTH, name + ": the command's memory is constant", few, many)
    for role in ("session", "device"):
        tap.ok(many[2][role] < few[2][role] + GROWTH, "%s: so is that of the %s" % (name, role), few, many)


def check_million(tap, pluck, disk, scratch):
    pluck.run("list", *disk, "crowd/raw")
    path = scratch.join("out")
    few = measured(pluck, path, "list", *disk, "--output-format", "jsonl", "crowd/raw/few")
    many = measured(pluck, path, "list", *disk, "--output-format", "jsonl", "crowd/raw/many")
    with open(path, "rb") as f:
        names = {json.loads(line)["text"] for line in f}
    tap.equal((few[0], many[0], len(names)), (0, 0, MILLION), "a million entries are listed, each once")
    check_growth(tap, "list", few, many)
    few = measured(pluck, path, "extract", *disk, "--format", "tar", "crowd/raw/few", "-")
    many = measured(pluck, path, "extract", *disk, "--format", "tar", "crowd/raw/many", "-")
    listed = subprocess.run(["tar", "-tf", path], stdout=subprocess.PIPE, check=False)
    tap.equal((few[0], many[0], listed.returncode, len(set(listed.stdout.splitlines()))), (0, 0, 0, MILLION + 1), "and extracted as tar")
    check_growth(tap, "tar", few, many)
    os.unlink(path)
    few = measured(pluck, path, "extract", *disk, "crowd/raw/few", scratch.new_dir("few"))
    target = scratch.new_dir("many")
    many = measured(pluck, path, "extract", *disk, "crowd/raw/many", target)
    tap.equal((few[0], many[0], sum(1 for _ in os.scandir(os.path.join(target, "many")))), (0, 0, MILLION), "and into a directory")
    check_growth(tap, "directory", few, many)
    subprocess.run(["rm", "-rf", target], check=False)
    pluck.stop()


def depth_of(top):
    """Levels of directories named d, and whether the last holds the file bottom; by descriptors, since no path is that long."""
    fd, levels = os.open(top, os.O_RDONLY | os.O_DIRECTORY), 0
    while True:
        names = os.listdir(fd)
        if names != ["d"]:
            os.close(fd)
            return levels, names
        below = os.open("d", os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
        os.close(fd)
        fd, levels = below, levels + 1


def check_depth(tap, pluck, scratch):
    fs = erofs.Erofs()
    at = fs.root
    for _ in range(LEVELS):
        at = fs.add(at, b"d", erofs.DIR)
    fs.add(at, b"bottom")
    path, target = scratch.join("deep.img"), scratch.new_dir("target")
    fs.save(path)
    disk = ["--disk", "deep=" + path, "--memory", "128"]
    out = scratch.join("out")
    with open(out, "wb") as f:
        r = pluck.run("list", *disk, "--recursive", "--output-format", "jsonl", "deep/raw", stdout=f, timeout=SECONDS)
    with open(out, "rb") as f:
        lines = sum(1 for _ in f)
    tap.equal((r.code, lines), (0, LEVELS + 1), "10 000 levels are listed", r)
    r = pluck.run("extract", *disk, "deep/raw/d", target, timeout=SECONDS)
    tap.equal((r.code, depth_of(target)), (0, (LEVELS, ["bottom"])), "and extracted", r)
    subprocess.run(["rm", "-rf", target], check=False)		# Python's own way of removing it is recursive
    with open(out, "wb") as f:
        r = pluck.run("extract", *disk, "--format", "tar", "deep/raw/d", "-", stdout=f, timeout=SECONDS)
    last = None
    if tap.ok(r.code == 0 and os.path.getsize(out), "also as tar", r):
        with tarfile.open(out) as tar:
            for last in tar:
                tar.members = []
        tap.equal((last.name.count("/"), last.name.endswith("/bottom")), (LEVELS, True), "down to the last level")
    pluck.stop()


with Tap() as tap, Scratch() as scratch, Pluck(scratch) as pluck:
    check_depth(tap, pluck, scratch)
    check_million(tap, pluck, crowd(scratch), scratch)
