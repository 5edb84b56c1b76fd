# SPDX-License-Identifier: GPL-2.0-or-later
"""Failing calls and failing targets, for functional/fault.t (every 7th) and functional/long/fault.t (every one)."""

import hashlib
import os
import resource
import stat
import subprocess
import time

import images
from images import MIB
from program import Pluck, alive, descendants, wait_gone
from tap import TOP

CALLS = ("malloc", "calloc", "realloc", "read", "pread", "write", "pwrite", "send", "recv", "fsync", "ftruncate", "mkdirat",
         "symlinkat", "fchmod", "rename", "linkat", "openat", "open", "fork", "mmap")


def build(scratch):
    path = scratch.join("fault.so")
    subprocess.run(["cc", "-std=gnu11", "-D_GNU_SOURCE", "-shared", "-fPIC", "-O1", "-o", path, os.path.join(TOP, "tests/lib/fault.c"), "-ldl"],
                   check=True)
    return path


def make_disk(scratch):
    top = scratch.new_dir("tree")
    for n in range(5):
        images.put(top, "dir/file%d" % n, images.noise(3000 * n, n))
    images.put(top, "dir/deeper/big", images.noise(300000, 9))
    images.put(top, "dir/sparse", b"x" * 4096 + b"\0" * 65536 + b"y" * 4096)
    os.symlink("file1", os.path.join(top, "dir/link"))
    os.link(os.path.join(top, "dir/file2"), os.path.join(top, "dir/other"))
    images.settle_times(top)
    path = scratch.join("fault.img")
    images.make_ext4(path, 16 * MIB, top, "whole")
    images.remove_tree(top)
    return path


def tree(top):
    """What is there, with contents: {name: (kind, contents)}."""
    out = {}
    for where, dirs, files in os.walk(top):
        for n in dirs + files:
            p = os.path.join(where, n)
            st = os.lstat(p)
            if stat.S_ISLNK(st.st_mode):
                what = os.readlink(p)
            elif stat.S_ISREG(st.st_mode):
                with open(p, "rb") as f:
                    what = hashlib.sha256(f.read()).hexdigest()
            else:
                what = ""
            out[os.path.relpath(p, top)] = (stat.S_IFMT(st.st_mode), what)
    return out


