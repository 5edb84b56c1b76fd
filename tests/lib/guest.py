# SPDX-License-Identifier: GPL-2.0-or-later
"""
File systems that no program on the host fills: a VM with pluck's kernel copies a tree into them (fill_guest.c).
"""

import os
import re
import subprocess

from images import run
from tap import TOP

TOOLS = ("mksquashfs", "qemu-system-x86_64", "cc")


def tsc_khz():
    """The kernel cannot find out in such a machine; about right will do."""
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        found = re.search(r"^cpu MHz\s*: (\d+)", f.read(), re.M)
    return int(found.group(1)) * 1000 if found else 2000000


def fill(scratch, top, targets, timeout=300):
    """targets: (image with an empty file system, its type, options of its mount)."""
    init, initramfs, source = scratch.join("fill_guest"), scratch.join("fill.cpio"), scratch.join("fill.squashfs")
    run("cc", "-D_GNU_SOURCE", "-O1", "-static", "-o", init, os.path.join(TOP, "tests/lib/fill_guest.c"))
    run(os.path.join(TOP, "initramfs/build.sh"), initramfs, init)
    run("mksquashfs", top, source, "-noappend", "-quiet", "-comp", "zstd")
    disks = ["-drive", "if=none,id=from,format=raw,readonly=on,file=" + source, "-device", "virtio-blk-device,drive=from,serial=from"]
    for i, (image, _, _) in enumerate(targets):
        disks += ["-drive", "if=none,id=to%d,format=raw,file=%s" % (i, image), "-device", "virtio-blk-device,drive=to%d,serial=to%d" % (i, i)]
    how = ";".join("%s:%s" % (kind, options) for _, kind, options in targets)
    r = subprocess.run(
        ["qemu-system-x86_64", "-M", "microvm", "-accel", "tcg", "-cpu", "max,-erms,-fsrm", "-smp", "1", "-m", "256", "-nodefaults",
         "-no-user-config", "-display", "none", "-no-reboot", "-global", "virtio-mmio.force-legacy=false", "-serial", "stdio",
         "-kernel", os.path.join(os.environ.get("BUILD", os.path.join(TOP, "build")), "vmlinux"), "-initrd", initramfs, *disks,
         "-append", "console=ttyS0 loglevel=4 reboot=t panic=-1 8250.nr_uarts=1 pci=off tsc=reliable tsc_early_khz=%d fill=%s" % (tsc_khz(), how)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout, check=False)
    if r.returncode != 0 or b"\nfilled" not in b"\n" + r.stdout.replace(b"\r", b""):
        raise RuntimeError("the VM that fills file systems: %d\n%s" % (r.returncode, r.stdout.decode(errors="replace")))
