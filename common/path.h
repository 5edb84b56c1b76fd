/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef COMMON_PATH_H
#define COMMON_PATH_H

/* Checks on names that come from disks, guests and archives. */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define PATH_NAME_MAX 255	/* bytes of one component on the host */

/**
 * path_check_name() - may these bytes be one component of a path we create?
 * Return: 0; -EBADMSG for empty, ".", "..", "/" or NUL inside; -ENAMETOOLONG.
 */
static inline int path_check_name(const char *name, size_t len)
{
	if (len > PATH_NAME_MAX)
		return -ENAMETOOLONG;
	if (!len || memchr(name, '/', len) || memchr(name, 0, len))
		return -EBADMSG;
	if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
		return -EBADMSG;
	return 0;
}

/**
 * path_next() - walk the components of a byte path
 * @p, @left: position, moved behind the component; leading slashes are skipped
 * @ret, @ret_len: the component, borrowed
 * Return: false at the end.
 */
static inline bool path_next(const char **p, size_t *left, const char **ret, size_t *ret_len)
{
	size_t n = 0;

	while (*left && **p == '/') {
		(*p)++;
		(*left)--;
	}
	if (!*left)
		return false;
	while (n < *left && (*p)[n] != '/')
		n++;
	*ret = *p;
	*ret_len = n;
	*p += n;
	*left -= n;
	return true;
}

#endif
