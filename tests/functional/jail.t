#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# The jail: a probe in QEMU's place tries everything that is forbidden; sandboxes of the other processes; hosts without namespaces.
import os
import re
import shutil
import socket
import subprocess
import sys

sys.dont_write_bytecode = True
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests", "lib"))
import images
from images import MIB
from program import AS_NOBODY, NOBODY, SANITIZED, Pluck, Scratch, binary, every_role, public_copy, roles
from tap import Tap

GROUPS = ("files", "write", "processes", "network", "kernel", "x32", "memory", "bombs")
MEMORY_MAX_MIB = 128 + 3072
THREADS_MAX = 4096

# Tries that only namespaces refuse. Landlock, which the reduced jail has, does not hide names or the network namespace.
NEEDS_NAMESPACES = {"processes": {"seen"}, "write": {"tmp"}, "memory": {"tmp-kib"}}


class Bait:
    """What the probe is after, on the host: a readable file, a listening socket (two kinds), a process of the jail's user."""

    def __init__(self, scratch, uid, who):
        self.secret = scratch.join("secret-" + who.replace(" ", "-"))
        with open(self.secret, "w", encoding="ascii") as f:
            f.write("secret\n")
        os.chmod(self.secret, 0o666)
        self.socket = socket.socket(socket.AF_UNIX)
        self.path = scratch.join("socket-" + who.replace(" ", "-"))
        self.socket.bind(self.path)
        os.chmod(self.path, 0o777)
        self.socket.listen(8)
        self.process = subprocess.Popen(["sleep", "600"], **({"user": uid, "group": uid} if os.geteuid() == 0 else {}))
        self.abstract = socket.socket(socket.AF_UNIX)
        self.abstract.bind("\0jail-probe-%d" % self.process.pid)
        self.abstract.listen(8)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.socket.close()
        self.abstract.close()


def build_probe(scratch, bait, pluck):
    probe = scratch.join("probe-%d" % bait.process.pid)
    lib = os.path.dirname(os.path.realpath(binary()))
    defines = {"SECRET": '"%s"' % bait.secret, "SOCKET": '"%s"' % bait.path, "PID": bait.process.pid, "STATE": '"%s"' % pluck.state_dir(),
               "LIB": '"%s"' % lib}
    subprocess.run(["gcc", "-D_GNU_SOURCE", "-O1", "-o", probe] + ["-DPROBE_%s=%s" % kv for kv in defines.items()] +
                   [os.path.join(TOP, "tests", "lib", "jail_probe.c"), "-lpthread"], check=True)
    os.chmod(probe, 0o755)
    return probe


def tries_of(tap, pluck, probe, group, disk, options, who):
    """{name: word} of one group, or None."""
    path = "%s-%s" % (probe, group)
    os.link(probe, path)
    pluck.env["PLUCK_QEMU"] = path
    r = pluck.run("list", "--disk", "a=" + disk, *options, "a/raw", timeout=60)
    os.unlink(path)
    if group == "x32" and r.code not in (0, "timeout") and b"signal 31" in r.err:
        return {}
    tries = dict(re.findall(r"([a-z0-9-]+)=(YES|no|private|[0-9]+)(?=[ \n]|$)", r.text))
    tap.ok(r.code not in (0, "timeout") and tries, "%s: the group '%s' was tried" % (who, group), r)
    return tries


def check_tries(tap, who, group, tries, reduced):
    for name, word in tries.items():
        if reduced and name in NEEDS_NAMESPACES.get(group, ()):
            continue
        good = word in ("no", "private", "0")
        if name == "mib":
            good = int(word) <= MEMORY_MAX_MIB
        elif name == "tmp-kib":
            good = int(word) <= 1024
        elif name == "threads":
            good = int(word) <= THREADS_MAX
        elif (group, name) == ("bombs", "fds"):
            good = int(word) < 1024
        tap.ok(good, "%s: %s, %s" % (who, group, name), "got: " + word)


