/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/io.h"
#include "host/link/link.h"

static int sv[2];

static int setup(void **state)
{
	(void)state;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sv) < 0)
		return -1;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	(void)close(sv[0]);
	(void)close(sv[1]);
	return 0;
}

/* The lowest free descriptor: unchanged when nothing leaked. */
static int lowest_fd(void)
{
	int fd = dup(0);

	(void)close(fd);
	return fd;
}

static const struct {
	const char *name;
	struct link_msg m;
	size_t len;	/* 0: all of it */
	size_t nr_fds;
	int want;
} cases[] = {
	{ "stop", { .type = LINK_STOP }, 0, 0, 1 },
	{ "setup", { .type = LINK_SETUP, .setup = { .nr_slots = 2 } }, 0, 5, 1 },
	{ "setup, too few descriptors", { .type = LINK_SETUP, .setup = { .nr_slots = 2 } }, 0, 4, -EPROTO },
	{ "setup, too many slots", { .type = LINK_SETUP, .setup = { .nr_slots = 65 } }, 0, 64, -EPROTO },
	{ "setup, slots wrap", { .type = LINK_SETUP, .setup = { .nr_slots = 0xfffffffd } }, 0, 0, -EPROTO },
	{ "raw disk", { .type = LINK_DISK, .disk = { .raw = true } }, 0, 1, 1 },
	{ "raw disk without descriptor", { .type = LINK_DISK, .disk = { .raw = true } }, 0, 0, -EPROTO },
	{ "chunked disk with descriptor", { .type = LINK_DISK }, 0, 1, -EPROTO },
	{ "disk slot", { .type = LINK_DISK, .slot = LINK_DISKS_MAX }, 0, 0, -EPROTO },
	{ "client", { .type = LINK_CLIENT }, 0, 1, 1 },
	{ "client with two", { .type = LINK_CLIENT }, 0, 2, -EPROTO },
	{ "positive code", { .type = LINK_UNIT, .unit = { .code = 1 } }, 0, 0, -EPROTO },
	{ "want with descriptor", { .type = LINK_WANT }, 0, 1, -EPROTO },
	{ "short", { .type = LINK_STOP }, sizeof(struct link_msg) - 1, 0, -EPROTO },
	{ "one byte and a descriptor", { .type = LINK_CLIENT }, 1, 1, -EPROTO },
	{ "type 0", { .type = 0 }, 0, 0, -EPROTO },
	{ "garbage type", { .type = 0xdeadbeef }, 0, 1, -EPROTO },
	{ "work", { .type = LINK_WORK, .work = { .port = 0x80000001 } }, 0, 0, 1 },
	{ "work on a port of others", { .type = LINK_WORK, .work = { .port = 807 } }, 0, 0, -EPROTO },
	{ "fatal", { .type = LINK_FATAL, .fatal = { .text = "x" } }, 0, 0, 1 },
};

static void test_table(void **state)
{
	int fds[IO_FDS_MAX], got[IO_FDS_MAX], before = lowest_fd();

	(void)state;
	for (size_t i = 0; i < IO_FDS_MAX; i++)
		fds[i] = 0;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct link_msg m;
		size_t nr = 99;

		print_message("%s\n", cases[i].name);
		assert_int_equal(io_send_msg(sv[0], &cases[i].m, cases[i].len ? cases[i].len : sizeof(m), fds, cases[i].nr_fds), 0);
		assert_int_equal(link_recv(sv[1], &m, got, IO_FDS_MAX, &nr), cases[i].want);
		if (cases[i].want == 1) {
			assert_int_equal(nr, cases[i].nr_fds);
			assert_int_equal(m.type, cases[i].m.type);
			for (size_t k = 0; k < nr; k++) {
				assert_true(fcntl(got[k], F_GETFD) & FD_CLOEXEC);
				(void)close(got[k]);
			}
		}
		assert_int_equal(lowest_fd(), before);
	}
}

static void test_odd_bytes(void **state)
{
	struct link_msg m, r;
	uint8_t two = 2;

	(void)state;
	m = (struct link_msg){ .type = LINK_UNIT };
	memcpy(&m.unit.zero, &two, 1);
	assert_int_equal(link_send(sv[0], &m, NULL, 0), 0);
	assert_int_equal(link_recv(sv[1], &r, NULL, 0, NULL), -EPROTO);
	m = (struct link_msg){ .type = LINK_WORK, .work = { .port = 0x80000001 } };
	memcpy(&m.work.begins, &two, 1);
	assert_int_equal(link_send(sv[0], &m, NULL, 0), 0);
	assert_int_equal(link_recv(sv[1], &r, NULL, 0, NULL), -EPROTO);
	m = (struct link_msg){ .type = LINK_FATAL };
	memset(m.fatal.text, 'x', sizeof(m.fatal.text));
	assert_int_equal(link_send(sv[0], &m, NULL, 0), 0);
	assert_int_equal(link_recv(sv[1], &r, NULL, 0, NULL), -EPROTO);
}

static void test_room_full_end(void **state)
{
	struct link_msg m = { .type = LINK_CLIENT };
	int fd = 0, got[1], before = lowest_fd(), n = 0, r;

	(void)state;
	assert_int_equal(link_recv(sv[1], &m, got, 1, NULL), -EAGAIN);
	m.type = LINK_CLIENT;
	assert_int_equal(link_send(sv[0], &m, &fd, 1), 0);
	assert_int_equal(link_recv(sv[1], &m, NULL, 0, NULL), -EPROTO);
	m = (struct link_msg){ .type = LINK_STOP };
	while ((r = link_send(sv[0], &m, NULL, 0)) == 0)
		n++;
	assert_int_equal(r, -EAGAIN);
	while (n--)
		assert_int_equal(link_recv(sv[1], &m, NULL, 0, NULL), 1);
	(void)shutdown(sv[0], SHUT_WR);
	assert_int_equal(link_recv(sv[1], &m, NULL, 0, NULL), 0);
	assert_int_equal(lowest_fd(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_table, setup, teardown),
		cmocka_unit_test_setup_teardown(test_odd_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_room_full_end, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
