/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/openat2.h>

#include "agent/bucket.h"
#include "agent/entry.h"
#include "agent/request.h"
#include "agent/walk.h"
#include "common/cleanup.h"
#include "common/jsonw.h"

#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NOATIME)

struct list {
	struct request *q;
	const struct target *t;
	struct item *item;
	struct buf line;
	bool some;		/* the reference's form: an entry was written */
};

static void list_free(struct list *l)
{
	buf_free(&l->line);
}

static int send_line(struct list *l, bool error)
{
	if (buf_ok(&l->line) < 0)
		return buf_ok(&l->line);
	l->q->reply->entries++;
	l->q->reply->errors += error;
	return reply_write(l->q->reply, l->line.data, l->line.len);
}

/* One line of ext=1. */
static int emit(struct list *l, const char *path, size_t path_len, int dirfd, const char *name, const struct statx *st,
		int error, const char *what)
{
	struct jsonw w = JSONW(&l->line);
	bool bad;

	buf_reset(&l->line);
	jsonw_object_begin(&w);
	bad = entry_fields(&l->item->native, &w, path, path_len, dirfd, name, st, error, what);
	jsonw_object_end(&w);
	buf_u8(&l->line, '\n');
	return send_line(l, bad);
}

static int on_entry(void *arg, const struct walk_entry *e)
{
	return emit(arg, e->path, e->path_len, e->dirfd, e->name, e->st, e->error,
		    e->st ? "open the directory" : "examine the entry");
}

static int on_leave(void *arg, const char *path, size_t path_len, int error)
{
	struct list *l = arg;
	struct jsonw w = JSONW(&l->line);

	if (!error)
		return 0;
	buf_reset(&l->line);
	jsonw_object_begin(&w);
	jsonw_key_b64(&w, "path", path, path_len);
	jsonw_key_string(&w, "type", "d");
	entry_error(&w, error, "read the directory");
	jsonw_object_end(&w);
	buf_u8(&l->line, '\n');
	return send_line(l, true);
}

/* Kinds of buckets are virtual; what can be extracted as a whole is a directory. */
static const char *bucket_type(const struct list *l)
{
	return l->t->level == TARGET_PARTS ? "d" : "v";
}

static int on_bucket(void *arg, const struct bucket_entry *e)
{
	struct list *l = arg;
	struct jsonw w = JSONW(&l->line);

	buf_reset(&l->line);
	jsonw_object_begin(&w);
	jsonw_key_b64(&w, "path", e->name, strlen(e->name));
	jsonw_key_string(&w, "type", bucket_type(l));
	if (e->has_size)
		jsonw_key_u64(&w, "size", e->size);
	jsonw_object_end(&w);
	buf_u8(&l->line, '\n');
	return send_line(l, false);
}

/* An entry in the form of the reference's daemon. */
static int legacy_entry(struct list *l, const char *name, char type, bool has_size, uint64_t size,
			const struct statx_timestamp *mtime)
{
	CLEANUP_BUF struct buf path = BUF_INIT;
	struct jsonw w = JSONW(&l->line);
	const char *asked = (const char *)l->q->path.data;
	size_t n = l->q->path.len;

	buf_reset(&l->line);
	if (l->some)
		buf_u8(&l->line, ',');
	l->some = true;
	buf_add(&path, asked, n);
	if (name && n && asked[n - 1] != '/')
		buf_u8(&path, '/');
	if (name)
		buf_str(&path, name);
	else
		name = l->item->name;
	jsonw_object_begin(&w);
	jsonw_key_b64(&w, "filepath", path.data, path.len);
	jsonw_key_string(&w, "text", name);
	jsonw_key_string(&w, "type", (char[]){ type, 0 });
	jsonw_key_bool(&w, "leaf", type == 'f');
	if (has_size)
		jsonw_key_u64(&w, "size", size);
	if (mtime)
		jsonw_key_i64(&w, "mtime", mtime->tv_sec);
	jsonw_object_end(&w);
	return buf_ok(&path) < 0 ? buf_ok(&path) : send_line(l, false);
}

