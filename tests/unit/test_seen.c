/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of chunks that were met: in memory, in the temporary file, and where that has no room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <cmocka.h>

#include "host/source/store/seen.h"

static struct seen chunk(uint32_t i, uint32_t why)
{
	struct seen s = { .len = 1 + i % 5, .crypt = i & 1, .sealed = i % 3 == 0, .why = why };
	uint64_t h = i * UINT64_C(0x9e3779b97f4a7c15);

	/* some begin alike, so that places are taken */
	if (i % 1024 == 0)
		h &= 0xff;
	memcpy(s.digest, &h, sizeof(h));
	memcpy(s.digest + 8, &i, sizeof(i));
	return s;
}

static void put(struct seen_table *t, uint32_t i)
{
	const struct seen s = chunk(i, 0);
	uint64_t place;

	assert_int_equal(seen_find(t, &s, &place, NULL), 0);
	assert_int_equal(seen_put(t, place, &s, true), 0);
}

static void check(struct seen_table *t, uint32_t i)
{
	const uint32_t why = i % 7 ? 0 : i + 1;
	const struct seen key = chunk(i, 0), bad = chunk(i, i + 1);
	struct seen other = key, found = { 0 };
	uint64_t place;

	assert_int_equal(seen_find(t, &key, &place, &found), 1);
	assert_int_equal(found.why, 0);
	if (why)
		assert_int_equal(seen_put(t, place, &bad, false), 0);
	assert_int_equal(seen_find(t, &key, &place, &found), 1);
	assert_int_equal(found.why, why);
	other.len += 5;
	assert_int_equal(seen_find(t, &other, &place, NULL), 0);
	other = key;
	other.crypt ^= 1;
	assert_int_equal(seen_find(t, &other, &place, NULL), 0);
}

static void fill(struct seen_table *t, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i += 1000) {
		assert_int_equal(seen_make_room(t, 1000), 0);
		for (uint32_t k = i; k < i + 1000; k++)
			put(t, k);
	}
	assert_int_equal(t->nr, to);
}

static void test_grows(void **state)
{
	struct seen_table t = { 0 };

	(void)state;
	fill(&t, 0, 20000);
	assert_non_null(t.space.memory);
	fill(&t, 20000, 200000);
	assert_null(t.space.memory);
	for (uint32_t i = 0; i < 200000; i++)
		check(&t, i);
	seen_free(&t);
}

static void test_no_room(void **state)
{
	struct seen_table t = { 0 };
	struct rlimit old, small;

	(void)state;
	(void)signal(SIGXFSZ, SIG_IGN);
	fill(&t, 0, 200000);
	assert_null(t.space.memory);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 1 << 20;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	fill(&t, 200000, 300000);
	assert_non_null(t.space.memory);
	for (uint32_t i = 0; i < 300000; i++)
		check(&t, i);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	seen_free(&t);
}

static void test_space_bounds(void **state)
{
	static const uint64_t len[] = { 1, 4096, 16 << 20, (16 << 20) + 1 };
	uint8_t byte = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(len) / sizeof(*len); i++) {
		struct spool_space s;

		assert_int_equal(spool_space_new(len[i], &s), 0);
		assert_int_equal(spool_space_read(&s, len[i], &byte, 1), -ERANGE);
		assert_int_equal(spool_space_write(&s, len[i], &byte, 1), -ERANGE);
		assert_int_equal(spool_space_read(&s, UINT64_MAX, &byte, 2), -ERANGE);
		byte = 7;
		assert_int_equal(spool_space_read(&s, len[i] - 1, &byte, 1), 0);
		assert_int_equal(byte, 0);
		byte = 9;
		assert_int_equal(spool_space_write(&s, len[i] - 1, &byte, 1), 0);
		byte = 0;
		assert_int_equal(spool_space_read(&s, len[i] - 1, &byte, 1), 0);
		assert_int_equal(byte, 9);
		spool_space_free(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grows),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_space_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
