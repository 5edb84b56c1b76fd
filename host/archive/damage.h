/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_ARCHIVE_DAMAGE_H
#define HOST_ARCHIVE_DAMAGE_H

/* Which members of an archive are hit by bytes that cannot be read. Only metadata is read for that. */

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "host/archive/access.h"

struct damage_range {
	uint64_t off, len;
};

/** Called for a member that is not whole; @path and @why are foreign bytes. Return: 0; a negative errno ends the walk. */
typedef int damage_fn(void *arg, const char *path, size_t path_len, const char *why);

/**
 * damage_walk() - every member whose data lies in a range, or whose metadata cannot be read
 * @bad: of the archive's stream, or of the payload stream if it is split; ascending
 * What lies beneath a directory that cannot be read is not told one by one.
 * Return: 0; -ENOMEM; what @fn gives.
 */
int damage_walk(struct access *a, const struct damage_range *bad, size_t nr_bad, damage_fn *fn, void *arg,
		struct err *err);

#endif
