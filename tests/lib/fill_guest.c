/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The first process of a VM that fills file systems which no program on the host writes: with pluck's own kernel, whose drivers can. The
 * disk with the serial number "from" is a squashfs; to each of the disks "to0", "to1", ... everything in it is copied. The kernel's parameter
 * fill=TYPE:OPTIONS;TYPE:OPTIONS... says how to mount these. Ends with "filled" on the console, or with what went wrong.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define BLOCK 4096
#define LINKS 64

static struct {
	ino_t ino;
	char path[4096];
} links[LINKS];
static size_t nr_links;

static void end(void)
{
	sync();
	(void)reboot(RB_AUTOBOOT);
	for (;;)
		(void)pause();
}

static void fail(const char *what, const char *name)
{
	printf("fill_guest: %s '%s': %s\n", what, name, strerror(errno));
	end();
}

static void copy_data(int from, int to, const char *path)
{
	static char buf[64 * BLOCK], zeros[BLOCK];
	off_t at = 0;
	ssize_t n;

	while ((n = read(from, buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < n; i += BLOCK) {
			const size_t len = n - i < BLOCK ? (size_t)(n - i) : BLOCK;

			if (memcmp(buf + i, zeros, len) != 0 && pwrite(to, buf + i, len, at + i) != (ssize_t)len)
				fail("write", path);
		}
		at += n;
	}
	if (n < 0 || ftruncate(to, at) < 0)
		fail("copy", path);
}

static void copy_attributes(int from, int to, const char *path)
{
	char names[4096], value[65536];
	ssize_t all = flistxattr(from, names, sizeof(names)), n;

	for (char *p = names; p < names + (all > 0 ? all : 0); p += strlen(p) + 1) {
		n = fgetxattr(from, p, value, sizeof(value));
		if (n < 0 || (fsetxattr(to, p, value, (size_t)n, 0) < 0 && errno != EOPNOTSUPP))
			fail(p, path);
	}
}

/* @from, @to: open, or both -1. A new owner takes capabilities away, and attributes change a directory, so this is the order. */
static void finish(int dir, const char *name, const struct stat *st, int from, int to, const char *path)
{
	const struct timespec times[2] = { st->st_atim, st->st_mtim };

	if (fchownat(dir, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		fail("chown", path);
	if (!S_ISLNK(st->st_mode) && fchmodat(dir, name, st->st_mode & 07777, 0) < 0)
		fail("chmod", path);
	if (to >= 0)
		copy_attributes(from, to, path);
	if (utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		fail("set the times of", path);
}

/* Return: was it a further name of a file that is there? */
static bool was_linked(const struct stat *st, const char *path)
{
	for (size_t i = 0; i < nr_links; i++) {
		if (links[i].ino == st->st_ino) {
			if (link(links[i].path, path) < 0)
				fail("link", path);
			return true;
		}
	}
	if (nr_links < LINKS && !S_ISDIR(st->st_mode) && st->st_nlink > 1) {
		links[nr_links].ino = st->st_ino;
		strcpy(links[nr_links++].path, path);
	}
	return false;
}

static void copy_dir(int from, int to, const char *at);

static void copy_entry(int from, int to, const char *name, const char *path)
{
	struct stat st;
	char target[4096];
	ssize_t n;
	int a = -1, b = -1;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		fail("stat", path);
	if (was_linked(&st, path))
		return;
	if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) {
		if (S_ISDIR(st.st_mode) && mkdirat(to, name, 0755) < 0)
			fail("mkdir", path);
		a = openat(from, name, O_RDONLY | O_NOFOLLOW);
		b = openat(to, name, S_ISDIR(st.st_mode) ? O_RDONLY | O_DIRECTORY : O_RDWR | O_CREAT | O_EXCL, 0600);
		if (a < 0 || b < 0)
			fail("open", path);
		if (S_ISDIR(st.st_mode))
			copy_dir(a, b, path);
		else
			copy_data(a, b, path);
	} else if (S_ISLNK(st.st_mode)) {
		n = readlinkat(from, name, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = 0;
		if (n < 0 || symlinkat(target, to, name) < 0)
			fail("symlink", path);
	} else if (mknodat(to, name, st.st_mode, st.st_rdev) < 0) {
		fail("mknod", path);
	}
	finish(to, name, &st, a, b, path);
	if (a >= 0)
		(void)close(a);
	if (b >= 0)
		(void)close(b);
}

static void copy_dir(int from, int to, const char *at)
{
	DIR *dir = fdopendir(dup(from));
	struct dirent *de;
	char path[4096];

	if (!dir)
		fail("list", at);
	while ((de = readdir(dir))) {
		if (!strcmp(de->d_name, ".") || !strcmp(de->d_name, ".."))
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", at, de->d_name);
		copy_entry(from, to, de->d_name, path);
	}
	(void)closedir(dir);
}

/* The device with this serial number. */
static const char *device(const char *serial)
{
	static char path[64];
	char found[64];

	for (char c = 'a'; c <= 'z'; c++) {
		FILE *f;

		(void)snprintf(path, sizeof(path), "/sys/block/vd%c/serial", c);
		f = fopen(path, "r");
		found[0] = 0;
		if (f && fgets(found, sizeof(found), f))
			found[strcspn(found, "\n")] = 0;
		if (f)
			(void)fclose(f);
		if (!strcmp(found, serial)) {
			(void)snprintf(path, sizeof(path), "/dev/vd%c", c);
			return path;
		}
	}
	errno = ENODEV;
	fail("find disk", serial);
	return NULL;
}

static void fill(unsigned int number, char *how)
{
	char *options = strchr(how, ':'), serial[16];
	struct stat st;
	int from, to;

	*options++ = 0;
	(void)snprintf(serial, sizeof(serial), "to%u", number);
	if (mount(device(serial), "/mnt", how, 0, options) < 0)
		fail("mount", how);
	from = open("/tools", O_RDONLY | O_DIRECTORY);
	to = open("/mnt", O_RDONLY | O_DIRECTORY);
	if (from < 0 || to < 0 || fstat(from, &st) < 0)
		fail("open", how);
	nr_links = 0;
	copy_dir(from, to, "/mnt");
	finish(AT_FDCWD, "/mnt", &st, from, to, "/mnt");
	(void)close(from);
	(void)close(to);
	if (umount("/mnt") < 0)
		fail("unmount", how);
}

int main(void)
{
	char *todo = getenv("fill"), *how;

	(void)setvbuf(stdout, NULL, _IONBF, 0);
	(void)umask(0);
	if (mount("dev", "/dev", "devtmpfs", 0, NULL) < 0 || mount("sys", "/sys", "sysfs", 0, NULL) < 0)
		fail("mount", "/dev, /sys");
	if (mount(device("from"), "/tools", "squashfs", MS_RDONLY, NULL) < 0)
		fail("mount", "from");
	for (unsigned int i = 0; (how = strsep(&todo, ";")); i++)
		fill(i, how);
	puts("filled");
	end();
}
