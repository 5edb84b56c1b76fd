#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# build.sh OUTDIR: puts the micro-VM's kernel into OUTDIR:
#   vmlinux         stripped, uncompressed ELF with a PVH entry
#   vmlinux.config  its whole configuration
#   vmlinux.map     symbol addresses, to read an oops with
#   vmlinux.info    source version, sizes, SHA-256
#
# A build takes minutes, so results are kept in ${XDG_CACHE_HOME:-~/.cache}/pluck/kernel/KEY, where KEY is a hash of
# everything that makes a difference. Any number of working trees share it; one build runs at a time.
set -euo pipefail
export LC_ALL=C
umask 022
# A make that calls this script hands its own variables and job server on: not meant for the kernel's build.
unset MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL ARCH SUBARCH CROSS_COMPILE KCFLAGS KAFLAGS LOCALVERSION KBUILD_OUTPUT LLVM

# Raise when a change of this script changes its result.
RECIPE=1
SOURCE_PACKAGE=linux-source-6.1
SOURCE=${PLUCK_KERNEL_SOURCE:-/usr/src/$SOURCE_PACKAGE.tar.xz}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/pluck/kernel
start=$SECONDS
work='' make_pid=''

say() { printf 'kernel: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# Settings of all fragments, sorted, without comments: what the kernel is made from.
fragments() {
	local twice

	sed -E '/^[[:space:]]*(#|$)/d; s/[[:space:]]+$//' "$here"/*.config | sort >"$1"
	twice=$(cut -d= -f1 "$1" | uniq -d)
	[ -z "$twice" ] || die "set more than once in kernel-config/*.config: ${twice//$'\n'/ }"
	if grep -vE '^CONFIG_[A-Za-z0-9_]+=.+$' "$1" >&2; then
		die 'not of the form CONFIG_NAME=VALUE (above)'
	fi
}

source_version() {
	local v

	# The package names its version; any other source is known by its bytes.
	if [ "$SOURCE" = "/usr/src/$SOURCE_PACKAGE.tar.xz" ] &&
	   v=$(dpkg-query -W -f '${Version}' "$SOURCE_PACKAGE" 2>/dev/null) && [ -n "$v" ]; then
		printf '%s %s\n' "$SOURCE_PACKAGE" "$v"
	else
		printf 'sha256 %s\n' "$(sha256sum <"$SOURCE" | cut -d' ' -f1)"
	fi
}

cache_key() {
	{
		echo "recipe $RECIPE"
		source_version
		gcc --version | head -n 1
		ld --version | head -n 1
		cat "$1" "$here"/*.patch
	} | sha256sum | cut -c1-24
}

# One line that is overwritten on a terminal; one every 30 s elsewhere. Ends when the process does.
progress() {
	local pid=$1 log=$2 what=$3 begin=$SECONDS next=30 t line

	while kill -0 "$pid" 2>/dev/null; do
		t=$((SECONDS - begin))
		if [ -t 2 ] || [ "$t" -ge "$next" ]; then
			line=$(printf 'kernel: %s: %d:%02d, %d objects' "$what" $((t / 60)) $((t % 60)) \
				"$(grep -cE '^  (CC|AS) ' "$log" || true)")
			if [ -t 2 ]; then printf '\r\033[K%s' "$line" >&2; else printf '%s\n' "$line" >&2; fi
			next=$((t + 30))
		fi
		sleep 1
	done
	if [ -t 2 ]; then printf '\r\033[K' >&2; fi
}

# run LOG WHAT COMMAND...: in the background, in a process group of its own so that an interrupt ends all of it
run() {
	local log=$1 what=$2 r=0
	shift 2

	set -m
	"$@" >>"$log" 2>&1 </dev/null &
	make_pid=$!
	set +m
	progress "$make_pid" "$log" "$what"
	wait "$make_pid" || r=$?
	make_pid=''
	return "$r"
}

cleanup() {
	local r=$?

	trap '' INT TERM HUP
	if [ -n "$make_pid" ]; then
		kill -TERM -- "-$make_pid" 2>/dev/null || true
		wait "$make_pid" 2>/dev/null || true
	fi
	if [ -n "$work" ]; then
		if [ "$r" -ne 0 ] && [ -s "$work/log" ]; then
			mv -f "$work/log" "$cache/failed.log"
			tail -n 15 "$cache/failed.log" >&2
			say "failed; the whole log is $cache/failed.log"
		fi
		rm -rf "$work"
	fi
	exit "$r"
}

# Both ways of losing a setting: asked for and not there, or switched off and back again through a dependency.
check_config() {
	local want=$1 got=$2 bad

	bad=$(awk -F= '
		NR == FNR { have[$1] = substr($0, length($1) + 2); next }
		{
			v = substr($0, length($1) + 2)
			h = ($1 in have) ? have[$1] : "n"
			if (h != v)
				printf "  %s: asked for %s, is %s\n", $1, v, h
		}' <(grep '^CONFIG_' "$got") "$want")
	[ -z "$bad" ] && return 0
	printf '%s\n' "$bad" >&2
	# the list says all, the log would not
	rm -f "$work/log"
	die 'settings that did not hold (see above): a dependency is missing, or something selects them'
}

build() {
	local want=$1 entry=$2 kmake p

	# The stamps are fixed so that the same input gives the same kernel.
	kmake=(make -C "$work/src" "O=$work/obj" KBUILD_BUILD_USER=pluck KBUILD_BUILD_HOST=pluck
		"KBUILD_BUILD_TIMESTAMP=1970-01-01 00:00:00 UTC" KBUILD_BUILD_VERSION=1)
	mkdir "$work/src" "$work/obj" "$work/new"
	: >"$work/log"
	say "building $(source_version) with $(nproc) jobs; some minutes, once"
	run "$work/log" unpacking tar -C "$work/src" --strip-components=1 -xf "$SOURCE" ||
		die 'cannot unpack the source'
	for p in "$here"/*.patch; do
		patch -d "$work/src" -p1 -s -f <"$p" >>"$work/log" 2>&1 || die "cannot apply ${p##*/}"
	done
	run "$work/log" configuring "${kmake[@]}" "KCONFIG_ALLCONFIG=$want" allnoconfig || die 'cannot configure'
	check_config "$want" "$work/obj/.config"
	run "$work/log" compiling "${kmake[@]}" "-j$(nproc)" vmlinux || die 'cannot compile'

	strip -s -o "$work/new/vmlinux" "$work/obj/vmlinux"
	readelf -nW "$work/new/vmlinux" 2>/dev/null | grep -qE '^ *Xen .*0x0*12[^0-9a-f]' ||
		die 'the kernel has no PVH entry (Xen note 0x12)'
	cp "$work/obj/.config" "$work/new/vmlinux.config"
	cp "$work/obj/System.map" "$work/new/vmlinux.map"
	{
		printf 'source=%s\n' "$(source_version)"
		printf 'release=%s\n' "$(cat "$work/obj/include/config/kernel.release")"
		printf 'compiler=%s\n' "$(gcc --version | head -n 1)"
		printf 'key=%s\n' "${entry##*/}"
		printf 'size=%s\n' "$(stat -c %s "$work/new/vmlinux")"
		printf 'sha256=%s\n' "$(sha256sum <"$work/new/vmlinux" | cut -d' ' -f1)"
	} >"$work/new/vmlinux.info"
	rm -rf "$entry"
	mv -T "$work/new" "$entry"
	say "built in $(((SECONDS - start) / 60)) min $(((SECONDS - start) % 60)) s"
}

