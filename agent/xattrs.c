/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/xattrs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "agent/ntfs.h"
#include "agent/resolve.h"
#include "common/grow.h"
#include "common/log.h"
#include "common/pxar/format.h"

#define LIST_MAX 65536
#define TOTAL_MAX (PXAR_ATTRS_MAX - 262144)	/* leaves room for ACLs and the rest */

void xattrs_free(struct xattrs *x)
{
	free(x->v);
	buf_free(&x->names);
	buf_free(&x->values);
	*x = (struct xattrs){ 0 };
}

static bool means_none(int e)
{
	return e == ENODATA || e == EOPNOTSUPP || e == ENOSYS;
}

/* An entry: open, or the way to it. */
struct place {
	int fd;
	char path[32 + 4096];
};

static ssize_t list_names(const struct place *at, char *p, size_t n)
{
	return at->fd >= 0 ? flistxattr(at->fd, p, n) : llistxattr(at->path, p, n);
}

static int read_names(const struct place *at, struct buf *names)
{
	uint8_t *p;
	ssize_t n;

	/* all of it at once: names that are put behind these must not move them */
	buf_reset(names);
	p = buf_reserve(names, LIST_MAX);
	if (!p)
		return -ENOMEM;
	n = list_names(at, NULL, 0);
	if (n <= 0)
		return n < 0 && !means_none(errno) ? -errno : 0;
	n = list_names(at, (char *)p, LIST_MAX);
	if (n < 0)
		return -errno;
	while (n && p[n - 1])	/* names end with NUL */
		n--;
	names->len = (size_t)n;
	return 0;
}

/* A place behind the others. Values are put behind each other, and pointers to them follow when all are there. */
static int append(struct xattrs *x, const char *name, size_t value_len)
{
	if (grow(&x->v, &x->room, x->nr, sizeof(*x->v)) < 0)
		return -ENOMEM;
	x->v[x->nr++] = (struct pxar_xattr){ .name = name, .name_len = strlen(name), .value_len = value_len };
	x->values.len += value_len;
	return 0;
}

/* Room for a value of this size. Return: 0; -E2BIG; -ENOMEM. */
static int reserve(struct xattrs *x, const char *name, size_t size, uint8_t **ret)
{
	if (x->nr == XATTRS_MAX || strlen(name) > PXAR_XATTR_NAME_MAX || size > PXAR_XATTR_VALUE_MAX ||
	    x->values.len + x->names.len + size > TOTAL_MAX)
		return -E2BIG;
	*ret = buf_reserve(&x->values, size ? size : 1);
	return *ret ? 0 : -ENOMEM;
}

static int read_value(const struct place *at, const char *name, struct xattrs *x)
{
	uint8_t *p;
	ssize_t n;
	int r = reserve(x, name, PXAR_XATTR_VALUE_MAX, &p);

	if (r < 0)
		return r;
	n = at->fd >= 0 ? fgetxattr(at->fd, name, p, PXAR_XATTR_VALUE_MAX) :
			  lgetxattr(at->path, name, p, PXAR_XATTR_VALUE_MAX);
	if (n < 0)
		return means_none(errno) ? 0 : -errno;
	return append(x, name, (size_t)n);
}

#define NTFS_SECURITY "system.ntfs_security"

/* What the driver has for those who ask by name. */
static int read_unlisted(const struct place *at, struct xattrs *x)
{
	static const char *const names[] = { NTFS_SECURITY, "system.ntfs_attrib" };
	int first = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		int r = read_value(at, names[i], x);

		/* ENOENT, EINVAL: a volume or file without descriptors */
		if (r < 0 && r != -ENOENT && r != -EINVAL && !first)
			first = r;
	}
	return first;
}

