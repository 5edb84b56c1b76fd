/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/archive/catalog_walk.h"

#include <errno.h>
#include <stdlib.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/grow.h"
#include "common/pxar/format.h"

/* A directory above the one that is read. */
struct level {
	struct catalog_place place;
	size_t path_len;
};

struct walk {
	const struct catalog *c;
	struct catalog_dir dir;		/* the innermost */
	struct level *level;
	size_t nr, room;
	struct buf path;		/* of the innermost */
	uint64_t budget;		/* entries that a catalog of this size can have */
};

static int enter(struct walk *w, const struct catalog_entry *e, size_t path_len, struct err *err)
{
	if (w->nr == PXAR_DEPTH_MAX)
		return err_text(err, -EBADMSG, "catalog: directories more than %d levels deep", PXAR_DEPTH_MAX);
	if (grow(&w->level, &w->room, w->nr, sizeof(*w->level)) < 0)
		return err_set(err, -ENOMEM, "catalog");
	w->level[w->nr++] = (struct level){ catalog_dir_place(&w->dir), path_len };
	return catalog_dir_open(w->c, e->block, &w->dir, err);
}

static void leave(struct walk *w)
{
	const struct level *l = &w->level[--w->nr];

	w->path.len = l->path_len;
	catalog_dir_resume(w->c, &l->place, &w->dir);
}

static int tell(struct walk *w, bool recursive, const struct catalog_entry *e, catalog_walk_fn *fn, void *arg,
		struct err *err)
{
	const size_t before = w->path.len;
	int r;

	if (!w->budget--)
		return err_text(err, -EBADMSG, "catalog: its directories lead to each other");
	if (before && e->name_len)
		buf_u8(&w->path, '/');
	buf_add(&w->path, e->name, e->name_len);
	if (!buf_cstr(&w->path))
		return err_set(err, buf_ok(&w->path) == -E2BIG ? -EBADMSG : -ENOMEM, "catalog: a path");
	r = fn(arg, (const char *)w->path.data, w->path.len, e);
	if (r == 0 && recursive && e->type == 'd' && e->name_len)
		return enter(w, e, before, err);
	w->path.len = before;
	return r;
}

static void walk_free(struct walk *w)
{
	free(w->level);
	buf_free(&w->path);
}

int catalog_walk(const struct catalog *c, uint64_t block, bool recursive, catalog_walk_fn *fn, void *arg,
		 struct err *err)
{
	CLEANUP(walk_free) struct walk w = { .c = c, .budget = c->src->size_bytes, .path.limit = PXAR_PATH_MAX };
	struct catalog_entry e;
	int r = catalog_dir_open(c, block, &w.dir, err);

	while (r == 0) {
		r = catalog_dir_next(&w.dir, &e, err);
		if (r == 1) {
			r = tell(&w, recursive, &e, fn, arg, err);
		} else if (r == 0) {
			if (!w.nr)
				break;
			leave(&w);
		}
	}
	return r;
}
