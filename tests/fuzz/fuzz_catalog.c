/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdint.h>
#include <stdlib.h>

#include "host/archive/catalog_walk.h"
#include "tests/lib/mem_source.h"

#define BLOCKS_MAX 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct walk {
	uint64_t block[BLOCKS_MAX];
	size_t nr;
};

static int on_entry(void *arg, const struct catalog_entry *e)
{
	struct walk *w = arg;

	if (e->name_len > CATALOG_NAME_MAX || e->name[e->name_len])
		abort();
	if (e->type == 'd' && w->nr < BLOCKS_MAX)
		w->block[w->nr++] = e->block;
	return 0;
}

static int on_path(void *arg, const char *path, size_t path_len, const struct catalog_entry *e)
{
	(void)arg;
	if (path[path_len] || path_len < e->name_len)
		abort();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct mem_source m = mem_source(data, len);
	struct walk w = { .nr = 1 };
	struct catalog_entry e;
	struct catalog c;

	if (catalog_open(&m.src, &c, NULL) < 0)
		return 0;
	w.block[0] = c.root;
	for (size_t i = 0; i < w.nr; i++)
		(void)catalog_list(&c, w.block[i], on_entry, &w, NULL);
	(void)catalog_walk(&c, c.root, true, on_path, NULL, NULL);
	(void)catalog_find(&c, "root.pxar.didx/etc/passwd", 25, &e, NULL);
	return 0;
}
