/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_SESSION_FILL_H
#define HOST_SESSION_FILL_H

/*
 * Threads that bring units of sources into the cache. What a guest waits for never stands behind what it may want: it goes
 * first, and one of the threads takes nothing else.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "host/source/source.h"

struct fill;

struct fill_job {
	struct source *source;	/* borrowed until the job is done */
	uint32_t slot, cache_slot;
	uint64_t unit;
	uint8_t *to;		/* @room bytes; what lies behind the source's end is zeroed */
	size_t room;
	bool prefetch;
	/* results */
	int code;
	bool zero;
	struct err err;
	struct fill_job *next;
};

/** fill_new() - with @nr_threads; all but one of them also read ahead. Return: 0; negative errno. */
int fill_new(unsigned int nr_threads, struct fill **ret, struct err *err);

/** fill_add() - @job is the caller's and must stay until fill_take() gives it back. */
void fill_add(struct fill *f, struct fill_job *job);

/** fill_urge() - somebody waits for @job now; it was added, and not taken yet. */
void fill_urge(struct fill *f, struct fill_job *job);

/** fill_fd() - readable when a job is done. */
int fill_fd(const struct fill *f);

/** fill_take() - a finished job, or NULL. */
struct fill_job *fill_take(struct fill *f);

/** fill_free() - wait for the jobs in hand, drop the rest (@drop gets each job that was not taken). */
void fill_free(struct fill *f, void (*drop)(struct fill_job *job));

#endif
