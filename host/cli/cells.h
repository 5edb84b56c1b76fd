/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_CLI_CELLS_H
#define HOST_CLI_CELLS_H

/* The cells of a table that grows, row by row. */

#include "common/buf.h"
#include "host/cli/cli.h"
#include "host/source/store/store.h"

struct cells {
	char **v;
	size_t nr, room;
};

/** cells_add() - the next cell, with the text of @b, which is emptied. Return: 0; -ENOMEM. */
int cells_add(struct cells *c, struct buf *b);

/** cells_add_files() - the next cell: names of files without the stored suffix, sorted. Return: 0; -ENOMEM. */
int cells_add_files(struct cells *c, const struct store_file *f, size_t nr);

/** cells_print() - a ruled table; nothing at all if there is no row. Return: 0; negative errno. */
int cells_print(const struct cells *c, const struct cli_column *col, size_t nr_cols);
void cells_free(struct cells *c);

#endif
