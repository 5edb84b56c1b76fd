#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Encrypted and signed snapshots of the official tools: with the key, without, with another; where the key must not be found.
import base64
import hashlib
import json
import os
import pty
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import images
import manifest as M
from program import AS_NOBODY, CONTROL_READY, NOBODY, SANITIZED, Pluck, Scratch, control_request, descendants, full_pipe, public_copy, roles, wait_for, wait_gone
from tap import Tap, test_data
from volume_check import VolumeCheck

HERE = os.path.dirname(os.path.abspath(__file__))
DISK = "vm/100/2024-01-01T00:00:00Z"
SIGNED = "vm/9/2024-01-01T00:00:00Z"
PASS, NEW = "golden pass", "another pass"
FINGERPRINT = b"ea:a5:13:77"
SECRET = b"what nobody else may read "
VARIABLE = "PBS_ENCRYPTION_PASSWORD"


def with_env(pluck, **env):
    return dict(pluck.env, **env)


def stopped(pluck):
    tree = [p for s in pluck.session_pids() for p in [s] + descendants(s)]
    pluck.stop()
    return wait_gone(tree)


def image_snapshots(store):
    """Snapshots with images: [name]."""
    found = []
    for group in sorted(os.listdir(os.path.join(store, "vm"))):
        top = os.path.join(store, "vm", group)
        found += ["vm/%s/%s" % (group, t) for t in sorted(os.listdir(top)) if os.path.isdir(os.path.join(top, t))]
    return found


def check_all_open(tap, pluck, store, key):
    for name in image_snapshots(store):
        r = pluck.run("list", "--repository", store, "--keyfile", key, name, "/", env=with_env(pluck, PBS_ENCRYPTION_PASSWORD=PASS))
        tap.ok(r.code == 0 and b"drive-" in r.out and not r.err, "%s opens with its key" % name, r)


def check_refused(tap, pluck, store, keys):
    scrypt, other = os.path.join(keys, "scrypt.json"), os.path.join(keys, "none.json")
    place = ["--repository", store, DISK, "/"]
    good = with_env(pluck, PBS_ENCRYPTION_PASSWORD=PASS)
    cases = (
        ("without a key", [], pluck.env, b"missing key"), ("with --crypt-mode none", ["--crypt-mode", "none"], good, b"missing key"),
        ("with another key", ["--keyfile", other], good, b"wrong key"),
        ("with a wrong passphrase", ["--keyfile", scrypt], with_env(pluck, PBS_ENCRYPTION_PASSWORD="wrong pass"), b"the usual golden one"),
        ("with a short passphrase", ["--keyfile", scrypt], with_env(pluck, PBS_ENCRYPTION_PASSWORD="four"), b"short"),
        ("without a passphrase or a terminal", ["--keyfile", scrypt], pluck.env, b"PBS_ENCRYPTION_PASSWORD"),
        ("with a passphrase command that fails", ["--keyfile", scrypt], with_env(pluck, PBS_ENCRYPTION_PASSWORD_CMD="false"), b"_CMD"),
        ("with a key file that is not there", ["--keyfile", "/nonexistent.json"], good, b"nonexistent.json"),
        ("with something else as key file", ["--keyfile", "/proc/self/status"], good, b"not a key file"),
        ("--crypt-mode encrypt without a default key", ["--crypt-mode", "encrypt"], good, b"no default key"))
    for what, options, env, text in cases:
        r = pluck.run("list", *options, *place, env=env, start_new_session=True)
        tap.ok(r.code == 4 and text in r.err and not r.out, "%s: exit code 4" % what, r)
        tap.ok(PASS.encode() not in r.err and b"wrong pass" not in r.err, "%s: no passphrase is shown" % what, r)
    for options in (["--keyfile", scrypt, "--crypt-mode", "none"], ["--keyfile", scrypt, "--keyfd", "0"]):
        r = pluck.run("list", *options, *place, env=good)
        tap.ok(r.code == 2 and b"mutually exclusive" in r.err, "%s: exit code 2" % " ".join(o for o in options if o[:2] == "--"), r)
    r = pluck.run("list", "--disk", "a=" + other, "--keyfile", scrypt, "a/raw", env=good)
    tap.ok(r.code == 2, "a key for a plain image: exit code 2", r)
    tap.equal(pluck.session_pids(), [], "none of these started a session")