class Faults:
    def __init__(self, tap, scratch, step, seconds):
        self.tap, self.scratch, self.step = tap, scratch, step
        self.library = build(scratch)
        self.disk = ["--disk", "sda=" + make_disk(scratch)]
        self.end = time.monotonic() + seconds
        self.runs = 0
        self.walks = 3 * len(CALLS)

    def env(self, pluck, who, call, n, mark):
        return dict(pluck.env, LD_PRELOAD=self.library, FAULT_WHO=who, FAULT_CALL=call, FAULT_N=str(n), FAULT_MARK=mark)

    def walk(self, pluck, who, call, once, first):
        """once(env) -> complaints. Goes on until the process makes fewer such calls."""
        mark = self.scratch.join("mark")
        n = first
        self.walks -= 1		# each gets its share of the time
        end = time.monotonic() + (self.end - time.monotonic()) / (self.walks + 1)
        while time.monotonic() < end:
            with open(mark, "wb"):
                pass
            why = once(self.env(pluck, who, call, n, mark))
            self.runs += 1
            if why:
                return n, why
            if not os.path.getsize(mark):
                return n, []
            n += self.step
        return n, []

    def verdict(self, r, same):
        why = []
        if r.code == 0 and not same:
            why.append("success with other contents")
        if not isinstance(r.code, int) or r.code < 0 or r.code > 128:
            why.append("ended by a signal or not at all")
        return why + [r] if why else []

    def list_once(self, pluck, want):
        def once(env):
            r = pluck.run("list", *self.disk, "--recursive", "--output-format", "jsonl", "sda/raw", env=env, timeout=60)
            return self.verdict(r, sorted(r.out.splitlines()) == want)
        return once

    def dir_once(self, pluck, want):
        def once(env):
            target = self.scratch.new_dir("target")
            r = pluck.run("extract", *self.disk, "sda/raw/dir", target, env=env, timeout=60)
            seen = tree(target)
            why = self.verdict(r, seen == want)
            temporary = [n for n in seen if ".pluck-" in n]
            if temporary:
                why += ["left behind: %r" % temporary, r]
            wrong = [n for n, v in seen.items() if want.get(n) != v]
            if wrong:
                why += ["not whole: %r" % wrong, r]
            return why
        return once

    def tar_once(self, pluck, want):
        def once(env):
            r = pluck.run("extract", *self.disk, "--format", "tar", "sda/raw/dir", "-", env=env, timeout=60)
            return self.verdict(r, r.out == want)
        return once

    def calls(self):
        tap = self.tap
        with Pluck(self.scratch) as pluck:
            good = pluck.run("list", *self.disk, "--recursive", "--output-format", "jsonl", "sda/raw", timeout=120)
            target = self.scratch.new_dir("target")
            r = pluck.run("extract", *self.disk, "sda/raw/dir", target)
            tar = pluck.run("extract", *self.disk, "--format", "tar", "sda/raw/dir", "-")
            if not tap.ok((good.code, r.code, tar.code) == (0, 0, 0), "everything works without faults", good, r, tar):
                return
            works = (("list", "list", self.list_once(pluck, sorted(good.out.splitlines()))),
                     ("extract to a directory", "extract", self.dir_once(pluck, tree(target))),
                     ("extract as tar", "extract", self.tar_once(pluck, tar.out)))
            for i, (name, who, once) in enumerate(works):
                for k, call in enumerate(CALLS):
                    n, why = self.walk(pluck, who, call, once, 1 + (i + k) % self.step)
                    tap.ok(not why, "%s: %s fails, up to number %d" % (name, call, n), *why)
            self.tap.diag("%d runs" % self.runs)

    def starting(self):
        """Faults in the session that is started: the caller is told, nothing is left behind."""
        with Pluck(self.scratch, "starting") as pluck:
            for who in ("list", "__session"):
                for call in ("fork", "malloc", "open", "openat", "mmap", "write"):
                    bad = []
                    for n in (1, 2, 5, 9):
                        env = self.env(pluck, who, call, n, self.scratch.join("mark"))
                        r = pluck.run("list", *self.disk, "sda/raw", env=env, timeout=120)
                        if not isinstance(r.code, int) or r.code < 0 or (r.code and not r.err):
                            bad += ["%s %d" % (call, n), r]
                        pids = pluck.session_pids()
                        pids += [p for s in pids for p in descendants(s)]
                        if pids:
                            pluck.stop()
                        left = wait_gone(pids)
                        if left:
                            bad += ["%s %d: processes left: %s" % (call, n, left)]
                    self.tap.ok(not bad, "start: %s fails in %s" % (call, who), *bad)

    def rounds(self, count):
        """Start and stop over and over: nothing piles up."""
        tap = self.tap
        with Pluck(self.scratch, "rounds") as pluck:
            bad, everyone, files = [], [], set()
            for _ in range(count):
                r = pluck.run("list", *self.disk, "sda/raw", timeout=120)
                pids = pluck.session_pids()
                pids += [p for s in pids for p in descendants(s)]
                s = pluck.stop()
                if r.code != 0 or s.code != 0 or len(pids) < 3:
                    bad += [r, s, pids]
                everyone += pids
                files.add(tuple(pluck.state_files()))
            tap.ok(not bad, "%d rounds of start and stop" % count, *bad[:3])
            left = wait_gone(everyone)
            tap.ok(not left, "%d rounds: no process is left" % count, left)
            tap.ok(len(files) == 1 and not [n for n in list(files)[0] if n.endswith(".sock")], "%d rounds: no files pile up" % count, files)


# -- targets and surroundings that fail

def small_fs(scratch, name, size):
    """A tmpfs of this size, or None."""
    path = scratch.new_dir(name)
    r = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%d" % size, "tmpfs", path], check=False, stderr=subprocess.DEVNULL)
    return path if r.returncode == 0 else None


