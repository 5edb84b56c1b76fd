/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "host/session/conlog.h"
#include "host/session/life.h"

#define P(n) (WIRE_WORK_PORT | (n))

static void test_blame(void **state)
{
	const uint32_t one[] = { P(1) }, twice[] = { P(2), P(2) }, three[] = { P(3), P(4), P(3) }, next[] = { P(4), P(5) };
	struct life l = { 0 };

	(void)state;
	assert_int_equal(life_blame(&l, one, 0), 0);
	/* alone: out */
	assert_int_equal(life_blame(&l, one, 1), 1);
	assert_true(life_is_left_out(&l, P(1)));
	assert_int_equal(life_blame(&l, one, 1), 0);
	/* two requests for one volume are one volume */
	assert_int_equal(life_blame(&l, twice, 2), 1);
	assert_true(life_is_left_out(&l, P(2)));
	/* several: suspected, and out the second time */
	assert_int_equal(life_blame(&l, three, 3), 2);
	assert_false(life_is_left_out(&l, P(3)) || life_is_left_out(&l, P(4)));
	assert_int_equal(life_blame(&l, next, 2), 2);
	assert_true(life_is_left_out(&l, P(4)));
	assert_false(life_is_left_out(&l, P(3)) || life_is_left_out(&l, P(5)));
}

/* Each end of a VM is of use at most a bounded number of times. */
static void test_bound(void **state)
{
	struct life l = { 0 };
	unsigned int news = 0;

	(void)state;
	for (uint32_t i = 0; i < 1000; i++) {
		const uint32_t ports[] = { P(i), P(i + 5000) };

		news += life_blame(&l, ports, 1 + i % 2);
	}
	assert_int_equal(news, 2 * WIRE_LEFT_OUT_MAX);
	assert_int_equal(l.nr_left_out, WIRE_LEFT_OUT_MAX);
	assert_int_equal(l.nr_suspects, WIRE_LEFT_OUT_MAX);
}

static struct life good(void)
{
	struct life l = { .nr_vms = 1, .nr_left_out = 1, .left_out = { P(1) }, .nr_suspects = 1, .suspects = { P(2) } };

	return l;
}

static const struct {
	const char *name;
	size_t off;
	uint32_t value;
	int want;
} lies[] = {
	{ "none", offsetof(struct life, left_out[5]), 0, 0 },
	{ "again", offsetof(struct life, again), 1, 0 },
	{ "again that is no bool", offsetof(struct life, again), 2, -EPROTO },
	{ "count of VMs", offsetof(struct life, nr_vms), 0, -EPROTO },
	{ "many left out", offsetof(struct life, nr_left_out), WIRE_LEFT_OUT_MAX + 1, -EPROTO },
	{ "all left out", offsetof(struct life, nr_left_out), UINT32_MAX, -EPROTO },
	{ "fewer left out", offsetof(struct life, nr_left_out), 0, -EPROTO },
	{ "another left out", offsetof(struct life, left_out[0]), P(9), -EPROTO },
	{ "what is no port of work", offsetof(struct life, nr_left_out), 2, -EPROTO },
	{ "many suspects", offsetof(struct life, nr_suspects), WIRE_LEFT_OUT_MAX + 1, -EPROTO },
	{ "another suspect", offsetof(struct life, suspects[0]), P(1), -EPROTO },
	{ "a positive code", offsetof(struct life, reason.code), 5, -EPROTO },
	{ "a wide code", offsetof(struct life, reason.code), 0x80000000u, -EPROTO },
};

static void test_check(void **state)
{
	const struct life before = good();
	struct life l = good();

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
		l = good();
		print_message("%s\n", lies[i].name);
		memcpy((char *)&l + lies[i].off, &lies[i].value, lies[i].off == offsetof(struct life, again) ? 1 : sizeof(uint32_t));
		assert_int_equal(life_check(&l, &before), lies[i].want);
	}
	l = good();
	memset(l.reason.text, 'x', sizeof(l.reason.text));
	assert_int_equal(life_check(&l, &before), -EPROTO);
}

static char base[64];

static int setup(void **state)
{
	(void)state;
	(void)snprintf(base, sizeof(base), "/tmp/pluck-test-XXXXXX");
	return mkdtemp(base) && setenv("XDG_STATE_HOME", base, 1) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
	char cmd[128];

	(void)state;
	(void)snprintf(cmd, sizeof(cmd), "rm -rf %s", base);
	return system(cmd) ? -1 : 0;
}

