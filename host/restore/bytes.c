/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/restore/bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/log.h"
#include "host/restore/file.h"

#define ZEROS ((size_t)256 << 10)

struct bytes_out {
	int fd;				/* a stream or a block device; -1: a file */
	bool is_device;
	int dirfd;			/* a file: its directory */
	char *name;			/* in it */
	bool overwrite;
	mode_t mode;
	struct new_file file;
	struct pxar_entry entry;	/* its size */
	uint64_t off;
	uint8_t *zeros;
	char shown[300];		/* quoted path, for texts */
};

CLEANUP_DEFINE(struct bytes_out *, bytes_free)

void bytes_free(struct bytes_out *o)
{
	if (!o)
		return;
	file_end(&o->file);
	if (o->dirfd >= 0)
		(void)close(o->dirfd);
	if (o->fd > STDERR_FILENO)
		(void)close(o->fd);
	free(o->name);
	free(o->zeros);
	free(o);
}

int bytes_dir(const struct bytes_out *o)
{
	return o->dirfd;
}

static int fail(const struct bytes_out *o, int code, struct err *err)
{
	return err_set(err, code, "write to %s", o->shown);
}

static mode_t file_mode(void)
{
	const mode_t mask = umask(077);

	(void)umask(mask);
	return 0666 & ~mask;
}

/* A file beside which nothing of its name is, or which may be replaced. */
static int open_file(struct bytes_out *o, const char *path, bool exists, struct err *err)
{
	const char *slash = strrchr(path, '/');
	CLEANUP_FREE char *dir = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
	int r;

	o->name = strdup(slash ? slash + 1 : path);
	if (!dir || !o->name)
		return fail(o, -ENOMEM, err);
	if (!*o->name)
		return fail(o, -EISDIR, err);
	if (exists && !o->overwrite)
		return err_text(err, -EEXIST, "%s exists (--overwrite replaces it)", o->shown);
	o->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (o->dirfd < 0)
		return fail(o, -errno, err);
	o->mode = file_mode();
	r = file_begin(&o->file, o->dirfd, &o->entry);
	return r < 0 ? fail(o, r, err) : 0;
}

static int open_device(struct bytes_out *o, const char *path, uint64_t size, struct err *err)
{
	uint64_t room = 0;

	if (!o->overwrite)
		return err_text(err, -EEXIST, "%s is a block device (--overwrite writes to it)", o->shown);
	o->is_device = true;
	o->fd = open(path, O_WRONLY | O_EXCL | O_CLOEXEC);
	if (o->fd < 0 || ioctl(o->fd, BLKGETSIZE64, &room) < 0)
		return fail(o, -errno, err);
	if (room < size)
		return err_text(err, -EFBIG, "%s has %" PRIu64 " bytes, %" PRIu64 " are needed", o->shown, room, size);
	return 0;
}

static int open_any(struct bytes_out *o, const char *path, uint64_t size, struct err *err)
{
	struct stat st, link;
	const bool exists = lstat(path, &link) == 0;

	if (!strcmp(path, "-")) {
		o->fd = STDOUT_FILENO;
		return 0;
	}
	if (stat(path, &st) < 0 || S_ISREG(st.st_mode))
		return open_file(o, path, exists, err);
	if (S_ISDIR(st.st_mode))
		return err_text(err, -EISDIR, "%s is a directory: name the file to be made", o->shown);
	if (S_ISBLK(st.st_mode))
		return open_device(o, path, size, err);
	o->fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	return o->fd < 0 ? fail(o, -errno, err) : 0;
}

int bytes_open(const char *path, uint64_t size_bytes, bool overwrite, struct bytes_out **ret, struct err *err)
{
	CLEANUP(bytes_freep) struct bytes_out *o = calloc(1, sizeof(*o));
	char q[280];
	int r;

	if (!o)
		return err_set(err, -ENOMEM, "output");
	o->fd = o->dirfd = o->file.fd = -1;
	o->overwrite = overwrite;
	o->entry.size = size_bytes;
	if (strcmp(path, "-"))
		(void)snprintf(o->shown, sizeof(o->shown), "'%s'", log_quote(path, strlen(path), q, sizeof(q)));
	else
		(void)snprintf(o->shown, sizeof(o->shown), "standard output");
	r = open_any(o, path, size_bytes, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(o);
	return 0;
}

int bytes_data(struct bytes_out *o, const void *p, size_t n, struct err *err)
{
	int r = o->fd < 0 ? file_data(&o->file, &o->entry, o->off, p, n) : io_write_full(o->fd, p, n);

	o->off += n;
	return r < 0 ? fail(o, r, err) : 0;
}

/* A file is of zeros where nothing is written. */
int bytes_zeros(struct bytes_out *o, uint64_t n, struct err *err)
{
	int r = 0;

	if (o->fd < 0) {
		o->off += n;
		return 0;
	}
	if (!o->zeros)
		o->zeros = calloc(1, ZEROS);
	if (!o->zeros)
		return fail(o, -ENOMEM, err);
	while (n && r == 0) {
		const size_t part = n < ZEROS ? (size_t)n : ZEROS;

		r = bytes_data(o, o->zeros, part, err);
		n -= part;
	}
	return r;
}

int bytes_finish(struct bytes_out *o, struct err *err)
{
	int r = 0;

	if (o->is_device)
		return fsync(o->fd) < 0 ? fail(o, -errno, err) : 0;
	if (o->fd >= 0)
		return 0;
	if (fchmod(o->file.fd, o->mode) < 0)
		r = -errno;
	if (r == 0)
		r = file_name(&o->file, o->name, o->overwrite);
	return r < 0 ? fail(o, r, err) : 0;
}