def quota_fs(scratch, name, limit):
    """A Btrfs that holds so many bytes for its quota, or None."""
    path, image = scratch.new_dir(name), scratch.join(name + ".img")
    with open(image, "wb") as f:
        f.truncate(200 << 20)
    for argv in (["mkfs.btrfs", "-q", image], ["mount", "-o", "loop", image, path], ["btrfs", "quota", "enable", path],
                 ["btrfs", "qgroup", "limit", str(limit), path]):
        if subprocess.run(argv, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
            if os.path.ismount(path):
                subprocess.run(["umount", path], check=True)
            return None
    return path


def check_quota(tap, pluck, faults):
    path = quota_fs(faults.scratch, "quota", 131072)
    if path is None:
        tap.skip("a target with a quota", "this host makes no Btrfs with one")
        return
    out = os.path.join(path, "out")
    r = pluck.run("extract", *faults.disk, "sda/raw/dir", out)
    tap.ok(r.code == 7 and b"quota" in r.err.lower(), "a target whose quota is used up: exit code 7, and said so", r)
    names = tree(out)
    tap.ok(not [n for n in names if ".pluck-" in n] and "deeper/big" not in names, "no temporary and no partial file", names)
    subprocess.run(["umount", path], check=True)


def check_targets(tap, faults):
    scratch, disk = faults.scratch, faults.disk
    with Pluck(scratch, "targets") as pluck:
        pluck.run("list", *disk, "sda/raw", timeout=120)
        full = small_fs(scratch, "full", 65536)
        if full is None:
            tap.skip("a full target", "tmpfs cannot be mounted")
        else:
            r = pluck.run("extract", *disk, "sda/raw/dir", full)
            tap.ok(r.code == 7, "a full target: exit code 7", r)
            names = [n for n in tree(full) if ".pluck-" in n]
            tap.ok(not names and "dir/deeper/big" not in tree(full), "a full target: no temporary and no partial file", names)
            out = os.open(os.path.join(full, "tar"), os.O_WRONLY | os.O_CREAT)
            r = pluck.run("extract", *disk, "--format", "tar", "sda/raw/dir", "-", stdout=out)
            os.close(out)
            tap.ok(r.code == 7, "a full target: tar", r)
            subprocess.run(["mount", "-o", "remount,ro", full], check=True)
            r = pluck.run("extract", *disk, "sda/raw/dir", full)
            tap.ok(r.code == 7, "a target that is read-only", r)
            subprocess.run(["umount", full], check=True)
        check_quota(tap, pluck, faults)
        with open("/dev/full", "wb") as out:
            for args in (["list", *disk, "sda/raw"], ["extract", *disk, "sda/raw/dir/file1", "-"], ["status"]):
                r = pluck.run(*args, stdout=out)
                tap.ok(r.code == 7, "%s to /dev/full" % args[0], r)
        with open(scratch.join("file"), "w", encoding="utf-8"):
            pass
        r = pluck.run("extract", *disk, "sda/raw/dir", scratch.join("file"))
        tap.ok(r.code == 7, "a target that is a file", r)
        gone = scratch.new_dir("gone")
        os.mkdir(os.path.join(gone, "in"))
        child = pluck.popen("extract", *disk, "sda/raw/dir", ".", cwd=os.path.join(gone, "in"), stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, preexec_fn=lambda: os.rmdir(os.path.join(gone, "in")))
        err = child.communicate(timeout=60)[1]
        tap.ok(child.returncode in (1, 3, 7) and err, "a target that was removed", child.returncode, err)
        for limit in (5, 8, 12, 16):
            target = scratch.new_dir("target")
            r = pluck.run("extract", *disk, "sda/raw/dir", target,
                          preexec_fn=lambda n=limit: resource.setrlimit(resource.RLIMIT_NOFILE, (n, n)))
            tap.ok(r.code == 0 or (isinstance(r.code, int) and r.code > 0 and r.err), "%d descriptors" % limit, r)
            tap.ok(not [n for n in tree(target) if ".pluck-" in n], "%d descriptors: no temporary file" % limit)


def check_surroundings(tap, faults):
    scratch, disk = faults.scratch, faults.disk
    with Pluck(scratch, "few") as pluck:
        r = pluck.run("list", *disk, "sda/raw", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16)))
        tap.ok(isinstance(r.code, int) and 0 <= r.code < 128 and (r.code == 0 or r.err), "starting a VM with 16 descriptors", r)
    full = small_fs(scratch, "runtime", 4096)
    if full is not None:
        os.chmod(full, 0o700)
        subprocess.run(["sh", "-c", "head -c 100000 /dev/zero >%s/x" % full], check=False, stderr=subprocess.DEVNULL)
        with Pluck(scratch, "unused", env={}) as pluck:
            pluck.env["XDG_RUNTIME_DIR"] = full
            r = pluck.run("list", *disk, "sda/raw", timeout=60)
            tap.ok(isinstance(r.code, int) and r.code > 0 and r.err, "a runtime directory without space", r)
        subprocess.run(["umount", "-l", full], check=True)
    fake = scratch.new_dir("bin")
    version = "[ \"$1\" = --version ] && echo 'QEMU emulator version 7.2.0' && exit; "
    fakes = {"too old": ("echo 'QEMU emulator version 2.1.0'", b"is version 2.1; at least"), "no version": ("echo hello", b"does not say its version"),
             "endless": ("yes", b"qemu"), "failing": ("exit 1", b"failed"), "hanging": ("exec sleep 1000", b"not finished in time"),
             "without the machine": (version + "echo pc", b"has no machine microvm"),
             "without a device": (version + "[ \"$1\" = -machine ] && echo microvm && exit; echo '\"vhost-user-blk\"'",
                                  b'has no device "vhost-user-vsock-device"')}
    for name, (script, why) in fakes.items():
        path = os.path.join(fake, "qemu-system-x86_64")
        with open(path, "w", encoding="utf-8") as f:
            f.write("#!/bin/sh\n%s\n" % script)
        os.chmod(path, 0o755)
        with Pluck(scratch, "fake", env={"PATH": fake + ":" + os.environ["PATH"]}) as pluck:
            r = pluck.run("list", *disk, "--timeout", "15", "sda/raw", timeout=60)
            tap.ok(r.code == (8 if name == "hanging" else 6) and why in r.err, "QEMU: %s" % name, r)
            left = [p for p in pluck.session_pids() if alive(p)]
            tap.ok(not wait_gone(left, 60), "QEMU: %s: nothing is left" % name, left)
