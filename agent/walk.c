/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/resolve.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "common/grow.h"
#include "common/wire.h"

#define OPEN_MAX_FRAMES 32	/* directories that keep descriptor and buffer */
#define DENTS_SIZE 16384
#define OPEN_FLAGS (O_RDONLY | O_DIRECTORY | O_NOATIME)

struct frame {
	int fd;			/* -1: closed for now */
	char *dents;		/* DENTS_SIZE bytes; NULL: to be read again from @pos */
	size_t len, at;
	int64_t pos;		/* where to read on behind the entry handled last */
	uint64_t ino;
	uint32_t major, minor;
	size_t path_len;
	uint64_t seen, mark;	/* entries so far; a sample of them, to notice when they repeat */
};

struct walk {
	struct frame *v;
	size_t nr, room;
	struct buf path;
	const struct walk_ops *ops;
	void *arg;
	bool recursive;
};

static void frame_close(struct frame *f)
{
	if (f->fd >= 0)
		(void)close(f->fd);
	free(f->dents);
	f->fd = -1;
	f->dents = NULL;
}

static void walk_free(struct walk *w)
{
	while (w->nr)
		frame_close(&w->v[--w->nr]);
	free(w->v);
	buf_free(&w->path);
}

static bool same_dir(const struct frame *f, const struct statx *st)
{
	return f->ino == st->stx_ino && f->major == st->stx_dev_major && f->minor == st->stx_dev_minor;
}

/* Takes @fd over. */
static int push(struct walk *w, int fd, const struct statx *st)
{
	CLEANUP_CLOSE int own = fd;
	struct frame *f;

	if (grow(&w->v, &w->room, w->nr, sizeof(*w->v)) < 0)
		return -ENOMEM;
	f = &w->v[w->nr];
	*f = (struct frame){ .ino = st->stx_ino, .major = st->stx_dev_major, .minor = st->stx_dev_minor };
	f->path_len = w->path.len;
	f->fd = TAKE_FD(own);
	w->nr++;
	if (w->nr > OPEN_MAX_FRAMES)
		frame_close(&w->v[w->nr - 1 - OPEN_MAX_FRAMES]);
	return 0;
}

