/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The device process from outside, without a VM: what ends it, and how. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/io.h"
#include "host/dev/dev.h"
#include "host/link/link.h"

#define RAM (4u << 20)

static const char *self_path;
static pid_t dev;
static int link_fd, qemu_fd;

static void start(void)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	link_fd = pair[0];
	dev = fork();
	if (dev == 0) {
		(void)dup2(pair[1], 3);
		(void)fcntl(3, F_SETFD, 0);
		(void)execl(self_path, "test", "__device", (char *)NULL);
		_exit(127);
	}
	(void)close(pair[1]);
}

static void send_setup(bool seal, uint64_t ram_bytes, uint64_t cache_slots)
{
	struct link_msg m = { .type = LINK_SETUP, .setup = { .ram_bytes = ram_bytes, .guest_cid = 3, .cache_slot_bytes = 4096 } };
	int fds[3], pair[2];

	m.setup.nr_cache_slots = (uint32_t)cache_slots;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	qemu_fd = pair[0];
	fds[0] = memfd_create("ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	fds[1] = memfd_create("cache", MFD_CLOEXEC);
	fds[2] = pair[1];
	assert_int_equal(ftruncate(fds[0], RAM), 0);
	assert_int_equal(ftruncate(fds[1], 4096), 0);
	if (seal)
		assert_int_equal(fcntl(fds[0], F_ADD_SEALS, F_SEAL_SHRINK), 0);
	assert_int_equal(link_send(link_fd, &m, fds, 3), 0);
	for (int i = 0; i < 3; i++)
		(void)close(fds[i]);
}

static void expect_fatal(const char *text)
{
	struct link_msg m;

	assert_int_equal(link_recv(link_fd, &m, NULL, 0, NULL), 1);
	assert_int_equal(m.type, LINK_FATAL);
	if (!strstr(m.fatal.text, text))
		fail_msg("'%s' has no '%s'", m.fatal.text, text);
}

static void expect_ready(void)
{
	struct link_msg m;

	assert_int_equal(link_recv(link_fd, &m, NULL, 0, NULL), 1);
	assert_int_equal(m.type, LINK_READY);
}

static void expect_exit(int want)
{
	int status;

	assert_int_equal(waitpid(dev, &status, 0), dev);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), want);
	(void)close(link_fd);
	(void)close(qemu_fd);
	qemu_fd = -1;
}

static void test_bad_setup(void **state)
{
	const struct link_msg stop = { .type = LINK_STOP };

	(void)state;
	start();
	send_setup(false, RAM, 1);
	expect_fatal("guest memory");
	expect_exit(1);
	start();
	send_setup(true, RAM / 2, 1);
	expect_fatal("guest memory");
	expect_exit(1);
	start();
	send_setup(true, RAM, 2);
	expect_fatal("cache");
	expect_exit(1);
	start();
	assert_int_equal(link_send(link_fd, &stop, NULL, 0), 0);
	expect_fatal("before SETUP");
	expect_exit(1);
}

static void test_ends(void **state)
{
	const struct link_msg stop = { .type = LINK_STOP };

	(void)state;
	start();
	send_setup(true, RAM, 1);
	expect_ready();
	assert_int_equal(link_send(link_fd, &stop, NULL, 0), 0);
	expect_exit(0);
	start();
	send_setup(true, RAM, 1);
	expect_ready();
	(void)shutdown(link_fd, SHUT_WR);
	expect_exit(0);
}

static void test_sandbox(void **state)
{
	char path[64], *text;
	size_t len;

	(void)state;
	start();
	send_setup(true, RAM, 1);
	expect_ready();
	(void)snprintf(path, sizeof(path), "/proc/%d/status", dev);
	assert_int_equal(io_read_file(AT_FDCWD, path, 65536, &text, &len), 0);
	assert_non_null(strstr(text, "NoNewPrivs:\t1"));
#if !defined(__SANITIZE_ADDRESS__)
	assert_non_null(strstr(text, "Seccomp:\t2"));
#endif
	free(text);
	(void)close(link_fd);
	expect_exit(0);
}

/* Messages that the session would never send. */
static void test_bad_link(void **state)
{
	static const struct {
		struct link_msg m;
		const char *text;
	} bad[] = {
		{ { .type = LINK_READY }, "link: message 64" },
		{ { .type = LINK_UNIT, .slot = 5 }, "link: slot 5" },
		{ { .type = LINK_DISK, .slot = 0 }, "link: slot 0" },
	};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		start();
		send_setup(true, RAM, 1);
		expect_ready();
		assert_int_equal(link_send(link_fd, &bad[i].m, NULL, 0), 0);
		expect_fatal(bad[i].text);
		expect_exit(1);
	}
}

/* QEMU, taken over: a request that does not exist; a foreign file as the guest's memory. */
static void test_bad_qemu(void **state)
{
	const uint32_t unknown[3] = { 99, 1, 0 };
	struct {
		uint32_t header[3], nr, pad;
		uint64_t region[4];
	} __attribute__((packed)) table = { { 5, 1, 40 }, 1, 0, { 0, 4096, 4096, 0 } };
	int fd;

	(void)state;
	start();
	send_setup(true, RAM, 1);
	expect_ready();
	assert_int_equal(io_write_full(qemu_fd, unknown, sizeof(unknown)), 0);
	expect_fatal("vsock: vhost-user: request 99");
	expect_exit(1);
	start();
	send_setup(true, RAM, 1);
	expect_ready();
	fd = memfd_create("other", MFD_CLOEXEC);
	assert_int_equal(io_send_msg(qemu_fd, &table, sizeof(table), &fd, 1), 0);
	(void)close(fd);
	expect_fatal("not the guest's memory");
	expect_exit(1);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_setup), cmocka_unit_test(test_ends),	   cmocka_unit_test(test_sandbox),
		cmocka_unit_test(test_bad_link),  cmocka_unit_test(test_bad_qemu),
	};

	if (argc > 1 && !strcmp(argv[1], "__device"))
		return dev_main(3);
	self_path = argv[0];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
