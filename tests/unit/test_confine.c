/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/sanitized.h"
#include "host/confine/confine.h"
#include "host/dev/sandbox.h"

static void try_ptrace(void)
{
	(void)ptrace(PTRACE_TRACEME, 0, 0, 0);
}

static void try_exec(void)
{
	(void)execl("/bin/true", "true", NULL);
}

static void try_fork(void)
{
	if (fork() == 0)
		_exit(0);
}

static void try_tcp(void)
{
	(void)!socket(AF_INET, SOCK_STREAM, 0);
}

static void try_netlink(void)
{
	(void)!socket(AF_NETLINK, SOCK_RAW, 0);
}

static void try_unshare(void)
{
	(void)unshare(CLONE_NEWUSER);
}

static void try_mount(void)
{
	(void)mount("none", "/tmp", "tmpfs", 0, NULL);
}

static void try_bpf(void)
{
	(void)syscall(SYS_bpf, 0, NULL, 0);
}

static void try_keyctl(void)
{
	(void)syscall(SYS_keyctl, 0, 0, 0);
}

static void try_io_uring(void)
{
	(void)syscall(SYS_io_uring_setup, 1, NULL);
}

static void try_perf(void)
{
	(void)syscall(SYS_perf_event_open, NULL, 0, 0, -1, 0);
}

static void try_userfaultfd(void)
{
	(void)syscall(SYS_userfaultfd, 0);
}

static void try_vm_read(void)
{
	(void)process_vm_readv(getpid(), NULL, 0, NULL, 0, 0);
}

static void *in_thread(void *arg)
{
	try_ptrace();
	return arg;
}

/* A thread that blocks signals, as ours do. */
static void try_thread(void)
{
	sigset_t all;
	pthread_t t;

	(void)sigfillset(&all);
	(void)sigdelset(&all, SIGSYS);
	(void)pthread_sigmask(SIG_SETMASK, &all, NULL);
	if (pthread_create(&t, NULL, in_thread, NULL) == 0)
		(void)pthread_join(t, NULL);
}

static void *do_nothing(void *arg)
{
	return arg;
}

static void use_what_is_allowed(void)
{
	pthread_t t;
	void *p = malloc(1u << 20);
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (socket(AF_UNIX, SOCK_STREAM, 0) < 0 || fd < 0 || !p || pthread_create(&t, NULL, do_nothing, NULL) ||
		pthread_join(t, NULL) || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		_exit(1);
	free(p);
}

static const struct {
	const char *name;
	void (*fn)(void);
	int nr;			/* of the call that ends it; -1: it goes well */
} cases[] = {
	{ "what is needed", use_what_is_allowed, -1 },
	{ "ptrace", try_ptrace, SYS_ptrace },
	{ "exec", try_exec, SYS_execve },
	{ "fork", try_fork, SYS_clone },
	{ "TCP", try_tcp, SYS_socket },
	{ "netlink", try_netlink, SYS_socket },
	{ "unshare", try_unshare, SYS_unshare },
	{ "mount", try_mount, SYS_mount },
	{ "bpf", try_bpf, SYS_bpf },
	{ "keyctl", try_keyctl, SYS_keyctl },
	{ "io_uring", try_io_uring, SYS_io_uring_setup },
	{ "perf", try_perf, SYS_perf_event_open },
	{ "userfaultfd", try_userfaultfd, SYS_userfaultfd },
	{ "read another's memory", try_vm_read, SYS_process_vm_readv },
	{ "in a thread", try_thread, SYS_ptrace },
};

static void run_case(size_t i, bool session)
{
	char text[256] = "", want[64];
	int p[2], status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(p), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)dup2(p[1], STDERR_FILENO);
		if ((session ? confine_session(NULL) : confine_command(-1, NULL)) < 0)
			_exit(2);
		cases[i].fn();
		_exit(0);
	}
	(void)close(p[1]);
	n = read(p[0], text, sizeof(text) - 1);
	(void)close(p[0]);
	assert_true(n >= 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (cases[i].nr < 0) {
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
		return;
	}
	(void)snprintf(want, sizeof(want), "pluck: sandbox: system call %d is not allowed\n", cases[i].nr);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS || strcmp(text, want) != 0)
		fail_msg("%s: status %x, said '%s'", cases[i].name, (unsigned int)status, text);
}

