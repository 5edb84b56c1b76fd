/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
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

#define PARTIAL ".partial"

struct to_dir {
	const struct restore_options *o;
	bool ext;
	int target;		/* borrowed */
	struct report rep;
	struct dirs dirs;
	size_t lost;		/* depth within a directory that is left out */
	struct links_made links;
	struct new_file file;
	const struct pxar_entry *entry;	/* the file that is being written; NULL */
	const char *last;	/* name of the last entry, borrowed from the decoder */
};

static bool is_fatal(int code)
{
	return code == -ENOSPC || code == -EDQUOT || code == -EIO || code == -EROFS || code == -ENOMEM || code == -EMFILE ||
	       code == -ENFILE;
}

/* An entry is left out. Return: 0, or the error that ends everything. */
static int left_out(struct to_dir *t, const char *name, int code, const char *what, struct err *err)
{
	if (is_fatal(code))
		return err_set(err, code, "%s", what);
	t->rep.r->left_out++;
	report_note(&t->rep, name, code, what);
	return 0;
}

/*
 * May a new object take this name? A directory is never replaced.
 * Return: 1 with *ret_exists; 0 if the entry is to be left out (then it was told).
 */
static int may_take(struct to_dir *t, const struct pxar_entry *e, bool *ret_exists)
{
	struct stat st;
	bool newer;

	*ret_exists = fstatat(dirs_fd(&t->dirs), e->name, &st, AT_SYMLINK_NOFOLLOW) == 0;
	if (!*ret_exists)
		return 1;
	newer = e->mtime_s > st.st_mtim.tv_sec || (e->mtime_s == st.st_mtim.tv_sec && e->mtime_ns > st.st_mtim.tv_nsec);
	if (S_ISDIR(st.st_mode)) {
		(void)left_out(t, e->name, -EISDIR, "a directory is in the way", NULL);
		return 0;
	}
	if (t->o->overwrite == RESTORE_OVERWRITE_ALWAYS || (t->o->overwrite == RESTORE_OVERWRITE_IF_NEWER && newer))
		return 1;
	(void)left_out(t, e->name, -EEXIST, t->o->overwrite == RESTORE_OVERWRITE_NEVER ? "exists" : "exists and is not older",
		       NULL);
	return 0;
}

static int enter_dir(struct to_dir *t, const struct pxar_entry *e, struct err *err)
{
	const int dirfd = dirs_fd(&t->dirs);
	bool new, meta_lost;
	int fd, r;

	new = mkdirat(dirfd, e->name, 0700) == 0;
	if (!new && errno != EEXIST) {
		t->lost = 1;
		return left_out(t, e->name, -errno, "directory not made", err);
	}
	fd = openat(dirfd, e->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		t->lost = 1;
		return left_out(t, e->name, -errno, "directory not entered", err);
	}
	r = dirs_push(&t->dirs, fd, e, &meta_lost);
	if (r < 0)
		return err_set(err, r, "enter directory");
	report_push(&t->rep, e->name);
	if (buf_ok(&t->rep.path) < 0)
		return err_set(err, buf_ok(&t->rep.path), "enter directory");
	if (new)
		t->rep.r->dirs++;
	if (meta_lost) {
		t->rep.r->meta_failed++;
		report_note(&t->rep, NULL, -E2BIG, "metadata left out");
	}
	return 0;
}

static int begin_file(struct to_dir *t, const struct pxar_entry *e, struct err *err)
{
	bool exists;
	int r;

	if (e->payload_ref)
		return left_out(t, e->name, -EOPNOTSUPP, "its data is in another stream", err);
	if (!may_take(t, e, &exists))
		return 0;
	r = file_begin(&t->file, dirs_fd(&t->dirs), e);
	if (r < 0)
		return left_out(t, e->name, r, "file not made", err);
	meta_flags_early(t->file.fd, e->flags);
	t->entry = e;
	return 0;
}

static int on_data(struct to_dir *t, const uint8_t *p, size_t len, struct err *err)
{
	int r;

	if (!t->entry)
		return 0;
	r = file_data(&t->file, t->entry, p, len);
	if (r == 0) {
		t->rep.r->bytes += len;
		return 0;
	}
	file_end(&t->file);
	r = left_out(t, t->entry->name, r, "file not written", err);
	t->entry = NULL;
	return r;
}

