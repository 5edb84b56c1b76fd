/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/session/broker.h"

/*
 * The session's outer process. It holds the lock, the socket and the spec, starts a broker for each VM, and meets nothing that a guest
 * said but the broker's struct life, which it checks. So it can start programs as long as it lives.
 */

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/jsonw.h"
#include "common/log.h"
#include "host/session/room.h"
#include "host/session/spec.h"
#include "host/source/store/key.h"
#include "host/vm/cgroup.h"
#include "host/vm/children.h"

#define KEEPER_LOCK_TRIES 100		/* 5 ms each */
#define KEEPER_CHILDREN_MS 1000

struct keeper {
	const struct session_spec *spec;
	char *name;
	int dir, live_fd, listen_fd;
	char hash[STATE_HASH_LEN + 1];
	int64_t start_ms;
	struct life *life;	/* shared with the broker that runs */
	bool ending;		/* a signal said so */
};

/* What others may know about us while the lock is held. */
static int write_live(struct keeper *k, struct err *err)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	struct jsonw w = JSONW(&out);
	int r;

	jsonw_object_begin(&w);
	jsonw_key_string(&w, "name", k->name);
	jsonw_key_i64(&w, "pid", getpid());
	jsonw_key_i64(&w, "created", (int64_t)time(NULL));
	spec_tell_disks(k->spec, &w);
	jsonw_object_end(&w);
	r = buf_ok(&out);
	if (r == 0 && ftruncate(k->live_fd, 0) < 0)
		r = -errno;
	if (r == 0)
		r = io_write_full(k->live_fd, out.data, out.len);
	return r < 0 ? err_set(err, r, "state file") : 0;
}

static int listen_here(struct keeper *k, struct err *err)
{
	const struct timespec nap = { .tv_nsec = 5000000 };
	int r;

	k->dir = state_open_dir(err);
	if (k->dir < 0)
		return k->dir;
	r = spec_hash(k->spec, k->hash, err);
	if (r < 0)
		return r;
	/* Whoever asks whether a session lives holds the lock for a moment (state_alive()). */
	for (int i = 0; i < KEEPER_LOCK_TRIES; i++) {
		k->live_fd = state_lock(k->dir, k->hash, "live", false);
		if (k->live_fd != -EWOULDBLOCK)
			break;
		(void)nanosleep(&nap, NULL);
	}
	if (k->live_fd < 0)
		return err_set(err, k->live_fd == -EAGAIN ? -EALREADY : k->live_fd, "another session for the same disks");
	/* A socket that one of our kind left when it was killed. */
	state_remove_socket(k->dir, k->hash);
	r = write_live(k, err);
	if (r < 0)
		return r;
	k->listen_fd = state_listen(k->dir, k->hash, err);
	return k->listen_fd < 0 ? k->listen_fd : 0;
}

static int block_signals(sigset_t *ret)
{
	(void)sigemptyset(ret);
	(void)sigaddset(ret, SIGTERM);
	(void)sigaddset(ret, SIGINT);
	(void)sigaddset(ret, SIGHUP);
	(void)sigaddset(ret, SIGCHLD);
	return sigprocmask(SIG_SETMASK, ret, NULL) < 0 ? -errno : 0;
}

static int prepare(struct keeper *k, struct err *err)
{
	void *p;

	k->name = session_name(k->spec);
	p = mmap(NULL, sizeof(*k->life), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED || !k->name)
		return err_set(err, -ENOMEM, "session");
	k->life = p;
	return listen_here(k, err);
}

/* The names go while the lock is still held, and the lock goes last. */
static void release(struct keeper *k)
{
	if (k->listen_fd >= 0)
		(void)close(k->listen_fd);
	if (k->live_fd >= 0) {
		state_remove_stale(k->dir, k->hash);
		(void)close(k->live_fd);
	}
	if (k->dir >= 0)
		(void)close(k->dir);
	/* A broker that was killed has left its VM's group, and processes on their way out. */
	children_end(KEEPER_CHILDREN_MS, 0, NULL);
	cgroup_sweep();
	free(k->name);
}

/* The broker's process. Locked memory is not handed down by fork(). */
static void __attribute__((noreturn)) become_broker(const struct keeper *k, int first_fd, pid_t keeper)
{
	const struct broker_start s = {
		.spec = k->spec, .name = k->name, .life = k->life, .pid = keeper, .start_ms = k->start_ms,
		.listen_fd = k->listen_fd, .first_fd = first_fd,
	};

	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != keeper)
		_exit(1);
	if (k->spec->key)
		(void)mlock(k->spec->key, sizeof(*k->spec->key));
	broker_run(&s);
	/* Not exit(): what the keeper has set up for its own end is no business of ours. */
	_exit(0);
}

