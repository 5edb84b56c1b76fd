/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/fstype.h"

#include <fcntl.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/io.h"

/* The zones that no block of a file may lie in matter to writing, and take a loop over all groups to set up. */
#define EXT_OPTIONS { "noload,noblock_validity,errors=continue", "errors=continue" }
#define REISERFS_HINT "it replays its journal even for reading: give the VM a writable slot for this disk"

static const struct fstype table[] = {
	{ "ext4", NULL, "ext4", EXT_OPTIONS, NULL },
	{ "ext3", NULL, "ext4", EXT_OPTIONS, NULL },
	{ "ext2", NULL, "ext4", EXT_OPTIONS, NULL },
	{ "ext4dev", NULL, "ext4", EXT_OPTIONS, NULL },
	{ "xfs", NULL, "xfs", { "norecovery,nouuid" }, NULL },
	{ "btrfs",
	  NULL,
	  "btrfs",
	  { "subvolid=5,rescue=nologreplay", "subvolid=5,rescue=nologreplay,degraded", "subvolid=5,rescue=all",
	    "subvolid=5,rescue=all,degraded" },
	  NULL },
	{ "vfat", NULL, "vfat", { "utf8=1,tz=UTC,shortname=mixed", "tz=UTC,iocharset=utf8", "" }, NULL },
	{ "exfat", NULL, "exfat", { "iocharset=utf8", "" }, NULL },
	{ "ntfs", NULL, "ntfs3", { "iocharset=utf8", "iocharset=utf8,force" }, NULL },
	{ "iso9660", NULL, "iso9660", { "iocharset=utf8", "" }, NULL },
	{ "udf", NULL, "udf", { "iocharset=utf8", "" }, NULL },
	{ "squashfs", NULL, "squashfs", { "" }, NULL },
	{ "erofs", NULL, "erofs", { "" }, NULL },
	{ "cramfs", NULL, "cramfs", { "" }, NULL },
	{ "romfs", NULL, "romfs", { "" }, NULL },
	{ "f2fs", NULL, "f2fs", { "norecovery", "disable_roll_forward" }, NULL },
	{ "jfs", NULL, "jfs", { "iocharset=utf8", "" }, NULL },
	{ "nilfs2", NULL, "nilfs2", { "norecovery" }, NULL },
	{ "hfsplus", NULL, "hfsplus", { "nls=utf8", "" }, NULL },
	{ "hfs", NULL, "hfs", { "codepage=macroman,iocharset=utf8", "iocharset=utf8", "" }, NULL },
	{ "ufs", "2", "ufs", { "ufstype=ufs2" }, NULL },
	{ "ufs", NULL, "ufs", { "ufstype=44bsd", "ufstype=sunx86", "ufstype=sun", "ufstype=old" }, NULL },
	{ "gfs2", NULL, "gfs2", { "spectator,lockproto=lock_nolock" }, NULL },
	{ "minix", NULL, "minix", { "" }, NULL },
	{ "reiserfs", NULL, "reiserfs", { "user_xattr,acl", "" }, REISERFS_HINT },
	{ "bcachefs", NULL, "bcachefs", { "norecovery,nochanges", "nochanges" }, NULL },
	{ "ocfs2", NULL, "ocfs2", { "" }, NULL },
	{ "bfs", NULL, "bfs", { "" }, NULL },
	{ "sysv", NULL, "sysv", { "" }, NULL },
	{ "befs", NULL, "befs", { "iocharset=utf8", "" }, NULL },
	{ "hpfs", NULL, "hpfs", { "iocharset=utf8", "" }, NULL },
	{ "apfs", NULL, "apfs", { "" }, NULL },
};

const struct fstype *fstype_find_version(const char *type, const char *version)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		if (strcmp(table[i].type, type) != 0)
			continue;
		if (!table[i].version || !version || !strcmp(table[i].version, version))
			return &table[i];
	}
	return NULL;
}

const struct fstype *fstype_find(const char *type)
{
	return fstype_find_version(type, NULL);
}

/* What lies in layers, by blkid's names; a name that begins with '*' is the end of one. */
static const struct {
	const char *type, *reason;
} reasons[] = {
	{ "LVM2_member", "part of an LVM volume group, which is not opened" },
	{ "LVM1_member", "part of an LVM volume group, which is not opened" },
	{ "DM_snapshot_cow", "the changes of an LVM snapshot" },
	{ "*_raid_member", "part of a RAID array, which is not assembled" },
	{ "crypto_LUKS", "encrypted with LUKS, which is not opened" },
	{ "BitLocker", "encrypted with BitLocker, which is not opened" },
	{ FSTYPE_CORESTORAGE, "Apple CoreStorage (FileVault 2), which is not opened" },
	{ "zfs_member", "part of a ZFS pool, which is not opened" },
	{ "bcache", "part of a bcache set, which is not opened" },
	{ "drbd", "a DRBD device, which is not opened" },
	{ "VMFS_volume_member", "part of a VMFS volume, which is not opened" },
	{ "jbd", "a journal of a file system on another device" },
	{ "xfs_external_log", "the log of a file system on another device" },
};

static bool names(const char *pattern, const char *type)
{
	const size_t n = strlen(type), tail = strlen(pattern) - 1;

	if (pattern[0] != '*')
		return !strcmp(pattern, type);
	return n >= tail && !strcmp(type + n - tail, pattern + 1);
}

const char *fstype_reason(const char *type)
{
	for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons); i++)
		if (names(reasons[i].type, type))
			return reasons[i].reason;
	return NULL;
}

void fstype_option_notes(const char *options, char *note)
{
	if (strstr(options, "degraded"))
		note_add(note, "%s", FSTYPE_DEGRADED);
	if (strstr(options, "rescue=all"))
		note_add(note, "damaged: it could be mounted only without checking the sums of data");
}

bool fstype_in_kernel(const char *driver)
{
	CLEANUP_FREE char *text = NULL;
	size_t len, n = strlen(driver);

	if (io_read_file(AT_FDCWD, "/proc/filesystems", 65536, &text, &len) < 0)
		return false;
	for (const char *line = text; line; line = strchr(line, '\n')) {
		const char *tab = strchr(line, '\t');

		if (!tab)
			return false;
		if (!strncmp(tab + 1, driver, n) && (tab[1 + n] == '\n' || !tab[1 + n]))
			return true;
		line = tab + 1;
	}
	return false;
}
