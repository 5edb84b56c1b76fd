#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Volumes that end the VM: its kernel panics, or loops for ever, when they are mounted or read. Each is told with what the console said,
# is an error of "disks" from then on, and costs no other volume; and no disk makes a session start VMs for ever.
import base64
import json
import os
import re
import signal
import stat
import struct
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import images
from images import MIB
from program import Pluck, Scratch, descendants, roles, wait_gone
from tap import Tap

HANG = 75		# seconds in which a VM that is stuck must be told, on a busy machine


def put_file(path, data, size):
    with open(path, "wb") as f:
        f.write(data)
        f.truncate(size)


def make_romfs_loop(path):
    """A ROM file system whose root is a hard link to itself: the kernel looks for its end when it mounts it."""
    data = bytearray(1024)
    data[:8] = b"-rom1fs-"
    struct.pack_into(">I", data, 8, 1024)
    data[16:17] = b"x"
    struct.pack_into(">IIII", data, 32, 0, 32, 0, 0)
    total = sum(struct.unpack_from(">128I", data)) & 0xffffffff
    struct.pack_into(">I", data, 12, -total & 0xffffffff)
    put_file(path, data, MIB)


def make_ufs_division(path):
    """A UFS with no inodes in a block: the kernel divides by that when it reads the root."""
    fields = {8: 16, 12: 24, 16: 32, 20: 48, 28: -1, 36: 24576, 40: 24527, 44: 1, 48: 8192, 52: 1024, 56: 8, 60: 5, 68: 60, 72: -8192,
              76: -1024, 80: 13, 84: 10, 88: 8, 92: 2048, 96: 3, 100: 1, 104: 2048, 116: 2048, 120: 0, 124: 2, 152: 48, 156: 1024,
              160: 4096, 176: 1, 180: 1, 184: 128, 188: 24576, 1372: 0x011954}
    data = bytearray(10240)
    for off, value in fields.items():
        struct.pack_into("<i", data, 8192 + off, value)
    put_file(path, data, 24 * MIB)


def make_disk(scratch, name, *bad):
    """Partitions: the bad ones in turn, and a good one behind them."""
    parts = []
    for i, make in enumerate(bad):
        path = scratch.join("%s-bad-%d" % (name, i))
        make(path)
        parts.append((path, os.path.getsize(path), "linux", "bad"))
    top = scratch.new_dir("tree")
    images.put(top, "dir/name", b"good")
    images.settle_times(top)
    good = scratch.join(name + "-good")
    images.make_ext4(good, 16 * MIB, top, "good")
    images.remove_tree(top)
    path = scratch.join(name + ".img")
    images.make_disk(path, parts + [(good, 16 * MIB, "linux", "good")], "dos")
    os.chmod(path, 0o644)
    return path


def status(pluck):
    r = pluck.run("status", "--output-format", "json")
    states = list(json.loads(r.out).values()) if r.code == 0 else []
    return states[0] if len(states) == 1 else {}


def entries(tree, found):
    for node in tree:
        if node.get("filepath"):
            found[base64.b64decode(node["filepath"]).decode()] = node
        entries(node.get("children", []), found)
    return found


def check_console(tap, name, r, state, want):
    found = re.search(rb"(/\S*console\.\d+\.log) has its console", r.err)
    tap.ok(found, "%s: the message names the file with the console" % name, r)
    if not found:
        return
    path = found.group(1).decode()
    with open(path, "rb") as f:
        text = f.read()
    st = os.lstat(path)
    tap.ok(stat.S_IMODE(st.st_mode) == 0o600 and stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700, "%s: for us alone" % name, oct(st.st_mode))
    tap.ok(len(text) <= 262144 and want in text, "%s: the file has what the console said" % name, text[-2000:])
    tap.equal(state.get("console"), path, "%s: status names it, too" % name)


