#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The kernel's build script and its cache: what is built again and what is not. A tiny source tree with the targets that the
# script calls stands in for the kernel's, so that a build takes no time; the real one has been built before this test runs.
set -uo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/tap.sh
. "$top/tests/lib/tap.sh"

# The tree: allnoconfig keeps what it is given, but for CONFIG_LOST; vmlinux is an object with a PVH note.
src=$tmp/linux-0.0
mkdir -p "$src" "$tmp/cache" "$tmp/one" "$tmp/two" "$tmp/config"
cat >"$src/Makefile" <<'MAKE'
O ?= .
allnoconfig:
	grep -v CONFIG_LOST $(KCONFIG_ALLCONFIG) >$(O)/.config
vmlinux:
	echo built >>$(BUILDS)
	sleep $(SLEEP)
	mkdir -p $(O)/include/config
	echo 0.0-test >$(O)/include/config/kernel.release
	touch $(O)/System.map
	gcc -c -o $(O)/vmlinux note.S
	sed -n 1p greeting
MAKE
cat >"$src/note.S" <<'ASM'
.section .note.Xen, "a", @note
.long 4, 8, 0x12
.asciz "Xen"
.quad 0x1000000
ASM
echo hello >"$src/greeting"
tar -C "$tmp" -cJf "$tmp/source.tar.xz" linux-0.0

cp "$top/kernel-config/build.sh" "$tmp/config/"
printf '# why\nCONFIG_A=y\n' >"$tmp/config/a.config"
printf 'CONFIG_B=y\n' >"$tmp/config/b.config"
printf -- '--- a/greeting\n+++ b/greeting\n@@ -1 +1 @@\n-hello\n+hello there\n' >"$tmp/config/greet.patch"

export XDG_CACHE_HOME=$tmp/cache PLUCK_KERNEL_SOURCE=$tmp/source.tar.xz BUILDS=$tmp/builds SLEEP=0
: >"$BUILDS"
builds() { test "$(wc -l <"$BUILDS")" -eq "$1" || { echo "$(wc -l <"$BUILDS") builds, not $1"; return 1; }; }
build() { bash "$tmp/config/build.sh" "$@"; }
no_rest() { test -z "$(find "$tmp/cache" -name 'work.*')"; }

ok 'a kernel is built' build "$tmp/one"
ok 'with its configuration, symbols and description' \
	test -s "$tmp/one/vmlinux" -a -f "$tmp/one/vmlinux.map" -a -s "$tmp/one/vmlinux.config" -a -s "$tmp/one/vmlinux.info"
ok 'once' builds 1
ok 'another tree asks for the same' build "$tmp/two"
ok 'it comes from the cache' builds 1
ok 'byte for byte' cmp "$tmp/one/vmlinux" "$tmp/two/vmlinux"
echo '# another comment' >>"$tmp/config/a.config"
ok 'a comment was changed' build "$tmp/two"
ok 'that makes no difference' builds 1
echo 'CONFIG_C=y' >>"$tmp/config/b.config"
ok 'a fragment was changed' build "$tmp/two"
ok 'it is built again' builds 2
ok 'with the new setting' grep -qx CONFIG_C=y "$tmp/two/vmlinux.config"
ok 'the first kernel is still there for its own tree' test "$(find "$tmp/cache" -name vmlinux | wc -l)" -eq 2
sed -i 's/hello there/good day/' "$tmp/config/greet.patch"
ok 'a patch was changed' build "$tmp/two"
ok 'it is built again' builds 3
printf '\n' >>"$src/greeting"
tar -C "$tmp" -cJf "$tmp/source.tar.xz" linux-0.0
ok 'the source was changed' build "$tmp/two"
ok 'it is built again' builds 4

echo 'CONFIG_LOST=y' >"$tmp/config/c.config"
ok 'a setting that does not hold is named' fails_with 'CONFIG_LOST: asked for y, is n' build "$tmp/two"
ok 'and nothing was compiled' builds 4
echo 'CONFIG_A=y' >"$tmp/config/c.config"
ok 'a setting made twice is named' fails_with 'set more than once in kernel-config/*.config: CONFIG_A' build "$tmp/two"
echo 'CONFIG_D' >"$tmp/config/c.config"
ok 'a line that is no setting is shown' fails_with 'CONFIG_D' build "$tmp/two"
echo 'CONFIG_D=y' >"$tmp/config/c.config"
ok 'a source that is not there is named' fails_with "$tmp/none.tar.xz" env "PLUCK_KERNEL_SOURCE=$tmp/none.tar.xz" \
	bash "$tmp/config/build.sh" "$tmp/two"

# Two at once: one builds, the other waits and takes its result.
export SLEEP=2
build "$tmp/one" >"$tmp/first" 2>&1 &
first=$!
build "$tmp/two" >"$tmp/second" 2>&1 &
second=$!
ok 'of two at once the first succeeds' wait "$first"
ok 'and so does the second' wait "$second"
ok 'with one build' builds 5
ok 'and one of them waited' grep -q 'waiting for it' "$tmp/first" "$tmp/second"

# One that is killed leaves nothing that looks like a result.
echo 'CONFIG_E=y' >"$tmp/config/c.config"
SLEEP=30 bash "$tmp/config/build.sh" "$tmp/two" >"$tmp/killed" 2>&1 &
killed=$!
while ! builds 6 >/dev/null; do sleep 0.1; done
kill -TERM "$killed"
wait "$killed"
status=$?
ok 'a build that was ended says so by its status' test "$status" -eq 143
ok 'and leaves nothing' no_rest
export SLEEP=0
ok 'the next one builds' build "$tmp/two"
ok 'anew' builds 7
ok 'its result is whole' grep -qx CONFIG_E=y "$tmp/two/vmlinux.config"
done_testing
