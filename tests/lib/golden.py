# SPDX-License-Identifier: GPL-2.0-or-later
"""Datastores that the official tools wrote: unpacked, with the keys of their snapshots."""

import base64
import json
import os
import subprocess

import manifest as M

STORES = ("plain", "encrypted")
OLD = ("server-0.8.9", "server-1.1.14", "server-4.2.3")
ACCESS, DEFAULT, CAPS = "system.posix_acl_access", "system.posix_acl_default", "security.capability"
STORED = ("user.", "trusted.", "security.NTACL", CAPS, ACCESS, DEFAULT)	# attributes that the writers store, of files and directories
CHANGED = {"2024-01-02": "scrypt", "2024-01-03": "none"}	# host/change: a key that came, another one, none again


def lines_of(path):
    """The objects of a compressed file of JSON lines."""
    data = subprocess.run(["zstd", "-dcq", path], stdout=subprocess.PIPE, check=True).stdout
    return [json.loads(line) for line in data.splitlines()]


def entry(o):
    """What an archive holds of a line of a manifest; .ino: the first name of a hard link."""
    e = M.Entry(base64.b64decode(o["p"]), type=o["t"], mode=int(o["m"], 8), uid=o["u"], gid=o["g"], mtime=o["sec"] * 10**9 + o["ns"], sha=o.get("h"))
    e.size = o.get("s") if e.type == "f" else None
    e.target = base64.b64decode(o["l"]) if "l" in o else None
    e.rdev = tuple(o["r"]) if "r" in o else None
    e.xattrs = {base64.b64decode(k).decode("utf-8", "surrogateescape"): base64.b64decode(v) for k, v in o.get("x", {}).items()}
    if "fc" in o:
        e.xattrs[CAPS] = base64.b64decode(o["fc"])
    for key, name in (("acl", ACCESS), ("dacl", DEFAULT)):
        if key in o:
            e.xattrs[name] = M.acl_from_text(o[key])
    e.xattrs = {k: v for k, v in e.xattrs.items() if e.type in "fd" and (k.startswith(STORED) or k in STORED)}
    e.ino = o["hl"] if "hl" in o else o["p"]
    return e


def unpack(path, into):
    with subprocess.Popen(["zstd", "-dcq", "--long=27", path], stdout=subprocess.PIPE) as z:
        subprocess.run(["tar", "-x", "-C", into], stdin=z.stdout, check=True)


def key_file(top, store, snapshot):
    """The key file of a snapshot; None if it was made without one."""
    group, time = snapshot.split("/")[1:]
    name = None
    if store in OLD:
        version = group.split("-")
        kind = [k for k in ("enc", "sign", "nokdf") if k in version]
        name = kind and "%s-%s" % (".".join(version[:3])[1:], "none" if kind[0] == "nokdf" else "scrypt")
    elif store == "encrypted":
        name = {"nokdf": "none", "pbkdf2": "pbkdf2", "change": CHANGED.get(time[:10])}.get(group, "scrypt")
    return os.path.join(top, "keys", name + ".json") if name else None


class Store:
    def __init__(self, golden, name, scratch):
        self.top = os.path.join(golden, "old") if name in OLD else golden
        self.name, self.path = name, scratch.join(name)
        unpack(os.path.join(self.top, "stores", name + ".tar.zst"), scratch.path)

    def contents(self):
        """Rows of what its files decode to, with the snapshot's "ns" apart from its "snapshot"."""
        rows = lines_of(os.path.join(self.top, "stores", self.name + ".contents.jsonl.zst"))
        for row in rows:
            parts = row["snapshot"].split("/")
            row["snapshot"], row["ns"] = "/".join(parts[-3:]), "/".join(parts[1:-3:2])
        return rows

    def key(self, snapshot):
        return key_file(self.top, self.name, snapshot)

    def source(self, snapshot, ns=""):
        """Arguments that name a snapshot."""
        key = self.key(snapshot)
        return ["--repository", self.path] + (["--ns", ns] if ns else []) + (["--keyfile", key] if key else []) + [snapshot]

    def env(self, env):
        return dict(env, PBS_ENCRYPTION_PASSWORD="old pass" if self.name in OLD else "golden pass")
