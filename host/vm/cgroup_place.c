/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/vm/cgroup_place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "common/cleanup.h"
#include "common/io.h"

#define GROUPS_MAX 65536
#define MOUNTS_MAX (16 << 20)		/* hosts of containers have thousands of mounts */
#define OURS_LEN sizeof(CGROUP_OURS)	/* with the slash before it */

/* A part of a text: neither ended by a NUL nor owned. */
struct view {
	const char *p;
	size_t len;
};

/* Takes what comes before the next @sep, or all; @rest is behind it then. Return: false if nothing was left. */
static bool take(struct view *rest, char sep, struct view *ret)
{
	const char *end = rest->p ? memchr(rest->p, sep, rest->len) : NULL;

	if (!rest->p)
		return false;
	*ret = (struct view){ rest->p, end ? (size_t)(end - rest->p) : rest->len };
	*rest = end ? (struct view){ end + 1, rest->len - ret->len - 1 } : (struct view){ NULL, 0 };
	return true;
}

static bool is(struct view v, const char *word)
{
	return v.len == strlen(word) && !memcmp(v.p, word, v.len);
}

/* @list: words with @sep between them */
static bool has_word(struct view list, char sep, const char *word)
{
	struct view v;

	while (take(&list, sep, &v))
		if (is(v, word))
			return true;
	return false;
}

/* Of lines "ID:CONTROLLERS:PATH"; that of version 2 has no controllers, and the number 0. Return: version; 0. */
static int own_path(const char *groups, const char *controller, struct view *ret)
{
	struct view rest = { groups, strlen(groups) }, line, id, list;
	int version = 0;

	while (take(&rest, '\n', &line)) {
		if (!take(&line, ':', &id) || !take(&line, ':', &list) || !line.len || *line.p != '/')
			continue;
		if (has_word(list, ',', controller)) {
			*ret = line;
			return 1;
		}
		if (!list.len && is(id, "0") && !version) {
			*ret = line;
			version = 2;
		}
	}
	return version;
}

/* A path of mountinfo, where spaces, line ends and backslashes are "\040", "\012", "\134". Return: false if it is none, or too long. */
static bool get_path(struct view v, char ret[static PATH_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < v.len; i++, n++) {
		unsigned int c = (unsigned char)v.p[i];

		if (c == '\\') {
			if (v.len - i < 4)
				return false;
			c = 0;
			for (int k = 0; k < 3; k++) {
				const unsigned int digit = (unsigned char)v.p[++i] - (unsigned int)'0';

				if (digit > 7)
					return false;
				c = c << 3 | digit;
			}
		}
		if (!c || c > 255 || n == PATH_MAX - 1)
			return false;
		ret[n] = (char)c;
	}
	ret[n] = 0;
	return *ret == '/';
}

/*
 * Where a hierarchy is mounted, and which of its groups is to be seen there.
 * @line: "ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [TAG...] - TYPE SOURCE OPTIONS"
 */
static bool is_mount(struct view line, int version, const char *controller, char root[static PATH_MAX],
		     char point[static PATH_MAX])
{
	struct view words[6], v = { NULL, 0 }, type, source;

	for (size_t i = 0; i < 6; i++)
		if (!take(&line, ' ', &words[i]))
			return false;
	while (!is(v, "-"))
		if (!take(&line, ' ', &v))
			return false;
	if (!take(&line, ' ', &type) || !take(&line, ' ', &source) || !line.p)
		return false;
	if (version == 2 ? !is(type, "cgroup2") : !is(type, "cgroup") || !has_word(line, ',', controller))
		return false;
	return get_path(words[3], root) && get_path(words[4], point);
}

/* Does a path lead upwards? That of a process outside of its name space begins with "/..". */
static bool goes_up(struct view path)
{
	return has_word(path, '/', "..");
}

/* The directory of @path, seen from a mount of @root at @point. */
static bool place_in(struct view path, const char *root, const char *point, struct cgroup_place *p)
{
	const size_t len = strcmp(root, "/") != 0 ? strlen(root) : 0;
	const size_t start = strcmp(point, "/") != 0 ? strlen(point) : 0;

	if (path.len < len || memcmp(path.p, root, len) != 0 || (path.len > len && path.p[len] != '/'))
		return false;
	path = (struct view){ path.p + len, path.len - len };
	while (path.len && path.p[path.len - 1] == '/')
		path.len--;
	if (start + path.len >= sizeof(p->dir) || start + path.len == 0)
		return false;
	memcpy(p->dir, point, start);
	memcpy(p->dir + start, path.p, path.len);
	p->dir[start + path.len] = 0;
	return true;
}

int cgroup_place_parse(const char *groups, const char *mounts, const char *controller, struct cgroup_place *ret)
{
	struct view rest = { mounts, strlen(mounts) }, line, path;
	char root[PATH_MAX], point[PATH_MAX];
	bool found = false;
	size_t len;

	ret->version = own_path(groups, controller, &path);
	if (!ret->version || goes_up(path))
		return -ENOENT;
	/* The last one: what is mounted later hides what was at the same place before. */
	while (take(&rest, '\n', &line))
		if (is_mount(line, ret->version, controller, root, point) && place_in(path, root, point, ret))
			found = true;
	if (!found)
		return -ENOENT;
	/* There are we alone; what is to be divided is the one above. */
	len = ret->version == 2 ? strlen(ret->dir) : 0;
	if (len > OURS_LEN && !strcmp(ret->dir + len - OURS_LEN, "/" CGROUP_OURS))
		ret->dir[len - OURS_LEN] = 0;
	return 0;
}

int cgroup_place_find(const char *controller, struct cgroup_place *ret)
{
	CLEANUP_FREE char *groups = NULL, *mounts = NULL;
	size_t len;
	int r;

	r = io_read_file(AT_FDCWD, "/proc/self/cgroup", GROUPS_MAX, &groups, &len);
	if (r == 0)
		r = io_read_file(AT_FDCWD, "/proc/self/mountinfo", MOUNTS_MAX, &mounts, &len);
	return r < 0 ? r : cgroup_place_parse(groups, mounts, controller, ret);
}

bool cgroup_is_delegated(const char *dir, bool systemd)
{
	char v = 0;

	if (!systemd)
		return true;
	return (getxattr(dir, "user.delegate", &v, 1) == 1 || getxattr(dir, "trusted.delegate", &v, 1) == 1) && v == '1';
}
