/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/vm/warden.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/vm/children.h"

#define FAILED 126

static void on_child(int sig)
{
	(void)sig;	/* only there to end ppoll() */
}

static bool is_gone(int life)
{
	struct pollfd pfd = { .fd = life, .events = POLLIN };

	return poll(&pfd, 1, 0) != 0;
}

static void __attribute__((noreturn)) become(char **argv, rlim_t address, pid_t warden, const sigset_t *mask)
{
	struct rlimit rl;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != warden || getrlimit(RLIMIT_AS, &rl) < 0)
		_exit(FAILED);
	rl.rlim_cur = rl.rlim_max = address < rl.rlim_max ? address : rl.rlim_max;
	if (setrlimit(RLIMIT_AS, &rl) < 0 || sigprocmask(SIG_SETMASK, mask, NULL) < 0)
		_exit(FAILED);
	(void)execve(argv[0], argv, environ);
	_exit(127);
}

/* Until the child ends, or the session does. Return: has the child ended? */
static bool watch(int life, pid_t child, const sigset_t *mask, int *ret_status)
{
	struct pollfd pfd = { .fd = life, .events = POLLIN };

	for (;;) {
		int status;
		pid_t pid;

		while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
			if (pid != child)
				continue;
			*ret_status = status;
			return true;
		}
		if (ppoll(&pfd, 1, NULL, mask) > 0)
			return false;
	}
}

int warden_main(char **argv)
{
	const int life = atoi(argv[0]), own = atoi(argv[1]);
	const rlim_t address = strtoull(argv[2], NULL, 10);
	const struct sigaction sa = { .sa_handler = on_child };
	const pid_t self = getpid();
	sigset_t block, mask;
	int status = FAILED << 8;
	pid_t child;

	(void)sigemptyset(&block);
	(void)sigaddset(&block, SIGCHLD);
	if (life < 3 || own < 3 || fcntl(life, F_SETFD, FD_CLOEXEC) < 0 || fcntl(own, F_SETFD, FD_CLOEXEC) < 0)
		return FAILED;
	(void)prctl(PR_SET_NAME, "pluck-jail");
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 || sigprocmask(SIG_BLOCK, &block, &mask) < 0 || is_gone(life))
		return FAILED;
	child = fork();
	if (child == 0)
		become(argv + 3, address, self, &mask);
	/* What is the VM's is held by the VM alone: others see its end by that. */
	if (child < 0 || sigaction(SIGCHLD, &sa, NULL) < 0 || close_range(0, (unsigned int)life - 1, 0) < 0 ||
	    close_range((unsigned int)life + 1, ~0u, 0) < 0 || !watch(life, child, &mask, &status))
		children_end(-1, child, &status);
	else
		children_end(-1, 0, NULL);
	/* Nothing that others have set up for the end of a program is of use without descriptors. */
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}
