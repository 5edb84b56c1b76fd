#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# The agent's API as docs/api.md describes it, spoken by hand over a session's socket.
import base64
import json
import os
import re
import shutil
import socket
import struct
import sys
import time
import urllib.parse

import jsonschema
import yaml

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import images
from images import MIB
from program import CONTROL_READY, Pluck, Scratch, control_request
from tap import TOP, Tap

TEXT = bytes(range(256)) * 4000


class Agent:
    """A connection to the agent of the one session that runs."""

    def __init__(self, pluck):
        name = [n for n in pluck.state_files() if n.endswith(".sock")][0]
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(os.path.join(pluck.state_dir(), name))
        self.sock.sendall(control_request())
        kind = 1
        while kind == 1:
            _, kind, _, length = struct.unpack("=IIiI", self.sock.recv(16, socket.MSG_WAITALL))
            payload = self.sock.recv(length, socket.MSG_WAITALL) if length else b""
        self.ticket = struct.unpack(CONTROL_READY, payload)[0].decode()
        self.file = self.sock.makefile("rb")

    def close(self):
        self.file.close()
        self.sock.close()

    def fields(self):
        found = {}
        while True:
            line = self.file.readline().rstrip(b"\r\n").decode()
            if not line:
                return found
            key, value = line.split(":", 1)
            found[key.lower()] = value.strip()

    def body(self, head):
        if "content-length" in head:
            return self.file.read(int(head["content-length"])), {}
        data = b""
        while True:
            size = int(self.file.readline(), 16)
            if not size:
                return data, self.fields()
            data += self.file.read(size)
            self.file.readline()

    def get(self, what, path=None, ticket=None, **params):
        if path is not None:
            params["path"] = base64.b64encode(path)
        query = "?" + urllib.parse.urlencode(params) if params else ""
        ticket = self.ticket if ticket is None else ticket
        self.sock.sendall(("GET /api2/json/%s%s HTTP/1.1\r\nHost: agent\r\nAuthorization: %s\r\n\r\n" % (what, query, ticket)).encode())
        status = int(self.file.readline().split()[1])
        head = self.fields()
        data, trailer = self.body(head)
        return status, head, data, trailer


def data_of(answer):
    return json.loads(answer[2])["data"]


def check_plain(tap, agent):
    file = b"a/raw/etc/bytes"
    for what, params, want in (("a whole file", {}, TEXT), ("a range", {"offset": 1000, "length": 70000}, TEXT[1000:71000]),
                               ("from an offset on", {"offset": 999990}, TEXT[999990:]),
                               ("a range over the end", {"offset": len(TEXT) - 3, "length": 10}, TEXT[-3:]),
                               ("a range behind the end", {"offset": len(TEXT) + 5, "length": 10}, b"")):
        status, _, data, trailer = agent.get("extract", file, format="plain", **params)
        tap.ok(status == 200 and data == want, what, status, len(data))
        tap.equal((trailer.get("pluck-bytes"), trailer.get("pluck-errors"), trailer.get("pluck-entries")), (str(len(want)), "0", "1"),
                  what + ": its trailer")
    for what, params in (("a negative offset", {"offset": -1}), ("an unknown format", {"format": "zip"}), ("an unknown parameter", {"x": 1})):
        status, head, _, _ = agent.get("extract", file, **{"format": "plain", **params})
        tap.equal((status, head.get("pluck-error")), (400, "EINVAL"), what + " is refused")
    status, head, data, _ = agent.get("extract", b"a/raw/etc", format="plain")
    tap.ok(status == 400 and b"cannot stream dir" in data, "a directory as plain is refused", status, data)


