/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/path.h"
#include "host/restore/dirstack.h"
#include "host/restore/file.h"
#include "host/restore/links.h"
#include "host/restore/meta.h"
#include "host/restore/unpack.h"

#define PARTIAL ".partial"

struct to_dir {
	struct restore_target base;
	int target;		/* borrowed */
	struct dirs dirs;
	struct new_file file;
};

static struct to_dir *self(struct restore_target *t)
{
	return (struct to_dir *)t;	/* base comes first */
}

/* Something could not be made. Return: UNPACK_LEFT_OUT; negative errno if nothing more can be made there. */
static int not_made(const struct to_dir *t, struct unpack *u, const struct pxar_entry *e, int code, const char *what,
		    struct err *err)
{
	struct stat st;

	if (code == -ENOENT && fstat(dirs_fd(&t->dirs), &st) == 0 && !st.st_nlink) {
		u->rep.r->target_failed = true;
		return err_set(err, code, "a directory of the target was removed");
	}
	return unpack_left_out(u, e, code, what, err);
}

static int enter_dir(struct restore_target *base, struct unpack *u, const struct pxar_entry *e, struct err *err)
{
	struct to_dir *t = self(base);
	const int dirfd = dirs_fd(&t->dirs);
	bool new, meta_lost;
	int fd, r;

	new = mkdirat(dirfd, e->name, 0700) == 0;
	if (!new && errno != EEXIST)
		return not_made(t, u, e, -errno, "directory not made", err);
	/* O_PATH is not looked at by Landlock, which goes up to the target for each name: in deep trees that is most of the time. */
	fd = openat(dirfd, e->name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return unpack_left_out(u, e, -errno, "directory not entered", err);
	r = dirs_push(&t->dirs, fd, e, &meta_lost);
	if (r < 0)
		return err_set(err, r, "enter directory");
	if (meta_lost)
		unpack_meta_lost(u, e, -E2BIG, "metadata left out");
	return new ? UNPACK_MADE : UNPACK_SAME;
}

static int begin_root(struct restore_target *base, struct unpack *u, const struct pxar_entry *e, struct err *err)
{
	struct to_dir *t = self(base);
	int fd = openat(t->target, ".", O_PATH | O_DIRECTORY | O_CLOEXEC), r;
	bool meta_lost;

	if (fd < 0)
		return err_set(err, -errno, "open the target directory");
	r = dirs_push(&t->dirs, fd, u->o->skip_root ? NULL : e, &meta_lost);
	return r < 0 || meta_lost ? err_set(err, r < 0 ? r : -ENOMEM, "open the target directory") : 0;
}

/* Its flags are the one thing that cannot be set by O_PATH, nor by what is opened when the mode is another. */
static int open_for_flags(const struct dir_level *l)
{
	return l->meta->flags ? openat(l->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
}

/* What a directory is to have is set now, behind all that went into it. */
static int leave_dir(struct restore_target *base, struct unpack *u, struct err *err)
{
	struct to_dir *t = self(base);
	const struct dir_level *l = dirs_top(&t->dirs);
	int r;

	if (l->meta) {
		CLEANUP_CLOSE int fd = open_for_flags(l);

		meta_apply(l->fd, true, l->meta, &u->rep);
		meta_flags(fd, l->meta, &u->rep);
	}
	r = dirs_pop(&t->dirs);
	return r < 0 ? err_set(err, r, "a directory of the target was moved") : 0;
}

static int begin_file(struct restore_target *base, struct unpack *u, const struct pxar_entry *e, struct err *err)
{
	struct to_dir *t = self(base);
	int r = unpack_may_take(u, dirs_fd(&t->dirs), e);

	if (r == UNPACK_LEFT_OUT)
		return r;
	r = file_begin(&t->file, dirs_fd(&t->dirs), e);
	if (r < 0)
		return not_made(t, u, e, r, "file not made", err);
	meta_flags_early(t->file.fd, e->flags);
	return UNPACK_MADE;
}

static int put_data(struct restore_target *base, struct unpack *u, const struct pxar_entry *e, uint64_t off,
		    const uint8_t *p, size_t len, struct err *err)
{
	struct to_dir *t = self(base);
	int r = file_data(&t->file, e, off, p, len);

	if (r == 0)
		return UNPACK_MADE;
	file_end(&t->file);
	return unpack_left_out(u, e, r, "file not written", err);
}

static int end_file(struct restore_target *base, struct unpack *u, const struct pxar_entry *e, struct err *err)
{
	struct to_dir *t = self(base);
	int r;

	meta_apply(t->file.fd, false, e, &u->rep);
	r = file_name(&t->file, e->name, u->o->overwrite != RESTORE_OVERWRITE_NEVER);
	if (r < 0) {
		file_end(&t->file);
		return not_made(t, u, e, r, "file not named", err);
	}
	r = unpack_has_links(u, e) ? links_made_add(&u->links, e->pos, t->file.fd) : 0;
	if (r < 0) {
		file_end(&t->file);
		return err_set(err, r, "table of hard links (temporary file)");
	}
	meta_flags(t->file.fd, e, &u->rep);
	file_end(&t->file);
	return UNPACK_MADE;
}

/* What came of a file that did not come whole. */
static int keep_partial(struct to_dir *t, const struct unpack *u, const struct pxar_entry *e, const char **ret_note)
{
	char name[PATH_NAME_MAX + 1];

	*ret_note = "not read whole, left out";
	if (!u->o->keep_partial)
		return 0;
	if (e->name_len + sizeof(PARTIAL) > sizeof(name))
		return -ENAMETOOLONG;
	(void)snprintf(name, sizeof(name), "%s" PARTIAL, e->name);
	*ret_note = "not read whole, kept as .partial";
	return file_name(&t->file, name, u->o->overwrite == RESTORE_OVERWRITE_ALWAYS);
}

static int bad_file(struct restore_target *base, struct unpack *u, const struct pxar_entry *e, int code,
		    struct err *err)
{
	struct to_dir *t = self(base);
	const char *what;
	int r = keep_partial(t, u, e, &what);

	(void)err;
	unpack_bad(u, e, r < 0 ? r : code, r < 0 ? "not read whole, and the part not kept" : what);
	file_end(&t->file);
	return 0;
}

static int make_hardlink(struct restore_target *base, struct unpack *u, const struct pxar_entry *e, struct err *err)
{
	struct to_dir *t = self(base);
	const int dirfd = dirs_fd(&t->dirs);
	CLEANUP_CLOSE int from = -1;
	const char *name;
	bool exists;
	int r;

	from = links_made_open(&u->links, t->target, e, &name);
	if (from < 0)
		return unpack_left_out(u, e, from, links_made_why(from), err);
	r = unpack_may_take(u, dirfd, e);
	if (r == UNPACK_LEFT_OUT)
		return r;
	exists = r == UNPACK_REPLACED;
	if (exists && links_made_same(&u->links, dirfd, e->name, e))
		return UNPACK_SAME;
	if (exists && unlinkat(dirfd, e->name, 0) < 0)
		return unpack_left_out(u, e, -errno, "existing file not removed", err);
	if (linkat(from, name, dirfd, e->name, 0) < 0)
		return unpack_left_out(u, e, -errno, "hard link not made", err);
	if (!links_made_same(&u->links, dirfd, e->name, e)) {
		(void)unlinkat(dirfd, e->name, 0);
		return unpack_left_out(u, e, -ESTALE, "hard link not made", err);
	}
	return UNPACK_MADE;
}

static int create_special(int dirfd, const struct pxar_entry *e)
{
	int r;

	if (e->kind == PXAR_KIND_SYMLINK)
		r = symlinkat(e->target, dirfd, e->name);
	else if (e->kind == PXAR_KIND_FIFO)
		r = mkfifoat(dirfd, e->name, 0600);
	else
		r = mknodat(dirfd, e->name, (mode_t)(e->mode & S_IFMT) | 0600,
			    e->kind == PXAR_KIND_DEVICE ? makedev(e->dev_major, e->dev_minor) : 0);
	return r < 0 ? -errno : 0;
}

static int make_special(struct restore_target *base, struct unpack *u, const struct pxar_entry *e, struct err *err)
{
	const int dirfd = dirs_fd(&self(base)->dirs);
	CLEANUP_CLOSE int fd = -1;
	struct stat st;
	int r;

	if (e->kind == PXAR_KIND_DEVICE && !u->o->devices)
		return unpack_left_out(u, e, -EPERM, DIR_MAKES_NOT, err);
	r = unpack_may_take(u, dirfd, e);
	if (r == UNPACK_LEFT_OUT)
		return r;
	if (r == UNPACK_REPLACED && unlinkat(dirfd, e->name, 0) < 0)
		return unpack_left_out(u, e, -errno, "existing file not removed", err);
	r = create_special(dirfd, e);
	if (r < 0)
		return not_made(self(base), u, e, r, "not made", err);
	fd = openat(dirfd, e->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || (st.st_mode & S_IFMT) != (e->mode & S_IFMT))
		unpack_meta_lost(u, e, fd < 0 ? -errno : -ESTALE, "metadata not set");
	else
		meta_apply(fd, true, e, &u->rep);
	return UNPACK_MADE;
}

static void stream_over(struct restore_target *base)
{
	struct to_dir *t = self(base);

	file_end(&t->file);
	dirs_free(&t->dirs);
	t->dirs = (struct dirs){ 0 };
}

static void to_dir_free(struct restore_target *base)
{
	free(self(base));
}

static const struct target_ops ops = {
	.root = begin_root,
	.enter = enter_dir,
	.leave = leave_dir,
	.begin = begin_file,
	.data = put_data,
	.end = end_file,
	.bad = bad_file,
	.link = make_hardlink,
	.special = make_special,
	.over = stream_over,
	.free = to_dir_free,
};

int restore_dir_new(int dirfd, struct restore_target **ret, struct err *err)
{
	struct to_dir *t = calloc(1, sizeof(*t));

	if (!t)
		return err_set(err, -ENOMEM, "target directory");
	*t = (struct to_dir){ .base = { &ops }, .target = dirfd, .file = { .fd = -1 } };
	*ret = &t->base;
	return 0;
}
