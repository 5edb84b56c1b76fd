/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/openat2.h>

#include "agent/disk.h"
#include "agent/fsmount.h"
#include "agent/part.h"
#include "agent/probe.h"
#include "agent/work.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/path.h"
#include "common/utf8.h"

#define PIECE_MAX 4000		/* bytes of one openat2() path */

void target_free(struct target *t)
{
	free(t->rest);
	*t = (struct target){ 0 };
}

void item_close(struct item *i)
{
	ntfs_stream_close(i->stream);
	i->stream = NULL;
	native_end(&i->native);
	if (i->root_fd >= 0)
		(void)close(i->root_fd);
	if (i->parent_fd >= 0)
		(void)close(i->parent_fd);
	i->root_fd = i->parent_fd = -1;
}

/* The components that are left, joined by single slashes. */
static int copy_rest(const char *p, size_t left, struct target *t, struct err *err)
{
	const char *c;
	size_t n;

	t->rest = malloc(left + 1);
	if (!t->rest)
		return err_set(err, -ENOMEM, "path");
	while (path_next(&p, &left, &c, &n)) {
		if (n > RESOLVE_NAME_MAX)
			return err_text(err, -ENAMETOOLONG, "invalid path: a component is too long");
		if (memchr(c, 0, n) || (c[0] == '.' && (n == 1 || (n == 2 && c[1] == '.'))))
			return err_text(err, -EINVAL, "invalid path: '.', '..' and NUL are not allowed");
		if (t->rest_len)
			t->rest[t->rest_len++] = '/';
		memcpy(t->rest + t->rest_len, c, n);
		t->rest_len += n;
	}
	t->rest[t->rest_len] = 0;
	return 0;
}

static int parse_number(const char *p, size_t len, unsigned int *ret)
{
	unsigned int v = 0;

	if (!len || len > 6 || p[0] == '0')
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		if (p[i] < '0' || p[i] > '9')
			return -EINVAL;
		v = v * 10 + (unsigned int)(p[i] - '0');
	}
	*ret = v;
	return 0;
}

static bool is(const char *p, size_t len, const char *word)
{
	return len == strlen(word) && !memcmp(p, word, len);
}

/* Bucket, component and the rest. */
static int parse_bucket(const char *p, size_t left, struct target *t, struct err *err)
{
	char quoted[256];
	const char *c;
	size_t n;

	if (!path_next(&p, &left, &c, &n)) {
		t->level = TARGET_DISK;
		return 0;
	}
	if (!utf8_valid(c, n))
		return err_text(err, -EINVAL, "invalid bucket in path");
	if (is(c, n, "raw")) {
		t->raw = true;
		strcpy(t->shown, "raw");
	} else if (!is(c, n, "part")) {
		return err_text(err, -ENOENT, "invalid bucket type for component depth: %s",
				log_quote(c, n, quoted, sizeof(quoted)));
	} else if (!path_next(&p, &left, &c, &n)) {
		t->level = TARGET_PARTS;
		return 0;
	} else if (parse_number(c, n, &t->part) < 0) {
		return err_text(err, -EINVAL, "invalid bucket component in path");
	} else {
		(void)snprintf(t->shown, sizeof(t->shown), "part/%u", t->part);
	}
	t->level = TARGET_VOLUME;
	return copy_rest(p, left, t, err);
}

int target_parse(struct agent *a, const char *path, size_t len, struct target *ret, struct err *err)
{
	CLEANUP_TARGET struct target t = { 0 };
	char quoted[600];
	const char *c;
	size_t n;
	int r;

	if (path_next(&path, &len, &c, &n)) {
		if (!utf8_valid(c, n))
			return err_text(err, -EINVAL, "no or invalid image in path");
		t.disk = disk_find(a, c, n);
		if (!t.disk)
			return err_text(err, -ENOENT, "given image '%s' not found",
					log_quote(c, n, quoted, sizeof(quoted)));
		r = parse_bucket(path, len, &t, err);
		if (r < 0)
			return r;
	}
	*ret = t;
	t.rest = NULL;
	return 0;
}

int target_device(struct agent *a, const struct target *t, char *ret, struct err *err)
{
	struct probe whole;
	struct part p;
	int r = disk_locate(t->disk, err);

	if (r < 0)
		return r;
	if (t->raw) {
		strcpy(ret, t->disk->dev);
		return 0;
	}
	r = part_find(a, t->disk->dev, t->part, &p, err);
	/* A table that cannot be read has no partitions for the kernel. */
	if (r == -ENOENT && probe_device(t->disk->dev, &whole) == -EIO)
		return err_set(err, -EIO, "cannot read disk '%s'", t->disk->name);
	if (r == -ENOENT)
		return err_text(err, r, "bucket/component path not found: %s/%s", t->disk->name, t->shown);
	if (r < 0)
		return r;
	strcpy(ret, p.dev);
	return 0;
}

static int open_how(int dirfd, const char *name, uint64_t flags, uint64_t resolve)
{
	struct open_how how = { .flags = flags | O_CLOEXEC, .resolve = resolve };
	long fd;

	do
		fd = syscall(SYS_openat2, dirfd, name, &how, sizeof(how));
	while (fd < 0 && (errno == EINTR || errno == EAGAIN));
	return fd < 0 ? -errno : (int)fd;
}

int resolve_open(int dirfd, const char *name, uint64_t flags)
{
	return open_how(dirfd, name, flags | O_NOFOLLOW, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV);
}

