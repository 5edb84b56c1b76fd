/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/vm/qemu.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "host/vm/cachefile.h"
#include "host/vm/vm.h"

#define QEMU_CACHE "qemu-check"
#define QEMU_CACHE_FORM 1		/* counts up when what is checked or kept changes */
#define QEMU_MIN_MAJOR 6
#define QEMU_MIN_MINOR 2
#define QEMU_OUTPUT_MAX (1u << 20)
#define QEMU_RUN_MS 20000
#define QEMU_NAME "qemu-system-x86_64"
#define QEMU_LOADER "/lib64/ld-linux-x86-64.so.2"

static const char *const module_dirs[] = { "/usr/lib/x86_64-linux-gnu/qemu", "/usr/lib/qemu", "/usr/lib64/qemu" };
static const char *const modules[] = { "accel-tcg-x86_64.so" };

int qemu_find_program(const char *name, char **ret)
{
	const char *path = getenv("PATH");
	CLEANUP_FREE char *all = NULL;
	char file[PATH_MAX], *save = NULL;

	if (asprintf(&all, "%s:/usr/local/bin:/usr/bin:/bin", path ? path : "") < 0)
		return -ENOMEM;
	for (char *dir = strtok_r(all, ":", &save); dir; dir = strtok_r(NULL, ":", &save)) {
		int n = snprintf(file, sizeof(file), "%s/%s", dir, name);

		if (*dir != '/' || n < 0 || (size_t)n >= sizeof(file) || access(file, X_OK) < 0)
			continue;
		*ret = realpath(file, NULL);
		return *ret ? 0 : -errno;
	}
	return -ENOENT;
}

/* Reads until the end, the limit or the time-out. */
static int collect(int fd, struct buf *out)
{
	struct timespec t0, now;

	(void)clock_gettime(CLOCK_MONOTONIC, &t0);
	for (;;) {
		struct pollfd pfd = { .fd = fd, .events = POLLIN };
		long left;
		uint8_t *p;
		ssize_t n;

		(void)clock_gettime(CLOCK_MONOTONIC, &now);
		left = QEMU_RUN_MS - ((now.tv_sec - t0.tv_sec) * 1000 + (now.tv_nsec - t0.tv_nsec) / 1000000);
		if (left <= 0)
			return -ETIMEDOUT;
		if (poll(&pfd, 1, (int)left) != 1)
			continue;
		p = buf_reserve(out, 4096);
		if (!p)
			return buf_ok(out);
		n = read(fd, p, 4096);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		out->len += (size_t)n;
	}
}

/* Runs a program with a bare environment and takes what it says on both outputs. Return: 0; -EHOSTDOWN. */
static int run(char *const argv[], struct buf *out, struct err *err)
{
	char *const env[] = { (char[]){ "PATH=/usr/bin:/bin" }, NULL };
	posix_spawn_file_actions_t fa;
	int pipefd[2], r, status = 0;
	pid_t pid;

	if (pipe2(pipefd, O_CLOEXEC) < 0)
		return err_set(err, -errno, "pipe");
	(void)posix_spawn_file_actions_init(&fa);
	(void)posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
	(void)posix_spawn_file_actions_adddup2(&fa, pipefd[1], 1);
	(void)posix_spawn_file_actions_adddup2(&fa, pipefd[1], 2);
	r = posix_spawn(&pid, argv[0], &fa, NULL, argv, env);
	(void)posix_spawn_file_actions_destroy(&fa);
	(void)close(pipefd[1]);
	if (r) {
		(void)close(pipefd[0]);
		return err_set(err, -r, "run '%s'", argv[0]);
	}
	r = collect(pipefd[0], out);
	(void)close(pipefd[0]);
	if (r < 0)
		(void)kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r < 0)
		return err_set(err, r, "run '%s %s'", argv[0], argv[1]);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return err_text(err, -EHOSTDOWN, "'%s %s' failed: %.200s", argv[0], argv[1], buf_cstr(out) ? buf_cstr(out) : "");
	return 0;
}

