#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# What extraction does to a target: existing files, merging, refusals, full disks, and everything that a file can carry.
import os
import shutil
import signal
import stat
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import images
import manifest as M
from images import MIB
from program import AS_NOBODY, NOBODY, Pluck, Scratch, public_copy
from tap import Tap

ROOT = os.geteuid() == 0


def make_disk(scratch):
    ns = {b"etc/passwd": 999999999, b"posix/times/time-1960": 250000000, b"posix/times/time-2100": 1}
    path, volume = images.make_ext4_disk(scratch, "disk.img", 96 * MIB, images.make_posix_tree, ns=ns)
    return ["--disk", "a=" + path], volume


def read(path):
    with open(path, "rb") as f:
        return f.read()


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)


def subset(volume, root):
    return M.beneath(volume.entries, root)


def check_overwrite(tap, pluck, disk, scratch):
    target = scratch.new_dir("over")
    os.makedirs(os.path.join(target, "ann/docs"))
    write(os.path.join(target, "ann/docs/report.txt"), b"mine")
    write(os.path.join(target, "ann/mine.txt"), b"stays")
    for options in ((), ("--overwrite", "never")):
        r = pluck.run("extract", *disk, *options, "a/raw/home/ann", target)
        kept = read(os.path.join(target, "ann/docs/report.txt")) == b"mine"
        tap.ok(r.code == 1 and kept and "report.txt" in r.text, "%s: an existing file stays, is named, exit code 1"
               % (" ".join(options) or "default"), r)
    tap.ok(read(os.path.join(target, "ann/one")) == b"1", "the directory is merged: the other files are there")
    r = pluck.run("extract", *disk, "--overwrite", "always", "a/raw/home/ann", target)
    tap.ok(r.code == 0 and read(os.path.join(target, "ann/docs/report.txt")).startswith(b"quarterly"), "--overwrite always replaces it", r)
    tap.ok(read(os.path.join(target, "ann/mine.txt")) == b"stays", "files that the source does not have stay")
    os.unlink(os.path.join(target, "ann/one"))
    victim = scratch.join("victim")
    write(victim, b"victim")
    os.symlink(victim, os.path.join(target, "ann/one"))
    r = pluck.run("extract", *disk, "--overwrite", "always", "a/raw/home/ann", target)
    tap.ok(read(victim) == b"victim" and read(os.path.join(target, "ann/one")) == b"1" and r.code == 0,
           "a symlink in the target is replaced, never followed", r)
    outside = scratch.new_dir("outside")
    shutil.rmtree(os.path.join(target, "ann/docs"))
    os.symlink(outside, os.path.join(target, "ann/docs"))
    for mode in ("never", "always"):
        r = pluck.run("extract", *disk, "--overwrite", mode, "a/raw/home/ann", target)
        tap.equal(os.listdir(outside), [], "a directory that is a symlink in the target is not entered (%s)" % mode, r)
    r = pluck.run("extract", *disk, "--overwrite", "always", "a/raw/etc", scratch.new_dir("clean"))
    left = [f for _, _, fs in os.walk(scratch.join("clean")) for f in fs if f not in ("passwd", "hostname")]
    tap.ok(r.code == 0 and not left, "nothing temporary is left beside the files", left)


def check_metadata(tap, pluck, disk, volume, scratch):
    """holes, hard links, times, and as root owners, attributes, ACLs, capabilities"""
    target = scratch.new_dir("meta")
    r = pluck.run("extract", *disk, "--devices", "a/raw/posix", target)
    tap.equal(r.code, 0 if ROOT else 1, "extract a directory with everything", r)
    top = os.path.join(target, "posix")
    if not os.path.isdir(top):
        tap.ok(False, "the directory is there", os.listdir(target))
        return
    fields = () if ROOT else ("uid", "gid", "xattrs", "rdev", "mode")
    differences = M.compare(subset(volume, b"posix"), M.from_tree(top), ignore=("links",) + fields)
    tap.ok(not differences, "all of it is as in the image", *[str(d) for d in differences[:12]])
    st = os.stat(os.path.join(top, "sparse"))
    tap.ok(st.st_size == 40 * MIB and st.st_blocks * 512 < MIB, "holes stay holes", "%d blocks" % st.st_blocks)
    fd = os.open(os.path.join(top, "sparse"), os.O_RDONLY)
    tap.ok(os.lseek(fd, 0, os.SEEK_HOLE) <= 65536 and os.lseek(fd, 65536, os.SEEK_DATA) == 20 * MIB, "where they were")
    os.close(fd)
    tap.equal(os.stat(os.path.join(top, "all-hole")).st_blocks, 0, "a file that is one hole has no blocks")
    tap.ok(os.path.samefile(os.path.join(top, "hard-a"), os.path.join(top, "hard-b")), "names of one file are names of one file")
    one = scratch.new_dir("one")
    r = pluck.run("extract", *disk, "a/raw/posix/hard-b", one)
    tap.ok(r.code == 0 and read(os.path.join(one, "hard-b")) == b"three names\n", "one name of several alone", r)
    r = pluck.run("extract", *disk, "a/raw/etc/passwd", one)
    tap.equal(os.stat(os.path.join(one, "passwd")).st_mtime_ns % 10**9, 999999999, "nanoseconds of a time")
    r = pluck.run("extract", *disk, "a/raw/posix/dangling", one)
    tap.ok(r.code == 0 and os.readlink(os.path.join(one, "dangling")) == "no/such\nfile", "a symlink alone is restored as one", r)


