# SPDX-License-Identifier: GPL-2.0-or-later
"""
What a file system must contain, and what was seen of it.

A manifest has one JSON object a line: {"_image",...}, {"_vol":ID,...} and per entry {"v","p","t","m","u","g","s","mt","n",
"ino","h","l","r","x","err"}; see read_manifest(). Views of the same volume as seen through a listing, a directory or a
tar become the same Entry objects, and compare() tells the differences.
"""

import base64
import fnmatch
import hashlib
import json
import os
import stat
import struct
import subprocess
import tarfile
from decimal import Decimal

TYPES = {"file": "f", "dir": "d", "symlink": "l", "char": "c", "block": "b", "fifo": "p", "socket": "s"}
FIELDS = ("type", "mode", "uid", "gid", "size", "mtime", "links", "target", "rdev", "sha", "xattrs")


class Entry:
    """One file. A field that is None is not known and is not compared."""

    __slots__ = FIELDS + ("path", "ino", "err")

    def __init__(self, path, **known):
        self.path = path
        for name in FIELDS + ("ino", "err"):
            setattr(self, name, known.get(name))


class Volume:
    def __init__(self, ident, info=None):
        self.id = ident
        self.info = info or {}
        self.entries = {}

    def add(self, entry):
        self.entries[entry.path] = entry


class Manifest:
    def __init__(self, name):
        self.name = name
        self.disks = []
        self.volumes = {}

    def save(self, path):
        with open(path, "w", encoding="ascii") as out:
            out.write(json.dumps({"_image": self.name, "disks": self.disks}) + "\n")
            for volume in self.volumes.values():
                out.write(json.dumps(dict(volume.info, _vol=volume.id)) + "\n")
                for entry in volume.entries.values():
                    out.write(json.dumps(entry_to_json(entry, volume.id)) + "\n")


def b64(data):
    return base64.b64encode(data).decode()


def entry_to_json(e, volume):
    names = {v: k for k, v in TYPES.items()}
    o = {"v": volume, "p": b64(e.path), "t": names[e.type]}
    for key, value in (("u", e.uid), ("g", e.gid), ("s", e.size), ("mt", e.mtime), ("n", e.links), ("ino", e.ino),
                       ("h", e.sha), ("err", e.err)):
        if value is not None:
            o[key] = value
    if e.mode is not None:
        o["m"] = "%o" % e.mode
    if e.target is not None:
        o["l"] = b64(e.target)
    if e.rdev is not None:
        o["r"] = list(e.rdev)
    if e.xattrs:
        o["x"] = {k: b64(v) for k, v in e.xattrs.items()}
    return o


def entry_from_json(o):
    e = Entry(base64.b64decode(o["p"]), type=TYPES[o["t"]], uid=o.get("u"), gid=o.get("g"), mtime=o.get("mt"), ino=o.get("ino"),
              sha=o.get("h"), err=o.get("err"))
    if e.err == "too much data":	# the manifest's reader could have read it, and did not
        e.err = None
    e.mode = int(o["m"], 8) if "m" in o else None
    e.size = o.get("s") if e.type == "f" else None
    e.links = o.get("n") if e.type != "d" else None
    e.target = base64.b64decode(o["l"]) if "l" in o else None
    e.rdev = tuple(o["r"]) if "r" in o else None
    e.xattrs = {k: base64.b64decode(v) for k, v in o.get("x", {}).items()}
    return e


def read_manifest(path):
    """Read NAME.jsonl or NAME.jsonl.zst."""
    if path.endswith(".zst"):
        data = subprocess.run(["zstd", "-dcq", path], stdout=subprocess.PIPE, check=True).stdout
    else:
        with open(path, "rb") as f:
            data = f.read()
    m = Manifest(os.path.basename(path).split(".")[0])
    for line in data.splitlines():
        o = json.loads(line)
        if "_image" in o:
            m.disks = o["disks"]
        elif "_vol" in o:
            m.volumes[o["_vol"]] = Volume(o["_vol"], o)
        elif "t" in o:
            m.volumes[o["v"]].add(entry_from_json(o))
    return m


def volume_views(manifest):
    """Volumes by place: {"p1": [Volume]}; "X:noload" and "X:replayed" are two views of X, and either may be seen."""
    views = {}
    for v in manifest.volumes.values():
        name, _, view = v.id.rpartition(":")
        if view in ("noload", "norecovery", "nologreplay", "replayed"):
            views.setdefault(name, []).append(v)
        else:
            views.setdefault(v.id, []).append(v)
    return views


