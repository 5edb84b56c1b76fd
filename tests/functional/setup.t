#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What a newcomer does: packages are found and installed (by stand-ins for the package tools, which write down how they are
# called), the demonstration runs and fails when a file comes out wrong, and what is installed works wherever it lies.
set -uo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD:-$top/build}
# shellcheck source=tests/lib/tap.sh
. "$top/tests/lib/tap.sh"
export PATH=$PATH:/usr/sbin:/sbin

# Stand-ins. UID0: who we are; LACK: what is missing; BROKEN: how often installing fails.
stand=$tmp/stand
mkdir "$stand"
printf '#!/bin/sh\necho "${UID0:-0}"\n' >"$stand/id"
cat >"$stand/dpkg-query" <<'SH'
#!/bin/sh
shift 2
for p; do case " $LACK " in *" $p "*) ;; *) echo "installed $p" ;; esac; done
SH
printf '#!/bin/sh\nexit 0\n' >"$stand/apt-cache"
cat >"$stand/apt-get" <<'SH'
#!/bin/sh
echo "apt-get $*" >>"$CALLS"
case " $* " in *" update "*) exit 0 ;; esac
[ "$(grep -c ' install ' "$CALLS")" -gt "${BROKEN:-0}" ]
SH
printf '#!/bin/sh\necho "sudo $1" >>"$CALLS"\n[ "$1" = -n ] && shift\nexec "$@"\n' >"$stand/sudo"
chmod +x "$stand"/*
export CALLS=$tmp/calls

# deps NAME=VALUE... ARGUMENT...: deps.sh among the stand-ins
deps() {
	: >"$CALLS"
	env PATH="$stand:$PATH" "${@:1:$#-2}" "$top/scripts/deps.sh" "${@: -2}"
}
called() { grep -q -- "$1" "$CALLS" || { cat "$CALLS"; return 1; }; }
not_called() { ! grep -q . "$CALLS" || { cat "$CALLS"; return 1; }; }
exits() {
	local want=$1 got=0

	shift
	"$@" || got=$?
	[ "$got" -eq "$want" ] || { echo "exit code $got, not $want"; return 1; }
}

ok 'nothing is missing: nothing is done' deps LACK= --install build
ok 'and nobody called' not_called
ok 'what is missing is named, with the command that helps' fails_with 'apt-get install --no-install-recommends bc flex' \
	deps LACK='flex bc' --check build
ok 'to check installs nothing' not_called
ok 'only of the groups asked for' deps LACK=zsh --check build
ok 'root installs what is missing' deps LACK=flex --install build
ok 'that, and no more' called 'install -y --no-install-recommends flex$'
ok 'after a failure the index is fetched' deps LACK=flex BROKEN=1 --install build
ok 'by update' called ' update$'
ok 'it says so when that does not help' fails_with 'that did not work' deps LACK=flex BROKEN=9 --install build
ok 'another user does it by sudo' deps LACK=flex UID0=1000 --install build
ok 'which must not ask where nobody can answer' called '^sudo -n$'
mv "$stand/sudo" "$tmp/sudo"
for tool in bash env awk sort dirname; do ln -s "$(command -v $tool)" "$stand/$tool"; done
no_sudo() {
	env -i PATH="$stand" CALLS="$CALLS" UID0=1000 LACK=flex "$top/scripts/deps.sh" --install build
}
: >"$CALLS"
ok 'without sudo it prints the list and stops' fails_with 'deps: install them with: apt-get install --no-install-recommends flex' no_sudo
ok 'and installs nothing' not_called
ok 'an unknown group is an error' exits 2 deps LACK= --check nonsense

demo() { env TMPDIR="$tmp" "$top/scripts/demo.sh" "$1" >"$tmp/demo.out" 2>&1 || { cat "$tmp/demo.out"; return 1; }; }
says() { grep -qE -- "$1" "$tmp/demo.out" || { cat "$tmp/demo.out"; return 1; }; }
ok 'the demonstration runs' demo "$build"
ok 'it lists and extracts a directory and a single file' says '^\$ pluck extract .*/part/2/home/ann out$'
ok 'compares them' says '^\$ cmp root/etc/passwd passwd$'
ok 'says how long each step took' says '^  \([0-9]+\.[0-9]{2} s\)$'
ok 'and what came of it' says '^All restored files are the same as the originals\.'
ok 'nothing of it is left' test -z "$(find "$tmp" -name 'pluck-demo.*')"

# A program that changes one byte of a file on its way out.
mkdir "$tmp/wrong"
cat >"$tmp/wrong/pluck" <<SH
#!/bin/sh
"$build/pluck" "\$@" || exit
[ "\$1" != extract ] || [ ! -e out/ann/documents ] || printf X | dd of='out/ann/documents/report 7.txt' bs=1 seek=9 conv=notrunc status=none
SH
chmod +x "$tmp/wrong/pluck"
ok 'it fails when a file comes out wrong' exits 1 demo "$tmp/wrong"
ok 'and says so' says '^The demonstration failed \(exit code 1\)\.$'
ok 'it wants a program' fails_with 'run make first' "$top/scripts/demo.sh" "$tmp"

# An installation beneath another root, moved after that, and called by a link.
ok 'make install' make -s -C "$top" install DESTDIR="$tmp/root" PREFIX=/opt/pluck SAN="${SAN:-}"
for f in bin/pluck lib/pluck/vmlinux lib/pluck/initramfs.cpio lib/pluck/tools.img share/man/man1/pluck.1 \
	share/bash-completion/completions/pluck share/zsh/site-functions/_pluck; do
	ok "$f" test -s "$tmp/root/opt/pluck/$f"
done
mv "$tmp/root/opt/pluck" "$tmp/moved"
ln -s "$tmp/moved/bin/pluck" "$tmp/p"
export XDG_RUNTIME_DIR=$tmp/run XDG_STATE_HOME=$tmp/state
mkdir -m 700 "$XDG_RUNTIME_DIR"
truncate -s 16M "$tmp/a.img"
mke2fs -q -F -t ext4 -L data "$tmp/a.img"
lists() {
	"$@" list --disk "$tmp/a.img" a.img/raw | grep 'lost+found' && "$@" stop --all
}
ok 'it finds its images' lists "$tmp/p"
mv "$tmp/moved/lib/pluck" "$tmp/images"
ok 'else it says where it looked' fails_with 'neither beside the program nor in' "$tmp/p" list --disk "$tmp/a.img" a.img/raw
ok 'or takes them from PLUCK_LIBDIR' lists env PLUCK_LIBDIR="$tmp/images" "$tmp/p"
ok 'which has to have them' fails_with "has no readable vmlinux" env PLUCK_LIBDIR="$tmp" "$tmp/p" list --disk "$tmp/a.img" a.img/raw

make -s -C "$top" help >"$tmp/help"
for target in all check check-long demo lint bench fuzz install clean help; do
	ok "make help tells of $target" grep "^$target:" "$tmp/help"
done
done_testing
