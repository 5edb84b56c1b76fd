#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# tools.sh OUT.img: makes the tools image (erofs) from tools.list. Same packages, same bytes; needs no root.
set -euo pipefail
export LC_ALL=C
umask 022

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
list=${PLUCK_TOOLS_LIST:-$here/tools.list}
# Fixed, so that the image depends on its contents alone.
UUID=9b1e0c5a-6f1d-4c57-8f0e-706c75636b74

die() { echo "tools: $*" >&2; exit 1; }

# Path inside the image: as on Debian, /bin, /sbin, /lib and /lib64 are links into /usr.
inside() {
	case $1 in
	/bin/*|/sbin/*|/lib/*|/lib64/*) printf '%s/usr%s\n' "$root" "$1" ;;
	/*) printf '%s%s\n' "$root" "$1" ;;
	*) die "'$1' is no absolute path" ;;
	esac
}

copy_file() {
	local to

	to=$(inside "$1")
	[ -e "$to" ] && return
	[ -r "$1" ] || die "'$1' is listed, but not on this machine (scripts/deps.sh --install build)"
	mkdir -p "$(dirname "$to")"
	install -m 755 "$1" "$to"
}

# Libraries of a dynamic file, the loader among them, as absolute paths.
libraries() {
	readelf -dW "$1" 2>/dev/null | grep -q '(NEEDED)' || return 0
	ldd "$1" | awk -v file="$1" '
		/not found/ { print "tools: " file ": " $0 >"/dev/stderr"; bad = 1 }
		$2 == "=>" && $3 ~ /^\// { print $3 }
		$1 ~ /^\// { print $1 }
		END { exit bad }'
}

add_bin() {
	local libs lib

	copy_file "$1"
	libs=$(libraries "$1") || die "'$1' lacks libraries"
	for lib in $libs; do
		copy_file "$lib"
	done
}

add_applets() {
	local applet

	ln -sf busybox "$root/usr/bin/sh"
	"$1" --list | while read -r applet; do
		[ -e "$root/usr/bin/$applet" ] || [ -e "$root/usr/sbin/$applet" ] || ln -s busybox "$root/usr/bin/$applet"
	done
}

add_line() {
	case $1 in
	dir)	install -d -m "$3" "$root$2" ;;
	bin)	add_bin "$2" ;;
	busybox) add_bin "$2"; busybox=$2 ;;
	link)	ln -s "$3" "$(inside "$2")" ;;
	*)	die "'$1' is no kind of line in ${list##*/}" ;;
	esac
}

[ $# -eq 1 ] || { echo 'usage: tools.sh OUT.img' >&2; exit 2; }
command -v mkfs.erofs >/dev/null || die 'no mkfs.erofs: install erofs-utils (scripts/deps.sh --install build)'
tmp=$(mktemp -d)
trap 'chmod -R u+rwX "$tmp" && rm -rf "$tmp" "$1.tmp.$$"' EXIT
root=$tmp/root busybox=
mkdir -p "$root"/usr/{bin,sbin,lib,lib64} "$(dirname "$1")"
for d in bin sbin lib lib64; do
	ln -s "usr/$d" "$root/$d"
done
while read -r kind path arg; do
	add_line "$kind" "$path" "$arg"
done < <(sed -E 's/#.*//; /^[[:space:]]*$/d' "$list")
[ -z "$busybox" ] || add_applets "$busybox"

# Not compressed: in an emulated guest unpacking costs more than anything else here (README.md has the figures).
mkfs.erofs --quiet -T0 -U "$UUID" -x-1 --force-uid=0 --force-gid=0 "$1.tmp.$$" "$root" >"$tmp/log" 2>&1 || {
	cat "$tmp/log" >&2
	die 'mkfs.erofs failed'
}
mv -f "$1.tmp.$$" "$1"
