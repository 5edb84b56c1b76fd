/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_CLI_DIFF_OUT_H
#define HOST_CLI_DIFF_OUT_H

/* Differences as text or JSON; totals of text go to standard error, so that nothing is printed where nothing differs. */

#include "common/jsonw.h"
#include "host/archive/diff.h"
#include "host/cli/cli.h"
#include "host/source/chunks_diff.h"

struct diff_out_side {
	const char *snapshot;
	const char *file;	/* stored name */
	uint64_t size;
};

struct diff_out {
	enum cli_format format;
	bool quiet;
	const char *kind;	/* "archive" or "image" */
	struct diff_out_side side[2];
	struct buf out;
	struct jsonw w;
	bool damaged, untold;	/* something could not be compared: because of damage, or otherwise */
};

void diff_out_begin(struct diff_out *o);

/** diff_out_entry() - Return: 0; negative errno when standard output is broken. */
int diff_out_entry(struct diff_out *o, const struct diff_entry *e);
int diff_out_range(struct diff_out *o, const struct chunks_diff_range *r);

/** diff_out_end() - totals of an archive, or of an image */
void diff_out_end(struct diff_out *o, const struct diff_totals *t, const struct chunks_diff_totals *i);

#endif
