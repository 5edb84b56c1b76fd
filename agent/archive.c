/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "agent/data.h"
#include "agent/entry.h"
#include "agent/holes.h"
#include "agent/links.h"
#include "agent/meta.h"
#include "agent/walk.h"
#include "common/cleanup.h"
#include "common/filter.h"
#include "common/pxar/encode.h"
#include "common/pxar/format.h"

#define FILE_FLAGS (O_RDONLY | O_NONBLOCK | O_NOATIME)
#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NOATIME)

struct archive {
	struct request *q;
	const char *top;		/* name of the only member of the root */
	struct pxar_enc *enc;
	struct buf out;			/* what the encoder wrote */
	struct meta meta;
	struct holes holes;
	struct links links;
	struct buf path;
	struct filter_pos pos;
	uint64_t zeros_max;		/* sent in place of a file's unreadable rest: the volume's size */
};

static void archive_free(struct archive *a)
{
	pxar_enc_free(a->enc);
	buf_free(&a->out);
	buf_free(&a->path);
	meta_free(&a->meta);
	holes_free(&a->holes);
	links_free(&a->links);
}

static int drain(struct archive *a)
{
	int r = buf_ok(&a->out);

	if (r == 0 && a->out.len)
		r = reply_write(a->q->reply, a->out.data, a->out.len);
	buf_reset(&a->out);
	return r;
}

/* The end of the innermost directory. */
static int end_dir(struct archive *a)
{
	int r;

	while ((r = pxar_enc_dir_end(a->enc)) == 1)
		if ((r = drain(a)) < 0)
			break;
	return r;
}

/* An error of the entry that came last, or of the directory that ends next. Without the private items the stream cannot go on. */
static int fail(struct archive *a, bool dir, int error, uint64_t off, const char *what)
{
	struct pxar_error e = { .code = error, .off = off };

	a->q->reply->errors++;
	if (!a->q->ext)
		return err_set(a->q->err, error, "%s", what);
	(void)snprintf(e.text, sizeof(e.text), "%s", what);
	return dir ? pxar_enc_dir_error(a->enc, &e) : pxar_enc_error(a->enc, &e);
}

/* The metadata that meta_attrs() could not read. */
static int tell_meta(struct archive *a, struct pxar_entry *e)
{
	if (!a->meta.error)
		return 0;
	a->q->reply->errors++;
	if (!a->q->ext)
		return err_set(a->q->err, a->meta.error, "%s", a->meta.what);
	e->meta_error = (struct pxar_error){ .code = a->meta.error, .off = UINT64_MAX };
	(void)snprintf(e->meta_error.text, sizeof(e->meta_error.text), "%s", a->meta.what);
	return 0;
}

static int fail_entry(struct archive *a, int error, uint64_t off, const char *what)
{
	return fail(a, false, error, off, what);
}

static int zeros(struct archive *a, uint64_t n)
{
	while (n) {
		size_t room;
		uint8_t *p = reply_space(a->q->reply, &room);

		if (!p)
			return -EPIPE;
		if (room > n)
			room = (size_t)n;
		memset(p, 0, room);
		reply_commit(a->q->reply, room);
		n -= room;
	}
	return 0;
}

/*
 * A run of a file's bytes; zeros in place of what cannot be read.
 * @ret_error, @ret_bad: the first failure and where; not touched without one
 */
