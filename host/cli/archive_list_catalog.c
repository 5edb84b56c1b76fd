/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>

#include "common/buf.h"
#include "common/log.h"
#include "host/archive/catalog_walk.h"
#include "host/cli/archive.h"

struct listing {
	client_entry_fn *fn;
	void *arg;
};

static int look(void *arg, const char *path, size_t path_len, const struct catalog_entry *e)
{
	(void)arg;
	(void)path;
	(void)path_len;
	(void)e;
	return 0;
}

static int give(void *arg, const char *path, size_t path_len, const struct catalog_entry *e)
{
	const struct listing *l = arg;
	struct client_entry c = { .type = e->type, .path = path, .path_len = path_len };

	if (!e->name_len) {
		c.type = '?';
		c.error_name = "EIO";
		c.error_text = "a member is not in the backup: its writer could not read it";
	} else if (e->type == 'f') {
		c.has_stat = c.has_size = true;
		c.size = e->size;
		c.mtime_s = e->mtime;
	}
	return l->fn(l->arg, &c);
}

/* All of it is read before anything is said: what is damaged is of no use, and the archive has it all. */
static int list_if_whole(struct source *src, const struct buf *path, bool recursive, struct listing *l, struct err *err)
{
	struct catalog_entry dir;
	struct err why = ERR_INIT;
	struct catalog cat;
	int r = catalog_open(src, &cat, &why);

	if (r == 0)
		r = catalog_find(&cat, (const char *)path->data, path->len, &dir, &why);
	if (r == -ENOENT || r == -ENOTDIR || (r == 0 && dir.type != 'd'))
		return 1;
	if (r == 0)
		r = catalog_walk(&cat, dir.block, recursive, look, NULL, &why);
	if (r == 0)
		return catalog_walk(&cat, dir.block, recursive, give, l, err);
	log_warn("the catalog is of no use, the archive is listed instead: %s", why.text);
	return 1;
}

int archive_list_catalog(struct snapshot *sn, const char *stored, const char *inner, size_t len, bool recursive,
			 client_entry_fn *fn, void *arg, struct err *err)
{
	CLEANUP_BUF struct buf path = BUF_INIT;
	struct listing l = { fn, arg };
	struct err why = ERR_INIT;
	struct source *src = NULL;
	int r;

	buf_fmt(&path, "%s/", stored);
	buf_add(&path, inner, len);
	if (buf_ok(&path) < 0)
		return err_set(err, -ENOMEM, "list");
	r = archive_open_catalog(sn, &src, &why);
	if (r < 0) {
		if (r != -ENOENT)
			log_warn("the catalog cannot be opened, the archive is listed instead: %s", why.text);
		return 1;
	}
	r = list_if_whole(src, &path, recursive, &l, err);
	source_close(src);
	return r;
}