static void fail(struct xattrs *x, int error, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The others are wanted all the same. */
static void fail(struct xattrs *x, int error, const char *fmt, ...)
{
	va_list ap;

	if (x->error)
		return;
	x->error = error;
	va_start(ap, fmt);
	(void)vsnprintf(x->what, sizeof(x->what), fmt, ap);
	va_end(ap);
}

static void fail_stream(struct xattrs *x, int error, const char *name, uint64_t size)
{
	char quoted[128];

	(void)log_quote(name, strlen(name), quoted, sizeof(quoted));
	if (error == -EFBIG)
		fail(x, error, "keep its stream '%s' of %" PRIu64 " bytes as an attribute (FILE:STREAM extracts it)", quoted, size);
	else
		fail(x, error, "read its stream '%s'", quoted);
}

static int on_stream(void *arg, const char *name, uint64_t size, void *stream)
{
	struct xattrs *x = arg;
	const size_t n = strlen(name) + sizeof("user.");
	char *copy = (char *)x->names.data + x->names.len;
	uint8_t *p;
	int r;

	/* the contents of a compressed system file, which the driver has decompressed */
	if (!strcmp(name, "WofCompressedData"))
		return 0;
	r = n > LIST_MAX - x->names.len ? -E2BIG : size > PXAR_XATTR_VALUE_MAX ? -EFBIG : 0;
	if (r == 0) {
		(void)snprintf(copy, n, "user.%s", name);
		r = reserve(x, copy, (size_t)size, &p);
	}
	if (r == 0)
		r = ntfs_read_stream(stream, p, (size_t)size);
	if (r == 0)
		r = append(x, copy, (size_t)size);
	if (r == 0)
		x->names.len += n;
	else
		fail_stream(x, r, name, size);
	return r == -ENOMEM ? r : 0;
}

/* A descriptor that the file has itself. The driver reads only those that all files share. */
static int read_descriptor(struct ntfs *ntfs, uint64_t ino, struct xattrs *x)
{
	uint8_t *p;
	ssize_t n;
	int r;

	for (size_t i = 0; i < x->nr; i++) {
		if (!strcmp(x->v[i].name, NTFS_SECURITY))
			return 0;
	}
	r = reserve(x, NTFS_SECURITY, PXAR_XATTR_VALUE_MAX, &p);
	if (r < 0)
		return r;
	n = ntfs_read_descriptor(ntfs, ino, p, PXAR_XATTR_VALUE_MAX);
	if (n < 0)
		return n == -ENODATA ? 0 : (int)n;
	return append(x, NTFS_SECURITY, (size_t)n);
}

/* What the driver does not show: descriptors of their own, and alternate data streams, as "user.NAME". */
static int read_native(struct native *native, int fd, int dirfd, const char *name, struct xattrs *x)
{
	struct ntfs *ntfs;
	struct statx st;
	int r = native_ntfs(native, &ntfs);

	if (r == 0)
		r = fd >= 0 ? resolve_stat(fd, ".", &st) : resolve_stat(dirfd, name, &st);
	if (r == -ENOTDIR)
		r = resolve_stat(dirfd, name, &st);
	if (r < 0)
		return r;
	r = read_descriptor(ntfs, st.stx_ino, x);
	if (r < 0)
		fail(x, r, "read the security descriptor");
	return ntfs_each_stream(ntfs, st.stx_ino, on_stream, x);
}

int xattrs_read(struct native *native, int fd, int dirfd, const char *name, struct xattrs *x)
{
	static const char what[] = "read the extended attributes";
	struct place place = { .fd = fd };
	const uint8_t *value;
	int r = 0;

	x->nr = 0;
	x->error = 0;
	buf_reset(&x->values);
	if (fd < 0)
		r = snprintf(place.path, sizeof(place.path), "/proc/self/fd/%d/%s", dirfd, name);
	r = r >= (int)sizeof(place.path) ? -ENAMETOOLONG : read_names(&place, &x->names);
	if (r < 0)
		fail(x, r, what);
	if (r == -ENAMETOOLONG || r == -ENOMEM)
		return r;
	for (size_t at = 0; at < x->names.len;) {
		const char *attr = (const char *)x->names.data + at;

		/* of a compressed file: what is read are its contents, and they say all */
		r = strcmp(attr, DECMPFS_XATTR) ? read_value(&place, attr, x) : 0;
		if (r < 0)
			fail(x, r, what);
		at += strlen(attr) + 1;
	}
	if (native->kind == NATIVE_NTFS) {
		r = read_unlisted(&place, x);
		if (r < 0)
			fail(x, r, what);
		r = read_native(native, fd, dirfd, name, x);
		if (r < 0)
			fail(x, r, "read the alternate data streams");
	}
	value = x->values.data;
	for (size_t i = 0; i < x->nr; i++) {
		x->v[i].value = value;
		value += x->v[i].value_len;
	}
	return x->error;
}
