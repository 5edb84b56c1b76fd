/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/cleanup.h"
#include "host/vm/console.h"
#include "host/vm/tsc.h"

static const struct {
	const char *in;
	size_t ring, room;
	const char *want;
} cases[] = {
	{ "", 64, 64, "" },
	{ "one\r\ntwo\r\n", 64, 64, "one\ntwo\n" },
	{ "no line end", 64, 64, "no line end\n" },
	{ "a\x1b[2Jb\x07\n", 64, 64, "a\\x1b[2Jb\\x07\n" },
	{ "first\nsecond\nthird\n", 64, 14, "second\nthird\n" },
	{ "first\nsecond\nthird\n", 8, 64, "d\nthird\n" },
	{ "\n\n\n", 64, 64, "" },
	{ "a\n\nb\n", 64, 64, "a\n\nb\n" },
	{ "long line that does not fit\n", 64, 5, "" },
	{ "x\n", 64, 1, "" },
};

static void test_tail(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		CLEANUP(console_freep) struct console *c = console_new(-1, cases[i].ring);
		char out[64];

		print_message("%zu\n", i);
		/* Whole, and byte by byte. */
		console_add(c, cases[i].in, strlen(cases[i].in));
		assert_int_equal(console_tail(c, out, cases[i].room), strlen(cases[i].want));
		assert_string_equal(out, cases[i].want);
		for (size_t k = 0; k < cases[i].ring; k++)
			console_add(c, "\n", 1);
		for (const char *p = cases[i].in; *p; p++)
			console_add(c, p, 1);
		(void)console_tail(c, out, cases[i].room);
		if (cases[i].ring > strlen(cases[i].in) && *cases[i].want && cases[i].room == 64)
			assert_non_null(strstr(out, cases[i].want));
	}
}

static const struct {
	const char *in, *want;
} sign_cases[] = {
	{ "", "" },
	{ "[0.1] fine\n[0.2] also fine\n", "" },
	{ "[0.1] fine\n[1.0] divide error: 0000 [#1]\nRAX: 0\n[1.1] Kernel panic - not syncing\nOffset\n",
	  "[1.0] divide error: 0000 [#1]\n[1.1] Kernel panic - not syncing\n" },
	{ "Kernel pani", "" },
	{ "Kernel panic\x1b[2J", "Kernel panic\\x1b[2J\n" },
	{ "BUG: 1\nBUG: 2\nBUG: 3\nBUG: 4\nBUG: 5\n", "BUG: 1\nBUG: 2\nBUG: 3\nBUG: 4\n" },
};

static void test_signs(void **state)
{
	CLEANUP(console_freep) struct console *c = console_new(-1, 4096);
	char out[256], flood[2000];

	(void)state;
	for (size_t i = 0; i < sizeof(sign_cases) / sizeof(*sign_cases); i++) {
		CLEANUP(console_freep) struct console *one = console_new(-1, 256);

		print_message("%zu\n", i);
		console_add(one, sign_cases[i].in, strlen(sign_cases[i].in));
		assert_int_equal(console_signs(one, out, sizeof(out)), strlen(sign_cases[i].want));
		assert_string_equal(out, sign_cases[i].want);
	}
	/* what is long, and what does not fit */
	memset(flood, 1, sizeof(flood));
	memcpy(flood, "BUG: ", 5);
	console_add(c, flood, sizeof(flood));
	assert_true(console_signs(c, out, sizeof(out)) < sizeof(out));
	assert_int_equal(console_signs(c, out, 5), 0);
	assert_int_equal(console_signs(c, out, 1), 0);
}

static void test_flood(void **state)
{
	CLEANUP(console_freep) struct console *c = NULL;
	char part[1000], out[300];
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	c = console_new(p[0], 4096);
	memset(part, 0xff, sizeof(part));
	for (int i = 0; i < 100; i++) {
		assert_int_equal(write(p[1], part, sizeof(part)), sizeof(part));
		assert_int_equal(console_read(c), 1);
	}
	assert_true(console_total(c) == 100000);
	assert_true(console_tail(c, out, sizeof(out)) < sizeof(out));
	(void)close(p[1]);
	assert_int_equal(console_read(c), 0);
}

static void test_tsc(void **state)
{
	uint32_t a = tsc_khz(), b = tsc_khz();

	(void)state;
#if defined(__x86_64__)
	assert_in_range(a, 500000, 10000000);
	assert_in_range(b, a - a / 100, a + a / 100);
#else
	assert_int_equal(a, b);
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_tail), cmocka_unit_test(test_signs), cmocka_unit_test(test_flood), cmocka_unit_test(test_tsc) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
