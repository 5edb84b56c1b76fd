#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# What the kernel's NTFS driver does not show: streams, sparse ones too, and contents that are not in the volume.
import json
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import images
import manifest as M
from images import MIB, run
from program import TOP, Pluck, Scratch
from tap import Tap

GIB = 1 << 30
CLOUD = "the contents are not in this volume (offline or in a cloud)"
DEDUP = "the contents are deduplicated by Windows and cannot be put together"


def make_streams(image, scratch):
    """Directories go by their inode number: as a name they are where ntfscp puts a new file."""
    top, wim, small, large = scratch.new_dir("top"), scratch.join("wim"), scratch.join("small"), scratch.join("large")
    images.put(top, "file", b"")
    images.put(top, "other", b"other\n")
    images.put(top, "dir/a:b", b"a name with a colon\n")
    run("truncate", "-s", str(32 * MIB), image)
    run("mkntfs", "-q", "-F", image)
    run("wimcapture", top, wim, "--compress=none")
    run("wimapply", wim, "1", image)
    for path, data in ((small, b"in a stream\n"), (large, images.noise(70000, 7))):
        with open(path, "wb") as f:
            f.write(data)
    inode = next(line.split()[0].decode() for line in run("ntfsls", "-i", image).splitlines() if line.endswith(b" dir"))
    for stream, source, *target in (("one stream", small, "file"), ("large", large, "other"), ("in it", small, "dir/a:b"),
                                    ("of a directory", small, inode, "-i"), ("of the root", small, "5", "-i")):
        run("ntfscp", *target[1:], "-N", stream, image, source, target[0])
    run("ntfssecaudit", image, "640", "/file")


def check_streams(tap, scratch):
    image = scratch.join("streams.img")
    missing = images.missing_tools("mkntfs", "ntfscp", "ntfsls", "ntfssecaudit", "wimcapture", "wimapply")
    if missing:
        tap.skip("streams", "no " + ", ".join(missing))
        return
    make_streams(image, scratch)
    with Pluck(scratch) as pluck:
        source = ["--disk", "sda=" + image]
        e = M.listed_entry(b"", pluck.json("stat", *source, "--output-format", "json", "sda/raw/file"))
        tap.equal(e.xattrs.get("user.one stream"), b"in a stream\n", "ntfs: a stream is an attribute")
        tap.ok(len(e.xattrs.get("system.ntfs_attrib", b"")) == 4, "ntfs: DOS attributes", e.xattrs)
        security = e.xattrs.get("system.ntfs_security", b"")	# revision 1, self-relative
        tap.ok(len(security) > 20 and security[0] == 1 and security[3] & 0x80, "ntfs: a security descriptor is an attribute", e.xattrs)
        r = pluck.run("stat", *source, "--output-format", "json", "sda/raw/other")
        tap.ok(b"EFBIG" in r.out and b"'large' of 70000 bytes" in r.out, "ntfs: a stream that is too large is named", r, r.out)
        r = pluck.run("extract", *source, "--format", "tar", "sda/raw/other", "-")
        tap.ok(r.code == 1 and b"other" in r.err and b"'large' of 70000 bytes" in r.err, "ntfs: and makes the archive a partial one", r)
        check_stream_paths(tap, pluck, scratch, source)


