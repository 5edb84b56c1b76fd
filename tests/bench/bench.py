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
import listing
from images import MIB
from program import Pluck, Scratch, roles

TICK = os.sysconf("SC_CLK_TCK")
TREE_FILES, TREE_BYTES = 1500, 300 * 10**6
BIG = 1024 * MIB
MANY = 100000
PARTS = [1500 * MIB, 256 * MIB]
INIT = "#include <sys/reboot.h>\nint main(void) { return reboot(RB_AUTOBOOT); }\n"


def make_disk(scratch):
    """GPT with ext4 (5000 files, of which 1500 are /tree, 300 MB; /big has 1 GiB) and EROFS (/many has 100 000 entries)."""
    top = scratch.new_dir("content")
    for i in range(TREE_FILES):
        images.put(top, "tree/d%02d/f%04d" % (i % 30, i), images.noise(TREE_BYTES // TREE_FILES, i))
    for i in range(5000 - TREE_FILES - 1):
        images.put(top, "small/d%02d/f%04d" % (i % 50, i), b"%d\n" % i)
    with open(os.path.join(top, "big"), "wb") as f:
        for i in range(BIG // MIB):
            f.write(images.noise(MIB, 10000 + i))
    part, entries, disk = scratch.join("part"), scratch.join("part.entries"), scratch.join("disk.img")
    images.make_ext4(part, PARTS[0], top, "p1")
    listing.many_erofs(entries, MANY)	# mke2fs takes minutes for such a directory
    os.truncate(entries, PARTS[1])
    images.make_disk(disk, [(part, PARTS[0], "linux", "root"), (entries, PARTS[1], "linux", "entries")])
    for path in (part, entries):
        os.unlink(path)
    images.remove_tree(top)
    return disk


def make_store(scratch, pluck, disk):
    store = scratch.join("store")
    for words in (("datastore", "create", store),
                  ("backup", "--repository", store, "--backup-id", "1", "--backup-time", "1700000000", "sda.img:" + disk)):
        r = pluck.run(*words, timeout=600)
        if r.code:
            raise RuntimeError(str(r))
    return ["--repository", store, "vm/1/2023-11-14T22:13:20Z"]


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

    def qemu_cpu(self):
        return cpu_of(self.qemu())

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

    def mounted(self, disk, volume, *args):
        """The volume is mounted, nothing else of it has been read."""
        self.pluck.stop()
        self.timed("list", *disk, volume)
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

    def tree_mounted(self, disk, volume, to_dir):
        target = self.scratch.new_dir("out") if to_dir else "-"
        return self.mounted(disk, volume, "extract", *disk, volume + "/tree", target)

    def big_mounted(self, disk, volume):
        return self.mounted(disk, volume, "extract", *disk, volume + "/big", "-")

    def guest_read(self, command):
        return self.mounted(self.disk, "sda/part/1", "run", *self.disk, "--", "sh", "-c", command)

    def many(self):
        return self.mounted(self.disk, "sda/part/2", "list", *self.disk, "sda/part/2/many")

    def pid1(self, init):
        """To the first instruction of PID 1 and the end of QEMU, with the words that the session gives QEMU but no disks and vsock."""
        self.timed("list", *self.disk, "sda/part/1")
        with open("/proc/%d/cmdline" % self.qemu(), encoding="utf-8") as f:
            words = f.read().split("\0")
        kept = [words[words.index(w) + 1] for w in ("-accel", "-cpu", "-smp", "-m", "-append")]
        build = os.path.dirname(self.pluck.program)
        argv = ["qemu-system-x86_64", "-M", "microvm,memory-backend=m0", "-accel", kept[0], "-cpu", kept[1], "-smp", kept[2],
                "-m", kept[3], "-object", "memory-backend-memfd,id=m0,size=%sM,share=on" % kept[3], "-nodefaults",
                "-no-user-config", "-display", "none", "-no-reboot", "-global", "virtio-mmio.force-legacy=false",
                "-serial", "null", "-kernel", os.path.join(build, "vmlinux"), "-initrd", init, "-append", kept[4]]
        self.pluck.stop()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        begin = time.monotonic()
        subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=60, check=True)
        seconds = time.monotonic() - begin
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def make_init(scratch):
    """An initramfs whose only program ends the VM."""
    top = scratch.new_dir("init")
    with open(os.path.join(top, "init.c"), "w", encoding="utf-8") as f:
        f.write(INIT)
    images.run("cc", "-O2", "-static", "-o", os.path.join(top, "init"), os.path.join(top, "init.c"))
    with open(scratch.join("init.cpio"), "wb") as f:
        subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], input=b"init\n", stdout=f, cwd=top, check=True)
    return scratch.join("init.cpio")


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

    def timed(self, *args, program="guestfish", options=("--ro",)):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        begin = time.monotonic()
        done = subprocess.run([program, *options, "--format=raw", "-a", self.disk, *args], env=self.env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=900, check=False)
        seconds = time.monotonic() - begin
        if done.returncode:
            raise RuntimeError(program + ": " + done.stderr.decode("utf-8", "replace")[-2000:])
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def first_list(self):
        return self.timed("-m", "/dev/sda1", "ls", "/")

    def tree(self):
        return self.timed("-m", "/dev/sda1", "copy-out", "/tree", self.scratch.new_dir("out"))

    def big(self):
        return self.timed("-m", "/dev/sda1", "download", "/big", "/dev/null")

    def volumes(self):
        return self.timed("--partitions", "--filesystems", "--long", program="virt-filesystems", options=())


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
    for what, name, rounds in (("first listing, cold", "first_list", count), ("directory, 300 MB in 1500 files, cold", "tree", count),
                               ("one file of 1 GiB to /dev/null, cold", "big", count)):
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


