#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
archive.py BUILD N [FILES MIB]: file archives and whole images, against tar, casync, and what zstd and SHA-256 need by themselves.
Peers alternate in one run, so that all see the same machine; medians of N. CPU is that of the process, user and system.
"""

import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import pxar_store as P
from images import MIB, remove_tree
from program import Pluck, Scratch

SNAPSHOT = "2023-11-14T22:13:20Z"
CHUNK = 4 * MIB
SIZES = [64 << 10, 256 << 10, 1 << 20, 4 << 20]
MANY_DIRS, MANY_FILES = 1000, 1000
LOOKUPS = 10000


class Table:
    def __init__(self):
        self.lines = []

    def add(self, *words):
        line = "%-58s %9s %9s %9s  %s" % (tuple(words) + ("",) * (5 - len(words)))
        print(line.rstrip(), flush=True)
        self.lines.append(line.rstrip())


# A program inherits the memory mark of who starts it: something small must.
STARTER = """
import os, sys, time
begin = time.monotonic()
pid = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, u = os.wait4(pid, 0)
os.write(int(sys.argv[1]), b"%f %f %f" % (time.monotonic() - begin, u.ru_utime + u.ru_stime, u.ru_maxrss / 1024))
sys.exit(status != 0)
"""


def measure(argv, env=None):
    """Return: wall seconds, CPU seconds, MiB at most, output."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as figures:
        r = subprocess.run([sys.executable, "-I", "-S", "-c", STARTER, str(figures.fileno())] + argv, env=env, stdin=subprocess.DEVNULL,
                           stdout=out, pass_fds=[figures.fileno()], check=False)
        if r.returncode:
            raise RuntimeError("%s failed" % argv)
        out.seek(0)
        figures.seek(0)
        return (*(float(x) for x in figures.read().split()), out.read(65536))


def to_null(argv):
    return ["sh", "-c", 'exec "$@" > /dev/null', "sh"] + argv


def alternate(n, peers, before=None, after=None):
    """peers: {name: argv}, another one first each round. Return: {name: medians of (wall, cpu, MiB)}."""
    seen, names = {name: [] for name in peers}, list(peers)
    for i in range(n):
        for name in names[i % len(names):] + names[:i % len(names)]:
            if before:
                before()
            seen[name].append(measure(*peers[name])[:3])
            if after:
                after()
    return {name: [statistics.median(x) for x in zip(*rows)] for name, rows in seen.items()}


def show(table, rows, base):
    for name, (wall, cpu, mib) in rows.items():
        ratio = "wall %.2f, CPU %.2f of %s" % (wall / rows[base][0], cpu / rows[base][1], base) if name != base else ""
        table.add("  " + name, "%.2f s" % wall, "%.2f s" % cpu, "%.0f MiB" % mib, ratio)