def check_jail(tap, scratch, disk, who, pluck, uid, options=()):
    with Bait(scratch, uid, who) as bait:
        probe = build_probe(scratch, bait, pluck)
        for group in GROUPS:
            check_tries(tap, who, group, tries_of(tap, pluck, probe, group, disk, options, who), bool(options))
        with open(bait.secret, encoding="ascii") as f:
            tap.equal(f.read(), "secret\n", "%s: the file on the host is as it was" % who)
        left = [p for p in ("/jail-probe-was-here", "/etc/jail-probe-was-here", "/usr/jail-probe-was-here", "/dev/jail-probe-was-here",
                            "/var/tmp/jail-probe-was-here", "/tmp/jail-probe-was-here", pluck.state_dir() + "/jail-probe-was-here")
                if os.path.exists(p)]
        tap.equal(left, [], "%s: nothing is left on the host" % who)
        tap.ok(bait.process.poll() is None, "%s: the other process lives" % who)
    del pluck.env["PLUCK_QEMU"]


def make_disk(scratch):
    return images.make_ext4_disk(scratch, "disk.img", 32 * MIB, images.make_common_tree)[0]


def status_of(pid):
    with open("/proc/%d/status" % pid, encoding="utf-8") as f:
        return dict(line.split(":\t", 1) for line in f.read().splitlines() if ":\t" in line)


def limit_of(pid, what):
    """Soft and hard."""
    with open("/proc/%d/limits" % pid, encoding="utf-8") as f:
        return re.search(r"^Max %s +(\S+) +(\S+)" % what, f.read(), re.M).groups()


def check_processes(tap, pluck, disk, who):
    """Filters, dumps and modes of the processes of a session that serves."""
    r = pluck.run("list", "--disk", "a=" + disk, "a/raw")
    pids = pluck.session_pids()
    if not tap.ok(r.code == 0 and pids, "%s: a session for the look at its processes" % who, r):
        return
    everyone = roles(pids[0])
    tap.equal(sorted(everyone), ["broker", "device", "qemu", "session"], "%s: all its processes are there" % who)
    for role, pid in sorted(everyone.items()):
        status = status_of(pid)
        want = ("0", "1") if SANITIZED and role != "qemu" else ("2", "1")
        if role == "session" or (SANITIZED and role == "broker"):
            want = ("0", "0")	# the keeper starts programs, and meets no guest
        tap.equal((status["Seccomp"].strip(), status["NoNewPrivs"].strip()), want, "%s: filter and no_new_privs of the %s" % (who, role))
        tap.equal(status["CapEff"].strip() if role == "qemu" else "0" * 16, "0" * 16, "%s: QEMU has no capabilities" % who)
        tap.equal(limit_of(pid, "core file size"), ("0", "0"), "%s: no core of the %s" % (who, role))
        if role == "qemu" or (role == "device" and not SANITIZED):
            space = limit_of(pid, "address space")
            tap.ok("unlimited" not in space and int(space[1]) <= (MEMORY_MAX_MIB << 20), "%s: a limit of address space of the %s" % (who, role), space)
        if role in ("session", "broker") or (role == "device" and not SANITIZED):
            tap.equal(os.stat("/proc/%d/mem" % pid).st_uid, 0, "%s: the %s is not dumpable" % (who, role))
        if role in ("session", "broker"):
            tap.equal(status["Umask"].strip(), "0077", "%s: umask of the %s" % (who, role))
    tap.ok(b'"jail":"strict"' in pluck.run("status").out, "%s: status shows the jail" % who)
    warden = every_role(pids[0]).get("jail")
    if tap.ok(warden, "%s: the jail has a warden" % who, every_role(pids[0])):
        files = [os.readlink("/proc/%d/fd/%s" % (warden, n)).split(":")[0] for n in os.listdir("/proc/%d/fd" % warden)]
        status = status_of(warden)
        tap.equal(files, ["pipe"], "%s: which has no descriptor but the pipe" % who)
        tap.ok(status["Uid"].split()[0] != "0" and status["CapEff"].strip() == "0" * 16, "%s: and no rights" % who, status["Uid"], status["CapEff"])


