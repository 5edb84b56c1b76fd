#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# KVM that does not work: whatever QEMU does with it, the VM comes up without, once, and says so. A program of our own plays the QEMU.
import json
import os
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import images
from images import MIB
from program import Pluck, Scratch, descendants, wait_gone
from tap import TOP, Tap


def build(scratch, name):
    """A static program, so that the jail needs no libraries for it but those of the real QEMU."""
    real = os.path.realpath(shutil.which("qemu-system-x86_64"))
    libs = [w for w in subprocess.run(["ldd", real], stdout=subprocess.PIPE, check=True).stdout.decode().split() if w.startswith("/")]
    path = scratch.join(name)
    subprocess.run(["cc", "-std=gnu11", "-O1", '-DREAL_QEMU="%s"' % real, '-DREAL_FILES="%s"' % "\\n".join(libs), "-o", path,
                    os.path.join(TOP, "tests/lib/fake_qemu.c")], check=True)
    os.chmod(path, 0o755)
    return path


def check(tap, scratch, disk, name, accel):
    cache = scratch.new_dir("cache")
    with Pluck(scratch, "run-" + name, env={"PLUCK_QEMU": build(scratch, name), "XDG_CACHE_HOME": cache}) as pluck:
        pluck.env.pop("PLUCK_ACCEL", None)
        r = pluck.run("list", "--disk", "a=" + disk, *accel, "--output-format", "json", "a/raw", timeout=120)
        tap.ok(r.code == 0 and b"lost+found" in r.out, "%s: the VM runs nevertheless" % name, r)
        state = json.loads(pluck.run("status", "--output-format", "json").out or b"{}")
        tap.equal([s.get("accel") for s in state.values()], ["tcg"], "%s: status says that there is no KVM" % name, state)
        tap.ok(b"without KVM" in r.err, "%s: the caller who asked for it is told" % name, r)
        pids = pluck.session_pids()
        pids += [p for s in pids for p in descendants(s)]
        qemus = [p for p in pids if os.path.basename(os.path.realpath("/proc/%d/exe" % p)).startswith(("qemu", name))]
        tap.equal(len(qemus), 1, "%s: one QEMU is left" % name, qemus)
        pluck.stop()
        left = wait_gone(pids)
        tap.ok(pids and not left, "%s: nothing is left in the end" % name, left)


with Tap() as tap, Scratch() as scratch:
    top = scratch.new_dir("tree")
    images.put(top, "name", b"one")
    image = scratch.join("accel.img")
    images.make_ext4(image, 16 * MIB, top, "whole")
    os.chmod(image, 0o644)
    for case in ("kvm-abort", "kvm-silent", "kvm-exit"):
        check(tap, scratch, image, case, ["--accel", "kvm"])
    # the real QEMU, where there is no KVM
    if not os.path.exists("/dev/kvm"):
        with Pluck(scratch, "run-real") as real_pluck:
            r = real_pluck.run("list", "--disk", "a=" + image, "--accel", "kvm", "a/raw", timeout=120)
            tap.ok(r.code == 0 and b"without KVM" in r.err, "the real QEMU without /dev/kvm", r)
            r = real_pluck.run("list", "--disk", "a=" + image, "--accel", "tcg", "a/raw")
            tap.ok(r.code == 0 and not r.err, "TCG by name", r)
    else:
        tap.skip("the real QEMU without /dev/kvm", "there is one")
