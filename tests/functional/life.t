#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Life and death of sessions: how they start and end by themselves, what a later call can change, sudden death of each process in each
# phase, callers who are somebody else, and the agent's own watchdog.
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import halt
import images
from images import MIB
from program import CONTROL_MAGIC, NOBODY, Pluck, Scratch, alive, binary, control_request, descendants, every_role, roles, wait_for, wait_gone
from tap import Tap


def make_disk(scratch):
    def fill(top):
        images.put(top, "name", b"one")
        images.put(top, "big", images.noise(24 * MIB, 1))

    return images.make_ext4_disk(scratch, "life.img", 48 * MIB, fill)[0]


def status(pluck):
    r = pluck.run("status", "--output-format", "json")
    states = list(json.loads(r.out).values()) if r.code == 0 else []
    return states[0] if states else {}


def everyone(pluck):
    return [p for s in pluck.session_pids() for p in [s] + descendants(s)]


def memfds(pid):
    """Memory files that only a process of a session has, by name."""
    found = []
    for fd in os.listdir("/proc/%d/fd" % pid):
        try:
            target = os.readlink("/proc/%d/fd/%s" % (pid, fd))
        except OSError:
            continue
        if target.startswith("/memfd:") and any(n in target for n in ("guest-ram", "chunk-cache", "ticket", "spec")):
            found.append(target)
    return found


def check_idle(tap, scratch, disk):
    with Pluck(scratch, "run-idle") as pluck:
        r = pluck.run("list", "--disk", "a=" + disk, "--idle-timeout", "2", "a/raw")
        tree = everyone(pluck)
        tap.ok(r.code == 0 and len(tree) >= 3 and status(pluck).get("timeout", 99) <= 2, "a session with an idle time-out of 2 s", r)
        left = wait_gone(tree, 30)
        tap.ok(not left and not pluck.state_files(), "ends by itself and leaves nothing", left, pluck.state_files())
        child = pluck.popen("extract", "--disk", "a=" + disk, "--idle-timeout", "1", "a/raw/big", "-", stdout=subprocess.PIPE)
        child.stdout.read(1)
        time.sleep(4)
        rest = child.stdout.read()
        tap.ok(child.wait(60) == 0 and len(rest) == 24 * MIB - 1, "a reader that is slower than that is no idleness", len(rest))
        tree = everyone(pluck)
        wait_gone(tree, 30)
        r = pluck.run("extract", "--disk", "a=" + disk, "--idle-timeout", "0", "a/raw/name", "-")
        tree = everyone(pluck)
        tap.ok(r.code == 0 and r.out == b"one", "--idle-timeout 0: a command with two connections", r)
        left = wait_gone(tree, 30)
        tap.ok(tree and not left and not pluck.state_files(), "--idle-timeout 0: it ends with the command", left, pluck.state_files())


def check_keeps(tap, scratch, disk):
    with Pluck(scratch, "run-keeps") as pluck:
        r = pluck.run("list", "--disk", "a=" + disk, "--memory", "96", "--idle-timeout", "300", "a/raw")
        tap.ok(r.code == 0 and not r.err and status(pluck).get("memory") == 96, "--memory 96", r, status(pluck))
        for args, word in ((["--memory", "256"], b"96 MiB"), (["--idle-timeout", "20"], b"300 s"), (["--jail", "reduced"], b"strict jail")):
            r = pluck.run("list", "--disk", "a=" + disk, *args, "a/raw")
            tap.ok(r.code == 0 and word in r.err, "the running session keeps its own, and the caller is told: %s" % args[0], r)
        r = pluck.run("list", "--disk", "a=" + disk, "--memory", "96", "--idle-timeout", "300", "--jail", "strict", "a/raw")
        tap.ok(r.code == 0 and not r.err, "who asks for the same is told nothing", r)
        pluck.stop()
        r = pluck.run("list", "--disk", "a=" + disk, "--jail", "reduced", "a/raw")
        if r.code:
            tap.skip("a strict jail is not had from a session with a reduced one", "no reduced jail here")
        else:
            r = pluck.run("list", "--disk", "a=" + disk, "--jail", "strict", "a/raw")
            tap.ok(r.code == 6 and b"pluck stop" in r.err, "a strict jail is not had from a session with a reduced one", r)


