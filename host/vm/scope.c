/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/vm/scope.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "host/vm/qemu.h"

#define TRY_MS 5000		/* for a manager to answer */

/* Return: false without memory. */
static bool __attribute__((format(printf, 2, 3))) add(struct scope *s, const char *fmt, ...)
{
	size_t at = 0;
	va_list ap;
	int n;

	while (s->words[at])
		at++;
	va_start(ap, fmt);
	n = at < SCOPE_WORDS ? vasprintf(&s->words[at], fmt, ap) : -1;
	va_end(ap);
	if (n < 0 && at < SCOPE_WORDS)
		s->words[at] = NULL;
	return n >= 0;
}

static bool add_words(struct scope *s, const struct cgroup_limits *l, uid_t uid, gid_t gid)
{
	const bool root = geteuid() == 0;
	bool ok = root ? add(s, "--system") : add(s, "--user");

	ok = ok && add(s, "--scope") && add(s, "--quiet") && add(s, "--collect") &&
	     add(s, "--property=MemoryMax=%" PRIu64, l->memory_bytes) && add(s, "--property=MemorySwapMax=0") &&
	     add(s, "--property=TasksMax=%u", l->tasks);
	if (root && uid)
		ok = ok && add(s, "--uid=%u", uid) && add(s, "--gid=%u", gid);
	return ok && add(s, "--");
}

/* Is it there, and does somebody answer? Return: exit status; negative errno. */
static int try_out(const struct scope *s)
{
	posix_spawn_file_actions_t fa;
	char *argv[SCOPE_WORDS + 2];
	struct pollfd pfd = { .events = POLLIN };
	int status = 0, r;
	size_t n = 0;
	pid_t pid;

	for (; s->words[n]; n++)
		argv[n] = s->words[n];
	argv[n++] = (char[]){ "/bin/true" };
	argv[n] = NULL;
	(void)posix_spawn_file_actions_init(&fa);
	for (int fd = 0; fd <= 2; fd++)
		(void)posix_spawn_file_actions_addopen(&fa, fd, "/dev/null", O_RDWR, 0);
	r = posix_spawn(&pid, argv[0], &fa, NULL, argv, s->env);
	(void)posix_spawn_file_actions_destroy(&fa);
	if (r)
		return -r;
	pfd.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pfd.fd < 0 || poll(&pfd, 1, TRY_MS) != 1)
		(void)kill(pid, SIGKILL);
	if (pfd.fd >= 0)
		(void)close(pfd.fd);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -ETIMEDOUT;
}

int scope_new(const struct cgroup_limits *l, uid_t uid, gid_t gid, struct scope **ret, struct err *err)
{
	const char *run = getenv("XDG_RUNTIME_DIR");
	CLEANUP(scope_freep) struct scope *s = calloc(1, sizeof(*s));
	CLEANUP_FREE char *program = NULL;
	int r;

	if (!s)
		return err_set(err, -ENOMEM, "systemd-run");
	if (access("/run/systemd/system", F_OK) < 0)
		return err_text(err, -EOPNOTSUPP, "systemd does not run here");
	if (qemu_find_program("systemd-run", &program) < 0)
		return err_text(err, -EOPNOTSUPP, "there is no systemd-run");
	/* The user's manager is found by it. */
	if (run && geteuid() != 0 && asprintf(&s->env[0], "XDG_RUNTIME_DIR=%s", run) < 0)
		s->env[0] = NULL;
	if (!add(s, "%s", program) || !add_words(s, l, uid, gid))
		return err_set(err, -ENOMEM, "systemd-run");
	r = try_out(s);
	if (r < 0)
		return err_text(err, -EOPNOTSUPP, "systemd-run: %s", strerror(-r));
	if (r > 0)
		return err_text(err, -EOPNOTSUPP, "systemd-run ends with status %d", r);
	(void)snprintf(s->text, sizeof(s->text), "systemd: memory %" PRIu64 " MiB, %u tasks", l->memory_bytes >> 20, l->tasks);
	*ret = TAKE_PTR(s);
	return 0;
}

void scope_free(struct scope *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < SCOPE_WORDS; i++)
		free(s->words[i]);
	free(s->env[0]);
	free(s);
}
