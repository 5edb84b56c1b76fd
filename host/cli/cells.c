/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/cli/cells.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/grow.h"

void cells_free(struct cells *c)
{
	for (size_t i = 0; i < c->nr; i++)
		free(c->v[i]);
	free(c->v);
	*c = (struct cells){ 0 };
}

int cells_add(struct cells *c, struct buf *b)
{
	const char *text = buf_cstr(b);

	if (grow(&c->v, &c->room, c->nr, sizeof(*c->v)) < 0)
		return -ENOMEM;
	c->v[c->nr] = text ? strdup(text) : NULL;
	if (!c->v[c->nr])
		return -ENOMEM;
	c->nr++;
	buf_reset(b);
	return 0;
}

static int compare_files(const void *a, const void *b)
{
	return strcmp(((const struct store_file *)a)->name, ((const struct store_file *)b)->name);
}

int cells_add_files(struct cells *c, const struct store_file *files, size_t nr)
{
	CLEANUP_FREE struct store_file *f = calloc(nr + 1, sizeof(*f));
	CLEANUP_BUF struct buf b = BUF_INIT;

	if (!f)
		return -ENOMEM;
	if (nr)
		memcpy(f, files, nr * sizeof(*f));
	qsort(f, nr, sizeof(*f), compare_files);
	for (size_t k = 0; k < nr; k++)
		buf_fmt(&b, "%s%.*s", k ? " " : "", (int)(strlen(f[k].name) - strlen(".fidx")), f[k].name);
	return cells_add(c, &b);
}

int cells_print(const struct cells *c, const struct cli_column *col, size_t nr_cols)
{
	if (!c->nr)
		return 0;
	return cli_table_ruled(col, nr_cols, (const char *const *)c->v, c->nr / nr_cols);
}
