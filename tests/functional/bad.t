#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Damaged, fuzzed and hostile disks of the corpus: every question is answered in time, and the VM survives it.
import base64
import json
import os
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import images
from program import Pluck, Scratch
from tap import Tap, test_data

# what each may answer: every volume is asked; exit codes of a question
FINE = (0, 1, 3, 5)
EXPECTED_PARTS = {"bad-gpt-128-parts": 128}


def volumes_of(tree):
    """Paths of all that can be listed, and the count of partitions."""
    paths, parts = [], 0
    todo = list(tree)
    while todo:
        node = todo.pop()
        if "filepath" in node:
            paths.append(base64.b64decode(node["filepath"]).lstrip(b"/"))
        parts += sum(1 for c in node.get("children", []) if c.get("filepath") is None or b"/part/" in base64.b64decode(c["filepath"]))
        todo += node.get("children", [])
    return paths, parts


def explains(r):
    """An error has words; and damage is the volume's as a whole only if it cannot be mounted, never the guest's answer."""
    if r.code == 0:
        return True
    return bool(r.err.strip()) and b"malformed" not in r.err and (r.code != 5 or b"mounting '" in r.err)


def check_partial(tap, scratch):
    """An ext4 of our own with entries that cannot be: the others are listed and extracted, and these are named."""
    top, image = scratch.new_dir("top"), scratch.join("partial.img")
    for name in ("good", "gone", "dir/good", "dir/bad", "closed/in"):
        images.put(top, name, name.encode())
    images.make_ext4(image, 16 * images.MIB, top, "p1")
    script = ["clri /gone", "ln / /dir/up", "sif /dir/bad mode 0130644", "sif /closed block[0] 4294967295", "sif /closed flags 0"]
    images.run("debugfs", "-w", "-f", "/dev/stdin", image, input=("\n".join(script) + "\n").encode())
    bad = ("gone", "dir/up", "dir/bad", "closed")
    disk = ["--disk", "sda=" + image]
    with Pluck(scratch) as pluck:
        r = pluck.run("list", *disk, "--recursive", "--output-format", "jsonl", "sda/raw", timeout=60)
        lines = [json.loads(line) for line in r.out.splitlines()]
        paths = {base64.b64decode(e["filepath"])[len(b"sda/raw/"):].decode() for e in lines if "error" not in e}
        tap.ok(r.code == 1 and {"good", "dir/good"} <= paths, "partial: the good entries are listed", r, sorted(paths))
        tap.ok(all("'%s'" % name in r.text for name in bad), "partial: each bad one is named", r)
        r = pluck.run("extract", *disk, "sda/raw", scratch.new_dir("out"), timeout=60)
        seen = {p for p in ("good", "dir/good") if os.path.exists(scratch.join("out", "raw", p))}
        tap.ok(r.code == 1 and seen == {"good", "dir/good"}, "partial: the good entries are extracted", r, seen)
        tap.ok(all("raw/%s'" % name in r.text for name in bad), "partial: and the bad ones are named", r)


def check_image(tap, corpus, image, scratch):
    path = scratch.join(image + ".img")
    subprocess.run(["zstd", "-dqf", "--sparse", os.path.join(corpus, image + ".img.zst"), "-o", path], check=True)
    disk = ["--disk", "sda=" + path]
    with Pluck(scratch) as pluck:
        r = pluck.run("disks", *disk, "--output-format", "json", timeout=60)
        if os.path.getsize(path) == 0:
            tap.ok(r.code in FINE + (2,), "%s: answers" % image, r)
            return
        if not tap.ok(r.code in (0, 1), "%s: disks answers" % image, r):
            return
        paths, parts = volumes_of(json.loads(r.out))
        first = pluck.session_pids()
        bad, silent = [], []
        for p in paths:
            r = pluck.run("list", *disk, "--recursive", "--output-format", "jsonl", p, timeout=60, stdout=subprocess.DEVNULL)
            if r.code not in FINE:
                bad.append(r)
            if not explains(r):
                silent.append(r)
            if b"/" in p and not p.endswith(b"/part") and image != "squashfs-bomb":	# 20 GiB of zeros
                r = pluck.run("extract", *disk, "--format", "tar", p, "-", timeout=60, stdout=subprocess.DEVNULL)
                if r.code not in FINE + (2,):
                    bad.append(r)
                if not explains(r):
                    silent.append(r)
        tap.ok(not bad, "%s: %d paths are read or refused in time" % (image, len(paths)), *bad[:3])
        tap.ok(not silent, "%s: what is not read is told, and told of the volume" % image, *silent[:3])
        tap.ok(pluck.session_pids() == first, "%s: its VM survives" % image, "%s, was %s" % (pluck.session_pids(), first))
        if image in EXPECTED_PARTS:
            tap.ok(parts >= EXPECTED_PARTS[image], "%s: all partitions are shown" % image, parts)
        if image == "bad-qcow2-in-raw":
            size = (json.loads(pluck.run("disks", *disk, "--output-format", "json").out) or [{}])[0].get("size", 0)
            want = -(-os.path.getsize(path) // 512) * 512
            tap.equal(size, want, "%s: it is a disk of its real size in sectors" % image)
    os.unlink(path)


corpus = test_data("PLUCK_CORPUS", "corpus")
with Tap() as tap, Scratch() as scratch:
    check_partial(tap, scratch)
    if corpus is None:
        tap.skip("damaged images", "no disk image corpus ($PLUCK_CORPUS)")
        every = []
    else:
        every = [n[:-8] for n in os.listdir(corpus) if n.startswith("bad-") and n.endswith(".img.zst")] + ["ext4-badsb", "squashfs-bomb"]
    for image in sys.argv[1:] or sorted(every):
        check_image(tap, corpus, image, scratch)