def check_stream_paths(tap, pluck, scratch, source):
    """By path: of a file and of directories, with Windows' type behind it, and names of files that only look like it."""
    small, large = b"in a stream\n", images.noise(70000, 7)
    contents = {"file:one stream": small, "file:one stream:$DATA": small, "other:large": large, "dir:of a directory": small,
                "dir/:of a directory": small, ":of the root": small, "dir/a:b": b"a name with a colon\n", "dir/a:b:in it": small}
    for path, data in contents.items():
        r = pluck.run("extract", *source, "sda/raw/" + path, "-")
        tap.ok(r.code == 0 and r.out == data, "ntfs: extract '%s'" % path, r, len(r.out))
    r = pluck.run("cat", *source, "sda/raw/other:large", "sda/raw/file:one stream")
    tap.ok(r.code == 0 and r.out == large + small, "ntfs: cat joins streams", r, len(r.out))
    target = scratch.new_dir("streams")
    r = pluck.run("extract", *source, "sda/raw/other:large", target)
    with open(os.path.join(target, "other:large"), "rb") as f:
        tap.ok(r.code == 0 and f.read() == large, "ntfs: a stream becomes a file", r)
    r = pluck.run("list", *source, "--output-format", "json", "sda/raw/other:large")
    seen = [(e["text"], e["type"], e["size"]) for e in json.loads(r.out or b"[]")]
    tap.equal(seen, [("other:large", "f", 70000)], "ntfs: list has a stream's size", r)
    e = M.listed_entry(b"", pluck.json("stat", *source, "--output-format", "json", "sda/raw/other:large"))
    tap.equal((e.type, e.size, e.xattrs), ("f", 70000, {}), "ntfs: and stat, but no attributes")
    for path in ("file:none", "file:", "none:one stream", ":none", "file::$DATA", "dir/a:c", "file:one stream/x", "file:one stream:$INDEX"):
        r = pluck.run("extract", *source, "sda/raw/" + path, "-")
        tap.ok(r.code == 3 and not r.out, "ntfs: there is no '%s'" % path, r)