/* Waits for the broker, handing on what asks us to end. Return: did it end in order? */
static bool await_broker(struct keeper *k, pid_t broker, const sigset_t *set)
{
	for (;;) {
		int status, sig = sigwaitinfo(set, NULL);
		pid_t pid;

		if (sig > 0 && sig != SIGCHLD) {
			k->ending = true;
			(void)kill(broker, SIGTERM);
		}
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
			if (pid != broker)
				continue;
			if (!WIFEXITED(status) || WEXITSTATUS(status))
				log_err("the session's broker ended with status %#x", (unsigned int)status);
			return WIFEXITED(status) && !WEXITSTATUS(status);
		}
		if (pid < 0 && errno == ECHILD)
			return false;
	}
}

/* One VM. Return: is there to be a next one? */
static bool live_once(struct keeper *k, int first_fd, const sigset_t *set)
{
	const struct life before = *k->life;
	const pid_t self = getpid();
	pid_t broker = fork();

	if (broker == 0)
		become_broker(k, first_fd, self);
	if (broker < 0) {
		static const char text[] = "cannot start a process";

		(void)control_send(first_fd, CONTROL_ERROR, -errno, text, sizeof(text) - 1, false);
	}
	if (first_fd >= 0)
		(void)close(first_fd);
	if (broker < 0 || !await_broker(k, broker, set) || k->ending)
		return false;
	if (life_check(k->life, &before) < 0) {
		log_err("the session's broker left nonsense");
		return false;
	}
	return k->life->again && k->life->nr_vms < LIFE_VMS_MAX;
}

static int keep(const struct session_spec *spec, int first_fd)
{
	struct keeper k = { .spec = spec, .dir = -1, .live_fd = -1, .listen_fd = -1, .start_ms = broker_now_ms() };
	struct err err = ERR_INIT;
	sigset_t set;
	int r = block_signals(&set);

	r = r < 0 ? err_set(&err, r, "signals") : prepare(&k, &err);
	if (r < 0) {
		log_err("%s", err.text);
		(void)control_send(first_fd, CONTROL_ERROR, r, err.text, strlen(err.text), false);
		(void)close(first_fd);
	}
	while (r == 0) {
		k.life->nr_vms++;
		k.life->again = false;
		if (!live_once(&k, first_fd, &set))
			break;
		first_fd = -1;
	}
	release(&k);
	return r < 0 ? 1 : 0;
}

static int read_spec(int fd, struct spec_copy **ret, struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	size_t len, size;
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0 || st.st_size <= 0 || st.st_size > SPEC_JSON_MAX)
		return err_set(err, -EBADMSG, "spec of the session");
	size = (size_t)st.st_size;
	text = malloc(size);
	if (!text)
		return err_set(err, -ENOMEM, "spec of the session");
	(void)mlock(text, size);
	r = io_pread_full(fd, text, size, 0);
	if (r < 0)
		return err_set(err, r, "spec of the session");
	len = strnlen(text, size);
	r = len == size || size - len - 1 == KEY_BYTES ? spec_from_json(text, len, ret, err)
						       : err_set(err, -EBADMSG, "spec of the session");
	if (r == 0 && len < size)
		r = spec_copy_set_key(*ret, text + len + 1, err);
	explicit_bzero(text, size);
	/* Whoever else has the memfd finds nothing in it any more. */
	if (pwrite(fd, text, size, 0) < 0 || ftruncate(fd, 0) < 0)
		log_debug("spec of the session: %s", strerror(errno));
	return r;
}

int session_main(int spec_fd, int ready_fd)
{
	CLEANUP(spec_copy_freep) struct spec_copy *spec = NULL;
	const struct rlimit none = { 0 };
	struct err err = ERR_INIT;
	int r;

	log_open(STDERR_FILENO, "pluck session: ");
	(void)prctl(PR_SET_DUMPABLE, 0);
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	(void)setrlimit(RLIMIT_CORE, &none);
	room_raise();
	(void)umask(077);
	(void)signal(SIGPIPE, SIG_IGN);
	r = read_spec(spec_fd, &spec, &err);
	(void)close(spec_fd);
	if (r < 0) {
		log_err("%s", err.text);
		(void)control_send(ready_fd, CONTROL_ERROR, r, err.text, strlen(err.text), false);
		return 1;
	}
	if (spec_copy_get(spec)->debug)
		log_set_level(LOG_LEVEL_DEBUG);
	return keep(spec_copy_get(spec), ready_fd);
}