def check_passphrases(tap, pluck, scratch, store, keys):
    """Every source of the passphrase, and the default key."""
    key = os.path.join(keys, "scrypt.json")
    secret = scratch.join("pass")
    with open(secret, "w", encoding="utf-8") as f:
        f.write(PASS + "\nmore\n")
    place = ["--repository", store, DISK, "/"]
    for what, env in (("_FILE", {VARIABLE + "_FILE": secret}), ("_CMD", {VARIABLE + "_CMD": "sed -n '1p' '%s'" % secret})):
        r = pluck.run("list", "--keyfile", key, *place, env=with_env(pluck, **env))
        tap.ok(r.code == 0, "passphrase from %s" % what, r)
    with open(secret, "rb") as f:
        r = pluck.run("list", "--keyfile", key, *place, env=with_env(pluck, **{VARIABLE + "_FD": str(f.fileno())}), pass_fds=[f.fileno()])
    tap.ok(r.code == 0, "passphrase from _FD", r)
    with open(key, "rb") as f:
        r = pluck.run("list", "--keyfd", str(f.fileno()), *place, env=with_env(pluck, PBS_ENCRYPTION_PASSWORD=PASS), pass_fds=[f.fileno()])
    tap.ok(r.code == 0, "key from --keyfd", r)
    config = scratch.new_dir("config")
    os.mkdir(os.path.join(config, "proxmox-backup"))
    shutil.copy(key, os.path.join(config, "proxmox-backup", "encryption-key.json"))
    r = pluck.run("list", *place, env=with_env(pluck, PBS_ENCRYPTION_PASSWORD=PASS, XDG_CONFIG_HOME=config))
    tap.ok(r.code == 0, "the default key is found", r)
    r = pluck.run("list", "--repository", store, "host/change/2024-01-01T00:00:00Z", "/", env=with_env(pluck, XDG_CONFIG_HOME=config),
                  start_new_session=True)
    tap.ok(r.code == 0, "and not asked for where nothing needs it", r)


def type_at_terminal(pluck, args, answers):
    """Runs pluck on a terminal of its own; waits for each prompt. Return: (exit code, what the terminal showed)."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(pluck.program, [pluck.program] + args, pluck.env)
    shown, answers = b"", list(answers)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            data = os.read(fd, 4096)
        except OSError:
            break
        if not data:
            break
        shown += data
        if answers and shown.rstrip(b" ").endswith(b":") and data.rstrip(b" ").endswith(b":"):
            os.write(fd, answers.pop(0).encode() + b"\n")
    os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown


def check_terminal(tap, pluck, store, keys):
    args = ["list", "--keyfile", os.path.join(keys, "pbkdf2.json"), "--repository", store, DISK, "/"]
    code, shown = type_at_terminal(pluck, args, [PASS])
    tap.ok(code == 4 and b"wrong key" in shown and PASS.encode() not in shown, "a passphrase is asked for without echo", code, shown)
    args[2] = os.path.join(keys, "scrypt.json")
    code, shown = type_at_terminal(pluck, args, ["not this", "nor that", PASS])
    tap.ok(code == 0 and b"drive-scsi0" in shown, "the third try is good", code, shown)
    code, shown = type_at_terminal(pluck, args, ["not this"] * 4)
    tap.ok(code == 4 and shown.count(b"Passphrase") == 3, "there is no fourth", code, shown)


def check_contents(tap, pluck, scratch, store, keys, corpus):
    """The encrypted image against the manifest of the disk that it was made of."""
    known = M.KnownDifferences(os.path.join(HERE, "known-differences.txt"))
    gpt = M.read_manifest(os.path.join(corpus, "ext-gpt-esp-swap.jsonl.zst"))
    pluck.env[VARIABLE] = PASS
    check = VolumeCheck(tap, pluck, scratch, "ext-gpt-esp-swap", known)
    check.all(["--repository", store, "--keyfile", os.path.join(keys, "scrypt.json"), DISK], "drive-scsi0.img.fidx/part/2",
              [gpt.volumes["p2"]])
    del pluck.env[VARIABLE]


def check_second_caller(tap, pluck, store, keys):
    source = ["--repository", store, DISK, "drive-scsi0.img.fidx/part"]
    key = ["--keyfile", os.path.join(keys, "scrypt.json")]
    good = with_env(pluck, PBS_ENCRYPTION_PASSWORD=PASS)
    r = pluck.run("list", *key, *source, env=good)
    pids = pluck.session_pids()
    tap.ok(r.code == 0 and len(pids) == 1, "a session of the encrypted snapshot runs", r)
    for what, options in (("without the key", []), ("with another key", ["--keyfile", os.path.join(keys, "none.json")])):
        r = pluck.run("list", *options, *source, env=good)
        tap.ok(r.code == 4 and not r.out, "a second caller %s is refused" % what, r)
    r = pluck.run("list", *key, *source, env=good)
    tap.ok(r.code == 0 and pluck.session_pids() == pids, "a second caller with the key is served by the same session", r)


def ask_session(pluck, has_key, fingerprint):
    """CONNECT as a program would that never looks at the snapshot. Return: kind and code of the answer's last frame, its payload."""
    name = [n for n in pluck.state_files() if n.endswith(".sock")][0]
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(30)
        s.connect(os.path.join(pluck.state_dir(), name))
        s.sendall(control_request(1, has_key, fingerprint))
        while True:
            _, kind, code, length = struct.unpack("=IIiI", s.recv(16, socket.MSG_WAITALL))
            payload = s.recv(length, socket.MSG_WAITALL) if length else b""
            if kind != 1:
                return kind, code, payload


