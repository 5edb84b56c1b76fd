/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_PROBE_H
#define AGENT_PROBE_H

/* What is on a block device, by its signatures. */

#include <stdbool.h>
#include <stdint.h>

struct probe {
	char type[32];		/* as blkid names it; empty: nothing known */
	char version[32], label[256], uuid[64];
	bool ambiguous;		/* several signatures; type is the first that can be mounted, else the first */
	uint64_t backup_kib;	/* not 0: the first superblock is gone, and a backup is at this position */
	char all[128];		/* ambiguous: the types, "ext4, swap" */
};

#define PROBE_AMBIGUOUS_FMT "ambiguous: signatures of %s; --fs-type chooses"

/** probe_device() - @dev is a kernel name. Return: 0 (also with nothing found); negative errno if it cannot be read. */
int probe_device(const char *dev, struct probe *ret);

/** probe_fd() - the same of an open device or file. */
int probe_fd(int fd, struct probe *ret);

/** probe_ext_backup() - the first backup superblock of ext2, ext3 or ext4. Return: its position in KiB; 0 if there is none. */
uint64_t probe_ext_backup(int fd);

#endif
