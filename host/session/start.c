/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/session/session.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/log.h"
#include "host/session/control.h"
#include "host/session/spec.h"
#include "host/session/state.h"
#include "host/source/store/key.h"

#define START_TRIES 3			/* sessions that end while we speak to them */
#define START_FRAME_MS 90000		/* longer than any phase of a session */
#define START_ENDING_MS 15000		/* a session that is on its way out */

/* All that the session may know of our environment: nothing secret is among these. */
static const char *const env_names[] = {
	"PATH",
	"HOME",
	"XDG_RUNTIME_DIR",
	"XDG_CACHE_HOME",
	"XDG_STATE_HOME",
	"PLUCK_LIBDIR",
	"PLUCK_QEMU",
	"PLUCK_ACCEL",
	"LANG",
	"LC_ALL",
	"TZ",
};

#define ENV_MAX (sizeof(env_names) / sizeof(*env_names))

static void env_fill(char *env[ENV_MAX + 1])
{
	size_t n = 0;

	for (size_t i = 0; i < ENV_MAX; i++) {
		const char *v = getenv(env_names[i]);

		if (v && asprintf(&env[n], "%s=%s", env_names[i], v) >= 0)
			n++;
	}
	env[n] = NULL;
}

static void env_clear(char *env[ENV_MAX + 1])
{
	for (size_t i = 0; env[i]; i++)
		free(env[i]);
}

static int spec_memfd(const struct session_spec *spec, struct err *err)
{
	CLEANUP_CLOSE int fd = memfd_create("spec", MFD_CLOEXEC);
	CLEANUP_FREE char *text = spec_to_json(spec);
	int r;

	if (fd < 0 || !text)
		return err_set(err, text ? -errno : -ENOMEM, "spec of the session");
	r = io_write_full(fd, text, strlen(text));
	/* Behind the text, not in it: no parser makes copies of the key. */
	if (r == 0 && spec->key)
		r = io_write_full(fd, "", 1);
	if (r == 0 && spec->key)
		r = io_write_full(fd, spec->key->data, KEY_BYTES);
	return r < 0 ? err_set(err, r, "spec of the session") : TAKE_FD(fd);
}

/* Where the session's own words go: nowhere, unless asked for. */
static int open_log(void)
{
	const char *path = getenv("PLUCK_SESSION_LOG");
	int fd = -1;

	if (path && *path)
		fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	return fd >= 0 ? fd : open("/dev/null", O_WRONLY | O_CLOEXEC);
}

/* In the grandchild. @fds are above 10. */
static void __attribute__((noreturn))
become_session(int null_fd, int log_fd, int spec_fd, int ready_fd, char *const *env)
{
	static char *const argv[] = { (char *)(uintptr_t)"pluck", (char *)(uintptr_t)"__session", (char *)(uintptr_t)"3",
				      (char *)(uintptr_t)"4", NULL };
	sigset_t none;

	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	for (int sig = 1; sig < NSIG; sig++)
		(void)signal(sig, SIG_DFL);
	if (dup2(null_fd, 0) < 0 || dup2(null_fd, 1) < 0 || dup2(log_fd, 2) < 0 || dup2(spec_fd, 3) < 0 ||
		dup2(ready_fd, 4) < 0 || close_range(5, ~0u, 0) < 0 || chdir("/") < 0)
		_exit(126);
	(void)execve("/proc/self/exe", argv, env);
	_exit(127);
}

static int above(int fd)
{
	int moved = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 10);

	if (fd >= 0)
		(void)close(fd);
	return moved;
}

/* Return: our end of the first connection; negative errno. */
static int spawn(const struct session_spec *spec, struct err *err)
{
	CLEANUP_CLOSE int ours = -1, theirs = -1, spec_fd = -1, null_fd = -1, log_fd = -1;
	char *env[ENV_MAX + 1] = { NULL };
	int sv[2], status = 0;
	pid_t pid;

	spec_fd = spec_memfd(spec, err);
	if (spec_fd < 0)
		return spec_fd;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
		return err_set(err, -errno, "socket pair");
	ours = sv[0];
	theirs = above(sv[1]);
	spec_fd = above(spec_fd);
	null_fd = above(open("/dev/null", O_RDWR | O_CLOEXEC));
	log_fd = above(open_log());
	if (theirs < 0 || spec_fd < 0 || null_fd < 0 || log_fd < 0)
		return err_set(err, -errno, "start the session");
	env_fill(env);
	pid = fork();
	if (pid == 0) {
		/* Twice, so that nobody has to wait for the session. */
		if (setsid() < 0 || (pid = fork()) < 0)
			_exit(126);
		if (pid > 0)
			_exit(0);
		become_session(null_fd, log_fd, spec_fd, theirs, env);
	}
	env_clear(env);
	if (pid < 0)
		return err_set(err, -errno, "start the session");
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (status)
		return err_text(err, -EAGAIN, "start the session: no further process can be started");
	return TAKE_FD(ours);
}

