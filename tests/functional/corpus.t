#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# The disk image corpus against the manifests of an independent reader, as listing, directory and tar.
import json
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import manifest as M
from program import Pluck, Scratch
from tap import Tap, test_data
from volume_check import VolumeCheck

HERE = os.path.dirname(os.path.abspath(__file__))
DISKS = "abcdefgh"
PLACES = {"fs": "disk1:whole", "sprout": "disk2:whole", "ldm:Simple": "p1", "ldm:Mirrored": "p1"}	# names in the corpus that are no places
NO_DRIVER = ("apfs",)

# Left without being unmounted, and told of: a journal, log or flag.
DIRTY = ("btrfs-logtree", "ext3-dirty", "ext4-dirty", "ntfs-hibernated", "xfs-dirtylog")

# What lies in layers that are not opened: a type and a reason must be shown, for each of the disks named.
SHOWN = {
    "apfs-gpt": {"sda": "apfs"},
    "ext-bitlk-aes-cbc-elephant-128": {"sda": "BitLocker"}, "ext-bitlk-aes-xts-128": {"sda": "BitLocker"},
    "ext-bitlk-aes-xts-128-4k": {"sda": "BitLocker"}, "ext-bitlk-aes-xts-128-clearkey-only": {"sda": "BitLocker"},
    "ext-bitlk-aes-xts-128-startup-key": {"sda": "BitLocker"}, "ext-bitlk-togo": {"sda": "BitLocker"},
    "ext-fvault2": {"sda": "CoreStorage"},
    "ext-ldm-2008r2-raid5": {"sda": "part", "sdb": "part", "sdc": "part"}, "ext-ldm-2008r2-striped": {"sda": "part", "sdb": "part"},
    "ext-ldm-2008r2-spanned": {"sda": "ntfs", "sdb": "part"},
    "ext-veracrypt": {"sda": "disk"},
    "luks-lvm": {"sda": "crypto_LUKS"}, "luks1-whole": {"sda": "crypto_LUKS"}, "luks2-argon-bomb": {"sda": "crypto_LUKS"},
    "luks2-gpt": {"sda": "crypto_LUKS"},
    "lvm-dupvg": {"sda": "LVM2_member", "sdb": "LVM2_member"},
    "lvm-raid": {"sda": "LVM2_member", "sdb": "LVM2_member", "sdc": "LVM2_member"},
    "lvm-span": {"sda": "LVM2_member", "sdb": "LVM2_member"}, "lvm-thin": {"sda": "LVM2_member"},
    "md-lvm": {"sda": "linux_raid_member", "sdb": "linux_raid_member"},
    "md-raid0": {"sda": "linux_raid_member", "sdb": "linux_raid_member"},
    "md-raid1": {"sda": "linux_raid_member", "sdb": "linux_raid_member"},
    "md-raid5-degraded": {"sda": "linux_raid_member", "sdb": "linux_raid_member"},
    "md-raid5-gpt": {"sda": "linux_raid_member", "sdb": "linux_raid_member", "sdc": "linux_raid_member"},
    "zfs-mirror": {"sda": "zfs_member", "sdb": "zfs_member"}, "zfs-single": {"sda": "zfs_member"}, "zfs-unexported": {"sda": "zfs_member"},
}


def unpack(corpus, manifest, scratch):
    paths = []
    for disk in manifest.disks:
        path = scratch.join(disk["file"])
        subprocess.run(["zstd", "-dqf", "--sparse", os.path.join(corpus, disk["file"] + ".zst"), "-o", path], check=True)
        paths.append(path)
    return paths


def place_of(name):
    """
    Path of a volume and options for it: "p2" -> sda/part/2, "disk2:whole" -> sdb/raw, "p1:@home" -> sda/part/1/@home,
    "whole:cp=2" -> sda/raw as it was in checkpoint 2. None for what lies in a layer.
    """
    name = PLACES.get(name, name)
    m = re.fullmatch(r"(?:disk(\d+):)?(?:p(\d+)|whole)(?::(.*))?", name)
    if not m:
        return None, ()
    path = "sd" + DISKS[int(m.group(1) or 1) - 1]
    path += "/part/" + m.group(2) if m.group(2) else "/raw"
    inner = m.group(3) or ""
    if inner.startswith("cp="):
        return path, ("--checkpoint", inner[3:])
    return path + ("/" + inner if inner and inner != "subvolid=5" else ""), ()


def apply_notes(path, manifest):
    """Compressed system files: their reader saw unknown reparse points; size and hash of the content stand in notes."""
    lines = subprocess.run(["zstd", "-dqc", path], check=True, stdout=subprocess.PIPE).stdout.decode("utf-8").splitlines()
    for note in (json.loads(line).get("_note", "") for line in lines):
        m = re.fullmatch(r"(wof/\S+) size=(\d+) sha256=([0-9a-f]{64})", note)
        for volume in manifest.volumes.values() if m else ():
            e = volume.entries[os.fsencode(m.group(1))]
            e.type, e.size, e.sha, e.target = "f", int(m.group(2)), m.group(3), None


class Row:
    """A line of the summary."""

    def __init__(self, image, family):
        self.image, self.family = image, family
        self.whole = self.part = self.not_read = 0
        self.why = []

    def add_why(self, *reasons):
        self.why += [r for r in reasons if r not in self.why]


