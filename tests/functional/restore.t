#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Whole disks, archives and small files out of a datastore. All in 2 GiB of address space.
import hashlib
import io
import os
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import golden as G
import pxar_store as P
from program import LIMITED, Pluck, Scratch
from tap import Tap, test_data

CHUNK, IMAGE, BLOB, LOG = P.CHUNK, P.IMAGE, P.BLOB, P.LOG


def read(path):
    with open(path, "rb") as f:
        return f.read()


def check_bytes(tap, pluck, made, scratch):
    for name, want in made.raw.items():
        r = pluck.run("restore", *made.source, name, "-", "--raw")
        tap.ok(r.code == 0 and r.out == want and not r.err, "%s, raw" % name, r, len(r.out), len(want))
    for name, want in (("disk", IMAGE), ("disk.img", IMAGE), ("vm.conf", BLOB), ("client.log", LOG), ("empty.conf.blob", b"")):
        r = pluck.run("restore", *made.source, name, "-")
        tap.ok(r.code == 0 and r.out == want, "%s to standard output" % name, r)
    out = scratch.new_dir("out")
    target = os.path.join(out, "disk.raw")
    r = pluck.run("restore", *made.source, "disk.img", target)
    st = os.stat(target)
    tap.ok(r.code == 0 and read(target) == IMAGE and os.listdir(out) == ["disk.raw"], "an image becomes a file", r, os.listdir(out))
    tap.ok(st.st_blocks * 512 <= len(IMAGE) - 4 * CHUNK, "with holes where there are zeros", st.st_blocks)
    r = pluck.run("restore", *made.source, "vm.conf", target)
    tap.ok(r.code == 7 and read(target) == IMAGE and "exists" in r.text, "what is there stays", r)
    r = pluck.run("restore", *made.source, "vm.conf", target, "--overwrite")
    tap.ok(r.code == 0 and read(target) == BLOB and os.listdir(out) == ["disk.raw"], "unless --overwrite is given", r)
    os.symlink(os.path.join(out, "other"), os.path.join(out, "link"))
    r = pluck.run("restore", *made.source, "vm.conf", os.path.join(out, "link"))
    tap.ok(r.code == 7 and not os.path.exists(os.path.join(out, "other")), "no file is made through a symbolic link", r)
    r = pluck.run("restore", *made.source, "vm.conf", os.path.join(out, "link"), "--overwrite")
    tap.ok(r.code == 0 and not os.path.islink(os.path.join(out, "link")) and not os.path.exists(os.path.join(out, "other")),
           "--overwrite replaces the link itself", r)
    r = pluck.run("restore", *made.source, "disk", "/dev/null")
    tap.ok(r.code == 0, "to /dev/null", r)
    with open("/dev/full", "wb") as full:
        r = pluck.run("restore", *made.source, "disk", "-", stdout=full)
    tap.ok(r.code == 7 and "No space" in r.text, "standard output that is full: 7", r)


def check_errors(tap, pluck, made, scratch):
    out = scratch.new_dir("errors")
    for what, args, want, text in (
            ("no such file", ["none.img", out + "/x"], 3, "pluck files"), ("a name with a slash", ["../x", out + "/x"], 3, "no '../x'"),
            ("a catalog is no tree", ["catalog.pcat1", out + "/x"], 2, "--raw"), ("a payload stream is named by its archive", ["two.ppxar.didx", out + "/x"], 2, "--raw"),
            ("a directory", ["disk", out], 7, "is a directory"), ("no directory", ["disk", out + "/no/x"], 7, "No such file"),
            ("--format of an image", ["disk", "-", "--format", "tar"], 2, "--format"), ("--format of a directory", ["one", out + "/x", "--format", "tar"], 2, "--format"),
            ("an argument is missing", ["disk"], 2, "missing")):
        r = pluck.run("restore", *made.source, *args)
        tap.ok(r.code == want and text in r.text and not r.out and not os.listdir(out), "%s: %d" % (what, want), r, os.listdir(out))


