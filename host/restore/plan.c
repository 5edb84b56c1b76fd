/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A target that only looks: what would be made, and what would be left out. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "host/restore/dirstack.h"
#include "host/restore/unpack.h"

struct plan {
	struct restore_target base;
	enum restore_form form;
	int target;		/* borrowed; -1: there is none yet */
	struct dirs dirs;	/* those that exist */
	size_t missing;		/* further in, those that would be made */
};

static struct plan *self(struct restore_target *t)
{
	return (struct plan *)t;	/* base comes first */
}

/* Does everything in the current directory have to be made? */
static bool is_new(const struct plan *p)
{
	return p->missing || !p->dirs.nr;
}

static int enter(struct plan *p, int fd, struct err *err)
{
	bool lost;
	int r = dirs_push(&p->dirs, fd, NULL, &lost);

	return r < 0 ? err_set(err, r, "enter directory") : UNPACK_SAME;
}

static int begin_root(struct restore_target *base, struct unpack *u, const struct pxar_entry *e, struct err *err)
{
	struct plan *p = self(base);
	int fd;

	(void)u;
	(void)e;
	if (p->target < 0)
		return 0;
	fd = openat(p->target, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, -errno, "open the target directory");
	return enter(p, fd, err) < 0 ? -ENOMEM : 0;
}

static int enter_dir(struct restore_target *base, struct unpack *u, const struct pxar_entry *e, struct err *err)
{
	struct plan *p = self(base);
	int fd = is_new(p) ? -1 : openat(dirs_fd(&p->dirs), e->name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0)
		return enter(p, fd, err);
	if (!is_new(p) && errno != ENOENT)
		return unpack_left_out(u, e, -errno, "directory not entered", err);
	p->missing++;
	return UNPACK_MADE;
}

static int leave_dir(struct restore_target *base, struct unpack *u, struct err *err)
{
	struct plan *p = self(base);
	int r = 0;

	(void)u;
	if (p->missing)
		p->missing--;
	else if (p->dirs.nr)
		r = dirs_pop(&p->dirs);
	return r < 0 ? err_set(err, r, "a directory of the target was moved") : 0;
}

static int take(struct restore_target *base, struct unpack *u, const struct pxar_entry *e, struct err *err)
{
	struct plan *p = self(base);

	(void)err;
	return is_new(p) ? UNPACK_MADE : unpack_may_take(u, dirs_fd(&p->dirs), e);
}

static int make_special(struct restore_target *base, struct unpack *u, const struct pxar_entry *e, struct err *err)
{
	struct plan *p = self(base);
	const bool held = p->form == RESTORE_DIR || (p->form == RESTORE_TAR ? tar_holds(e) : zip_holds(e));

	if (p->form == RESTORE_DIR && e->kind == PXAR_KIND_DEVICE && !u->o->devices)
		return unpack_left_out(u, e, -EPERM, DIR_MAKES_NOT, err);
	if (!held && u->o->skip_special)
		return UNPACK_SAME;
	if (!held)
		return unpack_left_out(u, e, -EOPNOTSUPP, p->form == RESTORE_TAR ? TAR_HOLDS_NOT : ZIP_HOLDS_NOT, err);
	return take(base, u, e, err);
}

/* There is no data; what a file has is what it says. */
static int put_data(struct restore_target *base, struct unpack *u, const struct pxar_entry *e, uint64_t off,
		    const uint8_t *p, size_t len, struct err *err)
{
	(void)base;
	(void)u;
	(void)e;
	(void)off;
	(void)p;
	(void)len;
	(void)err;
	return UNPACK_MADE;
}

static int end_file(struct restore_target *base, struct unpack *u, const struct pxar_entry *e, struct err *err)
{
	(void)base;
	(void)err;
	u->rep.r->bytes += e->size - e->payload_size;
	return UNPACK_MADE;
}

static int bad_file(struct restore_target *base, struct unpack *u, const struct pxar_entry *e, int code,
		    struct err *err)
{
	(void)base;
	(void)err;
	unpack_bad(u, e, code, "not read whole");
	return 0;
}

static void stream_over(struct restore_target *base)
{
	struct plan *p = self(base);

	dirs_free(&p->dirs);
	p->dirs = (struct dirs){ 0 };
	p->missing = 0;
}

static void plan_free(struct restore_target *base)
{
	free(self(base));
}

static const struct target_ops ops = {
	.root = begin_root,
	.enter = enter_dir,
	.leave = leave_dir,
	.begin = take,
	.data = put_data,
	.end = end_file,
	.bad = bad_file,
	.link = take,
	.special = make_special,
	.over = stream_over,
	.free = plan_free,
};

int restore_plan_new(enum restore_form form, int dirfd, struct restore_target **ret, struct err *err)
{
	struct plan *p = calloc(1, sizeof(*p));

	if (!p)
		return err_set(err, -ENOMEM, "dry run");
	*p = (struct plan){ .base = { &ops }, .form = form, .target = form == RESTORE_DIR ? dirfd : -1 };
	*ret = &p->base;
	return 0;
}
