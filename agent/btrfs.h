/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_BTRFS_H
#define AGENT_BTRFS_H

#include "agent/agent.h"

struct btrfs_super {
	uint8_t fsid[16];
	uint64_t nr_devices, devid;
	bool seed;		/* a sprout on another disk may build on it */
};

/** btrfs_parse_super() - out of the 4096 bytes at 64 KiB. Return: 0; -EBADMSG if it is none. */
int btrfs_parse_super(const uint8_t bytes[static 4096], struct btrfs_super *ret);

/** btrfs_scan_members() - tell the kernel of the other devices of the file system on @dev, if it has several. */
void btrfs_scan_members(struct agent *a, const char *dev);

/** btrfs_lacks_devices() - has the file system on @dev more devices than are there? */
bool btrfs_lacks_devices(struct agent *a, const char *dev);

/**
 * btrfs_rename_super() - give a superblock another file system id; the tree blocks keep theirs (feature METADATA_UUID)
 * Return: 0; -EOPNOTSUPP for checksums other than CRC-32C and XXH64.
 */
int btrfs_rename_super(uint8_t bytes[static 4096], const uint8_t fsid[static 16]);

/**
 * btrfs_present_clone() - the same file system under an id of its own: the kernel mounts only one of a kind
 * @ret: AGENT_DEV_MAX bytes, the kernel name of a device with that superblock and all else from @dev
 * Return: 0; -EOPNOTSUPP on several devices; negative errno.
 */
int btrfs_present_clone(const char *dev, char *ret);

#endif
