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

#endif
