/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two archives behind each other, each its own payload stream as well: the length of the first one (u32), then both. They are
 * compared with each other, with a part of the second one lost, and each with itself, in which nothing differs.
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/cur.h"
#include "host/archive/diff.h"
#include "tests/lib/mem_source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int on_entry(void *arg, const struct diff_entry *e)
{
	if (e->code)
		return 0;
	if (*(const bool *)arg || !e->from != (e->op == DIFF_ADDED) || !e->to != (e->op == DIFF_REMOVED))
		abort();
	return 0;
}

static void compare(struct mem_source *old, struct mem_source *new, bool same)
{
	const struct diff_options o = { .same_key = true };
	const struct diff_sink sink = { .entry = on_entry, .arg = &same };
	struct access *a = NULL, *b = NULL;
	struct diff_totals t;

	if (access_open(&old->src, &old->src, &a, NULL) == 0 && access_open(&new->src, &new->src, &b, NULL) == 0)
		(void)diff_walk((struct diff_side[2]){ { a, NULL }, { b, NULL } }, "", 0, &o, &sink, &t, NULL);
	access_free(a);
	access_free(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct cur c = cur_of(data, len);
	struct mem_source old, new;
	uint32_t first;

	if (cur_u32le(&c, &first) < 0)
		return 0;
	first = first < c.left ? first : (uint32_t)c.left;
	old = mem_source(c.p, first);
	new = mem_source(c.p + first, c.left - first);
	compare(&old, &new, false);
	compare(&old, &old, true);
	compare(&new, &new, true);
	new.bad_from = new.src.size_bytes / 2;
	new.bad_to = new.bad_from + new.src.size_bytes / 8;
	compare(&old, &new, false);
	compare(&new, &old, false);
	return 0;
}
