/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/archive/refs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

#define RUN ((size_t)128 << 10)	/* sorted in memory at once, 2 MiB */

int refs_add(struct refs *x, struct ref r)
{
	return spool_add(&x->all, &r, sizeof(r));
}

int refs_get(struct refs *x, uint64_t i, struct ref *ret)
{
	if (i < x->first || i - x->first >= x->nr) {
		const uint64_t left = refs_nr(x) - i;
		int r;

		x->first = i;
		x->nr = left < REFS_WINDOW ? (size_t)left : REFS_WINDOW;
		r = spool_read(&x->all, i * sizeof(*ret), x->window, x->nr * sizeof(*ret));
		if (r < 0) {
			x->nr = 0;
			return r;
		}
	}
	*ret = x->window[i - x->first];
	return 0;
}

int refs_cut(struct refs *x, uint64_t nr)
{
	if (x->first + x->nr > nr)
		x->nr = 0;
	return spool_cut(&x->all, nr * sizeof(struct ref));
}

void refs_free(struct refs *x)
{
	spool_free(&x->all);
	x->nr = 0;
}

static int by_pos(const void *x, const void *y)
{
	const struct ref *a = x, *b = y;

	return a->pos < b->pos ? -1 : a->pos > b->pos;
}

/* A sorted part of a spool, read from one end to the other. */
struct run {
	uint64_t next, end;	/* of the spool, not read yet */
	struct ref *window;
	size_t at, nr;		/* of the window */
};

/* Return: 1, and there is a ref at the window's place; 0 at the end; as spool_read(). */
static int run_fill(struct run *u, const struct spool *s, size_t room)
{
	int r;

	if (u->at < u->nr)
		return 1;
	u->at = 0;
	u->nr = u->end - u->next < room ? (size_t)(u->end - u->next) : room;
	r = spool_read(s, u->next * sizeof(struct ref), u->window, u->nr * sizeof(struct ref));
	u->next += u->nr;
	return r < 0 ? r : u->nr > 0;
}

/* Adds all of the sorted @runs in order. @memory: RUN refs. */
static int merge(struct refs *x, const struct spool *runs, struct ref *memory)
{
	const uint64_t nr = runs->len / sizeof(struct ref);
	size_t left = (size_t)((nr + RUN - 1) / RUN);
	const size_t room = RUN / left;
	CLEANUP_FREE struct run *run = calloc(left, sizeof(*run));
	int r = run ? 0 : -ENOMEM;

	for (size_t i = 0; r >= 0 && i < left; i++) {
		run[i] = (struct run){ .next = i * RUN, .end = (i + 1) * RUN < nr ? (i + 1) * RUN : nr, .window = memory + i * room };
		r = run_fill(&run[i], runs, room);
	}
	while (r >= 0 && left) {
		size_t least = 0;

		for (size_t i = 1; i < left; i++)
			if (run[i].window[run[i].at].pos < run[least].window[run[least].at].pos)
				least = i;
		r = refs_add(x, run[least].window[run[least].at++]);
		if (r == 0)
			r = run_fill(&run[least], runs, room);
		if (r == 0)
			run[least] = run[--left];
	}
	return r < 0 ? r : 0;
}

int refs_sort(struct refs *x, uint64_t from)
{
	const uint64_t nr = refs_nr(x) - from;
	const size_t most = nr < RUN ? (size_t)nr : RUN;
	CLEANUP_FREE struct ref *memory = malloc((most ? most : 1) * sizeof(*memory));
	CLEANUP(spool_free) struct spool runs = { 0 };
	int r = memory ? 0 : -ENOMEM;

	for (uint64_t done = 0; done < nr && r == 0; done += most) {
		const size_t some = nr - done < most ? (size_t)(nr - done) : most;

		r = spool_read(&x->all, (from + done) * sizeof(*memory), memory, some * sizeof(*memory));
		if (r < 0)
			break;
		qsort(memory, some, sizeof(*memory), by_pos);
		if (nr > most)
			r = spool_add(&runs, memory, some * sizeof(*memory));
	}
	if (r == 0)
		r = refs_cut(x, from);
	if (r < 0)
		return r;
	return nr > most ? merge(x, &runs, memory) : spool_add(&x->all, memory, most * sizeof(*memory));
}
