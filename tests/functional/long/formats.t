#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# A file of more than 4 GiB, nearly all of it a hole, out of the VM as zip and as tar.
import os
import shutil
import subprocess
import sys
import zipfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))
import images
from images import MIB
from program import Pluck, Scratch
from tap import Tap

SIZE = 4096 * MIB + 5


def make_disk(scratch):
    top = scratch.new_dir("tree")
    with open(os.path.join(top, "big"), "wb") as f:
        f.seek(SIZE - 5)
        f.write(b"after")
    with open(os.path.join(top, "small"), "wb") as f:
        f.write(b"x")
    images.settle_times(top)
    path = scratch.join("disk.img")
    images.make_ext4(path, 64 * MIB, top, "whole")
    images.remove_tree(top)
    return ["--disk", "a=" + path]


def tail_of(*command):
    """The last bytes that a command writes."""
    done = subprocess.run(["sh", "-c", '"$@" | tail -c 5', "sh", *command], check=False, stdout=subprocess.PIPE)
    return done.stdout


with Tap() as tap, Scratch() as scratch, Pluck(scratch) as pluck:
    disk = make_disk(scratch)
    path = scratch.join("big.zip")
    with open(path, "wb") as out:
        r = pluck.run("extract", *disk, "--format", "zip", "a/raw", "-", stdout=out, timeout=600)
    tap.ok(r.code == 0 and os.stat(path).st_size < 16 * MIB, "a zip of a file of more than 4 GiB", r, os.stat(path).st_size)
    with zipfile.ZipFile(path) as z:
        tap.ok(z.getinfo("raw/big").file_size == SIZE and z.read("raw/small") == b"x", "zipfile: its size")
    if shutil.which("unzip"):
        tap.equal(tail_of("unzip", "-p", path, "raw/big"), b"after", "unzip: its end")
    else:
        tap.skip("unzip", "not installed")
    if shutil.which("7zz"):
        tap.equal(subprocess.run(["7zz", "t", path], check=False, stdout=subprocess.DEVNULL).returncode, 0, "7-Zip finds no error")
    else:
        tap.skip("7-Zip", "not installed")
    path = scratch.join("big.tar")
    with open(path, "wb") as out:
        r = pluck.run("extract", *disk, "--format", "tar", "a/raw", "-", stdout=out)
    tap.ok(r.code == 0 and os.stat(path).st_size < MIB, "as tar it takes no room", r, os.stat(path).st_size)
    tap.equal(tail_of("tar", "-xOf", path, "raw/big"), b"after", "tar: its end")
