/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/session/conlog.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/log.h"
#include "host/session/state.h"

#define TITLE_MAX 1024

struct conlog {
	int fd;
	char path[PATH_MAX];
	char title[TITLE_MAX];
};

/* Its parents are made too, as the first program of a new user has to. */
static int make_dirs(char *path)
{
	for (char *p = path + 1;; p++) {
		char c = *p;

		if (c && c != '/')
			continue;
		*p = 0;
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			return -errno;
		if (!c)
			return 0;
		*p = c;
	}
}

static int open_dir(char path[static PATH_MAX - 32], struct err *err)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	int n, r;

	if (state && *state == '/')
		n = snprintf(path, PATH_MAX - 32, "%s/pluck", state);
	else if (home && *home == '/')
		n = snprintf(path, PATH_MAX - 32, "%s/.local/state/pluck", home);
	else
		return err_text(err, -ENOENT, "console log: neither XDG_STATE_HOME nor HOME is set");
	if (n >= PATH_MAX - 32)
		return err_set(err, -ENAMETOOLONG, "console log");
	r = make_dirs(path);
	if (r < 0)
		return err_set(err, r, "console log: create '%s'", path);
	return state_open_own(path, "console log: directory", err);
}

static void file_name(unsigned int i, char ret[static 24])
{
	(void)snprintf(ret, 24, "console.%u.log", i);
}

/* When it was written last; the past for one that is not there. */
static struct timespec age(int dir, unsigned int i)
{
	char name[24];
	struct stat st;

	file_name(i, name);
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return (struct timespec){ .tv_sec = (time_t)0 };
	return st.st_mtim;
}

static bool older(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

static int take(int dir, unsigned int i)
{
	CLEANUP_CLOSE int fd = -1;
	struct stat st;
	char name[24];

	file_name(i, name);
	fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_nlink != 1)
		return -EPERM;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return -errno;
	return fchmod(fd, 0600) < 0 ? -errno : TAKE_FD(fd);
}

/* The one written longest ago that nobody has. Return: its number. */
static int take_oldest(int dir, int *ret_fd)
{
	bool tried[CONLOG_FILES] = { false };

	for (unsigned int round = 0; round < CONLOG_FILES; round++) {
		struct timespec best = { 0 };
		int at = -1;

		for (unsigned int i = 0; i < CONLOG_FILES; i++) {
			const struct timespec t = age(dir, i);

			if (!tried[i] && (at < 0 || older(&t, &best))) {
				best = t;
				at = (int)i;
			}
		}
		tried[at] = true;
		*ret_fd = take(dir, (unsigned int)at);
		if (*ret_fd >= 0)
			return at;
		if (*ret_fd != -EWOULDBLOCK && *ret_fd != -EPERM && *ret_fd != -ELOOP)
			return *ret_fd;
	}
	return -EBUSY;
}

int conlog_open(const char *title, struct conlog **ret, struct err *err)
{
	struct conlog *l = calloc(1, sizeof(*l));
	CLEANUP_CLOSE int dir = -1;
	char path[PATH_MAX - 32], quoted[TITLE_MAX - 64], stamp[32];
	struct tm tm;
	time_t now = time(NULL);
	int r = l ? open_dir(path, err) : err_set(err, -ENOMEM, "console log");

	dir = r;
	if (r >= 0) {
		r = take_oldest(dir, &l->fd);
		if (r < 0)
			(void)err_set(err, r, "console log in '%s'", path);
	}
	if (r < 0) {
		free(l);
		return r;
	}
	(void)snprintf(l->path, sizeof(l->path), "%s/console.%d.log", path, r);
	if (!gmtime_r(&now, &tm) || !strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", &tm))
		*stamp = 0;
	(void)log_quote(title, strlen(title), quoted, sizeof(quoted));
	(void)snprintf(l->title, sizeof(l->title), "# %s %s\n", stamp, quoted);
	r = conlog_write(l, NULL);
	if (r < 0) {
		conlog_close(l);
		return err_set(err, r, "console log in '%s'", path);
	}
	*ret = l;
	return 0;
}

const char *conlog_path(const struct conlog *l)
{
	return l->path;
}

int conlog_write(struct conlog *l, const struct console *c)
{
	CLEANUP_FREE char *text = malloc(CONLOG_BYTES);
	size_t len = strlen(l->title);

	if (!text)
		return -ENOMEM;
	memcpy(text, l->title, len);
	if (c)
		len += console_tail(c, text + len, CONLOG_BYTES - len);
	if (ftruncate(l->fd, 0) < 0 || lseek(l->fd, 0, SEEK_SET) < 0)
		return -errno;
	return io_write_full(l->fd, text, len);
}

void conlog_close(struct conlog *l)
{
	if (!l)
		return;
	(void)close(l->fd);
	free(l);
}
