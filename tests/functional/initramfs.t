#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The initramfs and the tools image: same input, same bytes; what must be in them is; wrong lists are refused. No VM.
set -uo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/tap.sh
. "$top/tests/lib/tap.sh"

# a static program in the place of the agent
printf 'int main(void) { return 0; }\n' >"$tmp/agent.c"
"${CC:-cc}" -static -Os -s -o "$tmp/agent" "$tmp/agent.c"
"${CC:-cc}" -std=gnu11 -o "$tmp/mkcpio" "$top/initramfs/mkcpio.c"
cp "$tmp/agent" "$tmp/agent2"
touch -d '2001-02-03 04:05:06' "$tmp/agent2"
chmod 700 "$tmp/agent2"

ok 'initramfs is made' "$top/initramfs/build.sh" "$tmp/a.cpio" "$tmp/agent"
ok 'made again' "$top/initramfs/build.sh" "$tmp/b.cpio" "$tmp/agent2"
ok 'same bytes, whatever the time and mode of the agent' cmp "$tmp/a.cpio" "$tmp/b.cpio"

cat >"$tmp/want" <<'LIST'
drwxr-xr-x root root dev
crw------- root root dev/console
crw-rw-rw- root root dev/null
-rwxr-xr-x root root init
drwxr-xr-x root root mnt
dr-xr-xr-x root root proc
drwxr-xr-x root root run
dr-xr-xr-x root root sys
drwxrwxrwt root root tmp
drwxr-xr-x root root tools
LIST
cpio -tv --quiet <"$tmp/a.cpio" >"$tmp/list"
awk '{ print $1, $3, $4, $NF }' "$tmp/list" >"$tmp/got"
ok 'cpio lists what belongs in it' diff "$tmp/want" "$tmp/got"
ok 'console is 5,1' grep -qE '5, +1 .* dev/console' "$tmp/list"
ok 'null is 1,3' grep -qE '1, +3 .* dev/null' "$tmp/list"
mkdir "$tmp/x"
(cd "$tmp/x" && cpio -i --quiet init <"$tmp/a.cpio")
ok '/init is the agent' cmp "$tmp/agent" "$tmp/x/init"
ok 'a dynamic agent is refused' fails_with 'not linked statically' "$top/initramfs/build.sh" "$tmp/c.cpio" /bin/ls

# bad LINES MESSAGE
bad() {
	printf '%b' "$1" >"$tmp/list"
	ok "list refused: $2" fails_with "$2" "$tmp/mkcpio" "$tmp/list" "$tmp/bad.cpio" "A=$tmp/agent" "GONE=$tmp/gone"
}
bad 'dir /a/b 755\n' 'its directory is not listed'
bad 'dir /a 755\ndir /a 755\n' 'listed twice'
bad 'file /a 644 A\nfile /a/b 644 A\n' 'its directory is not listed'
bad 'file /a 644 B\n' "no file given for 'B'"
bad 'file /a 644 GONE\n' 'No such file'
bad 'dir relative 755\n' 'no kind and absolute path'
bad 'fifo /a 644\n' 'is no kind of entry'
bad 'dir /a 755 junk\n' 'wrong fields'
bad 'char /a 600 5\n' 'wrong fields'
bad 'dir /a 755' 'no end of line'
ok 'nothing is left of a refused list' test -z "$(find "$tmp" -name 'bad.cpio*')"

ok 'tools image is made' "$top/initramfs/tools.sh" "$tmp/a.img"
ok 'made again' "$top/initramfs/tools.sh" "$tmp/b.img"
ok 'same bytes' cmp "$tmp/a.img" "$tmp/b.img"
root=$tmp/root
ok 'it can be read' fsck.erofs "--extract=$root" "$tmp/a.img"
for d in dev proc sys run tmp mnt; do
	ok "it has /$d" test -d "$root/$d"
done
for a in sh ls cat mount dmesg hexdump; do
	ok "applet $a" test "$(readlink "$root/usr/bin/$a")" = busybox
done
ok 'a tool of its own comes before the applet' test ! -e "$root/usr/bin/blkid"
loader=("$root/usr/lib64/ld-linux-x86-64.so.2" --inhibit-cache --library-path "$root/usr/lib/x86_64-linux-gnu")
ok 'a dynamic tool runs from the image' "${loader[@]}" "$root/usr/sbin/blkid" --version
"${loader[@]}" --list "$root/usr/sbin/blkid" | awk '$2 == "=>"' >"$tmp/libs"
ok 'its libraries are known' test -s "$tmp/libs"
ok 'and all of the image' test -z "$(grep -vF "=> $root/" "$tmp/libs")"

printf 'bin /usr/sbin/no-such-tool\n' >"$tmp/tools.list"
ok 'a tool that is not there is an error' \
	fails_with 'not on this machine' env "PLUCK_TOOLS_LIST=$tmp/tools.list" "$top/initramfs/tools.sh" "$tmp/c.img"
ok 'and leaves no image' test -z "$(find "$tmp" -name 'c.img*')"
done_testing