# -- what was seen -----------------------------------------------------------------------------------------------

def from_listing(text, prefix):
    """Entries of `list --recursive --output-format jsonl`. prefix: path of the volume, bytes."""
    seen, problems = {}, []
    for line in text.splitlines():
        o = json.loads(line)
        full = base64.b64decode(o["filepath"], validate=True).lstrip(b"/")
        if full != prefix and not full.startswith(prefix + b"/"):
            problems.append("not beneath %r: %r" % (prefix, full))
            continue
        e = listed_entry(full[len(prefix) + 1:], o)
        if e.path in seen:
            problems.append("listed twice: %r" % full)
        leaf = full.rsplit(b"/", 1)[-1].decode("utf-8", "replace")
        if o["text"] != leaf:
            problems.append("text of %r is %r" % (full, o["text"]))
        if o["leaf"] != (o["type"] not in "dv"):
            problems.append("leaf of %r is %r" % (full, o["leaf"]))
        if "mtime-ns" in o and o.get("mtime", o["mtime-ns"] // 10**9) != o["mtime-ns"] // 10**9:
            problems.append("mtime and mtime-ns of %r differ" % full)
        seen[e.path] = e
    return seen, problems


def listed_entry(path, o):
    """Entry of one JSON object of list or stat."""
    e = Entry(path, type=o["type"], uid=o.get("uid"), gid=o.get("gid"), mtime=o.get("mtime-ns"), ino=o.get("inode"))
    if e.type == "h":
        e.type = "f"
    if e.mtime is None and "mtime-nsec" in o:
        e.mtime = o["mtime"] * 10**9 + o["mtime-nsec"]
    if "mode" in o:
        e.mode = stat.S_IMODE(o["mode"])
        if type_of_mode(o["mode"]) != e.type:
            e.type = "%s, but mode says %s" % (e.type, type_of_mode(o["mode"]))
    e.size = o.get("size") if e.type == "f" else None
    e.links = o.get("links") if e.type != "d" else None
    e.target = base64.b64decode(o["target"]) if "target" in o else None
    e.rdev = tuple(o["rdev"]) if "rdev" in o and e.type in "cb" else None
    if "xattrs" in o:
        e.xattrs = {base64.b64decode(x["name"]).decode("utf-8", "surrogateescape"): base64.b64decode(x["value"])
                    for x in o["xattrs"]}
    e.err = o["error"]["text"] if "error" in o else None
    return e


def type_of_mode(mode):
    for test, letter in ((stat.S_ISREG, "f"), (stat.S_ISDIR, "d"), (stat.S_ISLNK, "l"), (stat.S_ISCHR, "c"),
                         (stat.S_ISBLK, "b"), (stat.S_ISFIFO, "p"), (stat.S_ISSOCK, "s")):
        if test(mode):
            return letter
    return "?"


def hash_file(path):
    """SHA-256; holes are not read."""
    zeros = bytes(1 << 20)
    h = hashlib.sha256()
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        size = os.fstat(fd).st_size
        pos = 0
        while pos < size:
            try:
                data = os.lseek(fd, pos, os.SEEK_DATA)
            except OSError:
                data = size
            while pos < data:
                n = min(len(zeros), data - pos)
                h.update(zeros if n == len(zeros) else zeros[:n])
                pos += n
            if pos >= size:
                break
            hole = os.lseek(fd, pos, os.SEEK_HOLE)
            while pos < hole:
                block = os.pread(fd, min(1 << 20, hole - pos), pos)
                if not block:
                    break
                h.update(block)
                pos += len(block)
            if pos < hole:
                break
    finally:
        os.close(fd)
    return h.hexdigest()


def xattrs_of(path):
    return {name: os.getxattr(path, name, follow_symlinks=False) for name in os.listxattr(path, follow_symlinks=False)}


def entry_from_file(path, name):
    st = os.lstat(path)
    e = Entry(name, type=type_of_mode(st.st_mode), mode=stat.S_IMODE(st.st_mode), uid=st.st_uid, gid=st.st_gid,
              mtime=st.st_mtime_ns, ino=(st.st_dev, st.st_ino))
    if e.type == "f":
        e.size = st.st_size
        e.sha = hash_file(path)
    if e.type != "d":
        e.links = st.st_nlink
    if e.type == "l":
        e.target = os.readlink(path)
    if e.type in "cb":
        e.rdev = (os.major(st.st_rdev), os.minor(st.st_rdev))
    try:
        e.xattrs = xattrs_of(path)
    except OSError:
        pass
    return e


def from_tree(top):
    """Entries of a directory on the host; "" is the directory itself."""
    top = os.fsencode(top)
    seen = {b"": entry_from_file(top, b"")}
    stack = [b""]
    while stack:
        at = stack.pop()
        with os.scandir(os.path.join(top, at)) as it:
            names = [de.name for de in it]
        for name in names:
            rel = os.path.join(at, name)
            e = entry_from_file(os.path.join(top, rel), rel)
            seen[rel] = e
            if e.type == "d":
                stack.append(rel)
    return seen


def tar_time(member):
    text = member.pax_headers.get("mtime")
    if text is None:
        return int(member.mtime) * 10**9
    return int((Decimal(text) * 10**9).to_integral_value(rounding="ROUND_FLOOR"))


def tar_entry(member, path):
    kinds = {tarfile.REGTYPE: "f", tarfile.AREGTYPE: "f", tarfile.GNUTYPE_SPARSE: "f", tarfile.LNKTYPE: "f", tarfile.DIRTYPE: "d",
             tarfile.SYMTYPE: "l", tarfile.CHRTYPE: "c", tarfile.BLKTYPE: "b", tarfile.FIFOTYPE: "p"}
    e = Entry(path, type=kinds.get(member.type, "tar type %r" % member.type), mode=member.mode & 0o7777, uid=member.uid,
              gid=member.gid, mtime=tar_time(member))
    if e.type == "l":
        e.target = member.linkname.encode("utf-8", "surrogateescape")
    if e.type in "cb":
        e.rdev = (member.devmajor, member.devminor)
    mark = "SCHILY.xattr."
    e.xattrs = {k[len(mark):]: v.encode("utf-8", "surrogateescape") for k, v in member.pax_headers.items() if k.startswith(mark)}
    for key, name in (("SCHILY.acl.access", "system.posix_acl_access"), ("SCHILY.acl.default", "system.posix_acl_default")):
        if key in member.pax_headers:
            e.xattrs.setdefault(name, acl_from_text(member.pax_headers[key]))
    return e


def acl_from_text(text):
    """The kernel's form of an ACL of a tar: "user::rw-,user:1000:rwx,..." with numbers, or a number as fourth field."""
    tags = {"user": (1, 2), "group": (4, 8), "mask": (16, 16), "other": (32, 32)}
    entries = []
    for item in text.replace("\n", ",").split(","):
        if item.strip():
            tag, who, perm, *number = item.strip().split(":")
            ident = int(number[0] if number else who) if who else 0xffffffff
            bits = sum(b for c, b in (("r", 4), ("w", 2), ("x", 1)) if c in perm)
            entries.append((tags[tag][1 if who else 0], ident, bits))
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", t, p, i) for t, i, p in sorted(entries))


def tar_name(text):
    path = text.encode("utf-8", "surrogateescape").rstrip(b"/")
    return b"" if path == b"." else path[2:] if path.startswith(b"./") else path


def hash_stream(f):
    h = hashlib.sha256()
    for block in iter(lambda: f.read(1 << 20), b""):
        h.update(block)
    return h.hexdigest()


def from_tar(fileobj):
    """Entries of a tar and the count of bytes behind the end mark that are missing (0: the archive is complete)."""
    seen = {}
    with tarfile.open(fileobj=fileobj, mode="r|", encoding="utf-8", errors="surrogateescape") as tar:
        for member in tar:
            path = tar_name(member.name)
            e = tar_entry(member, path)
            if member.islnk():
                first = seen.get(tar_name(member.linkname))
                if first is None:
                    e.err = "hard link to %r, which is not in the archive before it" % member.linkname
                else:
                    for field in ("type", "size", "sha", "xattrs", "target", "rdev", "ino"):
                        setattr(e, field, getattr(first, field))
            elif e.type == "f":
                e.ino = len(seen) + 1
                e.size = member.size
                e.sha = hash_stream(tar.extractfile(member))
            else:
                e.ino = len(seen) + 1
            seen[path] = e
    return seen


def beneath(seen, root):
    """The entries at and beneath root, with paths relative to it."""
    if root == b"":
        return dict(seen)
    out = {}
    for path, e in seen.items():
        if path == root:
            out[b""] = e
        elif path.startswith(root + b"/"):
            out[path[len(root) + 1:]] = e
    return out


# -- comparing ---------------------------------------------------------------------------------------------------

class Difference:
    def __init__(self, path, field, want, seen):
        self.path, self.field, self.want, self.seen = path, field, want, seen

    def __str__(self):
        return "%r: %s: want %s, seen %s" % (self.path, self.field, short(self.want), short(self.seen))


def short(value):
    text = repr(value)
    return text if len(text) <= 160 else text[:150] + "... (%d characters)" % len(text)


def compare(want, seen, ignore=(), without=()):
    """
    want, seen: {path: Entry}. ignore: fields not compared; without: types that the view cannot hold. Fields that one side does not
    know are not compared. An entry that the manifest could not read ("err") needs no content.
    """
    out = []
    for path, w in want.items():
        if w.type in without:
            if path in seen:
                out.append(Difference(path, "type", "left out", seen[path].type))
            continue
        s = seen.get(path)
        if s is None:
            if w.err is None or path == b"":
                if path != b"":
                    out.append(Difference(path, "entry", w.type, "missing"))
            continue
        if w.err is not None and w.type == "f" and s.sha is not None:
            out.append(Difference(path, "entry", "left out: %s" % w.err, "a file of %s bytes" % s.size))
            continue
        for field in FIELDS:
            a, b = getattr(w, field), getattr(s, field)
            if field in ignore or a is None or b is None or (field == "mode" and w.type == "l"):
                continue
            if a != b:
                out.append(Difference(path, field, a, b))
        if s.err is not None and w.err is None:
            out.append(Difference(path, "error", None, s.err))
    for path in seen:
        if path not in want:
            out.append(Difference(path, "entry", "nothing", seen[path].type))
    out += compare_links(want, seen, without)
    return out


def compare_links(want, seen, without):
    """Names of one file must be names of one file. Groups whose inode number is not unique in the manifest are left alone."""
    groups = {}
    for path, w in want.items():
        if w.ino is not None and (w.links or 0) > 1 and w.type not in without and w.err is None:
            groups.setdefault(w.ino, []).append(path)
    out = []
    for paths in groups.values():
        if len(paths) > want[paths[0]].links:
            continue
        present = [p for p in paths if p in seen and seen[p].ino is not None]
        if len({seen[p].ino for p in present}) > 1:
            out.append(Difference(present[0], "hard links", "one file of %d names" % len(paths),
                                  "%d files" % len({seen[p].ino for p in present})))
    return out


class KnownDifferences:
    """
    The list of true differences. Lines: IMAGE VOLUME VIEW FIELD PATH-PATTERN reason. IMAGE, VOLUME, VIEW (list, dir, tar) and
    FIELD are shell patterns without blanks, the path is one with blanks as "\\040" and the root as ".".
    """

    def __init__(self, path):
        self.rules, self.reasons = [], []
        with open(path, encoding="utf-8") as f:
            for line in f:
                if line.strip() and not line.startswith("#"):
                    parts = line.split(None, 5)
                    if len(parts) < 6:
                        raise ValueError("no reason given: " + line)
                    self.rules.append(parts[:4] + [parts[4].replace("\\040", " ")])
                    self.reasons.append(parts[5].strip())
        self.used = set()

    def filter(self, image, volume, view, differences):
        return [d for d in differences if not self.covers(image, volume, view, d)]

    def covers(self, image, volume, view, d):
        path = d.path.decode("utf-8", "backslashreplace") or "."
        for i, rule in enumerate(self.rules):
            if all(fnmatch.fnmatchcase(x, p) for x, p in zip((image, volume, view, d.field, path), rule)):
                self.used.add(i)
                return True
        return False

    def unused(self):
        """Rules that covered nothing and should have: [text]."""
        return [" ".join(rule) for i, rule in enumerate(self.rules) if i not in self.used and not self.reasons[i].startswith("maybe")]

    def partial(self, image, volume, view):
        """Exit codes beside 0 that the rules for a view explain: {} or {1}, or {0, 1} where they only may."""
        codes = set()
        for rule, reason in zip(self.rules, self.reasons):
            if all(fnmatch.fnmatchcase(x, p) for x, p in zip((image, volume, view), rule)):
                if reason.startswith("maybe"):
                    codes |= {0, 1}
                elif rule[3] in ("entry", "error"):
                    codes.add(1)
        return codes