def check_session_refuses(tap, pluck, fingerprint):
    """The session itself compares: no trust in what the command checked before."""
    for what, has_key, shown in (("none", 0, bytes(32)), ("another", 1, bytes(range(32))), ("one bit more", 1, fingerprint[:-1] + b"\0")):
        kind, code, payload = ask_session(pluck, has_key, shown)
        tap.ok(kind == 3 and code == -129 and b"key" in payload, "the session refuses a caller that shows %s" % what, kind, code, payload)
    kind, code, payload = ask_session(pluck, 1, fingerprint)
    tap.ok(kind == 2 and len(payload) == struct.calcsize(CONTROL_READY), "the session takes the one that shows its key", kind, code)


def key_words(key):
    """What must be nowhere: data key and id key, raw and as text."""
    id_key = hashlib.pbkdf2_hmac("sha256", key, b"_id_key", 10, 32)
    return [f(k) for k in (key, id_key) for f in (bytes, lambda k: k.hex().encode(), lambda k: k.hex().upper().encode(), base64.b64encode)]


HUGE = 8 << 30	# a sanitizer's shadow of all memory: terabytes, and no data of ours


def memory_of(pid, shared):
    """Mappings that can be read: private ones, or also shared."""
    with open("/proc/%d/maps" % pid, encoding="utf-8", errors="replace") as maps, open("/proc/%d/mem" % pid, "rb", buffering=0) as mem:
        for line in maps:
            span, mode = line.split()[:2]
            if "r" not in mode or "[v" in line or (mode[3] == "s" and not shared):
                continue
            at, end = (int(x, 16) for x in span.split("-"))
            if end - at > HUGE:
                continue
            while at < end:
                try:
                    mem.seek(at)
                    yield mem.read(min(end - at, 64 << 20))
                except (OSError, OverflowError):
                    pass
                at += 64 << 20


def holds(pid, words, shared=True):
    return any(w in block for block in memory_of(pid, shared) for w in words)


def check_secrets(tap, pluck, scratch, store, keys, key):
    """Where the key is not: arguments, environment, log, the other processes, the VM's memory."""
    log = scratch.join("session.log")
    stopped(pluck)
    place = ["--repository", store, "--keyfile", os.path.join(keys, "scrypt.json"), DISK]
    env = with_env(pluck, PBS_ENCRYPTION_PASSWORD=PASS, PLUCK_SESSION_LOG=log, PLUCK_LOG="debug")
    r = pluck.run("extract", *place, "drive-scsi0.img.fidx/part/2/docs", "-", "--format", "tar", env=env)
    tap.ok(r.code == 0 and pluck.session_pids(), "a session for the look at secrets", r)
    session = pluck.session_pids()[0]
    who, words = roles(session), key_words(key) + [PASS.encode()]
    tap.equal(set(who), {"session", "broker", "device", "qemu"}, "it has all its processes")
    for role, pid in ((k, v) for k, v in list(who.items()) + [("helper", p) for p in descendants(session) if p not in who.values()]):
        for what in ("cmdline", "environ"):
            with open("/proc/%d/%s" % (pid, what), "rb") as f:
                text = f.read()
            tap.ok(not any(w in text for w in words), "no key in %s of the %s" % (what, role), text)
    for role, pid in who.items():
        with open("/proc/%d/limits" % pid, encoding="utf-8") as f:
            limit = [line.split()[4:6] for line in f if line.startswith("Max core file size")]
        tap.equal(limit, [["0", "0"]], "no core dump of the %s" % role)
    with open(log, "rb") as f:
        text = f.read()
    tap.ok(not any(w in text for w in words), "no key in the session's log", len(text))
    state = b""
    for name in pluck.state_files():
        if not name.endswith(".sock"):
            with open(os.path.join(pluck.state_dir(), name), "rb") as f:
                state += f.read()
    tap.ok(not any(w in state for w in words), "no key in the state files")
    if os.geteuid() == 0:
        tap.ok(holds(who["session"], [key], False), "the session has the key (the search finds it where it is)")
        for role in ("session", "broker"):
            tap.ok(not holds(who[role], words[1:4] + words[5:], False), "the %s has it as bytes alone, and not the passphrase" % role)
        for role in ("device", "qemu"):
            tap.ok(not holds(who[role], words), "no key in the memory of the %s, the VM's and the cache included" % role)
        left = [os.readlink("/proc/%d/fd/%s" % (session, fd)) for fd in os.listdir("/proc/%d/fd" % session)]
        tap.ok(not any("memfd:spec" in n for n in left), "the session has closed what its key came by", left)
    else:
        tap.skip("the memory of the processes", "needs root")


