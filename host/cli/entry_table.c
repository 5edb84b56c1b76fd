/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/cli/entry_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/grow.h"

#define TABLE_BYTES_MAX ((size_t)1 << 30)

struct entry_table_row {
	size_t at;	/* in the text: name, time and size */
	char type[2];
};

struct buf *entry_table_begin(struct entry_table *t, char type)
{
	t->text.limit = TABLE_BYTES_MAX;
	if (grow(&t->row, &t->room, t->nr, sizeof(*t->row)) < 0) {
		t->text.error = -ENOMEM;
		return &t->text;
	}
	t->row[t->nr] = (struct entry_table_row){ t->text.len, { type } };
	return &t->text;
}

int entry_table_end(struct entry_table *t)
{
	if (buf_ok(&t->text) < 0)
		return buf_ok(&t->text);
	if (t->text.len > TABLE_BYTES_MAX - ++t->nr * sizeof(*t->row))
		return -E2BIG;
	return 0;
}

static const char *name_of(const struct entry_table *t, const struct entry_table_row *row)
{
	return (const char *)t->text.data + row->at;
}

static int by_type_and_name(const void *a, const void *b, void *arg)
{
	const struct entry_table_row *x = a, *y = b;
	const int types = strcmp(x->type, y->type);

	return types ? types : strcmp(name_of(arg, x), name_of(arg, y));
}

int entry_table_print(struct entry_table *t, const struct cli_column col[static ENTRY_TABLE_COLS], bool ruled)
{
	CLEANUP_FREE const char **cells = calloc(t->nr + 1, ENTRY_TABLE_COLS * sizeof(*cells));
	const char **c = cells;

	if (!cells)
		return -ENOMEM;
	if (t->nr)
		qsort_r(t->row, t->nr, sizeof(*t->row), by_type_and_name, t);
	for (size_t i = 0; i < t->nr; i++, c += ENTRY_TABLE_COLS) {
		c[0] = t->row[i].type;
		c[1] = name_of(t, &t->row[i]);
		c[2] = c[1] + strlen(c[1]) + 1;
		c[3] = c[2] + strlen(c[2]) + 1;
	}
	return (ruled ? cli_table_ruled : cli_table)(col, ENTRY_TABLE_COLS, cells, t->nr);
}

void entry_table_free(struct entry_table *t)
{
	free(t->row);
	buf_free(&t->text);
}
