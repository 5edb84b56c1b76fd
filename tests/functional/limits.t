#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Limits of QEMU from outside: its control group, made where that may be done, and gone when the VM is; a scope of systemd; neither.
import json
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import images
from images import MIB
from program import AS_NOBODY, NOBODY, Pluck, Scratch, descendants, public_copy, roles, wait_for, wait_gone
from tap import TOP, Tap

MEMORY_MIB = 128 + 1280
TASKS = 64
OPTIONS = ("--memory", "128", "a/raw")
NAME = r"pluck-[0-9a-f]{16}"

# In systemd's place, since a test cannot boot it: told by its name to refuse, or to become the program that it was given, as the user that it
# was given. What it was asked goes to a file.
SYSTEMD_RUN = """#!/bin/sh
echo "$*" >>"$(dirname "$0")/asked"
[ -e "$(dirname "$0")/refuse" ] && exit 1
user=
while [ "$1" != -- ]; do
	case $1 in
	--uid=*) user="$user --reuid ${1#*=}" ;;
	--gid=*) user="$user --regid ${1#*=} --clear-groups" ;;
	esac
	shift
done
shift
[ -z "$user" ] || exec /usr/bin/setpriv $user "$@"
exec "$@"
"""


def status(pluck):
    states = list((pluck.json("status", "--output-format", "json") or {}).values())
    return states[0] if states else {}


def build_probe(scratch, group):
    path = scratch.join("probe-" + group)
    subprocess.run(["cc", "-D_GNU_SOURCE", "-O1", "-o", path, os.path.join(TOP, "tests/lib/jail_probe.c"), "-lpthread"], check=True)
    os.chmod(path, 0o755)
    return path


def groups_of(pid):
    """{controller: path} of a process in groups of ours; "" is version 2."""
    with open("/proc/%d/cgroup" % pid, encoding="ascii") as f:
        lines = [line.rstrip("\n").split(":", 2) for line in f]
    return {w[1]: w[2] for w in lines if re.search("/%s$" % NAME, w[2])}


def left_groups():
    found = []
    for where, dirs, _ in os.walk("/sys/fs/cgroup"):
        found += [os.path.join(where, d) for d in dirs if re.fullmatch(NAME, d)]
    return found


def read_limit(pid, controller, names):
    """A limit as the kernel has it for this process."""
    path = groups_of(pid).get(controller) or groups_of(pid).get("")
    for where, dirs, _ in os.walk("/sys/fs/cgroup"):
        for name in names:
            file = os.path.join(where, os.path.basename(path or "/none"), name)
            if os.path.basename(path or "/none") in dirs and os.path.exists(file):
                with open(file, encoding="ascii") as f:
                    return f.read().strip()
    return None


def check_group(tap, pluck, disk, limits):
    qemu = roles(pluck.session_pids()[0])["qemu"]
    groups = groups_of(qemu)
    mine = left_groups()
    tap.ok(groups, "QEMU is in a group of its own", limits, groups)
    if "memory" in limits:
        tap.ok("memory %d MiB" % MEMORY_MIB in limits, "status has the limit of memory", limits)
        tap.equal(read_limit(qemu, "memory", ("memory.max", "memory.limit_in_bytes")), str(MEMORY_MIB << 20), "the kernel has it, too")
    if "tasks" in limits:
        tap.ok("%d tasks" % TASKS in limits, "status has the limit of tasks", limits)
        tap.equal(read_limit(qemu, "pids", ("pids.max",)), str(TASKS), "the kernel has it, too")
    for role, pid in roles(pluck.session_pids()[0]).items():
        tap.ok((role == "qemu") == bool(groups_of(pid)), "the group has QEMU alone: " + role, groups_of(pid))
    pluck.stop()
    tap.ok(mine and not any(os.path.exists(g) for g in mine if os.path.basename(g) in str(groups)), "it is gone with the VM", mine)