def await_writer(child):
    """Until it is stuck writing to the full pipe, or has ended."""
    def stuck():
        if child.poll() is not None:
            return True
        with open("/proc/%d/wchan" % child.pid, encoding="utf-8") as f:
            return "pipe" in f.read()

    wait_for(stuck, 60)


def dump_of(scratch, argv, env):
    """Ends a program that is stuck writing with SIGABRT, no limit on core dumps. Return: was it there, size of the dump or None."""
    where = scratch.new_dir("dumps")
    r, w = full_pipe()
    child = subprocess.Popen(["prlimit", "--core=unlimited"] + argv, cwd=where, env=env, stdin=subprocess.DEVNULL, stdout=w, stderr=subprocess.DEVNULL)
    os.close(w)
    await_writer(child)
    child.send_signal(signal.SIGABRT)
    os.close(r)
    code = child.wait(60)
    names = os.listdir(where)
    return code == -signal.SIGABRT, os.path.getsize(os.path.join(where, names[0])) if names else None


def dumpable(argv, env):
    """Can a program of another user, stuck writing, be dumped? Then its /proc entries are its own, else root's."""
    r, w = full_pipe()
    child = subprocess.Popen(AS_NOBODY + argv, env=env, stdin=subprocess.DEVNULL, stdout=w, stderr=subprocess.DEVNULL)
    os.close(w)
    await_writer(child)
    there = child.poll() is None
    owner = os.stat("/proc/%d/environ" % child.pid).st_uid if there else None
    os.close(r)
    child.kill()
    child.wait(60)
    return {NOBODY: True, 0: False}.get(owner)


def check_dumpable(tap, scratch, store, key, env):
    if os.geteuid() != 0:
        tap.skip("programs of another user", "needs root")
        return
    program, mine = public_copy(scratch), scratch.join("nobody.json")
    shutil.copy(key, mine)
    os.chown(mine, NOBODY, NOBODY)
    subprocess.run(["chown", "-R", str(NOBODY), store], check=True)
    source = ["--repository", store, "--keyfile", mine, "--lock", "none", "vm/1/2024-01-01T00:00:00Z", "/"]
    tap.ok(dumpable(["yes"], env) is True, "a program that takes no care can be dumped (the look at it finds that)")
    tap.ok(dumpable([program, "list", *source], env) is False, "a command that has the key cannot be dumped")


def check_dumps(tap, pluck, scratch, source, env):
    with open("/proc/sys/kernel/core_pattern", encoding="utf-8") as f:
        pattern = f.read()
    if pattern[0] in "|/" or SANITIZED:
        tap.skip("core dumps", "they go to %s" % pattern.strip())
        return
    hit, size = dump_of(scratch, ["yes"], env)
    if not hit or not size:
        tap.skip("core dumps", "there are none here")
        return
    hit, size = dump_of(scratch, [pluck.program, "list", *source], env)
    tap.ok(hit and size is None, "a command that has the key leaves no core dump", hit, size)


