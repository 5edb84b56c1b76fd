#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# An agent that lies: a VM with tests/lib/evil_agent.c as its /init answers what the disk file tells it to. Whatever it says:
# no success, nothing outside the target, no file under its name that was not whole, no raw byte on the terminal, in bounded
# time and memory.
import base64
import hashlib
import os
import resource
import struct
import subprocess
import sys
import urllib.parse

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from program import SANITIZED, Pluck, Scratch, binary, wait_gone
from tap import TOP, Tap

MEMORY = 320 << 20		# address space of a command
SECONDS = 300		# against a hang; 16 384 directories beneath each other, each made under Landlock, take a minute on a busy machine
M64 = (1 << 64) - 1

# -- XXH64, as the trailer wants it

P = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)


def rotl(x, n):
    return ((x << n) | (x >> (64 - n))) & M64


def xxh64(data):
    n, at = len(data), 0
    if n >= 32:
        v = [(P[0] + P[1]) & M64, P[1], 0, -P[0] & M64]
        while at + 32 <= n:
            for i, lane in enumerate(struct.unpack_from("<4Q", data, at)):
                v[i] = rotl((v[i] + lane * P[1]) & M64, 31) * P[0] & M64
            at += 32
        h = (rotl(v[0], 1) + rotl(v[1], 7) + rotl(v[2], 12) + rotl(v[3], 18)) & M64
        for x in v:
            h = ((h ^ (rotl(x * P[1] & M64, 31) * P[0] & M64)) * P[0] + P[3]) & M64
    else:
        h = P[4]
    h = (h + n) & M64
    while at + 8 <= n:
        k = rotl(struct.unpack_from("<Q", data, at)[0] * P[1] & M64, 31) * P[0] & M64
        h = (rotl(h ^ k, 27) * P[0] + P[3]) & M64
        at += 8
    if at + 4 <= n:
        h = (rotl(h ^ (struct.unpack_from("<I", data, at)[0] * P[0] & M64), 23) * P[1] + P[2]) & M64
        at += 4
    for b in data[at:]:
        h = rotl(h ^ (b * P[4] & M64), 11) * P[0] & M64
    h = (h ^ (h >> 33)) * P[1] & M64
    h = (h ^ (h >> 29)) * P[2] & M64
    return h ^ (h >> 32)


# -- answers

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data) if data else b""


def stream(data, entries=1, errors=0, trailer=True):
    end = b"pluck-entries: %d\r\npluck-bytes: %d\r\npluck-errors: %d\r\npluck-xxh64: %016x\r\n" % (entries, len(data), errors, xxh64(data))
    return HEAD + chunk(data) + b"0\r\n" + (end if trailer else b"") + b"\r\n"


# -- pxar

ENTRY, FILENAME, SYMLINK = 0xd5956474e588acef, 0x16701121063917b3, 0x27f971e7dbf5dc5f
DEVICE, HARDLINK, PAYLOAD, GOODBYE = 0x9fc9e906586d5ce9, 0x51269c8422bd7275, 0x28147a1b0b7c1a25, 0x2fec4fa642d5731d
XATTR, PAYLOAD_REF, VERSION = 0x0dab0229b57dcd03, 0x419d3d6bc4ba977e, 0x730f6c75df16a40d


def private_types():
    """The private items' types, from the project's own header."""
    out = {}
    with open(os.path.join(TOP, "common/pxar/format.h"), encoding="utf-8") as f:
        for line in f:
            w = line.split()
            if len(w) >= 3 and w[0] == "#define" and w[1].startswith("PXAR_EXT_"):
                out[w[1][9:]] = int(w[2][9:-1], 16)
    return out


EXT = private_types()
UID = os.getuid()


def item(kind, data=b"", size=None):
    return struct.pack("<QQ", kind, 16 + len(data) if size is None else size) + data


