#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# A datastore that the official tools wrote: its VM snapshots against the manifests of the disks they were made of.
import json
import os
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import manifest as M
from program import Pluck, Scratch
from tap import Tap, test_data
from volume_check import VolumeCheck

HERE = os.path.dirname(os.path.abspath(__file__))
FIRST, SECOND = "vm/100/2024-01-02T00:00:00Z", "vm/100/2024-01-03T00:00:00Z"


def lines_of(path):
    data = subprocess.run(["zstd", "-dcq", path], stdout=subprocess.PIPE, check=True).stdout
    return [json.loads(line) for line in data.splitlines()]


def check_snapshots(tap, pluck, store):
    r = pluck.run("snapshots", "--repository", store, "--output-format", "json")
    listed = json.loads(r.out) if r.code == 0 else []
    seen = {"%s/%s/%d" % (s["backup-type"], s["backup-id"], s["backup-time"]) for s in listed}
    tap.ok("vm/100/1704153600" in seen and "vm/100/1704240000" in seen and "host/small/1704067200" in seen,
           "snapshots lists VM and host snapshots", r, sorted(seen))
    mine = [s for s in listed if s["backup-type"] == "vm" and s["backup-id"] == "100"]
    files = {f["filename"] if isinstance(f, dict) else f for s in mine for f in s.get("files", [])}
    tap.ok("drive-scsi0.img.fidx" in files and "qemu-server.conf.blob" in files, "snapshots names the files", files)


def check_archives(tap, pluck, source, contents):
    entries = pluck.json("list", *source, "--output-format", "json", "/") or []
    want = {c["file"]: c["size"] for c in contents if c["snapshot"] == FIRST and c["file"].endswith(".fidx") and not c.get("ns")}
    tap.equal({e["text"]: e.get("size") for e in entries}, want, "/ lists the images with their sizes")
    tap.ok(entries and all(e["type"] == "v" and e["leaf"] is False for e in entries), "images are virtual directories", entries)


def check_second(tap, pluck, source, manifest, place):
    """The second snapshot has one directory more."""
    r = pluck.run("list", *source, "--recursive", "--output-format", "jsonl", place)
    seen, problems = M.from_listing(r.out.decode(), os.fsencode(place))
    differences = [d for d in M.compare(manifest.volumes["p2"].entries, seen, ignore=("sha",)) if d.path != b""]
    more = [d for d in differences if d.field == "entry" and d.want == "nothing"]
    other = [d for d in differences if d not in more]
    tap.ok(r.code == 0 and more and not other and not problems, "the second snapshot differs by the added directory alone", r,
           *problems[:5], *[str(d) for d in other[:10]])


def check_errors(tap, pluck, store):
    for what, args, want in (
            ("no such snapshot", ["vm/100/2023-01-01T00:00:00Z", "/"], 3), ("no such group", ["vm/555/2024-01-01T00:00:00Z", "/"], 3),
            ("bad snapshot", ["vm/100", "/"], 2), ("bad time", ["vm/100/yesterday", "/"], 2),
            ("no such archive", [FIRST, "drive-scsi9.img.fidx/part/1"], 3),
            ("a snapshot path that leaves the store", ["vm/../../2024-01-01T00:00:00Z", "/"], 2)):
        r = pluck.run("list", "--repository", store, *args)
        tap.ok(r.code == want and r.err.strip(), "%s: exit code %d" % (what, want), r)


golden, corpus = test_data("PLUCK_GOLDEN", "golden"), test_data("PLUCK_CORPUS", "corpus")
if golden is None or corpus is None:
    Tap.skip_all("no golden data or corpus ($PLUCK_GOLDEN, $PLUCK_CORPUS)")
with Tap() as tap, Scratch() as scratch, Pluck(scratch) as pluck:
    known = M.KnownDifferences(os.path.join(HERE, "known-differences.txt"))
    with subprocess.Popen(["zstd", "-dcq", "--long=27", os.path.join(golden, "stores/plain.tar.zst")], stdout=subprocess.PIPE) as z:
        subprocess.run(["tar", "-x", "-C", scratch.path], stdin=z.stdout, check=True)
    store = scratch.join("plain")
    contents = lines_of(os.path.join(golden, "stores/plain.contents.jsonl.zst"))
    check_snapshots(tap, pluck, store)
    source = ["--repository", store, FIRST]
    check_archives(tap, pluck, source, contents)
    gpt = M.read_manifest(os.path.join(corpus, "ext-gpt-esp-swap.jsonl.zst"))
    cut = M.read_manifest(os.path.join(corpus, "bad-truncated.jsonl.zst"))
    check = VolumeCheck(tap, pluck, scratch, "ext-gpt-esp-swap", known)
    check.all(source, "drive-scsi0.img.fidx/part/1", [gpt.volumes["p1"]])
    check.all(source, "drive-scsi0.img.fidx/part/2", [gpt.volumes["p2"]])
    check.image = "bad-truncated"
    check.all(source, "drive-sata1.img.fidx/part/1", [cut.volumes["p1"]])
    check_second(tap, pluck, ["--repository", store, SECOND], gpt, "drive-scsi0.img.fidx/part/2")
    check_errors(tap, pluck, store)