def check_start(tap, scratch, disk):
    """What it is at while it starts; a caller whose patience ends does not end it."""
    with Pluck(scratch, "run-start") as pluck:
        child = pluck.popen("list", "--disk", "a=" + disk, "a/raw", stdout=subprocess.DEVNULL)
        seen = set()
        while child.poll() is None:
            s = status(pluck)
            if s.get("state") == "starting":
                seen.add(s.get("phase"))
        tap.ok(child.returncode == 0 and seen and seen <= {"open disks", "start QEMU", "boot"}, "status shows the phases of a start", seen)
        pluck.stop()
        pid, fd = os.forkpty()
        if pid == 0:
            os.execve(binary(), ["pluck", "list", "--disk", "a=" + disk, "a/raw"], dict(pluck.env, TERM="vt100"))
        text = b""
        while True:
            try:
                part = os.read(fd, 4096)
            except OSError:
                break
            if not part:
                break
            text += part
        os.waitpid(pid, 0)
        os.close(fd)
        tap.ok(b"boot..." in text and b"name" in text, "a terminal shows them, too", text)
        pluck.stop()
        r = pluck.run("list", "--disk", "a=" + disk, "--accel", "tcg", "--timeout", "1", "a/raw")
        if r.code == 0:
            tap.skip("list --timeout", "the VM starts within a second")
        else:
            tap.ok(r.code == 8 and b"in time" in r.err, "list --timeout 1: exit code 8", r)
        r = pluck.run("list", "--disk", "a=" + disk, "a/raw")
        tap.ok(r.code == 0 and len(pluck.session_pids()) == 1, "the VM went on starting", r)


def victim(pluck, role):
    """The process of that role as soon as there is one: the session is its keeper, the broker its child."""
    pids = pluck.session_pids()
    return every_role(pids[0]).get(role) if pids else None


