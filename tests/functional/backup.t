#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Backup of a disk into a datastore of our own, reading it back, and what a damaged chunk does to the rest.
import hashlib
import mmap
import os
import struct
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import images
from images import MIB
from program import Pluck, Scratch
from tap import Tap
from volume_check import VolumeCheck

CHUNK = 4 * MIB


def make_disk(scratch):
    """p1: ext4 with big files between small ones, so that a chunk belongs to one file."""
    top = scratch.new_dir("tree")
    images.make_posix_tree(top)
    for i in range(4):
        images.put(top, "big/%d.bin" % i, images.noise(12 * MIB, 100 + i))
    images.settle_times(top)
    part = scratch.join("part")
    volume = images.make_ext4(part, 160 * MIB, top, "p1")
    disk = scratch.join("disk.img")
    images.make_disk(disk, [(part, 160 * MIB, "linux", "root")])
    os.unlink(part)
    images.remove_tree(top)
    return disk, volume


def snapshots(pluck, store):
    out = pluck.json("snapshots", "--repository", store, "--output-format", "json") or []
    return [(s["backup-type"], s["backup-id"], s["backup-time"]) for s in out]


def files_below(top):
    return sorted(os.path.join(at, f) for at, _, files in os.walk(top) for f in files)


def chunk_files(store):
    return [p for p in files_below(os.path.join(store, ".chunks")) if len(os.path.basename(p)) == 64]


def digests(index):
    """Digests of a fixed index: a 4096-byte header, then 32 bytes a chunk."""
    with open(index, "rb") as f:
        data = f.read()
    return [data[i:i + 32] for i in range(4096, len(data), 32)]


def chunk_path(store, digest):
    h = digest.hex()
    return os.path.join(store, ".chunks", h[:4], h)


def chunk_inside(disk, content):
    """Number of a chunk that lies wholly inside the content of one file."""
    with open(disk, "rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = data.find(content[:4096])
        first = -(-at // CHUNK) * CHUNK
        if at >= 0 and data[first:first + CHUNK] == content[first - at:first - at + CHUNK]:
            return first // CHUNK
    return None


def check_backup(tap, pluck, scratch, disk):
    store = scratch.join("store")
    r = pluck.run("datastore", "create", store)
    tap.ok(r.code == 0 and os.path.isdir(os.path.join(store, ".chunks")), "datastore create", r)
    r = pluck.run("datastore", "create", store)
    tap.ok(r.code == 7 and b"is not empty" in r.err, "a second create of the same datastore is refused", r)
    conf = scratch.join("vm.conf")
    with open(conf, "w", encoding="ascii") as f:
        f.write("memory: 512\nscsi0: local:disk\n")
    r = pluck.run("backup", "--repository", store, "--backup-id", "100", "--backup-type", "vm", "--backup-time", "1700000000",
                  "drive-scsi0.img:" + disk, "qemu-server.conf:" + conf)
    tap.ok(r.code == 0, "backup of a disk and a configuration", r)
    tap.equal(snapshots(pluck, store), [("vm", "100", 1700000000)], "snapshots shows it")
    before = chunk_files(store)
    r = pluck.run("backup", "--repository", store, "--backup-id", "100", "drive-scsi0.img:" + disk)
    tap.ok(r.code == 0 and chunk_files(store) == before, "a second backup of the same disk adds no chunk", r)
    tap.equal(len(snapshots(pluck, store)), 2, "two snapshots")
    r = pluck.run("backup", "--repository", store, "--backup-id", "100", "--backup-time", "1700000000", "drive-scsi0.img:" + disk)
    tap.ok(r.code == 7 and b"exists already" in r.err and len(snapshots(pluck, store)) == 2, "a snapshot is never overwritten", r)
    r = pluck.run("backup", "--repository", store, "--backup-id", "101", "drive-scsi0.img:" + scratch.join("none.img"))
    tap.ok(r.code == 3 and len(snapshots(pluck, store)) == 2, "a missing disk: exit code 3, no snapshot", r)
    left = [p for p in files_below(store) if ".tmp" in p]
    tap.equal(left, [], "nothing temporary is left in the store")
    return store


def check_index(tap, store, disk):
    index = os.path.join(store, "vm/100/2023-11-14T22:13:20Z/drive-scsi0.img.fidx")
    with open(disk, "rb") as f:
        want = [hashlib.sha256(b).digest() for b in iter(lambda: f.read(CHUNK), b"")]
    tap.equal(digests(index), want, "the index has the SHA-256 of every 4 MiB")
    with open(index, "rb") as f:
        header = f.read(4096)
    tap.equal(struct.unpack_from("<QQ", header, 64), (os.path.getsize(disk), CHUNK), "the index tells size and chunk size")
    return index


def check_damage(tap, pluck, scratch, store, index, disk, volume):
    source = ["--repository", store, "vm/100/2023-11-14T22:13:20Z"]
    image = "drive-scsi0.img.fidx/part/1"
    flipped = chunk_inside(disk, images.noise(12 * MIB, 101))
    removed = chunk_inside(disk, images.noise(12 * MIB, 102))
    if flipped is None or removed is None:
        tap.skip("damaged chunks", "no chunk lies inside one file")
        return
    table = digests(index)
    path = chunk_path(store, table[flipped])
    os.chmod(path, 0o644)
    with open(path, "r+b") as f:
        f.seek(100000)
        byte = f.read(1)
        f.seek(100000)
        f.write(bytes([byte[0] ^ 1]))
    os.unlink(chunk_path(store, table[removed]))
    pluck.stop()

    for number, what, digest in ((1, "flipped byte", table[flipped]), (2, "missing chunk", table[removed])):
        r = pluck.run("extract", *source, image + "/big/%d.bin" % number, "-")
        tap.ok(r.code == 5, "%s: reading the file fails with exit code 5" % what, r, "%d bytes" % len(r.out))
        tap.ok(images.noise(12 * MIB, 100 + number).startswith(r.out), "%s: what came before it is right" % what)
        tap.ok(digest.hex()[:16] in r.text or "%d" % (flipped if number == 1 else removed) in r.text,
               "%s: the message names the place" % what, r)
    bad = []
    for number in (0, 3):
        r = pluck.run("extract", *source, image + "/big/%d.bin" % number, "-")
        if r.code != 0 or r.out != images.noise(12 * MIB, 100 + number):
            bad.append(r)
    tap.ok(not bad, "the other files are whole", *bad)
    target = scratch.new_dir("damaged")
    r = pluck.run("extract", *source, image + "/big", target)
    names = sorted(f for _, _, fs in os.walk(target) for f in fs)
    tap.ok(r.code == 5 and "1.bin" in r.text and "2.bin" in r.text, "a directory with damaged files: they are named", r)
    tap.equal(names, ["0.bin", "3.bin"], "only whole files appear")
    r = pluck.run("list", *source, "--recursive", "--output-format", "jsonl", image)
    tap.ok(r.code == 0 and len(r.out.splitlines()) == len(volume.entries) - 1, "the listing is not touched by it", r)


with Tap() as tap, Scratch() as scratch, Pluck(scratch) as pluck:
    disk, volume = make_disk(scratch)
    store = check_backup(tap, pluck, scratch, disk)
    index = check_index(tap, store, disk)
    check = VolumeCheck(tap, pluck, scratch, "backup")
    check.all(["--repository", store, "vm/100/2023-11-14T22:13:20Z"], "drive-scsi0.img.fidx/part/1", [volume])
    check_damage(tap, pluck, scratch, store, index, disk, volume)