def check_devices(tap, pluck, disk, scratch):
    if not ROOT:
        tap.skip("device nodes", "need root")
        return
    target = scratch.new_dir("dev")
    r = pluck.run("extract", *disk, "a/raw/posix", target)
    kinds = {n for n in os.listdir(os.path.join(target, "posix"))
             if stat.S_IFMT(os.lstat(os.path.join(target, "posix", n)).st_mode) in (stat.S_IFCHR, stat.S_IFBLK)}
    tap.ok(r.code == 1 and not kinds and "dev-null" in r.text, "device nodes are left out and named", r, kinds)


def check_space(tap, pluck, disk, pxar, scratch):
    if not ROOT:
        tap.skip("a full target", "needs root")
        return
    target = scratch.new_dir("full")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", target], check=False, stderr=subprocess.PIPE)
    if done.returncode:
        tap.skip("a full target", "mount: %s" % done.stderr.decode())
        return
    try:
        for what, args in (("extract", ["extract", *disk, "a/raw/data"]), ("pxar extract", ["pxar", "extract", pxar])):
            r = pluck.run(*args, target)
            tap.ok(r.code == 7 and b"space" in r.err.lower(), "%s: a full target: exit code 7, the reason" % what, r)
            names = [f for _, _, fs in os.walk(target) for f in fs]
            tap.equal(names, [], "%s: no half file is left" % what)
    finally:
        subprocess.run(["umount", target], check=False)
    r = pluck.run("extract", *disk, "a/raw/data", scratch.new_dir("after"))
    tap.ok(r.code == 0, "the session works on after it", r)
    for args in (["extract", *disk, "a/raw/data/big.bin", "-"], ["pxar", "extract", pxar, "-"], ["pxar", "extract", pxar, "-", "--format", "pxar"]):
        with open("/dev/full", "wb") as full:
            r = pluck.run(*args, stdout=full)
        tap.ok(r.code == 7 and r.err.strip(), "a full standard output: exit code 7", args, r)


def make_much(scratch):
    top = scratch.new_dir("much")
    for i in range(400):
        images.put(top, "d%d/f%03d" % (i % 7, i), b"%03d" % i * 65536)
    images.settle_times(top)
    path = scratch.join("much.img")
    images.make_ext4(path, 128 * MIB, top, "whole")
    images.remove_tree(top)
    return ["--disk", "m=" + path]


