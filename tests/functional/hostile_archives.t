#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Hostile file archives through the whole program, with its filters on: an archive for each rule of safe extraction. Nothing may appear
# or change outside of the target, and what is left out shows in the exit code.
import os
import stat
import struct
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import pxar_store as P
from program import AS_NOBODY, LIMITED, NOBODY, Pluck, Scratch, public_copy
from tap import Tap

DIR, FILE, LINK = stat.S_IFDIR | 0o755, stat.S_IFREG | 0o644, stat.S_IFLNK | 0o777
BAD = b"from the archive"


def root(*nodes):
    return [P.Node(b"", DIR), *nodes, None]


def linked(path):
    """A file, and a hard link whose path is another one of the same length."""
    name = b"a" * len(path)
    data = P.encode(root(P.Node(name, FILE, BAD), P.Node(b"link", FILE, link=name)))[0]
    at = data.index(struct.pack("<Q", P.HARDLINK))
    return data[:at + 24] + path + data[at + 24 + len(path):]


class Place:
    """A target directory beside a victim that nothing may touch."""

    def __init__(self, scratch):
        self.top = scratch.new_dir("place")
        self.target, self.victim = os.path.join(self.top, "target"), os.path.join(self.top, "victim")
        self.inside = os.path.join(self.victim, "file")
        for path in self.target, self.victim:
            os.mkdir(path)
        with open(self.inside, "wb") as f:
            f.write(b"mine")
        self.before = self.look()

    def look(self):
        st, inside = os.stat(self.victim), os.stat(self.inside)
        with open(self.inside, "rb") as f:
            return sorted(os.listdir(self.top)), os.listdir(self.victim), f.read(), st.st_mode, inside.st_mode, inside.st_uid, inside.st_nlink

    def is_whole(self):
        return self.look() == self.before


def cases(place):
    """[rule, archive, what is in the target before, options, exit codes, names in the target]"""
    victim = os.fsencode(place.victim)
    out = P.Node(b"out", LINK, target=victim)
    enter = [P.Node(b"out", DIR), P.Node(b"file", FILE, BAD), P.Node(b"new", FILE, BAD), None]
    always = ["--overwrite", "always"]
    return [
        ("a directory behind a symlink of its name", P.encode(root(out, *enter))[0], None, [], (1,), {"out"}),
        ("the same, and what exists is overwritten", P.encode(root(out, *enter))[0], None, always, (1,), None),
        ("a symlink that was there before", P.encode(root(*enter))[0], "out", [], (1,), {"out"}),
        ("the same, and what exists is overwritten", P.encode(root(*enter))[0], "out", always, (1,), {"out"}),
        ("a file where a symlink to a file was before", P.encode(root(P.Node(b"out", FILE, BAD)))[0], "out/file", [], (1,), {"out"}),
        ("the same, and what exists is overwritten", P.encode(root(P.Node(b"out", FILE, BAD)))[0], "out/file", always, (0,), {"out"}),
        ("a file behind a symlink of its name", P.encode(root(P.Node(b"out", LINK, target=victim + b"/file"), P.Node(b"out", FILE, BAD)))[0],
         None, [], (1,), {"out"}),
        ("a hard link to an absolute path", linked(victim + b"/file"), None, [], (5,), None),
        ("a hard link upwards", linked(b"../victim/file"), None, [], (5,), None),
        ("a hard link through a symlink", linked(b"out/file"), "out", [], (1, 5), None),
        ("a hard link to what was there before", linked(b"mine"), "mine", [], (1, 5), None),
        ("a device", P.encode(root(P.Node(b"null", stat.S_IFCHR | 0o666), P.Node(b"ok", FILE, BAD)))[0], None, [], (1,), {"ok"}),
        ("a name that leads upwards", P.encode(root(P.Node(b"../evil", FILE, BAD)))[0], None, [], (5,), None),
        ("a name that is absolute", P.encode(root(P.Node(victim + b"/new", FILE, BAD)))[0], None, [], (5,), None),
        ("a name of two dots", P.encode(root(P.Node(b"..", DIR), P.Node(b"evil", FILE, BAD), None))[0], None, [], (5,), None),
        ("bytes behind the archive", P.encode(root(P.Node(b"ok", FILE, BAD)))[0] + b"more", None, [], (5,), set()),
    ]


