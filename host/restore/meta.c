/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/restore/meta.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/pxar/format.h"

#define ACL_VERSION 2
enum { TAG_USER_OBJ = 1, TAG_USER = 2, TAG_GROUP_OBJ = 4, TAG_GROUP = 8, TAG_MASK = 16, TAG_OTHER = 32 };

/* The object: a descriptor, and for O_PATH ones the way to it. */
struct object {
	int fd;
	bool o_path;
	char path[32];
	const struct pxar_entry *e;
	struct report *r;
};

/* Of the kinds that can have attributes and ACLs. */
static bool is_plain(const struct pxar_entry *e)
{
	return e->kind == PXAR_KIND_DIR || e->kind == PXAR_KIND_FILE;
}

static void failed(const struct object *o, int code, const char *what)
{
	o->r->r->meta_failed++;
	report_note(o->r, o->e->name_len ? o->e->name : NULL, code, what);
}

static int set_xattr(const struct object *o, const char *name, const void *p, size_t len)
{
	int r = o->o_path ? setxattr(o->path, name, p, len, 0) : fsetxattr(o->fd, name, p, len, 0);

	return r < 0 ? -errno : 0;
}

static void remove_xattr(const struct object *o, const char *name)
{
	(void)(o->o_path ? removexattr(o->path, name) : fremovexattr(o->fd, name));
}

/* Return: was the whole ownership applied? */
static bool set_owner(const struct object *o)
{
	struct stat st;

	if (fstat(o->fd, &st) == 0 && st.st_uid == o->e->uid && st.st_gid == o->e->gid)
		return true;
	if (o->e->uid == UINT32_MAX || o->e->gid == UINT32_MAX) {
		failed(o, -EINVAL, "owner cannot be set");
		return false;
	}
	if (fchownat(o->fd, "", o->e->uid, o->e->gid, AT_EMPTY_PATH) == 0)
		return true;
	failed(o, -errno, "owner not set");
	(void)!fchownat(o->fd, "", (uid_t)-1, o->e->gid, AT_EMPTY_PATH);
	return false;
}

/* Labels and capabilities mean something only together with the owner they were given to. */
static bool allowed(const struct pxar_xattr *x, bool owned)
{
	if (!strcmp(x->name, "security.selinux") || !strcmp(x->name, "security.capability"))
		return owned;
	return !strncmp(x->name, "user.", 5) || !strncmp(x->name, "trusted.", 8) || !strcmp(x->name, "security.NTACL");
}

/* Of NTFS and HFS: an archive can hold them, a directory here cannot. */
static bool has_no_place(const struct pxar_xattr *x)
{
	return !strncmp(x->name, "system.ntfs_", 12) || !strcmp(x->name, "hfs.type") || !strcmp(x->name, "hfs.creator");
}

static void set_xattrs(const struct object *o, bool owned)
{
	for (size_t i = 0; i < o->e->nr_xattrs; i++) {
		const struct pxar_xattr *x = &o->e->xattrs[i];
		int r;

		if (has_no_place(x))
			continue;
		if (!allowed(x, owned)) {
			failed(o, -EPERM, "extended attribute of a kind that is not restored");
			continue;
		}
		r = set_xattr(o, x->name, x->value, x->value_len);
		if (r < 0)
			failed(o, r, "extended attribute not set");
		if (r == -EOPNOTSUPP && !strncmp(x->name, "user.", 5) && is_plain(o->e))
			return;
	}
}

static void set_fcaps(const struct object *o, bool owned)
{
	int r;

	if (!o->e->fcaps)
		return;
	r = owned ? set_xattr(o, "security.capability", o->e->fcaps, o->e->fcaps_len) : -EPERM;
	if (r < 0)
		failed(o, r, "file capabilities not set");
}

static void acl_put(struct buf *b, unsigned int tag, uint64_t perm, uint32_t id)
{
	buf_u16le(b, (uint16_t)tag);
	buf_u16le(b, (uint16_t)perm);
	buf_u32le(b, id);
}

