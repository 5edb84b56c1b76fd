/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/archive/tree.h"

#include <errno.h>
#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/grow.h"
#include "common/pxar/encode.h"
#include "common/spool.h"

#define PIECE ((size_t)4096)	/* what is given up around data that cannot be read */

struct tree_level {
	struct access_dir dir;
	size_t next;
	size_t path_len;	/* of the path outside of it */
	struct pxar_error error;	/* code 0: none */
};

/* A file in the stream. */
struct tree_made {
	uint64_t from;		/* position in the archive */
	uint64_t to;		/* in the stream */
};

/* A file that came in the place of a hard link to somewhere outside. */
struct tree_adopted {
	struct tree_made made;
	size_t path_len;
	char path[];
};

struct tree {
	struct access *a;
	struct pxar_enc *enc;
	struct buf out;
	size_t out_taken;
	bool ext, container, over;
	int broken;			/* what a stream without private items cannot tell */
	struct err broken_why;
	char *prefix;			/* path of what holds the requested member in the archive, with a slash; "" */
	struct tree_level *level;
	size_t nr_levels, room_levels;
	struct buf path;		/* of the current directory in the stream, with a slash at the end */
	const struct filter *filter;	/* borrowed; NULL: all */
	struct filter_pos pos;		/* beneath the directory asked for */
	size_t top_len;			/* of the path: that directory's name, with its slash */
	enum filter_verdict verdict;	/* on the member that is put next */
	bool no_data;
	struct access_member *m, *target;
	struct access_member *data;	/* the file whose data goes out; NULL */
	uint64_t data_off;
	struct pxar_error data_error;
	struct spool made;		/* of struct tree_made; positions ascend */
	void *adopted;			/* of tsearch() */
	tree_note_fn *note;
	void *note_arg;
};

static int no_memory(struct err *err)
{
	return err_set(err, -ENOMEM, "archive");
}

/* Tells of @name in the current directory. Return: what the stream says of it. */
static struct pxar_error tell(struct tree *t, const char *name, int code, uint64_t off, const struct err *why)
{
	struct pxar_error e = { .code = code, .off = off };
	const size_t len = t->path.len;

	(void)snprintf(e.text, sizeof(e.text), "%.255s", why->text);
	buf_str(&t->path, name);
	if (t->note && buf_ok(&t->path) == 0)
		t->note(t->note_arg, (const char *)t->path.data, t->path.len, code, why->text);
	t->path.len = len;
	if (!t->ext && !t->broken) {
		t->broken = code;
		t->broken_why = *why;
	}
	return e;
}

/* How many directories are open when only the one asked for is. */
static size_t top_level(const struct tree *t)
{
	return t->container ? 2 : 1;
}

/* What is wanted of @name in the current directory; the directory asked for is no question. */
static enum filter_verdict look_at(struct tree *t, const char *name, bool dir)
{
	const size_t len = t->path.len;
	enum filter_verdict v = FILTER_TAKE;

	if (!t->filter || (dir && t->nr_levels < top_level(t)))
		return v;
	buf_str(&t->path, name);
	if (buf_ok(&t->path) == 0)
		v = filter_look(t->filter, &t->pos, (const char *)t->path.data + t->top_len, t->path.len - t->top_len, dir);
	t->path.len = len;
	return v;
}

/* Opens the directory in t->m. A directory that cannot be read is an empty one with an error. */
static int push_dir(struct tree *t, struct err *err)
{
	struct tree_level l = { .path_len = t->path.len };
	struct err why = ERR_INIT;
	int r;

	if (grow(&t->level, &t->room_levels, t->nr_levels, sizeof(*t->level)) < 0)
		return no_memory(err);
	r = access_dir_open(t->a, t->m, &l.dir, &why);
	if (access_is_fatal(r))
		return err_text(err, r, "%s", why.text);
	if (r == 0)
		r = access_dir_check(&l.dir, &why);
	if (r < 0)
		l.error = tell(t, t->m->name, r, UINT64_MAX, &why);
	buf_str(&t->path, t->m->name);
	if (t->m->entry.name_len)
		buf_u8(&t->path, '/');
	t->level[t->nr_levels++] = l;
	if (t->nr_levels > top_level(t))
		filter_enter(&t->pos, t->verdict);
	else
		t->top_len = t->path.len;
	return buf_ok(&t->path) < 0 ? no_memory(err) : 0;
}

