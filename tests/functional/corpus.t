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
IMAGES = [
    "ext-gpt-esp-swap", "ext-mbr-logical", "ext2-whole", "ext3-dirty", "ext4-badsb", "ext4-casefold-crypt", "ext4-dirty",
    "ext4-whole",
    "xfs-dirtylog", "xfs-dup-uuid", "xfs-v4", "xfs-v5-gpt",
    "fat-multi", "fat12-floppy", "fat32-superfloppy",
    "btrfs-logtree", "btrfs-raid1", "btrfs-seed", "btrfs-subvol",
    "bad-gpt-backup-only", "bad-gpt-overlap", "bad-odd-length", "bad-truncated", "bad-two-signatures",
    "erofs-lz4", "f2fs-gpt", "gfs2-nolock", "hfsplus-gpt", "hfsx-whole", "iso-hybrid-gpt", "iso-joliet-rr", "jfs-whole", "minix3",
    "nilfs2-cp", "ntfs-hibernated", "ntfs-wof",
    "reiserfs-whole", "squashfs-xz", "udf-hd", "ufs1-whole",
]
# What is on them cannot be read, or not from one disk: the type has to be shown.
SHOWN_ONLY = {
    "apfs-gpt": "apfs", "zfs-single": "zfs_member", "zfs-unexported": "zfs_member", "lvm-thin": "LVM2_member",
    "luks2-gpt": "crypto_LUKS", "luks1-whole": "crypto_LUKS", "luks2-argon-bomb": "crypto_LUKS",
    "ext-bitlk-togo": "BitLocker", "ext-bitlk-aes-xts-128": "BitLocker", "ext-bitlk-aes-cbc-elephant-128": "BitLocker",
}
PLACES = {"fs": "disk1:whole", "sprout": "disk2:whole"}		# names in the corpus that are no places


def unpack(corpus, manifest, scratch):
    paths = []
    for disk in manifest.disks:
        path = scratch.join(disk["file"])
        subprocess.run(["zstd", "-dqf", "--sparse", os.path.join(corpus, disk["file"] + ".zst"), "-o", path], check=True)
        paths.append(path)
    return paths


def place_of(name):
    """Path of a volume: "p2" -> sda/part/2, "disk2:whole" -> sdb/raw, "p1:@home" -> sda/part/1/@home."""
    name = PLACES.get(name, name)
    m = re.fullmatch(r"(?:disk(\d+):)?(?:p(\d+)|whole)(?::(.*))?", name)
    if not m:
        return None
    path = "sd" + "abcdefgh"[int(m.group(1) or 1) - 1]
    path += "/part/" + m.group(2) if m.group(2) else "/raw"
    inner = m.group(3)
    return path + ("/" + inner if inner and inner != "subvolid=5" else "")


def apply_notes(path, manifest):
    """Compressed system files: their reader saw unknown reparse points; size and hash of the content stand in notes."""
    lines = subprocess.run(["zstd", "-dqc", path], check=True, stdout=subprocess.PIPE).stdout.decode("utf-8").splitlines()
    for note in (json.loads(line).get("_note", "") for line in lines):
        m = re.fullmatch(r"(wof/\S+) size=(\d+) sha256=([0-9a-f]{64})", note)
        for volume in manifest.volumes.values() if m else ():
            e = volume.entries[os.fsencode(m.group(1))]
            e.type, e.size, e.sha, e.target = "f", int(m.group(2)), m.group(3), None


def check_image(tap, corpus, image, scratch, known):
    manifest = M.read_manifest(os.path.join(corpus, image + ".jsonl.zst"))
    apply_notes(os.path.join(corpus, image + ".jsonl.zst"), manifest)
    paths = unpack(corpus, manifest, scratch)
    source = [x for i, p in enumerate(paths) for x in ("--disk", "sd%s=%s" % ("abcdefgh"[i], p))]
    with Pluck(scratch) as pluck:
        check = VolumeCheck(tap, pluck, scratch, image, known)
        for name, volumes in M.volume_views(manifest).items():
            place = place_of(name)
            if ":cp=" in name:		# older states are not shown
                continue
            if place is None:
                tap.ok(False, "%s: volume %s has a place" % (image, name))
            elif ":" in name and name.startswith("p"):
                check.listing(source, place, volumes)
                if name.endswith("subvolid=5"):
                    check.directory(source, place, volumes)
                    check.tar(source, place, volumes)
            else:
                check.all(source, place, volumes)
    for path in paths:
        os.unlink(path)


def check_shown(tap, corpus, image, scratch):
    path = unpack(corpus, M.read_manifest(os.path.join(corpus, image + ".jsonl.zst")), scratch)[0]
    with Pluck(scratch) as pluck:
        r = pluck.run("disks", "--disk", "sda=" + path)
        tap.ok(r.code in (0, 1) and SHOWN_ONLY[image].encode() in r.out, "%s: disks shows %s" % (image, SHOWN_ONLY[image]), r, r.out)
    os.unlink(path)


def unused(corpus):
    """Images that no test here reads: named at the end, so that none is left out in silence."""
    every = {n[:-len(".jsonl.zst")] for n in os.listdir(corpus) if n.endswith(".jsonl.zst")}
    return sorted(n for n in every - set(IMAGES) - set(SHOWN_ONLY) if not n.startswith("bad-") and n != "squashfs-bomb")


corpus = test_data("PLUCK_CORPUS", "corpus")
if corpus is None:
    Tap.skip_all("no disk image corpus ($PLUCK_CORPUS)")
with Tap() as tap, Scratch() as scratch:
    known = M.KnownDifferences(os.path.join(HERE, "known-differences.txt"))
    for image in sys.argv[1:] or IMAGES + list(SHOWN_ONLY):
        try:
            if image in SHOWN_ONLY:
                check_shown(tap, corpus, image, scratch)
            else:
                check_image(tap, corpus, image, scratch, known)
        except (OSError, subprocess.CalledProcessError) as e:
            tap.ok(False, "%s: the test itself" % image, repr(e))
    print("# %d images read, %d shown only, not tested here: %s" % (len(IMAGES), len(SHOWN_ONLY), " ".join(unused(corpus))))