static int take_ready(int fd, const void *payload, size_t len, struct session_conn *ret, struct err *err)
{
	struct control_ready ready;

	if (len != sizeof(ready))
		return err_set(err, -EPROTO, "the session's answer");
	memcpy(&ready, payload, sizeof(ready));
	*ret = (struct session_conn){ .fd = fd, .memory_mib = ready.memory_mib, .idle_timeout_s = ready.idle_s,
				      .reduced_jail = ready.reduced_jail, .kvm = ready.kvm,
				      .vm = ready.vm };
	memcpy(ret->ticket, ready.ticket, WIRE_TICKET_HEX);
	explicit_bzero(&ready, sizeof(ready));
	return 0;
}

/* Reads frames until the answer. Return: 0 connected; -ENODATA the session ended without a word; what it says. */
static int await_ticket(int fd, session_progress_fn *progress, void *arg, struct session_conn *ret, struct err *err)
{
	for (;;) {
		CLEANUP_FREE char *payload = NULL;
		struct control_header h;
		int r;

		r = control_recv(fd, START_FRAME_MS, &h, &payload);
		if (r == -ETIMEDOUT)
			return err_text(err, r, "the session has said nothing for %d s ('pluck stop' ends it)", START_FRAME_MS / 1000);
		if (r < 0)
			return err_set(err, r, "the session does not answer");
		if (h.kind == CONTROL_ERROR)
			return err_text(err, h.code, "%s", payload);
		if (h.kind == CONTROL_PROGRESS) {
			if (progress)
				progress(arg, payload);
			continue;
		}
		return take_ready(fd, payload, h.length, ret, err);
	}
}

static void pause_ms(long ms)
{
	const struct timespec ts = { .tv_nsec = ms * 1000000 };

	(void)nanosleep(&ts, NULL);
}

/* The caller holds the start lock. Return: a connection to a living session; -ENOENT there is none any more; negative errno. */
static int connect_living(int dir, const char *hash, struct err *err)
{
	for (int waited = 0; waited < START_ENDING_MS; waited += 20) {
		int r = state_alive(dir, hash), fd;

		if (r < 0)
			return err_set(err, r, "state of the session");
		if (r == 0)
			return -ENOENT;
		fd = state_connect(dir, hash);
		if (fd >= 0)
			return fd;
		if (fd == -ETIMEDOUT)
			return err_text(err, fd, "the session takes no more calls ('pluck stop' ends it)");
		if (fd != -ENOENT && fd != -ECONNREFUSED)
			return err_set(err, fd, "connect to the session");
		pause_ms(20);	/* it begins, or it is ending */
	}
	return err_set(err, -ETIMEDOUT, "a session that neither answers nor ends");
}

/*
 * Under the start lock: connect, or start. A session that we start has its socket when its first frame comes; until then the lock
 * keeps others waiting.
 */
static int attempt(int dir, const char *hash, const struct session_spec *spec, session_progress_fn *progress, void *arg,
		   struct session_conn *ret, struct err *err)
{
	/* Who cannot start needs no lock, and may have no right to make one. */
	int lock = spec->no_start ? -1 : state_lock(dir, hash, "start", true);
	CLEANUP_CLOSE int fd = -1;
	int r;

	if (lock < 0 && !spec->no_start)
		return err_set(err, lock, "lock of the session");
	fd = connect_living(dir, hash, err);
	if (fd == -ENOENT && spec->no_start)
		return err_text(err, -EHOSTDOWN, "the session has ended");
	if (fd == -ENOENT) {
		state_remove_stale(dir, hash);
		fd = spawn(spec, err);
	}
	r = fd < 0 ? fd : control_send_request(fd, CONTROL_CONNECT, spec->key ? spec->key->fingerprint : NULL);
	if (r >= 0) {
		struct pollfd pfd = { .fd = fd, .events = POLLIN };

		/* Until its first frame is here: now it has its lock and its socket, or it has failed. */
		while (poll(&pfd, 1, START_FRAME_MS) < 0 && errno == EINTR)
			;
	}
	state_unlock(dir, hash, "start", lock);
	if (r == -EPIPE)
		return -ENODATA;
	if (r < 0)
		return fd < 0 ? r : err_set(err, r, "ask the session");
	r = await_ticket(fd, progress, arg, ret, err);
	if (r == 0)
		(void)TAKE_FD(fd);
	return r;
}

int session_connect(const struct session_spec *spec, session_progress_fn *progress, void *arg, struct session_conn *ret,
	struct err *err)
{
	char hash[STATE_HASH_LEN + 1];
	CLEANUP_CLOSE int dir = -1;
	int r;

	dir = spec_open_state(spec, hash, err);
	if (dir < 0)
		return dir;
	for (int i = 0; i < START_TRIES; i++) {
		r = attempt(dir, hash, spec, progress, arg, ret, err);
		/* -EALREADY: one that was started by somebody who died meanwhile was faster, and is there now. */
		if (r != -ENODATA && r != -EPROTO && r != -EALREADY)
			return r;
	}
	if (r == -EALREADY)
		return err_text(err, -EHOSTDOWN, "sessions for the same disks come and go (%d tries)", START_TRIES);
	if (state_alive(dir, hash) == 1)
		return err_text(err, -EHOSTDOWN,
			"the session that runs does not understand this version of pluck: stop it with 'pluck stop'");
	return err_text(err, -EHOSTDOWN,
		"the session ended without a word (%d tries); PLUCK_SESSION_LOG=FILE keeps what it says", START_TRIES);
}