def check_volumes(tap, pluck, scratch, manifest, source, known, row):
    check = VolumeCheck(tap, pluck, scratch, manifest.name, known)
    for name, volumes in M.volume_views(manifest).items():
        if name.startswith("ldm:"):		# by label: numbers of volumes say nothing
            name = "ldm:" + volumes[0].info["blkid"]["LABEL"]
        place, options = place_of(name)
        if place is None or all("mount_failed" in v.info or v.info["fs"] in NO_DRIVER for v in volumes):
            row.not_read += 1
            if manifest.name not in SHOWN:
                tap.ok(False, "%s: volume %s has a place" % (manifest.name, name))
            continue
        used, failed = set(known.used), tap.failed
        known.used = set()
        if ":" in name and name.startswith("p") and not name.endswith("subvolid=5"):	# a part of what is extracted above it
            check.listing(source, place, volumes)
        else:
            check.all(source + list(options), place, volumes)
        kept_out = [e.err for v in volumes for e in v.entries.values() if e.err]
        row.add_why(*(known.reasons[i] for i in sorted(known.used)), *("unreadable for every reader" for _ in kept_out[:1]))
        if tap.failed > failed:
            row.not_read += 1
            row.add_why("FAILED")
        elif known.used or kept_out:
            row.part += 1
        else:
            row.whole += 1
        known.used |= used


def nodes(tree):
    for node in tree:
        yield node
        yield from nodes(node.get("children", []))


def check_shown(tap, pluck, image, source, row):
    r = pluck.run("disks", *source, "--output-format", "json")
    if not tap.ok(r.code == 0, "%s: disks" % image, r):
        return
    tree = json.loads(r.out)
    for disk, kind in SHOWN[image].items():
        found = [n for n in nodes(d for d in tree if d["name"] == disk) if n["type"] == kind and n.get("error")]
        if tap.ok(found, "%s: disks shows %s on %s and why it is not opened" % (image, kind, disk), r.out):
            row.add_why("%s: %s" % (kind, found[0]["error"]))
            row.not_read = max(row.not_read, 1)
        for n in found:
            if "filepath" in n and kind != "disk":
                refused = pluck.run("list", *source, "--base64", n["filepath"])
                tap.ok(refused.code not in (0, "timeout") and refused.err, "%s: %s is refused" % (image, n["name"]), refused)


def check_notes(tap, pluck, image, source):
    r = pluck.run("disks", *source, "--output-format", "json")
    notes = [n["note"] for n in nodes(json.loads(r.out or b"[]")) if "note" in n]
    tap.ok(r.code == 0 and [n.startswith("not unmounted cleanly") for n in notes] == [True] * (image in DIRTY),
           "%s: disks %s" % (image, "tells that it is dirty" if image in DIRTY else "has no note"), r, r.out)
    if image == "ntfs-hibernated":
        tap.ok("hibernated" in notes[0], "%s: and that Windows is hibernated" % image, notes)


def check_image(tap, corpus, image, scratch, known):
    path = os.path.join(corpus, image + ".jsonl.zst")
    manifest = M.read_manifest(path)
    apply_notes(path, manifest)
    family = json.loads(subprocess.run(["zstd", "-dqc", path], check=True, stdout=subprocess.PIPE).stdout.splitlines()[0])["family"]
    row = Row(image, family)
    if not manifest.volumes and image not in SHOWN:
        row.add_why("no volume to compare: see bad.t")
        return row
    paths = unpack(corpus, manifest, scratch)
    source = [x for i, p in enumerate(paths) for x in ("--disk", "sd%s=%s" % (DISKS[i], p))]
    with Pluck(scratch) as pluck:
        check_volumes(tap, pluck, scratch, manifest, source, known, row)
        check_notes(tap, pluck, image, source)
        if image in SHOWN:
            check_shown(tap, pluck, image, source, row)
    for path in paths:
        os.unlink(path)
    return row


def print_summary(rows):
    """One line an image, by families: volumes read whole, in part (a difference that is explained), not; and why."""
    Tap.diag("%-36s %5s %7s %4s  %s" % ("image", "whole", "in part", "not", "why"))
    for row in sorted(rows, key=lambda r: (r.family, r.image)):
        for i, why in enumerate(row.why or [""]):
            Tap.diag("%-36s %5s %7s %4s  %s" % (("%s/%s" % (row.family, row.image) if row.family not in row.image else row.image,
                                                 row.whole, row.part, row.not_read, why) if not i else ("", "", "", "", why)))
    Tap.diag("%d images: %d volumes whole, %d in part, %d not" % (len(rows), sum(r.whole for r in rows), sum(r.part for r in rows),
                                                                 sum(r.not_read for r in rows)))


corpus = test_data("PLUCK_CORPUS", "corpus")
if corpus is None:
    Tap.skip_all("no disk image corpus ($PLUCK_CORPUS)")
with Tap() as tap, Scratch() as scratch:
    known = M.KnownDifferences(os.path.join(HERE, "known-differences.txt"))
    every = sorted(n[:-len(".jsonl.zst")] for n in os.listdir(corpus) if n.endswith(".jsonl.zst"))
    rows = []
    for image in sys.argv[1:] or every:
        try:
            rows.append(check_image(tap, corpus, image, scratch, known))
        except (OSError, ValueError, subprocess.CalledProcessError) as e:
            tap.ok(False, "%s: the test itself" % image, repr(e))
    print_summary(rows)
    if not sys.argv[1:]:
        tap.equal(known.unused(), [], "every known difference is one")