static void test_calls(void **state)
{
	(void)state;
	if (SANITIZED)
		skip();
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		run_case(i, false);
		run_case(i, true);
	}
}

static void try_open(void)
{
	(void)!open("/dev/null", O_RDONLY);
}

static void try_unix(void)
{
	(void)!socket(AF_UNIX, SOCK_STREAM, 0);
}

static void try_executable_memory(void)
{
	(void)mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* The device process has a list of what is allowed, and is killed without a word. */
static void test_device(void **state)
{
	void (*const forbidden[])(void) = { try_open, try_unix, try_executable_memory, try_exec, try_fork, try_ptrace };

	(void)state;
	if (SANITIZED)
		skip();
	for (size_t i = 0; i < sizeof(forbidden) / sizeof(*forbidden); i++) {
		pid_t pid = fork();
		int status;

		if (pid == 0) {
			if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || sandbox_enter(0, NULL) < 0)
				_exit(2);
			forbidden[i]();
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGSYS);
	}
}

static bool can_make(int dir, const char *name)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd >= 0)
		(void)close(fd);
	return fd >= 0;
}

/* What an extraction does in its directory, and what it must not do outside. Return: which went wrong; 0. */
static int use_paths(int in, int out, const char *secret)
{
	char self[40];
	int fd;

	if (!can_make(in, "a") || mkdirat(in, "d", 0700) < 0 || !can_make(in, "d/b"))
		return 1;
	if (linkat(in, "a", in, "d/link", 0) < 0 || renameat(in, "d/b", in, "c") < 0 || symlinkat("x", in, "s") < 0)
		return 2;
	fd = openat(in, ".", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600);
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	if (fd >= 0 && (ftruncate(fd, 4096) < 0 || linkat(AT_FDCWD, self, in, "t", AT_SYMLINK_FOLLOW) < 0))
		return 3;
	if (fchmodat(in, "a", 0644, 0) < 0 || unlinkat(in, "c", 0) < 0 || mkfifoat(in, "f", 0600) < 0)
		return 4;
	if (can_make(out, "a") || mkdirat(out, "d", 0700) == 0 || symlinkat("x", out, "s") == 0)
		return 5;
	if (unlinkat(out, secret, 0) == 0 || openat(out, secret, O_WRONLY | O_CLOEXEC) >= 0)
		return 6;
	if (linkat(in, "a", out, "link", 0) == 0 || renameat(in, "a", out, "moved") == 0 || renameat(out, secret, in, "m") == 0)
		return 7;
	return openat(out, secret, O_RDONLY | O_CLOEXEC) < 0 ? 8 : 0;
}

static void check_paths(bool with_dir, int want)
{
	char top[] = "/tmp/test-confine-XXXXXX", path[64], command[96];
	int in, out, status;
	pid_t pid;

	assert_non_null(mkdtemp(top));
	(void)snprintf(path, sizeof(path), "%s/in", top);
	assert_int_equal(mkdir(path, 0700), 0);
	in = open(path, O_RDONLY | O_DIRECTORY);
	out = open(top, O_RDONLY | O_DIRECTORY);
	assert_true(in >= 0 && out >= 0 && can_make(out, "secret"));
	pid = fork();
	if (pid == 0)
		_exit(confine_command(with_dir ? in : -1, NULL) < 0 ? 99 : use_paths(in, out, "secret"));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	(void)close(in);
	(void)close(out);
	(void)snprintf(command, sizeof(command), "rm -rf %s", top);
	assert_int_equal(system(command), 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), want);
}

static void test_paths(void **state)
{
	(void)state;
	if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 2)
		skip();
	check_paths(true, 0);
	check_paths(false, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_device),
		cmocka_unit_test(test_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
