/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/restore/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 4096u
#define TRIES 16

void file_temp_name(char ret[static FILE_TEMP_MAX])
{
	uint64_t x = 0;

	(void)!getrandom(&x, sizeof(x), 0);
	(void)snprintf(ret, FILE_TEMP_MAX, ".pluck-%012" PRIx64, x & UINT64_C(0xffffffffffff));
}

static int open_named(struct new_file *f)
{
	for (int i = 0; i < TRIES; i++) {
		file_temp_name(f->temp);
		f->fd = openat(f->dirfd, f->temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (f->fd >= 0)
			return 0;
		if (errno != EEXIST)
			break;
	}
	f->temp[0] = 0;
	return -errno;
}

int file_begin(struct new_file *f, int dirfd, const struct pxar_entry *e)
{
	int r = 0;

	*f = (struct new_file){ .fd = -1, .dirfd = dirfd };
	if (access("/proc/self/fd", X_OK) == 0)
		f->fd = openat(dirfd, ".", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600);
	if (f->fd < 0)
		r = open_named(f);
	if (r == 0 && e->size && ftruncate(f->fd, (off_t)e->size) < 0)
		r = -errno;
	if (r < 0)
		file_end(f);
	return r;
}

static bool is_zero(const uint8_t *p, size_t n)
{
	return !n || (!p[0] && !memcmp(p, p + 1, n - 1));
}

static int write_at(int fd, const uint8_t *p, size_t n, uint64_t off)
{
	while (n) {
		ssize_t w = pwrite(fd, p, n, (off_t)off);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return w < 0 ? -errno : -EIO;
		p += w;
		n -= (size_t)w;
		off += (uint64_t)w;
	}
	return 0;
}

/* The piece from @off to the end of its block, at most @n. */
static size_t piece(uint64_t off, size_t n)
{
	const size_t len = BLOCK - (size_t)(off % BLOCK);

	return len < n ? len : n;
}

/* Runs of pieces that are not zero, each in one write. */
static int write_sparse(int fd, const uint8_t *p, size_t n, uint64_t off)
{
	while (n) {
		size_t run = 0, next;
		int r;

		while (run < n && !is_zero(p + run, next = piece(off + run, n - run)))
			run += next;
		r = run ? write_at(fd, p, run, off) : 0;
		if (r < 0)
			return r;
		if (!run)
			run = piece(off, n);
		p += run;
		n -= run;
		off += run;
	}
	return 0;
}

int file_data(struct new_file *f, const struct pxar_entry *e, uint64_t off, const uint8_t *p, size_t len)
{
	return e->has_segments ? write_at(f->fd, p, len, off) : write_sparse(f->fd, p, len, off);
}

static int name_temp(struct new_file *f, const char *name, bool replace)
{
	if (replace)
		return renameat(f->dirfd, f->temp, f->dirfd, name) < 0 ? -errno : 0;
	if (renameat2(f->dirfd, f->temp, f->dirfd, name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	if (linkat(f->dirfd, f->temp, f->dirfd, name, 0) < 0)
		return -errno;
	(void)unlinkat(f->dirfd, f->temp, 0);
	return 0;
}

int file_name(struct new_file *f, const char *name, bool replace)
{
	char self[32];
	int r;

	if (!f->temp[0]) {
		(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", f->fd);
		if (linkat(AT_FDCWD, self, f->dirfd, name, AT_SYMLINK_FOLLOW) == 0)
			return 0;
		if (errno != EEXIST || !replace)
			return -errno;
		file_temp_name(f->temp);
		if (linkat(AT_FDCWD, self, f->dirfd, f->temp, AT_SYMLINK_FOLLOW) < 0) {
			f->temp[0] = 0;
			return -errno;
		}
	}
	r = name_temp(f, name, replace);
	if (r == 0)
		f->temp[0] = 0;
	return r;
}

void file_end(struct new_file *f)
{
	if (f->fd < 0)
		return;
	if (f->temp[0])
		(void)unlinkat(f->dirfd, f->temp, 0);
	(void)close(f->fd);
	f->fd = -1;
}
