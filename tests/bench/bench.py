#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
bench.py BUILD N: times of pluck and of guestfish (libguestfs, the same way of working: a VM mounts the disk) for the same work,
alternating in one run, so that both see the same machine. Wall time is the caller's; CPU is that of QEMU.
"""

import glob
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import images
from images import MIB
from program import Pluck, Scratch, roles

TICK = os.sysconf("SC_CLK_TCK")
TREE_FILES, TREE_BYTES = 1500, 300 * 10**6
BIG = 256 * MIB


def make_disk(scratch):
    """1 GiB, GPT, one ext4 with 5000 files; 1500 of them are /tree, 300 MB; /big has 256 MiB."""
    top = scratch.new_dir("content")
    for i in range(TREE_FILES):
        images.put(top, "tree/d%02d/f%04d" % (i % 30, i), images.noise(TREE_BYTES // TREE_FILES, i))
    for i in range(5000 - TREE_FILES - 1):
        images.put(top, "small/d%02d/f%04d" % (i % 50, i), b"%d\n" % i)
    with open(os.path.join(top, "big"), "wb") as f:
        for i in range(BIG // MIB):
            f.write(images.noise(MIB, 10000 + i))
    part, disk = scratch.join("part"), scratch.join("disk.img")
    images.make_ext4(part, 1020 * MIB, top, "p1")
    images.make_disk(disk, [(part, 1020 * MIB, "linux", "root")])
    os.unlink(part)
    images.remove_tree(top)
    return disk


def cpu_of(pid):
    with open("/proc/%d/stat" % pid, encoding="utf-8") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def memory_of(pid):
    """Resident and proportional set in MiB."""
    out = {}
    for path, words in (("status", ("VmRSS",)), ("smaps_rollup", ("Pss",))):
        with open("/proc/%d/%s" % (pid, path), encoding="utf-8") as f:
            for line in f:
                if line.split(":")[0] in words:
                    out[line.split(":")[0]] = int(line.split()[1]) / 1024
    return out


class PluckBench:
    def __init__(self, scratch, disk):
        self.pluck = Pluck(scratch)
        self.disk = ["--disk", "sda=" + disk]
        self.scratch = scratch

    def qemu(self):
        pids = self.pluck.session_pids()
        return roles(pids[0]).get("qemu") if pids else None

    def timed(self, *args, stdout=subprocess.DEVNULL):
        """(wall, QEMU's CPU in this command)"""
        pid = self.qemu()
        before = cpu_of(pid) if pid else 0.0
        r = self.pluck.run(*args, stdout=stdout, timeout=600)
        if r.code != 0:
            raise RuntimeError(str(r))
        pid = self.qemu()
        return r.seconds, (cpu_of(pid) if pid else before) - before

    def cold(self, *args):
        self.pluck.stop()
        return self.timed(*args)

    def first_list(self):
        return self.cold("list", *self.disk, "sda/part/1")

    def again(self):
        return self.timed("list", *self.disk, "sda/part/1")

    def boot(self, blank):
        return self.cold("disks", "--disk", "blank=" + blank)

    def tree(self):
        target = self.scratch.new_dir("out")
        self.pluck.stop()
        return self.timed("extract", *self.disk, "sda/part/1/tree", target)

    def big(self):
        return self.cold("extract", *self.disk, "sda/part/1/big", "-")


class Guestfish:
    def __init__(self, scratch, disk):
        self.scratch, self.disk = scratch, disk
        self.env = dict(os.environ, LIBGUESTFS_BACKEND="direct", LIBGUESTFS_BACKEND_SETTINGS="force_tcg",
                        LIBGUESTFS_CACHEDIR=scratch.new_dir("appliance"))
        kernels = sorted(glob.glob("/boot/vmlinuz-*-cloud-amd64"))
        if kernels:
            version = os.path.basename(kernels[-1])[len("vmlinuz-"):]
            self.env.update(SUPERMIN_KERNEL=kernels[-1], SUPERMIN_MODULES="/lib/modules/" + version)
        self.name = "guestfish" + (" with " + os.path.basename(kernels[-1]) if kernels else "")

    def timed(self, *args):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        begin = time.monotonic()
        done = subprocess.run(["guestfish", "--ro", "--format=raw", "-a", self.disk, *args], env=self.env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=900, check=False)
        seconds = time.monotonic() - begin
        if done.returncode:
            raise RuntimeError("guestfish: " + done.stderr.decode("utf-8", "replace")[-2000:])
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def first_list(self):
        return self.timed("-m", "/dev/sda1", "ls", "/")

    def tree(self):
        return self.timed("-m", "/dev/sda1", "copy-out", "/tree", self.scratch.new_dir("out"))

    def big(self):
        return self.timed("-m", "/dev/sda1", "download", "/big", "/dev/null")


def median(values):
    return statistics.median(values) if values else None


def number(value, unit):
    if value is None:
        return "-"
    return "%.1f ms" % (value * 1000) if unit == "ms" else "%.2f s" % value


class Table:
    def __init__(self):
        self.lines = []

    def say(self, text=""):
        print(text, flush=True)
        self.lines.append(text)

    def row(self, what, ours, theirs=(), unit="s"):
        wall, cpu = median([o[0] for o in ours]), median([o[1] for o in ours])
        pwall, pcpu = median([t[0] for t in theirs]), median([t[1] for t in theirs])
        ratio = "%.1f x" % (pwall / wall) if pwall and wall else "-"
        self.say("%-44s %10s %10s %12s %10s %8s" % (what, number(wall, unit), number(cpu, unit), number(pwall, "s"), number(pcpu, "s"), ratio))
        if len(ours) > 1:
            self.say("%-44s %10s" % ("", "%s..%s" % (number(min(o[0] for o in ours), unit), number(max(o[0] for o in ours), unit))))


def measure(table, ours, peer, count, scratch):
    blank = scratch.join("blank.img")
    images.run("truncate", "-s", "1M", blank)
    if peer:
        peer.first_list()		# makes the appliance
    ours.first_list()
    for what, name, rounds in (("first listing, cold", "first_list", count), ("directory, 300 MB in 1500 files, cold", "tree", min(count, 3)),
                               ("one file of 256 MiB to /dev/null, cold", "big", min(count, 3))):
        mine, theirs = [], []
        for _ in range(rounds):
            mine.append(getattr(ours, name)())
            if peer:
                theirs.append(getattr(peer, name)())
        table.row(what, mine, theirs)
        if name == "first_list":
            table.row("boot to the first answer, blank disk", [ours.boot(blank) for _ in range(count)])
            ours.first_list()
            table.row("listing again, session running", [ours.again() for _ in range(4 * count)], unit="ms")


def memory(table, ours):
    ours.first_list()
    table.say()
    for when in ("after the first listing", "after 300 MB in 1500 files"):
        for role, pid in roles(ours.pluck.session_pids()[0]).items():
            m = memory_of(pid)
            table.say("memory %-28s %-8s resident %6.1f MiB, proportional %6.1f MiB" % (when, role, m["VmRSS"], m["Pss"]))
        ours.timed("extract", *ours.disk, "sda/part/1/tree", ours.scratch.new_dir("out"))


def load():
    return "load %.1f" % os.getloadavg()[0]


def main():
    build, count = os.path.abspath(sys.argv[1]), int(sys.argv[2])
    os.environ["PLUCK"] = os.path.join(build, "pluck")
    table = Table()
    with Scratch() as scratch:
        disk = make_disk(scratch)
        ours = PluckBench(scratch, disk)
        peer = Guestfish(scratch, disk) if shutil.which("guestfish") else None
        try:
            table.say("pluck and its peers, medians of %d, %d CPUs, %s" % (count, os.cpu_count(), load()))
            table.say("peer: %s" % (peer.name if peer else "left out: guestfish is not installed"))
            table.say()
            table.say("%-44s %10s %10s %12s %10s %8s" % ("", "pluck", "QEMU CPU", "guestfish", "CPU", "ratio"))
            measure(table, ours, peer, count, scratch)
            memory(table, ours)
            table.say("at the end: " + load())
        finally:
            ours.pluck.close()
    with open(os.path.join(build, "bench.txt"), "w", encoding="utf-8") as f:
        f.write("\n".join(table.lines) + "\n")


main()
