/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Records of any length, sorted in memory and in runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/sorter.h"

/* "KEY ORDER FILL": only the key counts. */
static int by_key(const void *a, const void *b)
{
	const unsigned long x = strtoul(a, NULL, 10), y = strtoul(b, NULL, 10);

	return x < y ? -1 : x > y;
}

static size_t text(char *to, size_t room, unsigned long key, unsigned long order, size_t fill)
{
	const int n = snprintf(to, room, "%lu %lu ", key, order);

	memset(to + n, 'x', fill);
	to[(size_t)n + fill] = 0;
	return (size_t)n + fill + 1;
}

/* @nr records with @keys keys; each is some bytes long, one in @large has @fill more. */
static void sort(struct sorter *s, unsigned long nr, unsigned long keys, unsigned long large, size_t fill)
{
	const size_t room = fill + 64;
	char *record = malloc(room), *want = malloc(room);
	unsigned long last = 0, order = 0, seen = 0;
	const void *p;
	size_t n;

	assert_true(record && want);
	for (unsigned long i = 0; i < nr; i++) {
		n = text(record, room, (i * 2654435761u + 1) % keys, i, i % large ? i % 13 : fill);
		assert_int_equal(sorter_add(s, record, n), 0);
	}
	assert_int_equal(sorter_sort(s), 0);
	for (; sorter_next(s, &p, &n) == 1; seen++) {
		char *rest;
		const unsigned long key = strtoul(p, &rest, 10), o = strtoul(rest, NULL, 10);

		assert_int_equal((uintptr_t)p % 8, 0);
		assert_true(!seen || key > last || (key == last && o > order));
		assert_int_equal(n, text(want, room, key, o, o % large ? o % 13 : fill));
		assert_memory_equal(p, want, n);
		last = key;
		order = o;
	}
	assert_int_equal(seen, nr);
	assert_int_equal(sorter_next(s, &p, &n), 0);
	sorter_free(s);
	free(record);
	free(want);
}

static void test_sizes(void **state)
{
	struct sorter s = { .compare = by_key };

	(void)state;
	sort(&s, 0, 1, 1, 0);
	sort(&s, 1, 1, 1, 0);
	sort(&s, 1000, 100, 3, 70);
	sort(&s, 200000, 1 << 20, 2, 1);	/* two runs */
	sort(&s, 700000, 1000, 5, 3);		/* many, of equal keys */
	sort(&s, 700000, 1, 5, 3);
	sort(&s, 2000, 1 << 10, 100, 1 << 20);	/* records larger than a window, which is 16 KiB at least */
	sort(&s, 3, 3, 1, 10 << 20);		/* and than a run */
}

/* The file cannot grow: whoever adds hears of it, and what is there can be given back. */
static void test_no_room(void **state)
{
	static char block[60000];
	const struct rlimit small = { 12 << 20, 12 << 20 };
	struct rlimit old;
	struct sorter s = { .compare = by_key };
	int r = 0;

	(void)state;
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){ small.rlim_cur, old.rlim_max }), 0);
	for (int i = 0; i < 2000 && r == 0; i++)
		r = sorter_add(&s, block, sizeof(block));
	assert_int_equal(r, -EFBIG);
	sorter_free(&s);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
