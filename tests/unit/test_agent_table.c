/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Partition tables: what is read of an MBR and a GPT, and of tables that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/table.h"
#include "common/crc32.h"

#define DISK (4 << 20)

static uint8_t disk[DISK];

static void put(size_t at, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		disk[at + i] = (uint8_t)(v >> 8 * i);
}

/* Entry 0 to 3 of an MBR, or of the table in an extended partition, in the sector @at. */
static void put_entry(size_t at, unsigned int i, uint8_t type, uint32_t start, uint32_t size)
{
	const size_t e = at * 512 + 446 + 16 * i;

	disk[e + 4] = type;
	put(e + 8, start, 4);
	put(e + 12, size, 4);
	put(at * 512 + 510, 0xaa55, 2);
}

static struct table look(size_t size)
{
	const int fd = memfd_create("disk", MFD_CLOEXEC);
	struct table t;

	assert_true(fd >= 0 && write(fd, disk, size) == (ssize_t)size);
	assert_int_equal(table_read(fd, &t), 0);
	close(fd);
	return t;
}

struct want {
	unsigned int nr;
	uint64_t start, size;
	bool extended, ldm;
};

static void check(const char *name, const struct table *t, const struct want *want, size_t nr)
{
	if (t->nr != nr)
		fail_msg("%s: %zu entries", name, t->nr);
	for (size_t i = 0; i < nr; i++)
		if (t->v[i].nr != want[i].nr || t->v[i].start != want[i].start || t->v[i].size != want[i].size ||
		    t->v[i].extended != want[i].extended || t->v[i].ldm != want[i].ldm)
			fail_msg("%s: entry %u at %llu", name, t->v[i].nr, (unsigned long long)t->v[i].start);
}

#define MBR_MAX 4

static const struct {
	const char *name;
	struct {
		uint8_t type;
		uint32_t start, size;
	} in[MBR_MAX];
	struct want want[MBR_MAX];
	size_t nr;
	bool dynamic;
} mbrs[] = {
	{ "two", { { 0x83, 64, 100 }, { 0x07, 1000, 50 } }, { { 1, 64, 100, false, false }, { 2, 1000, 50, false, false } }, 2, false },
	{ "none", { { 0, 0, 0 } }, { { 0 } }, 0, false },
	{ "a gap", { { 0, 0, 0 }, { 0, 0, 0 }, { 0x83, 64, 100 } }, { { 3, 64, 100, false, false } }, 1, false },
	{ "beyond the end", { { 0x83, 0xfffffff0, 0xffffffff } }, { { 1, 0xfffffff0, 0xffffffff, false, false } }, 1, false },
	{ "without a size", { { 0x83, 64, 0 }, { 0x83, 64, 5 } }, { { 2, 64, 5, false, false } }, 1, false },
	{ "overlapping", { { 0x83, 64, 100 }, { 0x83, 100, 100 } }, { { 1, 64, 100, false, false }, { 2, 100, 100, false, false } }, 2, false },
	{ "of a dynamic disk", { { 0x42, 63, 8000 } }, { { 1, 63, 8000, false, true } }, 1, true },
};

static void test_mbr(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(mbrs) / sizeof(*mbrs); i++) {
		struct table t;

		memset(disk, 0, sizeof(disk));
		for (unsigned int k = 0; k < MBR_MAX; k++)
			put_entry(0, k, mbrs[i].in[k].type, mbrs[i].in[k].start, mbrs[i].in[k].size);
		t = look(DISK);
		check(mbrs[i].name, &t, mbrs[i].want, mbrs[i].nr);
		assert_int_equal(t.dynamic, mbrs[i].dynamic);
		table_free(&t);
	}
}

/* Chains of logical partitions: whole, that come back to their begin, that lead beyond the disk. They end. */
static void test_chains(void **state)
{
	static const struct want whole[] = { { 1, 64, 4000, true, false }, { 5, 65, 9, false, false }, { 6, 101, 9, false, false } };
	struct table t;

	(void)state;
	memset(disk, 0, sizeof(disk));
	put_entry(0, 0, 0x05, 64, 4000);
	put_entry(64, 0, 0x83, 1, 9);
	put_entry(64, 1, 0x05, 36, 100);
	put_entry(100, 0, 0x83, 1, 9);
	t = look(DISK);
	/* the kernel's idea of an extended partition's size is not ours to check */
	assert_true(t.nr == 3 && t.v[0].extended);
	check("chain", &t, (struct want[]){ { 1, 64, t.v[0].size, true, false }, whole[1], whole[2] }, 3);
	table_free(&t);
	put_entry(100, 1, 0x05, 0, 100);		/* back to the first */
	t = look(DISK);
	assert_in_range(t.nr, 1, TABLE_MAX);
	table_free(&t);
	put_entry(100, 1, 0x05, 0xfffffff0, 0xffffffff);
	t = look(DISK);
	assert_in_range(t.nr, 1, TABLE_MAX);
	table_free(&t);
}

