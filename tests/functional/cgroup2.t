#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Control groups of version 2, made by our own code in a VM with a kernel of the distribution: from its root group, a group of our own, and one
# that others are in.
import glob
import os
import re
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from program import SANITIZED, Scratch
from tap import TOP, Tap

NEEDED = ("CONFIG_MEMCG=y", "CONFIG_CGROUP_PIDS=y", "CONFIG_SERIAL_8250_CONSOLE=y", "CONFIG_BLK_DEV_INITRD=y", "CONFIG_DEVTMPFS=y")
TIMEOUT = 300
INIT = """#!/bin/busybox sh
/bin/busybox mount -t proc none /proc
/bin/busybox mount -t sysfs none /sys
/bin/busybox mount -t devtmpfs none /dev
/bin/busybox mount -t cgroup2 none /sys/fs/cgroup
cd /sys/fs/cgroup
/cgroup_live root /
/bin/busybox mkdir alone crowded
/bin/busybox sh -c 'echo $$ >alone/cgroup.procs; exec /cgroup_live alone /alone/pluck-commands'
/bin/busybox sleep 1000 &
echo $! >crowded/cgroup.procs
/bin/busybox sh -c 'echo $$ >crowded/cgroup.procs; exec /cgroup_live crowded /crowded'
echo "# the end"
/bin/busybox reboot -f
"""


def find_kernel():
    for image in sorted(glob.glob("/boot/vmlinuz-*")):
        try:
            with open(image.replace("vmlinuz", "config"), encoding="ascii") as f:
                if set(NEEDED) <= set(f.read().splitlines()) and os.access(image, os.R_OK):
                    return image
        except OSError:
            continue
    return None


def make_initramfs(scratch, build):
    top = scratch.new_dir("root")
    for name in ("bin", "proc", "sys", "dev"):
        os.mkdir(os.path.join(top, name))
    program = os.path.join(top, "cgroup_live")
    subprocess.run(["cc", "-std=gnu11", "-D_GNU_SOURCE", "-I" + TOP, "-o", program, os.path.join(TOP, "tests/lib/cgroup_live.c"),
                    os.path.join(build, "libhost.a"), os.path.join(build, "libcommon.a"), "-lpthread"], check=True)
    libs = re.findall(r"(/\S+) \(0x", subprocess.run(["ldd", program], stdout=subprocess.PIPE, check=True).stdout.decode())
    for lib in libs:
        os.makedirs(top + os.path.dirname(lib), exist_ok=True)
        shutil.copy(lib, top + lib)
    shutil.copy("/bin/busybox", os.path.join(top, "bin/busybox"))
    with open(os.path.join(top, "init"), "w", encoding="ascii") as f:
        f.write(INIT)
    os.chmod(os.path.join(top, "init"), 0o755)
    names = "\0".join(os.path.relpath(os.path.join(d, n), top) for d, ds, fs in os.walk(top) for n in ds + fs).encode()
    path = scratch.join("initramfs")
    with open(path, "wb") as out:
        subprocess.run(["cpio", "-0", "-o", "-H", "newc", "--quiet"], input=names, stdout=out, cwd=top, check=True)
    return path


def run_vm(kernel, initramfs):
    args = ["qemu-system-x86_64", "-accel", "tcg", "-m", "512", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
            "-kernel", kernel, "-initrd", initramfs, "-append", "console=ttyS0 quiet panic=-1"]
    try:
        done = subprocess.run(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT, check=False)
        return done.stdout.decode("utf-8", "replace")
    except subprocess.TimeoutExpired as e:
        return (e.stdout or b"").decode("utf-8", "replace") + "\n# time-out\n"


with Tap() as tap, Scratch() as scratch:
    kernel = find_kernel()
    if SANITIZED or not kernel or not shutil.which("cpio"):
        tap.skip("control groups of version 2", "needs a kernel of the distribution in /boot, cpio, and no sanitizers")
    else:
        text = run_vm(kernel, make_initramfs(scratch, os.environ.get("BUILD") or os.path.join(TOP, "build")))
        found = re.findall(r"^(not )?ok - (\S+: [^\r\n]*)", text, re.M)
        for bad, name in found:
            tap.ok(not bad, name, text[-6000:])
        tap.ok("# the end" in text and len(found) == 2 * 16 + 2, "all of that was tried", len(found), text[-6000:])