static int check_version(const char *path, struct err *err)
{
	CLEANUP_BUF struct buf out = { .limit = QEMU_OUTPUT_MAX };
	char *const argv[] = { (char *)(uintptr_t)path, (char[]){ "--version" }, NULL };
	unsigned int major, minor;
	const char *at;
	int r;

	r = run(argv, &out, err);
	if (r < 0)
		return r;
	at = buf_cstr(&out) ? strstr(buf_cstr(&out), "version ") : NULL;
	if (!at || sscanf(at, "version %u.%u", &major, &minor) != 2)
		return err_text(err, -EHOSTDOWN, "'%s' does not say its version", path);
	if (major < QEMU_MIN_MAJOR || (major == QEMU_MIN_MAJOR && minor < QEMU_MIN_MINOR))
		return err_text(err, -EHOSTDOWN,
			"'%s' is version %u.%u; at least %d.%d is needed (Debian package qemu-system-x86)", path, major,
			minor, QEMU_MIN_MAJOR, QEMU_MIN_MINOR);
	return 0;
}

static int check_has(const char *path, const char *option, const char *const *words, struct err *err)
{
	CLEANUP_BUF struct buf out = { .limit = QEMU_OUTPUT_MAX };
	char *const argv[] = { (char *)(uintptr_t)path, (char *)(uintptr_t)option, (char[]){ "help" }, NULL };
	const char *text;
	int r;

	r = run(argv, &out, err);
	if (r < 0)
		return r;
	text = buf_cstr(&out);
	for (; text && *words; words++)
		if (!strstr(text, *words))
			return err_text(err, -EHOSTDOWN, "'%s' has no %s %s (Debian package qemu-system-x86 has it)",
				path, option + 1, *words);
	return text ? 0 : err_set(err, -ENOMEM, "check '%s'", path);
}

static int add_file(struct qemu *q, const char *file, size_t len)
{
	for (size_t i = 0; i < q->nr_files; i++)
		if (strlen(q->files[i]) == len && !memcmp(q->files[i], file, len))
			return 0;
	if (q->nr_files == QEMU_FILES_MAX)
		return -E2BIG;
	q->files[q->nr_files] = strndup(file, len);
	return q->files[q->nr_files++] ? 0 : -ENOMEM;
}

/* Takes every word that begins with "/" and is there. */
static int add_paths(struct qemu *q, char *text, const char *sep)
{
	char *save = NULL;

	for (char *w = strtok_r(text, sep, &save); w; w = strtok_r(NULL, sep, &save)) {
		int r;

		if (*w != '/' || access(w, R_OK) < 0)
			continue;
		r = add_file(q, w, strlen(w));
		if (r < 0)
			return r;
	}
	return 0;
}

/* Libraries as the loader itself resolves them (it runs no code of the program), modules, firmware directories. */
static int find_files(struct qemu *q, struct err *err)
{
	CLEANUP_BUF struct buf libs = { .limit = QEMU_OUTPUT_MAX }, dirs = { .limit = QEMU_OUTPUT_MAX };
	char *const list[] = { (char[]){ QEMU_LOADER }, (char[]){ "--list" }, q->path, NULL };
	char *const data[] = { q->path, (char[]){ "-L" }, (char[]){ "help" }, NULL };
	char file[PATH_MAX];
	int r;

	r = run(list, &libs, err);
	if (r == 0)
		r = run(data, &dirs, err);
	if (r < 0)
		return r;
	buf_u8(&libs, 0);
	buf_u8(&dirs, 0);
	r = buf_ok(&libs) < 0 || buf_ok(&dirs) < 0 ? -ENOMEM : add_paths(q, (char *)libs.data, " \t\n");
	if (r == 0)
		r = add_paths(q, (char *)dirs.data, ":\n");
	for (size_t i = 0; r == 0 && i < sizeof(module_dirs) / sizeof(*module_dirs); i++) {
		for (size_t k = 0; r == 0 && k < sizeof(modules) / sizeof(*modules); k++) {
			(void)snprintf(file, sizeof(file), "%s/%s", module_dirs[i], modules[k]);
			if (access(file, R_OK) == 0)
				r = add_file(q, file, strlen(file));
		}
	}
	if (r == 0 && access("/etc/ld.so.cache", R_OK) == 0)
		r = add_file(q, "/etc/ld.so.cache", strlen("/etc/ld.so.cache"));
	return r < 0 ? err_set(err, r, "files of '%s'", q->path) : 0;
}

