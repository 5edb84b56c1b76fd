#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# A directory of a million entries, and 10 000 directories beneath each other, listed and extracted by a VM of 128 MiB.
import json
import os
import subprocess
import sys
import tarfile
import time

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


def cpu_seconds(pid):
    """of a process with its threads, user and system"""
    with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as f:
        return sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13])) / os.sysconf("SC_CLK_TCK")


def commands_seconds():
    times = os.times()
    return times.children_user + times.children_system


def measured(tap, pluck, path, *args):
    """(exit code, {role: peak in MiB}) with standard output in a file; figures are told as a comment"""
    pids = roles(pluck.session_pids()[0])
    before = {role: cpu_seconds(pid) for role, pid in pids.items()}
    before["command"], begin = commands_seconds(), time.monotonic()
    with open(path, "wb") as out:
        child = pluck.popen(*args, stdout=out, stderr=subprocess.DEVNULL)
        peaks = {"command": watch_memory(child, SECONDS)}
    wall = time.monotonic() - begin
    peaks.update((role, peak_memory(pid)) for role, pid in pids.items() if role != "device")
    peaks["device"] = anonymous(pids["device"])
    spent = {role: cpu_seconds(pid) - before[role] for role, pid in pids.items()}
    spent["command"] = commands_seconds() - before["command"]
    tap.diag("%s %s: %.1f s; CPU s %s; MiB %s" % (args[0], args[-2 if args[0] == "extract" else -1], wall,
             " ".join("%s %.1f" % i for i in spent.items()), " ".join("%s %.1f" % i for i in peaks.items())))
    return child.returncode, peaks


def check_growth(tap, name, few, many):
    for role in ("command", "session", "broker", "device"):
        tap.ok(many[1][role] < few[1][role] + GROWTH, "%s: the memory of the %s is constant" % (name, role), few, many)


def check_million(tap, pluck, disk, scratch):
    pluck.run("list", *disk, "crowd/raw")
    path = scratch.join("out")
    few = measured(tap, pluck, path, "list", *disk, "--output-format", "jsonl", "crowd/raw/few")
    many = measured(tap, pluck, path, "list", *disk, "--output-format", "jsonl", "crowd/raw/many")
    with open(path, "rb") as f:
        names = {json.loads(line)["text"] for line in f}
    tap.equal((few[0], many[0], len(names)), (0, 0, MILLION), "a million entries are listed, each once")
    check_growth(tap, "list", few, many)
    few = measured(tap, pluck, path, "extract", *disk, "--format", "tar", "crowd/raw/few", "-")
    many = measured(tap, pluck, path, "extract", *disk, "--format", "tar", "crowd/raw/many", "-")
    listed = subprocess.run(["tar", "-tf", path], stdout=subprocess.PIPE, check=False)
    tap.equal((few[0], many[0], listed.returncode, len(set(listed.stdout.splitlines()))), (0, 0, 0, MILLION + 1), "and extracted as tar")
    check_growth(tap, "tar", few, many)
    none = measured(tap, pluck, path, "extract", *disk, "--include", "no-such-*", "--format", "tar", "crowd/raw/many", "-")
    tap.equal(none[0], 0, "a pattern that none of them matches is no time-out")
    os.unlink(path)
    few = measured(tap, pluck, path, "extract", *disk, "crowd/raw/few", scratch.new_dir("few"))
    target = scratch.new_dir("many")
    many = measured(tap, pluck, path, "extract", *disk, "crowd/raw/many", target)
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
