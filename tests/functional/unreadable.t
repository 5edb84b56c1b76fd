#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# What of a disk cannot be read: named, counted without an end, in the report, and never taken for what is not there.
import hashlib
import json
import os
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import images
from images import MIB
from program import Pluck, Scratch
from pxar_store import Snapshot, chunk_path, make_store
from tap import Tap

LISTED, LINES = 4096, 20	# host/session/damage.h, host/cli/cli.h
CLUSTER = 65536
FILES = LISTED + 404
IMAGE = "drive-scsi0.img.fidx"


def contents(i):
    return (b"file %d\n" % i).ljust(100, b".")


class Holes(Snapshot):
    """The chunks of small files are never written."""

    def add_chunk(self, piece):
        return hashlib.sha256(piece).hexdigest() if piece.startswith(b"file ") else super().add_chunk(piece)


def put_store(scratch, name, data, chunk):
    """A datastore with one disk. Return: its path; arguments of commands that name the snapshot."""
    store = scratch.join(name)
    make_store(store)
    snap = Holes(store, "vm", "100", 1700000000, "2023-11-14T22:13:20Z")
    snap.add_image(IMAGE, data, chunk)
    return store, ["--repository", store, snap.finish()]


def make_crowd(scratch):
    """A disk with FILES files, each with a chunk of its own, which is not there."""
    def fill(top):
        for i in range(FILES):
            images.put(top, "%02d/%05d" % (i % 50, i), contents(i))
        images.put(top, "whole", b"whole")

    path = images.make_ext4_disk(scratch, "crowd.img", (FILES + 400) * CLUSTER, fill, features="bigalloc")[0]
    with open(path, "rb") as f:
        return put_store(scratch, "store-crowd", f.read(), CLUSTER)[1]


def check_many(tap, scratch, pluck):
    source = make_crowd(scratch)
    report = scratch.join("report.json")
    with open(os.devnull, "wb") as null:
        r = pluck.run("extract", *source, "--report", report, IMAGE + "/raw", "-", stdout=null)
    lines = re.findall(r"disk 'drive-scsi0': 65536 bytes at [0-9]+ cannot be read: chunk [0-9a-f]{64} is missing", r.text)
    tap.ok(r.code == 5 and len(lines) == LINES and len(set(lines)) == LINES, "the first ranges that cannot be read are told, exit code 5", r, len(lines))
    more = re.search(r"and ([0-9]+) more ranges of ([0-9]+) bytes that cannot be read", r.text)
    want = (FILES - LINES, (FILES - LINES) * CLUSTER)
    tap.equal(more and tuple(map(int, more.groups())), want, "of the others how many there are, and their bytes", r)
    with open(report, encoding="utf-8") as f:
        found = json.load(f)
    seen = found.get("unreadable", {})
    ranges = seen.pop("ranges", [])
    tap.equal(seen, {"unlisted": FILES - LISTED, "unlisted-bytes": (FILES - LISTED) * CLUSTER, "uncounted": False},
              "the report says how many it does not list")
    tap.ok(len({(e["disk"], e["offset"]) for e in ranges}) == LISTED and all(e["length"] == CLUSTER and "is missing" in e["error"] for e in ranges),
           "and lists the others, each once", len(ranges), ranges[:2])
    tap.equal(found["problems-total"], FILES, "each file is a problem of its own")
    r = pluck.run("extract", *source, IMAGE + "/raw", "-", stdout=open(os.devnull, "wb"))
    again = re.search(r"and ([0-9]+) more ranges of ([0-9]+) bytes that cannot be read", r.text)
    tap.equal(again and tuple(map(int, again.groups())), want, "what is read again is not counted again", r)
    pluck.stop()


def make_parted(scratch):
    """Two partitions. Return: the bytes of the disk."""
    inner = images.make_ext4_disk(scratch, "inner.img", 16 * MIB, lambda top: images.put(top, "name", b"one"))[0]
    path = scratch.join("parted.img")
    images.run("truncate", "-s", str(48 * MIB), path)
    images.run("sfdisk", "-q", path, input=b"label: gpt\nstart=2048, size=32768\nstart=65536, size=2048\n")
    with open(inner, "rb") as f, open(path, "r+b") as disk:
        disk.seek(MIB)
        disk.write(f.read())
        disk.seek(0)
        return disk.read()


def take_away(store, data, at):
    """The chunk of MIB bytes at this offset. Return: how to put it back."""
    path = chunk_path(store, hashlib.sha256(data[at:at + MIB]).hexdigest())
    os.rename(path, path + ".bad")
    return lambda: os.rename(path + ".bad", path)


def check_tables(tap, scratch, pluck):
    data = bytearray(make_parted(scratch))
    data[40 * MIB:40 * MIB + 3] = b"two"	# so that no two chunks that matter are the same
    data = bytes(data)
    store, source = put_store(scratch, "store-parted", data, MIB)
    missing = r"drive-scsi0': 1048576 bytes at %d cannot be read: chunk [0-9a-f]{64} is missing"

    back = take_away(store, data, 0)
    r = pluck.run("disks", *source)
    tap.ok(r.code == 5 and b"cannot read the disk" in r.out and re.search(missing % 0, r.text), "disks: the table cannot be read, and why; exit code 5", r, r.out)
    for what in (["list", "part/1"], ["list", "part"], ["list", "raw"], ["cat", "part/1/name"], ["extract", "part/1/name"]):
        r = pluck.run(what[0], *source, IMAGE + "/" + what[1], *(["-"] if what[0] == "extract" else []))
        tap.ok(r.code == 5 and not r.out and re.search(missing % 0, r.text), "%s %s: not 'there is none', exit code 5" % tuple(what), r, r.out)
    pluck.stop()
    back()

    back = take_away(store, data, 47 * MIB)
    r = pluck.run("disks", *source)
    tap.ok(r.code == 5 and b"part/1" in r.out and b"part/2" in r.out and re.search(missing % (47 * MIB), r.text),
           "disks: without the second table there are partitions, and exit code 5", r, r.out)
    r = pluck.run("cat", *source, IMAGE + "/part/1/name")
    tap.ok(r.code == 0 and r.out == b"one", "and they can be read", r)
    pluck.stop()
    back()
    r = pluck.run("disks", *source)
    tap.ok(r.code == 0 and not r.err, "a whole disk: exit code 0", r)


with Tap() as main_tap, Scratch() as main_scratch, Pluck(main_scratch) as main_pluck:
    check_tables(main_tap, main_scratch, main_pluck)
    check_many(main_tap, main_scratch, main_pluck)