/* Nothing comes any more in the directory; one of many members takes several calls. */
static int pop_dir(struct tree *t)
{
	struct tree_level *l = &t->level[t->nr_levels - 1];
	int r = l->error.code ? pxar_enc_dir_error(t->enc, &l->error) : 0;

	l->error.code = 0;
	if (r == 0)
		r = pxar_enc_dir_end(t->enc);
	if (r)
		return r < 0 ? r : 0;
	access_dir_close(&l->dir);
	t->path.len = l->path_len;
	t->over = !--t->nr_levels;
	if (t->nr_levels >= top_level(t))
		filter_leave(&t->pos);
	return 0;
}

static int no_table(int r, struct err *err)
{
	return err_set(err, r, "table of hard links (temporary file)");
}

static int made_add(struct tree *t, uint64_t from, uint64_t to, struct err *err)
{
	const struct tree_made made = { from, to };
	int r;

	if (t->made.len / sizeof(made) >= PXAR_LINKS_MAX)
		return 0;	/* links to what comes now will be files */
	r = spool_add(&t->made, &made, sizeof(made));
	return r < 0 ? no_table(r, err) : 0;
}

static int by_from(const void *x, const void *y)
{
	const struct tree_made *a = x, *b = y;

	return a->from < b->from ? -1 : a->from > b->from;
}

/* Begins file @m under the name of t->m; its data follows. */
static int put_file(struct tree *t, struct access_member *m, struct err *err)
{
	struct pxar_entry e = m->entry;
	struct err why = ERR_INIT;
	int r = access_check_data(t->a, m, &why);

	e.name = t->m->name;
	e.name_len = t->m->entry.name_len;
	e.payload_ref = false;
	e.link_id = m->entry.pos + 1;
	t->data_error = (struct pxar_error){ 0 };
	if (r < 0)
		t->data_error = tell(t, e.name, r, m->data_there, &why);
	if ((r < 0 && !m->data_there) || (t->no_data && e.size)) {
		e.has_segments = true;	/* none */
		e.payload_size = 0;
	}
	t->data = m;
	t->data_off = e.has_segments ? e.size : 0;
	r = pxar_enc_entry(t->enc, &e);
	return r < 0 ? err_set(err, r, "file of the archive") : 0;
}

/* The path of a hard link's target in the stream. Return: NULL if it is not below what was requested. */
static const char *below(const struct tree *t, const char *target)
{
	const size_t n = strlen(t->prefix);

	return strncmp(target, t->prefix, n) ? NULL : target + n;
}

/* Where a hard link can point to in the stream. Return: 1; 0 nowhere; as spool_read(). */
static int link_to(struct tree *t, const struct pxar_entry *e, struct pxar_entry *ret)
{
	const struct tree_made key = { .from = e->link_pos };
	struct tree_adopted **adopted;
	struct tree_made made;
	int r = 0;

	*ret = *e;
	if (below(t, e->target))
		r = spool_find(&t->made, e->link_pos, &made, sizeof(made));
	if (r < 0)
		return r;
	if (r) {
		ret->target = below(t, e->target);
		ret->target_len = strlen(ret->target);
		ret->link_pos = made.to;
		return 1;
	}
	adopted = tfind(&key, &t->adopted, by_from);
	if (!adopted)
		return 0;
	ret->target = (*adopted)->path;
	ret->target_len = (*adopted)->path_len;
	ret->link_pos = (*adopted)->made.to;
	return 1;
}

static int adopt(struct tree *t, uint64_t from, uint64_t to, struct err *err)
{
	const size_t len = t->path.len + t->m->entry.name_len;
	CLEANUP_FREE struct tree_adopted *x = NULL;

	if (len > PXAR_TARGET_MAX)
		return 0;
	x = malloc(sizeof(*x) + len + 1);
	if (!x)
		return no_memory(err);
	*x = (struct tree_adopted){ .made = { from, to }, .path_len = len };
	if (t->path.len)
		memcpy(x->path, t->path.data, t->path.len);
	memcpy(x->path + t->path.len, t->m->name, t->m->entry.name_len + 1);
	if (!tsearch(x, &t->adopted, by_from))
		return no_memory(err);
	x = NULL;
	return 0;
}

