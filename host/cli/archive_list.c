/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/grow.h"
#include "host/cli/archive.h"

/* A directory that is being listed; the last one is the innermost. */
struct list_level {
	struct access_dir dir;
	size_t next, path_len;
};

struct list {
	struct access *a;
	client_entry_fn *fn;
	void *arg;
	bool recursive;
	struct access_member *m, *target;
	struct buf path;		/* beneath the requested directory */
	struct list_level *level;
	size_t nr_levels, room;
	struct err *err;		/* of what ends the listing */
};

CLEANUP_DEFINE(struct access_member *, access_member_free)

/* Metadata of a hard link is that of the file it refers to. */
static void fill(const struct pxar_entry *e, const struct pxar_entry *stat, struct client_entry *ret)
{
	ret->type = archive_type(e);
	ret->has_stat = stat->kind != PXAR_KIND_HARDLINK;
	ret->mode = (uint32_t)stat->mode;
	ret->uid = stat->uid;
	ret->gid = stat->gid;
	ret->mtime_s = stat->mtime_s;
	ret->mtime_ns = stat->mtime_ns;
	ret->has_size = stat->kind == PXAR_KIND_FILE;
	ret->size = stat->size;
	ret->target = e->target;
	ret->target_len = e->target_len;
	ret->has_rdev = e->kind == PXAR_KIND_DEVICE;
	ret->rdev_major = e->dev_major;
	ret->rdev_minor = e->dev_minor;
}

/* Tells of the entry at the current path; @code with @why if it could not be read. */
static int give(struct list *l, const struct pxar_entry *e, int code, const struct err *why)
{
	struct client_entry c = { .path = l->path.len ? (const char *)l->path.data : "", .path_len = l->path.len,
				  .type = '?' };
	const struct pxar_entry *stat = e;
	struct err bad = ERR_INIT;
	int r;

	if (buf_ok(&l->path) < 0)
		return buf_ok(&l->path);
	if (e && e->kind == PXAR_KIND_HARDLINK) {
		r = access_follow(l->a, l->m, l->target, &bad);
		if (r == 0)
			stat = &l->target->entry;
		else if (!code)
			code = r;
		why = r < 0 ? &bad : why;
	}
	if (e)
		fill(e, stat, &c);
	if (code) {
		c.error_name = err_name(code);
		c.error_text = why->text;
	}
	return l->fn(l->arg, &c);
}

/* Enters the directory in l->m. Return: 0, also for one that cannot be read: then that is told; negative errno. */
static int enter(struct list *l)
{
	struct list_level v = { .path_len = l->path.len };
	struct err why = ERR_INIT;
	int r;

	if (grow(&l->level, &l->room, l->nr_levels, sizeof(*l->level)) < 0)
		return -ENOMEM;
	r = access_dir_open(l->a, l->m, &v.dir, &why);
	if (access_is_fatal(r))
		return err_text(l->err, r, "%s", why.text);
	if (r == 0)
		r = access_dir_check(&v.dir, &why);
	l->level[l->nr_levels++] = v;
	return r < 0 ? give(l, &l->m->entry, r, &why) : 0;
}

static int next_member(struct list *l)
{
	struct list_level *v = &l->level[l->nr_levels - 1];
	struct err why = ERR_INIT;
	int r, code;

	l->path.len = v->path_len;
	if (v->next == v->dir.nr) {
		access_dir_close(&v->dir);
		l->nr_levels--;
		return 0;
	}
	code = access_dir_member(l->a, &v->dir, v->next++, l->m, &why);
	if (access_is_fatal(code))
		return err_text(l->err, code, "%s", why.text);
	if (l->path.len && l->m->name[0])
		buf_u8(&l->path, '/');
	buf_str(&l->path, l->m->name);
	r = give(l, code && !l->m->partial ? NULL : &l->m->entry, code, &why);
	if (r == 0 && (!code || l->m->partial) && l->recursive && l->m->entry.kind == PXAR_KIND_DIR)
		r = enter(l);
	return r;
}

static int list_archive(struct list *l, const char *inner, size_t len, struct err *err)
{
	struct err why = ERR_INIT;
	int r = access_find(l->a, inner, len, l->m, &why);

	if (r < 0 && !l->m->partial)
		return err_text(err, r, "%s", why.text);
	if (l->m->entry.kind != PXAR_KIND_DIR)
		return give(l, &l->m->entry, 0, NULL);
	r = r < 0 ? give(l, &l->m->entry, r, &why) : 0;
	if (r == 0)
		r = enter(l);
	while (r == 0 && l->nr_levels)
		r = next_member(l);
	return r;
}

static void list_free(struct list *l)
{
	while (l->nr_levels)
		access_dir_close(&l->level[--l->nr_levels].dir);
	free(l->level);
	buf_free(&l->path);
	access_member_free(l->m);
	access_member_free(l->target);
}

int archive_list_file(const struct archive_file *f, const char *inner, size_t len, bool recursive, client_entry_fn *fn,
		      void *arg, struct err *err)
{
	CLEANUP(list_free) struct list l = { .a = f->a, .fn = fn, .arg = arg, .recursive = recursive,
					     .m = access_member_new(), .target = access_member_new(), .err = err };

	if (!l.m || !l.target)
		return err_set(err, -ENOMEM, "list");
	return list_archive(&l, inner, len, err);
}

static int from_archive(struct snapshot *sn, const char *stored, const char *inner, size_t len, bool recursive,
			client_entry_fn *fn, void *arg, struct err *err)
{
	struct archive_file f;
	int r = archive_open(sn, stored, &f, err);

	if (r < 0)
		return r;
	r = archive_list_file(&f, inner, len, recursive, fn, arg, err);
	archive_close(&f);
	return r;
}

int archive_list(struct snapshot *sn, const char *stored, const char *inner, size_t inner_len, bool recursive,
		 bool brief, client_entry_fn *fn, void *arg, struct err *err)
{
	int r = brief ? archive_list_catalog(sn, stored, inner, inner_len, recursive, fn, arg, err) : 1;

	return r > 0 ? from_archive(sn, stored, inner, inner_len, recursive, fn, arg, err) : r;
}