def entry(mode, uid=None, mtime=0):
    uid = UID if uid is None else uid
    return item(ENTRY, struct.pack("<QQIIQII", mode, 0, uid, os.getgid() if uid == UID else uid, mtime & M64, 0, 0))


def name(n):
    return item(FILENAME, n + b"\0")


def file(n, data=b"data", mode=0o100644, extra=b"", after=b"", **kw):
    return name(n) + entry(mode, **kw) + extra + item(PAYLOAD, data) + after


def symlink(n, target):
    return name(n) + entry(0o120777) + item(SYMLINK, target + b"\0")


def bye():
    return item(GOODBYE, struct.pack("<QQQ", 0xef5eed5b753e1555, 0, 40))


def folder(n, members=b"", mode=0o40755):
    return name(n) + entry(mode) + members + bye()


def root(members, end=True):
    return entry(0o40755) + members + (bye() if end else b"")


def hardlink(n, distance, target):
    return name(n) + item(HARDLINK, struct.pack("<Q", distance) + target + b"\0")


def holes(size, *pairs):
    return item(EXT["HOLES"], struct.pack("<Q", size) + b"".join(struct.pack("<QQ", *p) for p in pairs))


def error(code=b"EIO", text=b"bad", off=0, kind="ERROR"):
    return item(EXT[kind], struct.pack("<Q", off) + code + b"\0" + text + b"\0")


GOOD = file(b"good", b"good file")
ESC = b"\x1b[2J\x1b]0;owned\x07\xc2\x9b1m\r\x08"
OK = {"good": b"good file"}


def deep(n):
    out = entry(0o40755)
    out += b"".join(name(b"d") + entry(0o40755) for _ in range(n))
    return out + bye() * (n + 1)


def many_xattrs():
    return b"".join(item(XATTR, b"user.%d\0" % i + b"x" * 60000) for i in range(100))


