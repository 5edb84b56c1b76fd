/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_DM_H
#define AGENT_DM_H

/* Read-only block devices joined from pieces of others (device mapper, target "linear"). */

#include <stddef.h>
#include <stdint.h>

#include "agent/agent.h"

#define DM_PIECES_MAX 16

struct dm_piece {
	uint64_t sectors;	/* of 512 bytes */
	char dev[AGENT_DEV_MAX];	/* kernel name */
	uint64_t start;		/* first sector on it */
};

/**
 * dm_join() - a device of pieces, one behind the other; it stays until the VM ends
 * @name: unique among those made so far
 * @ret:  AGENT_DEV_MAX bytes, its kernel name
 * Return: 0; -EEXIST with the name taken; negative errno.
 */
int dm_join(const char *name, const struct dm_piece *v, size_t nr, char *ret);

#endif