def make_edited(scratch, image):
    """
    Streams with holes: data at the beginning, in the middle and at the end; none at all; a size that is a lie. Files whose contents are
    elsewhere, by each of the signs of that.
    """
    program, text = scratch.join("ntfs_edit"), scratch.join("text")
    run("cc", "-D_GNU_SOURCE", "-D_FILE_OFFSET_BITS=64", "-o", program, os.path.join(TOP, "tests/lib/ntfs_edit.c"), "-lntfs-3g")
    with open(text, "wb") as f:
        f.write(b"a file\n")
    run("truncate", "-s", str(64 * MIB), image)
    run("mkntfs", "-q", "-F", image)
    for name in ("file", "liar", "offline", "recall", "cloud", "dedup", "other-tag"):
        run("ntfscp", "-q", image, text, name)
    for path, *edit in (
            ("file", "stream", "sparse", str(GIB), "0", "begin", str(GIB // 2 + 5), "middle", str(GIB - 3), "end"),
            ("file", "stream", "void", str(1 << 40)), ("liar", "stream", "lie", "200000", "0", "begin"),
            ("liar", "claim", "lie", str(1 << 41)), ("offline", "reparse", "0x80000013", "data"), ("offline", "attributes", "0x1000"),
            ("recall", "reparse", "0x9000001a", "data"), ("recall", "attributes", "0x40000"),
            ("cloud", "reparse", "0x9000001a", "data"), ("cloud", "attributes", "0x400000"),
            ("dedup", "reparse", "0x80000013", "data"), ("other-tag", "reparse", "0x80000014", "data")):
        run(program, image, path, *edit)


def check_sparse(tap, pluck, scratch, source):
    """Time and bytes go by the data, not by the size."""
    target = scratch.new_dir("sparse")
    r = pluck.run("extract", *source, "sda/raw/file:sparse", target)
    path = os.path.join(target, "file:sparse")
    st = os.stat(path)
    tap.ok(r.code == 0 and st.st_size == GIB and st.st_blocks * 512 <= MIB, "ntfs: a sparse stream becomes a sparse file", r, st)
    with open(path, "rb") as f:
        seen = []
        for off, size in ((0, 10), (GIB // 2, 15), (GIB - 5, 10)):
            f.seek(off)
            seen.append(f.read(size))
    tap.equal(seen, [b"begin" + bytes(5), bytes(5) + b"middle" + bytes(4), bytes(2) + b"end"], "ntfs: with its contents")
    r = pluck.run("extract", *source, "--format", "tar", "sda/raw/file:sparse", "-")
    tap.ok(r.code == 0 and len(r.out) < MIB and b"GNU.sparse.realsize=%d\n" % GIB in r.out, "ntfs: and a sparse member of a tar", r, len(r.out))
    r = pluck.run("extract", *source, "sda/raw/file:void", target)
    st = os.stat(os.path.join(target, "file:void"))
    tap.ok(r.code == 0 and st.st_size == 1 << 40 and not st.st_blocks, "ntfs: a stream of 1 TiB without any data", r, st)
    r = pluck.run("extract", *source, "sda/raw/liar:lie", target)
    tap.ok(r.code == 1 and b"claims 2199" in r.err and not os.path.exists(os.path.join(target, "liar:lie")),
           "ntfs: a stream that is smaller than it says is an error", r, os.listdir(target))


def check_own_descriptor(tap, pluck, source):
    """
    Before Windows 2000 each file had one in its own record, as ntfscp still makes it; then they came to be in one place, $Secure, which is where
    the driver looks. Self-relative, with an entry for everyone (S-1-1-0).
    """
    e = M.listed_entry(b"", pluck.json("stat", *source, "--output-format", "json", "sda/raw/other-tag"))
    seen = e.xattrs.get("system.ntfs_security", b"")
    tap.ok(seen[:4] == b"\x01\0\x04\x80" and bytes((1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0)) in seen, "ntfs: a file's own security descriptor", e.xattrs)
    r = pluck.run("extract", *source, "--format", "tar", "sda/raw/other-tag", "-")
    tap.ok(r.code == 0 and b"SCHILY.xattr.system.ntfs_security=" + seen in r.out, "ntfs: and in a tar", r)


def check_elsewhere(tap, pluck, scratch, source):
    """Listed, as their size is known; an error of the file, with its reason, and no zeros in its place."""
    names = {"offline": CLOUD, "recall": CLOUD, "cloud": CLOUD, "dedup": DEDUP}
    listed = {e["text"]: (e["type"], e["size"]) for e in pluck.json("list", *source, "--output-format", "json", "sda/raw")}
    tap.equal({n: listed.get(n) for n in names}, {n: ("f", 7) for n in names}, "ntfs: contents elsewhere: list shows the files")
    for name, why in names.items():
        e = M.listed_entry(b"", pluck.json("stat", *source, "--output-format", "json", "sda/raw/" + name))
        tap.ok(e.size == 7 and int.from_bytes(e.xattrs["system.ntfs_attrib"], "little") & 0x400, "ntfs: %s: stat has the attributes" % name, e)
        r = pluck.run("extract", *source, "sda/raw/" + name, "-")
        tap.ok(r.code == 1 and not r.out and why.encode() in r.err, "ntfs: %s: extract says why" % name, r, r.out)
        r = pluck.run("cat", *source, "sda/raw/" + name)
        tap.ok(r.code not in (0, "timeout") and not r.out and why.encode() in r.err, "ntfs: %s: and so does cat" % name, r, r.out)
    target, report = scratch.new_dir("elsewhere"), scratch.join("elsewhere.json")
    r = pluck.run("extract", *source, "--report", report, "--exclude", "/liar", "--exclude", "/file", "sda/raw", target)
    with open(report, encoding="utf-8") as f:
        told = {p["text"]: (p["error"], p["what"]) for p in json.load(f)["problems"]}
    tap.ok(r.code == 1, "ntfs: a directory with them is extracted in part", r)
    tap.equal(told, {"raw/" + n: ("EREMOTE", "not readable (%s)" % w) for n, w in names.items()}, "ntfs: the report names each with its reason", r)
    files = {os.path.basename(p).decode(): e.size for p, e in M.from_tree(target).items() if e.type == "f"}
    tap.equal(files, {"other-tag": 7}, "ntfs: nothing is left in their place; another tag does not matter")


def check_edited(tap, scratch):
    image = scratch.join("edited.img")
    missing = images.missing_tools("mkntfs", "ntfscp")
    if missing:
        tap.skip("sparse streams, and contents elsewhere", missing)
        return
    make_edited(scratch, image)
    with Pluck(scratch) as pluck:
        check_sparse(tap, pluck, scratch, ["--disk", "sda=" + image])
        check_own_descriptor(tap, pluck, ["--disk", "sda=" + image])
        check_elsewhere(tap, pluck, scratch, ["--disk", "sda=" + image])


with Tap() as tap, Scratch() as scratch:
    check_streams(tap, scratch)
    check_edited(tap, scratch)