/* The named entries of one type, sorted by id as the kernel wants them. Return: how many; their permissions in @any. */
static size_t acl_named(struct buf *b, const struct pxar_entry *e, uint64_t type, unsigned int tag, uint64_t *any)
{
	size_t nr = 0;
	int64_t last = -1;

	for (;;) {
		const struct pxar_acl_entry *next = NULL;

		for (size_t i = 0; i < e->nr_acls; i++) {
			const struct pxar_acl_entry *a = &e->acls[i];

			if (a->type == type && a->id < UINT32_MAX && (int64_t)a->id > last && (!next || a->id < next->id))
				next = a;
		}
		if (!next || nr >= 4096)
			return nr;
		last = (int64_t)next->id;
		*any |= next->perm;
		acl_put(b, tag, next->perm, (uint32_t)next->id);
		nr++;
	}
}

/* @mask: PXAR_ACL_NO_MASK if there is none; then it is made up when named entries need one */
static void acl_build(struct buf *b, const struct pxar_entry *e, bool is_default, const uint64_t perm[static 3],
		      uint64_t mask)
{
	uint64_t any = perm[1];
	size_t nr;

	buf_u32le(b, ACL_VERSION);
	acl_put(b, TAG_USER_OBJ, perm[0], UINT32_MAX);
	nr = acl_named(b, e, is_default ? PXAR_ACL_DEFAULT_USER : PXAR_ACL_USER, TAG_USER, &any);
	acl_put(b, TAG_GROUP_OBJ, perm[1], UINT32_MAX);
	nr += acl_named(b, e, is_default ? PXAR_ACL_DEFAULT_GROUP : PXAR_ACL_GROUP, TAG_GROUP, &any);
	if (mask != PXAR_ACL_NO_MASK || nr)
		acl_put(b, TAG_MASK, mask != PXAR_ACL_NO_MASK ? mask : any, UINT32_MAX);
	acl_put(b, TAG_OTHER, perm[2], UINT32_MAX);
}

static bool has_acl(const struct pxar_entry *e, uint64_t user, uint64_t group)
{
	for (size_t i = 0; i < e->nr_acls; i++)
		if (e->acls[i].type == user || e->acls[i].type == group)
			return true;
	return false;
}

static void set_acl_access(const struct object *o)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	const struct pxar_entry *e = o->e;
	const uint64_t bits = e->mode >> 3 & 7;
	const uint64_t perm[3] = { e->mode >> 6 & 7, e->has_acl_group_obj ? e->acl_group_obj : bits, e->mode & 7 };
	int r;

	if (!e->has_acl_group_obj && !has_acl(e, PXAR_ACL_USER, PXAR_ACL_GROUP)) {
		remove_xattr(o, "system.posix_acl_access");	/* one inherited from the target directory */
		return;
	}
	acl_build(&b, e, false, perm, bits);
	r = buf_ok(&b) ? buf_ok(&b) : set_xattr(o, "system.posix_acl_access", b.data, b.len);
	if (r < 0)
		failed(o, r, "ACL not set");
}

static void set_acl_default(const struct object *o)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	const struct pxar_entry *e = o->e;
	const uint64_t perm[3] = { e->acl_default.user_obj, e->acl_default.group_obj, e->acl_default.other };
	int r;

	if (!e->has_acl_default) {
		remove_xattr(o, "system.posix_acl_default");
		if (has_acl(e, PXAR_ACL_DEFAULT_USER, PXAR_ACL_DEFAULT_GROUP))
			failed(o, -EBADMSG, "default ACL not set");
		return;
	}
	acl_build(&b, e, true, perm, e->acl_default.mask);
	r = buf_ok(&b) ? buf_ok(&b) : set_xattr(o, "system.posix_acl_default", b.data, b.len);
	if (r < 0)
		failed(o, r, "default ACL not set");
}

static void set_mode(const struct object *o, bool owned)
{
	mode_t mode = (mode_t)(o->e->mode & 07777);
	const mode_t special = o->e->kind == PXAR_KIND_DIR ? S_ISUID | S_ISGID : S_ISUID | S_ISGID | S_ISVTX;

	if (!owned && mode & special) {
		failed(o, -EPERM, "setuid and setgid left out, since the owner was not set");
		mode &= ~special;
	}
	if ((o->o_path ? chmod(o->path, mode) : fchmod(o->fd, mode)) < 0)
		failed(o, -errno, "mode not set");
}

static void set_time(const struct object *o)
{
	const struct timespec ts[2] = { { .tv_nsec = UTIME_OMIT }, { o->e->mtime_s, o->e->mtime_ns } };
	int r = o->o_path ? utimensat(o->fd, "", ts, AT_EMPTY_PATH) : futimens(o->fd, ts);

	if (r < 0)
		failed(o, -errno, "time not set");
}

