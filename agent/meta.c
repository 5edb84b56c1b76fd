/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/meta.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/msdos_fs.h>

#include "agent/acl.h"
#include "agent/entry.h"
#include "common/pxar/format.h"

#define FLAG_FAT_HIDDEN UINT64_C(0x2000)
#define FLAG_FAT_SYSTEM UINT64_C(0x4000)
#define FLAG_FAT_ARCHIVE UINT64_C(0x8000)

void meta_free(struct meta *m)
{
	xattrs_free(&m->all);
	free(m->keep);
	free(m->acls);
	*m = (struct meta){ 0 };
}

void meta_stat(const struct statx *st, struct pxar_entry *ret)
{
	const int kind = pxar_kind_of_mode(st->stx_mode);

	ret->kind = kind < 0 ? PXAR_KIND_FILE : (enum pxar_kind)kind;
	ret->mode = st->stx_mode;
	ret->uid = st->stx_uid;
	ret->gid = st->stx_gid;
	entry_mtime(st, &ret->mtime_s, &ret->mtime_ns);
	if (ret->kind == PXAR_KIND_FILE)
		ret->size = ret->payload_size = st->stx_size;
	ret->dev_major = st->stx_rdev_major;
	ret->dev_minor = st->stx_rdev_minor;
}

static bool is_official(const char *name)
{
	return !strncmp(name, "user.", 5) || !strncmp(name, "trusted.", 8) || !strcmp(name, "security.NTACL");
}

static void note(struct meta *m, int error, const char *what)
{
	if (m->error)
		return;
	m->error = error;
	m->what = what;
}

/* Room for @n elements. */
static void *room_for(void *v, size_t *room, size_t n, size_t size)
{
	void *bigger;

	if (n <= *room && v)
		return v;
	bigger = realloc(v, n * size);
	if (bigger)
		*room = n;
	return bigger;
}

/* Return: whether the attribute has become ACL items. */
static bool take_acl(struct meta *m, const struct pxar_xattr *x, bool is_default, struct pxar_entry *e)
{
	const size_t n = e->nr_acls + x->value_len / 8 + 1;
	struct pxar_acl_entry *v = room_for(m->acls, &m->acls_room, n, sizeof(*v));
	struct acl_base b;
	size_t nr;

	if (!v)
		return false;
	m->acls = v;
	e->acls = v;
	if (acl_parse(x->value, x->value_len, is_default, v + e->nr_acls, m->acls_room - e->nr_acls, &nr, &b) < 0)
		return false;
	e->nr_acls += nr;
	if (is_default) {
		e->has_acl_default = true;
		e->acl_default.user_obj = b.user_obj;
		e->acl_default.group_obj = b.group_obj;
		e->acl_default.other = b.other;
		e->acl_default.mask = b.has_mask ? b.mask : PXAR_ACL_NO_MASK;
	} else if (b.has_mask) {
		e->has_acl_group_obj = true;
		e->acl_group_obj = b.group_obj;
	}
	return true;
}

/* Return: whether the attribute goes out as one. */
static bool place(struct meta *m, struct pxar_xattr *x, bool ext, struct pxar_entry *e)
{
	const bool plain_kind = e->kind == PXAR_KIND_FILE || e->kind == PXAR_KIND_DIR;

	if (!plain_kind) {
		x->any = true;
		return ext;
	}
	if (!strcmp(x->name, "system.posix_acl_access") && take_acl(m, x, false, e))
		return false;
	if (!strcmp(x->name, "system.posix_acl_default") && e->kind == PXAR_KIND_DIR && take_acl(m, x, true, e))
		return false;
	if (!strcmp(x->name, "security.capability") && !e->fcaps) {
		e->fcaps = x->value;
		e->fcaps_len = x->value_len;
		return false;
	}
	x->any = !is_official(x->name);
	return ext || !x->any;
}

/* ACL items have an order by type; the access ACL may have been listed behind the default one. */
static int acl_rank(const void *x, const void *y)
{
	static const uint64_t order[] = { PXAR_ACL_USER, PXAR_ACL_GROUP, PXAR_ACL_DEFAULT_USER, PXAR_ACL_DEFAULT_GROUP };
	const struct pxar_acl_entry *a = x, *b = y;
	int ra = 0, rb = 0;

	while (order[ra] != a->type)
		ra++;
	while (order[rb] != b->type)
		rb++;
	if (ra != rb)
		return ra - rb;
	return (a->id > b->id) - (a->id < b->id);
}

void meta_attrs(struct meta *m, int fd, int dirfd, const char *name, bool ext, struct pxar_entry *ret)
{
	struct pxar_xattr *v;
	int r = xattrs_read(m->native, fd, dirfd, name, &m->all);

	m->error = 0;
	if (r < 0)
		note(m, r, m->all.what);
	if (!m->all.nr)
		return;
	v = room_for(m->keep, &m->keep_room, m->all.nr, sizeof(*v));
	if (!v) {
		note(m, -ENOMEM, "read the extended attributes");
		return;
	}
	m->keep = v;
	for (size_t i = 0; i < m->all.nr; i++)
		if (place(m, &m->all.v[i], ext, ret))
			v[ret->nr_xattrs++] = m->all.v[i];
	ret->xattrs = v;
	if (ret->nr_acls)
		qsort(m->acls, ret->nr_acls, sizeof(*m->acls), acl_rank);
}

static const struct {
	unsigned int chattr;
	uint64_t flag;
} flags[] = {
	{ FS_APPEND_FL, PXAR_FLAG_APPEND },	    { FS_NOATIME_FL, PXAR_FLAG_NOATIME },
	{ FS_COMPR_FL, PXAR_FLAG_COMPRESS },	    { FS_NOCOW_FL, PXAR_FLAG_NOCOW },
	{ FS_NODUMP_FL, PXAR_FLAG_NODUMP },	    { FS_DIRSYNC_FL, PXAR_FLAG_DIRSYNC },
	{ FS_IMMUTABLE_FL, PXAR_FLAG_IMMUTABLE },   { FS_SYNC_FL, PXAR_FLAG_SYNC },
	{ FS_NOCOMP_FL, PXAR_FLAG_NOCOMPRESS },	    { FS_PROJINHERIT_FL, PXAR_FLAG_PROJINHERIT },
};

static uint64_t fat_flags(int fd)
{
	uint32_t attr = 0;

	if (ioctl(fd, FAT_IOCTL_GET_ATTRIBUTES, &attr) < 0)
		return 0;
	return (attr & ATTR_HIDDEN ? FLAG_FAT_HIDDEN : 0) | (attr & ATTR_SYS ? FLAG_FAT_SYSTEM : 0) |
	       (attr & ATTR_ARCH ? FLAG_FAT_ARCHIVE : 0);
}

void meta_flags(int fd, struct pxar_entry *ret)
{
	struct fsxattr x = { 0 };
	struct statfs fs;
	int attr = 0;

	if (!fstatfs(fd, &fs) && fs.f_type == MSDOS_SUPER_MAGIC) {
		ret->flags |= fat_flags(fd);
		return;
	}
	if (ioctl(fd, FS_IOC_GETFLAGS, &attr) < 0)
		return;
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		if ((unsigned int)attr & flags[i].chattr)
			ret->flags |= flags[i].flag;
	if (ioctl(fd, FS_IOC_FSGETXATTR, &x) < 0 || !x.fsx_projid)
		return;
	ret->has_projid = true;
	ret->projid = x.fsx_projid;
}
