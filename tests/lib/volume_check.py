# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks a volume of a disk against its manifest in the three ways it can be read: listing, directory, tar."""

import os

import manifest as M
from images import remove_tree

SHOWN = int(os.environ.get("PLUCK_TEST_SHOWN", "12"))
UNLISTED = "system.ntfs_"	# attributes that the manifests' reader has, but does not list
NOT_RESTORED = ("osx.",)	# unknown to the host: named, and left out in a directory


class VolumeCheck:
    """source: options that name the disks or the snapshot; place: path of the volume ("sda/part/1"); view_names for messages."""

    def __init__(self, tap, pluck, scratch, image, known=None):
        self.tap, self.pluck, self.scratch, self.image, self.known = tap, pluck, scratch, image, known

    def report(self, what, volumes, view, seen, problems=(), ignore=(), without=()):
        """One test: seen equals one of the volumes (views of one file system)."""
        best = None
        if any(v.info.get("fs") == "ntfs-3g" for v in volumes):
            for e in seen.values():
                e.xattrs = None if e.xattrs is None else {k: x for k, x in e.xattrs.items() if not k.startswith(UNLISTED)}
        for v in volumes:
            differences = M.compare(v.entries, seen, ignore, without)
            if self.known is not None:
                differences = self.known.filter(self.image, v.id, view, differences)
            if best is None or len(differences) < len(best):
                best = differences
        notes = list(problems[:SHOWN]) + [str(d) for d in best[:SHOWN]]
        if len(best) > SHOWN:
            notes.append("... %d differences" % len(best))
        return self.tap.ok(not best and not problems, what, *notes)

    def listing(self, source, place, volumes):
        """The recursive listing, and every attribute by stat."""
        r = self.pluck.run("list", *source, "--recursive", "--output-format", "jsonl", place)
        if r.code not in (0, 1) or (r.code == 1) != (b'"error":' in r.out):
            return self.tap.ok(False, "%s %s: list" % (self.image, place), r)
        try:
            seen, problems = M.from_listing(r.out.decode("utf-8"), os.fsencode(place))
        except (ValueError, KeyError) as e:
            return self.tap.ok(False, "%s %s: list" % (self.image, place), "bad line: %r" % e, r.out[:300])
        for path in {b""} | {p for v in volumes for p, e in v.entries.items() if e.xattrs and p in seen}:
            self.stat(source, place, path, seen, problems)
        return self.report("%s %s: list" % (self.image, place), volumes, "list", seen, problems, ignore=("sha",))

    def stat(self, source, place, path, seen, problems):
        full = os.fsencode(place) + (b"/" + path if path else b"")
        o = self.pluck.json("stat", *source, "--output-format", "json", "--", full)
        if o is None:
            problems.append("stat %r failed" % full)
            return
        e = M.listed_entry(path, o)
        if path in seen and any(getattr(seen[path], f) != getattr(e, f) for f in ("type", "mode", "uid", "gid", "size", "mtime")):
            problems.append("stat and list of %r differ" % full)
        if path in seen:
            seen[path].xattrs = e.xattrs or {}
        else:
            seen[path] = e

    def check_code(self, what, view, r, volumes, without, attributes=()):
        """0, or 1 when the manifest has something that cannot be there; each of it must be named."""
        left_out = [e for v in volumes for e in v.entries.values()
                    if e.err or e.type in without or any(n.startswith(attributes) for n in e.xattrs or ())]
        want = {1 if left_out else 0}
        explained = [self.known.partial(self.image, v.id, view) for v in volumes] if self.known else []
        if any(explained):
            want = (want - {0}) | set().union(*explained)
        if len(volumes) > 1:
            want.add(0)
        silent = [e.path for e in left_out if len(volumes) == 1 and e.path.rsplit(b"/", 1)[-1] not in r.err]
        if b"more like these" in r.err:		# the messages are bounded
            silent = []
        if r.code not in want or silent:
            self.tap.ok(False, "%s %s: exit code of %s" % (self.image, r.args[-2], what), "want %s" % want, r, "not named: %s" % silent[:5])

    def directory(self, source, place, volumes):
        """Extracted to a directory, as root with everything."""
        target = self.scratch.new_dir("restored")
        r = self.pluck.run("extract", *source, "--devices", place, target)
        self.check_code("extract to a directory", "dir", r, volumes, (), NOT_RESTORED)
        seen = M.beneath(M.from_tree(target), only_root(os.listdir(os.fsencode(target)), volumes))
        remove_tree(target)
        for v in volumes:
            for path, e in v.entries.items():
                for name, value in (e.xattrs or {}).items():
                    if name.startswith(NOT_RESTORED) and path in seen and seen[path].xattrs is not None:
                        seen[path].xattrs.setdefault(name, value)
        return self.report("%s %s: directory" % (self.image, place), volumes, "dir", seen)

    def tar(self, source, place, volumes):
        path = self.scratch.join("out.tar")
        with open(path, "wb") as out:
            r = self.pluck.run("extract", *source, "--devices", "--format", "tar", place, "-", stdout=out)
        self.check_code("tar", "tar", r, volumes, ("s",))
        try:
            with open(path, "rb") as f:
                members = M.from_tar(f)
        except Exception as e:  # pylint: disable=broad-except
            return self.tap.ok(False, "%s %s: tar" % (self.image, place), "unreadable: %r" % e, r)
        finally:
            os.unlink(path)
        tops = list({p.split(b"/")[0] for p in members if p})
        seen = M.beneath(members, only_root(tops, volumes))
        return self.report("%s %s: tar" % (self.image, place), volumes, "tar", seen, without=("s",), ignore=("links",))

    def all(self, source, place, volumes):
        self.listing(source, place, volumes)
        if os.geteuid() == 0:
            self.directory(source, place, volumes)
        else:
            self.tap.skip("%s %s: directory" % (self.image, place), "owners need root")
        self.tar(source, place, volumes)


def only_root(names, volumes):
    """A whole volume comes as one directory, or as its content: the name that stands above the volume's root, or b""."""
    expected = {p for v in volumes for p in v.entries if p and b"/" not in p}
    return names[0] if len(names) == 1 and names[0] not in expected else b""
