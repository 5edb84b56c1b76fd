/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/session/state.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"

static void file_name(char ret[static STATE_NAME_MAX], const char *hash, const char *what)
{
	(void)snprintf(ret, STATE_NAME_MAX, "%.*s.%s", STATE_HASH_LEN, hash, what);
}

int state_open_own(const char *path, const char *what, struct err *err)
{
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return err_set(err, -errno, "%s '%s'", what, path);
	if (state_check_dir(fd) < 0)
		return err_text(err, -EPERM, "%s '%s': not ours, or others may write to it", what, path);
	return TAKE_FD(fd);
}

int state_check_dir(int dir)
{
	struct stat st;

	if (fstat(dir, &st) < 0)
		return -errno;
	return st.st_uid == geteuid() && !(st.st_mode & 022) ? 0 : -EPERM;
}

static bool is_ours(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid();
}

static int make_dir(const char *path)
{
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

int state_open_dir(struct err *err)
{
	const char *run = getenv("XDG_RUNTIME_DIR");
	unsigned int uid = geteuid();
	char path[PATH_MAX];
	int r;

	if (run && *run == '/' && is_ours(run)) {
		(void)snprintf(path, sizeof(path), "%s/pluck", run);
	} else {
		if (uid == 0)
			(void)mkdir("/run/pluck", 0755);
		(void)snprintf(path, sizeof(path), "/run/pluck/%u", uid);
		if (make_dir(path) < 0 || !is_ours(path))
			(void)snprintf(path, sizeof(path), "/tmp/pluck-%u", uid);
	}
	r = make_dir(path);
	return r < 0 ? err_set(err, r, "state directory '%s'", path) : state_open_own(path, "state directory", err);
}

/* Does the name still lead to what the descriptor holds? */
static bool still_named(int dir, const char *name, int fd)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && fstatat(dir, name, &b, AT_SYMLINK_NOFOLLOW) == 0 && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

int state_lock(int dir, const char *hash, const char *what, bool wait)
{
	char name[STATE_NAME_MAX];

	file_name(name, hash, what);
	for (;;) {
		CLEANUP_CLOSE int fd = openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		int r;

		if (fd < 0)
			return -errno;
		do
			r = flock(fd, LOCK_EX | (wait ? 0 : LOCK_NB));
		while (r < 0 && errno == EINTR);
		if (r < 0)
			return -errno;
		if (still_named(dir, name, fd))
			return TAKE_FD(fd);
	}
}

void state_unlock(int dir, const char *hash, const char *what, int fd)
{
	char name[STATE_NAME_MAX];

	if (fd < 0)
		return;
	file_name(name, hash, what);
	(void)unlinkat(dir, name, 0);
	(void)close(fd);
}

int state_alive(int dir, const char *hash)
{
	char name[STATE_NAME_MAX];
	CLEANUP_CLOSE int fd = -1;

	file_name(name, hash, "live");
	fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (flock(fd, LOCK_SH | LOCK_NB) == 0)
		return 0;
	return errno == EWOULDBLOCK ? 1 : -errno;
}

void state_remove_socket(int dir, const char *hash)
{
	char name[STATE_NAME_MAX];

	file_name(name, hash, "sock");
	(void)unlinkat(dir, name, 0);
}

void state_remove_stale(int dir, const char *hash)
{
	char name[STATE_NAME_MAX];

	state_remove_socket(dir, hash);
	file_name(name, hash, "live");
	(void)unlinkat(dir, name, 0);
}

/* The length of the directory's real path does not matter this way. */
static void socket_address(int dir, const char *hash, struct sockaddr_un *ret)
{
	char name[STATE_NAME_MAX];

	file_name(name, hash, "sock");
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	(void)snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/%s", dir, name);
}

int state_listen(int dir, const char *hash, struct err *err)
{
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un sa;
	mode_t mask;
	int r;

	if (fd < 0)
		return err_set(err, -errno, "socket");
	socket_address(dir, hash, &sa);
	mask = umask(0177);
	r = bind(fd, (struct sockaddr *)&sa, sizeof(sa));
	(void)umask(mask);
	if (r < 0 || listen(fd, 64) < 0)
		return err_set(err, -errno, "listen on the session's socket");
	return TAKE_FD(fd);
}

int state_check_peer(int fd)
{
	struct ucred uc;
	socklen_t len = sizeof(uc);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &uc, &len) < 0)
		return -errno;
	return len == sizeof(uc) && uc.uid == geteuid() ? 0 : -EPERM;
}

int state_connect(int dir, const char *hash)
{
	static const struct timeval patience = { .tv_sec = STATE_CONNECT_S }, forever = { 0 };
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un sa;
	int r;

	if (fd < 0)
		return -errno;
	socket_address(dir, hash, &sa);
	/* A session that does not run, and has as many callers waiting as the kernel keeps, would hold us for ever. */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
	    connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &forever, sizeof(forever)) < 0)
		return -errno;
	r = state_check_peer(fd);
	return r < 0 ? r : TAKE_FD(fd);
}

bool state_is_hash(const char *name, const char *suffix)
{
	return strspn(name, "0123456789abcdef") == STATE_HASH_LEN && !strcmp(name + STATE_HASH_LEN, suffix);
}
