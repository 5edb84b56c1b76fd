/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/vm_sockets.h>

#include "agent/conn.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "common/log.h"

#define BUFFER_SIZE UINT64_C(1048576)	/* vsock: the kernel caps the peer's credit at our own buffer */
#define TICK_MS 1000

static int start_listening(int sock, const struct sockaddr *addr, socklen_t len, struct err *err)
{
	CLEANUP_CLOSE int fd = sock;
	int r;

	if (bind(fd, addr, len) < 0 || listen(fd, WIRE_CONN_MAX) < 0)
		return err_set(err, -errno, "listen");
	r = io_set_nonblock(fd);
	if (r < 0)
		return err_set(err, r, "listen");
	return TAKE_FD(fd);
}

int server_listen_vsock(struct err *err)
{
	struct sockaddr_vm addr = { .svm_family = AF_VSOCK, .svm_port = WIRE_PORT, .svm_cid = VMADDR_CID_ANY };
	uint64_t size = BUFFER_SIZE;
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_set(err, -errno, "vsock socket");
	(void)setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_BUFFER_MAX_SIZE, &size, sizeof(size));
	(void)setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, &size, sizeof(size));
	return start_listening(fd, (struct sockaddr *)&addr, sizeof(addr), err);
}

int server_listen_unix(const char *path, struct err *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(addr.sun_path))
		return err_set(err, -ENAMETOOLONG, "socket '%s'", path);
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_set(err, -errno, "unix socket");
	(void)unlink(path);
	return start_listening(fd, (struct sockaddr *)&addr, sizeof(addr), err);
}

int server_say_ready(struct err *err)
{
	struct sockaddr_vm addr = { .svm_family = AF_VSOCK, .svm_port = WIRE_READY_PORT, .svm_cid = VMADDR_CID_HOST };
	CLEANUP_CLOSE int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_set(err, -errno, "connect to the host");
	r = io_write_full(fd, WIRE_READY_LINE, strlen(WIRE_READY_LINE));
	return r < 0 ? err_set(err, r, "say that we are ready") : 0;
}

static void reap(struct agent *a)
{
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (size_t i = 0; i < WIRE_CONN_MAX; i++) {
			if (atomic_load(&a->shared->worker[i].pid) != pid)
				continue;
			if (atomic_exchange(&a->shared->worker[i].load, AGENT_IDLE) != AGENT_IDLE)
				agent_ping(a);
			atomic_store(&a->shared->worker[i].pid, 0);
		}
		if (WIFSIGNALED(status))
			log_err("a worker died of signal %d", WTERMSIG(status));
	}
}

static long free_slot(const struct agent *a)
{
	for (size_t i = 0; i < WIRE_CONN_MAX; i++)
		if (!atomic_load(&a->shared->worker[i].pid))
			return (long)i;
	return -1;
}

static void worker_main(struct agent *a, int fd, size_t slot, const sigset_t *mask)
{
	a->worker = slot;
	(void)sigprocmask(SIG_SETMASK, mask, NULL);
	if (!a->is_init)
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	conn_serve(a, fd);
	agent_set_load(a, AGENT_IDLE);
	_exit(0);
}

static void start_worker(struct agent *a, int listen_fd, const sigset_t *mask)
{
	CLEANUP_CLOSE int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
	long slot = free_slot(a);
	pid_t pid;

	if (fd < 0 || slot < 0)
		return;
	pid = fork();
	if (pid < 0) {
		log_err("cannot start a worker: %s", strerror(errno));
		return;
	}
	if (!pid) {
		(void)close(listen_fd);
		worker_main(a, fd, (size_t)slot, mask);
	}
	atomic_store(&a->shared->worker[slot].pid, pid);
}

static void on_child(int sig)
{
	(void)sig;	/* only there to end ppoll() */
}

int server_run(struct agent *a, int listen_fd, struct err *err)
{
	struct sigaction sa = { .sa_handler = on_child, .sa_flags = SA_NOCLDSTOP };
	sigset_t block, mask;

	sigemptyset(&block);
	sigaddset(&block, SIGCHLD);
	if (sigaction(SIGCHLD, &sa, NULL) < 0 || sigprocmask(SIG_BLOCK, &block, &mask) < 0)
		return err_set(err, -errno, "signals");
	agent_ping(a);
	for (;;) {
		struct timespec tick = { .tv_sec = TICK_MS / 1000 };
		struct pollfd p = { .fd = free_slot(a) < 0 ? -1 : listen_fd, .events = POLLIN };
		int n = ppoll(&p, 1, &tick, &mask);

		if (n < 0 && errno != EINTR)
			return err_set(err, -errno, "poll");
		reap(a);
		if (n > 0)
			start_worker(a, listen_fd, &mask);
		if (!agent_timeout(a))
			return 0;
	}
}
