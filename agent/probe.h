/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_PROBE_H
#define AGENT_PROBE_H

/* What is on a block device, by its signatures. */

#include <stdbool.h>

struct probe {
	char type[32];		/* as blkid names it; empty: nothing known */
	char version[32], label[256], uuid[64];
	bool ambiguous;		/* several signatures; type is the first that can be mounted, else the first */
	bool damaged;		/* known by a backup superblock only */
	char all[128];		/* ambiguous: the types, "ext4, swap" */
};

/** probe_device() - @dev is a kernel name. Return: 0 (also with nothing found); negative errno if it cannot be read. */
int probe_device(const char *dev, struct probe *ret);

#endif