def check_lists(tap, agent):
    entries = data_of(agent.get("list", b"a/raw/etc"))
    tap.equal(sorted((e["text"], e["type"], e["leaf"]) for e in entries), [("bytes", "f", True), ("holes", "f", True), ("link", "f", True)],
              "list in the form of the reference: files and directories, links as what they point to")
    tap.equal(base64.b64decode(entries[0]["filepath"]).rsplit(b"/", 1)[0], b"a/raw/etc", "its filepath")
    status, _, data, trailer = agent.get("list", b"a/raw/etc", ext=1)
    lines = [json.loads(s) for s in data.splitlines()]
    tap.equal(sorted(base64.b64decode(e["path"]) for e in lines), [b"bytes", b"holes", b"link"], "list with ext: every type")
    tap.equal(trailer.get("pluck-entries"), str(len(lines)), "its trailer counts the lines")
    link = [e for e in lines if e["type"] == "l"][0]
    tap.equal(base64.b64decode(link["target"]), b"bytes", "a link's target")
    status, head, data, _ = agent.get("list", b"a/raw/nothing", ext=1)
    tap.equal((status, head.get("pluck-error")), (404, "ENOENT"), "a missing path")
    for path, text in ((b"b/raw", b"given image 'b' not found"), (b"a/zpool", b"invalid bucket"), (b"a/part/x", b"bucket")):
        status, _, data, _ = agent.get("list", path)
        tap.ok(status >= 400 and text in data, "list of %s says why not" % path.decode(), status, data)


def check_others(tap, agent):
    tap.equal(data_of(agent.get("map", b"a/raw/etc/holes")), {"size": 8 * MIB, "data": [[4 * MIB, 4096]]}, "map of a sparse file")
    e = data_of(agent.get("stat", b"a/raw/etc/bytes"))
    tap.equal((e["type"], e["size"], e["mode"]), ("f", len(TEXT), 0o100640), "stat")
    disks = data_of(agent.get("disks"))
    tap.equal([(d["name"], d["type"]) for d in disks], [("a", "disk"), ("dirty", "disk")], "disks")
    for ext in ({}, {"ext": 1}):
        _, _, data, trailer = agent.get("extract", b"a/raw/etc/holes", format="pxar", **ext)
        small = len(data) < MIB
        tap.ok(trailer.get("pluck-errors") == "0" and small == bool(ext), "pxar%s" % (" with ext leaves holes out" if ext else ""), len(data))


def check_ticket(tap, agent):
    status = data_of(agent.get("status", ticket="x"))
    tap.ok(status["timeout"] <= 660 and status["uptime"] >= 0, "status needs no ticket", status)
    begin = time.monotonic()
    code, _, data, _ = agent.get("list", b"a/raw", ticket="0" * 64)
    tap.ok(code == 401 and data == b"authentication failed" and time.monotonic() - begin > 2.5, "a wrong ticket is refused, late", code, data)


def load_openapi():
    """The description, its objects closed: what an answer has beyond it is a difference."""
    with open(os.path.join(TOP, "docs/openapi.yaml"), encoding="utf-8") as f:
        spec = yaml.safe_load(f)
    todo = [spec]
    while todo:
        o = todo.pop()
        todo += o.values() if isinstance(o, dict) else o if isinstance(o, list) else []
        if isinstance(o, dict) and o.get("type") == "object" and "properties" in o:
            o["additionalProperties"] = False
    return spec


def differences(spec, path, media, value):
    schema = spec["paths"][path]["get"]["responses"]["200"]["content"][media]["schema"]
    return [e.message for e in jsonschema.Draft4Validator(dict(schema, components=spec["components"])).iter_errors(value)]