void meta_apply(int fd, bool o_path, const struct pxar_entry *e, struct report *r)
{
	struct object o = { .fd = fd, .o_path = o_path, .e = e, .r = r };
	bool owned;

	(void)snprintf(o.path, sizeof(o.path), "/proc/self/fd/%d", fd);
	owned = set_owner(&o);
	set_xattrs(&o, owned);
	set_fcaps(&o, owned);
	if (is_plain(e))
		set_acl_access(&o);
	if (e->kind == PXAR_KIND_DIR)
		set_acl_default(&o);
	if (e->has_projid)
		failed(&o, -EOPNOTSUPP, "project id is not restored");
	if (e->kind != PXAR_KIND_SYMLINK)
		set_mode(&o, owned);
	set_time(&o);
}

static const struct {
	uint64_t flag;
	int bit;
	bool early;
} flag_bits[] = {
	{ PXAR_FLAG_APPEND, FS_APPEND_FL, false }, { PXAR_FLAG_NOATIME, FS_NOATIME_FL, true },
	{ PXAR_FLAG_COMPRESS, FS_COMPR_FL, true }, { PXAR_FLAG_NOCOW, FS_NOCOW_FL, true },
	{ PXAR_FLAG_DIRSYNC, FS_DIRSYNC_FL, false }, { PXAR_FLAG_IMMUTABLE, FS_IMMUTABLE_FL, false },
	{ PXAR_FLAG_SYNC, FS_SYNC_FL, false }, { PXAR_FLAG_NOCOMPRESS, FS_NOCOMP_FL, true },
	{ PXAR_FLAG_PROJINHERIT, FS_PROJINHERIT_FL, true },
};

static int set_flags(int fd, uint64_t flags, bool early)
{
	int old, new, want = 0;

	for (size_t i = 0; i < sizeof(flag_bits) / sizeof(*flag_bits); i++)
		if (flags & flag_bits[i].flag && (!early || flag_bits[i].early))
			want |= flag_bits[i].bit;
	if (!want)
		return 0;
	if (ioctl(fd, FS_IOC_GETFLAGS, &old) < 0)
		return -errno;
	new = old | want;
	return new != old && ioctl(fd, FS_IOC_SETFLAGS, &new) < 0 ? -errno : 0;
}

void meta_flags_early(int fd, uint64_t flags)
{
	(void)set_flags(fd, flags, true);	/* meta_flags() tries again and tells */
}

void meta_flags(int fd, const struct pxar_entry *e, struct report *r)
{
	const struct object o = { .fd = fd, .e = e, .r = r };
	int err = set_flags(fd, e->flags, false);

	if (err < 0)
		failed(&o, err, "file attributes (chattr) not set");
}

static void *put(uint8_t **p, const void *from, size_t len)
{
	uint8_t *at = *p;

	if (len)
		memcpy(at, from, len);
	*p += (len + 7) & ~(size_t)7;
	return at;
}

struct pxar_entry *meta_copy(const struct pxar_entry *e, size_t *ret_size)
{
	size_t size = sizeof(*e) + 64 + e->name_len + e->fcaps_len + e->nr_xattrs * sizeof(*e->xattrs) +
		      e->nr_acls * sizeof(*e->acls);
	struct pxar_xattr *x;
	struct pxar_entry *to;
	uint8_t *p;

	for (size_t i = 0; i < e->nr_xattrs; i++)
		size += e->xattrs[i].name_len + e->xattrs[i].value_len + 24;
	to = malloc(size);
	if (!to)
		return NULL;
	*to = *e;
	p = (uint8_t *)(to + 1);
	to->name = put(&p, e->name, e->name_len + 1);
	to->acls = put(&p, e->acls, e->nr_acls * sizeof(*e->acls));
	to->xattrs = x = put(&p, e->xattrs, e->nr_xattrs * sizeof(*e->xattrs));
	to->fcaps = e->fcaps ? put(&p, e->fcaps, e->fcaps_len) : NULL;
	for (size_t i = 0; i < e->nr_xattrs; i++) {
		x[i].name = put(&p, e->xattrs[i].name, e->xattrs[i].name_len + 1);
		x[i].value = put(&p, e->xattrs[i].value, e->xattrs[i].value_len);
	}
	*ret_size = size;
	return to;
}
