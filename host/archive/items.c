/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/archive/items.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "common/pxar/dec_items.h"
#include "common/pxar/format.h"

#define WINDOW ((size_t)128 << 10)	/* more than any single item has */
#define FILL ((size_t)16 << 10)

int items_init(struct items *s, struct source *src)
{
	*s = (struct items){ .src = src, .window = malloc(WINDOW) };
	return s->window ? 0 : -ENOMEM;
}

void items_free(struct items *s)
{
	free(s->window);
	s->window = NULL;
}

int items_bad(struct err *err, uint64_t pos, const char *what)
{
	return err_text(err, -EBADMSG, "archive, byte %" PRIu64 ": %s", pos, what);
}

static int fill(struct items *s, uint64_t pos, size_t n, struct err *err)
{
	int r = source_read_at(s->src, s->window, n, pos, err);

	s->at = pos;
	s->len = r < 0 ? 0 : n;
	return r;
}

int items_bytes(struct items *s, uint64_t pos, size_t n, struct cur *ret, struct err *err)
{
	const uint64_t left = pos < s->src->size_bytes ? s->src->size_bytes - pos : 0;
	const size_t wide = left < FILL ? (size_t)left : FILL;
	int r = 0;

	assert(n <= WINDOW);
	s->lost = false;
	if (n > left)
		return items_bad(err, pos, "ends early");
	if (pos < s->at || pos - s->at > s->len || n > s->len - (size_t)(pos - s->at)) {
		/* What follows may be unreadable, which is no matter of these bytes. */
		if (wide <= n || fill(s, pos, wide, NULL) < 0)
			r = fill(s, pos, n, err);
		s->lost = r < 0;
		if (r < 0)
			return r;
	}
	*ret = cur_of(s->window + (pos - s->at), n);
	return 0;
}

int items_head(struct items *s, uint64_t pos, uint64_t end, struct item *ret, struct err *err)
{
	uint64_t size = 0;
	struct cur c;
	int r;

	if (pos > end || end - pos < PXAR_HEADER_SIZE)
		return items_bad(err, pos, "an item is missing");
	r = items_bytes(s, pos, PXAR_HEADER_SIZE, &c, err);
	if (r < 0)
		return r;
	ret->pos = pos;
	if (cur_u64le(&c, &ret->type) < 0 || cur_u64le(&c, &size) < 0 || size < PXAR_HEADER_SIZE)
		return items_bad(err, pos, "item smaller than its header");
	ret->content = size - PXAR_HEADER_SIZE;
	if (!dec_item_fits(ret->type, ret->content))
		return items_bad(err, pos, "unknown item, or of a wrong size");
	if (size > end - pos)
		return items_bad(err, pos, "item goes past the end of what holds it");
	return 0;
}

int items_content(struct items *s, const struct item *it, struct cur *ret, struct err *err)
{
	return items_bytes(s, it->pos + PXAR_HEADER_SIZE, (size_t)it->content, ret, err);
}
