# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Sourced by the checks. A check prints "FILE:LINE: what is wrong" for each finding and fails when there is any.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# files PATTERN...: files of the project, new ones included, ignored ones not; test data is not ours to judge
files() {
	if [ -e .git ]; then
		git ls-files -co --exclude-standard -- "$@"
	else
		local p
		for p in "$@"; do
			find . -path ./build -prune -o -path "./build-*" -prune -o -type f -path "./$p" -printf '%P\n'
			find . -path ./build -prune -o -path "./build-*" -prune -o -type f -path "./*/$p" -printf '%P\n'
		done
	fi | grep -v '^tests/fuzz/corpus/' | sort -u | while read -r f; do
		if [ -f "$f" ]; then printf '%s\n' "$f"; fi
	done
}

# An awk program over files, one by one: it counts findings with find(text).
check_awk() {
	local program=$1
	shift
	[ $# -gt 0 ] || return 0
	# shellcheck disable=SC2016 # $0 is awk's
	awk 'function find(text) { print FILENAME ":" FNR ": " text; findings++ }
		function find_at(line, text) { print FILENAME ":" line ": " text; findings++ }'"
		$program
		END { exit findings > 0 }" "$@"
}
