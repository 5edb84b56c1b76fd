/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef COMMON_SORTER_H
#define COMMON_SORTER_H

/*
 * Sorts any number of records of any length in memory that does not grow with them: sorted runs go to a spool
 * (common/spool.h) and are merged as they are taken out again.
 */

#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/spool.h"

#define SORTER_MEMORY ((size_t)2 << 20)	/* a run, and the windows of all while they are merged */

/** sorter_compare - as for qsort(); the records are aligned for any number. Equal ones keep the order they came in. */
typedef int sorter_compare(const void *a, const void *b);

struct sorter_run;

struct sorter {
	sorter_compare *compare;
	struct buf records;		/* of the run that is made now */
	uint32_t *at;			/* where each of them lies */
	size_t nr, room;
	size_t next;			/* of these, if there was but one run */
	struct spool spool;
	struct sorter_run *run;		/* after sorter_sort(): a heap, the one with the least record first */
	size_t nr_runs, room_runs;
};

/** sorter_add() - one more record. Return: 0; -ENOMEM; as spool_add(). */
int sorter_add(struct sorter *s, const void *p, size_t n);

/** sorter_sort() - no more come, they can be taken out. Return: 0; -ENOMEM; as spool_add(). */
int sorter_sort(struct sorter *s);

/**
 * sorter_next() - take out the next one
 * @ret: the record, until the next call; @len: bytes of it
 * Return: 1; 0 after the last; -ENOMEM; as spool_read().
 */
int sorter_next(struct sorter *s, const void **ret, size_t *len);

/** sorter_free() - empty, and usable again with the same order. */
void sorter_free(struct sorter *s);

#endif
