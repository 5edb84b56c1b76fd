# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs pluck with a state directory of its own, watches its processes, and leaves nothing behind."""

import fcntl
import json
import os
import shutil
import signal
import struct
import subprocess
import tempfile
import time

from images import remove_tree
from tap import TOP

COMMAND_TIMEOUT = 180		# seconds; nothing here takes as long, but a hang must end


def binary():
    return os.environ.get("PLUCK") or os.path.join(TOP, "build", "pluck")


# Built with address sanitizer: no limits on address space, no filters of our own, no preloaded libraries.
SANITIZED = "/san/" in os.path.realpath(binary())
# Words before a command that must do with 2 GiB of address space.
LIMITED = [] if SANITIZED else ["prlimit", "--as=2147483648"]


class Result:
    def __init__(self, args, code, out, err, seconds):
        self.args, self.code, self.out, self.err, self.seconds = args, code, out, err, seconds

    @property
    def text(self):
        return self.err.decode("utf-8", "backslashreplace")

    def __str__(self):
        return "pluck %s\nexit %s after %.2f s\nstderr: %s" % (" ".join(str(a) for a in self.args), self.code, self.seconds,
                                                              self.text[-3000:])

    __repr__ = __str__


def full_pipe():
    """Return: both ends of a pipe that takes no byte more: who writes to it is stuck."""
    r, w = os.pipe()
    fcntl.fcntl(w, fcntl.F_SETPIPE_SZ, 4096)
    os.write(w, bytes(4096))
    return r, w


class Scratch:
    """A temporary directory that goes away with all that is in it. One for a test script."""

    def __init__(self, parent=None):
        self.path = tempfile.mkdtemp(prefix="pluck-test-", dir=parent)
        os.chmod(self.path, 0o755)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        remove_tree(self.path)

    def join(self, *names):
        return os.path.join(self.path, *names)

    def new_dir(self, name):
        path = self.join(name)
        remove_tree(path)
        os.mkdir(path)
        return path


class Pluck:
    """The program with its own $XDG_RUNTIME_DIR. prefix: words before it (setpriv ...); program: another copy of it."""

    def __init__(self, scratch, name="run", prefix=(), program=None, owner=None, env=None):
        self.runtime = scratch.join(name)
        os.mkdir(self.runtime, 0o700)
        if owner is not None:
            os.chown(self.runtime, owner, owner)
        self.prefix = list(prefix)
        self.program = program or binary()
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("PBS_", "PROXMOX_"))}
        self.env.update(XDG_RUNTIME_DIR=self.runtime, XDG_STATE_HOME=os.path.join(self.runtime, "state"), LC_ALL="C.UTF-8", **(env or {}))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def popen(self, *args, **kw):
        argv = self.prefix + [self.program] + [os.fspath(a) for a in args]
        kw.setdefault("env", self.env)
        return subprocess.Popen(argv, stdin=kw.pop("stdin", subprocess.DEVNULL), **kw)

    def run(self, *args, stdout=subprocess.PIPE, timeout=COMMAND_TIMEOUT, **kw):
        """Runs to the end of its output: whoever keeps a descriptor of it open makes this time out (code "timeout")."""
        begin = time.monotonic()
        child = self.popen(*args, stdout=stdout, stderr=subprocess.PIPE, **kw)
        try:
            out, err = child.communicate(timeout=timeout)
            code = child.returncode
        except subprocess.TimeoutExpired as e:
            child.kill()
            out, err = e.stdout or b"", e.stderr or b""
            code = "timeout" if child.wait() == -9 else "output kept open"
        return Result(args, code, out or b"", err or b"", time.monotonic() - begin)

    def json(self, *args, **kw):
        r = self.run(*args, **kw)
        return json.loads(r.out) if r.code == 0 else None

    # -- sessions

    def state_dir(self):
        return os.path.join(self.runtime, "pluck")

    def state_files(self):
        try:
            return sorted(os.listdir(self.state_dir()))
        except FileNotFoundError:
            return []

    def session_pids(self):
        """Process ids of the sessions that the state files name and that live."""
        pids = []
        for name in self.state_files():
            if name.endswith(".live"):
                try:
                    with open(os.path.join(self.state_dir(), name), encoding="utf-8") as f:
                        pid = json.load(f)["pid"]
                except (OSError, ValueError, KeyError, TypeError):
                    continue
                if "__session" in cmdline(pid):
                    pids.append(pid)
        return pids

    def stop(self):
        return self.run("stop", "--all", timeout=60)

    def close(self):
        """Stops all sessions; kills what does not stop."""
        tree = [p for s in self.session_pids() for p in [s] + descendants(s)]
        if tree:
            self.stop()
        for pid in self.session_pids() + [p for p in tree if alive(p)]:
            if is_ours(pid):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        shutil.rmtree(self.runtime, ignore_errors=True)


