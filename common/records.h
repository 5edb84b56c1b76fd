/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef COMMON_RECORDS_H
#define COMMON_RECORDS_H

/*
 * A stack of records of one size. Memory does not grow with it (common/spool.h), and those of its top can be sorted:
 * of directories within directories, each the members of those that are open.
 */

#include <stddef.h>
#include <stdint.h>

#include "common/sorter.h"
#include "common/spool.h"

#define RECORDS_WINDOW 1536	/* bytes read at once, and of a record at most */

struct records {
	size_t size;		/* bytes of one */
	struct spool all;
	uint64_t first;		/* of those in the window */
	size_t nr;
	_Alignas(8) uint8_t window[RECORDS_WINDOW];
};

/** records_nr() - how many there are. */
static inline uint64_t records_nr(const struct records *x)
{
	return x->all.len / x->size;
}

/** records_add() - on top. Return: 0; as spool_add(). */
int records_add(struct records *x, const void *record);

/** records_get() - the one with number @i, less than records_nr(). Return: 0; as spool_read(). */
int records_get(struct records *x, uint64_t i, void *ret);

/** records_cut() - only the first @nr stay. Return: 0; as spool_cut(). */
int records_cut(struct records *x, uint64_t nr);

/** records_sort() - those from number @from on. Return: 0; -ENOMEM; as spool_add(), those are lost then. */
int records_sort(struct records *x, uint64_t from, sorter_compare *compare);

void records_free(struct records *x);

#endif
