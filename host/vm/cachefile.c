/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/vm/cachefile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"

static int cache_path(char *ret, size_t room)
{
	const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	int n;

	if (base && *base == '/')
		n = snprintf(ret, room, "%s/pluck", base);
	else if (home && *home == '/')
		n = snprintf(ret, room, "%s/.cache/pluck", home);
	else
		return -ENOENT;
	return n < 0 || (size_t)n >= room ? -ENAMETOOLONG : 0;
}

/* The directory; made with its parents when @create. */
static int cache_dir(bool create)
{
	char path[PATH_MAX];
	struct stat st;
	int fd, r;

	r = cache_path(path, sizeof(path));
	if (r < 0)
		return r;
	for (char *p = create ? strchr(path + 1, '/') : NULL; p; p = strchr(p + 1, '/')) {
		*p = 0;
		(void)mkdir(path, 0700);
		*p = '/';
	}
	if (create)
		(void)mkdir(path, 0700);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || st.st_uid != geteuid() || (st.st_mode & 022)) {
		(void)close(fd);
		return -EPERM;
	}
	return fd;
}

int cachefile_read(const char *name, char **ret)
{
	CLEANUP_CLOSE int dir = -1;
	struct stat st;
	size_t len;

	dir = cache_dir(false);
	if (dir < 0)
		return dir;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid())
		return -EPERM;
	return io_read_file(dir, name, CACHEFILE_MAX, ret, &len);
}

int cachefile_write(const char *name, const char *text)
{
	CLEANUP_CLOSE int dir = -1;
	CLEANUP_CLOSE int fd = -1;
	char tmp[64];
	int r;

	dir = cache_dir(true);
	if (dir < 0)
		return dir;
	(void)snprintf(tmp, sizeof(tmp), ".%s.%d", name, (int)getpid());
	fd = openat(dir, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	r = io_write_full(fd, text, strlen(text));
	if (r == 0 && renameat(dir, tmp, dir, name) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(dir, tmp, 0);
	return r;
}

void cachefile_remove(const char *name)
{
	CLEANUP_CLOSE int dir = -1;

	dir = cache_dir(false);
	if (dir >= 0)
		(void)unlinkat(dir, name, 0);
}

int cachefile_boot_id(char ret[static 37])
{
	CLEANUP_FREE char *text = NULL;
	size_t len;
	int r;

	r = io_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, &text, &len);
	if (r < 0)
		return r;
	if (len < 36)
		return -EBADMSG;
	memcpy(ret, text, 36);
	ret[36] = 0;
	return 0;
}
