#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Who may include whom (the table of docs/architecture.md); includes are written from the root and exist.
. "$(dirname "$0")/lib.sh"

# FOLDER: what its files may include. The longest folder that fits counts; a folder stands for all beneath it.
rules='
common:             common
agent:              agent common
host:               host/exit.h common
host/source:        host/source common
host/source/store:  host/source/source.h host/source/chunks.h host/source/store common
host/source/remote: host/source/source.h host/source/chunks.h host/source/remote host/source/store common
host/link:          host/link common
host/dev:           host/dev host/link common
host/confine:       host/confine common
host/vm:            host/vm host/confine common
host/session:       host/session host/vm host/confine host/link host/source host/dev/dev.h common
host/client:        host/client common
host/restore:       host/restore common
host/archive:       host/archive host/restore host/source common
host/mount:         host/mount host/client common
host/cli:           host common
initramfs:          initramfs
tests:              tests common agent host
'

mapfile -t sources < <(files '*.c' '*.h')
# shellcheck disable=SC2016 # awk
RULES=$rules check_awk '
	function beneath(path, folder) { return path == folder || index(path, folder "/") == 1 }
	function folder_of(path,  f, best) {
		best = ""
		for (f in allowed)
			if (beneath(path, f) && length(f) > length(best))
				best = f
		return best
	}
	function may(from, to,  list, n, i) {
		n = split(allowed[from], list, " ")
		for (i = 1; i <= n; i++)
			if (beneath(to, list[i]))
				return 1
		return beneath(from, "host") && to == "host/exit.h"
	}
	function exists(path,  line, r) { r = (getline line < path) >= 0; close(path); return r }
	BEGIN {
		n = split(ENVIRON["RULES"], lines, "\n")
		for (i = 1; i <= n; i++)
			if (split(lines[i], kv, ":") == 2)
				allowed[kv[1]] = kv[2]
	}
	FNR == 1 {
		from = folder_of(FILENAME)
		if (from == "")
			find("no rule in tests/lint/arrows.sh for this folder")
	}
	/^[ \t]*#[ \t]*include[ \t]+"/ {
		split($0, part, "\"")
		to = part[2]
		if (to ~ /(^|\/)\.\.?\//)
			find("include \"" to "\" is not written from the root")
		else if (!exists(to))
			find("include \"" to "\" does not exist (paths are from the root)")
		else if (from != "" && !may(from, to))
			find(from "/ may not include \"" to "\"")
	}
' "${sources[@]}"
