/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_ARCHIVE_DIFF_MEMBER_H
#define HOST_ARCHIVE_DIFF_MEMBER_H

/* Two members of the same path: what differs between them. */

#include "host/archive/diff.h"

#define DIFF_PIECE ((size_t)256 << 10)

/** diff_metadata() - of two entries of the same kind, neither a hard link. Return: bits, DIFF_SIZE included; -ENOMEM. */
int diff_metadata(const struct pxar_entry *a, const struct pxar_entry *b);

struct diff_contents {
	const struct diff_side *side;
	const struct diff_options *o;
	const struct diff_sink *sink;
	struct diff_totals *totals;
	uint8_t *piece[2];	/* DIFF_PIECE bytes each */
};

/** diff_contents() - are those of two files of the same size the same? Return: 1; 0; negative errno. */
int diff_contents(const struct diff_contents *c, struct access_member *a, struct access_member *b, struct err *err);

#endif
