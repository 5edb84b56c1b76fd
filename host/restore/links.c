/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/restore/links.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/path.h"
#include "common/pxar/format.h"

struct made_file {
	uint64_t pos;
	union {
		struct {
			dev_t dev;
			ino_t ino;
		};
		struct {
			uint32_t mode, uid, gid, mtime_ns;
			int64_t mtime_s;
		} meta;	/* of links_made_note() */
	};
};

static int add(struct links_made *l, const struct made_file *m)
{
	if (l->files.len / sizeof(*m) >= PXAR_LINKS_MAX)
		return 0;
	return spool_add(&l->files, m, sizeof(*m));
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

/* Return: 1; 0 if it was not made; negative errno. */
static int find(const struct links_made *l, uint64_t pos, struct made_file *ret)
{
	return spool_find(&l->files, pos, ret, sizeof(*ret));
}

int links_made_noted(const struct links_made *l, struct pxar_entry *link)
{
	struct made_file m;
	int r = find(l, link->link_pos, &m);

	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	link->mode = m.meta.mode;
	link->uid = m.meta.uid;
	link->gid = m.meta.gid;
	link->mtime_s = m.meta.mtime_s;
	link->mtime_ns = m.meta.mtime_ns;
	return 0;
}

const char *links_made_why(int r)
{
	return r == -ENOENT ? "target of the hard link is not among what was extracted" :
	       "target of the hard link cannot be looked up or opened";
}

bool links_made_same(const struct links_made *l, int dirfd, const char *name, const struct pxar_entry *e)
{
	struct made_file m;
	struct stat st;

	return find(l, e->link_pos, &m) > 0 && fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == m.dev &&
	       st.st_ino == m.ino && S_ISREG(st.st_mode);
}

int links_made_open(const struct links_made *l, int dirfd, const struct pxar_entry *e, const char **ret_name)
{
	CLEANUP_CLOSE int fd = -1;
	const char *p = e->target, *slash;
	char name[PATH_NAME_MAX + 1];
	struct made_file m;
	int r;

	r = find(l, e->link_pos, &m);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
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
	spool_free(&l->files);
}
