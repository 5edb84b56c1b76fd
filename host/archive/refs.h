/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_ARCHIVE_REFS_H
#define HOST_ARCHIVE_REFS_H

/*
 * Where the members of open directories lie: a stack of positions, those of the directory opened last on top. Memory
 * does not grow with it (common/spool.h).
 */

#include <stddef.h>
#include <stdint.h>

#include "common/spool.h"

#define REFS_WINDOW 64

/* Where a member lies. */
struct ref {
	uint64_t pos;		/* of its FILENAME */
	uint64_t size;		/* as the table of its directory says, not 0 */
};

struct refs {
	struct spool all;
	uint64_t first;		/* of those in the window */
	size_t nr;
	struct ref window[REFS_WINDOW];
};

/** refs_nr() - how many there are. */
static inline uint64_t refs_nr(const struct refs *x)
{
	return x->all.len / sizeof(struct ref);
}

/** refs_add() - on top. Return: 0; as spool_add(). */
int refs_add(struct refs *x, struct ref r);

/** refs_get() - the one with number @i, less than refs_nr(). Return: 0; as spool_read(). */
int refs_get(struct refs *x, uint64_t i, struct ref *ret);

/** refs_cut() - only the first @nr stay. Return: 0; as spool_cut(). */
int refs_cut(struct refs *x, uint64_t nr);

/** refs_sort() - those from number @from on, by position. Return: 0; -ENOMEM; as spool_add(). */
int refs_sort(struct refs *x, uint64_t from);

void refs_free(struct refs *x);

#endif
