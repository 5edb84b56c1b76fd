#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Sessions: races, several at once, status and stop, sudden death of every process, secrets, other users, other places.
import json
import os
import pwd
import re
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import halt
import images
from images import MIB
from program import AS_NOBODY, NOBODY, SANITIZED, Pluck, Scratch, binary, descendants, public_copy, roles, wait_for, wait_gone
from tap import Tap


FEW = 61000			# and the limit: users who run nothing else, nor each other's leftovers


def make_disk(scratch, name):
    def fill(top):
        images.make_common_tree(top)
        images.put(top, "name", name.encode())

    return images.make_ext4_disk(scratch, name + ".img", 32 * MIB, fill)[0]


def sessions(pluck):
    r = pluck.run("status", "--output-format", "json")
    return json.loads(r.out) if r.code == 0 else {"error": str(r)}


def pid_of(pluck):
    pids = pluck.session_pids()
    return pids[0] if pids else None


def check_race(tap, pluck, disk):
    args = ["list", "--disk", disk, "--output-format", "json", "a/raw"]
    args[2] = "a=" + disk
    children = [pluck.popen(*args, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
    results = [c.communicate(timeout=180) + (c.returncode,) for c in children]
    tap.ok(all(code == 0 and b'"etc"' in out for out, _, code in results), "four callers at once all get their answer",
           *["exit %s: %s" % (code, err.decode("utf-8", "replace")) for _, err, code in results])
    tap.equal(len(sessions(pluck)), 1, "one session serves them")
    pid = pid_of(pluck)
    tap.ok(pid and {"session", "broker", "device", "qemu"} == set(roles(pid)), "it has a device process and a QEMU", roles(pid) if pid else "no pid")
    everyone = [roles(p) for p in pluck.session_pids()]
    tap.equal(len(everyone), 1, "one session process lives")


def check_shell(tap, pluck, disk):
    """$(...) must end: nothing may keep the pipe open."""
    pluck.stop()
    script = 'x=$("$0" list --disk "a=$1" --output-format json a/raw 2>&1) && printf "%s" "$x"'
    env = dict(pluck.env)
    try:
        done = subprocess.run(["bash", "-c", script, pluck.program, disk], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=120, check=False)
        tap.ok(done.returncode == 0 and b'"etc"' in done.stdout, "$(pluck list ...) ends, and starts a session", done.stdout[-2000:])
    except subprocess.TimeoutExpired:
        tap.ok(False, "$(pluck list ...) ends, and starts a session", "time-out")
    pid = pid_of(pluck)
    if pid is None:
        tap.ok(False, "the session outlives its first caller")
        return
    with open("/proc/%d/stat" % pid, encoding="utf-8") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    links = {}
    for fd in os.listdir("/proc/%d/fd" % pid):
        try:
            links[int(fd)] = os.readlink("/proc/%d/fd/%s" % (pid, fd))
        except FileNotFoundError:
            pass
    tap.ok(int(fields[3]) != os.getsid(0), "the session is in a session of its own", fields[:6])
    tap.equal(os.readlink("/proc/%d/cwd" % pid), "/", "its working directory is /")
    tap.ok(all(not links.get(n, "").startswith(("pipe:", "/dev/pts")) for n in (0, 1, 2)), "its standard descriptors are its own", links)


def check_two(tap, pluck, disk, other):
    ra = pluck.run("extract", "--disk", "a=" + disk, "a/raw/name", "-")
    rb = pluck.run("extract", "--disk", "a=" + other, "a/raw/name", "-")
    tap.equal((ra.out, rb.out), (b"one", b"two"), "two disks of one name side by side", ra, rb)
    state = sessions(pluck)
    tap.equal(len(state), 2, "status shows both", state)
    r = pluck.run("status")
    tap.ok(r.code == 0 and r.out.count(b"\n") >= 2, "status as text", r.out)
    one = [n for n in state if disk in n]
    tap.equal(len(one), 1, "the names tell the disks apart", list(state))
    pids = {p: [p] + descendants(p) for p in pluck.session_pids()}
    tap.ok(one and pluck.run("stop", one[0]).code == 0, "stop by name")
    tap.equal([n for n in sessions(pluck) if n in one], [], "it is gone from status")
    r = pluck.run("stop", "--disk", "a=" + other)
    tap.ok(r.code == 0 and sessions(pluck) == {}, "stop --disk", r)
    left = wait_gone([q for tree in pids.values() for q in tree])
    tap.equal(left, [], "no process is left after stop")
    r = pluck.run("stop", "--all")
    tap.ok(r.code == 0, "stop --all without a session is fine", r)


def call(pluck):
    """A socket that has asked the running session for its agent (host/session/control.h)."""
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(60)
    s.connect(os.path.join(pluck.state_dir(), next(n for n in pluck.state_files() if n.endswith(".sock"))))
    s.sendall(struct.pack("=III32sI", 0x34434C50, 1, 0, bytes(32), 0))
    return s


def frame(s):
    """(kind, payload) of the next one; kind 1 is news, 2 is the answer."""
    _, kind, _, length = struct.unpack("=IIiI", s.recv(16, socket.MSG_WAITALL))
    return kind, s.recv(length, socket.MSG_WAITALL) if length else b""


def check_full(tap, pluck, disk):
    """The 65th call hears what it waits for, and is served when one of the others ends."""
    pluck.run("list", "--disk", "a=" + disk, "a/raw")
    served = [call(pluck) for _ in range(64)]
    kinds = [frame(s)[0] for s in served]
    tap.equal(kinds, [2] * 64, "64 calls are served at once")
    late = call(pluck)
    tap.equal(frame(late), (1, b"wait until one of the calls that are served ends"), "one more hears why it waits")
    served.pop().close()
    tap.equal(frame(late)[0], 2, "and is served when another ends")
    for s in served + [late]:
        s.close()
    r = pluck.run("list", "--disk", "a=" + disk, "a/raw")
    tap.ok(r.code == 0, "the session goes on", r)


def cpu_ticks(pid):
    with open("/proc/%d/stat" % pid, encoding="utf-8") as f:
        return sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13]))


