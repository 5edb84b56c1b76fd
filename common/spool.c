/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/spool.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/grow.h"
#include "common/spool_file.h"

#define BLOCK SPOOL_BLOCK

struct spool_block {
	uint8_t *data;		/* NULL: in the file */
	uint64_t at;		/* byte of the file */
	bool has_place;		/* @at is its own */
};

/* Moves a block to the file, and its memory to @to. */
static int move_out(struct spool_block *b, struct spool_block *to)
{
	int r;

	if (!b->has_place)
		b->at = spool_file_take(BLOCK);
	b->has_place = true;
	r = spool_file_write(b->at, b->data, BLOCK);
	if (r < 0)
		return r;
	to->data = b->data;
	b->data = NULL;
	return 0;
}

/* The last block is full: another one, with its memory if that is enough. */
static int next_block(struct spool *s)
{
	struct spool_block *next;
	int r = grow(&s->block, &s->room, s->nr_blocks, sizeof(*s->block));

	if (r < 0)
		return r;
	next = &s->block[s->nr_blocks];
	if (s->nr_blocks == s->nr_made) {
		*next = (struct spool_block){ 0 };
		s->nr_made++;
	}
	if (s->nr_blocks >= SPOOL_MEMORY / BLOCK && spool_file_has())
		r = move_out(next - 1, next);
	else
		next->data = malloc(BLOCK);
	if (r < 0)
		return r;
	if (!next->data)
		return -ENOMEM;
	s->nr_blocks++;
	return 0;
}

int spool_add(struct spool *s, const void *p, size_t n)
{
	const uint8_t *from = p;

	while (n) {
		const size_t at = (size_t)(s->len % BLOCK);
		size_t part = BLOCK - at;
		int r;

		if (s->len == (uint64_t)s->nr_blocks * BLOCK && (r = next_block(s)) < 0)
			return r;
		if (part > n)
			part = n;
		memcpy(s->block[s->nr_blocks - 1].data + at, from, part);
		s->len += part;
		from += part;
		n -= part;
	}
	return 0;
}

int spool_cut(struct spool *s, uint64_t len)
{
	const size_t nr = (size_t)((len + BLOCK - 1) / BLOCK);
	struct spool_block *last = nr ? &s->block[nr - 1] : NULL;
	uint8_t *memory = NULL;

	if (len >= s->len)
		return 0;
	for (; s->nr_blocks > nr; s->nr_blocks--) {
		struct spool_block *b = &s->block[s->nr_blocks - 1];

		if (!memory)
			memory = b->data;
		else
			free(b->data);
		b->data = NULL;
	}
	s->len = len;
	/* What is appended to is in memory; what lies behind it had some. */
	if (last && !last->data) {
		last->data = memory;
		return spool_file_read(last->at, memory, BLOCK);
	}
	free(memory);
	return 0;
}

int spool_read(const struct spool *s, uint64_t off, void *p, size_t n)
{
	uint8_t *to = p;
	int r = 0;

	if (off > s->len || n > s->len - off)
		return -ERANGE;
	while (n && r == 0) {
		const struct spool_block *b = &s->block[off / BLOCK];
		const size_t at = (size_t)(off % BLOCK), part = n < BLOCK - at ? n : BLOCK - at;

		if (b->data)
			memcpy(to, b->data + at, part);
		else
			r = spool_file_read(b->at + at, to, part);
		to += part;
		off += part;
		n -= part;
	}
	return r;
}

int spool_find(const struct spool *s, uint64_t key, void *record, size_t size)
{
	uint64_t lo = 0, hi = s->len / size, seen;
	int r = 0;

	while (lo < hi) {
		const uint64_t mid = lo + (hi - lo) / 2;

		r = spool_read(s, mid * size, &seen, sizeof(seen));
		if (r < 0)
			return r;
		if (seen < key)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo >= s->len / size)
		return 0;
	r = spool_read(s, lo * size, record, size);
	memcpy(&seen, record, sizeof(seen));
	return r < 0 ? r : seen == key;
}

void spool_free(struct spool *s)
{
	for (size_t i = 0; i < s->nr_blocks; i++)
		free(s->block[i].data);
	free(s->block);
	*s = (struct spool){ 0 };
}
