/* SPDX-License-Identifier: GPL-2.0-or-later */
/* slow_file MOUNTPOINT FILE GO: a FUSE file system with FILE's bytes as "disk"; reads wait until there is a file GO. */
#define FUSE_USE_VERSION 31
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fd;
static const char *go;

static int on_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
	(void)fi;
	if (fstat(fd, st) < 0)
		return -errno;
	if (!strcmp(path, "/"))
		*st = (struct stat){ .st_mode = S_IFDIR | 0755, .st_nlink = 2 };
	return !strcmp(path, "/") || !strcmp(path, "/disk") ? 0 : -ENOENT;
}

static int on_open(const char *path, struct fuse_file_info *fi)
{
	fi->direct_io = 1;
	return strcmp(path, "/disk") ? -ENOENT : 0;
}

static int on_read(const char *path, char *to, size_t n, off_t off, struct fuse_file_info *fi)
{
	ssize_t k;

	(void)path;
	(void)fi;
	while (access(go, F_OK) < 0)
		(void)usleep(50000);
	k = pread(fd, to, n, off);
	return k < 0 ? -errno : (int)k;
}

int main(int argc, char **argv)
{
	static const struct fuse_operations ops = { .getattr = on_getattr, .open = on_open, .read = on_read };
	char *args[] = { argv[0], "-f", argc > 1 ? argv[1] : NULL, NULL };

	if (argc != 4)
		return 2;
	fd = open(argv[2], O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		perror(argv[2]);
		return 1;
	}
	go = argv[3];
	return fuse_main(3, args, &ops, NULL);
}