def interrupt(pluck, disk, target, act):
    """Does act(child) as soon as the first files are there. Return: exit code, standard error."""
    child = pluck.popen("extract", *disk, "m/raw", target, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while child.poll() is None and not any(fs for _, _, fs in os.walk(target)):
        time.sleep(0.001)
    act(child)
    err = child.communicate(timeout=120)[1]
    return child.returncode, err


def remove_beneath(child, target):
    child.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
    shutil.rmtree(target)
    child.send_signal(signal.SIGCONT)


def check_ended(tap, pluck, scratch):
    """Ended while it writes: no half file under any name, and the session goes on."""
    disk = make_much(scratch)
    pluck.run("list", *disk, "m/raw")
    for name, number, want in (("SIGINT", signal.SIGINT, 130), ("SIGTERM", signal.SIGTERM, 143), ("SIGKILL", signal.SIGKILL, -9)):
        target = scratch.new_dir("ended-" + name)
        code, err = interrupt(pluck, disk, target, lambda child, n=number: child.send_signal(n))
        names = [os.path.join(at, f) for at, _, fs in os.walk(target) for f in fs]
        half = [n for n in names if ".pluck-" in n or read(n) != os.path.basename(n)[1:].encode() * 65536]
        tap.ok(code == want and 0 < len(names) < 400 and not half, "%s: exit code %d, %d whole files, no other" % (name, want, len(names)),
               code, err, half[:5])
    target = scratch.new_dir("removed")
    code, err = interrupt(pluck, disk, target, lambda child: remove_beneath(child, target))
    tap.ok(code == 7 and b"removed" in err, "a target that is removed meanwhile: exit code 7, the reason", code, err)
    target = scratch.new_dir("again")
    r = pluck.run("extract", *disk, "m/raw", target)
    tap.ok(r.code == 0 and sum(len(fs) for _, _, fs in os.walk(target)) == 400, "the session works on after all that", r)


def make_pxar(tap, pluck, disk, scratch, path):
    """A part of the disk as an archive that is a plain file."""
    pxar = scratch.join(path.replace("/", "-") + ".pxar")
    with open(pxar, "wb") as f:
        r = pluck.run("extract", *disk, "a/raw/" + path, "-", "--format", "pxar", stdout=f)
    os.chmod(pxar, 0o644)
    tap.equal(r.code, 0, "a pxar of %s" % path, r)
    return pxar


def check_pxar_user(tap, pluck, pxar, scratch):
    target = scratch.new_dir("user-pxar")
    os.chown(target, NOBODY, NOBODY)
    r = pluck.run("pxar", "extract", pxar, target)
    own = os.path.join(target, "posix/own-1000")
    tap.ok(r.code == 1 and "metadata" in r.text and read(own) == b"own-1000" and os.lstat(own).st_uid == NOBODY,
           "pxar extract not as root: what could not be applied is told, exit code 1", r)
    shutil.rmtree(os.path.join(target, "posix"))
    r = pluck.run("pxar", "extract", pxar, target, "--no-same-owner", "--xattrs", "user", "--path", "posix/own-1000")
    tap.ok(r.code == 0 and not r.err.count(b"metadata") and read(os.path.join(target, "own-1000")) == b"own-1000",
           "pxar extract not as root, --no-same-owner: exit code 0", r)
    locked = scratch.new_dir("locked-pxar")
    for where in locked, os.path.join(locked, "below"):
        r = pluck.run("pxar", "extract", pxar, where)
        tap.ok(r.code == 7 and b"locked" in r.err and not os.listdir(locked), "pxar extract, a target without permission: exit code 7", r)
    os.chmod(pxar, 0o600)
    r = pluck.run("pxar", "extract", pxar, os.path.join(target, "never"))
    tap.ok(r.code != 0 and b".pxar" in r.err and not os.path.exists(os.path.join(target, "never")), "pxar extract, no right to read: no target", r)


def check_user(tap, scratch, disk, pxar):
    if not ROOT or not shutil.which("setpriv"):
        tap.skip("as an ordinary user", "needs root and setpriv")
        return
    target = scratch.new_dir("user")
    os.chown(target, NOBODY, NOBODY)
    with Pluck(scratch, "run-user", prefix=AS_NOBODY, program=public_copy(scratch), owner=NOBODY) as pluck:
        r = pluck.run("extract", *disk, "a/raw/posix", target)
        tap.ok(r.code == 1 and r.err.strip(), "not as root: what could not be applied is told, exit code 1", r)
        top = os.path.join(target, "posix")
        tap.ok(os.path.exists(os.path.join(top, "own-1000")) and read(os.path.join(top, "own-1000")) == b"own-1000",
               "the contents are all there", os.listdir(target))
        bad = [n for n in ("mode-4755", "mode-2755") if os.path.exists(os.path.join(top, n))
               and os.lstat(os.path.join(top, n)).st_mode & 0o6000]
        tap.ok(not bad, "no setuid or setgid without the owner", bad)
        locked = scratch.new_dir("locked")
        r = pluck.run("extract", *disk, "a/raw/etc", locked)
        tap.ok(r.code == 7 and b"locked" in r.err and not os.listdir(locked), "a target without permission: exit code 7", r)
        check_pxar_user(tap, pluck, pxar, scratch)


def check_pipe(tap, pluck, disk):
    for args in (["--format", "tar", "a/raw"], ["a/raw/data/big.bin"], ["--format", "pxar", "a/raw"]):
        child = pluck.popen("extract", *disk, *args, "-", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        child.stdout.read(1)
        child.stdout.close()
        try:
            err = child.communicate(timeout=60)[1]
            code = child.returncode
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            err, code = b"", "timeout"
        tap.ok(code in (0, 1) and err == b"", "a closed pipe is silent: %s" % " ".join(args), "exit %s" % code, err)
    child = pluck.popen("list", *disk, "--recursive", "--output-format", "jsonl", "a/raw", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    child.stdout.close()
    try:
        err = child.communicate(timeout=60)[1]
    except subprocess.TimeoutExpired:
        child.kill()
        err = b"time-out"
    tap.equal(err, b"", "a closed pipe is silent: list")


with Tap() as tap, Scratch() as scratch, Pluck(scratch) as pluck:
    disk, volume = make_disk(scratch)
    check_overwrite(tap, pluck, disk, scratch)
    check_metadata(tap, pluck, disk, volume, scratch)
    check_devices(tap, pluck, disk, scratch)
    check_space(tap, pluck, disk, make_pxar(tap, pluck, disk, scratch, "data"), scratch)
    check_pipe(tap, pluck, disk)
    check_ended(tap, pluck, scratch)
    check_user(tap, scratch, disk, make_pxar(tap, pluck, disk, scratch, "posix"))
