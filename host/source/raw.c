/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "host/source/source.h"

#define RAW_UNIT_BYTES (1u << 20)

static int raw_read_at(struct source *s, void *p, size_t n, uint64_t off, struct err *err)
{
	int r = io_pread_full(s->raw_fd, p, n, off);

	if (r == -ENODATA)
		return err_text(err, -EIO, "disk image ends before byte %llu", (unsigned long long)(off + n));
	return r < 0 ? err_set(err, r, "read disk image at %llu", (unsigned long long)off) : 0;
}

static void raw_close(struct source *s)
{
	(void)close(s->raw_fd);
	free(s);
}

static const struct source_ops raw_ops = { .read_at = raw_read_at, .close = raw_close };

int source_open_raw(int fd_in, struct source **ret, struct err *err)
{
	CLEANUP_CLOSE int fd = fd_in;
	struct source *s;
	struct stat st;
	off_t size;

	if (fstat(fd, &st) < 0)
		return err_set(err, -errno, "stat disk image");
	if (S_ISDIR(st.st_mode))
		return err_set(err, -EISDIR, "disk image");
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return err_text(err, -EINVAL, "disk image is neither a file nor a block device");
	size = S_ISREG(st.st_mode) ? st.st_size : lseek(fd, 0, SEEK_END);
	if (size < 0)
		return err_set(err, -errno, "find the size of the disk image");
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(err, -ENOMEM, "open disk image");
	*s = (struct source){ .ops = &raw_ops, .size_bytes = (uint64_t)size, .unit_bytes = RAW_UNIT_BYTES,
			      .raw_fd = TAKE_FD(fd) };
	*ret = s;
	return 0;
}