def check_signature(tap, pluck, scratch, store, keys):
    good = with_env(pluck, PBS_ENCRYPTION_PASSWORD=PASS)
    key = ["--keyfile", os.path.join(keys, "scrypt.json"), "--repository", store]
    open_one = "host/change/2024-01-01T00:00:00Z"
    r = pluck.run("list", "--require-signature", *key, SIGNED, "/", env=good)
    tap.ok(r.code == 0 and not r.err, "--require-signature takes a signed snapshot", r)
    r = pluck.run("list", *key, open_one, "/", env=good)
    tap.ok(r.code == 0 and b"NOT SIGNED" in r.err, "an unsigned snapshot with a key: a warning", r)
    r = pluck.run("list", "--require-signature", *key, open_one, "/", env=good)
    tap.ok(r.code == 4 and b"not signed" in r.err and not r.out, "--require-signature refuses it", r)
    r = pluck.run("list", "--require-signature", "--repository", store, open_one, "/")
    tap.ok(r.code == 4, "and without a key", r)
    r = pluck.run("list", "--repository", store, open_one, "/")
    tap.ok(r.code == 0 and not r.err, "without a key there is no warning", r)
    copy = scratch.join("changed")
    shutil.copytree(store, copy, symlinks=True)
    for a, b in (("drive-scsi0.img.fidx", "0"), ("index.json.blob", "1")):
        source = os.path.join(store, "vm/100", "2024-01-02T00:00:00Z", a)
        shutil.copy(source, os.path.join(copy, DISK, a))
        r = pluck.run("list", *key[:2], "--repository", copy, DISK, "drive-scsi0.img.fidx/part", env=good)
        tap.ok(r.code == 5 and not r.out, "files of another snapshot put in place of its own are refused (%s)" % b, r)
    stopped(pluck)


def check_key_command(tap, pluck, scratch, store, keys):
    good = with_env(pluck, PBS_ENCRYPTION_PASSWORD=PASS)
    path = scratch.join("new.json")
    r = pluck.run("key", "create", path, "--kdf", "pbkdf2", "--hint", "a hint", env=good)
    tap.ok(r.code == 0 and os.stat(path).st_mode & 0o7777 == 0o600, "key create", r)
    r = pluck.run("key", "create", path, env=good)
    tap.ok(r.code == 7, "key create does not overwrite", r)
    before = pluck.json("key", "info", path, "--output-format", "json")
    tap.ok(before and before["kdf"] == "pbkdf2" and before["hint"] == "a hint", "key info", before)
    r = pluck.run("key", "change-passphrase", path, env=with_env(pluck, PBS_ENCRYPTION_PASSWORD="wrong one", PLUCK_NEW_PASSPHRASE=NEW))
    tap.ok(r.code == 4 and b"a hint" in r.err, "key change-passphrase wants the old one", r)
    r = pluck.run("key", "change-passphrase", path, env=with_env(pluck, PBS_ENCRYPTION_PASSWORD=PASS, PLUCK_NEW_PASSPHRASE=NEW))
    after = pluck.json("key", "info", path, "--output-format", "json")
    tap.ok(r.code == 0 and after and after["fingerprint"] == before["fingerprint"] and after["kdf"] == "scrypt" and "hint" not in after,
           "key change-passphrase", r, after)
    for name in ("none", "scrypt", "pbkdf2"):
        shown = pluck.json("key", "info", os.path.join(keys, name + ".json"), "--output-format", "json")
        with open(os.path.join(keys, name + ".show.json"), encoding="utf-8") as f:
            want = json.load(f)
        tap.equal({k: v for k, v in (shown or {}).items() if k != "path"}, {k: v for k, v in want.items() if k != "path"},
                  "key info %s.json is what the official tool shows" % name)
    back = scratch.join("back.json")
    r = pluck.run("key", "import-with-master-key", back, "--kdf", "none", "--master-keyfile", os.path.join(keys, "master-private.pem"),
                  "--encrypted-keyfile", os.path.join(store, DISK, "rsa-encrypted.key.blob"),
                  env=with_env(pluck, PLUCK_MASTER_PASSPHRASE="golden master"))
    tap.ok(r.code == 0 and FINGERPRINT in r.out, "key import-with-master-key", r)
    r = pluck.run("list", "--keyfile", back, "--repository", store, DISK, "/")
    tap.ok(r.code == 0, "the imported key opens its snapshot", r)
    with open(back, encoding="utf-8") as f:
        return json.load(f)