# name: (pxar stream, exit codes, files that may be there)
ARCHIVES = {
    "empty": (b"", (5,), {}),
    "garbage": (b"\xff" * 4096, (5,), {}),
    "cut-in-head": (root(GOOD)[:40], (5,), {}),
    "cut-in-name": (root(GOOD + file(b"next"))[:-140], (5,), OK),
    "cut-in-data": (root(GOOD, False) + name(b"cut") + entry(0o100644) + item(PAYLOAD, b"x" * 1000, 5000), (5,), OK),
    "no-goodbye": (root(GOOD, False), (5,), OK),
    "bytes-behind": (root(GOOD) + b"x", (5,), OK),
    "name-dotdot": (root(GOOD + file(b"..")), (5,), OK),
    "name-dot": (root(GOOD + file(b".")), (5,), OK),
    "name-slash": (root(GOOD + file(b"a/b")), (5,), OK),
    "name-up": (root(GOOD + file(b"../canary/new")), (5,), OK),
    "name-absolute": (root(GOOD + file(b"/tmp/pluck-evil")), (5,), OK),
    "name-empty": (root(GOOD + file(b"")), (5,), OK),
    "name-nul": (root(GOOD + file(b"a\0b")), (5,), OK),
    "name-no-nul": (root(GOOD + item(FILENAME, b"abc") + entry(0o100644) + item(PAYLOAD)), (5,), OK),
    "name-long": (root(GOOD + file(b"x" * 300)), (1,), OK),
    "name-huge": (root(GOOD + item(FILENAME, b"x" * 10000 + b"\0")), (5,), OK),
    "name-escapes": (root(GOOD + file(b"bad" + ESC, after=error())), (1,), OK),
    "dir-dotdot": (root(GOOD + folder(b"..", file(b"new"))), (5,), OK),
    "twice": (root(GOOD + file(b"good", b"another")), (1,), OK),
    "twice-dir": (root(GOOD + folder(b"good", file(b"x"))), (1,), OK),
    "twice-link": (root(symlink(b"s", b"../canary/secret") + file(b"s", b"overwritten")), (1,), {}),
    "beneath-symlink": (root(GOOD + symlink(b"d", b"../canary") + folder(b"d", file(b"new") + file(b"secret"))), (1,), OK),
    "beneath-symlink-abs": (root(GOOD + symlink(b"d", b"/tmp") + folder(b"d", file(b"pluck-evil"))), (1,), OK),
    "symlink-with-nul": (root(GOOD + name(b"s") + entry(0o120777) + item(SYMLINK, b"a\0b\0")), (5,), OK),
    "hardlink-outside": (root(GOOD + hardlink(b"h", len(GOOD), b"../canary/secret")), (5,), OK),
    "hardlink-absolute": (root(GOOD + hardlink(b"h", len(GOOD), b"/etc/passwd")), (5,), OK),
    "hardlink-other": (root(GOOD + hardlink(b"h", len(GOOD), b"other")), (1,), OK),
    "hardlink-to-symlink": (root(GOOD + symlink(b"s", b"../canary/secret") + hardlink(b"h", len(symlink(b"s", b"../canary/secret")), b"s")), (1,), OK),
    "hardlink-through-symlink": (root(GOOD + symlink(b"d", b"../canary") + hardlink(b"h", len(GOOD + symlink(b"d", b"../canary")), b"d/secret")), (1,), OK),
    "hardlink-forward": (root(GOOD + hardlink(b"h", M64, b"later") + file(b"later")), (5,), OK),
    "hardlink-self": (root(GOOD + hardlink(b"h", 0, b"h")), (5,), OK),
    "deep": (deep(4000), (0,), {}),
    "too-deep": (deep(16400), (5,), {}),
    "device": (root(GOOD + name(b"sda") + entry(0o60666) + item(DEVICE, struct.pack("<QQ", 8, 0))), (1,), OK),
    "device-numbers": (root(GOOD + name(b"sda") + entry(0o60666) + item(DEVICE, struct.pack("<QQ", M64, M64))), (5,), OK),
    "setuid-foreign": (root(GOOD + file(b"su", b"suid", 0o104755, uid=0xffffffff)), (1,), {**OK, "su": b"suid"}),
    "mode-bits": (root(GOOD + name(b"m") + entry(0xffffffffffff)), (5,), OK),
    "kind-mismatch": (root(GOOD + name(b"m") + entry(0o40755) + item(PAYLOAD, b"abc")), (5,), OK),
    "xattr-security": (root(file(b"good", b"good file", extra=item(XATTR, b"security.ima\0abc"))), (1,), OK),
    "xattr-no-name": (root(file(b"x", extra=item(XATTR, b"\0abc"))), (5,), {}),
    "xattr-many": (root(file(b"x", extra=many_xattrs())), (5,), {}),
    "xattr-huge": (root(name(b"x") + entry(0o100644) + item(XATTR, b"user.a\0", 1 << 40)), (5,), {}),
    "item-huge": (root(GOOD + item(FILENAME, b"x", M64)), (5,), OK),
    "item-small": (root(GOOD + item(FILENAME, b"x", 3)), (5,), OK),
    "item-unknown": (root(GOOD + item(0x1234567890)), (5,), OK),
    "payload-huge": (root(GOOD, False) + name(b"h") + entry(0o100644) + item(PAYLOAD, b"abc", 1 << 62), (1, 5, 7), OK),
    "payload-beyond": (root(GOOD, False) + name(b"h") + entry(0o100644) + item(PAYLOAD, b"abc", M64), (5,), OK),
    "payload-short": (root(GOOD, False) + name(b"h") + entry(0o100644) + item(PAYLOAD, b"abc", 30) + bye(), (5,), OK),
    "payload-long": (root(GOOD, False) + name(b"h") + entry(0o100644) + item(PAYLOAD, b"abcdef", 18) + bye(), (5,), {**OK, "h": b"ab"}),
    "payload-twice": (root(GOOD + file(b"h", b"abc") + item(PAYLOAD, b"def")), (5,), {**OK, "h": b"abc"}),
    "payload-ref": (root(GOOD + name(b"h") + entry(0o100644) + item(PAYLOAD_REF, struct.pack("<QQ", 16, 100))), (5,), OK),
    "holes-overlap": (root(GOOD + file(b"h", b"x" * 20, extra=holes(100, (0, 10), (5, 10)))), (5,), OK),
    "holes-touch": (root(GOOD + file(b"h", b"x" * 20, extra=holes(100, (0, 10), (10, 10)))), (5,), OK),
    "holes-descend": (root(GOOD + file(b"h", b"x" * 20, extra=holes(100, (50, 10), (0, 10)))), (5,), OK),
    "holes-beyond": (root(GOOD + file(b"h", b"x" * 20, extra=holes(100, (90, 20)))), (5,), OK),
    "holes-wrap": (root(GOOD + file(b"h", b"x" * 20, extra=holes(100, (M64, 20)))), (5,), OK),
    "holes-empty-segment": (root(GOOD + file(b"h", b"", extra=holes(100, (5, 0)))), (5,), OK),
    "holes-payload": (root(GOOD + file(b"h", b"x" * 5, extra=holes(100, (0, 10)))), (5,), OK),
    "holes-twice": (root(GOOD + file(b"h", b"", extra=holes(100) + holes(100))), (5,), OK),
    "holes-size": (root(GOOD + file(b"h", b"", extra=holes(M64))), (5,), OK),
    "holes-of-dir": (root(GOOD + name(b"d") + entry(0o40755) + holes(10) + bye()), (5,), OK),
    "holes-huge": (root(GOOD + item(EXT["HOLES"], b"", 1 << 50)), (5,), OK),
    "error-alone": (root(GOOD + error() + error()), (5,), OK),
    "error-first": (root(error()), (5,), {}),
    "error-text": (root(GOOD + file(b"h", after=error(text=ESC * 20))), (1,), OK),
    "error-no-nul": (root(GOOD + file(b"h", after=item(EXT["ERROR"], b"\0" * 8 + b"EIO\0abc"))), (5,), OK),
    "error-name": (root(GOOD + file(b"h", after=error(code=ESC))), (1,), OK),
    "error-pipe": (root(GOOD + file(b"h", after=error(code=b"EPIPE"))), (1,), OK),
    "dir-error": (root(GOOD + error(kind="DIR_ERROR")), (1,), OK),
    "dir-error-twice": (root(GOOD + error(kind="DIR_ERROR") + error(kind="DIR_ERROR")), (5,), OK),
    "root-file": (entry(0o100644) + item(PAYLOAD, b"abc"), (5,), {}),
    "root-symlink": (entry(0o120777) + item(SYMLINK, b"/etc\0"), (5,), {}),
    "version": (item(VERSION, struct.pack("<Q", 99)) + root(GOOD), (5,), {}),
    "goodbye-huge": (root(GOOD, False) + item(GOODBYE, b"\0" * 24, 16 + 24 * 10**15), (5,), OK),
    "immutable": (root(GOOD + name(b"im") + item(ENTRY, struct.pack("<QQIIQII", 0o100644, M64, UID, UID, 0, 0, 0)) + item(PAYLOAD, b"x")), (0, 1), {**OK, "im": b"x"}),
}
# answers as they are; the archive in them is good but for what the name says: what came whole may stay
STREAMS = {
    "no-trailer": (stream(root(GOOD), trailer=False), "close", (5,)),
    "bad-hash": (stream(root(GOOD)).replace(b"xxh64: ", b"xxh64: 0")[:-5] + b"\r\n\r\n", "close", (5,)),
    "gave-up": (HEAD + chunk(root(GOOD, False)) + b"0\r\npluck-error: EIO\r\n\r\n", "close", (5,)),
    "gave-up-pipe": (HEAD + chunk(root(GOOD, False)) + b"0\r\npluck-error: EPIPE\r\n\r\n", "close", (5,)),
    "errors-counted": (stream(root(GOOD), errors=3), "close", (1,)),
    "close": (HEAD + chunk(root(GOOD, False)), "close", (5, 6)),
    "both-lengths": (HEAD[:-2] + b"Content-Length: 5\r\n\r\n" + chunk(root(GOOD)), "close", (5,)),
    "error-text": (b"HTTP/1.1 500 No\r\npluck-error: EIO\r\nContent-Length: %d\r\n\r\n" % len(ESC) + ESC, "close", (5,)),
    "error-pipe": (b"HTTP/1.1 500 No\r\npluck-error: EPIPE\r\nContent-Length: 3\r\n\r\nabc", "close", (5,)),
    "ports": (HEAD + chunk(root(GOOD)), "ports", (5, 6)),
}
LISTS = {
    "escapes": (b'{"path":"%s","type":"l","target":"%s"}\n' % (base64.b64encode(b"n" + ESC), base64.b64encode(ESC)), 0, (0,)),
    "error-text": (b'{"path":"YQ==","type":"?","error":{"name":"EIO","text":"\\u001b[2J\\u009b1m"}}\n', 1, (1,)),
    "up": (b'{"path":"Li4veA==","type":"f"}\n', 0, (5,)),
    "absolute": (b'{"path":"L2V0Yw==","type":"f"}\n', 0, (5,)),
    "deep": (b'{"path":' + b"[" * 100000 + b"\n", 0, (5,)),
    "long": (b'{"path":"' + b"Y" * 400000, 0, (5,)),
}
STATS = {
    "escapes": (b'{"data":{"path":"","type":"f","error":{"name":"EIO","text":"\\u001b[2J\\u009b1m\\u007f"}}}', (0, 1)),
    "objects": (b'{"data":{"a":[{}' + b",{}" * 1300000 + b"]}}", (5,)),
}
DISKS = (b'{"data":[{"name":"sda\\u001b[2J","type":"disk","label":"\\u009b1m\\u001b]0;x\\u0007","children":['
         b'{"name":"x","type":"part","path":"%s"}]}]}' % base64.b64encode(b"sda/part/" + ESC))