def check_probes(tap, scratch, pluck, disk, limits):
    if "memory" in limits:
        pluck.env["PLUCK_QEMU"] = build_probe(scratch, "touch")
        r = pluck.run("list", "--disk", "a=" + disk, *OPTIONS, timeout=120)
        seen = [int(n) for n in re.findall(r"mib=([0-9]+)", r.text)]
        tap.ok(r.code == 6 and "wanted more memory than its cgroup" in r.text, "more memory than that ends QEMU, and the reason is told", r)
        tap.ok(seen and MEMORY_MIB - 256 <= max(seen) <= MEMORY_MIB, "it came as far as the limit", seen)
    if "tasks" in limits:
        pluck.env["PLUCK_QEMU"] = build_probe(scratch, "bombs")
        r = pluck.run("list", "--disk", "a=" + disk, *OPTIONS, timeout=120)
        seen = re.search(r"threads=([0-9]+)", r.text)
        tap.ok(seen and TASKS // 2 < int(seen.group(1)) < TASKS, "threads end at the limit", r)
    pluck.env.pop("PLUCK_QEMU", None)
    wait_for(lambda: not pluck.session_pids())


def check_killed(tap, pluck, disk):
    """A session that is killed leaves its group; the next one that starts takes it away."""
    pluck.run("list", "--disk", "a=" + disk, *OPTIONS)
    everyone = roles(pluck.session_pids()[0])
    groups = set(groups_of(everyone["qemu"]).values())
    tree = [everyone["session"]] + descendants(everyone["session"])
    for role in ("session", "broker"):
        os.kill(everyone[role], 9)
    wait_gone(tree)
    was = [g for g in left_groups() if any(g.endswith(p) for p in groups)]
    tap.ok(was, "kill -9 of keeper and broker leaves the group", groups)
    pluck.run("list", "--disk", "a=" + disk, *OPTIONS)
    tap.ok(not any(os.path.exists(g) for g in was), "the next start removes it", was)
    now = groups_of(roles(pluck.session_pids()[0])["qemu"])
    os.kill(roles(pluck.session_pids()[0])["broker"], 9)
    wait_for(lambda: not pluck.session_pids())
    tap.ok(now and wait_for(lambda: not any(os.path.exists(g) for g in left_groups() if any(g.endswith(p) for p in now.values()))),
           "after kill -9 of the broker alone its keeper does", now)


def check_systemd(tap, scratch, disk):
    """Where systemd runs and has delegated nothing, it is asked. A name space where it seems to run."""
    shell = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /run && mkdir -p /run/systemd/system && exec "$@"', "sh"]
    if subprocess.run(shell + ["true"], stderr=subprocess.DEVNULL, check=False).returncode:
        tap.skip("systemd-run", "cannot make a mount namespace here")
        return
    place = scratch.new_dir("bin")
    with open(os.path.join(place, "systemd-run"), "w", encoding="ascii") as f:
        f.write(SYSTEMD_RUN)
    os.chmod(os.path.join(place, "systemd-run"), 0o755)
    with Pluck(scratch, "run-systemd", prefix=shell, env={"PATH": place + ":" + os.environ["PATH"]}) as pluck:
        r = pluck.run("list", "--disk", "a=" + disk, *OPTIONS)
        tap.ok(r.code == 0 and status(pluck).get("limits") == "systemd: memory %d MiB, %d tasks" % (MEMORY_MIB, TASKS),
               "systemd-run makes a scope", r, status(pluck))
        with open(os.path.join(place, "asked"), encoding="ascii") as f:
            asked = f.read().splitlines()
        want = "--system --scope --quiet --collect --property=MemoryMax=%d --property=MemorySwapMax=0 --property=TasksMax=%d --uid=" % (
            MEMORY_MIB << 20, TASKS)
        tap.ok(len(asked) == 2 and all(a.startswith(want) for a in asked) and "bwrap" in asked[1], "it is asked for the same limits", asked)
        qemu = roles(pluck.session_pids()[0])["qemu"]
        tap.ok(not groups_of(qemu) and os.stat("/proc/%d" % qemu).st_uid != 0, "QEMU is in no group of ours, and not root", groups_of(qemu))
        pluck.stop()
        open(os.path.join(place, "refuse"), "w", encoding="ascii").close()
        r = pluck.run("list", "--disk", "a=" + disk, *OPTIONS)
        limits = status(pluck).get("limits", "")
        tap.ok(r.code == 0 and limits.startswith("none") and "status 1" in limits, "a systemd-run that refuses is no failure", r, limits)


def check_user(tap, scratch, disk):
    cache = scratch.new_dir("cache")
    os.chmod(cache, 0o777)
    with Pluck(scratch, "run-user", prefix=AS_NOBODY, program=public_copy(scratch), owner=NOBODY, env={"XDG_CACHE_HOME": cache}) as pluck:
        r = pluck.run("list", "--disk", "a=" + disk, *OPTIONS)
        limits = status(pluck).get("limits", "")
        tap.ok(r.code == 0 and limits, "an ordinary user: it works with and without", r)
        tap.diag("limits of an ordinary user here: " + limits)
        if limits.startswith("none"):
            tap.ok("control groups: " in limits, "and says why there is none", limits)


with Tap() as main_tap, Scratch() as main_scratch:
    top = main_scratch.new_dir("tree")
    images.put(top, "name", b"one")
    image = main_scratch.join("disk.img")
    images.make_ext4(image, 16 * MIB, top, "whole")
    os.chmod(image, 0o644)
    with Pluck(main_scratch) as main_pluck:
        r = main_pluck.run("list", "--disk", "a=" + image, *OPTIONS)
        here = status(main_pluck).get("limits", "")
        main_tap.ok(r.code == 0 and here, "status says what limits QEMU from outside", r, json.dumps(status(main_pluck)))
        main_tap.diag("limits here: " + here)
        if here.startswith("cgroup"):
            check_group(main_tap, main_pluck, image, here)
            check_probes(main_tap, main_scratch, main_pluck, image, here)
            check_killed(main_tap, main_pluck, image)
            main_pluck.run("stop", "--all")
            r = main_pluck.run("list", "--disk", "a=" + image, "--jail", "reduced", *OPTIONS)
            main_tap.ok(r.code == 0 and status(main_pluck).get("limits", "") == here, "the reduced jail has the same", r, status(main_pluck))
        else:
            main_tap.skip("control groups", here)
    if os.geteuid() == 0:
        check_systemd(main_tap, main_scratch, image)
        check_user(main_tap, main_scratch, image)
    else:
        main_tap.skip("systemd-run, and another user", "needs root")