# Complete files only, and vmlinux last: whoever sees it sees the others too.
install_files() {
	local entry=$1 out=$2 f tmp

	for f in vmlinux.config vmlinux.map vmlinux.info vmlinux; do
		cmp -s "$entry/$f" "$out/$f" && continue
		tmp=$(mktemp "$out/.$f.XXXXXX")
		if ! { cp "$entry/$f" "$tmp" && chmod 644 "$tmp" && mv -f "$tmp" "$out/$f"; }; then
			rm -f "$tmp"
			return 1
		fi
	done
	# for make: up to date even where the bytes did not change
	touch "$out/vmlinux"
}

main() {
	local out key entry want

	[ $# -eq 1 ] || { echo 'usage: build.sh OUTDIR' >&2; exit 2; }
	out=$1
	[ -r "$SOURCE" ] || die "no $SOURCE: install $SOURCE_PACKAGE (scripts/deps.sh --install build)"
	mkdir -p "$out" "$cache"
	trap cleanup EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP

	exec 9>"$cache/lock"
	if ! flock -n 9; then
		say 'another build is running; waiting for it'
		flock 9
	fi
	# Nobody else builds now: what lies here was left by a build that was killed.
	rm -rf "$cache"/work.*
	work=$(mktemp -d "$cache/work.XXXXXX")
	want=$work/want
	fragments "$want"
	key=$(cache_key "$want")
	entry=$cache/$key
	[ -f "$entry/vmlinux" ] || build "$want" "$entry"
	install_files "$entry" "$out"
}

main "$@"
