#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# build.sh OUT.cpio AGENT: makes the initramfs from files.list with AGENT as /init. Same input, same bytes; needs no root.
set -euo pipefail

[ $# -eq 2 ] || { echo 'usage: build.sh OUT.cpio AGENT' >&2; exit 2; }
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# It is the only program: a dynamic one would end in "No working init found".
if readelf -lW "$2" | grep -q '^ *INTERP '; then
	echo "initramfs: '$2' is not linked statically" >&2
	exit 1
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${HOSTCC:-cc}" -std=gnu11 -O1 -Wall -Wextra -o "$tmp/mkcpio" "$here/mkcpio.c"
mkdir -p "$(dirname "$1")"
"$tmp/mkcpio" "$here/files.list" "$1" "AGENT=$2"
