/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/sorter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/grow.h"

#define HEAD ((size_t)8)	/* before each record: its length, padded so that the record is aligned */
#define WINDOW_MIN ((size_t)16 << 10)

/* A sorted part of the spool, read from one end to the other. */
struct sorter_run {
	size_t number;		/* in the order they were made */
	uint64_t next, end;	/* of the spool, not read yet */
	uint8_t *window;
	size_t room, at, len;	/* of the window */
};

static size_t padded(size_t n)
{
	return HEAD + ((n + 7) & ~(size_t)7);
}

static size_t length_of(const uint8_t *record)
{
	uint64_t n;

	memcpy(&n, record, sizeof(n));
	return (size_t)n;
}

static int by_order(const void *x, const void *y, void *arg)
{
	const struct sorter *s = arg;
	const uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;
	const int r = s->compare(s->records.data + a + HEAD, s->records.data + b + HEAD);

	return r ? r : a < b ? -1 : a > b;
}

static void sort_run(struct sorter *s)
{
	if (s->nr)
		qsort_r(s->at, s->nr, sizeof(*s->at), by_order, s);
}

/* What is in memory becomes a run in the spool. */
static int put_run(struct sorter *s)
{
	const uint64_t from = s->spool.len;
	int r = grow(&s->run, &s->room_runs, s->nr_runs, sizeof(*s->run));

	sort_run(s);
	for (size_t i = 0; i < s->nr && r == 0; i++) {
		const uint8_t *p = s->records.data + s->at[i];

		r = spool_add(&s->spool, p, padded(length_of(p)));
	}
	if (r < 0)
		return r;
	s->run[s->nr_runs] = (struct sorter_run){ .number = s->nr_runs, .next = from, .end = s->spool.len };
	s->nr_runs++;
	s->nr = 0;
	buf_reset(&s->records);
	return 0;
}

int sorter_add(struct sorter *s, const void *p, size_t n)
{
	const size_t all = padded(n);
	const uint64_t len = n;
	uint8_t *to;
	int r = 0;

	if (s->nr && s->records.len + all > SORTER_MEMORY)
		r = put_run(s);
	if (r == 0)
		r = grow(&s->at, &s->room, s->nr, sizeof(*s->at));
	if (r < 0)
		return r;
	to = buf_reserve(&s->records, all);
	if (!to)
		return buf_ok(&s->records);
	s->at[s->nr++] = (uint32_t)s->records.len;
	s->records.len += all;
	memset(to + all - 8, 0, 8);
	memcpy(to, &len, sizeof(len));
	memcpy(to + HEAD, p, n);
	return 0;
}

/* Reads on until the record at the window's place is whole. Return: 1; 0 at the end; -ENOMEM; as spool_read(). */
static int run_fill(struct sorter_run *u, const struct spool *s)
{
	for (;;) {
		const size_t have = u->len - u->at;
		const size_t need = have < HEAD ? HEAD : padded(length_of(u->window + u->at));
		size_t part;
		int r;

		if (have >= need)
			return 1;
		if (u->next == u->end)
			return 0;
		memmove(u->window, u->window + u->at, have);
		u->at = 0;
		u->len = have;
		if (need > u->room) {
			uint8_t *p = realloc(u->window, need);

			if (!p)
				return -ENOMEM;
			u->window = p;
			u->room = need;
		}
		part = u->end - u->next < u->room - have ? (size_t)(u->end - u->next) : u->room - have;
		r = spool_read(s, u->next, u->window + have, part);
		if (r < 0)
			return r;
		u->next += part;
		u->len += part;
	}
}

static bool before(const struct sorter *s, const struct sorter_run *a, const struct sorter_run *b)
{
	const int r = s->compare(a->window + a->at + HEAD, b->window + b->at + HEAD);

	return r ? r < 0 : a->number < b->number;
}

static void sift_down(struct sorter *s, size_t i)
{
	for (;;) {
		size_t least = i;
		struct sorter_run u = s->run[i];

		for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < s->nr_runs; child++)
			if (before(s, &s->run[child], &s->run[least]))
				least = child;
		if (least == i)
			return;
		s->run[i] = s->run[least];
		s->run[least] = u;
		i = least;
	}
}

int sorter_sort(struct sorter *s)
{
	size_t room;
	int r;

	if (!s->nr_runs) {
		sort_run(s);
		return 0;
	}
	r = put_run(s);
	buf_free(&s->records);
	room = SORTER_MEMORY / s->nr_runs > WINDOW_MIN ? SORTER_MEMORY / s->nr_runs : WINDOW_MIN;
	for (size_t i = 0; i < s->nr_runs && r >= 0; i++) {
		s->run[i].window = malloc(room);
		s->run[i].room = room;
		r = s->run[i].window ? run_fill(&s->run[i], &s->spool) : -ENOMEM;
	}
	if (r < 0)
		return r;
	for (size_t i = s->nr_runs / 2; i-- > 0;)
		sift_down(s, i);
	return 0;
}

/* The record at the top of the heap was taken. */
static int advance(struct sorter *s)
{
	struct sorter_run *u = &s->run[0];
	int r;

	u->at += padded(length_of(u->window + u->at));
	r = run_fill(u, &s->spool);
	if (r == 0) {
		free(u->window);
		*u = s->run[--s->nr_runs];
	}
	if (r >= 0)
		sift_down(s, 0);
	return r;
}

int sorter_next(struct sorter *s, const void **ret, size_t *len)
{
	const uint8_t *p;

	if (!s->spool.len) {
		if (s->next == s->nr)
			return 0;
		p = s->records.data + s->at[s->next++];
	} else {
		const int r = s->next++ && s->nr_runs ? advance(s) : 0;

		if (r < 0 || !s->nr_runs)
			return r < 0 ? r : 0;
		p = s->run[0].window + s->run[0].at;
	}
	*ret = p + HEAD;
	*len = length_of(p);
	return 1;
}

void sorter_free(struct sorter *s)
{
	for (size_t i = 0; i < s->nr_runs; i++)
		free(s->run[i].window);
	free(s->run);
	free(s->at);
	buf_free(&s->records);
	spool_free(&s->spool);
	*s = (struct sorter){ .compare = s->compare };
}
