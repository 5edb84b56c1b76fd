/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_CLI_ENTRY_TABLE_H
#define HOST_CLI_ENTRY_TABLE_H

/* A listing as text. Rows are kept until all are there, because they are sorted: by type, then by name. */

#include "host/cli/cli.h"

#define ENTRY_TABLE_COLS 4	/* type, name, last modified, size */

struct entry_table_row;

struct entry_table {
	struct entry_table_row *row;
	size_t nr, room;
	struct buf text;
};

/**
 * entry_table_begin() - a row for an entry of @type
 * Return: where name, time and size are written as they shall appear, each with a NUL behind it. End with
 * entry_table_end() before the next.
 */
struct buf *entry_table_begin(struct entry_table *t, char type);

/** entry_table_end() - Return: 0; -ENOMEM; -E2BIG when there are too many (some five million). */
int entry_table_end(struct entry_table *t);

/** entry_table_print() - sort and print. @ruled: with a line between rows. Return: 0; negative errno. */
int entry_table_print(struct entry_table *t, const struct cli_column col[static ENTRY_TABLE_COLS], bool ruled);

void entry_table_free(struct entry_table *t);

#endif
