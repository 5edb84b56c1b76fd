/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An archive, which is its own payload stream as well: whole, and with its end or its beginning lost. What comes of it for the
 * extractor must be a good stream.
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/pxar/decode.h"
#include "host/archive/access.h"
#include "host/archive/tree.h"
#include "tests/lib/mem_source.h"

#define OUT_MAX (4u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void read_tree(struct access *a, bool ext)
{
	struct pxar_dec *d = pxar_dec_new(PXAR_DEC_EXT);
	static uint8_t block[65536];
	struct pxar_event ev = { 0 };
	struct err err = ERR_INIT;
	struct tree *t = NULL;
	size_t sum = 0;
	ssize_t n;
	int r;

	if (!d || tree_open(a, "", 0, ext, NULL, NULL, &t, &err) < 0)
		goto out;
	while (sum < OUT_MAX && (n = tree_read(t, block, sizeof(block), &err)) >= 0) {
		if (n)
			pxar_dec_feed(d, block, (size_t)n);
		else
			pxar_dec_eof(d);
		sum += (size_t)n;
		while ((r = pxar_dec_next(d, &ev, &err)) > 0 && ev.type != PXAR_EV_END)
			;
		if (r < 0)
			abort();
		if (!n)
			break;
	}
out:
	tree_free(t);
	pxar_dec_free(d);
}

static void look_up(struct access *a)
{
	struct access_member *m = access_member_new(), *x = access_member_new();
	struct access_dir dir = { 0 };

	if (m && x && access_root(a, m, NULL) == 0 && access_dir_open(a, m, &dir, NULL) == 0) {
		for (size_t i = 0; i < dir.nr; i++)
			if (access_dir_member(a, &dir, i, x, NULL) == 0) {
				char name[PXAR_NAME_MAX + 1];

				memcpy(name, x->name, x->entry.name_len + 1);
				(void)access_find(a, name, x->entry.name_len, x, NULL);
			}
		access_dir_close(&dir);
	}
	access_member_free(m);
	access_member_free(x);
}

static void read_archive(struct mem_source *m)
{
	struct access *a;

	if (access_open(&m->src, &m->src, &a, NULL) < 0)
		return;
	read_tree(a, true);
	read_tree(a, false);
	look_up(a);
	access_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct mem_source m = mem_source(data, len);
	const size_t cut = len ? len * data[len / 2] / 256 : 0;	/* anywhere */

	read_archive(&m);
	m.bad_from = cut;
	m.bad_to = len;
	read_archive(&m);
	m.bad_from = 0;
	m.bad_to = cut;
	read_archive(&m);
	return 0;
}