static void expect_file(const char *path, const char *begin, const char *end)
{
	CLEANUP_FREE char *text = NULL;
	struct stat st;
	size_t len;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_true(st.st_size <= CONLOG_BYTES);
	assert_int_equal(io_read_file(AT_FDCWD, path, CONLOG_BYTES, &text, &len), 0);
	assert_memory_equal(text, begin, strlen(begin));
	assert_true(len >= strlen(end));
	assert_string_equal(text + len - strlen(end), end);
}

static void test_conlog(void **state)
{
	CLEANUP(console_freep) struct console *c = console_new(-1, CONLOG_BYTES);
	struct conlog *l = NULL, *other = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(conlog_open("disk:a=/x\n\033[2J", &l, &err), 0);
	expect_file(conlog_path(l), "# 2", "Z disk:a=/x\\x0a\\x1b[2J\n");
	console_add(c, "boot\r\n\033[31mred\n", 15);
	assert_int_equal(conlog_write(l, c), 0);
	expect_file(conlog_path(l), "# 2", "\nboot\n\\x1b[31mred\n");
	/* a flood of what grows by escaping: bounded, the last lines are there */
	for (int i = 0; i < 40000; i++)
		console_add(c, "\001\002\003\004\005\006\007\n", 8);
	console_add(c, "panic\n", 6);
	assert_int_equal(conlog_write(l, c), 0);
	expect_file(conlog_path(l), "# 2", "\\x07\npanic\n");
	/* the next VM takes another file */
	assert_int_equal(conlog_open("b", &other, &err), 0);
	assert_string_not_equal(conlog_path(l), conlog_path(other));
	conlog_close(other);
	conlog_close(l);
}

/* More VMs than files: the oldest goes first, none is taken from who has it, and there are never more. */
static void test_conlog_rotation(void **state)
{
	struct conlog *l[CONLOG_FILES + 1] = { NULL };
	CLEANUP_FREE char *kept = NULL;
	struct err err = ERR_INIT;

	(void)state;
	for (int i = 0; i < CONLOG_FILES; i++)
		assert_int_equal(conlog_open("x", &l[i], &err), 0);
	assert_int_equal(conlog_open("x", &l[CONLOG_FILES], &err), -EBUSY);
	kept = strdup(conlog_path(l[3]));
	for (int i = 0; i < CONLOG_FILES; i++)
		if (i != 3)
			conlog_close(l[i]);
	for (int i = 0; i < 3 * CONLOG_FILES; i++) {
		struct conlog *n = NULL;

		assert_int_equal(conlog_open("y", &n, &err), 0);
		assert_string_not_equal(conlog_path(n), kept);
		conlog_close(n);
	}
	conlog_close(l[3]);
}

static void test_conlog_refused(void **state)
{
	struct conlog *l = NULL;
	struct err err = ERR_INIT;
	char path[128];

	(void)state;
	/* a directory that others may write to */
	(void)snprintf(path, sizeof(path), "%s/pluck", base);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(chmod(path, 0777), 0);
	assert_int_equal(conlog_open("x", &l, &err), -EPERM);
	assert_int_equal(chmod(path, 0700), 0);
	/* links and other names lead nowhere: such a file is passed over */
	(void)snprintf(path, sizeof(path), "%s/victim", base);
	(void)close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
	(void)snprintf(path, sizeof(path), "%s/pluck/console.0.log", base);
	assert_int_equal(symlink("../victim", path), 0);
	(void)snprintf(path, sizeof(path), "%s/pluck/console.1.log", base);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(conlog_open("x", &l, &err), 0);
	assert_non_null(strstr(conlog_path(l), "console.2.log"));
	conlog_close(l);
	assert_int_equal(setenv("XDG_STATE_HOME", "relative", 1), 0);
	(void)unsetenv("HOME");
	assert_int_equal(conlog_open("x", &l, &err), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blame),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_check),
		cmocka_unit_test_setup_teardown(test_conlog, setup, teardown),
		cmocka_unit_test_setup_teardown(test_conlog_rotation, setup, teardown),
		cmocka_unit_test_setup_teardown(test_conlog_refused, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