def alone(table, ours, count, scratch):
    """Without a peer; the volume is mounted before the clock starts."""
    init = make_init(scratch)
    raw, store = (ours.disk, "sda/part/1"), (make_store(scratch, ours.pluck, ours.disk[1].split("=", 1)[1]), "sda.img/part/1")
    rows = (
        ("boot to PID 1 and out", lambda: ours.pid1(init)),
        ("guest: cat, 1 GiB", lambda: ours.guest_read("cat /mnt/vda1/big >/dev/null")),
        ("guest: dd bs=256k, 1 GiB", lambda: ours.guest_read("dd if=/mnt/vda1/big of=/dev/null bs=256k")),
        ("extract 1 GiB to /dev/null", lambda: ours.big_mounted(*raw)),
        ("extract 1 GiB to /dev/null, from a datastore", lambda: ours.big_mounted(*store)),
        ("extract 1500 files to a directory", lambda: ours.tree_mounted(*raw, True)),
        ("extract 1500 files as tar to /dev/null", lambda: ours.tree_mounted(*raw, False)),
        ("extract 1500 files to a dir., from a datastore", lambda: ours.tree_mounted(*store, True)),
        ("list a directory of 100 000 entries", ours.many),
    )
    results = {what: [] for what, _ in rows}
    for _ in range(count):
        for what, run in rows:
            results[what].append(run())
    table.say()
    for what, _ in rows:
        table.row(what, results[what])
    wall, cpu = ([median([r[i] for r in results[rows[3][0]]]) for i in (0, 1)])
    for what, _ in rows[1:3]:
        table.say("extract of 1 GiB runs at %3.0f %% of the speed of '%s' by wall time, %3.0f %% by QEMU's CPU" % (
            100 * median([r[0] for r in results[what]]) / wall, what, 100 * median([r[1] for r in results[what]]) / cpu))


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
            listing.measure(table, ours, peer, count, scratch)
            alone(table, ours, count, scratch)
            memory(table, ours)
            table.say("at the end: " + load())
        finally:
            ours.pluck.close()
    with open(os.path.join(build, "bench.txt"), "w", encoding="utf-8") as f:
        f.write("\n".join(table.lines) + "\n")


main()