def check_options(tap, pluck, disk):
    pluck.stop()
    r = pluck.run("list", "--disk", "a=" + disk, "--jail", "strict", "--accel", "tcg", "--log-level", "err", "a/raw")
    tap.ok(r.code == 0 and not r.err, "--jail strict --accel tcg --log-level err", r)
    pluck.stop()
    r = pluck.run("extract", "--disk", "a=" + disk, "--jail", "reduced", "a/raw/etc", "-")
    tap.ok(r.code == 0 and r.out and b"the jail is reduced" in r.err, "--jail reduced works and says what it is", r)
    tap.ok(b'"jail":"reduced"' in pluck.run("status").out, "status shows the reduced jail")
    pids = pluck.session_pids()
    qemu = roles(pids[0]).get("qemu") if pids else None
    status = status_of(qemu) if qemu else {}
    tap.ok(status.get("Seccomp", "").strip() == "2" and status["NoNewPrivs"].strip() == "1", "QEMU in it has filter and no_new_privs", status)
    if qemu:
        tap.ok(os.geteuid() != 0 or status["Uid"].split()[0] != "0", "QEMU in it is not root", status["Uid"])
    pluck.stop()
    r = pluck.run("list", "--disk", "a=" + disk, "--jail", "none", "a/raw")
    tap.equal(r.code, 2, "there is no --jail none", r)


def check_no_namespaces(tap, scratch, disk):
    """A host that forbids user namespaces: a namespace whose own limit is 0."""
    shell = ["unshare", "-U", "-r", "sh", "-c", 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"', "sh"]
    if subprocess.run(shell + ["true"], stderr=subprocess.DEVNULL, check=False).returncode:
        tap.skip("a host without user namespaces", "cannot make one here")
        return
    with Pluck(scratch, "run-without", prefix=shell) as pluck:
        r = pluck.run("list", "--disk", "a=" + disk, "a/raw")
        tap.ok(r.code not in (0, "timeout") and b"user.max_user_namespaces" in r.err and b"--jail reduced" in r.err,
               "without user namespaces it names the setting and the way out", r)
        r = pluck.run("list", "--disk", "a=" + disk, "--jail", "reduced", "a/raw")
        tap.ok(r.code == 0 and b"etc" in r.out, "--jail reduced works there", r)


def check_target(tap, pluck, scratch, disk):
    """Landlock and filter of the command are no hindrance: hard links across directories, several paths, a session started anew."""
    target = scratch.join("target")
    r = pluck.run("extract", "--disk", "a=" + disk, "--path", "a/raw/etc", "--path", "a/raw/data", target)
    tap.ok(r.code == 0 and os.path.isdir(os.path.join(target, "etc")) and os.path.isdir(os.path.join(target, "data")),
           "several paths into one directory", r)


with Tap() as tap, Scratch() as scratch:
    disk = make_disk(scratch)
    is_root = os.geteuid() == 0
    user = NOBODY if is_root else os.geteuid()
    name = "root" if is_root else "user"
    cache = scratch.new_dir("cache")
    os.chmod(cache, 0o777)
    reduced = ("--jail", "reduced")
    with Pluck(scratch, env={"XDG_CACHE_HOME": scratch.new_dir("cache-own")}) as pluck:
        check_jail(tap, scratch, disk, name, pluck, user)
        check_jail(tap, scratch, disk, name + " reduced", pluck, user, reduced)
        check_processes(tap, pluck, disk, name)
        check_target(tap, pluck, scratch, disk)
        check_options(tap, pluck, disk)
    check_no_namespaces(tap, scratch, disk)
    if is_root and shutil.which("setpriv"):
        with Pluck(scratch, "run-user", prefix=AS_NOBODY, program=public_copy(scratch), owner=NOBODY, env={"XDG_CACHE_HOME": cache}) as pluck:
            check_jail(tap, scratch, disk, "user", pluck, NOBODY)
            check_jail(tap, scratch, disk, "user reduced", pluck, NOBODY, reduced)
            check_processes(tap, pluck, disk, "user")
    else:
        tap.skip("as an ordinary user", "needs root and setpriv")
