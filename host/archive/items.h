/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_ARCHIVE_ITEMS_H
#define HOST_ARCHIVE_ITEMS_H

/* Items of a pxar stream by position, through a small window. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cur.h"
#include "common/err.h"
#include "host/source/source.h"

struct items {
	struct source *src;	/* borrowed */
	uint8_t *window;
	uint64_t at;		/* of the window's first byte */
	size_t len;
	bool lost;		/* what was asked for last could not be read: it is not known to be malformed */
};

struct item {
	uint64_t pos;		/* of the header */
	uint64_t type, content;	/* bytes behind the header */
};

/** items_init() - Return: 0; -ENOMEM. */
int items_init(struct items *s, struct source *src);
void items_free(struct items *s);

/** items_bad() - err_text() with the position. Return: -EBADMSG. */
int items_bad(struct err *err, uint64_t pos, const char *what);

/**
 * items_bytes() - @n bytes at @pos, borrowed until the next call; at most one item's content
 * Return: 0; what reading gives.
 */
int items_bytes(struct items *s, uint64_t pos, size_t n, struct cur *ret, struct err *err);

/** items_head() - the header at @pos; the item must be known and end at @end at the latest. Return: 0; -EBADMSG. */
int items_head(struct items *s, uint64_t pos, uint64_t end, struct item *ret, struct err *err);

/** items_content() - what is behind a header; not for PAYLOAD, GOODBYE and PRELUDE. Return: 0; negative errno. */
int items_content(struct items *s, const struct item *it, struct cur *ret, struct err *err);

static inline uint64_t item_end(const struct item *it)
{
	return it->pos + 16 + it->content;
}

#endif
