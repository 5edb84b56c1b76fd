#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# demo.sh [BUILD]: a disk image is made and backed up; then single files come out of the backup and are compared with the originals.
# Needs no root. All of it happens in a temporary directory that is removed at the end.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$(cd "${1:-$here/build}" && pwd)
pluck=$build/pluck
PATH=$PATH:/usr/sbin:/sbin
export LC_ALL=C.UTF-8 TZ=UTC MTOOLS_SKIP_CHECK=1

[ -x "$pluck" ] || { echo "demo: no program at $pluck: run make first" >&2; exit 2; }

bold='' dim='' plain=''
if [ -t 1 ]; then
	bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/pluck-demo.XXXXXX")
export XDG_RUNTIME_DIR=$work/run
mkdir -m 700 "$XDG_RUNTIME_DIR"

finish() {
	local code=$?

	"$pluck" stop --all >/dev/null 2>&1 || true
	rm -rf "$work"
	[ $code -eq 0 ] || printf '\n%sThe demonstration failed (exit code %d).%s\n' "$bold" "$code" "$plain"
}
trap finish EXIT
trap 'exit 130' INT TERM

now() {
	date +%s%N
}

# One line that says what comes, below a blank one.
say() {
	printf '\n%s%s%s\n' "$bold" "$*" "$plain"
}

# step COMMAND...: show it, run it, and say how long it took. Paths below the work directory are shown short.
step() {
	local begin end word line='$'

	for word in "$@"; do
		[ "$word" != "$pluck" ] || word=pluck
		word=${word//"$work/"/}
		if [[ $word =~ ^[[:alnum:]_/.:=@%+,-]+$ ]]; then line+=" $word"; else line+=" '$word'"; fi
	done
	printf '%s\n' "$line"
	begin=$(now)
	"$@"
	end=$(now)
	printf '%s  (%d.%02d s)%s\n' "$dim" $(((end - begin) / 1000000000)) $(((end - begin) / 10000000 % 100)) "$plain"
}

# What lies on the disk: documents for the ext4 partition, boot files for the FAT one.
make_content() {
	local i

	mkdir -p root/etc root/home/ann/documents root/home/ann/pictures root/var/log boot/EFI/BOOT
	printf 'example\n' >root/etc/hostname
	printf 'root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n' >root/etc/passwd
	for i in $(seq 1 200); do
		printf 'Report number %d: all is well.\n%.0s' "$i" {1..200} >"root/home/ann/documents/report $i.txt"
	done
	for i in 1 2 3; do
		head -c 8000000 /dev/urandom >root/home/ann/pictures/holiday-$i.raw
	done
	ln -s documents/report\ 1.txt root/home/ann/latest
	ln root/home/ann/pictures/holiday-1.raw root/home/ann/pictures/favourite.raw
	seq 1 50000 >root/var/log/syslog
	head -c 300000 /dev/urandom >boot/EFI/BOOT/BOOTX64.EFI
	printf 'timeout 5\n' >boot/EFI/BOOT/loader.conf
}

# A disk of 160 MiB with a partition table, made by tools that need neither root nor a mount.
make_disk() {
	truncate -s 160M disk.img
	sfdisk -q --no-reread --no-tell-kernel disk.img <<-TABLE
		label: gpt
		start=2048, size=69632, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name="EFI System"
		start=73728, size=245760, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, name="root"
	TABLE
	truncate -s 34M esp.part
	mkfs.vfat -F 32 -s 1 -n ESP esp.part >/dev/null
	mcopy -s -m -i esp.part boot/EFI ::/
	truncate -s 120M root.part
	mke2fs -q -F -t ext4 -L rootfs -d root root.part
	dd if=esp.part of=disk.img bs=1M seek=1 conv=notrunc,sparse status=none
	dd if=root.part of=disk.img bs=1M seek=36 conv=notrunc,sparse status=none
	rm esp.part root.part
	printf 'memory: 2048\nscsi0: local:vm-100-disk-0\n' >vm.conf
}

same() {
	step "$@"
	echo "  the same"
}

cd "$work"
began=$(now)

say "A virtual machine's disk: GPT, a FAT partition and an ext4 partition with 200 documents and some pictures"
make_content
step make_disk

say "A datastore, and a backup of the disk with its configuration"
step "$pluck" datastore create "$work/store"
step "$pluck" backup --repository "$work/store" --backup-id 100 --backup-time 2024-05-01T12:00:00Z drive-scsi0.img:disk.img qemu-server.conf:vm.conf
step "$pluck" snapshots --repository "$work/store"
snapshot=vm/100/2024-05-01T12:00:00Z
from=(--repository "$work/store" "$snapshot")

say "What is in it? The first look starts a small virtual machine that mounts the disk; it stays for the next questions"
step "$pluck" list "${from[@]}" /
step "$pluck" list "${from[@]}" drive-scsi0.img.fidx/part
step "$pluck" list "${from[@]}" drive-scsi0.img.fidx/part/2
step "$pluck" list "${from[@]}" drive-scsi0.img.fidx/part/2/home/ann
step "$pluck" disks "${from[@]}"
step "$pluck" status

say "A directory comes out, and is compared with the original"
mkdir out
step "$pluck" extract "${from[@]}" drive-scsi0.img.fidx/part/2/home/ann out
same diff -r --no-dereference root/home/ann out/ann
[ out/ann/pictures/holiday-1.raw -ef out/ann/pictures/favourite.raw ] || { echo "demo: the hard link is lost" >&2; exit 1; }

say "A single file, to standard output"
# shellcheck disable=SC2016	# expanded by the inner shell
step bash -c '"$0" extract "${@:2}" drive-scsi0.img.fidx/part/2/etc/passwd - >"$1"' "$pluck" passwd "${from[@]}"
same cmp root/etc/passwd passwd

say "A directory of the FAT partition as tar"
# shellcheck disable=SC2016
step bash -c '"$0" extract "${@:2}" --format tar drive-scsi0.img.fidx/part/1/EFI - >"$1"' "$pluck" efi.tar "${from[@]}"
mkdir efi
step tar -xf efi.tar -C efi
same diff -r boot/EFI efi/EFI

say "The same without a backup: straight from a disk image that nobody trusts"
step "$pluck" extract --disk "$work/disk.img" disk.img/part/2/etc/hostname out
same cmp root/etc/hostname out/hostname

say "The virtual machines end"
step "$pluck" stop --all
step "$pluck" status

end=$(now)
printf '\n%sAll restored files are the same as the originals. %d.%d s in all.%s\n' "$bold" \
	$(((end - began) / 1000000000)) $(((end - began) / 100000000 % 10)) "$plain"
