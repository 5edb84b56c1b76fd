/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_CLI_ENTRY_TABLE_H
#define HOST_CLI_ENTRY_TABLE_H

/* A listing as text: sorted by type, then by name, so nothing is written before all rows are there. */

#include "common/sorter.h"
#include "host/cli/cli.h"

#define ENTRY_TABLE_COLS 4	/* type, name, last modified, size */

struct entry_table {
	struct cli_table table;
	struct sorter rows;	/* of the four texts, each with its NUL */
	struct buf row;		/* the one that is made now */
	uint64_t nr, bytes;
	int error;		/* of a row or of sorting */
};

/**
 * entry_table_begin() - a row for an entry of @type
 * Return: where name, time and size are written as they shall appear, each with a NUL behind it. End with
 * entry_table_end() before the next.
 */
struct buf *entry_table_begin(struct entry_table *t, char type);

/** entry_table_end() - Return: 0; -ENOMEM; -E2BIG when there are too many (1 GiB of text); as sorter_add(). */
int entry_table_end(struct entry_table *t);

/** entry_table_print() - sort and print. @ruled: with a line between rows. Return: 0; negative errno. */
int entry_table_print(struct entry_table *t, const struct cli_column col[static ENTRY_TABLE_COLS], bool ruled);

/**
 * entry_table_why() - put the reason into @err, if it was the table that failed and nothing else has told
 * @r: what the listing returned. Return: @r; -ENOSPC for all that a temporary file may say.
 */
int entry_table_why(const struct entry_table *t, int r, struct err *err);

void entry_table_free(struct entry_table *t);

#endif