def tar_names(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as t:
        return {m.name.encode("utf-8", "surrogateescape").rstrip(b"/") for m in t}


def check_trees(tap, pluck, made, scratch):
    want = P.paths_of(made.tree)
    for name in ("one", "one.pxar", "two.pxar", "two.mpxar.didx"):
        target = scratch.join("tree of " + name)
        r = pluck.run("restore", *made.source, name, target)
        P.check_tree(tap, "the tree of %s" % name, r, target, want, made.tree[0])


def check_streams(tap, pluck, made, scratch):
    want = set(P.paths_of(made.tree))
    r = pluck.run("restore", *made.source, "two", "-")
    tap.ok(r.code == 0 and tar_names(r.out) == want, "a tar to standard output", r)
    r = pluck.run("restore", *made.source, "two", "-", "--format", "pxar")
    tap.ok(r.code == 0 and r.out == made.raw["one.pxar.didx"], "a split archive as a unified one", r)


def check_existing(tap, pluck, made, scratch):
    target = scratch.new_dir("existing")
    with open(os.path.join(target, "big"), "wb") as f:
        f.write(b"mine")
    r = pluck.run("restore", *made.source, "one", target)
    tap.ok(r.code == 1 and read(os.path.join(target, "big")) == b"mine" and "left out" in r.text, "files that are there stay: 1", r)
    r = pluck.run("restore", *made.source, "one", target, "--overwrite")
    P.check_tree(tap, "--overwrite replaces them", r, target, P.paths_of(made.tree))


def check_damage(tap, pluck, made, scratch):
    out = scratch.new_dir("damage")
    target = os.path.join(out, "x")
    with open(made.chunk("disk.img.fidx", 1), "r+b") as f:
        f.seek(100)
        f.write(b"xx")
    os.unlink(made.chunk("disk.img.fidx", 7))
    r = pluck.run("restore", *made.source, "disk", target)
    tap.ok(r.code == 5 and not os.listdir(out) and made.digests["disk.img.fidx"][1] in r.text, "a bad chunk ends it: 5, and no file", r, os.listdir(out))
    r = pluck.run("restore", *made.source, "disk", "-")
    tap.ok(r.code == 5 and r.out == IMAGE[:CHUNK], "a stream ends before the bad chunk", r, len(r.out))
    r = pluck.run("restore", *made.source, "disk", target, "--keep-going")
    zeroed = IMAGE[:CHUNK] + bytes(CHUNK) + IMAGE[2 * CHUNK:7 * CHUNK] + bytes(CHUNK) + IMAGE[8 * CHUNK:]
    tap.ok(r.code == 5 and read(target) == zeroed, "--keep-going: zeros for what is bad, still 5", r)
    tap.ok("%d bytes at %d are zeros" % (CHUNK, CHUNK) in r.text and "%d bytes at %d are zeros" % (CHUNK, 7 * CHUNK) in r.text and
           "missing" in r.text, "and the ranges are listed", r)
    r = pluck.run("restore", *made.source, "disk", "-", "--keep-going", "--raw")
    tap.ok(r.code == 5 and r.out == zeroed, "so to standard output", r)
    for name, stream in (("one", "one.pxar.didx"), ("two", "two.ppxar.didx")):
        os.unlink(made.chunk(stream, 20))
        tree = os.path.join(out, name)
        r = pluck.run("restore", *made.source, name, tree)
        tap.ok(r.code == 5 and made.digests[stream][20] in r.text and b"big" not in os.listdir(os.fsencode(tree)),
               "%s: a bad chunk ends it, its file is not there" % name, r, os.listdir(tree))
        r = pluck.run("restore", *made.source, name, tree, "--keep-going", "--overwrite")
        names = {os.path.relpath(os.path.join(d, n), os.fsencode(tree)) for d, dirs, files in os.walk(os.fsencode(tree)) for n in dirs + files}
        tap.ok(r.code == 5 and names == set(P.paths_of(made.tree)) - {b"big"} | {b"big.partial"} and "'big'" in r.text,
               "%s: --keep-going restores all the rest" % name, r, names)
        r = pluck.run("restore", *made.source, name, "-")
        tap.ok(r.code == 5 and not r.out.endswith(bytes(1024)), "%s: a tar without its end" % name, r)


def check_encrypted(tap, pluck, scratch):
    store, key = scratch.join("enc"), scratch.join("key.json")
    disk, conf = scratch.join("d.raw"), scratch.join("c.conf")
    for path, data in ((disk, IMAGE), (conf, BLOB)):
        with open(path, "wb") as f:
            f.write(data)
    for args in (["key", "create", key, "--kdf", "none"], ["datastore", "create", store],
                 ["backup", "--repository", store, "--backup-id", "7", "--backup-type", "vm", "--backup-time", "1700000000",
                  "--keyfile", key, "d.img:" + disk, "c.conf:" + conf]):
        r = pluck.run(*args)
        tap.ok(r.code == 0, args[0], r)
    source = ["--repository", store, "vm/7/2023-11-14T22:13:20Z"]
    for name, want in (("d.img", IMAGE), ("c.conf", BLOB)):
        r = pluck.run("restore", *source, name, "-", "--keyfile", key)
        tap.ok(r.code == 0 and r.out == want, "encrypted %s with its key" % name, r)
        target = scratch.join("never")
        r = pluck.run("restore", *source, name, target, env=dict(pluck.env, HOME=scratch.path))
        tap.ok(r.code == 4 and not os.path.exists(target), "%s without: 4" % name, r)


def check_device(tap, pluck, made, scratch):
    """A loop device: written in place, zeros too, and only if it was meant and has room."""
    backing = scratch.join("backing")

    def attach(size):
        with open(backing, "wb") as f:
            f.write(b"\xa5" * size)
        r = subprocess.run(["losetup", "-f", "--show", backing], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        return r.stdout.decode().strip() if r.returncode == 0 else None

    size = (len(IMAGE) + 4095) // 4096 * 4096 + CHUNK
    device = attach(size) if os.geteuid() == 0 and shutil.which("losetup") else None
    if device is None:
        tap.skip("restore onto a block device", "no loop device can be had")
        return
    try:
        r = pluck.run("restore", *made.source, "disk.img", device)
        tap.ok(r.code == 7 and "--overwrite" in r.text and read(backing) == b"\xa5" * size, "a block device: only with --overwrite", r)
        r = pluck.run("restore", *made.source, "disk.img", device, "--overwrite")
        tap.ok(r.code == 0 and read(device) == IMAGE + b"\xa5" * (size - len(IMAGE)), "an image onto a block device, zeros too, the rest as it was", r)
        subprocess.run(["losetup", "-d", device], check=True)
        device = attach(len(IMAGE) // 4096 * 4096 - 4096)
        r = pluck.run("restore", *made.source, "disk.img", device, "--overwrite")
        tap.ok(r.code == 7 and "are needed" in r.text and set(read(device)) == {0xa5}, "one that is too small: 7, and nothing is written", r)
    finally:
        if device:
            subprocess.run(["losetup", "-d", device], check=True)


def written(pid, top):
    """Bytes of the file that a process is making in a directory, whatever its name."""
    sizes = [0]
    for fd in os.listdir("/proc/%d/fd" % pid):
        path = "/proc/%d/fd/%s" % (pid, fd)
        try:
            if os.readlink(path).startswith(top + "/") and stat.S_ISREG(os.stat(path).st_mode):
                sizes.append(os.stat(path).st_size)
        except OSError:
            pass
    return max(sizes)


def check_ended(tap, pluck, scratch):
    """Ended by a signal while it writes: nothing under the file's name, what was there before stays."""
    store = scratch.join("long")
    P.make_store(store)
    snap = P.Snapshot(store, "vm", "1", 1700000000, "2023-11-14T22:13:20Z")
    snap.add_image("disk.img.fidx", P.NOISE(CHUNK), times=32768)
    source = ["--repository", store, snap.finish(), "disk.img"]
    for name, number, want in (("SIGINT", signal.SIGINT, 130), ("SIGTERM", signal.SIGTERM, 143)):
        for before in None, b"old":
            top = scratch.new_dir("ended")
            target = os.path.join(top, "disk.raw")
            if before is not None:
                with open(target, "wb") as f:
                    f.write(before)
            with pluck.popen("restore", *source, target, "--overwrite", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as child:
                while child.poll() is None and written(child.pid, top) < 1 << 20:
                    time.sleep(0.002)
                child.send_signal(number)
                err = child.communicate(timeout=120)[1]
            there = {n: read(os.path.join(top, n)) if n == "disk.raw" else None for n in os.listdir(top)}
            tap.ok(child.returncode == want and there == ({} if before is None else {"disk.raw": before}),
                   "%s: %d, %s" % (name, want, "no file" if before is None else "the file that was there"), child.returncode, err, there)


def check_golden(tap, pluck, scratch, golden):
    """Every stored file of every official store that can be read; each distinct one once."""
    for name in G.STORES + G.OLD:
        store = G.Store(golden, name, scratch)
        done, bad, kinds = set(), [], {}
        for row in store.contents():
            mark = row.get("csum") or (row["snapshot"], row.get("file"))
            if "sha256" not in row or mark in done:
                continue
            done.add(mark)
            with pluck.popen("restore", "--raw", *store.source(row["snapshot"], row["ns"]), row["file"], "-", env=store.env(pluck.env),
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
                digest = hashlib.sha256()
                while data := child.stdout.read(1 << 20):
                    digest.update(data)
                text = child.stderr.read()
            kind = row["file"].split(".", 1)[1]
            kinds[kind] = kinds.get(kind, 0) + 1
            if child.returncode != 0 or digest.hexdigest() != row["sha256"]:
                bad.append((row["ns"], row["snapshot"], row["file"], child.returncode, text[-300:]))
        tap.ok(not bad and done, "restore --raw of %d files of the %s store" % (len(done), name), *bad[:9])
        tap.diag(", ".join("%d %s" % (n, k) for k, n in sorted(kinds.items())))


with Tap() as tap, Scratch() as scratch, Pluck(scratch, prefix=LIMITED) as pluck:
    made = P.SampleStore(scratch)
    check_bytes(tap, pluck, made, scratch)
    check_errors(tap, pluck, made, scratch)
    check_device(tap, pluck, made, scratch)
    check_trees(tap, pluck, made, scratch)
    check_streams(tap, pluck, made, scratch)
    check_existing(tap, pluck, made, scratch)
    check_damage(tap, pluck, made, scratch)
    check_encrypted(tap, pluck, scratch)
    check_ended(tap, pluck, scratch)
    golden = test_data("PLUCK_GOLDEN", "golden")
    if golden is None:
        tap.skip("files of the official tools", "no golden data ($PLUCK_GOLDEN)")
    else:
        check_golden(tap, pluck, scratch, golden)
    tap.equal(pluck.session_pids(), [], "no session was started for any of this")