def prepare(place, what):
    if what == "mine":
        with open(os.path.join(place.target, "mine"), "wb") as f:
            f.write(b"mine")
    elif what:
        os.symlink(place.victim if what == "out" else place.inside, os.path.join(place.target, "out"))


def in_store(scratch, data, nr):
    store = scratch.join("store-%d" % nr)
    P.make_store(store)
    snap = P.Snapshot(store, "host", "h", 1700000000, "2023-11-14T22:13:20Z")
    snap.add_stream("x.pxar.didx", data)
    return ["--repository", store, snap.finish(), "x.pxar.didx"]


def check_rules(tap, pluck, scratch):
    for i in range(len(cases(Place(scratch)))):
        place = Place(scratch)
        rule, data, before, options, codes, names = cases(place)[i]
        prepare(place, before)
        r = pluck.run("extract", *in_store(scratch, data, i), place.target, *options)
        there = os.listdir(place.target)
        good = (codes is None or r.code in codes) and place.is_whole() and (names is None or set(there) == names) and "evil" not in there
        tap.ok(good and not any(n.startswith(".pluck") for n in there), "extract: %s%s" % (rule, " (overwriting)" if options else ""), r, there, place.look())
        if options:
            continue
        place = Place(scratch)
        prepare(place, before)
        path = scratch.join("x.pxar")
        with open(path, "wb") as f:
            f.write(cases(place)[i][1])
        r = pluck.run("pxar", "extract", path, place.target)
        tap.ok((codes is None or r.code in codes) and place.is_whole() and "evil" not in os.listdir(place.target), "pxar extract: %s" % rule, r,
               os.listdir(place.target), place.look())


def check_metadata(tap, pluck, scratch):
    """setuid and capabilities come with the owner alone, and attributes outside the list not at all."""
    suid = P.Node(b"suid", stat.S_IFREG | 0o4755, BAD, xattrs={b"user.ok": b"1", b"security.evil": b"1", b"system.posix_acl_access": b"1"})
    data = bytearray(P.encode(root(suid, P.Node(b"null", stat.S_IFBLK | 0o666)))[0])
    entry = data.index(struct.pack("<Q", P.ENTRY), 60)
    struct.pack_into("<II", data, entry + 32, 0, 0)	# of root
    source = in_store(scratch, bytes(data), 100)
    os.chmod(scratch.path, 0o755)
    top = scratch.new_dir("as-user")
    os.chown(top, NOBODY, NOBODY)
    program = public_copy(scratch)
    with Pluck(scratch, name="nobody", prefix=AS_NOBODY, program=program, owner=NOBODY) as user:
        r = user.run("extract", *source, "--lock", "none", top)
    path = os.path.join(top, "suid")
    tap.ok(r.code == 1 and os.path.exists(path) and os.stat(path).st_uid == NOBODY and not os.stat(path).st_mode & 0o6000,
           "no setuid without its owner", r, os.listdir(top))
    top = scratch.new_dir("as-root")
    r = pluck.run("extract", *source, top)
    path = os.path.join(top, "suid")
    tap.ok(r.code == 1 and os.stat(path).st_mode & 0o7777 == 0o4755 and os.stat(path).st_uid == 0, "setuid with its owner", r, os.listdir(top))
    tap.ok(not {"security.evil", "system.posix_acl_access"} & set(os.listxattr(path)), "attributes outside the list are left out", os.listxattr(path))


with Tap() as tap, Scratch() as scratch, Pluck(scratch, prefix=LIMITED) as pluck:
    check_rules(tap, pluck, scratch)
    if os.geteuid() == 0:
        check_metadata(tap, pluck, scratch)
    else:
        tap.skip("owners", "needs root")
    tap.equal(pluck.session_pids(), [], "no session was started for any of this")