/* A member that is there, but not whole: an empty file with an error. */
static int put_error(struct tree *t, int code, const struct err *why, struct err *err)
{
	struct pxar_error error;
	const struct pxar_entry e = { .name = t->m->name, .name_len = strlen(t->m->name), .kind = PXAR_KIND_FILE,
				      .mode = S_IFREG };
	int r;

	if (access_is_fatal(code))
		return err_text(err, code, "%s", why->text);
	error = tell(t, t->m->name, code, UINT64_MAX, why);
	if (!e.name_len) {
		t->level[t->nr_levels - 1].error = error;
		return 0;
	}
	r = pxar_enc_entry(t->enc, &e);
	if (r == 0)
		r = pxar_enc_error(t->enc, &error);
	return r < 0 ? err_set(err, r, "member of the archive") : 0;
}

static int put_hardlink(struct tree *t, struct err *err)
{
	const uint64_t to = pxar_enc_pos(t->enc);
	struct err why = ERR_INIT;
	struct pxar_entry e;
	int r = link_to(t, &t->m->entry, &e);

	if (r < 0)
		return no_table(r, err);
	if (r) {
		r = pxar_enc_entry(t->enc, &e);
		return r < 0 ? err_set(err, r, "hard link of the archive") : 0;
	}
	r = access_follow(t->a, t->m, t->target, &why);
	if (r < 0)
		return put_error(t, r, &why, err);
	r = put_file(t, t->target, err);
	return r < 0 ? r : adopt(t, t->m->entry.link_pos, to, err);
}

static int put_member(struct tree *t, struct err *err)
{
	const uint64_t to = pxar_enc_pos(t->enc);
	struct pxar_entry *e = &t->m->entry;
	struct err why = ERR_INIT;
	int r;

	switch (e->kind) {
	case PXAR_KIND_HARDLINK:
		return put_hardlink(t, err);
	case PXAR_KIND_FILE:
		r = put_file(t, t->m, err);
		return r < 0 ? r : made_add(t, e->pos, to, err);
	default:
		r = pxar_enc_entry(t->enc, e);
		if (r == -EINVAL) {	/* an empty symlink, too deep */
			(void)err_text(&why, r, "cannot be restored");
			return put_error(t, r, &why, err);
		}
		if (r < 0)
			return err_set(err, r, "member of the archive");
		return e->kind == PXAR_KIND_DIR ? push_dir(t, err) : 0;
	}
}

/* A directory that is there, but not all of its metadata. */
static int put_partial(struct tree *t, int code, const struct err *why, struct err *err)
{
	t->m->entry.meta_error = tell(t, t->m->name, code, UINT64_MAX, why);
	return put_member(t, err);
}

/* The data of a file is out. */
static int end_data(struct tree *t)
{
	t->data = NULL;
	return t->data_error.code ? pxar_enc_error(t->enc, &t->data_error) : 0;
}

/* Puts more into the buffer. */
static int step(struct tree *t, struct err *err)
{
	struct tree_level *l = &t->level[t->nr_levels - 1];
	struct err why = ERR_INIT;
	int r;

	if (t->data) {
		r = end_data(t);
		return r < 0 ? err_set(err, r, "archive") : 0;
	}
	if (l->next == l->dir.nr) {
		r = pop_dir(t);
		return r < 0 ? err_set(err, r, "archive") : 0;
	}
	r = access_dir_member(t->a, &l->dir, l->next++, t->m, &why);
	/* What cannot be read may hold what is wanted, if it is not excluded. */
	t->verdict = look_at(t, t->m->name, (r < 0 && !t->m->partial) || t->m->entry.kind == PXAR_KIND_DIR);
	if (t->verdict == FILTER_LEAVE)
		return 0;
	if (r < 0 && t->m->partial)
		return put_partial(t, r, &why, err);
	return r < 0 ? put_error(t, r, &why, err) : put_member(t, err);
}

/* The next bytes of the file's data; what cannot be read is zeros and an error. */
static ssize_t read_data(struct tree *t, void *p, size_t n, struct err *err)
{
	const uint64_t left = t->data->entry.size - t->data_off;
	struct err why = ERR_INIT;
	int r;

	if (n > left)
		n = (size_t)left;
	r = access_read(t->a, t->data, p, n, t->data_off, &why);
	if (r < 0 && n > PIECE) {	/* what is good in it is wanted */
		n = PIECE;
		r = access_read(t->a, t->data, p, n, t->data_off, &why);
	}
	if (access_is_fatal(r))
		return err_text(err, r, "%s", why.text);
	if (r < 0) {
		memset(p, 0, n);
		if (!t->data_error.code)
			t->data_error = tell(t, t->m->name, r, t->data_off, &why);
	}
	if (t->broken)
		return err_text(err, t->broken, "%s", t->broken_why.text);
	t->data_off += n;
	pxar_enc_payload(t->enc, n);
	return (ssize_t)n;
}