def check_openapi(tap, agent):
    """docs/openapi.yaml against the agent: its requests, their parameters, and the shape of answers."""
    spec = load_openapi()
    with open(os.path.join(TOP, "agent/api.c"), encoding="utf-8") as f:
        routes = set(re.findall(r'WIRE_API "(/[a-z]+)"', f.read()))
    tap.equal(set(spec["paths"]), routes, "the description has every request that the agent knows")
    known = {}
    for path, item in spec["paths"].items():
        listed = item["get"].get("parameters", [])
        known[path] = {p["$ref"].rsplit("/", 1)[1] if "$ref" in p else p["name"] for p in listed}
    wrong = []
    for path, names in known.items():
        for name in set.union(*known.values()) | {"bogus"}:
            # a second, unknown one: none of these requests is carried out
            _, _, data, _ = agent.get("%s?%s=1&zzz=1" % (path[1:], name))
            refused = b"'%s' is not known here" % name.encode() in data
            if refused == (name in names) or b"is not known here" not in data:
                wrong.append((path, name, data))
    tap.ok(not wrong, "and their parameters, no more and no less", *wrong)

    answers = [("/status", "application/json", agent.get("status")), ("/disks", "application/json", agent.get("disks")),
               ("/list", "application/json", agent.get("list", b"a/raw/etc")), ("/stat", "application/json", agent.get("stat", b"a/raw/etc/bytes")),
               ("/stat", "application/json", agent.get("stat", b"a/raw/etc/link")), ("/map", "application/json", agent.get("map", b"a/raw/etc/holes"))]
    for path, media, (status, head, data, _) in answers:
        tap.equal((status, head.get("content-type"), differences(spec, path, media, json.loads(data))), (200, media, []),
                  "an answer to %s is as described" % path)
    _, head, data, _ = agent.get("list", b"a/raw", ext=1, recursive=1)
    lines = [json.loads(s) for s in data.splitlines()]
    tap.equal((head.get("content-type"), [d for o in lines for d in differences(spec, "/list", "application/jsonl", o)]), ("application/jsonl", []),
              "and so is every line of a listing", len(lines))


def check_notes(tap, agent):
    """The header of answers about a volume that was not unmounted, as the description has it; none about others."""
    spec = load_openapi()
    said = "not unmounted cleanly: its journal is not replayed"
    asked = {"/list": {}, "/stat": {}, "/map": {}, "/extract": {"format": "plain"}}
    for path, item in spec["paths"].items():
        headers = item["get"]["responses"]["200"].get("headers", {})
        tap.equal("pluck-note" in headers, path in asked, "the description gives %s %s" % (path, "a note" if path in asked else "no note"))
    for path, params in asked.items():
        for disk, note in ((b"dirty", said), (b"a", None)):
            status, head, _, _ = agent.get(path[1:], disk + (b"/raw" if path == "/list" else b"/raw/etc/bytes"), **params)
            tap.equal((status, head.get("pluck-note")), (200, note), "%s of disk %s: %s" % (path, disk.decode(), note))
    status, head, _, _ = agent.get("list", b"dirty/raw/none")
    tap.equal((status, head.get("pluck-note")), (404, None), "an error has no note")
    status, head, _, _ = agent.get("list", b"dirty")
    tap.equal((status, head.get("pluck-note")), (200, None), "nor has a list of buckets")


def main():
    with Tap() as tap, Scratch() as scratch, Pluck(scratch) as pluck:
        top = scratch.new_dir("tree")
        images.put(top, "etc/bytes", TEXT, mode=0o640)
        os.symlink("bytes", os.path.join(top, "etc/link"))
        with open(os.path.join(top, "etc/holes"), "wb") as f:
            f.truncate(8 * MIB)
            f.seek(4 * MIB)
            f.write(b"x" * 4096)
        disk = scratch.join("a.img")
        images.make_ext4(disk, 32 * MIB, top, "whole")
        dirty = scratch.join("dirty.img")
        shutil.copyfile(disk, dirty)
        images.run("debugfs", "-w", "-R", "feature needs_recovery", dirty)
        pluck.run("list", "--disk", "a=" + disk, "--disk", "dirty=" + dirty, "a/raw")
        agent = Agent(pluck)
        check_plain(tap, agent)
        check_lists(tap, agent)
        check_others(tap, agent)
        check_openapi(tap, agent)
        check_notes(tap, agent)
        check_ticket(tap, agent)
        agent.close()


main()
