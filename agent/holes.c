/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/holes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/pxar/format.h"

#define FIRST_GAP 65536

void holes_free(struct holes *h)
{
	free(h->v);
	*h = (struct holes){ 0 };
}

static bool joins(const struct holes *h, size_t to, uint64_t off)
{
	return off - (h->v[to].off + h->v[to].len) <= h->min_gap;
}

static void fill_gaps(struct holes *h)
{
	while (h->nr > PXAR_SEGMENTS_MAX / 2) {
		size_t to = 0;

		h->min_gap = h->min_gap ? 2 * h->min_gap : FIRST_GAP;
		for (size_t i = 1; i < h->nr; i++) {
			if (joins(h, to, h->v[i].off))
				h->v[to].len = h->v[i].off + h->v[i].len - h->v[to].off;
			else
				h->v[++to] = h->v[i];
		}
		h->nr = to + 1;
	}
}

int holes_add(struct holes *h, uint64_t off, uint64_t len)
{
	if (!len)
		return 0;
	if (h->nr && joins(h, h->nr - 1, off)) {
		h->v[h->nr - 1].len = off + len - h->v[h->nr - 1].off;
		return 0;
	}
	if (h->nr == PXAR_SEGMENTS_MAX) {
		fill_gaps(h);
		return holes_add(h, off, len);
	}
	if (h->nr == h->room) {
		size_t room = h->room ? 2 * h->room : 16;
		struct pxar_segment *v = realloc(h->v, room * sizeof(*v));

		if (!v)
			return -ENOMEM;
		h->v = v;
		h->room = room;
	}
	h->v[h->nr++] = (struct pxar_segment){ off, len };
	return 0;
}

int holes_map(int fd, uint64_t size, struct holes *ret)
{
	uint64_t at = 0;
	int r = 0;

	while (r == 0 && at < size) {
		off_t data = lseek(fd, (off_t)at, SEEK_DATA), hole;

		if (data < 0 && errno == ENXIO)
			break;
		if (data < 0 || (uint64_t)data < at)
			return holes_add(ret, at, size - at);
		if ((uint64_t)data >= size)
			break;
		hole = lseek(fd, data, SEEK_HOLE);
		if (hole <= data || (uint64_t)hole > size)
			hole = (off_t)size;
		r = holes_add(ret, (uint64_t)data, (uint64_t)(hole - data));
		at = (uint64_t)hole;
	}
	return r;
}

uint64_t holes_data(const struct holes *h)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < h->nr; i++)
		sum += h->v[i].len;
	return sum;
}