# -- an ordinary user --------------------------------------------------------------------------------------------

NOBODY = 65534
AS_NOBODY = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]


def public_copy(scratch):
    """The program and its images where every user may read them. Return: path of the program."""
    build = scratch.new_dir("build")
    os.chmod(build, 0o755)
    for name in ("pluck", "vmlinux", "initramfs.cpio", "tools.img"):
        source = os.path.join(os.path.dirname(os.path.realpath(binary())), name)
        if os.path.exists(source):
            shutil.copy(source, os.path.join(build, name))
    return os.path.join(build, "pluck")


# -- the control protocol (host/session/control.h), spoken by hand ---------------------------------------------

CONTROL_MAGIC = 0x34434C50
CONTROL_READY = "=64sIIIII"	# ticket, memory, idle time-out, jail, KVM, number of the VM


def control_request(op=1, has_key=0, fingerprint=bytes(32), magic=CONTROL_MAGIC):
    return struct.pack("=III32sI", magic, op, has_key, fingerprint, 0)


# -- processes ---------------------------------------------------------------------------------------------------

def cmdline(pid):
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as f:
            return f.read().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""


def is_ours(pid):
    return any(word in cmdline(pid) for word in ("__session", "__device", "__jail", "qemu-system", "bwrap"))


def alive(pid):
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def peak_memory(pid):
    """Peak resident set in MiB since the program was started; None if it has ended. (ru_maxrss counts the parent's, too.)"""
    try:
        with open("/proc/%d/status" % pid, encoding="utf-8", errors="replace") as f:
            return next((int(line.split()[1]) / 1024 for line in f if line.startswith("VmHWM")), None)
    except OSError:
        return None


def watch_memory(child, seconds=3600):
    """Waits for a child of popen(). Return: its peak in MiB, looked at until shortly before its end."""
    end, peak = time.monotonic() + seconds, 0.0
    while child.poll() is None and time.monotonic() < end:
        peak = max(peak, peak_memory(child.pid) or 0.0)
        time.sleep(0.01)
    if child.poll() is None:
        child.kill()
        child.wait()
    return peak


def parent_of(pid):
    with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as f:
        return int(f.read().rsplit(")", 1)[1].split()[1])


def descendants(pid):
    """All processes below pid."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                children.setdefault(parent_of(int(name)), []).append(int(name))
            except (OSError, IndexError):
                pass
    out, todo = [], [pid]
    while todo:
        for child in children.get(todo.pop(), []):
            out.append(child)
            todo.append(child)
    return out


def roles(pid):
    """{"session": pid, "broker": pid, "device": pid, "qemu": pid} of the session with this pid; what is not there is absent."""
    return {r: p for r, p in every_role(pid).items() if r not in ("jail", "bwrap")}


def every_role(pid):
    """The same with what is around QEMU: "jail", the warden, and "bwrap", that which is outside of its namespace."""
    out = {"session": pid}
    for p in descendants(pid):
        words = cmdline(p)
        if "__session" in words:
            out.setdefault("broker", p)		# not a child of it that has not yet become another program
        elif "__device" in words:
            out["device"] = p
        elif " __jail " in words:
            out.setdefault("jail", p)
        elif words.split(" ")[0].rsplit("/", 1)[-1].startswith("qemu-system"):
            out["qemu"] = p
        elif words.split(" ")[0].rsplit("/", 1)[-1] == "bwrap":
            out.setdefault("bwrap", p)
    return out


def wait_gone(pids, seconds=20):
    """Waits until none of the processes lives. Return: those that still do."""
    end = time.monotonic() + seconds
    while True:
        left = [p for p in pids if alive(p)]
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.05)


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    return condition()
