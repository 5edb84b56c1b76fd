/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/xattrs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

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
	ssize_t n = list_names(at, NULL, 0);
	uint8_t *p;

	buf_reset(names);
	if (n <= 0)
		return n < 0 && !means_none(errno) ? -errno : 0;
	p = buf_reserve(names, LIST_MAX);
	if (!p)
		return -ENOMEM;
	n = list_names(at, (char *)p, LIST_MAX);
	if (n < 0)
		return -errno;
	while (n && p[n - 1])	/* names end with NUL */
		n--;
	names->len = (size_t)n;
	return 0;
}

/* Values are put behind each other; pointers follow when all are there. */
static int read_value(const struct place *at, const char *name, struct xattrs *x)
{
	size_t name_len = strlen(name);
	uint8_t *p;
	ssize_t n;

	if (x->nr == XATTRS_MAX || name_len > PXAR_XATTR_NAME_MAX ||
	    x->values.len + x->names.len + PXAR_XATTR_VALUE_MAX > TOTAL_MAX)
		return -E2BIG;
	p = buf_reserve(&x->values, PXAR_XATTR_VALUE_MAX);
	if (!p)
		return -ENOMEM;
	n = at->fd >= 0 ? fgetxattr(at->fd, name, p, PXAR_XATTR_VALUE_MAX) :
			  lgetxattr(at->path, name, p, PXAR_XATTR_VALUE_MAX);
	if (n < 0)
		return means_none(errno) ? 0 : -errno;
	if (x->nr == x->room) {
		size_t room = x->room ? 2 * x->room : 8;
		struct pxar_xattr *v = realloc(x->v, room * sizeof(*v));

		if (!v)
			return -ENOMEM;
		x->v = v;
		x->room = room;
	}
	x->v[x->nr++] = (struct pxar_xattr){ .name = name, .name_len = name_len, .value_len = (size_t)n };
	x->values.len += (size_t)n;
	return 0;
}

int xattrs_read(int fd, int dirfd, const char *name, struct xattrs *x)
{
	struct place place = { .fd = fd };
	const uint8_t *value;
	int r, first;

	x->nr = 0;
	buf_reset(&x->values);
	if (fd < 0 && snprintf(place.path, sizeof(place.path), "/proc/self/fd/%d/%s", dirfd, name) >= (int)sizeof(place.path))
		return -ENAMETOOLONG;
	first = read_names(&place, &x->names);
	for (size_t at = 0; first != -ENOMEM && at < x->names.len;) {
		const char *attr = (const char *)x->names.data + at;

		r = read_value(&place, attr, x);
		if (r < 0 && !first)
			first = r;
		at += strlen(attr) + 1;
	}
	value = x->values.data;
	for (size_t i = 0; i < x->nr; i++) {
		x->v[i].value = value;
		value += x->v[i].value_len;
	}
	return first;
}
