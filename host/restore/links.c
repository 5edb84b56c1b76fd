/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/restore/links.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/path.h"

static int add(struct links_made *l, const struct made_file *m)
{
	if (l->nr >= LINKS_MAX)
		return -E2BIG;
	if (l->nr == l->room) {
		const size_t room = l->room ? l->room * 2 : 256;
		struct made_file *v = reallocarray(l->v, room, sizeof(*v));

		if (!v)
			return -ENOMEM;
		l->v = v;
		l->room = room;
	}
	l->v[l->nr++] = *m;
	return 0;
}

int links_made_add(struct links_made *l, uint64_t pos, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	return add(l, &(struct made_file){ .pos = pos, .dev = st.st_dev, .ino = st.st_ino });
}

int links_made_note(struct links_made *l, const struct pxar_entry *e)
{
	return add(l, &(struct made_file){ .pos = e->pos, .meta = { (uint32_t)e->mode, e->uid, e->gid, e->mtime_ns,
								    e->mtime_s } });
}

static const struct made_file *find(const struct links_made *l, uint64_t pos)
{
	size_t lo = 0, hi = l->nr;

	while (lo < hi) {
		const size_t mid = lo + (hi - lo) / 2;

		if (l->v[mid].pos < pos)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < l->nr && l->v[lo].pos == pos ? &l->v[lo] : NULL;
}

bool links_made_noted(const struct links_made *l, struct pxar_entry *link)
{
	const struct made_file *m = find(l, link->link_pos);

	if (!m)
		return false;
	link->mode = m->meta.mode;
	link->uid = m->meta.uid;
	link->gid = m->meta.gid;
	link->mtime_s = m->meta.mtime_s;
	link->mtime_ns = m->meta.mtime_ns;
	return true;
}

bool links_made_same(const struct links_made *l, int dirfd, const char *name, const struct pxar_entry *e)
{
	const struct made_file *m = find(l, e->link_pos);
	struct stat st;

	return m && fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == m->dev && st.st_ino == m->ino &&
	       S_ISREG(st.st_mode);
}

int links_made_open(const struct links_made *l, int dirfd, const struct pxar_entry *e, const char **ret_name)
{
	CLEANUP_CLOSE int fd = -1;
	const char *p = e->target, *slash;
	char name[PATH_NAME_MAX + 1];

	if (!find(l, e->link_pos))
		return -ENOENT;
	fd = openat(dirfd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	while (fd >= 0 && (slash = strchr(p, '/'))) {
		const size_t len = (size_t)(slash - p);
		int next;

		if (path_check_name(p, len) < 0)
			return -EBADMSG;
		memcpy(name, p, len);
		name[len] = 0;
		next = openat(fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		(void)close(fd);
		fd = next;
		p = slash + 1;
	}
	if (fd < 0)
		return -errno;
	if (path_check_name(p, strlen(p)) < 0)
		return -EBADMSG;
	if (!links_made_same(l, fd, p, e))
		return -ESTALE;
	*ret_name = p;
	return TAKE_FD(fd);
}

void links_made_free(struct links_made *l)
{
	free(l->v);
}
