/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/source/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "host/source/store/priv.h"

#define STORE_NR_CHUNK_DIRS 65536

CLEANUP_DEFINE(struct store *, store_close)

void store_set_lock(struct store *s, enum store_lock how)
{
	s->lock = how;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	if (s->chunks_fd >= 0)
		(void)close(s->chunks_fd);
	if (s->fd >= 0)
		(void)close(s->fd);
	free(s->path);
	free(s);
}

static int denied(uid_t uid, int code, const char *what, struct err *err)
{
	char space[1024];
	struct passwd pw, *found = NULL;

	if (code != -EACCES && code != -EPERM)
		return err_set(err, code, "%s", what);
	(void)getpwuid_r(uid, &pw, space, sizeof(space), &found);
	if (found)
		return err_text(err, -EACCES, "%s: permission denied; user '%s' may read it", what, pw.pw_name);
	return err_text(err, -EACCES, "%s: permission denied; the user with id %u may read it", what, (unsigned int)uid);
}

int store_denied(const struct store *s, int code, const char *what, struct err *err)
{
	return denied(s->uid, code, what, err);
}

static int open_chunks(struct store *s, struct err *err)
{
	char what[300];

	s->chunks_fd = openat(s->fd, ".chunks", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->chunks_fd >= 0)
		return 0;
	if (errno == ENOENT || errno == ENOTDIR)
		return err_text(err, -ENOENT, "'%.200s' is not a datastore (no '.chunks')", s->path);
	(void)snprintf(what, sizeof(what), "open chunks of datastore '%.200s'", s->path);
	return store_denied(s, -errno, what, err);
}

int store_open(const char *path, struct store **ret, struct err *err)
{
	CLEANUP(store_closep) struct store *s = calloc(1, sizeof(*s));
	struct stat st = { 0 };
	char what[300];
	int r;

	if (!s)
		return err_set(err, -ENOMEM, "open datastore");
	s->fd = s->chunks_fd = -1;
	(void)snprintf(what, sizeof(what), "open datastore '%.200s'", path);
	s->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->fd < 0) {
		r = -errno;
		if (stat(path, &st) < 0)
			return err_set(err, r, "%s", what);
		return denied(st.st_uid, r, what, err);
	}
	s->path = realpath(path, NULL);
	if (!s->path || fstat(s->fd, &st) < 0)
		return err_set(err, -errno, "%s", what);
	s->uid = st.st_uid;
	s->gid = st.st_gid;
	r = open_chunks(s, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(s);
	return 0;
}

int store_open_dir(const struct store *s, const char *ns, const char *relpath, struct err *err)
{
	CLEANUP_BUF struct buf path = BUF_INIT;
	char what[600];
	int fd;

	if (names_ns_path(ns, &path) < 0)
		return err_text(err, -EINVAL, "bad namespace");
	buf_u8(&path, '/');
	buf_str(&path, relpath);
	if (!buf_cstr(&path))
		return err_set(err, buf_ok(&path), "open directory");
	fd = openat(s->fd, buf_cstr(&path), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0)
		return fd;
	(void)snprintf(what, sizeof(what), "open '%.500s'", buf_cstr(&path));
	return store_denied(s, -errno, what, err);
}

static int make_chunk_dirs(int base, struct err *err)
{
	CLEANUP_CLOSE int fd = -1;
	char name[8];

	if (mkdirat(base, ".chunks", 0750) < 0)
		return err_set(err, -errno, "make '.chunks'");
	fd = openat(base, ".chunks", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_set(err, -errno, "open '.chunks'");
	for (unsigned int i = 0; i < STORE_NR_CHUNK_DIRS; i++) {
		(void)snprintf(name, sizeof(name), "%04x", i);
		if (mkdirat(fd, name, 0750) < 0)
			return err_set(err, -errno, "make '.chunks/%s'", name);
	}
	return 0;
}

/* An open, empty directory at @path, made if it is missing. */
static int open_empty(const char *path, struct err *err)
{
	CLEANUP_CLOSE int fd = -1;
	CLEANUP_DIR DIR *dir = NULL;
	struct dirent *de;
	int dup_fd;

	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return err_set(err, -errno, "make '%s'", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, -errno, "open '%s'", path);
	dup_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	dir = dup_fd < 0 ? NULL : fdopendir(dup_fd);
	if (!dir)
		return err_set(err, -errno, "read '%s'", path);
	while ((de = readdir(dir)))
		if (strcmp(de->d_name, ".") && strcmp(de->d_name, ".."))
			return err_text(err, -EEXIST, "'%s' is not empty", path);
	return TAKE_FD(fd);
}

int store_create(const char *path, struct err *err)
{
	CLEANUP_CLOSE int fd = open_empty(path, err);
	CLEANUP_CLOSE int lock = -1;

	if (fd < 0)
		return fd;
	lock = openat(fd, ".lock", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (lock < 0)
		return err_set(err, -errno, "make '.lock'");
	return make_chunk_dirs(fd, err);
}
