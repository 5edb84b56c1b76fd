/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/session/damage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/grow.h"
#include "common/jsonw.h"

/* Does it end before @disk, @off? */
static bool is_before(const struct damage_extent *e, uint32_t disk, uint64_t off)
{
	return e->disk != disk ? e->disk < disk : e->end < off;
}

/* The first one that does not end before @disk, @off. */
static size_t find(const struct damage *d, uint32_t disk, uint64_t off)
{
	size_t low = 0, high = d->nr_extents;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (is_before(&d->extents[mid], disk, off))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool insert(struct damage *d, size_t at, const struct damage_extent *e)
{
	if (d->nr_extents == DAMAGE_EXTENTS || grow(&d->extents, &d->room_extents, d->nr_extents, sizeof(*e)) < 0)
		return false;
	memmove(d->extents + at + 1, d->extents + at, (d->nr_extents - at) * sizeof(*e));
	d->extents[at] = *e;
	d->nr_extents++;
	return true;
}

/* One extent of all that it touches or overlaps. Return: bytes that are new. */
static uint64_t unite(struct damage *d, const struct damage_extent *e)
{
	const size_t first = find(d, e->disk, e->off);
	uint64_t known = 0;
	size_t last = first;
	struct damage_extent whole = *e;

	for (; last < d->nr_extents && d->extents[last].disk == e->disk && d->extents[last].off <= e->end; last++) {
		const struct damage_extent *x = &d->extents[last];
		uint64_t from = x->off > e->off ? x->off : e->off, to = x->end < e->end ? x->end : e->end;

		known += to - from;
		whole.off = x->off < whole.off ? x->off : whole.off;
		whole.end = x->end > whole.end ? x->end : whole.end;
	}
	if (last == first) {
		if (insert(d, first, e))
			return e->end - e->off;
		d->uncounted = true;
		return 0;
	}
	d->extents[first] = whole;
	memmove(d->extents + first + 1, d->extents + last, (d->nr_extents - last) * sizeof(*e));
	d->nr_extents -= last - first - 1;
	return e->end - e->off - known;
}

void damage_add(struct damage *d, uint32_t disk, uint64_t off, uint64_t len, const char *text)
{
	const struct damage_extent e = { disk, off, len > UINT64_MAX - off ? UINT64_MAX : off + len };
	uint64_t fresh = e.end > off ? unite(d, &e) : 0;
	struct damage_range *r;

	if (!fresh)
		return;
	if (d->nr == DAMAGE_LISTED || grow(&d->ranges, &d->room, d->nr, sizeof(*d->ranges)) < 0) {
		d->unlisted++;
		d->unlisted_bytes += fresh;
		return;
	}
	r = &d->ranges[d->nr++];
	r->disk = disk;
	r->off = off;
	r->len = e.end - off;
	(void)snprintf(r->text, sizeof(r->text), "%s", text);
}

void damage_free(struct damage *d)
{
	free(d->ranges);
	free(d->extents);
	*d = (struct damage){ 0 };
}

char *damage_json(const struct damage *d, size_t first, const char *(*disk_name)(void *arg, uint32_t disk), void *arg)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct jsonw w = JSONW(&b);

	jsonw_object_begin(&w);
	jsonw_key(&w, "ranges");
	jsonw_array_begin(&w);
	for (size_t i = first; i < d->nr && i - first < DAMAGE_PAGE; i++) {
		jsonw_object_begin(&w);
		jsonw_key_string(&w, "disk", disk_name(arg, d->ranges[i].disk));
		jsonw_key_u64(&w, "offset", d->ranges[i].off);
		jsonw_key_u64(&w, "length", d->ranges[i].len);
		jsonw_key_string(&w, "error", d->ranges[i].text);
		jsonw_object_end(&w);
	}
	jsonw_array_end(&w);
	jsonw_key_u64(&w, "listed", d->nr);
	jsonw_key_u64(&w, "unlisted", d->unlisted);
	jsonw_key_u64(&w, "unlisted-bytes", d->unlisted_bytes);
	jsonw_key_bool(&w, "uncounted", d->uncounted);
	jsonw_object_end(&w);
	return buf_cstr(&b) ? strdup(buf_cstr(&b)) : NULL;
}
