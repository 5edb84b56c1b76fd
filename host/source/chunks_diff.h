/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_SOURCE_CHUNKS_DIFF_H
#define HOST_SOURCE_CHUNKS_DIFF_H

/* Which ranges of two images differ, as their indexes tell: nothing is read. */

#include "host/source/chunks.h"

enum chunks_diff_op {
	CHUNKS_DIFF_CHANGED,
	CHUNKS_DIFF_ADDED,	/* behind the end of the old image */
	CHUNKS_DIFF_REMOVED,	/* behind the end of the new image */
};

struct chunks_diff_range {
	enum chunks_diff_op op;
	uint64_t off, len;
};

struct chunks_diff_totals {
	uint64_t same, changed, added, removed;	/* bytes */
	uint64_t zeroed;			/* of the changed: all zeros now */
	size_t chunks;				/* of the new image, that the old one does not have at the same place */
};

/** Called for each range; those of one kind do not touch each other. Return: 0; a negative errno ends it. */
typedef int chunks_diff_fn(void *arg, const struct chunks_diff_range *r);

/**
 * chunks_diff() - compare two images chunk by chunk
 * Their digests must have been made alike: without a key, or with the same. A chunk is the least that can be told; so is what
 * the old image has of its last chunk if the new one goes on there.
 * Return: 0; -EOPNOTSUPP if their chunks do not begin at the same places, or have no digests; what @fn gives.
 */
int chunks_diff(struct chunks *old, struct chunks *new, chunks_diff_fn *fn, void *arg, struct chunks_diff_totals *ret,
		struct err *err);

#endif
