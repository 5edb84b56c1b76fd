#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# File systems that Debian's tools make and fill without mounting, and what the caller can say about a mount.
import hashlib
import io
import json
import os
import struct
import subprocess
import sys
import tarfile
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import bfs
import exfat
import guest
import hfsplus
import images
import manifest as M
from images import MIB, run
from program import Pluck, Scratch
from tap import Tap
from volume_check import VolumeCheck

CHUNK = hfsplus.CHUNK


def plain_tree(top):
    images.make_plain_tree(top)
    images.settle_times(top)


def volume_of_squashfs(top):
    """What is left of a tree in one: times in seconds without a sign, no ACLs."""
    volume = images.volume_of_tree("whole", top)
    for e in volume.entries.values():
        e.mtime %= 2**32 * 10**9
        e.xattrs = {k: v for k, v in (e.xattrs or {}).items() if not k.startswith("system.")}
    return volume


def make_squashfs(image, top):
    run("mksquashfs", top, image, "-noappend", "-quiet", "-comp", "zstd")
    return volume_of_squashfs(top)


def make_erofs(image, top):
    run("mkfs.erofs", "-zlz4hc", image, top)
    return images.volume_of_tree("whole", top)


def make_iso(image, top):
    run("xorriso", "-as", "mkisofs", "-quiet", "-R", "-J", "-o", image, top)
    volume = images.volume_of_tree("whole", top)
    for e in volume.entries.values():
        e.xattrs = None			# Rock Ridge has none here
        e.mtime = None if e.path == b"" else e.mtime
    return volume


def make_cramfs(image, top):
    run("mkfs.cramfs", top, image)
    volume = images.volume_of_tree("whole", top)
    for e in volume.entries.values():
        e.mtime = e.links = e.ino = None	# it stores neither
        e.gid = None if e.gid is None else e.gid & 0xff
    return volume


def make_romfs(image, top):
    run("genromfs", "-d", top, "-f", image)
    volume = images.volume_of_tree("whole", top)
    for e in volume.entries.values():
        e.mtime = e.links = e.ino = e.uid = e.gid = e.mode = None	# it stores none of them
    return volume


def make_ufs1(image, top):
    run("makefs", "-t", "ffs", "-B", "le", "-o", "version=1", "-s", "32m", image, top)
    volume = images.volume_of_tree("whole", top)
    for e in volume.entries.values():
        e.mtime = None if e.path == b"" else e.mtime - e.mtime % 10**9
    return volume


def make_ufs2(image, top):
    """
    makefs puts the superblock at 8 KiB, where no driver looks for that of UFS2. With such blocks there lies at 64 KiB the map of what is free,
    which only writing needs: a copy takes its place.
    """
    run("makefs", "-t", "ffs", "-B", "le", "-o", "version=2,bsize=32768,fsize=4096", "-s", "32m", image, top)
    with open(image, "r+b") as f:
        f.seek(8192)
        super_block = bytearray(f.read(8192))
        struct.pack_into("<q", super_block, 0x3e8, 65536)
        f.seek(65536)
        f.write(super_block)
    volume = images.volume_of_tree("whole", top)
    volume.entries[b""].mtime = None
    return volume


def make_f2fs(image, top):
    run("truncate", "-s", str(256 * MIB), image)
    run("mkfs.f2fs", "-q", "-f", image)
    run("sload.f2fs", "-f", top, "-P", image)
    volume = images.volume_of_tree("whole", top)
    for e in volume.entries.values():
        e.mtime = None if e.path == b"" else e.mtime
    return volume


def make_ntfs(image, top):
    """By way of a WIM: its applier writes NTFS without mounting. Modes and owners have no place there."""
    run("truncate", "-s", str(48 * MIB), image)
    run("mkntfs", "-q", "-F", "-L", "windows", image)
    wim = image + ".wim"
    run("wimcapture", top, wim, "--compress=none")
    run("wimapply", wim, "1", image)
    os.unlink(wim)
    volume = images.volume_of_tree("whole", top)
    for e in volume.entries.values():
        e.mode = e.uid = e.gid = e.xattrs = None
        e.mtime = None if e.path == b"" else e.mtime
    return volume


MAKERS = {
    "squashfs": (make_squashfs, images.make_posix_tree, ["mksquashfs"]), "erofs": (make_erofs, plain_tree, ["mkfs.erofs"]),
    "iso9660": (make_iso, plain_tree, ["xorriso"]), "cramfs": (make_cramfs, plain_tree, ["mkfs.cramfs"]),
    "romfs": (make_romfs, plain_tree, ["genromfs"]), "ufs1": (make_ufs1, plain_tree, ["makefs"]),
    "ufs2": (make_ufs2, plain_tree, ["makefs"]),
    "f2fs": (make_f2fs, plain_tree, ["mkfs.f2fs", "sload.f2fs"]),
    "ntfs": (make_ntfs, plain_tree, ["mkntfs", "wimcapture", "wimapply"]),
}


