/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/restore/dirstack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/grow.h"
#include "host/restore/meta.h"

static void close_level(struct dir_level *l)
{
	if (l->fd >= 0)
		(void)close(l->fd);
	l->fd = -1;
}

int dirs_push(struct dirs *d, int fd_taken, const struct pxar_entry *meta, bool *ret_meta_lost)
{
	CLEANUP_CLOSE int fd = fd_taken;
	struct dir_level l = { .fd = -1 };
	struct stat st;
	int r = grow(&d->v, &d->room, d->nr, sizeof(*d->v));

	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0)
		return -errno;
	l.dev = st.st_dev;
	l.ino = st.st_ino;
	if (meta && d->meta_size < DIRS_META_MAX)
		l.meta = meta_copy(meta, &l.meta_size);
	*ret_meta_lost = meta && !l.meta;
	d->meta_size += l.meta_size;
	l.fd = TAKE_FD(fd);
	d->v[d->nr++] = l;
	if (d->nr > DIRS_OPEN_MAX + 1)	/* the target itself stays open */
		close_level(&d->v[d->nr - 1 - DIRS_OPEN_MAX]);
	return 0;
}

int dirs_fd(const struct dirs *d)
{
	return d->nr ? d->v[d->nr - 1].fd : -1;
}

struct dir_level *dirs_top(struct dirs *d)
{
	return &d->v[d->nr - 1];
}

/* The outer directory through the inner one, if it is still the same. */
static int reopen(const struct dir_level *inner, struct dir_level *outer)
{
	CLEANUP_CLOSE int fd = -1;
	struct stat st;

	if (inner->fd < 0)
		return -ESTALE;
	fd = openat(inner->fd, "..", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || st.st_dev != outer->dev || st.st_ino != outer->ino)
		return -ESTALE;
	outer->fd = TAKE_FD(fd);
	return 0;
}

int dirs_pop(struct dirs *d)
{
	struct dir_level *l = dirs_top(d);
	int r = 0;

	if (d->nr > 1 && l[-1].fd < 0)
		r = reopen(l, l - 1);
	close_level(l);
	d->meta_size -= l->meta_size;
	free(l->meta);
	d->nr--;
	return r;
}

void dirs_free(struct dirs *d)
{
	for (size_t i = 0; i < d->nr; i++) {
		close_level(&d->v[i]);
		free(d->v[i].meta);
	}
	free(d->v);
}
