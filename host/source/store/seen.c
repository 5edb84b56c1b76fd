/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/source/store/seen.h"

#include <errno.h>
#include <string.h>

#define FIRST_ROOM 1024
#define WINDOW 16	/* places read at once */

static bool same_key(const struct seen *a, const struct seen *b)
{
	return a->len == b->len && a->crypt == b->crypt && a->sealed == b->sealed &&
	       !memcmp(a->digest, b->digest, DIGEST_BYTES);
}

static int read_places(const struct seen_table *t, uint64_t first, struct seen *ret, uint64_t *ret_nr)
{
	*ret_nr = t->room - first < WINDOW ? t->room - first : WINDOW;
	return spool_space_read(&t->space, first * sizeof(*ret), ret, (size_t)(*ret_nr * sizeof(*ret)));
}

/* Digests are spread evenly, or are our own trouble: it ends. */
int seen_find(const struct seen_table *t, const struct seen *key, uint64_t *ret_place, struct seen *ret)
{
	struct seen window[WINDOW];
	uint64_t first, nr;

	memcpy(&first, key->digest, sizeof(first));
	for (first &= t->room - 1;; first = (first + nr) & (t->room - 1)) {
		const int r = read_places(t, first, window, &nr);

		if (r < 0)
			return r;
		for (uint64_t i = 0; i < nr; i++) {
			const bool is_free = !window[i].len;

			if (!is_free && !same_key(&window[i], key))
				continue;
			*ret_place = first + i;
			if (ret && !is_free)
				*ret = window[i];
			return !is_free;
		}
	}
}

int seen_put(struct seen_table *t, uint64_t place, const struct seen *s, bool is_new)
{
	const int r = spool_space_write(&t->space, place * sizeof(*s), s, sizeof(*s));

	if (r == 0 && is_new)
		t->nr++;
	return r;
}

/* All that @old has into the larger @t. */
static int move_all(const struct seen_table *old, struct seen_table *t)
{
	struct seen window[WINDOW];
	uint64_t place, nr;
	int r = 0;

	for (uint64_t first = 0; r == 0 && first < old->room; first += nr) {
		r = read_places(old, first, window, &nr);
		for (uint64_t i = 0; r == 0 && i < nr; i++) {
			if (!window[i].len)
				continue;
			r = seen_find(t, &window[i], &place, NULL);
			if (r == 0)
				r = seen_put(t, place, &window[i], true);
		}
	}
	return r;
}

int seen_make_room(struct seen_table *t, uint64_t more)
{
	struct seen_table new = { .room = t->room ? t->room : FIRST_ROOM };
	int r;

	while ((t->nr + more) * 4 > new.room * 3)
		new.room *= 2;
	if (new.room == t->room)
		return 0;
	r = spool_space_new(new.room * sizeof(struct seen), &new.space);
	if (r == 0)
		r = move_all(t, &new);
	if (r < 0) {
		seen_free(&new);
		return r;
	}
	seen_free(t);
	*t = new;
	return 0;
}

void seen_free(struct seen_table *t)
{
	spool_space_free(&t->space);
	*t = (struct seen_table){ 0 };
}
