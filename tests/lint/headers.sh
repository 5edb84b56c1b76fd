#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Every function of a header that returns something has a comment directly above it: what it returns, and when it fails. One
# comment may serve several that follow each other. Inline functions may speak for themselves.
. "$(dirname "$0")/lib.sh"

mapfile -t headers < <(files '*.h' | grep -v '^tests/')
# shellcheck disable=SC2016 # awk
check_awk '
	FNR == 1 { said = 0; inside = ""; depth = 0 }
	inside == "comment" { if (/\*\//) { inside = ""; said = 1 } next }
	inside == "macro" { if (!/\\$/) inside = ""; next }
	inside == "body" { if (/^\}/) inside = ""; next }
	inside == "prototype" { if (/;[^;]*$/) inside = ""; else if (/\{[ \t]*$/) inside = "body"; next }
	/^[ \t]*\/\*/ { if (/\*\//) said = 1; else inside = "comment"; next }
	/^#/ { if (/\\$/) inside = "macro"; next }
	/^$/ { said = 0; next }
	/^(struct|union|enum)[^(]*\{/ { if (!/\}/) inside = "body"; said = 0; next }
	/^\{/ { inside = "body"; next }
	/^[a-z_].*\(/ {
		match($0, /[A-Za-z0-9_]+\(/)
		name = substr($0, RSTART, RLENGTH - 1)
		if (name ~ /^[A-Z0-9_]+$/ || name == "__attribute__" || /^typedef /)
			next
		if (!said && !/^(void [^*]|static inline )/)
			find(name "() has no comment")
		if (/\{[^}]*$/)
			inside = "body"
		else if (!/[;}][^;]*$/)
			inside = "prototype"
	}
' "${headers[@]}"