def sized(data):
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data


def key(route, path):
    end = b" " if route == b"stat" else b"&"
    return b"/%s?path=%s" % (route, urllib.parse.quote(base64.b64encode(path), safe="").encode()) + end


def answers():
    out = [(key(b"extract", b"sda/raw/a-" + n.encode()), stream(a[0]), b"close") for n, a in ARCHIVES.items()]
    out += [(key(b"extract", b"sda/raw/s-" + n.encode()), s[0], s[1].encode()) for n, s in STREAMS.items()]
    out += [(key(b"list", b"sda/raw/l-" + n.encode()), stream(s[0], 1, s[1]), b"close") for n, s in LISTS.items()]
    out += [(key(b"stat", b"sda/raw/t-" + n.encode()), sized(s[0]), b"close") for n, s in STATS.items()]
    out += [(b"/disks ", sized(DISKS), b"close"), (key(b"list", b"sda/raw"), stream(b"", 0), b"close"),
            (key(b"list", b"sda/raw/hang"), HEAD, b"hang"), (b"/run?", stream(ESC), b"close")]
    out += [(key(b"extract", b"sda/raw/" + a), HEAD + chunk(root(GOOD, False)), a) for a in (b"reboot", b"panic")]
    return out


def write_disk(path, table=()):
    head, off = b"EVIL\n", 65536
    for k, data, act in table:
        head += b"%s\t%d\t%d\t%s\n" % (k, off, len(data), act)
        off += -(-len(data) // 512) * 512
    assert len(head) < 65000 and len(table) < 256
    with open(path, "wb") as f:
        f.write(head + b"\n")
        off = 65536
        for _, data, _ in table:
            f.seek(off)
            f.write(data)
            off += -(-len(data) // 512) * 512
        f.truncate(max(off, 1 << 20))


def build_vm(scratch, mode):
    """A library directory with the real kernel and an evil agent."""
    evil, lib = scratch.join("evil-" + mode), scratch.new_dir("lib-" + mode)
    subprocess.run(["cc", "-std=gnu11", "-D_GNU_SOURCE", "-DMODE=\"%s\"" % mode, "-static", "-O1", "-I", TOP, "-o", evil,
                    os.path.join(TOP, "tests/lib/evil_agent.c"), "-lpthread"], check=True)
    subprocess.run([os.path.join(TOP, "initramfs/build.sh"), os.path.join(lib, "initramfs.cpio"), evil], check=True)
    real = os.environ.get("PLUCK_LIBDIR") or os.path.dirname(os.path.realpath(binary()))
    for n in ("vmlinux", "tools.img"):
        os.symlink(os.path.join(real, n), os.path.join(lib, n))
    return lib


# -- what must hold

def checksum(top):
    h = hashlib.sha256()
    for where, dirs, files in os.walk(top):
        dirs.sort()
        for n in sorted(dirs + files):
            p = os.path.join(where, n)
            st = os.lstat(p)
            h.update(repr((p, st.st_mode, st.st_size, st.st_mtime_ns, st.st_uid, st.st_nlink)).encode())
            if os.path.isfile(p) and not os.path.islink(p):
                with open(p, "rb") as f:
                    h.update(f.read())
    return h.hexdigest()


def wrong_files(top, allowed):
    """Regular files that may not be there, or not with what is in them. Does not follow a thousand directories by path."""
    bad, todo = [], [(os.open(top, os.O_RDONLY), "")]
    while todo:
        fd, where = todo.pop()
        with os.scandir(fd) as it:
            for e in it:
                if e.is_dir(follow_symlinks=False):
                    todo.append((os.open(e.name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=fd), where + e.name + "/"))
                elif e.is_file(follow_symlinks=False):
                    n = where + e.name
                    f = os.open(e.name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=fd)
                    if os.read(f, 1 << 16) != allowed.get(n):
                        bad.append(n)
                    os.close(f)
        os.close(fd)
    return bad


def raw_bytes(data):
    """Control bytes of a terminal in an output, C1 in UTF-8 among them."""
    text = data.decode("utf-8", "surrogateescape")
    return sorted({c for c in text if (c < " " and c not in "\n\t") or "\x7f" <= c <= "\x9f" or "\ud800" <= c <= "\udfff"})


def limited():
    if not SANITIZED:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def check(tap, what, r, codes, outputs=True):
    why = []
    if r.code not in codes:
        why.append("exit %s, want %s" % (r.code, codes))
    if r.code not in (0,) and not r.err:
        why.append("no reason given")
    if r.seconds > SECONDS:
        why.append("took %.1f s" % r.seconds)
    raw = raw_bytes(r.err) + (raw_bytes(r.out) if outputs else [])
    if raw:
        why.append("raw bytes %r" % raw)
    return why


def check_extract(tap, pluck, scratch, disk, case, path, codes, allowed):
    area = scratch.new_dir("area")
    for n in ("canary", "target"):
        os.mkdir(os.path.join(area, n))
    with open(os.path.join(area, "canary/secret"), "w", encoding="utf-8") as f:
        f.write("secret")
    before = checksum(os.path.join(area, "canary")), sorted(os.listdir(area))
    target = os.path.join(area, "target")
    r = pluck.run("extract", *disk, "sda/raw/" + path, target, preexec_fn=limited, timeout=SECONDS + 60)
    why = check(tap, case, r, codes)
    if (checksum(os.path.join(area, "canary")), sorted(os.listdir(area))) != before or os.path.lexists("/tmp/pluck-evil"):
        why.append("something outside the target changed")
    bad = wrong_files(target, allowed)
    if bad:
        why.append("files that were not whole: %r" % bad)
    subprocess.run(["chattr", "-R", "-i", "-a", target], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    subprocess.run(["rm", "-rf", area], check=False)
    tap.ok(not why, "extract: " + case, *why, r)


def check_tar(tap, pluck, scratch, disk, case, path, codes):
    with open(scratch.join("out.tar"), "wb") as out:
        r = pluck.run("extract", *disk, "--format", "tar", "sda/raw/" + path, "-", preexec_fn=limited, timeout=SECONDS + 60, stdout=out)
    why = check(tap, case, r, codes)
    with open(scratch.join("out.tar"), "rb") as f:
        data = f.read()
    if r.code not in (0, 1) and data.endswith(b"\0" * 1024):
        why.append("the tar has an end")
    tap.ok(not why, "tar: " + case, *why, r)


def check_answers(tap, pluck, scratch):
    path = scratch.join("good.img")
    write_disk(path, answers())
    disk = ["--disk", "sda=" + path]
    r = pluck.run("list", *disk, "sda/raw", timeout=120)
    if not tap.equal(r.code, 0, "the VM with the evil agent runs", r):
        return
    for n, (_, codes, allowed) in ARCHIVES.items():
        check_extract(tap, pluck, scratch, disk, n, "a-" + n, codes, allowed)
        check_tar(tap, pluck, scratch, disk, n, "a-" + n, codes + (0, 1))
    for n, (_, _, codes) in STREAMS.items():
        check_extract(tap, pluck, scratch, disk, "stream " + n, "s-" + n, codes, OK)
        check_tar(tap, pluck, scratch, disk, "stream " + n, "s-" + n, codes)
    for n, (_, _, codes) in LISTS.items():
        for form in ("text", "json", "jsonl"):
            r = pluck.run("list", *disk, "--output-format", form, "sda/raw/l-" + n, preexec_fn=limited)
            why = check(tap, n, r, codes)
            tap.ok(not why, "list as %s: %s" % (form, n), *why, r)
    for n, (_, codes) in STATS.items():
        r = pluck.run("stat", *disk, "sda/raw/t-" + n, preexec_fn=limited)
        why = check(tap, n, r, codes)
        tap.ok(not why, "stat: " + n, *why, r)
    for form in ("text", "json"):
        r = pluck.run("disks", *disk, "--output-format", form, preexec_fn=limited)
        why = check(tap, "disks", r, (0, 1, 5))
        tap.ok(not why, "disks as %s" % form, *why, r)
    r = pluck.run("run", *disk, "--", "true")
    tap.equal(r.code, 5, "run: no exit status", r)
    r = pluck.run("list", *disk, "--timeout", "3", "sda/raw/hang")
    tap.equal(r.code, 8, "list: silence ends with the time-out", r)
    first = pluck.session_pids()
    r = pluck.run("list", *disk, "sda/raw")
    tap.ok(r.code == 0 and len(first) == 1, "after all that the session still answers", r)
    for n in ("reboot", "panic"):
        check_extract(tap, pluck, scratch, disk, "the VM dies (%s)" % n, n, (5, 6), OK)


def check_start(tap, pluck, scratch):
    for mode in ("silent", "panic", "reboot", "garbage", "endless", "hangup"):
        path = scratch.join(mode + ".img")
        write_disk(path)
        pluck.env["PLUCK_LIBDIR"] = build_vm(scratch, mode)
        r = pluck.run("list", "--disk", "sda=" + path, "--timeout", "10", "sda/raw", timeout=60)
        why = check(tap, mode, r, (5, 6, 8))
        tap.ok(not why, "start: %s" % mode, *why, r)
        pids = pluck.session_pids()
        pluck.stop()
        left = wait_gone(pids, 20)
        tap.ok(not left, "start: %s: nothing is left" % mode, left)


with Tap() as main_tap, Scratch() as main_scratch:
    with Pluck(main_scratch, env={"PLUCK_LIBDIR": build_vm(main_scratch, "good")}) as main_pluck:
        check_answers(main_tap, main_pluck, main_scratch)
        check_start(main_tap, main_pluck, main_scratch)
