/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/source/chunks_diff.h"

#include <errno.h>
#include <string.h>

struct diff {
	struct chunks *old, *new;
	chunks_diff_fn *fn;
	void *arg;
	struct chunks_diff_totals *totals;
	struct chunks_diff_range range;	/* not told yet; len 0: none */
};

static int flush(struct diff *d)
{
	const struct chunks_diff_range r = d->range;

	d->range.len = 0;
	return r.len ? d->fn(d->arg, &r) : 0;
}

/* Ranges come in order; one that continues the last one becomes part of it. */
static int add(struct diff *d, enum chunks_diff_op op, uint64_t off, uint64_t len)
{
	int r = 0;

	if (d->range.len && d->range.op == op && d->range.off + d->range.len == off) {
		d->range.len += len;
		return 0;
	}
	if (len) {
		r = flush(d);
		d->range = (struct chunks_diff_range){ op, off, len };
	}
	return r;
}

/* Chunk @i, which both have. */
static int compare(struct diff *d, size_t i, struct err *err)
{
	const uint64_t off = chunks_start(d->new, i);
	const uint64_t old_end = chunks_start(d->old, i + 1), new_end = chunks_start(d->new, i + 1);
	const uint64_t end = old_end < new_end ? old_end : new_end;
	const uint8_t *a = chunks_digest(d->old, i), *b = chunks_digest(d->new, i);

	const struct chunks *ends = old_end < new_end ? d->old : d->new;

	if (!a || !b || chunks_start(d->old, i) != off || (old_end != new_end && i + 1 != ends->nr_chunks))
		return err_text(err, -EOPNOTSUPP,
				"the images have chunks of different sizes, so their indexes do not tell what changed");
	if (old_end == new_end && !memcmp(a, b, CHUNKS_DIGEST_BYTES)) {
		d->totals->same += end - off;
		return 0;
	}
	d->totals->changed += end - off;
	d->totals->zeroed += chunks_is_zero(d->new, i) ? end - off : 0;
	d->totals->chunks++;
	return add(d, CHUNKS_DIFF_CHANGED, off, end - off);
}

int chunks_diff(struct chunks *old, struct chunks *new, chunks_diff_fn *fn, void *arg, struct chunks_diff_totals *ret,
		struct err *err)
{
	const size_t both = old->nr_chunks < new->nr_chunks ? old->nr_chunks : new->nr_chunks;
	const uint64_t less = old->size_bytes < new->size_bytes ? old->size_bytes : new->size_bytes;
	struct diff d = { .old = old, .new = new, .fn = fn, .arg = arg, .totals = ret };
	int r = 0;

	*ret = (struct chunks_diff_totals){ .added = new->size_bytes - less, .removed = old->size_bytes - less };
	ret->chunks = new->nr_chunks - both;
	for (size_t i = 0; r == 0 && i < both; i++)
		r = compare(&d, i, err);
	if (r == 0 && ret->added)
		r = add(&d, CHUNKS_DIFF_ADDED, less, ret->added);
	if (r == 0 && ret->removed)
		r = add(&d, CHUNKS_DIFF_REMOVED, less, ret->removed);
	return r == 0 ? flush(&d) : r;
}