/* First line of the cache file: the binary that was checked. */
static void identity(const struct qemu *q, const struct stat *st, char *ret, size_t room)
{
	(void)snprintf(ret, room, "%d %llu %llu %llu %lld.%09ld %s\n", QEMU_CACHE_FORM, (unsigned long long)st->st_dev,
		(unsigned long long)st->st_ino, (unsigned long long)st->st_size, (long long)st->st_mtim.tv_sec,
		st->st_mtim.tv_nsec, q->path);
}

static bool take_kept(struct qemu *q, const char *id)
{
	CLEANUP_FREE char *kept = NULL;
	char *save = NULL;

	if (cachefile_read(QEMU_CACHE, &kept) < 0 || strncmp(kept, id, strlen(id)) != 0)
		return false;
	for (char *w = strtok_r(kept + strlen(id), "\n", &save); w; w = strtok_r(NULL, "\n", &save)) {
		/* A file that went away: look again. */
		if (*w != '/' || access(w, R_OK) < 0 || add_file(q, w, strlen(w)) < 0)
			return false;
	}
	return q->nr_files > 0;
}

static void keep(const struct qemu *q, const char *id)
{
	CLEANUP_BUF struct buf b = { .limit = CACHEFILE_MAX };

	buf_str(&b, id);
	for (size_t i = 0; i < q->nr_files; i++)
		buf_fmt(&b, "%s\n", q->files[i]);
	if (buf_ok(&b) == 0 && buf_cstr(&b))
		(void)cachefile_write(QEMU_CACHE, buf_cstr(&b));
}

static void drop_files(struct qemu *q)
{
	while (q->nr_files)
		free(q->files[--q->nr_files]);
}

static int find_binary(struct qemu *q, struct err *err)
{
	const char *env = getenv("PLUCK_QEMU");

	if (env && *env) {
		q->path = realpath(env, NULL);
		if (!q->path || access(q->path, X_OK) < 0)
			return err_text(err, -EHOSTDOWN, "PLUCK_QEMU: '%s' is no program", env);
		return 0;
	}
	if (qemu_find_program(QEMU_NAME, &q->path) < 0)
		return err_text(err, -EHOSTDOWN, "there is no " QEMU_NAME " (Debian package qemu-system-x86)");
	return 0;
}

int qemu_find(struct qemu **ret, struct err *err)
{
	static const char *const machines[] = { "microvm", NULL };
	static const char *const devices[] = { "\"vhost-user-blk\"", "\"vhost-user-vsock-device\"", NULL };
	CLEANUP(qemu_freep) struct qemu *q = calloc(1, sizeof(*q));
	char id[PATH_MAX + 128];
	struct stat st;
	int r;

	if (!q)
		return err_set(err, -ENOMEM, "find QEMU");
	r = find_binary(q, err);
	if (r < 0)
		return r;
	if (stat(q->path, &st) < 0)
		return err_set(err, -EHOSTDOWN, "'%s'", q->path);
	identity(q, &st, id, sizeof(id));
	if (!take_kept(q, id)) {
		drop_files(q);
		r = check_version(q->path, err);
		if (r == 0)
			r = check_has(q->path, "-machine", machines, err);
		if (r == 0)
			r = check_has(q->path, "-device", devices, err);
		if (r == 0)
			r = find_files(q, err);
		if (r < 0)
			return -EHOSTDOWN;
		keep(q, id);
	}
	*ret = TAKE_PTR(q);
	return 0;
}

void qemu_free(struct qemu *q)
{
	if (!q)
		return;
	drop_files(q);
	free(q->path);
	free(q);
}

void qemu_forget(void)
{
	cachefile_remove(QEMU_CACHE);
}

int vm_check_qemu(struct err *err)
{
	CLEANUP(qemu_freep) struct qemu *q = NULL;

	return qemu_find(&q, err);
}