def check_phase(tap, pluck, disk, phase, role):
    """Kill one while a command is at it: the command ends with an error, the next one works, nothing is left."""
    args = ["extract", "--disk", "a=" + disk, "a/raw/big", "-"]
    name = "kill -9 of the %s, %s" % (role, phase)
    if phase != "starting":
        pluck.run("list", "--disk", "a=" + disk, "a/raw")
    child = pluck.popen(*args, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if phase == "streaming":
        child.stdout.read(1)
    target = wait_for(lambda: child.pid if role == "command" else victim(pluck, role), 60)
    tree = everyone(pluck)
    if not tap.ok(target, name + ": there is one"):
        child.kill()
        child.communicate()
        return
    os.kill(target, signal.SIGKILL)
    out, err = child.communicate(timeout=120)
    if role == "command":
        tap.ok(child.returncode == -9, name)
        tree = []
    else:
        tree += everyone(pluck) if role == "session" else []
        whole = child.returncode == 0 and len(out) == 24 * MIB
        tap.ok(child.returncode in (5, 6) and err or (whole and phase == "starting"), name + ": the command says so", child.returncode, err)
        left = wait_gone([p for p in tree if p != child.pid], 30) if child.returncode else []
        tap.ok(not left, name + ": all the others end", left)
    r = pluck.run("extract", "--disk", "a=" + disk, "a/raw/name", "-")
    tap.ok(r.code == 0 and r.out == b"one" and len(pluck.session_pids()) == 1, name + ": the next command works", r)
    tree = everyone(pluck)
    pluck.stop()
    left = wait_gone(tree, 30)
    tap.ok(not left and not pluck.state_files(), name + ": nothing is left", left, pluck.state_files())


def check_phases(tap, scratch, disk):
    before = {p for p in map(int, filter(str.isdigit, os.listdir("/proc"))) if alive(p)}
    with Pluck(scratch, "run-phases") as pluck:
        for phase in ("starting", "streaming"):
            for role in ("command", "session", "broker", "device", "jail", "qemu"):
                check_phase(tap, pluck, disk, phase, role)
    own = []
    for p in map(int, filter(str.isdigit, os.listdir("/proc"))):
        try:
            if p not in before and disk in open("/proc/%d/cmdline" % p, encoding="utf-8", errors="replace").read():
                own.append(p)
        except OSError:
            pass
    tap.ok(not own and not memfds(os.getpid()), "no process and no memory file is left of all that", own)


def check_half_jail(tap, scratch, disk):
    """A session is killed while bubblewrap has made a process that is not yet tied to its life."""
    if not halt.is_possible():
        tap.skip("a session is killed while its jail is made", "no process may be traced here")
        return
    with Pluck(scratch, "run-half") as pluck:
        for victims in (("session",), ("broker",), ("session", "broker"), ("jail",), ("bwrap",)):
            name = "kill -9 of %s while the jail is made" % " and ".join(victims)
            child, half = halt.start(pluck, ["list", "--disk", "a=" + disk, "a/raw"], halt.is_child_of("bwrap"), stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE)
            tree = everyone(pluck)
            there = every_role(tree[0]) if tree else {}
            if not tap.ok(half in tree and set(victims) <= set(there), name + ": there they are", half, there):
                child.kill()
                child.communicate()
                continue
            for role in victims:
                os.kill(there[role], signal.SIGKILL)
            try:
                os.kill(half, signal.SIGCONT)
            except ProcessLookupError:
                pass	# gone already
            left = wait_gone(tree)
            tap.ok(not left, name + ": nothing is left", [(p, half, there) for p in left])
            err = child.communicate(timeout=120)[1]
            # Without an answer it starts another session.
            tap.ok((child.returncode == 6 and err) or child.returncode == 0, name + ": the command says so", child.returncode, err)
            pluck.stop()


def connect(path):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(10)
    s.connect(path)
    return s


def as_nobody(fn):
    """What fn() returns as bytes, in a process that is somebody else."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        try:
            text = fn()
        except OSError as e:
            text = ("refused: %s" % e.strerror).encode()
        os.write(w, text)
        os._exit(0)
    os.close(w)
    text = os.read(r, 65536)
    os.close(r)
    os.waitpid(pid, 0)
    return text


def ask(path, request):
    s = connect(path)
    s.sendall(request)
    return b"got: " + s.recv(4096)


def check_strangers(tap, scratch, disk):
    with Pluck(scratch, "run-strangers") as pluck:
        pluck.run("list", "--disk", "a=" + disk, "a/raw")
        sock = os.path.join(pluck.state_dir(), [n for n in pluck.state_files() if n.endswith(".sock")][0])
        wish = control_request()
        for what, request in (("another version", control_request(magic=CONTROL_MAGIC - 0x01000000)),
                              ("an operation that does not exist", control_request(99)),
                              ("a key that is no number of keys", control_request(has_key=7)), ("HTTP", b"GET / HTTP/1.1\r\n\r\n" * 4)):
            try:
                got = ask(sock, request)
            except ConnectionResetError:
                got = b"got: "
            tap.equal(got, b"got: ", "%s gets nothing" % what)
        s = connect(sock)
        s.sendall(wish)
        kind, payload = 1, b""
        while kind == 1:
            _, kind, _, length = struct.unpack("=IIiI", s.recv(16, socket.MSG_WAITALL))
            payload = s.recv(length, socket.MSG_WAITALL)
        ticket = payload[:64]
        tap.ok(kind == 2 and re.fullmatch(rb"[0-9a-f]{64}", ticket), "who may gets a ticket", kind)
        # a connection that was handed on is the agent's alone: what is said again there is no request to the session
        s.sendall(wish + b"\r\n\r\n")
        got = s.recv(4096)
        tap.ok(got.startswith(b"HTTP/1.1 400"), "a request said again behind the answer reaches the agent, not the session", got)
        s.close()
        if os.geteuid():
            tap.skip("another user", "needs root")
            return
        tap.ok(as_nobody(lambda: ask(sock, wish)).startswith(b"refused"), "another user does not reach the socket")
        for path, mode in ((scratch.path, 0o755), (pluck.runtime, 0o755), (pluck.state_dir(), 0o755), (sock, 0o666)):
            os.chmod(path, mode)
        got = as_nobody(lambda: ask(sock, wish))
        tap.ok(got == b"got: " or got in (b"refused: Broken pipe", b"refused: Connection reset by peer"), "another user who does reach it gets nothing", got)
        for path, mode in ((sock, 0o600), (pluck.state_dir(), 0o700), (pluck.runtime, 0o700)):
            os.chmod(path, mode)
        r = pluck.run("list", "--disk", "a=" + disk, "a/raw")
        tap.ok(r.code == 0, "the session goes on", r)
        # a socket of somebody else under the session's name
        os.unlink(sock)
        os.chmod(pluck.runtime, 0o711)
        os.chmod(pluck.state_dir(), 0o777)

        def plant():
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(sock)
            os.chmod(sock, 0o777)
            listener.listen(1)
            if os.fork() == 0:
                listener.settimeout(30)
                try:
                    peer, _ = listener.accept()
                    with open(sock + ".heard", "wb") as f:
                        f.write(peer.recv(1))
                except OSError:
                    pass
                os._exit(0)
            return b"planted"
        tap.equal(as_nobody(plant), b"planted", "somebody else listens under its name")
        os.chmod(pluck.state_dir(), 0o700)
        r = pluck.run("list", "--disk", "a=" + disk, "a/raw", timeout=60)
        heard = os.path.exists(sock + ".heard") and os.path.getsize(sock + ".heard")
        tap.ok(r.code == 4 and not heard, "nothing is said to it", r, heard)
        os.unlink(sock)


def check_watchdog(tap, scratch):
    """The agent by hand: it ends when nobody asks, not while somebody does."""
    agent = os.path.join(os.path.dirname(os.path.realpath(binary())), "pluck-agent")
    state = scratch.new_dir("agent")
    for n in ("mnt", "lock"):
        os.mkdir(os.path.join(state, n))
    with open(os.path.join(state, "ticket"), "w", encoding="utf-8") as f:
        f.write("ab" * 32)
    sock = os.path.join(state, "sock")
    child = subprocess.Popen([agent, "--unix", sock, "--ticket-file", os.path.join(state, "ticket"), "--state", state, "--watchdog", "3"],
                             stderr=subprocess.PIPE)
    wait_for(lambda: os.path.exists(sock), 10)
    begin = time.monotonic()

    def status_of(ticket):
        s = connect(sock)
        s.sendall(("GET /api2/json/status HTTP/1.1\r\nHost: a\r\n%sConnection: close\r\n\r\n" % ticket).encode())
        return s.makefile("rb").read()
    for _ in range(5):	# with a ticket each is a sign of life
        time.sleep(1)
        answer = status_of("Authorization: %s\r\n" % ("ab" * 32))
    tap.ok(b"200" in answer and child.poll() is None and time.monotonic() - begin > 4.5, "the watchdog starts anew with each request", answer)
    asked = time.monotonic()
    while child.poll() is None and time.monotonic() - asked < 30:
        try:
            status_of("")	# without one it is none
        except OSError:
            pass
        time.sleep(0.5)
    err = child.communicate(timeout=10)[1]
    tap.ok(child.returncode == 1 and b"nobody asked for anything in 3 s" in err, "it runs out, also when strangers ask", child.returncode, err)


with Tap() as main_tap, Scratch() as main_scratch:
    main_disk = make_disk(main_scratch)
    check_watchdog(main_tap, main_scratch)
    check_idle(main_tap, main_scratch, main_disk)
    check_keeps(main_tap, main_scratch, main_disk)
    check_start(main_tap, main_scratch, main_disk)
    check_phases(main_tap, main_scratch, main_disk)
    check_half_jail(main_tap, main_scratch, main_disk)
    check_strangers(main_tap, main_scratch, main_disk)