def silent(pluck, nr):
    """Connections that say nothing, as many as the kernel keeps."""
    found, path = [], os.path.join(pluck.state_dir(), next(n for n in pluck.state_files() if n.endswith(".sock")))
    while len(found) < nr:
        s = socket.socket(socket.AF_UNIX)
        s.setblocking(False)
        try:
            s.connect(path)
        except BlockingIOError:
            s.close()
            break
        found.append(s)
    return found


def check_descriptors(tap, scratch, disk):
    """More callers than descriptors: they wait, the processor rests, some are left to read disks with, and the VM lives."""
    with Pluck(scratch, "run-descriptors", prefix=["prlimit", "--nofile=64:64"]) as pluck:
        args = ["extract", "--disk", "a=" + disk, "a/raw/name", "-"]
        r = pluck.run("list", "--disk", "a=" + disk, "a/raw")
        pid = pid_of(pluck)
        if not tap.ok(r.code == 0 and pid, "a session with 64 descriptors", r):
            return
        who = roles(pid)
        waiting = silent(pluck, 90)
        time.sleep(1)
        before, used = cpu_ticks(who["broker"]), []
        for _ in range(20):
            time.sleep(0.1)
            used.append(len(os.listdir("/proc/%d/fd" % who["broker"])))
        ticks = cpu_ticks(who["broker"]) - before
        tap.ok(ticks < 20, "callers for whom there is no descriptor cost no processor time", "%d ticks in 2 s" % ticks)
        tap.ok(50 < max(used) <= 56, "nor the last descriptors", used)
        for s in waiting:
            s.close()
        r = pluck.run(*args)
        tap.ok(r.code == 0 and r.out == b"one", "it serves again when they are gone", r)
        calls = [call(pluck) for _ in range(60)]
        kinds = [frame(s)[0] for s in calls]
        tap.ok(set(kinds) == {1, 2} and kinds.count(2) > 20, "calls for which the device has no descriptor hear why they wait", kinds)
        waiting = silent(pluck, 90)
        for s in waiting + calls[::-1]:
            s.close()
        r = pluck.run(*args)
        tap.ok(r.code == 0 and r.out == b"one" and roles(pid) == who, "and the VM is still the same", r, who, roles(pid))
    with Pluck(scratch, "run-few", prefix=["prlimit", "--nofile=34:34"]) as pluck:
        r = pluck.run("list", "--disk", "a=" + disk, "a/raw")
        tap.ok(r.code not in (0, "timeout") and b"ulimit -n" in r.err, "a session that has too few says what it needs", r)