def check_filled(tap, scratch):
    """All of them in one VM."""
    volumes, source = {}, []
    for name, (make, fill, tools) in MAKERS.items():
        missing = images.missing_tools(*tools)
        if missing:
            tap.skip(name, "no " + ", ".join(missing))
            continue
        top, image = scratch.new_dir("top"), scratch.join(name + ".img")
        fill(top)
        images.settle_times(top)
        volumes[name] = make(image, top)
        images.remove_tree(top)
        source += ["--disk", "%s=%s" % (name, image)]
    with Pluck(scratch) as pluck:
        for name, volume in volumes.items():
            VolumeCheck(tap, pluck, scratch, name).all(source, name + "/raw", [volume])


UTF8_NAMES = [
    "gr\u00fc\u00df Gott", "\u0416\u0443\u0440\u043d\u0430\u043b.txt", "\u65e5\u672c\u8a9e", "\u05e9\u05dc\u05d5\u05dd", "\u20ac", "e\u0301 in two letters",
    "\u00e9 in one", "\ufb01", "\ufffd", "\u0001 control", "line\nfeed", " blanks ", "back\\slash", "*?<>|:\"", "CASE", "case", "\u00e4" * 120, "y" * 250,
]


def make_utf8_tree(top):
    """Names outside of ASCII, in each of the places where one can be: file, directory, symlink and what it points to, hard link, attribute."""
    for i, name in enumerate(UTF8_NAMES):
        images.put(top, "names/" + name, b"name %d" % i)
        images.put(top, "dirs/%s/%s" % (name, name), images.noise(5000 * i, i))
    os.symlink("../names/" + UTF8_NAMES[1], os.path.join(top, "dirs", "\u2192"))
    os.link(os.path.join(top, "names", UTF8_NAMES[2]), os.path.join(top, "dirs", "\u539f"))
    os.setxattr(images.put(top, "attribute", b"x"), "user.comment", "\u00e4\u00f6\u00fc".encode())
    images.settle_times(top)


def make_short_tree(top):
    """Names of at most 60 bytes."""
    images.make_common_tree(top)
    for name in images.ODD_NAMES:
        images.put(os.fsencode(top), b"odd/" + name[:60], name)


WRITTEN = {
    "jfs": (["mkfs.jfs", "-q"], 64, "iocharset=utf8", make_utf8_tree),
    "udf": (["mkudffs"], 64, "iocharset=utf8", make_utf8_tree),
    "minix": (["mkfs.minix", "-3"], 128, "", make_short_tree),
    "reiserfs": (["mkreiserfs", "-q", "-ff"], 96, "acl,user_xattr", images.make_posix_tree),
    "gfs2": (["mkfs.gfs2", "-q", "-O", "-p", "lock_nolock", "-j", "1", "-J", "8"], 160, "lockproto=lock_nolock", images.make_posix_tree),
}


def check_written(tap, scratch):
    """What no program on the host fills, filled by the drivers of the VM's kernel from a squashfs."""
    volumes, source, todo = {}, [], {}
    missing = images.missing_tools(*guest.TOOLS)
    for name, (tool, size, options, make) in WRITTEN.items():
        gone = missing or images.missing_tools(tool[0])
        if gone:
            tap.skip(name + " with files", "no " + ", ".join(gone))
            continue
        image = scratch.join(name + "-files.img")
        run("truncate", "-s", str(size * MIB), image)
        run(*tool, image)
        todo.setdefault(make, []).append((image, name, options))
        source += ["--disk", "%s=%s" % (name, image)]
    for make, targets in todo.items():
        top = scratch.new_dir("top")
        make(top)
        images.settle_times(top)
        guest.fill(scratch, top, targets)
        for _, name, _ in targets:
            volumes[name] = volume_of_squashfs(top)
        images.remove_tree(top)
    for e in volumes["gfs2"].entries.values() if "gfs2" in volumes else ():
        e.rdev = None			# the driver does not read them
    for e in volumes["udf"].entries.values() if "udf" in volumes else ():
        e.xattrs = {}
    with Pluck(scratch) as pluck:
        for name, volume in volumes.items():
            VolumeCheck(tap, pluck, scratch, name + " with files").all(source, name + "/raw", [volume])


EMPTY = {
    "exfat": ["mkfs.exfat"], "jfs": ["mkfs.jfs", "-q"], "reiserfs": ["mkreiserfs", "-q", "-ff"],
    "gfs2": ["mkfs.gfs2", "-q", "-O", "-p", "lock_nolock", "-j", "1", "-J", "8"], "minix": ["mkfs.minix"], "udf": ["mkudffs"],
    "hfs": ["hformat", "-f"], "bfs": ["mkfs.bfs"],
}


