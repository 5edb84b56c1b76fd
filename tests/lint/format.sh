#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Cheap rules of form; .clang-format has the rest for editors. Lines: 120 characters; comments and
# the tables of tests 160.
. "$(dirname "$0")/lib.sh"
failed=0

mapfile -t sources < <(files '*.c' '*.h')
# shellcheck disable=SC2016 # awk
check_awk '
	FNR == 1 { body = 0; in_comment = 0 }
	/^ +[^ *]/ || /^ +$/ || /^\t* {8}/ { if (!in_comment && !/\\$/) find("indented with spaces") }
	/^\t* +\t/ { find("space before a tab") }
	{
		if ($0 ~ /\/\*/) in_comment = 1
		comment = in_comment || $0 ~ /\/\//
		if ($0 ~ /\*\//) in_comment = 0
		limit = (comment || FILENAME ~ /^tests\//) ? 160 : 120
		if (length($0) > limit)
			find("longer than " limit " characters (" length($0) ")")
	}
	FNR == 801 { find("more than 800 lines: one job each?") }
	/^\{/ { body = FNR }
	/^\}/ {
		if (body && FNR - body > 80)
			find_at(body, "function of " FNR - body " lines does not fit a screen")
		body = 0
	}
' "${sources[@]}" || failed=1

mapfile -t text < <(files '*.c' '*.h' '*.sh' '*.t' '*.config' '*.list' '*.txt' Makefile .ci/run '*.md' '*.yaml')
# shellcheck disable=SC2016 # awk
check_awk '
	/[ \t]$/ { find("white space at the end") }
	/\r/ { find("carriage return") }
	/^(<<<<<<<|>>>>>>>) / { find("left of a merge") }
' "${text[@]}" || failed=1
for f in "${text[@]}"; do
	if [ -s "$f" ] && [ -n "$(tail -c 1 "$f")" ]; then
		echo "$f:$(wc -l <"$f"): no end of line at the end of the file"
		failed=1
	fi
done
exit "$failed"
