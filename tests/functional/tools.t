#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# The on-demand tools image: programs in the VM, and an installed copy of everything in another place.
import hashlib
import os
import select
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import images
from images import MIB
from program import SANITIZED, Pluck, Scratch, wait_for
from tap import TOP, Tap


def make_disk(scratch):
    return images.make_ext4_disk(scratch, "a.img", 16 * MIB, lambda top: images.put(top, "etc/motd", b"hello\n"), label="tooldisk")[0]


def state_of(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest(), os.stat(path).st_mtime_ns


def check_writes(tap, pluck, disk):
    """A program that is root of the VM cannot change a disk, whatever it does to the kernel's own idea of it."""
    before = state_of(disk)
    tries = ("blockdev --setrw /dev/vda", "echo x >/dev/vda", "dd if=/dev/zero of=/dev/vda bs=4k count=1 conv=notrunc,fsync", "blkdiscard -f /dev/vda",
             "mount -o remount,rw /mnt/vda", "echo x >/mnt/vda/etc/motd", "mkdir -p /tmp/m; mount -t ext4 -o rw /dev/vda /tmp/m; echo x >/tmp/m/x")
    pluck.run("list", "--disk", "a=" + disk, "a/raw")
    for script in tries:
        r = pluck.run("run", "--disk", "a=" + disk, "--", "sh", "-c", script + "; r=$?; sync; exit $r")
        tap.ok(r.code != "timeout" and (r.code or "setrw" in script), "not written by: " + script, r, r.out)
    pluck.stop()
    tap.equal(state_of(disk), before, "the disk is as it was, and was not written to")


def check_programs(tap, pluck, disk):
    at = ("--disk", "a=" + disk)
    r = pluck.run("run", *at, "--", "blkid", "-p", "/dev/vda")
    tap.ok(r.code == 0 and b'LABEL="tooldisk"' in r.out, "a dynamic program of the image reads the disk", r, r.out)
    r = pluck.run("run", *at, "--", "cat", "/mnt/vda/etc/motd")
    tap.ok(r.code == 1 and b"No such file" in r.out, "nothing is mounted before it is asked for", r, r.out)
    pluck.run("list", *at, "a/raw")
    r = pluck.run("run", *at, "--", "cat", "/mnt/vda/etc/motd")
    tap.ok(r.code == 0 and r.out == b"hello\n", "volumes appear in the image when they are mounted", r, r.out)
    r = pluck.run("run", *at, "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    tap.ok(r.code == 7 and r.out == b"out\nerr\n", "output and exit status of a script", r, r.out)
    r = pluck.run("run", *at, "--", "sh", "-c", "kill -9 $$")
    tap.ok(r.code == 137 and not r.err, "death by a signal", r)
    r = pluck.run("run", *at, "--", "sh", "-c", "exec >/dev/null 2>&1; sleep 1; exit 3")
    tap.equal(r.code, 3, "a program that closes its output goes on", r)
    r = pluck.run("run", *at, "--", "no-such-program")
    tap.equal(r.code, 127, "an unknown program", r)
    r = pluck.run("run", *at, "--", "sh", "-c", "echo x >/dev/vda")
    tap.ok(r.code != 0, "the disk cannot be written", r)
    r = pluck.run("run", *at, "--", "sh", "-c", "echo x >/usr/x")
    tap.ok(r.code != 0, "the image cannot be written", r)
    r = pluck.run("run", *at, "--", "seq", "1", "400000")
    tap.equal(r.out, b"".join(b"%d\n" % i for i in range(1, 400001)), "much output comes whole")
    r = pluck.run("run", *at)
    tap.equal(r.code, 2, "no program is wrong usage", r)
    r = pluck.run("run", *at, "--", "sh", "-c", "echo first; x=$(tr '\\0' x </dev/zero)")
    tap.ok(r.code == 137 and r.out == b"first\n" and "killed: the VM has not enough memory: --memory" in r.text and "128 MiB" in r.text,
           "a program that wants more memory than there is: its status, and what to do", r, r.out)
    r = pluck.run("run", *at, "--", "true")
    tap.equal(r.code, 0, "the VM goes on", r)


def check_slow(tap, pluck, disk):
    """Output comes when it is written, and a program goes when its caller does."""
    at = ("--disk", "a=" + disk)
    child = pluck.popen("run", *at, "--", "sh", "-c", "echo one; exec sleep 1000", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    came = select.select([child.stdout], [], [], 60)[0]
    tap.ok(came and child.stdout.readline() == b"one\n", "what a program writes comes while it runs")
    tap.ok(b"sleep 1000" in pluck.run("run", *at, "--", "ps").out, "it runs")
    child.kill()
    child.communicate()
    tap.ok(wait_for(lambda: b"sleep 1000" not in pluck.run("run", *at, "--", "ps").out), "and is ended when nobody reads any more")
    r = pluck.run("run", *at, "--timeout", "2", "--", "sleep", "1000")
    tap.ok(r.code == 8 and "not ended in time" in r.text, "--timeout ends it", r)
    tap.ok(wait_for(lambda: b"sleep 1000" not in pluck.run("run", *at, "--", "ps").out), "in the VM, too")


def check_installed(tap, scratch, disk):
    """make install below a directory, then from there, with nothing of the build tree beside it."""
    dest = scratch.join("dest")
    r = subprocess.run(["make", "-s", "-C", TOP, "install", "DESTDIR=" + dest, "PREFIX=/opt/pluck"] + ["SAN=1"] * SANITIZED,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    tap.equal(r.returncode, 0, "make install", r.stdout.decode("utf-8", "replace"))
    base = dest + "/opt/pluck"
    for f in ("bin/pluck", "lib/pluck/vmlinux", "lib/pluck/initramfs.cpio", "lib/pluck/tools.img", "share/man/man1/pluck.1",
              "share/bash-completion/completions/pluck", "share/zsh/site-functions/_pluck"):
        tap.ok(os.path.isfile(os.path.join(base, f)), "installs " + f)
    with Pluck(scratch, "installed", program=base + "/bin/pluck") as pluck:
        r = pluck.run("list", "--disk", "a=" + disk, "a/raw/etc")
        tap.ok(r.code == 0 and b"motd" in r.out, "the installed program finds its images", r)


def main():
    with Tap() as tap, Scratch() as scratch:
        disk = make_disk(scratch)
        with Pluck(scratch) as pluck:
            check_programs(tap, pluck, disk)
            check_slow(tap, pluck, disk)
            check_writes(tap, pluck, disk)
        check_installed(tap, scratch, disk)


main()
