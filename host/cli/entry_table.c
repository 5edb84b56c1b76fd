/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/cli/entry_table.h"

#include <errno.h>
#include <string.h>

#define TABLE_BYTES_MAX ((uint64_t)1 << 30)	/* of all rows: a guest may go on for ever */

/* The four texts of a row that lie one behind the other. */
static void cells_of(const char *row, const char *ret[static ENTRY_TABLE_COLS])
{
	for (size_t c = 0; c < ENTRY_TABLE_COLS; c++, row += strlen(row) + 1)
		ret[c] = row;
}

static int by_type_and_name(const void *a, const void *b)
{
	const char *x = a, *y = b;
	const int types = strcmp(x, y);

	return types ? types : strcmp(x + strlen(x) + 1, y + strlen(y) + 1);
}

struct buf *entry_table_begin(struct entry_table *t, char type)
{
	buf_reset(&t->row);
	buf_u8(&t->row, (uint8_t)type);
	buf_u8(&t->row, 0);
	return &t->row;
}

int entry_table_end(struct entry_table *t)
{
	const char *cells[ENTRY_TABLE_COLS];

	t->nr++;
	t->bytes += t->row.len;
	t->error = buf_ok(&t->row) < 0 ? buf_ok(&t->row) : t->bytes > TABLE_BYTES_MAX ? -E2BIG : 0;
	if (t->error)
		return t->error;
	cells_of((const char *)t->row.data, cells);
	t->table.nr_cols = ENTRY_TABLE_COLS;
	cli_table_measure(&t->table, cells);
	t->rows.compare = by_type_and_name;
	t->error = sorter_add(&t->rows, t->row.data, t->row.len);
	return t->error;
}

int entry_table_print(struct entry_table *t, const struct cli_column col[static ENTRY_TABLE_COLS], bool ruled)
{
	const char *cells[ENTRY_TABLE_COLS];
	const void *row;
	size_t len;
	int r = 0;

	t->error = sorter_sort(&t->rows);
	t->table.col = col;
	t->table.nr_cols = ENTRY_TABLE_COLS;
	t->table.ruled = ruled;
	while (t->error == 0 && r == 0 && (t->error = sorter_next(&t->rows, &row, &len)) == 1) {
		t->error = 0;
		cells_of(row, cells);
		r = cli_table_row(&t->table, cells);
	}
	if (t->error)
		return t->error;
	return r < 0 ? r : cli_table_end(&t->table);
}

int entry_table_why(const struct entry_table *t, int r, struct err *err)
{
	if (r >= 0 || !t->error || err->code)
		return r;
	if (r == -E2BIG)
		return err_text(err, r, "too many entries for a sorted table: --output-format json takes any number");
	if (r == -ENOMEM)
		return err_set(err, r, "listing");
	return err_text(err, -ENOSPC, "listing (temporary file): %s", strerror(-r));
}

void entry_table_free(struct entry_table *t)
{
	sorter_free(&t->rows);
	cli_table_free(&t->table);
	buf_free(&t->row);
}