/* What came of a file that did not come whole. */
static int keep_partial(struct to_dir *t, const char **ret_note)
{
	const struct pxar_entry *e = t->entry;
	char name[PATH_NAME_MAX + 1];

	*ret_note = "not read whole, left out";
	if (!t->o->keep_partial)
		return 0;
	if (e->name_len + sizeof(PARTIAL) > sizeof(name))
		return -ENAMETOOLONG;
	(void)snprintf(name, sizeof(name), "%s" PARTIAL, e->name);
	*ret_note = "not read whole, kept as .partial";
	return file_name(&t->file, name, t->o->overwrite == RESTORE_OVERWRITE_ALWAYS);
}

static int incomplete(struct to_dir *t, int code)
{
	const char *what;
	int r = keep_partial(t, &what);

	t->rep.r->incomplete++;
	report_note(&t->rep, t->entry->name, r < 0 ? r : code, r < 0 ? "not read whole, and the part not kept" : what);
	file_end(&t->file);
	t->entry = NULL;
	return 0;
}

static int end_file(struct to_dir *t, const struct pxar_error *error, struct err *err)
{
	const struct pxar_entry *e = t->entry;
	int r;

	if (!e)
		return 0;
	if (error->code)
		return incomplete(t, error->code);
	meta_apply(t->file.fd, false, e, &t->rep);
	r = file_name(&t->file, e->name, t->o->overwrite != RESTORE_OVERWRITE_NEVER);
	t->entry = NULL;
	if (r < 0) {
		file_end(&t->file);
		return left_out(t, e->name, r, "file not named", err);
	}
	t->rep.r->files++;
	if (!t->ext || e->link_id) {
		r = links_made_add(&t->links, e->pos, t->file.fd);
		if (r == -ENOMEM)
			return err_set(err, r, "table of hard links");
	}
	meta_flags(t->file.fd, e, &t->rep);
	file_end(&t->file);
	return 0;
}