def check_exfat(tap, scratch):
    image, target = scratch.join("exfat-files.img"), scratch.new_dir("exfat")
    if images.missing_tools("mkfs.exfat"):
        tap.skip("exfat with files", "no mkfs.exfat")
        return
    run("truncate", "-s", str(16 * MIB), image)
    run("mkfs.exfat", image)
    contents = {b"small": b"a few bytes\n", "gr\u00f6\u00dfer als f\u00fcnfzehn Zeichen.bin".encode(): images.noise(100000, 8), b"empty": b"",
                b"dir/below/file": b"beneath\n", b"dir/other": images.noise(4096, 9)}
    fs = exfat.Exfat(image)
    for name, data in contents.items():
        fs.put(name, data)
    fs.put(b"half", b"valid", 50000)
    fs.save()
    with Pluck(scratch) as pluck:
        source = ["--disk", "x=" + image]
        r = pluck.run("extract", *source, "x/raw", target)
        seen = {e.path[len(b"raw/"):]: e for e in M.from_tree(target).values() if e.type == "f"}
        want = {n: hashlib.sha256(d).hexdigest() for n, d in list(contents.items()) + [(b"half", b"valid")]}
        tap.equal((r.code, {n: e.sha for n, e in seen.items()}), (0, want), "exfat: files, a long name, and of one only what is valid", r)
        tap.equal({e.mtime for e in seen.values()}, {1614834367120000000}, "exfat: times in UTC with hundredths of a second")
        r = pluck.run("extract", *source, "x/raw/DIR/Below/FILE", "-")
        tap.ok(r.code == 0 and r.out == b"beneath\n", "exfat: names without regard to case", r, r.out)


def check_bfs(tap, scratch):
    if images.missing_tools("mkfs.bfs"):
        tap.skip("bfs with files", "no mkfs.bfs")
        return
    image = scratch.join("bfs-files.img")
    contents = {b"small": b"a few bytes\n", b"empty": b"", b"fourteen-bytes": images.noise(100000, 8), b"\xe4\xff": b"any bytes", b"block": b"b" * 512}
    run("truncate", "-s", str(2 * MIB), image)
    run("mkfs.bfs", "-N", "48", image)
    bfs.fill(image, contents)
    target = scratch.new_dir("bfs")
    with Pluck(scratch) as pluck:
        r = pluck.run("extract", "--disk", "b=" + image, "b/raw", target)
    seen = {e.path[len(b"raw/"):]: (e.sha, e.mode, e.uid, e.gid, e.mtime) for e in M.from_tree(target).values() if e.type == "f"}
    want = {n: (hashlib.sha256(d).hexdigest(), 0o640, 7, 8, bfs.MTIME * 10**9) for n, d in contents.items()}
    tap.equal((r.code, seen), (0, want), "bfs: files with their contents and attributes", r)


def check_hfs(tap, scratch):
    """Names are in Mac Roman there; a slash in one, which separates nothing there, is a colon."""
    missing = images.missing_tools("hformat", "hmount", "hcopy")
    if missing:
        tap.skip("hfs with files", "no " + ", ".join(missing))
        return
    image, file, home = scratch.join("hfs-files.img"), scratch.join("file"), {"HOME": scratch.new_dir("home")}
    contents = {"plain": b"p", "caf\u00e9 \u03a9 \u2020.txt": b"letters", "\u00c4\u00f6\u00fc\u00df": images.noise(70000, 3), "a/b": b"slash"}
    run("truncate", "-s", str(4 * MIB), image)
    run("hformat", "-l", "names", image)
    run("hmount", image, env=home)
    for name, data in contents.items():
        with open(file, "wb") as f:
            f.write(data)
        run(b"hcopy", b"-r", file.encode(), b":" + name.encode("mac_roman"), env=home)
    run("humount", env=home)
    target, source = scratch.new_dir("hfs"), ["--disk", "h=" + image]
    want = {n.replace("/", ":").encode(): hashlib.sha256(d).hexdigest() for n, d in contents.items()}
    with Pluck(scratch) as pluck:
        r = pluck.run("extract", *source, "h/raw", target)
        seen = {e.path[len(b"raw/"):]: e.sha for e in M.from_tree(target).values() if e.type == "f"}
        tap.equal((r.code, seen), (0, want), "hfs: names outside of ASCII, and their contents", r)
        r = pluck.run("extract", *source, "h/raw", "-")
        with tarfile.open(fileobj=io.BytesIO(r.out)) as t:
            kinds = {m.pax_headers.get("SCHILY.xattr.hfs.type") for m in t if m.isfile()}
        tap.equal((r.code, kinds), (0, {"????"}), "hfs: a tar has a file's type, for which a directory has no place", r)
        r = pluck.run("cat", *source, "h/raw/caf\u00e9 \u03a9 \u2020.txt")
        tap.equal((r.code, r.out), (0, b"letters"), "hfs: such a name as a path", r)


def make_nilfs2(tap, image):
    """Return: whether there is one."""
    if images.missing_tools("mkfs.nilfs2"):
        tap.skip("nilfs2", "no mkfs.nilfs2")
        return False
    try:
        run(*images.with_mtab("true"))
    except (OSError, RuntimeError) as e:
        tap.skip("nilfs2", "mkfs.nilfs2 wants /etc/mtab, which is neither there nor can be put there: %s" % e)
        return False
    run("truncate", "-s", str(160 * MIB), image)
    run(*images.with_mtab("mkfs.nilfs2", "-q", image))
    return True