def check_frozen(tap, pluck, disk):
    """A session that does not run, with as many callers as the kernel keeps: nobody hangs, and stop ends it."""
    pluck.run("list", "--disk", "a=" + disk, "a/raw")
    pid = pid_of(pluck)
    everyone = [pid] + descendants(pid)
    for role in ("session", "broker"):
        os.kill(roles(pid)[role], signal.SIGSTOP)
    waiting = silent(pluck, 200)
    r = pluck.run("list", "--disk", "a=" + disk, "a/raw", timeout=60)
    tap.ok(r.code not in (0, "timeout") and b"pluck stop" in r.err, "a call to it fails, and says what to do", r)
    r = pluck.run("status", timeout=60)
    tap.ok(b"does not answer" in r.out + r.err, "status shows that it does not answer", r, r.out)
    r = pluck.run("stop", "--all", timeout=100)
    tap.ok(r.code == 0 and not wait_gone(everyone), "stop ends it", r)
    for s in waiting:
        s.close()


def check_secrets(tap, pluck, disk):
    r = pluck.run("list", "--disk", "a=" + disk, "a/raw")
    pid = pid_of(pluck)
    if r.code or not pid:
        tap.ok(False, "a session for the look at secrets", r)
        return
    directory = os.stat(pluck.state_dir())
    tap.equal(stat.S_IMODE(directory.st_mode), 0o700, "the state directory is 0700")
    modes = {n: stat.S_IMODE(os.lstat(os.path.join(pluck.state_dir(), n)).st_mode) for n in pluck.state_files()}
    tap.ok(modes and all(m == 0o600 for m in modes.values()), "state files are 0600", {n: oct(m) for n, m in modes.items()})
    found, files = [], []
    for p in [pid] + descendants(pid):
        for what in ("cmdline", "environ"):
            try:
                with open("/proc/%d/%s" % (p, what), "rb") as f:
                    text = f.read()
            except OSError:
                continue
            if re.search(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])", text):
                found.append("%d %s %r" % (p, what, text[:400]))
    for n in pluck.state_files():
        path = os.path.join(pluck.state_dir(), n)
        if os.path.isfile(path):
            with open(path, "rb") as f:
                if re.search(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])", f.read()):
                    files.append(n)
    tap.ok(not found, "no ticket in arguments or environment of any process", *found)
    tap.ok(not files, "no ticket in a state file", files)
    if os.geteuid() == 0:
        who = roles(pid)
        uids = {r: os.stat("/proc/%d" % p).st_uid for r, p in who.items()}
        with open("/proc/%d/status" % who.get("qemu", pid), encoding="utf-8") as f:
            status = dict(line.split(":\t", 1) for line in f.read().splitlines() if ":\t" in line)
        tap.ok("qemu" in who and status["Uid"].split()[0] != "0" and status["Seccomp"].strip() == "2" and status["NoNewPrivs"].strip() == "1",
               "QEMU is no root, has seccomp and no_new_privs", uids, {k: status[k] for k in ("Uid", "Seccomp", "NoNewPrivs")})
        with open("/proc/%d/status" % who.get("device", pid), encoding="utf-8") as f:
            status = dict(line.split(":\t", 1) for line in f.read().splitlines() if ":\t" in line)
        if SANITIZED:
            tap.skip("the device process has seccomp", "sanitizers need calls that the filter forbids")
        else:
            tap.ok("device" in who and status["Seccomp"].strip() == "2", "the device process has seccomp", status.get("Seccomp"))