/* A GPT with a good primary copy only, whose last usable block lies beyond the disk: ours alone reads that. */
static void put_gpt(uint64_t first, uint64_t last)
{
	memset(disk, 0, sizeof(disk));
	put_entry(0, 0, 0xee, 1, 0xffffffff);
	disk[1024] = 0xaf;
	put(1024 + 32, first, 8);
	put(1024 + 40, last, 8);
	memcpy(disk + 512, "EFI PART", 8);
	put(512 + 8, 0x10000, 4);
	put(512 + 12, 92, 4);
	put(512 + 24, 1, 8);
	put(512 + 32, DISK, 8);
	put(512 + 40, 34, 8);
	put(512 + 48, DISK, 8);
	put(512 + 72, 2, 8);
	put(512 + 80, 4, 4);
	put(512 + 84, 128, 4);
	put(512 + 88, crc32_ieee(disk + 1024, 512), 4);
	put(512 + 16, crc32_ieee(disk + 512, 92), 4);
}

static void test_cut_gpt(void **state)
{
	static const struct {
		uint64_t first, last, start, size;	/* size 0: no entry */
	} cases[] = {
		{ 34, 100, 34, 67 },		    { 34, DISK, 34, DISK - 33 },	  { 100, 34, 0, 0 },
		{ 0, UINT64_MAX, 0, 0 },	    { UINT64_MAX, UINT64_MAX, 0, 0 },	  { 1, UINT64_MAX / 512 - 2, 1, UINT64_MAX / 512 - 2 },
		{ 1, UINT64_MAX / 512, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct table t;

		put_gpt(cases[i].first, cases[i].last);
		t = look(DISK);
		if (t.nr != (cases[i].size != 0) || (t.nr && (t.v[0].start != cases[i].start || t.v[0].size != cases[i].size)))
			fail_msg("case %zu: %zu entries", i, t.nr);
		assert_true((table_find(&t, 1) != NULL) == (t.nr == 1) && !table_find(&t, 2));
		table_free(&t);
	}
}

static void test_clip(void **state)
{
	static const struct {
		uint64_t start, size, sectors, want;
	} cases[] = {
		{ 0, 10, 10, 10 }, { 0, 11, 10, 10 }, { 9, 1, 10, 1 }, { 9, 2, 10, 1 }, { 10, 1, 10, 0 }, { 11, 1, 10, 0 }, { 0, 1, 0, 0 },
		{ 1, UINT64_MAX / 512 - 1, 100, 99 }, { UINT64_MAX / 512, 1, UINT64_MAX / 512, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct table_entry e = { .nr = 1, .start = cases[i].start, .size = cases[i].size };

		assert_int_equal(table_clip(&e, cases[i].sectors), cases[i].want);
	}
}

/* Disks of any length, and noise. */
static void test_short(void **state)
{
	uint32_t v = 1;

	(void)state;
	put_gpt(34, 100);
	for (size_t size = 0; size < 4096; size += 37) {
		struct table t = look(size);

		assert_in_range(t.nr, 0, 1);
		table_free(&t);
	}
	for (size_t i = 0; i < 65536; i++) {
		v = v * 1664525 + 1013904223;
		disk[i] = (uint8_t)(v >> 24);
	}
	put(510, 0xaa55, 2);
	for (size_t i = 0; i < 200; i++) {
		struct table t;

		disk[i % 512] = (uint8_t)(i * 37);
		put(510, 0xaa55, 2);
		t = look(65536);
		assert_in_range(t.nr, 0, TABLE_MAX);
		for (size_t k = 0; k < t.nr; k++)
			assert_true(t.v[k].nr && t.v[k].size && t.v[k].start + t.v[k].size <= UINT64_MAX / 512);
		table_free(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mbr), cmocka_unit_test(test_chains), cmocka_unit_test(test_cut_gpt),
		cmocka_unit_test(test_clip), cmocka_unit_test(test_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