int resolve_stat(int dirfd, const char *name, struct statx *ret)
{
	struct statx st;

	if (statx(dirfd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_BASIC_STATS, &st) < 0)
		return -errno;
	/* negative to the kernel: damaged, and no size that anything could be read of */
	if (st.stx_size > INT64_MAX)
		return -EUCLEAN;
	*ret = st;
	return 0;
}

/*
 * A directory by path. Within PATH_MAX the kernel follows links inside the volume; a longer path goes in pieces, where
 * it could no longer tell the volume's root, so links are refused there.
 */
static int open_dir_path(int root, const char *path, size_t len)
{
	CLEANUP_CLOSE int at = -1;

	if (!len)
		return open_how(root, ".", O_PATH | O_DIRECTORY, RESOLVE_BENEATH);
	while (len) {
		const uint64_t how = len <= PIECE_MAX && at < 0 ? RESOLVE_IN_ROOT : RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
		char piece[RESOLVE_NAME_MAX + 1];
		size_t n = len;
		int fd;

		if (n > PIECE_MAX)
			for (n = PIECE_MAX; n && path[n] != '/'; n--)
				;
		if (!n)
			return -ENAMETOOLONG;
		memcpy(piece, path, n);
		piece[n] = 0;
		fd = open_how(at < 0 ? root : at, piece, O_PATH | O_DIRECTORY,
			      how | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV);
		if (fd < 0)
			return fd;
		if (at >= 0)
			(void)close(at);
		at = fd;
		n += n < len;
		path += n;
		len -= n;
	}
	return TAKE_FD(at);
}

static int find_entry(const struct target *t, struct item *i)
{
	const char *slash = memrchr(t->rest, '/', t->rest_len);
	const char *name = slash ? slash + 1 : t->rest;
	int fd;

	if (!t->rest_len) {
		strcpy(i->name, ".");
		return resolve_stat(i->root_fd, ".", &i->st);
	}
	strcpy(i->name, name);
	fd = open_dir_path(i->root_fd, t->rest, slash ? (size_t)(slash - t->rest) : 0);
	if (fd < 0)
		return fd;
	i->parent_fd = fd;
	return resolve_stat(fd, i->name, &i->st);
}

/* A stream of the entry whose name are the first @len bytes, none: of the directory itself. Return: 0; -ENOENT; negative errno. */
static int open_stream(struct item *i, size_t len)
{
	static const char type[] = ":$DATA";
	char base[RESOLVE_NAME_MAX + 1] = ".", stream[RESOLVE_NAME_MAX + 1];
	const size_t n = strlen(i->name + len + 1);
	struct ntfs *ntfs;
	struct statx st;
	int r;

	if (len)
		(void)snprintf(base, sizeof(base), "%.*s", (int)len, i->name);
	strcpy(stream, i->name + len + 1);
	r = resolve_stat(i->parent_fd, base, &st);
	if (r < 0)
		return -ENOENT;
	r = native_ntfs(&i->native, &ntfs);
	if (r == 0)
		r = ntfs_stream_open(ntfs, st.stx_ino, stream, &i->stream);
	if (r == -ENOENT && n > strlen(type) && !strcmp(stream + n - strlen(type), type)) {
		stream[n - strlen(type)] = 0;
		r = ntfs_stream_open(ntfs, st.stx_ino, stream, &i->stream);
	}
	if (r < 0)
		return r;
	i->st = st;
	i->st.stx_mode = S_IFREG | (st.stx_mode & 0666);
	i->st.stx_size = ntfs_stream_size(i->stream);
	i->st.stx_nlink = 1;
	return 0;
}

/* No entry has this name. There may be colons in the names of files and of streams: the longest file goes first. */
static int find_stream(struct item *i)
{
	int r = -ENOENT;

	if (i->native.kind != NATIVE_NTFS || i->parent_fd < 0)
		return r;
	for (size_t len = strlen(i->name); r == -ENOENT && len-- > 0;)
		if (i->name[len] == ':')
			r = open_stream(i, len);
	return r;
}

int item_open(struct agent *a, const struct target *t, struct item *ret, struct err *err)
{
	CLEANUP_ITEM struct item i = ITEM_INIT;
	char dev[AGENT_DEV_MAX], quoted[600];
	int r = work_begin(a, t->disk, t->shown, err);

	if (r < 0)
		return err_ctx(err, r, "'%s/%s'", t->disk->name, t->shown);
	r = target_device(a, t, dev, err);
	if (r < 0)
		return r;
	i.root_fd = fsmount_open(a, dev, i.note, err);
	if (i.root_fd < 0)
		return err_ctx(err, i.root_fd, "mounting '%s/%s' failed", t->disk->name, t->shown);
	native_begin(&i.native, i.root_fd);
	if (i.native.kind == NATIVE_NTFS && note_is_hibernated(i.root_fd))
		note_add(i.note, "%s", NOTE_HIBERNATED);
	r = find_entry(t, &i);
	if (r == -ENOENT)
		r = find_stream(&i);
	if (r == -ENOENT || r == -ENOTDIR)
		return err_text(err, -ENOENT, "file or directory '%s' does not exist",
				log_quote(t->rest, t->rest_len, quoted, sizeof(quoted)));
	if (r < 0)
		return err_set(err, r, "'%s'", log_quote(t->rest, t->rest_len, quoted, sizeof(quoted)));
	*ret = i;
	i = ITEM_INIT;
	return 0;
}
