#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Twenty sessions at once, two callers for each; and callers that race for the first start, over and over.
import json
import os
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))
import images
from images import MIB
from program import Pluck, Scratch, descendants, wait_gone
from tap import Tap

SESSIONS = 20
RACES = 30


def make_disk(scratch, n):
    top = scratch.new_dir("tree")
    images.put(top, "name", b"disk %d" % n)
    path = scratch.join("many-%d.img" % n)
    images.make_ext4(path, 8 * MIB, top, "whole")
    images.remove_tree(top)
    return path


def read_all(children):
    return [(c.communicate(timeout=400)[0], c.returncode) for c in children]


def start(pluck, disk, program=("extract", "a/raw/name", "-")):
    command, *paths = program
    return pluck.popen(command, "--disk", "a=" + disk, *paths, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def everyone(pluck):
    return [p for s in pluck.session_pids() for p in [s] + descendants(s)]


with Tap() as tap, Scratch() as scratch:
    disks = [make_disk(scratch, n) for n in range(SESSIONS)]
    with Pluck(scratch) as pluck:
        got = read_all([start(pluck, d) for d in disks for _ in range(2)])
        want = [(b"disk %d" % n, 0) for n in range(SESSIONS) for _ in range(2)]
        tap.equal(got, want, "%d sessions started at once by two callers each give each its own disk" % SESSIONS)
        tap.equal(len(pluck.session_pids()), SESSIONS, "one session a disk")
        got = read_all([start(pluck, d) for d in disks for _ in range(4)])
        tap.equal({c for _, c in got}, {0}, "all of them answer four callers at once")
        state = json.loads(pluck.run("status", "--output-format", "json").out)
        tap.ok(len(state) == SESSIONS and all(s.get("state") == "ready" for s in state.values()), "status knows them all", state)
        logs = os.listdir(os.path.join(pluck.env["XDG_STATE_HOME"], "pluck"))
        tap.equal(len(logs), 16, "their consoles go to no more than 16 files")
        tree = everyone(pluck)
        r = pluck.stop()
        left = wait_gone(tree, 60)
        tap.ok(r.code == 0 and len(tree) >= 4 * SESSIONS and not left and not pluck.state_files(), "stop --all ends them all", r, left)
        bad = []
        for _ in range(RACES):
            got = read_all([start(pluck, disks[0]) for _ in range(2)])
            tree = everyone(pluck)
            if got != want[:2] or len(pluck.session_pids()) != 1:
                bad += [got, pluck.session_pids()]
            pluck.stop()
            bad += wait_gone(tree, 30)
        tap.ok(not bad and not pluck.state_files(), "two callers race for the first start, %d times" % RACES, *bad[:5])
