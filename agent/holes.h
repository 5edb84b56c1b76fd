/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_HOLES_H
#define AGENT_HOLES_H

/* Where a sparse file has data. */

#include "common/pxar/entry.h"

struct holes {
	struct pxar_segment *v;		/* ascending, not touching */
	size_t nr, room;
	uint64_t min_gap;		/* smaller gaps count as data */
};

void holes_free(struct holes *h);

/**
 * holes_add() - another run of data, behind all before
 * When there would be more than PXAR_SEGMENTS_MAX, small gaps are filled until half of that are left.
 */
int holes_add(struct holes *h, uint64_t off, uint64_t len);

/** holes_map() - by SEEK_DATA and SEEK_HOLE; all is data where the file system does not tell. Return: 0; -ENOMEM. */
int holes_map(int fd, uint64_t size, struct holes *ret);

/** holes_data() - bytes of data in all segments. */
uint64_t holes_data(const struct holes *h);

#endif