def check_death(tap, pluck, disk):
    args = ["list", "--disk", "a=" + disk, "--output-format", "json", "a/raw"]
    for role in ("session", "broker", "device", "qemu"):
        r = pluck.run(*args)
        pid = pid_of(pluck)
        if r.code or not pid or role not in roles(pid):
            tap.ok(False, "kill -9 of the %s: there is one" % role, r)
            continue
        tree = [pid] + descendants(pid)
        os.kill(roles(pid)[role], signal.SIGKILL)
        left = wait_gone(tree)
        tap.ok(not left, "kill -9 of the %s ends all of it" % role, left)
        r = pluck.run(*args)
        tap.ok(r.code == 0 and b'"etc"' in r.out, "the next call after kill -9 of the %s works" % role, r)
        tap.equal(len(sessions(pluck)), 1, "with one session again")
        pluck.stop()
        stale = [n for n in pluck.state_files() if not n.endswith(".start")]
        tap.equal(stale, [], "no state files are left")


def check_killed_caller(tap, pluck, disk):
    """A command killed in the middle of a stream does not harm the session."""
    pluck.run("list", "--disk", "a=" + disk, "a/raw")
    child = pluck.popen("extract", "--disk", "a=" + disk, "--format", "tar", "a/raw", "-", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    child.stdout.read(1000)
    child.kill()
    child.wait()
    child.stdout.close()
    r = pluck.run("extract", "--disk", "a=" + disk, "a/raw/name", "-")
    tap.ok(r.code == 0 and r.out == b"one" and len(sessions(pluck)) == 1, "a killed command does not harm the session", r)
    child = pluck.popen("list", "--disk", "a=" + disk, "a/raw", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    child.wait()
    pluck.stop()
    child = pluck.popen("list", "--disk", "a=" + disk, "a/raw", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.3)
    child.kill()
    child.wait()
    r = pluck.run("extract", "--disk", "a=" + disk, "a/raw/name", "-")
    tap.ok(r.code == 0 and len(pluck.session_pids()) == 1, "a caller killed while the session starts leaves a usable state", r)


def check_overtaken(tap, pluck, disk):
    """A command dies when it has started a session that has not yet its lock; the session that the next command starts comes second."""
    if not halt.is_possible():
        tap.skip("a session of a dead command overtakes that of the next", "no process may be traced here")
        return
    pluck.stop()
    args = ["extract", "--disk", "a=" + disk, "a/raw/name", "-"]
    session = halt.is_role("__session")
    dead, first = halt.start(pluck, args, session, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    dead.kill()
    dead.wait()
    child, second = halt.start(pluck, args, session, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    tap.ok(first and second and not pluck.session_pids(), "two sessions have begun, and neither has the lock", first, second)
    os.kill(first, signal.SIGCONT)
    tap.equal(wait_for(pluck.session_pids), [first], "that of the dead command takes it")
    os.kill(second, signal.SIGCONT)
    out, err = child.communicate(timeout=120)
    tap.ok(child.returncode == 0 and out == b"one", "and serves the command whose own came too late", child.returncode, err)
    tap.equal((pluck.session_pids(), wait_gone([second])), ([first], []), "the other one has ended")


def check_symlink(tap, scratch, disk):
    link = scratch.join("plucked")
    os.symlink(os.path.abspath(binary()), link)
    with Pluck(scratch, "run-link", program=link) as pluck:
        r = pluck.run("extract", "--disk", "a=" + disk, "a/raw/name", "-", cwd="/")
        tap.ok(r.code == 0 and r.out == b"one", "called through a symlink it finds its images", r)


def make_store(store, disk):
    for args in (("datastore", "create", store),
                 ("backup", "--repository", store, "--backup-id", "100", "--backup-time", "1700000000", "drive-scsi0.img:" + disk)):
        subprocess.run([binary(), *args], check=True, stdout=subprocess.DEVNULL)


def check_user(tap, scratch, disk):
    """An ordinary user, with a copy of the program where everybody may read."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        tap.skip("as an ordinary user", "needs root and setpriv")
        return
    with Pluck(scratch, "run-user", prefix=AS_NOBODY, program=public_copy(scratch), owner=NOBODY) as pluck:
        r = pluck.run("extract", "--disk", "a=" + disk, "a/raw/name", "-")
        tap.ok(r.code == 0 and r.out == b"one", "an ordinary user", r)
        pid = pid_of(pluck)
        uids = {p: os.stat("/proc/%d" % p).st_uid for p in [pid] + descendants(pid)} if pid else {}
        tap.ok(uids and set(uids.values()) == {NOBODY}, "all its processes are that user's", uids)
        private = scratch.join("private.img")
        shutil.copy(disk, private)
        os.chmod(private, 0o600)
        r = pluck.run("list", "--disk", "a=" + private, "a/raw")
        tap.ok(r.code == 4 and b"private.img" in r.err, "a disk that the user may not read: exit code 4", r)
        store = scratch.join("store")
        make_store(store, disk)
        os.chown(store, pwd.getpwnam("backup").pw_uid, -1)
        os.chmod(store, 0o700)
        r = pluck.run("list", "--repository", store, "vm/100/2023-11-14T22:13:20Z", "/")
        tap.ok(r.code == 4 and b"user 'backup' may read it" in r.err, "a datastore that the user may not read: exit code 4, and whose it is", r)
        if pid:
            sock = [n for n in pluck.state_files() if n.endswith(".sock")]
            tap.ok(sock, "its socket is there", pluck.state_files())


def check_few_processes(tap, scratch, disk):
    """A user who may have few processes and threads: all of 20 disks are there, or a reason is."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        tap.skip("few processes", "needs root and setpriv")
        return
    disks = [w for i in range(20) for w in ("--disk", "d%d=%s" % (i, disk))]
    program = public_copy(scratch)
    for limit, fits in ((200, True), (40, False)):
        uid = FEW + limit
        prefix = ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups", "prlimit", "--nproc=%d:%d" % (limit, limit)]
        with Pluck(scratch, "run-few-%d" % limit, prefix=prefix, program=program, owner=uid) as pluck:
            r = pluck.run("list", *disks, "d19/raw")
            if fits:
                tap.ok(r.code == 0 and b"name" in r.out, "20 disks with %d processes and threads" % limit, r)
            else:
                tap.ok(r.code not in (0, "timeout") and b"Resource temporarily unavailable" in r.err, "with %d it says what is missing" % limit, r)


def check_bad_environment(tap, scratch, disk):
    with Pluck(scratch, "run-bad", env={"PLUCK_LIBDIR": scratch.path}) as pluck:
        r = pluck.run("list", "--disk", "a=" + disk, "a/raw")
        tap.ok(r.code == 6 and b"has no readable vmlinux" in r.err, "a missing VM image is told at once", r)
    with Pluck(scratch, "run-path", env={"PATH": "/nonexistent"}) as pluck:
        r = pluck.run("list", "--disk", "a=" + disk, "a/raw")
        tap.ok(r.code == 0 and b"name" in r.out, "QEMU and bubblewrap are found without a PATH", r)


with Tap() as tap, Scratch() as scratch:
    one, two = make_disk(scratch, "one"), make_disk(scratch, "two")
    with Pluck(scratch) as pluck:
        check_race(tap, pluck, one)
        check_shell(tap, pluck, one)
        check_two(tap, pluck, one, two)
        check_full(tap, pluck, one)
        check_secrets(tap, pluck, one)
        check_death(tap, pluck, one)
        check_killed_caller(tap, pluck, one)
        check_overtaken(tap, pluck, one)
        check_frozen(tap, pluck, one)
    check_descriptors(tap, scratch, one)
    check_symlink(tap, scratch, one)
    check_few_processes(tap, scratch, one)
    check_user(tap, scratch, one)
    check_bad_environment(tap, scratch, one)
