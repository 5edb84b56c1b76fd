#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# The lock of a snapshot: held while a session reads it, refused while another has it, chosen by --lock.
import fcntl
import os
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import images
from images import MIB
from program import Pluck, Scratch
from tap import Tap


def make_snapshot(scratch, pluck):
    """(datastore, snapshot, its directory)"""
    top = scratch.new_dir("tree")
    images.make_common_tree(top)
    disk = scratch.join("disk.img")
    images.make_ext4(disk, 32 * MIB, top, "whole")
    store = scratch.join("store")
    pluck.run("datastore", "create", store)
    pluck.run("backup", "--repository", store, "--backup-id", "100", "--backup-time", "1700000000", "drive-scsi0.img:" + disk)
    path = os.path.join(store, "vm", "100", "2023-11-14T22:13:20Z")
    return store, "vm/100/2023-11-14T22:13:20Z", path


def try_exclusive(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(fd)


# A server's lock directory and an /etc that is ours, in a mount namespace.
SERVER = """mount -t tmpfs none /run && mkdir -p /run/proxmox-backup/locks && mount -t tmpfs none /mnt && mkdir /mnt/u /mnt/w &&
mount -t overlay none -o lowerdir=/etc,upperdir=/mnt/u,workdir=/mnt/w /etc && mkdir -p /etc/proxmox-backup && %s && exec "$@" """
CONFIG = "/etc/proxmox-backup/datastore.cfg"


def check_server(tap, scratch, store, args):
    """The locks of a server on the same host."""
    known = ["unshare", "-m", "sh", "-c", SERVER % ("printf 'datastore: ds\\n\\tpath %s\\n' '" + store + "' >" + CONFIG), "sh"]
    unknown = ["unshare", "-m", "sh", "-c", SERVER % ("mkdir " + CONFIG), "sh"]
    if subprocess.run(known + ["true"], stderr=subprocess.DEVNULL, check=False).returncode:
        tap.skip("locks of a server", "needs root and overlay mounts")
        return
    with Pluck(scratch, "run-known", prefix=known) as pluck:
        r = pluck.run(*args, "--lock", "require")
        tap.ok(r.code == 0, "--lock require with a server on the host", r)
        pids = pluck.session_pids()
        locks = "/proc/%d/root/run/proxmox-backup/locks/ds" % pids[0] if pids else ""
        want = os.path.join(locks, "vm-100-2023\\x2d11\\x2d14T22\\x3a13\\x3a20Z")
        tap.ok(pids and os.path.exists(want) and not try_exclusive(want), "its lock file is held", os.listdir(locks) if pids else "no session")
    with Pluck(scratch, "run-unknown", prefix=unknown) as pluck:
        r = pluck.run(*args, "--lock", "require")
        tap.ok(r.code not in (0, "timeout") and b"cannot be locked" in r.err, "--lock require where the server's name is unknown", r)
        r = pluck.run(*args)
        tap.ok(r.code == 0 and b"cannot be locked" in r.err, "--lock auto warns there and goes on", r)


# A datastore is 65536 directories: in memory, where that is possible.
PARENT = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None

with Tap() as tap, Scratch(PARENT) as scratch, Pluck(scratch) as pluck:
    store, snapshot, path = make_snapshot(scratch, pluck)
    args = ["list", "--repository", store, snapshot, "drive-scsi0/raw"]
    r = pluck.run(*args, "--lock", "require")
    tap.ok(r.code == 0 and b"etc" in r.out, "--lock require where the lock can be had", r)
    tap.ok(not try_exclusive(path), "nobody can remove the snapshot while its session lives")
    r = pluck.run(*args)
    tap.ok(r.code == 0 and not r.err, "a second reader is no hindrance", r)
    pluck.stop()
    tap.ok(os.path.isdir(path) and try_exclusive(path), "the lock goes with the session")
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    for how in ("auto", "require"):
        r = pluck.run(*args, "--lock", how)
        tap.ok(r.code not in (0, "timeout") and b"locked" in r.err, "a snapshot at work is refused with --lock %s" % how, r)
    r = pluck.run(*args, "--lock", "none")
    tap.ok(r.code == 0 and b"etc" in r.out, "--lock none reads it", r)
    pluck.stop()
    fcntl.flock(fd, fcntl.LOCK_SH)
    r = pluck.run(*args, "--lock", "none")
    tap.ok(r.code == 0, "beside another reader", r)
    fcntl.flock(fd, fcntl.LOCK_UN)
    tap.ok(try_exclusive(path), "--lock none takes none")
    os.close(fd)
    check_server(tap, scratch, store, args)