def check_own(tap, pluck, scratch):
    """A backup of our own, encrypted and signed."""
    top = scratch.new_dir("tree")
    images.put(top, "secret", SECRET * 4000)
    images.settle_times(top)
    image, store, key = scratch.join("own.img"), scratch.join("own"), scratch.join("own.json")
    images.make_ext4(image, 32 * images.MIB, top, "whole")
    env = with_env(pluck, PBS_ENCRYPTION_PASSWORD=PASS)
    made = [pluck.run("key", "create", key, env=env), pluck.run("datastore", "create", store)]
    for time_, mode in (("2024-01-01T00:00:00Z", "encrypt"), ("2024-01-02T00:00:00Z", "sign-only")):
        made.append(pluck.run("backup", "--repository", store, "--backup-id", "1", "--backup-time", time_, "--keyfile", key,
                              "--crypt-mode", mode, "drive-a.img:" + image, "qemu-server.conf:" + key, env=env))
    tap.equal([r.code for r in made], [0] * 4, "key create, datastore create, backup encrypted and signed", *made)
    chunks = {}
    for path, _, names in os.walk(os.path.join(store, ".chunks")):
        for name in names:
            with open(os.path.join(path, name), "rb") as f:
                chunks.setdefault(f.read(8), []).append(name)
    tap.ok({b"\x7b\x67\x85\xbe\x22\x2d\x4c\xf0", b"\xe6\x59\x1b\xbf\x0b\xbf\xd8\x0b"} & set(chunks), "there are encrypted chunks", chunks)
    for time_, mode in (("2024-01-01T00:00:00Z", "encrypted"), ("2024-01-02T00:00:00Z", "signed")):
        place = ["--repository", store, "vm/1/" + time_, "drive-a.img/raw/secret", "-"]
        r = pluck.run("extract", "--keyfile", key, "--require-signature", *place, env=env)
        tap.ok(r.code == 0 and r.out == SECRET * 4000, "our own %s snapshot gives its file with the key" % mode, r)
        r = pluck.run("extract", *place, env=env)
        tap.ok(r.code == 4 and not r.out, "and nothing without", r)
    listed = pluck.json("snapshots", "--repository", store, "--output-format", "json")
    modes = [{f["crypt-mode"] for f in s["files"] if f["filename"] != "index.json.blob"} for s in listed or []]
    tap.ok(sorted(m for s in modes for m in s) == ["encrypt", "sign-only"] and all("fingerprint" in s for s in listed),
           "snapshots tells how they were made", listed)
    check_dumps(tap, pluck, scratch, ["--repository", store, "--keyfile", key, "vm/1/2024-01-01T00:00:00Z", "/"], env)
    check_dumpable(tap, scratch, store, key, env)
    with open(key, "rb") as f:
        tap.ok(stopped(pluck) == [] and SECRET not in f.read(), "the sessions end")


def check_golden(tap, pluck, scratch, golden, corpus):
    with subprocess.Popen(["zstd", "-dcq", "--long=27", os.path.join(golden, "stores/encrypted.tar.zst")], stdout=subprocess.PIPE) as z:
        subprocess.run(["tar", "-x", "-C", scratch.path], stdin=z.stdout, check=True)
    store, keys = scratch.join("encrypted"), os.path.join(golden, "keys")
    check_all_open(tap, pluck, store, os.path.join(keys, "scrypt.json"))
    check_refused(tap, pluck, store, keys)
    check_passphrases(tap, pluck, scratch, store, keys)
    check_terminal(tap, pluck, store, keys)
    plain = check_key_command(tap, pluck, scratch, store, keys)
    check_signature(tap, pluck, scratch, store, keys)
    check_second_caller(tap, pluck, store, keys)
    check_session_refuses(tap, pluck, bytes.fromhex(plain["fingerprint"].replace(":", "")))
    check_secrets(tap, pluck, scratch, store, keys, base64.b64decode(plain["data"]))
    check_contents(tap, pluck, scratch, store, keys, corpus)


golden, corpus = test_data("PLUCK_GOLDEN", "golden"), test_data("PLUCK_CORPUS", "corpus")
with Tap() as tap, Scratch() as scratch, Pluck(scratch, env={"HOME": scratch.path, "XDG_CONFIG_HOME": scratch.path}) as pluck:
    check_own(tap, pluck, scratch)
    if golden and corpus:
        check_golden(tap, pluck, scratch, golden, corpus)
    else:
        tap.skip("snapshots of the official tools", "no golden data or corpus ($PLUCK_GOLDEN, $PLUCK_CORPUS)")
