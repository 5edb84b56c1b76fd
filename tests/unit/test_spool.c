/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Spools below and above what they keep in memory, two at once, with a temporary file and without. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/spool.h"
#include "common/spool_area.h"
#include "common/spool_file.h"

#define NR ((uint64_t)600000)	/* three times what stays in memory */

struct record {
	uint64_t key;
	uint32_t a, b, c;
};

static struct record record_of(uint64_t i)
{
	return (struct record){ 3 * i + 1, (uint32_t)i, (uint32_t)(i * 7), 5 };
}

static void fill(struct spool *s, uint64_t from, uint64_t to)
{
	for (uint64_t i = from; i < to; i++) {
		const struct record r = record_of(i);

		assert_int_equal(spool_add(s, &r, sizeof(r)), 0);
	}
}

static void check(const struct spool *s, uint64_t nr)
{
	struct record r, want;
	char *all = malloc(nr * sizeof(r));

	assert_non_null(all);
	assert_int_equal(s->len, nr * sizeof(r));
	assert_int_equal(spool_read(s, 0, all, nr * sizeof(r)), 0);
	for (uint64_t i = 0; i < nr; i++) {
		want = record_of(i);
		memcpy(&r, all + i * sizeof(r), sizeof(r));
		assert_true(r.key == want.key && r.a == want.a && r.b == want.b && r.c == want.c);
	}
	free(all);
	for (uint64_t i = 0; i < nr; i += 4999) {
		want = record_of(i);
		assert_int_equal(spool_find(s, want.key, &r, sizeof(r)), 1);
		assert_true(r.key == want.key && r.a == want.a);
		assert_int_equal(spool_find(s, want.key + 1, &r, sizeof(r)), 0);
	}
	assert_int_equal(spool_find(s, 0, &r, sizeof(r)), 0);
	assert_int_equal(spool_find(s, UINT64_MAX, &r, sizeof(r)), 0);
	assert_int_equal(spool_read(s, nr * sizeof(r), &r, 0), 0);
	assert_int_equal(spool_read(s, nr * sizeof(r) - 1, &r, 2), -ERANGE);
	assert_int_equal(spool_read(s, UINT64_MAX, &r, 2), -ERANGE);
}

static size_t peak(void)
{
	struct rusage u;

	assert_int_equal(getrusage(RUSAGE_SELF, &u), 0);
	return (size_t)u.ru_maxrss << 10;
}

/* Runs first: later there is a file, for good. */
static void test_without_file(void **state)
{
	struct spool s = { 0 };

	(void)state;
	assert_int_equal(setenv("TMPDIR", "/nonexistent", 1), 0);
	spool_file_prepare();
	fill(&s, 0, NR);
	check(&s, NR);
	spool_free(&s);
	assert_int_equal(s.len, 0);
	fill(&s, 0, 10);
	check(&s, 10);
	spool_free(&s);
}

static void test_two_with_file(void **state)
{
	struct spool a = { 0 }, b = { 0 };
	size_t before;

	(void)state;
	assert_int_equal(setenv("TMPDIR", "/tmp", 1), 0);
	spool_file_prepare();
	spool_file_prepare();
	before = peak();
	for (uint64_t i = 0; i < 4 * NR; i += NR / 10) {
		fill(&a, i, i + NR / 10);
		if (i < NR)
			fill(&b, i, i + NR / 10);
	}
	/* 57.6 and 14.4 MB, of which 8 MiB may be in memory */
	assert_true(peak() - before < ((size_t)16 << 20));
	check(&b, NR);
	check(&a, 4 * NR);
	spool_free(&a);
	spool_free(&b);
}

static void cut(struct spool *s, uint64_t nr)
{
	const uint64_t len = nr * sizeof(struct record), want = s->len < len ? s->len : len;

	assert_int_equal(spool_cut(s, len), 0);
	assert_int_equal(s->len, want);
}

/* Back from the file into memory and out again, also to within a block, and to nothing. */
static void test_cut(void **state)
{
	static const uint64_t to[] = { NR, NR - 1, NR / 2 + 17, NR / 4, NR / 4 - 20000, 3, 1, 0, 100, NR / 3 };
	struct spool s = { 0 };
	size_t before = 0;

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < sizeof(to) / sizeof(*to); i++) {
			fill(&s, s.len / sizeof(struct record), NR);
			cut(&s, to[i]);
			check(&s, to[i]);
			cut(&s, to[i] + 1);
		}
		if (!round)
			before = peak();
	}
#ifndef __SANITIZE_ADDRESS__	/* which keeps what was freed for a while */
	assert_true(peak() - before < ((size_t)1 << 20));
#else
	(void)before;
#endif
	spool_free(&s);
}

/* Bytes that are memory in the end: few, in memory; many, from the file, where spools go on beside them. */
static void test_area(void **state)
{
	static const size_t len[] = { 1, 1000, 4 << 20, (4 << 20) + 1, 20000001 };
	static uint8_t piece[100003];
	struct spool s = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(len) / sizeof(*len); i++) {
		struct spool_area a;

		assert_int_equal(spool_area_new(len[i], &a), 0);
		assert_int_equal(a.mapped, len[i] > SPOOL_MEMORY);
		for (size_t done = 0, n; done < len[i]; done += n) {
			n = len[i] - done < sizeof(piece) ? len[i] - done : sizeof(piece);
			memset(piece, (int)(done / sizeof(piece) % 251), n);
			assert_int_equal(spool_area_add(&a, piece, n), 0);
			fill(&s, s.len / sizeof(struct record), s.len / sizeof(struct record) + 1000);
		}
		assert_int_equal(spool_area_add(&a, piece, 1), -ERANGE);
		for (size_t k = 0; k < len[i]; k += 997)
			assert_int_equal(a.p[k], k / sizeof(piece) % 251);
		check(&s, s.len / sizeof(struct record));
		spool_area_free(&a);
	}
	spool_free(&s);
}

/* The file cannot grow: the writer of a spool hears of it, an area goes on in memory with what it has already. */
static void test_no_room(void **state)
{
	static uint8_t block[1 << 20];
	struct rlimit small;
	struct spool s = { 0 };
	struct spool_area a;
	int r = 0;

	(void)state;
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(spool_area_new(7 * sizeof(block), &a), 0);
	for (int i = 0; i < 7; i++) {
		if (i == 3) {
			assert_true(a.mapped);
			assert_int_equal(getrlimit(RLIMIT_FSIZE, &small), 0);
			small.rlim_cur = 1 << 20;
			assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
		}
		memset(block, i, sizeof(block));
		assert_int_equal(spool_area_add(&a, block, sizeof(block)), 0);
	}
	assert_false(a.mapped);
	for (size_t i = 0; i < 7 * sizeof(block); i++)
		assert_int_equal(a.p[i], i / sizeof(block));
	spool_area_free(&a);
	for (int i = 0; i < 16 && r == 0; i++)
		r = spool_add(&s, block, sizeof(block));
	assert_int_equal(r, -EFBIG);
	spool_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_file),
		cmocka_unit_test(test_two_with_file),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_area),
		cmocka_unit_test(test_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