/* Symbolic links appear as what they point to inside the volume; what is left over is not shown. */
static int follow(const struct list *l, const char *name, struct statx *ret)
{
	CLEANUP_BUF struct buf path = BUF_INIT;
	struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_XDEV };
	CLEANUP_CLOSE int fd = -1;

	if (l->t->rest_len)
		buf_fmt(&path, "%s/", l->t->rest);
	buf_str(&path, name);
	if (!buf_cstr(&path))
		return -ENOMEM;
	fd = (int)syscall(SYS_openat2, l->item->root_fd, path.data, &how, sizeof(how));
	if (fd < 0)
		return -errno;
	return statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, ret) < 0 ? -errno : 0;
}

static int on_legacy_entry(void *arg, const struct walk_entry *e)
{
	struct list *l = arg;
	struct statx st;

	if (!e->st)
		return 0;
	st = *e->st;
	if (S_ISLNK(st.stx_mode) && follow(l, e->name, &st) < 0)
		return 0;
	if (S_ISDIR(st.stx_mode))
		return legacy_entry(l, e->name, 'd', false, 0, NULL);
	if (S_ISREG(st.stx_mode))
		return legacy_entry(l, e->name, 'f', true, st.stx_size, &st.stx_mtime);
	return 0;
}

static int on_legacy_leave(void *arg, const char *path, size_t path_len, int error)
{
	struct list *l = arg;

	(void)path;
	(void)path_len;
	return error ? err_set(l->q->err, error, "read the directory") : 0;
}

static int on_legacy_bucket(void *arg, const struct bucket_entry *e)
{
	struct list *l = arg;

	return legacy_entry(l, e->name, *bucket_type(l), e->has_size, e->size, NULL);
}

static const struct walk_ops ext_ops = { on_entry, on_leave };
static const struct walk_ops legacy_ops = { on_legacy_entry, on_legacy_leave };

static int list_item(struct list *l)
{
	const struct item *i = l->item;
	const bool ext = l->q->ext;
	int fd;

	if (!S_ISDIR(i->st.stx_mode) && ext)
		return emit(l, "", 0, item_dirfd(i), i->name, &i->st, 0, "");
	if (!S_ISDIR(i->st.stx_mode))
		return legacy_entry(l, NULL, 'f', true, i->st.stx_size, &i->st.stx_mtime);
	fd = resolve_open(item_dirfd(i), i->name, DIR_FLAGS);
	if (fd < 0)
		return err_set(l->q->err, fd, "open the directory");
	return walk_tree(fd, ext && l->q->recursive, ext ? &ext_ops : &legacy_ops, l);
}

int list_handle(struct request *q)
{
	CLEANUP_TARGET struct target t = { 0 };
	CLEANUP_ITEM struct item item = ITEM_INIT;
	CLEANUP(list_free) struct list l = { .q = q, .t = &t, .item = &item };
	int r = target_parse(q->a, (const char *)q->path.data, q->path.len, &t, q->err);

	if (r < 0)
		return r;
	if (t.level == TARGET_VOLUME)
		r = item_open(q->a, &t, &item, q->err);
	if (r < 0)
		return r;
	reply_begin(q->reply, q->ext ? "application/jsonl" : "application/json");
	q->reply->note = item.note;
	if (!q->ext)
		r = reply_write(q->reply, "{\"data\":[", 9);
	if (r >= 0 && t.level == TARGET_VOLUME)
		r = list_item(&l);
	else if (r >= 0)
		r = bucket_list(q->a, &t, q->ext ? on_bucket : on_legacy_bucket, &l, q->err);
	if (r >= 0 && !q->ext)
		r = reply_write(q->reply, "]}", 2);
	if (r >= 0)
		return reply_end(q->reply);
	if (!q->err->code)
		err_set(q->err, r, "list");
	return r;
}