ssize_t tree_read(void *tree, void *p, size_t n, struct err *err)
{
	struct tree *t = tree;
	size_t some;
	int r;

	for (;;) {
		if (t->broken)
			return err_text(err, t->broken, "%s", t->broken_why.text);
		if (t->out_taken < t->out.len)
			break;
		buf_reset(&t->out);
		t->out_taken = 0;
		if (t->data && t->data_off < t->data->entry.size)
			return read_data(t, p, n, err);
		if (t->over)
			return 0;
		r = step(t, err);
		if (r < 0 && !t->broken)
			return r;
	}
	some = t->out.len - t->out_taken;
	if (some > n)
		some = n;
	memcpy(p, t->out.data + t->out_taken, some);
	t->out_taken += some;
	return (ssize_t)some;
}

bool tree_is_container(const struct tree *t)
{
	return t->container;
}

void tree_want(struct tree *t, const struct filter *f, bool no_data)
{
	t->filter = f;
	t->no_data = no_data && t->ext;
}

void tree_free(struct tree *t)
{
	if (!t)
		return;
	while (t->nr_levels)
		access_dir_close(&t->level[--t->nr_levels].dir);
	tdestroy(t->adopted, free);
	free(t->level);
	spool_free(&t->made);
	free(t->prefix);
	pxar_enc_free(t->enc);
	access_member_free(t->m);
	access_member_free(t->target);
	buf_free(&t->path);
	buf_free(&t->out);
	free(t);
}

CLEANUP_DEFINE(struct tree *, tree_free)

/* The prefix of all paths beside the requested member: its path without the last component. */
static int set_prefix(struct tree *t, const char *path, size_t len)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	size_t last = 0;

	while (len) {
		size_t n = 0;

		while (n < len && path[n] != '/')
			n++;
		if (n && !(n == 1 && *path == '.')) {
			last = b.len;
			buf_add(&b, path, n);
			buf_u8(&b, '/');
		}
		n += n < len;
		path += n;
		len -= n;
	}
	b.len = last;
	buf_u8(&b, 0);
	if (buf_ok(&b) < 0)
		return -ENOMEM;
	t->prefix = (char *)TAKE_PTR(b.data);
	return 0;
}

/* The root of a stream whose only member is the one in t->m. */
static int begin_container(struct tree *t, struct err *err)
{
	static const struct pxar_entry root = { .name = "", .kind = PXAR_KIND_DIR, .mode = S_IFDIR | 0700 };
	struct tree_level l = { 0 };
	int r;

	t->level = malloc(sizeof(*t->level));
	if (!t->level)
		return no_memory(err);
	r = access_dir_alone(t->a, t->m, &l.dir, err);
	if (r < 0)
		return r;
	t->container = true;
	t->level[0] = l;
	t->nr_levels = t->room_levels = 1;
	return pxar_enc_entry(t->enc, &root) < 0 ? no_memory(err) : 0;
}

int tree_open(struct access *a, const char *path, size_t len, bool ext, tree_note_fn *note, void *arg,
	      struct tree **ret, struct err *err)
{
	CLEANUP(tree_freep) struct tree *t = calloc(1, sizeof(*t));
	struct err why = ERR_INIT;
	int r;

	if (!t)
		return no_memory(err);
	t->a = a;
	t->ext = ext;
	t->note = note;
	t->note_arg = arg;
	t->path.limit = 2 * PXAR_PATH_MAX;
	t->m = access_member_new();
	t->target = access_member_new();
	t->enc = pxar_enc_new(&t->out, ext ? PXAR_ENC_EXT | PXAR_ENC_NO_TABLES : 0);
	if (!t->m || !t->target || !t->enc || set_prefix(t, path, len) < 0)
		return no_memory(err);
	r = access_find(a, path, len, t->m, &why);
	if (r < 0 && !t->m->partial)
		return err_text(err, r, "%s", why.text);
	if (t->m->entry.name_len)
		r = begin_container(t, err);	/* reads the member again */
	else if (r < 0)
		r = put_partial(t, r, &why, err);
	else
		r = put_member(t, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(t);
	return 0;
}
