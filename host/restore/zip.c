/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Entries as members of a zip: directories, regular files and symbolic links. What else there is counts as left out. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/pxar/format.h"
#include "host/restore/unpack.h"
#include "host/restore/zip_writer.h"

#define BLOCK ((size_t)64 << 10)
#define LOST_FLAGS (UINT64_C(0x3ff) << 16)

/* A hard link, as a file of its own: to be written when the stream is done. */
struct zip_link {
	struct zip_link *next;
	struct zip_member m;
	char *target;		/* in the same memory, behind the name */
	char name[];
};

struct to_zip {
	struct restore_target base;
	struct zip_writer *w;
	struct zip_link *links, **links_end, *link;	/* link: the one that is being written */
};

static struct to_zip *self(struct restore_target *t)
{
	return (struct to_zip *)t;	/* base comes first */
}

static void add_name(struct buf *b, const struct unpack *u, const struct pxar_entry *e)
{
	buf_add(b, u->rep.path.data, u->rep.path.len);
	buf_add(b, e->name, e->name_len);
}

static struct zip_member member_of(const struct pxar_entry *e, const void *name, size_t name_len)
{
	return (struct zip_member){ name, name_len, (uint32_t)e->mode, e->uid, e->gid, e->mtime_s };
}

static void tell_lost(struct unpack *u, const struct pxar_entry *e)
{
	if (u->o->skip_special)
		return;
	if (e->nr_xattrs || e->fcaps || e->nr_acls || e->has_acl_group_obj || e->has_acl_default || e->has_projid ||
	    e->flags & LOST_FLAGS)
		unpack_meta_lost(u, e, -EOPNOTSUPP, "zip holds neither attributes nor access lists");
	if (!zip_holds_time(e->mtime_s))
		unpack_meta_lost(u, e, -EOVERFLOW, "zip holds no such time");
}

static int begin(struct to_zip *t, struct unpack *u, const struct pxar_entry *e, struct err *err)
{
	CLEANUP_BUF struct buf name = BUF_INIT;
	struct zip_member m;
	int r;

	add_name(&name, u, e);
	if (e->kind == PXAR_KIND_DIR)
		buf_u8(&name, '/');
	if (buf_ok(&name) < 0)
		return err_set(err, -ENOMEM, "zip");
	m = member_of(e, name.data, name.len);
	r = zip_writer_begin(t->w, &m, err);
	if (r == -ENAMETOOLONG)
		return unpack_left_out(u, e, r, "zip holds no such path", err);
	if (r == 0)
		tell_lost(u, e);
	return r;
}

static int begin_root(struct restore_target *base, struct unpack *u, const struct pxar_entry *e, struct err *err)
{
	(void)base;
	(void)u;
	(void)e;
	(void)err;
	return 0;
}

static int put_dir(struct restore_target *base, struct unpack *u, const struct pxar_entry *e, struct err *err)
{
	int r = begin(self(base), u, e, err);

	return r ? r : zip_writer_end(self(base)->w, err);
}

static int begin_file(struct restore_target *base, struct unpack *u, const struct pxar_entry *e, struct err *err)
{
	return begin(self(base), u, e, err);
}

static int put_data(struct restore_target *base, struct unpack *u, const struct pxar_entry *e, uint64_t off,
		    const uint8_t *p, size_t len, struct err *err)
{
	int r = zip_writer_upto(self(base)->w, off, err);

	(void)u;
	(void)e;
	return r < 0 ? r : zip_writer_data(self(base)->w, p, len, err);
}

static int end_file(struct restore_target *base, struct unpack *u, const struct pxar_entry *e, struct err *err)
{
	struct to_zip *t = self(base);
	int r = zip_writer_upto(t->w, e->size, err);

	if (r < 0)
		return r;
	r = unpack_has_links(u, e) ? links_made_note(&u->links, e) : 0;
	return r < 0 ? err_set(err, r, "table of hard links (temporary file)") : zip_writer_end(t->w, err);
}

static int bad_file(struct restore_target *base, struct unpack *u, const struct pxar_entry *e, int code,
		    struct err *err)
{
	struct to_zip *t = self(base);
	const bool over = zip_writer_is_broken(t->w);
	int r;

	unpack_bad(u, e, code,
		   over ? "not read whole" : "not read whole; what is missing is zeros in the zip");
	if (over)
		return 0;
	r = zip_writer_upto(t->w, e->size, err);
	return r < 0 ? r : zip_writer_end(t->w, err);
}