static int make_hardlink(struct to_dir *t, const struct pxar_entry *e, struct err *err)
{
	const int dirfd = dirs_fd(&t->dirs);
	CLEANUP_CLOSE int from = -1;
	const char *name;
	bool exists;

	from = links_made_open(&t->links, t->target, e, &name);
	if (from < 0)
		return left_out(t, e->name, from, "target of the hard link is not among the restored files", err);
	if (!may_take(t, e, &exists))
		return 0;
	if (exists && links_made_same(&t->links, dirfd, e->name, e))
		return 0;
	if (exists && unlinkat(dirfd, e->name, 0) < 0)
		return left_out(t, e->name, -errno, "existing file not removed", err);
	if (linkat(from, name, dirfd, e->name, 0) < 0)
		return left_out(t, e->name, -errno, "hard link not made", err);
	if (!links_made_same(&t->links, dirfd, e->name, e)) {
		(void)unlinkat(dirfd, e->name, 0);
		return left_out(t, e->name, -ESTALE, "hard link not made", err);
	}
	t->rep.r->files++;
	return 0;
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

static int make_special(struct to_dir *t, const struct pxar_entry *e, struct err *err)
{
	const int dirfd = dirs_fd(&t->dirs);
	CLEANUP_CLOSE int fd = -1;
	struct stat st;
	bool exists;
	int r;

	if (e->kind == PXAR_KIND_DEVICE && !t->o->devices)
		return left_out(t, e->name, -EPERM, "devices are restored only on request", err);
	if (!may_take(t, e, &exists))
		return 0;
	if (exists && unlinkat(dirfd, e->name, 0) < 0)
		return left_out(t, e->name, -errno, "existing file not removed", err);
	r = create_special(dirfd, e);
	if (r < 0)
		return left_out(t, e->name, r, "not made", err);
	t->rep.r->others++;
	fd = openat(dirfd, e->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || (st.st_mode & S_IFMT) != (e->mode & S_IFMT)) {
		t->rep.r->meta_failed++;
		report_note(&t->rep, e->name, fd < 0 ? -errno : -ESTALE, "metadata not set");
		return 0;
	}
	meta_apply(fd, true, e, &t->rep);
	return 0;
}

static int begin_root(struct to_dir *t, const struct pxar_entry *e, struct err *err)
{
	int fd = openat(t->target, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;
	bool meta_lost;

	if (fd < 0)
		return err_set(err, -errno, "open the target directory");
	r = dirs_push(&t->dirs, fd, t->o->skip_root ? NULL : e, &meta_lost);
	return r < 0 || meta_lost ? err_set(err, r < 0 ? r : -ENOMEM, "open the target directory") : 0;
}

static int on_entry(struct to_dir *t, const struct pxar_entry *e, struct err *err)
{
	int r;

	if (t->lost) {
		t->lost += e->kind == PXAR_KIND_DIR;
		t->rep.r->left_out++;
		return 0;
	}
	t->last = e->name;
	if (!t->dirs.nr)
		return begin_root(t, e, err);
	r = path_check_name(e->name, e->name_len);
	if (r < 0) {
		t->lost = e->kind == PXAR_KIND_DIR;
		return left_out(t, e->name, r, "name cannot be used here", err);
	}
	switch (e->kind) {
	case PXAR_KIND_DIR:
		return enter_dir(t, e, err);
	case PXAR_KIND_FILE:
		return begin_file(t, e, err);
	case PXAR_KIND_HARDLINK:
		return make_hardlink(t, e, err);
	default:
		return make_special(t, e, err);
	}
}

/* Leaves the innermost directory: what it is to have is set now, behind all that went into it. */
static int on_dir_end(struct to_dir *t, const struct pxar_error *error, struct err *err)
{
	const struct dir_level *l;
	int r;

	if (error->code) {
		t->rep.r->incomplete++;
		report_note(&t->rep, NULL, error->code, "directory not read whole");
	}
	if (t->lost) {
		t->lost--;
		return 0;
	}
	l = dirs_top(&t->dirs);
	report_pop(&t->rep);
	if (l->meta) {
		meta_apply(l->fd, false, l->meta, &t->rep);
		meta_flags(l->fd, l->meta, &t->rep);
	}
	r = dirs_pop(&t->dirs);
	return r < 0 ? err_set(err, r, "a directory of the target was moved") : 0;
}

/* The error of a link or special file; what is there of it stays. */
static int on_item_error(struct to_dir *t, const struct pxar_error *error)
{
	t->rep.r->meta_failed++;
	report_note(&t->rep, t->last, error->code, "metadata not read whole");
	return 0;
}

static int on_event(void *arg, const struct pxar_event *ev, struct err *err)
{
	struct to_dir *t = arg;

	switch (ev->type) {
	case PXAR_EV_ENTRY:
		return on_entry(t, ev->entry, err);
	case PXAR_EV_DATA:
		return on_data(t, ev->data, ev->data_len, err);
	case PXAR_EV_FILE_END:
		return end_file(t, &ev->error, err);
	case PXAR_EV_DIR_END:
		return on_dir_end(t, &ev->error, err);
	case PXAR_EV_ITEM_ERROR:
		return on_item_error(t, &ev->error);
	case PXAR_EV_END:
		break;
	}
	return 0;
}

/* The stream or the target failed within a file. */
static void on_broken(void *arg, int code)
{
	struct to_dir *t = arg;

	if (t->entry)
		(void)incomplete(t, code);
}

static void to_dir_free(struct to_dir *t)
{
	file_end(&t->file);
	dirs_free(&t->dirs);
	links_made_free(&t->links);
	buf_free(&t->rep.path);
}

int restore_to_dir(int dirfd, const struct restore_options *o, unsigned int dec_flags, restore_read_fn *read, void *arg,
		   const struct restore_sink *sink, struct restore_report *ret, struct err *err)
{
	CLEANUP(to_dir_free) struct to_dir t = { .o = o, .ext = dec_flags & PXAR_DEC_EXT, .target = dirfd,
						 .rep = { .r = ret, .sink = sink }, .file = { .fd = -1 } };
	const struct pump p = { read, arg, dec_flags, o->abort, on_event, on_broken, &t };

	return pump_run(&p, err);
}
