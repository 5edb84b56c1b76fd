/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A stack of records: sorted in memory and beyond it, those of one directory above those of the other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <cmocka.h>

#include "common/records.h"

struct record {
	uint64_t key;
	uint64_t value;
};

static int by_key(const void *x, const void *y)
{
	const struct record *a = x, *b = y;

	return a->key < b->key ? -1 : a->key > b->key;
}

/* All numbers below a power of two, in a strange order. */
static void push(struct records *x, uint64_t nr, uint64_t room, uint64_t base)
{
	for (uint64_t i = 0; i < room; i++) {
		const uint64_t v = (i * 2654435761u + 12345) % room;
		const struct record r = { base + 3 * v, v + 1 };

		if (v < nr)
			assert_int_equal(records_add(x, &r), 0);
	}
}

static void check(struct records *x, uint64_t from, uint64_t nr, uint64_t base)
{
	struct record r = { 0 };

	assert_int_equal(records_nr(x), from + nr);
	for (uint64_t i = 0; i < nr; i++) {
		assert_int_equal(records_get(x, from + i, &r), 0);
		assert_true(r.key == base + 3 * i && r.value == i + 1);
	}
}

static void test_sizes(void **state)
{
	static const uint64_t nr[] = { 0, 1, 2, 63, 64, 65, 96, 97, 1000, 87380, 87381, 87382, 174762, 174763, 1000000 };
	struct records x = { .size = sizeof(struct record) };

	(void)state;
	for (size_t i = 0; i < sizeof(nr) / sizeof(*nr); i++) {
		push(&x, nr[i], (uint64_t)1 << 20, 7);
		assert_int_equal(records_sort(&x, 0, by_key), 0);
		check(&x, 0, nr[i], 7);
		assert_int_equal(records_cut(&x, 0), 0);
	}
	records_free(&x);
}

/* Those beneath stay as they are, and come back when those above go. */
static void test_stack(void **state)
{
	static const uint64_t nr[] = { 10, 300000, 5, 1, 200000, 70 };
	const size_t last = sizeof(nr) / sizeof(*nr);
	struct records x = { .size = sizeof(struct record) };
	uint64_t from[sizeof(nr) / sizeof(*nr)];

	(void)state;
	for (size_t i = 0; i < last; i++) {
		from[i] = records_nr(&x);
		push(&x, nr[i], 1 << 19, 1000 * i);
		assert_int_equal(records_sort(&x, from[i], by_key), 0);
		check(&x, from[i], nr[i], 1000 * i);
	}
	for (size_t i = last; i-- > 0;) {
		check(&x, from[i], nr[i], 1000 * i);
		assert_int_equal(records_cut(&x, from[i]), 0);
		push(&x, 3, 4, 9);
		assert_int_equal(records_sort(&x, from[i], by_key), 0);
		check(&x, from[i], 3, 9);
		assert_int_equal(records_cut(&x, from[i]), 0);
	}
	assert_int_equal(records_nr(&x), 0);
	records_free(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_stack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