static int send_run(struct archive *a, struct data *d, uint64_t off, uint64_t len, int *ret_error, uint64_t *ret_bad)
{
	while (len && !*ret_error) {
		ssize_t n = data_send(d, a->q->reply, off, off + len, ret_error);

		if (n < 0)
			return (int)n;
		if (n == 0) {
			*ret_bad = off;
			if (len > a->zeros_max)
				return err_set(a->q->err, -EFBIG, "a file that cannot be read claims %" PRIu64 " further bytes",
					       len);
		}
		off += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return zeros(a, len);
}

static int send_payload(struct archive *a, struct data *d, const struct pxar_entry *e, int error, const char *what)
{
	const struct pxar_segment whole = { 0, e->payload_size };
	const struct pxar_segment *v = e->has_segments ? e->segments : &whole;
	const size_t nr = e->has_segments ? e->nr_segments : 1;
	uint64_t bad = 0;
	int r = drain(a);

	for (size_t i = 0; r == 0 && i < nr; i++)
		r = send_run(a, d, v[i].off, v[i].len, &error, &bad);
	if (r < 0)
		return r;
	pxar_enc_payload(a->enc, e->payload_size);
	return error ? fail_entry(a, error, bad, what) : 0;
}

/* @stream: what the entry is; NULL for a file, which is @fd. */
static void find_holes(struct archive *a, int fd, struct ntfs_stream *stream, const struct statx *st,
		       struct pxar_entry *e)
{
	holes_free(&a->holes);
	if (!a->q->ext || (!stream && st->stx_blocks >= (e->size + 511) / 512) ||
	    (stream ? ntfs_stream_map(stream, &a->holes) : holes_map(fd, e->size, &a->holes)) < 0)
		return;
	e->payload_size = holes_data(&a->holes);
	if (e->payload_size == e->size)
		return;
	e->has_segments = true;
	e->segments = a->holes.v;
	e->nr_segments = a->holes.nr;
}

static void drop_payload(struct pxar_entry *e)
{
	static const struct pxar_segment none;

	e->has_segments = true;
	e->segments = &none;
	e->nr_segments = 0;
	e->payload_size = 0;
}

/*
 * A file whose first byte cannot be read, or whose contents are somewhere else, goes out without data, instead of as many zeros
 * as its size, which may be a lie, asks for. Return: 0; the negative errno of the read, in @ret_what what it was.
 */
static int check_readable(struct archive *a, const struct data *d, const struct statx *st, struct pxar_entry *e,
			  const char **ret_what)
{
	int r = native_check_data(a->meta.native, d->fd, st, ret_what);

	if (r == 0 && e->payload_size) {
		*ret_what = "read the file";
		r = data_readable(d, e->has_segments ? e->segments[0].off : 0);
	}
	if (r < 0)
		drop_payload(e);
	return r;
}

static uint64_t link_id(const struct statx *st)
{
	uint64_t id = st->stx_ino ^ ((uint64_t)st->stx_dev_major << 52 | (uint64_t)st->stx_dev_minor << 40);

	return id ? id : 1;
}

/* A later name of a file that the archive holds. Return: 1 if it was; 0; negative errno. */
static int try_hardlink(struct archive *a, const struct pxar_entry *file, const struct statx *st, const char *path)
{
	const struct link_entry *first = links_find(&a->links, st->stx_dev_major, st->stx_dev_minor, st->stx_ino);
	struct pxar_entry e = { .name = file->name, .name_len = file->name_len, .kind = PXAR_KIND_HARDLINK };
	int r;

	if (!first) {
		links_add(&a->links, st->stx_dev_major, st->stx_dev_minor, st->stx_ino, pxar_enc_pos(a->enc), path);
		return 0;
	}
	e.target = links_path(&a->links, first);
	e.target_len = strlen(e.target);
	e.link_pos = first->pos;
	r = pxar_enc_entry(a->enc, &e);
	return r < 0 ? r : 1;
}

static int send_file(struct archive *a, struct pxar_entry *e, const struct statx *st, int dirfd, const char *name,
		     const char *path)
{
	CLEANUP_CLOSE int fd = -1;
	CLEANUP(decmpfs_closep) struct decmpfs *decoder = NULL;
	const char *what = "read the file";
	struct data d;
	int error = 0, r = st->stx_nlink > 1 ? try_hardlink(a, e, st, path) : 0;

	if (r)
		return r < 0 ? r : 0;
	if (st->stx_nlink > 1)
		e->link_id = link_id(st);
	fd = resolve_open(dirfd, name, FILE_FLAGS);
	meta_attrs(&a->meta, fd, dirfd, name, a->q->ext, e);
	if (fd >= 0) {
		meta_flags(fd, e);
		error = native_decoder(a->meta.native, fd, st, &decoder, &what);
		if (decoder)
			e->size = e->payload_size = decmpfs_size(decoder);
		if (a->q->no_data && e->size)
			drop_payload(e);
		else if (!decoder)
			find_holes(a, fd, NULL, st, e);
		data_begin(&d, fd, e->payload_size);
		d.decoder = decoder;
		if (!error)
			error = check_readable(a, &d, st, e, &what);
		if (error && !a->q->ext)
			return fail_entry(a, error, 0, what);
	} else {
		e->payload_size = e->size = 0;
	}
	r = fd < 0 ? 0 : tell_meta(a, e);
	if (r == 0)
		r = pxar_enc_entry(a->enc, e);
	if (r < 0)
		return r;
	if (fd < 0)
		return fail_entry(a, fd, 0, native_open_failed(fd));
	return send_payload(a, &d, e, error, what);
}

static int send_special(struct archive *a, struct pxar_entry *e, int dirfd, const char *name, uint64_t ino)
{
	char target[PXAR_TARGET_MAX + 1];
	ssize_t n;
	int r;

	if (e->kind == PXAR_KIND_SYMLINK) {
		n = native_readlink(a->meta.native, dirfd, name, ino, target, sizeof(target));
		if (n <= 0 || n > PXAR_TARGET_MAX) {
			e->kind = PXAR_KIND_FILE;
			e->mode = S_IFREG;
			r = pxar_enc_entry(a->enc, e);
			return r < 0 ? r : fail_entry(a, n < 0 ? (int)n : -ENAMETOOLONG, UINT64_MAX, "read the link");
		}
		target[n] = 0;
		e->target = target;
		e->target_len = (size_t)n;
	}
	meta_attrs(&a->meta, -1, dirfd, name, a->q->ext, e);
	r = tell_meta(a, e);
	return r < 0 ? r : pxar_enc_entry(a->enc, e);
}

/* The head of a directory, which stays open in the archive. @fd: it, or -1 if it cannot be opened. */
static int begin_dir(struct archive *a, struct pxar_entry *e, int dirfd, const char *name, int fd)
{
	int r;

	meta_attrs(&a->meta, fd, dirfd, name, a->q->ext, e);
	if (fd >= 0)
		meta_flags(fd, e);
	r = tell_meta(a, e);
	return r < 0 ? r : pxar_enc_entry(a->enc, e);
}

/* What could not be examined is an empty file with an error. */
static int send_unknown(struct archive *a, struct pxar_entry *e, int error)
{
	int r;

	e->kind = PXAR_KIND_FILE;
	e->mode = S_IFREG;
	r = pxar_enc_entry(a->enc, e);
	return r < 0 ? r : fail_entry(a, error, UINT64_MAX, "examine the entry");
}

static int send_entry(struct archive *a, const struct walk_entry *w, const char *path)
{
	struct pxar_entry e = { .name = w->name, .name_len = strlen(w->name) };
	int r;

	a->q->reply->entries++;
	if (!w->st || entry_type(w->st->stx_mode) == '?')
		return send_unknown(a, &e, w->error ? w->error : -EUCLEAN);
	meta_stat(w->st, &e);
	if (e.kind == PXAR_KIND_FILE)
		return send_file(a, &e, w->st, w->dirfd, w->name, path);
	if (e.kind != PXAR_KIND_DIR)
		return send_special(a, &e, w->dirfd, w->name, w->st->stx_ino);
	r = begin_dir(a, &e, w->dirfd, w->name, w->fd);
	if (r < 0 || !w->error)
		return r;
	r = fail_entry(a, w->error, UINT64_MAX, "open the directory");
	return r < 0 ? r : end_dir(a);
}

/* What cannot be examined may hold what is wanted: only if it is excluded, nobody needs to know of it. */
static enum filter_verdict look_at(const struct archive *a, const struct walk_entry *w)
{
	return filter_look(a->q->filter, &a->pos, w->path, w->path_len, !w->st || S_ISDIR(w->st->stx_mode));
}

static int on_entry(void *arg, const struct walk_entry *w)
{
	struct archive *a = arg;
	const enum filter_verdict v = look_at(a, w);
	int r;

	if (v == FILTER_LEAVE)
		return WALK_SKIP;
	if (w->fd >= 0)
		filter_enter(&a->pos, v);
	buf_reset(&a->path);
	buf_fmt(&a->path, "%s/", a->top);
	buf_add(&a->path, w->path, w->path_len);
	if (!buf_cstr(&a->path))
		return -ENOMEM;
	r = send_entry(a, w, (const char *)a->path.data);
	return r < 0 ? r : drain(a);
}

static int on_leave(void *arg, const char *path, size_t path_len, int error)
{
	struct archive *a = arg;
	int r = error ? fail(a, true, error, UINT64_MAX, "read the directory") : 0;

	(void)path;
	if (path_len)		/* all but the first */
		filter_leave(&a->pos);
	if (r == 0)
		r = end_dir(a);
	return r < 0 ? r : drain(a);
}

static const struct walk_ops ops = { on_entry, on_leave };

/* The root: the directory that holds the item; above a volume there is none, so one is made up. */
static int begin_root(struct archive *a, const struct item *i)
{
	struct pxar_entry root = { .name = "", .kind = PXAR_KIND_DIR, .mode = S_IFDIR | 0755 };
	CLEANUP_CLOSE int fd = -1;
	struct statx st;
	int r;

	a->q->reply->entries++;
	if (i->parent_fd < 0)
		return pxar_enc_entry(a->enc, &root);
	r = resolve_stat(i->parent_fd, ".", &st);
	if (r < 0)
		return err_set(a->q->err, r, "examine the parent directory");
	meta_stat(&st, &root);
	fd = resolve_open(i->parent_fd, ".", DIR_FLAGS);
	return begin_dir(a, &root, i->parent_fd, ".", fd);
}

/* Which no directory lists, so nothing of it is known but size and contents. */
static int send_stream(struct archive *a, const struct item *i)
{
	struct pxar_entry e = { .name = a->top, .name_len = strlen(a->top) };
	struct data d = { .fd = -1, .stream = i->stream };
	int r;

	a->q->reply->entries++;
	meta_stat(&i->st, &e);
	if (a->q->no_data && e.size)
		drop_payload(&e);
	else
		find_holes(a, -1, i->stream, &i->st, &e);
	r = pxar_enc_entry(a->enc, &e);
	return r < 0 ? r : send_payload(a, &d, &e, 0, "read the stream");
}

static int send_item(struct archive *a, const struct item *i)
{
	struct walk_entry w = { .dirfd = item_dirfd(i), .name = i->name, .st = &i->st, .fd = -1 };
	struct pxar_entry e = { .name = a->top, .name_len = strlen(a->top) };
	CLEANUP_CLOSE int fd = -1;
	int r;

	if (!S_ISDIR(i->st.stx_mode)) {
		if (filter_look(a->q->filter, &a->pos, a->top, strlen(a->top), false) == FILTER_LEAVE)
			return 0;
		return i->stream ? send_stream(a, i) : send_entry(a, &w, a->top);
	}
	a->q->reply->entries++;
	fd = resolve_open(w.dirfd, w.name, DIR_FLAGS);
	meta_stat(&i->st, &e);
	r = begin_dir(a, &e, w.dirfd, w.name, fd);
	if (r < 0)
		return r;
	return fd < 0 ? on_leave(a, "", 0, fd) : walk_tree(TAKE_FD(fd), true, &ops, a);
}

int archive_send(struct request *q, struct item *i, const char *name)
{
	CLEANUP(archive_free) struct archive a = { .q = q, .top = name, .meta = { .native = &i->native } };
	struct statfs fs;
	int r;

	a.enc = pxar_enc_new(&a.out, q->ext ? PXAR_ENC_EXT | PXAR_ENC_NO_TABLES : 0);
	if (!a.enc)
		return err_set(q->err, -ENOMEM, "archive");
	a.zeros_max = fstatfs(i->root_fd, &fs) == 0 ? (uint64_t)fs.f_blocks * (uint64_t)fs.f_bsize : 0;
	r = begin_root(&a, i);
	if (r >= 0)
		r = send_item(&a, i);
	if (r >= 0)
		r = end_dir(&a);
	if (r >= 0)
		r = drain(&a);
	if (r < 0 && !q->err->code)
		err_set(q->err, r, "archive");
	return r < 0 ? r : 0;
}