static int keep_link(struct restore_target *base, struct unpack *u, const struct pxar_entry *e, struct err *err)
{
	struct to_zip *t = self(base);
	CLEANUP_BUF struct buf name = BUF_INIT;
	struct pxar_entry link = *e;
	struct zip_link *l;
	int r = links_made_noted(&u->links, &link);

	if (r < 0)
		return unpack_left_out(u, e, r, links_made_why(r), err);
	add_name(&name, u, e);
	if (name.len > UINT16_MAX)
		return unpack_left_out(u, e, -ENAMETOOLONG, "zip holds no such path", err);
	l = buf_ok(&name) < 0 ? NULL : malloc(sizeof(*l) + name.len + e->target_len + 1);
	if (!l)
		return err_set(err, -ENOMEM, "hard links of the zip");
	*l = (struct zip_link){ .m = member_of(&link, l->name, name.len) };
	memcpy(l->name, name.data, name.len);
	l->target = l->name + name.len;
	memcpy(l->target, e->target, e->target_len + 1);
	*t->links_end = l;
	t->links_end = &l->next;
	return UNPACK_SAME;	/* counted when it is written */
}

static int put_special(struct restore_target *base, struct unpack *u, const struct pxar_entry *e, struct err *err)
{
	struct to_zip *t = self(base);
	int r;

	if (!zip_holds(e))
		return u->o->skip_special ? UNPACK_SAME :
			unpack_left_out(u, e, -EOPNOTSUPP, ZIP_HOLDS_NOT, err);
	r = begin(t, u, e, err);
	if (r == 0)
		r = zip_writer_data(t->w, e->target, e->target_len, err);
	return r ? r : zip_writer_end(t->w, err);
}

static const char *link_name(const struct restore_target *base, size_t *ret_len)
{
	const struct zip_link *l = ((const struct to_zip *)base)->link;

	*ret_len = l->m.name_len;
	return l->name;
}

static void on_broken(struct restore_target *base)
{
	zip_writer_break(self(base)->w);
}

static const char *next_link(struct restore_target *base)
{
	struct to_zip *t = self(base);

	free(t->link);
	t->link = t->links;
	if (!t->link)
		return NULL;
	t->links = t->link->next;
	if (!t->links)
		t->links_end = &t->links;
	return t->link->target;
}

static int link_data(struct restore_target *base, restore_read_fn *read, void *arg, struct restore_report *ret,
		     struct err *err)
{
	struct to_zip *t = self(base);
	CLEANUP_FREE uint8_t *bytes = malloc(BLOCK);
	ssize_t n = 0;
	int r;

	r = bytes ? zip_writer_begin(t->w, &t->link->m, err) : err_set(err, -ENOMEM, "zip");
	while (r == 0 && (n = read(arg, bytes, BLOCK, err)) > 0) {
		r = zip_writer_data(t->w, bytes, (size_t)n, err);
		ret->bytes += (uint64_t)n;
	}
	if (r == 0)
		r = n < 0 ? (int)n : zip_writer_end(t->w, err);
	if (r < 0)
		zip_writer_break(t->w);
	else
		ret->files++;
	return r;
}

static int finish(struct restore_target *base, struct err *err)
{
	return zip_writer_finish(self(base)->w, err);
}

static void to_zip_free(struct restore_target *base)
{
	struct to_zip *t = self(base);

	free(t->link);
	for (struct zip_link *l = t->links, *next; l; l = next) {
		next = l->next;
		free(l);
	}
	zip_writer_free(t->w);
	free(t);
}

static const struct target_ops ops = {
	.root = begin_root,
	.enter = put_dir,
	.begin = begin_file,
	.data = put_data,
	.end = end_file,
	.bad = bad_file,
	.link = keep_link,
	.special = put_special,
	.broken = on_broken,
	.finish = finish,
	.next_link = next_link,
	.link_data = link_data,
	.link_name = link_name,
	.free = to_zip_free,
};

int restore_zip_new(int fd, struct restore_target **ret, struct err *err)
{
	CLEANUP_FREE struct to_zip *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return err_set(err, -ENOMEM, "zip");
	t->base.ops = &ops;
	t->links_end = &t->links;
	r = zip_writer_new(fd, &t->w, err);
	if (r < 0)
		return r;
	*ret = &TAKE_PTR(t)->base;
	return 0;
}