def check_empty(tap, scratch):
    """What no tool fills: the driver mounts it, and there is nothing in it but what its maker put there."""
    source = []
    for name, (tool, *options) in EMPTY.items():
        if images.missing_tools(tool):
            tap.skip(name, "no " + tool)
            continue
        image = scratch.join(name + ".img")
        run("truncate", "-s", str(64 * MIB), image)
        run(tool, *options, image)
        source += ["--disk", "%s=%s" % (name, image)]
    image = scratch.join("nilfs2.img")
    if make_nilfs2(tap, image):
        source += ["--disk", "nilfs2=" + image]
    with Pluck(scratch, env=None) as pluck:
        for name in [s.split("=")[0] for s in source[1::2]]:
            r = pluck.run("list", *source, "--recursive", "--output-format", "jsonl", name + "/raw")
            seen = {json.loads(line)["text"] for line in r.out.splitlines()} - {"lost+found", ".nilfs", ".reiserfs_priv"}
            tap.ok(r.code == 0 and not seen, "%s: an empty one is read" % name, r, r.out)


def check_decmpfs(tap, scratch):
    """Files that macOS compressed: each form, small, in several blocks, with blocks that do not shrink, in pieces; and what is broken."""
    text = b"".join(b"line %d of a text that repeats itself\n" % (i // 3) for i in range(9000))
    mixed = text[:CHUNK] + images.noise(CHUNK + 5000, 3) + text
    contents = {
        "zlib-small": (hfsplus.TYPE_ZLIB, text[:3000]), "zlib-noise": (hfsplus.TYPE_ZLIB, images.noise(200, 4)),
        "zlib-fork": (hfsplus.TYPE_ZLIB_FORK, mixed), "lzvn-small": (hfsplus.TYPE_LZVN, text[:3000]), "lzvn-fork": (hfsplus.TYPE_LZVN_FORK, mixed),
        "raw": (hfsplus.TYPE_RAW, b"not compressed at all\n"), "scattered": (hfsplus.TYPE_ZLIB_FORK, images.noise(90000, 5)),
        "block": (hfsplus.TYPE_LZVN_FORK, text[:CHUNK]), "empty": (hfsplus.TYPE_ZLIB, b""),
    }
    files = {name: hfsplus.compressed(*c) for name, c in contents.items()}
    lines = b"".join(b"line %d of a text that repeats itself\n" % (i // 3) for i in range(CHUNK // 30))[:CHUNK]
    noise = images.noise(CHUNK, 6)
    blocks = [hfsplus.vector("lzfse-lines"), b"\xff" + noise, hfsplus.vector("lzfse-plain-tables"), hfsplus.vector("lzfse-lzvn")]
    contents["lzfse-fork"] = (hfsplus.TYPE_LZFSE_FORK, lines + noise + lines + lines[:3000])
    files["lzfse-fork"] = hfsplus.of_chunks(hfsplus.TYPE_LZFSE_FORK, 3 * CHUNK + 3000, blocks)
    contents["lzfse-small"] = (hfsplus.TYPE_LZFSE, lines[:3000])
    files["lzfse-small"] = hfsplus.Content(attributes=hfsplus.decmpfs(hfsplus.TYPE_LZFSE, 3000, blocks[3]), flags=hfsplus.UF_COMPRESSED)
    contents["lzvn-macos"] = (hfsplus.TYPE_LZVN_FORK, lines + noise)
    files["lzvn-macos"] = hfsplus.of_chunks(hfsplus.TYPE_LZVN_FORK, 2 * CHUNK, [hfsplus.vector("lzvn-lines"), b"\x06" + noise])
    for name, table in (("raw-fork", hfsplus.offsets), ("raw-classic", hfsplus.classic)):
        contents[name] = (hfsplus.TYPE_RAW_FORK, noise + lines[:5000])
        files[name] = hfsplus.of_chunks(hfsplus.TYPE_RAW_FORK, CHUNK + 5000, [b"\xcc" + noise, b"\xcc" + lines[:5000]], table)
    files["plain"] = hfsplus.Content(b"an ordinary file\n" * 1000)
    contents["plain"] = (0, files["plain"].data)
    bad = {"lzbitmap": hfsplus.Content(attributes=hfsplus.decmpfs(13, 1000, b"ZBM\x09"), flags=hfsplus.UF_COMPRESSED),
           "lzfse-cut": hfsplus.of_chunks(hfsplus.TYPE_LZFSE_FORK, CHUNK, [blocks[0][:-100]]),
           "cut": hfsplus.Content(resource=files["zlib-fork"].resource[:300], attributes=hfsplus.decmpfs(4, len(mixed)), flags=0x20),
           "lie": hfsplus.Content(attributes=hfsplus.decmpfs(3, 2**40, b"x"), flags=0x20)}
    image = scratch.join("hfsplus.img")
    hfsplus.make(image, dict(files, **bad))
    source = ["--disk", "mac=" + image]
    with Pluck(scratch) as pluck:
        r = pluck.run("list", *source, "--output-format", "json", "mac/raw")
        sizes = {e["text"]: e["size"] for e in json.loads(r.out or b"[]")}
        tap.equal({n: sizes.get(n) for n in contents}, {n: len(c) for n, (_, c) in contents.items()}, "decmpfs: sizes are those of the contents", r)
        for name, (_, data) in sorted(contents.items()):
            r = pluck.run("extract", *source, "mac/raw/" + name, "-")
            tap.ok(r.code == 0 and r.out == data, "decmpfs: %s" % name, r, len(r.out))
        target = scratch.new_dir("decmpfs")
        report = scratch.join("decmpfs.json")
        r = pluck.run("extract", "--report", report, *source, "mac/raw", target)
        tap.ok(r.code == 1 and all(n.encode() in r.err for n in bad), "decmpfs: what cannot be decoded is named", r)
        why = "not readable (compressed by macOS in a way that is not decoded, such as LZBITMAP)"
        with open(report, encoding="utf-8") as f:
            found = [(p["text"], p["error"], p["what"]) for p in json.load(f)["problems"] if "lzbitmap" in p["text"]]
        tap.ok(("lzbitmap': " + why).encode() in r.err and found == [("raw/lzbitmap", "EOPNOTSUPP", why)], "decmpfs: with the reason, also in the report", r, found)
        seen = {os.path.basename(p).decode(): e for p, e in M.from_tree(target).items() if e.type == "f"}
        tap.equal({n: seen[n].sha if n in seen else None for n in contents}, {n: hashlib.sha256(c).hexdigest() for n, (_, c) in contents.items()},
                  "decmpfs: a directory has the contents")
        tap.ok(not any(e.xattrs for e in seen.values()), "decmpfs: and not the attribute", {n: e.xattrs for n, e in seen.items()})
        for name in sorted(bad):
            r = pluck.run("extract", *source, "mac/raw/" + name, "-")
            tap.ok(r.code not in (0, "timeout") and not r.out, "decmpfs: %s fails" % name, r)


def check_choices(tap, scratch):
    ext, vfat = scratch.join("ext.img"), scratch.join("fat.img")
    top = scratch.new_dir("top")
    images.put(top, "hello", b"hello\n")
    images.settle_times(top)
    images.make_ext4(ext, 320 * MIB, top, "p1")
    images.make_vfat(vfat, 40 * MIB, top, "p1")
    source = ["--disk", "ext=" + ext, "--disk", "fat=" + vfat]
    with Pluck(scratch) as pluck:
        r = pluck.run("list", *source, "--fs-allow", "xfs,vfat", "ext/raw")
        tap.ok(r.code == 4 and b"ext4 is not among the allowed types" in r.err, "--fs-allow refuses what is not in the list", r)
        r = pluck.run("list", *source, "--fs-allow", "xfs,vfat", "fat/raw")
        tap.ok(r.code == 0 and b"hello" in r.out.lower(), "--fs-allow lets the others be read", r, r.out)
        r = pluck.run("list", *source, "--fs-allow", "xfs,vfat", "--fs-type", "ext4", "ext/raw")
        tap.ok(r.code == 4, "--fs-type does not get around --fs-allow", r)
        r = pluck.run("disks", *source, "--fs-allow", "xfs,vfat")
        tap.ok(r.code == 0 and b"not among the allowed types" in r.out, "disks says so", r, r.out)
        r = pluck.run("list", *source, "ext/raw")
        tap.ok(r.code == 0 and b"hello" in r.out, "a call without the list is not bound by it", r, r.out)
        r = pluck.run("status")
        tap.ok(b"fs-allow=xfs,vfat" in r.out, "status tells the sessions apart", r, r.out)
        for bad in ("a b", "", "x,", "../x"):
            r = pluck.run("list", *source, "--fs-allow", bad, "ext/raw")
            tap.ok(r.code == 2, "--fs-allow '%s' is wrong usage" % bad, r)
        r = pluck.run("list", *source, "--fs-type", "vfat", "ext/raw")
        tap.ok(r.code == 5 and b"cannot mount vfat" in r.err, "--fs-type takes ext4 for vfat, which fails", r)
        r = pluck.run("list", *source, "--fs-type", "nosuch", "ext/raw")
        tap.ok(r.code == 2 and b"nosuch" in r.err, "--fs-type: an unknown type", r)
        r = pluck.run("disks", *source)
        tap.ok(b"not unmounted" not in r.out, "a clean file system has no note", r, r.out)
        pluck.stop()
        run("debugfs", "-w", "-R", "feature needs_recovery", ext)
        r = pluck.run("disks", *source, "--output-format", "json")
        notes = [n.get("note", "") for d in json.loads(r.out or b"[]") for n in d.get("children", [])]
        tap.equal(notes, ["not unmounted cleanly: its journal is not replayed", ""], "a dirty journal is told of", r)
        r = pluck.run("list", *source, "ext/raw")
        tap.ok(r.code == 0 and b"hello" in r.out and b"its journal is not replayed" in r.err, "and the file system is read", r, r.out)
        run("debugfs", "-w", "-R", "feature -needs_recovery", ext)
        pluck.stop()
        check_signatures(tap, pluck, scratch, ext)
        check_superblocks(tap, pluck, scratch, ext)
        check_codepage(tap, pluck, scratch)


def spoil(image, at, before, after):
    """Bytes of an image become others."""
    with open(image, "r+b") as f:
        f.seek(at)
        seen = f.read(len(before))
        if seen != before:
            raise ValueError("%s has %s at %d, not %s" % (image, seen.hex(), at, before.hex()))
        f.seek(at)
        f.write(after)


def spoil_xfs(image):
    """The record that an unmount leaves is the first in a new log; without its mark it is one that would be replayed."""
    with open(image, "rb") as f:
        super_block = f.read(512)
    start, = struct.unpack_from(">Q", super_block, 0x30)
    group_blocks, = struct.unpack_from(">I", super_block, 0x54)
    block_bits, group_bits = super_block[0x78], super_block[0x7c]
    block = (start >> group_bits) * group_blocks + (start & (1 << group_bits) - 1)
    spoil(image, (block << block_bits) + 512 + 9, b"\x20", b"\0")


def spoil_ntfs(image):
    """The flags of the attribute $VOLUME_INFORMATION in MFT record 3 (version 3.1 stands before them)."""
    with open(image, "rb") as f:
        head = f.read(512)
        record = struct.unpack_from("<Q", head, 0x30)[0] * 512 * head[0x0d] + 3 * 1024
        f.seek(record)
        at = f.read(1024).index(b"\x03\x01\0\0") + 2
    spoil(image, record + at, b"\0", b"\1")


def hibernate(image, head):
    """What Windows leaves when it hibernates; once resumed, it begins with another word."""
    with tempfile.NamedTemporaryFile() as f:
        f.write(head + bytes(8188))
        f.flush()
        run("ntfscp", "-q", image, f.name, "hiberfil.sys")


DIRTY = {		# of each the tool, its size in MiB, and what makes it dirty
    "xfs": (["mkfs.xfs", "-q"], 320, spoil_xfs, "its journal is not replayed"),
    "jfs": (["mkfs.jfs", "-q"], 32, lambda image: spoil(image, 32768 + 0x28, bytes(4), b"\2\0\0\0"), "its journal is not replayed"),
    "ntfs": (["mkntfs", "-q", "-F"], 32, spoil_ntfs, "not unmounted cleanly"),
}


def check_dirty(tap, scratch):
    """Clean and dirty in one VM: only these are told of, and all are read."""
    source, want = [], {}
    for name, (tool, size, make_dirty, note) in DIRTY.items():
        if images.missing_tools(tool[0]):
            tap.skip("dirty " + name, "no " + tool[0])
            continue
        for state in ("clean", "dirty"):
            image = scratch.join("%s-%s.img" % (state, name))
            run("truncate", "-s", str(size * MIB), image)
            run(*tool, image)
            if state == "dirty":
                make_dirty(image)
            source += ["--disk", "%s-%s=%s" % (state, name, image)]
            want[state + "-" + name] = note if state == "dirty" else None
    with Pluck(scratch) as pluck:
        r = pluck.run("disks", *source, "--output-format", "json")
        seen = {d["name"]: d["children"][0].get("note") for d in json.loads(r.out or b"[]")}
        for name, note in want.items():
            tap.ok(note in seen[name] if note and seen[name] else seen[name] == note, "%s: %s" % (name, note or "no note"), seen)
            listed = pluck.run("list", *source, name + "/raw")
            told = [x for x in listed.err.decode().splitlines() if note and x.startswith("pluck: '%s/raw': " % name) and note in x]
            tap.ok(listed.code == 0 and len(told) == bool(note) and (note or not listed.err), "%s: is read, and list says the same" % name, listed)


def check_notes(tap, scratch):
    """Told by disks, list and extract, and by these in the report: Windows hibernated, or resumed; a device of a btrfs missing."""
    missing = images.missing_tools("mkntfs", "ntfscp")
    source, want = [], {}
    for name, head in (("asleep", b"hibr"), ("Asleep", b"HIBR"), ("awake", b"wake")) if not missing else ():
        image = scratch.join(name + ".img")
        run("truncate", "-s", str(16 * MIB), image)
        run("mkntfs", "-q", "-F", image)
        hibernate(image, head)
        source += ["--disk", "%s=%s" % (name, image)]
        want[name] = "Windows is hibernated: what it had not written is not shown" if name != "awake" else None
    if missing:
        tap.skip("Windows hibernated", missing)
    pair = [scratch.join("mirror-%s.img" % c) for c in "12"]
    run("truncate", "-s", str(128 * MIB), *pair)
    run("mkfs.btrfs", "-q", "-d", "raid1", "-m", "raid1", *pair)
    want["mirror"] = "a device of it is missing: what lies there alone cannot be read"
    with Pluck(scratch) as pluck:
        whole = ["--disk", "m1=" + pair[0], "--disk", "m2=" + pair[1]]
        r = pluck.run("disks", *whole, "--output-format", "json")
        listed = pluck.run("list", *whole, "m2/raw")
        tap.ok(r.code == listed.code == 0 and b"missing" not in r.out and not listed.err, "a btrfs with all its devices has no note", r, r.out, listed)
        pluck.stop()
        source += ["--disk", "mirror=" + pair[1]]
        r = pluck.run("disks", *source, "--output-format", "json")
        seen = {d["name"]: d["children"][0].get("note") for d in json.loads(r.out or b"[]")}
        tap.ok(r.code == 0 and seen == want, "notes of disks", r, seen)
        for name, note in want.items():
            r = pluck.run("list", *source, name + "/raw")
            tap.equal((r.code, r.err.decode()), (0, "pluck: '%s/raw': %s\n" % (name, note) if note else ""), "%s: what list says" % name, r)
        report = scratch.join("notes.json")
        paths = [x for name in want for x in ("--path", name + "/raw")] * 2
        r = pluck.run("extract", *source, "--report", report, "--overwrite", "always", *paths, scratch.join("notes"))
        lines = sorted("pluck: '%s/raw': %s" % x for x in want.items() if x[1])
        said = r.err.decode().splitlines()[:-1]
        tap.ok(r.code == 0 and sorted(said) == lines, "extract says each once", r)
        with open(report, encoding="utf-8") as f:
            told = {n["text"]: n["note"] for n in json.load(f).get("notes", [])}
        tap.equal(told, {k + "/raw": v for k, v in want.items() if v}, "and so does the report")


def check_damaged_btrfs(tap, scratch):
    """Without its tree of extents the driver mounts it with rescue=all alone, which checks no sums."""
    top, image = scratch.new_dir("top"), scratch.join("rescue.img")
    images.put(top, "dir/hello", b"hello\n")
    images.put(top, "noise", images.noise(MIB, 8))
    run("truncate", "-s", str(128 * MIB), image)
    run("mkfs.btrfs", "-q", "-m", "single", "--rootdir", top, image)
    roots = run("btrfs", "inspect-internal", "dump-tree", "-r", image).decode().splitlines()
    logical = next(line.split()[-3] for line in roots if line.startswith("extent tree key"))
    where = run("btrfs-map-logical", "-l", logical, image).decode().splitlines()
    with open(image, "r+b") as f:
        for line in where:
            f.seek(int(line.split()[5]))
            f.write(bytes(4096))
    note = b"pluck: 'd/raw': damaged: it could be mounted only without checking the sums of data\n"
    source, target, report = ["--disk", "d=" + image], scratch.join("rescued"), scratch.join("rescue.json")
    with Pluck(scratch) as pluck:
        r = pluck.run("disks", *source)
        tap.ok(r.code == 0 and b"btrfs" in r.out, "a btrfs without its tree of extents: disks shows it", r, r.out)
        r = pluck.run("list", *source, "d/raw")
        tap.ok(r.code == 0 and b"hello" not in r.out and b"noise" in r.out and r.err == note, "list says how it is mounted", r, r.out)
        r = pluck.run("extract", *source, "--report", report, "d/raw", target)
        tap.ok(r.code == 0 and r.err.startswith(note), "extract says it", r)
        with open(report, encoding="utf-8") as f:
            told = [n["note"] for n in json.load(f).get("notes", [])]
        tap.equal(told, [note.decode().split(": ", 2)[2].strip()], "and so does the report")
        found = {os.path.basename(p).decode(): e.sha for p, e in M.from_tree(target).items() if e.type == "f"}
        want = {"hello": b"hello\n", "noise": images.noise(MIB, 8)}
        tap.equal(found, {n: hashlib.sha256(c).hexdigest() for n, c in want.items()}, "the contents are there")


def check_signatures(tap, pluck, scratch, ext):
    """The same file system with the head of a squashfs where ext4 has nothing."""
    if images.missing_tools("mksquashfs"):
        tap.skip("two signatures", "no mksquashfs")
        return
    both, head = scratch.join("both.img"), scratch.join("head.img")
    run("mksquashfs", scratch.new_dir("top"), head, "-noappend", "-quiet")
    run("cp", "--sparse=always", ext, both)
    with open(both, "r+b") as f:
        with open(head, "rb") as h:
            f.write(h.read(96))
    source = ["--disk", "both=" + both]
    r = pluck.run("disks", *source)
    tap.ok(b"ambiguous" in r.out and b"squashfs" in r.out and b"--fs-type" in r.out, "two signatures are said to be ambiguous", r, r.out)
    for command, *rest in (("list",), ("stat",), ("extract", scratch.join("none"))):
        r = pluck.run(command, *source, "both/raw", *rest)
        tap.ok(r.code == 5 and b"ambiguous" in r.err and b"ext4" in r.err and b"squashfs" in r.err and b"--fs-type" in r.err,
               "%s: neither of them is taken" % command, r)
    r = pluck.run("disks", *source, "--fs-type", "ext4")
    tap.ok(r.code == 0 and b"ambiguous" not in r.out, "with --fs-type disks finds nothing to choose", r, r.out)
    r = pluck.run("list", *source, "--fs-type", "ext4", "both/raw")
    tap.ok(r.code == 0 and b"hello" in r.out, "--fs-type chooses", r, r.out)
    pluck.stop()


def check_superblocks(tap, pluck, scratch, ext):
    """Blocks of 4 KiB: backups in groups 1 (block 32768), 3, ..."""
    for name, damage, want in (("gone", [(1024, bytes(1024))], b"the backup at 131072 KiB is used"),
                               ("two-gone", [(1024, bytes(1024)), (32768 * 4096, bytes(1024))], None)):
        image = scratch.join(name + ".img")
        run("cp", "--sparse=always", ext, image)
        with open(image, "r+b") as f:
            for off, data in damage:
                f.seek(off)
                f.write(data)
        source = ["--disk", "d=" + image]
        r = pluck.run("list", *source, "d/raw")
        if want:
            tap.ok(r.code == 0 and b"hello" in r.out and want in r.err, "superblock %s: a backup is found, and list says so" % name, r, r.out)
            r = pluck.run("disks", *source)
            tap.ok(want in r.out, "superblock %s: disks says so" % name, r, r.out)
        else:
            tap.ok(r.code == 3, "superblock %s: nothing is found" % name, r, r.out)
        pluck.stop()
    image = scratch.join("bad.img")
    run("cp", "--sparse=always", ext, image)
    with open(image, "r+b") as f:
        f.seek(1024 + 0x04)			# blocks in all: more than the device has
        f.write(b"\xff\xff\xff\x00")
        f.seek(1024 + 0x64)			# without checksums it counts
        f.write(bytes(4))
    source = ["--disk", "d=" + image]
    r = pluck.run("list", *source, "d/raw")
    tap.ok(r.code == 5 and b"--superblock 131072" in r.err, "a bad superblock: the error names a backup", r)
    r = pluck.run("list", *source, "--superblock", "131072", "d/raw")
    tap.ok(r.code == 0 and b"hello" in r.out, "--superblock uses it", r, r.out)
    pluck.stop()


def check_codepage(tap, pluck, scratch):
    """A short name with byte 0x9b: U+00A2 in code page 437, U+00F8 in 850."""
    image = scratch.join("short.img")
    run("truncate", "-s", str(2 * MIB), image)
    run("mkfs.vfat", "-F", "12", image)
    path = scratch.join("AXB.TXT")
    with open(path, "wb") as f:
        f.write(b"x")
    run("mcopy", "-i", image, path, "::")
    with open(image, "r+b") as f:
        data = f.read()
        at = data.index(b"AXB     TXT")
        f.seek(at)
        f.write(b"A\x9bB")
    for options, want in (((), "a\u00a2b.txt"), (("--codepage", "850"), "a\u00f8b.txt")):
        r = pluck.run("list", "--disk", "d=" + image, *options, "--output-format", "json", "d/raw")
        names = [e["text"].lower() for e in json.loads(r.out or b"[]")]
        tap.equal(names, [want], "short name with %s" % (" ".join(options) or "the default code page"), r)
    pluck.stop()


def check_clones(tap, scratch):
    """Three btrfs of one id in one VM, all with other contents; one by another checksum, one of two disks."""
    source = []
    ident = "12345678-aaaa-4bbb-8ccc-123456789abc"
    for name, options in (("a", ()), ("b", ()), ("c", ()), ("x", ("--csum", "xxhash")), ("s", ("--csum", "sha256"))):
        top, image = scratch.new_dir("top"), scratch.join("clone-%s.img" % name)
        images.put(top, "name", name.encode())
        run("truncate", "-s", str(128 * MIB), image)
        run("mkfs.btrfs", "-q", "-U", ident, "-m", "single", *options, "--rootdir", top, image)
        source += ["--disk", "%s=%s" % (name, image)]
    pair = [scratch.join("pair-%s.img" % c) for c in "12"]
    run("truncate", "-s", str(128 * MIB), *pair)
    run("mkfs.btrfs", "-q", "-d", "raid0", "-m", "raid1", *pair)
    with Pluck(scratch) as pluck:
        both = ["--disk", "p1=" + pair[0], "--disk", "p2=" + pair[1]]
        asked = [pluck.popen("list", *both, "p%d/raw" % n, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for n in (1, 2)]
        said = [a.communicate(timeout=100)[0] for a in asked]
        tap.equal([a.returncode for a in asked], [0, 0], "btrfs of two disks: both can be asked for at once", said)
        pluck.stop()
        for name in "abcx":
            r = pluck.run("extract", *source, name + "/raw/name", "-")
            tap.equal((r.code, r.out), (0, name.encode()), "btrfs clone %s is the one that was asked for" % name, r)
        r = pluck.run("extract", *source, "a/raw/name", "-")
        tap.equal((r.code, r.out), (0, b"a"), "the first one still is", r)
        r = pluck.run("list", *source, "s/raw")
        tap.ok(r.code not in (0, "timeout") and b"same UUID" in r.err, "a clone that cannot be presented is refused with a reason", r)


with Tap() as tap, Scratch() as scratch:
    check_filled(tap, scratch)
    check_written(tap, scratch)
    check_empty(tap, scratch)
    check_exfat(tap, scratch)
    check_bfs(tap, scratch)
    check_hfs(tap, scratch)
    check_decmpfs(tap, scratch)
    check_choices(tap, scratch)
    check_dirty(tap, scratch)
    check_notes(tap, scratch)
    check_damaged_btrfs(tap, scratch)
    check_clones(tap, scratch)