def make_tree(top, files, size):
    """Half of each kilobyte is noise, half is words; sizes from nothing to eight times the mean."""
    rng = random.Random(1)
    words = [b"%x " % rng.getrandbits(rng.randrange(8, 40)) for _ in range(5000)]
    pool = bytearray()
    while len(pool) < 32 * MIB:
        pool += rng.randbytes(512) + b"".join(rng.choices(words, k=100))[:512]
    weights = [rng.random() ** 3 for _ in range(files)]
    scale = size / sum(weights)
    for i, weight in enumerate(weights):
        length = int(weight * scale)
        path = os.path.join(top, "d%02d" % (i % 40), "s%02d" % (i // 40 % 25))
        os.makedirs(path, exist_ok=True)
        with open(os.path.join(path, "file-%05d" % i), "wb") as f:
            while length > 0:
                at = rng.randrange(len(pool) // 2)
                f.write(pool[at:at + length])
                length -= len(pool) - at


class Named:
    """As much of a file as a catalog tells."""

    def __init__(self, name, info):
        self.name, self.mode, self.mtime, self.link, self.data = name, info.st_mode, (int(info.st_mtime), 0), None, range(info.st_size)


def named(top, name=b""):
    """A directory and all beneath it, each of them ended by None."""
    yield Named(name, os.stat(top))
    for e in sorted(os.scandir(os.fsencode(top)), key=lambda e: e.name):
        if e.is_dir(follow_symlinks=False):
            yield from named(e.path, e.name)
        else:
            yield Named(e.name, e.stat(follow_symlinks=False))
    yield None


class Store:
    """One archive root.pxar in chunks of one length, and its catalog if its tree is a directory."""

    def __init__(self, build, path, tree, chunk=CHUNK):
        self.path = path
        P.make_store(path)
        for i in range(65536):
            os.mkdir(os.path.join(path, ".chunks", "%04x" % i))
        snap = P.Snapshot(path, "host", "bench", 1700000000, SNAPSHOT)
        index = os.path.join(snap.dir, "root.pxar.didx")
        out = measure([os.path.join(build, "bench/archive_store"), path, index, str(chunk), tree])[3].split()
        snap.files.append({"crypt-mode": "none", "csum": out[1].decode(), "filename": "root.pxar.didx", "size": int(out[0])})
        if os.path.isdir(tree):
            snap.add_stream("catalog.pcat1.didx", P.catalog({"root.pxar.didx": named(tree)}), chunk)
        self.size = int(out[0])
        self.source = ["--repository", path, snap.finish()]


class FreshExt4:
    """An ext4 made for each run: on one where files were deleted within minutes, the kernel looks at each of them before it takes an inode."""

    def __init__(self, image, top):
        self.image, self.top = image, top
        os.mkdir(top)

    def begin(self):
        with open(self.image, "wb") as f:
            f.truncate(8 << 30)
        subprocess.run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", self.image], check=True)
        subprocess.run(["mount", "-o", "loop", self.image, self.top], check=True)
        os.sync()

    def end(self):
        os.sync()
        subprocess.run(["umount", self.top], check=True)
        os.unlink(self.image)


def extractors(build, pluck, scratch, tree, store):
    """Return: what makes peers that extract to a directory."""
    tar, pxar = scratch.join("tree.tar"), scratch.join("tree.pxar")
    measure(["tar", "-C", tree, "-cf", tar, "."])
    measure([os.path.join(build, "bench/archive_store"), "-", pxar, str(MIB), tree])
    objects, index = scratch.join("objects.castr"), scratch.join("tree.caidx")
    if shutil.which("casync"):
        measure(["casync", "make", "--store=" + objects, "--without=all", "--with=unix", index, tree])

    def peers(out):
        all_ = {"tar -x": (["sh", "-c", 'mkdir "$1" && exec tar -C "$1" -xf "$2"', "sh", out, tar],),
                "pluck pxar extract": ([pluck.program, "pxar", "extract", pxar, out], pluck.env),
                "pluck extract, from a datastore": ([pluck.program, "extract", *store.source, "root.pxar", out, "--quiet"], pluck.env)}
        if os.path.exists(index):
            all_["casync extract"] = (["casync", "extract", "--store=" + objects, "--without=all", "--with=unix", index, out],)
        return all_
    return peers


def extraction(table, build, pluck, scratch, n, tree):
    store = Store(build, scratch.join("store"), tree)
    peers, out = extractors(build, pluck, scratch, tree, store), scratch.join("out")
    table.add("the whole tree to a directory, in memory", "wall", "CPU", "memory")
    show(table, alternate(n, peers(out), None, lambda: remove_tree(out)), "tar -x")
    if os.geteuid() or not os.path.exists("/dev/loop-control"):
        table.add("the same to an ext4: left out, making one takes root and loop devices")
        return store
    with Scratch(os.environ.get("TMPDIR", "/var/tmp")) as disk:
        ext4 = FreshExt4(disk.join("ext4.img"), disk.join("mnt"))
        table.add("the same to an ext4 made for each run, in a file on the disk", "wall", "CPU", "memory")
        show(table, alternate(n, peers(os.path.join(ext4.top, "out")), ext4.begin, ext4.end), "tar -x")
    return store


def throughput(table, build, pluck, n, store, what, argv):
    """argv of a reader to /dev/null, against the limit with as many threads as there are processors for it."""
    index = os.path.join(store[0], store[1])
    for threads in 1, 2:
        bound = ["taskset", "-c", "0"] if threads == 1 else []
        limit = "zstd and SHA-256 alone, %d thread%s" % (threads, "s" * (threads > 1))
        peers = {limit: (bound + [os.path.join(build, "bench/chunk_limit"), store[0], str(threads), index],),
                 what: (to_null(bound + argv), pluck.env)}
        rows = alternate(n, peers)
        show(table, rows, limit)
        table.add("    speed: %.0f %% of the limit" % (100 * rows[limit][0] / rows[what][0]))


def images(table, build, pluck, scratch, n, mib):
    """An image to /dev/null."""
    disk, store = scratch.join("disk.img"), scratch.join("image-store")
    rng = random.Random(2)
    with open(disk, "wb") as f:
        for i in range(mib):
            f.write(b"".join(rng.randbytes(512) + b"%08x" % i * 64 for _ in range(1024)))
    for words in (("datastore", "create", store),
                  ("backup", "--repository", store, "--backup-id", "1", "--backup-time", "1700000000", "sda.img:" + disk)):
        measure([pluck.program, *words], pluck.env)
    os.unlink(disk)
    place = (store, "vm/1/%s/sda.img.fidx" % SNAPSHOT)
    if pluck.run("restore", "--help").code:
        table.add("an image to /dev/null: there is no restore")
        return
    table.add("an image of %d MiB to /dev/null" % mib, "wall", "CPU", "memory")
    throughput(table, build, pluck, n, place, "pluck restore",
               [pluck.program, "restore", "--repository", store, "vm/1/" + SNAPSHOT, "sda.img.fidx", "-"])
    remove_tree(store)


def by_chunk_size(table, build, pluck, scratch, n, tree):
    table.add("the tree as tar to /dev/null, by chunk size", "wall", "CPU", "memory")
    for size in SIZES:
        store = Store(build, scratch.join("sized"), tree, size)
        peers = {"chunks of %d KiB" % (size >> 10): (to_null([pluck.program, "extract", *store.source, "root.pxar", "-", "--quiet"]), pluck.env)}
        rows = alternate(n, peers)
        if size == SIZES[-1]:
            throughput(table, build, pluck, n, (store.path, "host/bench/%s/root.pxar.didx" % SNAPSHOT), "pluck extract, as tar",
                       [pluck.program, "extract", *store.source, "root.pxar", "-", "--quiet"])
        show(table, rows, list(rows)[0])
        listings(table, pluck, n, store, tree)
        remove_tree(store.path)


def listings(table, pluck, n, store, tree):
    """One directory, out of the catalog and out of the archive."""
    inner = "d20/s10"
    argv = [pluck.program, "list", *store.source, "root.pxar/" + inner]
    what = "list a directory of %d, " % len(os.listdir(os.path.join(tree, inner)))
    peers = {what + "by the catalog": (to_null(argv), pluck.env),
             what + "with every attribute": (to_null(argv + ["--output-format", "json"]), pluck.env),
             "pluck help (starting the program)": (to_null([pluck.program, "help"]), pluck.env)}
    for name, (wall, cpu, mib) in alternate(max(n, 20), peers).items():
        table.add("  " + name, "%.1f ms" % (1000 * wall), "%.1f ms" % (1000 * cpu), "%.0f MiB" % mib)


def many(table, build, pluck, scratch, n):
    table.add("an archive of %d entries" % (MANY_DIRS * (MANY_FILES + 1)), "wall", "CPU", "memory")
    for size in SIZES:
        store = Store(build, scratch.join("many"), "entries:%d:%d" % (MANY_DIRS, MANY_FILES), size)
        seen = []
        for _ in range(n):
            words = measure([os.path.join(build, "bench/archive_lookup"), store.path, "host/bench/" + SNAPSHOT, "root.pxar.didx",
                             str(MANY_DIRS), str(MANY_FILES), str(LOOKUPS)])
            seen.append([float(x) for x in words[3].split()] + [words[2]])
        wall, cpu, loads, peak, mib = (statistics.median(x) for x in zip(*seen))
        table.add("  %d look-ups, chunks of %d KiB" % (LOOKUPS, size >> 10), "%.2f s" % wall, "%.2f s" % cpu, "%.0f MiB" % mib,
                  "%d chunks of %d read, %.0f MiB of chunks held" % (loads, -(-store.size // size), peak / MIB))
        peers = {"list a directory of %d" % MANY_FILES: (to_null([pluck.program, "list", *store.source, "root.pxar/d000500"]), pluck.env),
                 "stat a file": (to_null([pluck.program, "stat", *store.source, "root.pxar/d000500/f000500"]), pluck.env),
                 "pluck help (starting the program)": (to_null([pluck.program, "help"]), pluck.env),
                 "all as tar to /dev/null": (to_null([pluck.program, "extract", *store.source, "root.pxar", "-", "--quiet"]), pluck.env)}
        for name, (wall, cpu, mib) in alternate(n, peers).items():
            table.add("  " + name, "%.1f ms" % (1000 * wall), "%.1f ms" % (1000 * cpu), "%.0f MiB" % mib)
        remove_tree(store.path)


def main():
    build, n = os.path.abspath(sys.argv[1]), int(sys.argv[2])
    files, mib = (int(x) for x in sys.argv[3:5]) if len(sys.argv) > 3 else (20000, 1843)
    os.environ["PLUCK"] = os.path.join(build, "pluck")
    table = Table()
    with open("/proc/loadavg", encoding="utf-8") as f:
        table.add("load %s" % f.read().split()[0])
    with Scratch("/dev/shm") as scratch, Pluck(scratch) as pluck:
        tree = scratch.new_dir("tree")
        make_tree(tree, files, mib * MIB)
        store = extraction(table, build, pluck, scratch, n, tree)
        for name in "tree.tar", "tree.pxar":
            os.unlink(scratch.join(name))
        remove_tree(store.path)
        by_chunk_size(table, build, pluck, scratch, n, tree)
        remove_tree(tree)
        images(table, build, pluck, scratch, n, min(1024, mib))
        many(table, build, pluck, scratch, n)
    with open(os.path.join(build, "bench-archive.txt"), "w", encoding="utf-8") as f:
        f.write("\n".join(table.lines) + "\n")


if __name__ == "__main__":
    main()