/* Open the parent of the innermost directory again, if it was closed. */
static int reopen_parent(struct walk *w)
{
	struct frame *child = &w->v[w->nr - 1], *f = child - 1;
	CLEANUP_CLOSE int fd = -1;
	struct statx st;
	int r;

	if (f->fd >= 0)
		return 0;
	fd = openat(child->fd, "..", OPEN_FLAGS | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	r = resolve_stat(fd, ".", &st);
	if (r < 0)
		return r;
	if (!same_dir(f, &st))
		return -ESTALE;
	if (lseek(fd, f->pos, SEEK_SET) < 0)
		return -errno;
	f->fd = TAKE_FD(fd);
	return 0;
}

/* Leave the innermost directory. A parent that cannot be opened again is left too, with that error. */
static int pop(struct walk *w, int error)
{
	for (;;) {
		struct frame *f = &w->v[w->nr - 1];
		int r, next = w->nr > 1 && f->fd >= 0 ? reopen_parent(w) : w->nr > 1 ? -ESTALE : 0;

		w->path.len = f->path_len;
		r = w->ops->leave(w->arg, (const char *)w->path.data, f->path_len, error);
		frame_close(f);
		w->nr--;
		if (r < 0 || next >= 0)
			return r;
		error = next;
	}
}

/*
 * A damaged file system may give the same entries for ever (reiserfs does). Samples are taken at growing distances,
 * so that any cycle is noticed within a few rounds; name and position together are unique in a sound directory.
 */
static bool repeats(struct frame *f, const struct dirent64 *e)
{
	uint64_t h = (uint64_t)e->d_off * UINT64_C(0x9e3779b97f4a7c15) ^ e->d_ino;

	for (const char *c = e->d_name; *c; c++)
		h = (h ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
	if (f->seen && h == f->mark)
		return true;
	f->seen++;
	if (!(f->seen & (f->seen - 1)))
		f->mark = h;
	return false;
}

/* Return: 1 with the next entry but "." and ".."; 0 at the end; negative errno. */
static int next_dirent(struct frame *f, const struct dirent64 **ret)
{
	for (;;) {
		const struct dirent64 *e;

		if (!f->dents) {
			f->dents = malloc(DENTS_SIZE);
			if (!f->dents)
				return -ENOMEM;
			f->at = f->len = 0;
		}
		if (f->at >= f->len) {
			ssize_t n = getdents64(f->fd, f->dents, DENTS_SIZE);

			if (n <= 0)
				return n < 0 ? -errno : 0;
			f->len = (size_t)n;
			f->at = 0;
		}
		e = (const struct dirent64 *)(const void *)(f->dents + f->at);
		f->at += e->d_reclen;
		f->pos = e->d_off;
		if (!e->d_name[0] || !strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (repeats(f, e))
			return -EUCLEAN;
		*ret = e;
		return 1;
	}
}

static int check_enter(const struct walk *w, const struct statx *st)
{
	if (w->nr >= WIRE_DEPTH_MAX)
		return -EOVERFLOW;
	for (size_t i = w->nr; i > 0; i--)
		if (same_dir(&w->v[i - 1], st))
			return -ELOOP;
	return 0;
}

/* Open a directory that is to be entered. Return: a descriptor; negative errno. */
static int open_below(const struct walk *w, int dirfd, const char *name, struct statx *st)
{
	CLEANUP_CLOSE int fd = -1;
	int r = check_enter(w, st);

	if (r < 0)
		return r;
	fd = resolve_open(dirfd, name, OPEN_FLAGS);
	if (fd < 0)
		return fd;
	r = resolve_stat(fd, ".", st);
	return r < 0 ? r : TAKE_FD(fd);
}

static int handle(struct walk *w, const char *name)
{
	struct frame *f = &w->v[w->nr - 1];
	struct walk_entry e = { .dirfd = f->fd, .name = name, .fd = -1 };
	CLEANUP_CLOSE int fd = -1;
	struct statx st;
	int r;

	w->path.len = f->path_len;
	if (f->path_len)
		buf_u8(&w->path, '/');
	buf_str(&w->path, name);
	if (!buf_cstr(&w->path))
		return buf_ok(&w->path);
	e.path = (const char *)w->path.data;
	e.path_len = w->path.len;
	e.error = resolve_stat(f->fd, name, &st);
	if (!e.error)
		e.st = &st;
	if (e.st && w->recursive && S_ISDIR(st.stx_mode)) {
		fd = e.path_len > WIRE_PATH_MAX ? -ENAMETOOLONG : open_below(w, f->fd, name, &st);
		e.error = fd < 0 ? fd : 0;
		e.fd = fd;
	}
	r = w->ops->entry(w->arg, &e);
	if (r < 0 || r == WALK_SKIP || fd < 0)
		return r < 0 ? r : 0;
	return push(w, TAKE_FD(fd), &st);
}

int walk_tree(int root, bool recursive, const struct walk_ops *ops, void *arg)
{
	CLEANUP(walk_free) struct walk w = { .ops = ops, .arg = arg, .recursive = recursive };
	CLEANUP_CLOSE int fd = root;
	struct statx st;
	int r = resolve_stat(fd, ".", &st);

	buf_u8(&w.path, 0);
	if (buf_ok(&w.path) < 0)
		return -ENOMEM;
	w.path.len = 0;
	if (r < 0)
		return ops->leave(arg, "", 0, r);
	r = push(&w, TAKE_FD(fd), &st);
	while (r >= 0 && w.nr) {
		const struct dirent64 *e = NULL;

		r = next_dirent(&w.v[w.nr - 1], &e);
		if (r == -ENOMEM)
			return r;
		r = r > 0 ? handle(&w, e->d_name) : pop(&w, r);
	}
	return r;
}
