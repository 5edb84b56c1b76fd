/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/data.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#define DIRECT_MIN 32768	/* smaller files are cheaper through the page cache */

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

/* File systems whose direct reads are as well-trodden as their buffered ones; they take the page cache where data is packed. */
static bool trusts_direct(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return false;
	return fs.f_type == EXT4_SUPER_MAGIC || fs.f_type == XFS_SUPER_MAGIC || fs.f_type == BTRFS_SUPER_MAGIC;
}

static bool set_direct(struct data *d, bool on)
{
	int flags;

	if (d->is_direct == on)
		return true;
	flags = fcntl(d->fd, F_GETFL);
	if (flags < 0 || fcntl(d->fd, F_SETFL, on ? flags | O_DIRECT : flags & ~O_DIRECT) < 0)
		return false;
	d->is_direct = on;
	return true;
}

void data_begin(struct data *d, int fd, uint64_t size_bytes)
{
	*d = (struct data){ .fd = fd };
	if (size_bytes >= DIRECT_MIN)
		d->wants_direct = trusts_direct(fd);
	(void)posix_fadvise(fd, 0, 0, d->wants_direct ? POSIX_FADV_RANDOM : POSIX_FADV_SEQUENTIAL);
}

/* Return: bytes read, 0 at the end; negative errno. */
static ssize_t read_some(const struct data *d, uint64_t off, void *p, size_t len)
{
	ssize_t n;

	if (d->decoder)
		return decmpfs_read(d->decoder, off, p, len);
	if (d->stream)
		return ntfs_stream_read(d->stream, off, p, len);
	do
		n = pread(d->fd, p, len, (off_t)off);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

int data_readable(const struct data *d, uint64_t off)
{
	char c;
	ssize_t n = read_some(d, off, &c, 1);

	return n > 0 ? 0 : n < 0 ? (int)n : -ENODATA;
}

/* Return: bytes read; 0 when the page cache must be tried; -EPIPE. */
static ssize_t read_direct(struct data *d, struct reply *r, uint64_t off, uint64_t end)
{
	size_t room, want;
	uint8_t *p = reply_space_aligned(r, &room);
	ssize_t n;

	if (!p)
		return -EPIPE;
	want = end - off < room ? (size_t)(end - off + REPLY_ALIGN - 1) & ~(size_t)(REPLY_ALIGN - 1) : room;
	if (!set_direct(d, true))
		return 0;
	do
		n = pread(d->fd, p, want, (off_t)off);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return 0;
	return (uint64_t)n < end - off ? n : (ssize_t)(end - off);
}

static ssize_t read_cached(struct data *d, struct reply *r, uint64_t off, uint64_t end)
{
	const size_t to_aligned = REPLY_ALIGN - (size_t)(off % REPLY_ALIGN);
	size_t room;
	uint8_t *p = reply_space(r, &room);

	if (!p)
		return -EPIPE;
	if (room > end - off)
		room = (size_t)(end - off);
	if (d->wants_direct && room > to_aligned)
		room = to_aligned;
	(void)set_direct(d, false);
	return read_some(d, off, p, room);
}

ssize_t data_send(struct data *d, struct reply *r, uint64_t off, uint64_t end, int *ret_error)
{
	ssize_t n = 0;

	if (d->wants_direct && off % REPLY_ALIGN == 0) {
		n = read_direct(d, r, off, end);
		if (n <= 0 && !r->broken) {
			/* What fails here need not fail there, and the page cache tells which byte it is. */
			d->wants_direct = false;
			(void)posix_fadvise(d->fd, 0, 0, POSIX_FADV_NORMAL);
		}
	}
	if (n <= 0 && !r->broken)
		n = read_cached(d, r, off, end);
	if (r->broken)
		return -EPIPE;
	if (n > 0)
		reply_commit(r, (size_t)n);
	else
		*ret_error = n < 0 ? (int)n : -ENODATA;
	return n > 0 ? n : 0;
}
