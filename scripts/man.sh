#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# man.sh PLUCK: the manual page with the usage and options of each command, as the program PLUCK tells them
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
pluck=$1

# What groff takes as it is: no hyphens of its own making, no requests.
quote() {
	sed 's/\\/\\e/g; s/-/\\-/g; s/^\([.'\'']\)/\\\&\1/'
}

command_section() {
	local help

	help=$("$pluck" help "$1")
	printf '.TP\n\\fB%s\\fR' "$(quote <<<"$1")"
	sed -n "1s/^usage: pluck $1//p" <<<"$help" | quote
	sed -n 's/^  \(-., \|    \)\(--[a-z0-9-]*\( [^ ]\+\)\?\).*/\1\2/p' <<<"$help" | sed 's/^ *//; $!s/$/,/' | quote
}

sed '/^\.\\" scripts\/man\.sh/,$d' "$here/docs/pluck.1"
printf '.SH OPTIONS OF EACH COMMAND\n.nh\n.ad l\n'
"$pluck" help | sed -n 's/^  \([a-z][a-z-]*\)  .*/\1/p' | while read -r name; do
	command_section "$name"
done
printf '.hy\n.ad b\n'
sed '1,/^\.\\" scripts\/man\.sh/d' "$here/docs/pluck.1"