def check_volume(tap, scratch, name, make, reason, console):
    disk = make_disk(scratch, name, make)
    with Pluck(scratch, "run-" + name) as pluck:
        r = pluck.run("disks", "--disk", "a=" + disk, "--output-format", "json")
        tap.ok(r.code == 0 and not r.err, "%s: nothing is wrong before it is opened" % name, r)
        pid = pluck.session_pids()
        r = pluck.run("list", "--disk", "a=" + disk, "a/part/1", timeout=HANG + 60)
        tap.ok(r.code == 6 and reason in r.err and r.seconds < HANG, "%s: exit code 6 with the reason" % name, r)
        state = status(pluck)
        tap.ok(state.get("state") == "failed" and state.get("left-out") == 1 and reason.decode() in state.get("reason", ""),
               "%s: status says so" % name, state)
        check_console(tap, name, r, state, console)
        r = pluck.run("list", "--disk", "a=" + disk, "--output-format", "json", "a/part/2/dir")
        tap.ok(r.code == 0 and b'"name"' in r.out, "%s: the other volume comes out of a new VM" % name, r)
        tap.equal(pluck.session_pids(), pid, "%s: of the same session" % name)
        tap.equal((status(pluck).get("vms"), status(pluck).get("state")), (2, "ready"), "%s: which is the second VM" % name)
        r = pluck.run("disks", "--disk", "a=" + disk, "--output-format", "json")
        found = entries(json.loads(r.out or b"[]"), {})
        tap.ok(r.code == 1 and b"a/part/1" in r.err and "error" in found.get("a/part/1", {}) and "error" not in found.get("a/part/2", {"error": 1}),
               "%s: an error entry of disks, exit code 1" % name, r, found)
        r = pluck.run("disks", "--disk", "a=" + disk)
        tap.ok(r.code == 1 and b"left out" in r.out, "%s: also as text" % name, r, r.out)
        r = pluck.run("list", "--disk", "a=" + disk, "a/part/1")
        tap.ok(r.code == 5 and b"left out" in r.err and r.seconds < HANG / 2, "%s: asked again, it is refused" % name, r)
        tap.equal(status(pluck).get("vms"), 2, "%s: no third VM was needed" % name)
        pluck.stop()
        # one call for both
        target = scratch.new_dir("target")
        r = pluck.run("extract", "--disk", "a=" + disk, "--path", "a/part/1", "--path", "a/part/2/dir", "--", target, timeout=HANG + 60)
        tap.ok(r.code == 6 and os.path.exists(os.path.join(target, "dir/name")), "%s: one call for both gets the other one" % name, r,
               os.listdir(target))
        pids = [p for s in pluck.session_pids() for p in [s] + descendants(s)]
        pluck.stop()
        tap.ok(pids and not wait_gone(pids), "%s: nothing is left" % name)


def check_bound(tap, scratch):
    """More bad volumes than a session has VMs: each costs one, then the session ends."""
    disk = make_disk(scratch, "many", *[make_ufs_division] * 3)
    with Pluck(scratch, "run-many") as pluck:
        files = []
        for n, command in ((1, "list"), (2, "stat"), (3, "cat")):
            r = pluck.run(command, "--disk", "a=" + disk, "a/part/%d" % n)
            files += re.findall(rb"(\S*console\.\d+\.log)", r.err)
            tap.ok(r.code == 6 and len(set(files)) == n, "by %s: bad volume %d of 3 is told with its own console" % (command, n), r)
        r = pluck.run("disks", "--disk", "a=" + disk, "--output-format", "json")
        found = entries(json.loads(r.out or b"[]"), {})
        bad = [p for p, v in found.items() if "error" in v]
        tap.ok(r.code == 1 and sorted(bad) == ["a/part/1", "a/part/2", "a/part/3"], "all three are error entries", r, found)
        tap.equal(status(pluck).get("vms"), 4, "three VMs for them and one for the rest")


def check_innocent(tap, scratch):
    """What somebody kills from outside is nobody's fault, and an end with nothing in work teaches nothing."""
    disk = make_disk(scratch, "good")
    with Pluck(scratch, "run-good") as pluck:
        r = pluck.run("list", "--disk", "a=" + disk, "a/part/1")
        pid = (pluck.session_pids() or [0])[0]
        tree = [pid] + descendants(pid)
        os.kill(roles(pid)["qemu"], signal.SIGKILL)
        tap.ok(r.code == 0 and not wait_gone(tree), "a VM that was killed without work ends its session", r)
        r = pluck.run("cat", "--disk", "a=" + disk, "a/part/1/dir/name")
        tap.ok(r.code == 0 and r.out == b"good", "the next command starts a new one", r)
        r = pluck.run("run", "--disk", "a=" + disk, "--", "reboot", "-f")
        tap.ok(r.code == 6 and b"has its console" in r.err, "a VM that ends itself while a program runs: exit code 6", r)
        r = pluck.run("disks", "--disk", "a=" + disk)
        tap.ok(r.code == 0, "no volume is blamed for it", r)


def check_memory(tap, scratch):
    """A program that eats the VM's memory: the kernel ends what it must, and the caller learns why."""
    disk = make_disk(scratch, "memory")
    with Pluck(scratch, "run-memory") as pluck:
        r = pluck.run("run", "--disk", "a=" + disk, "--", "sh", "-c", "echo 1 > /proc/sys/vm/panic_on_oom; tail /dev/zero", timeout=120)
        tap.ok(r.code == 6 and b"out of memory" in r.err.lower() and b"--memory" in r.err,
               "out of memory with a panic: exit code 6 with the console's words, and how to get more", r)
        r = pluck.run("run", "--disk", "a=" + disk, "--", "sh", "-c", "mount -t ramfs none /tmp && cat /dev/zero >/tmp/file", timeout=120)
        tap.ok(r.code == 6 and b"out of memory" in r.err.lower() and b"--memory" in r.err and b"128 MiB" in r.err,
               "out of memory that ends the agent's worker: the same", r)


with Tap() as tap, Scratch() as scratch:
    check_volume(tap, scratch, "panic", make_ufs_division, b"divide", b"Kernel panic")
    check_volume(tap, scratch, "hang", make_romfs_loop, b"stuck", b"# 2")
    check_bound(tap, scratch)
    check_innocent(tap, scratch)
    check_memory(tap, scratch)
