/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/gpt.h"
#include "common/crc32.h"

#define ENTRIES 4
#define ENTRY_SIZE 128

static void put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

/* A header of 92 bytes in a block, and four entries of which the first and third are used. */
static void make(uint8_t block[static 512], uint8_t entries[static ENTRIES * ENTRY_SIZE])
{
	memset(block, 0, 512);
	memset(entries, 0, ENTRIES * ENTRY_SIZE);
	for (int i = 0; i < 3; i += 2) {
		entries[i * ENTRY_SIZE] = 0xaf;
		put32(entries + i * ENTRY_SIZE + 32, 2048u * (unsigned int)(i + 1));
		put32(entries + i * ENTRY_SIZE + 40, 2048u * (unsigned int)(i + 2) - 1);
	}
	memcpy(block, "EFI PART", 8);
	put32(block + 12, 92);
	put32(block + 72, 2);
	put32(block + 80, ENTRIES);
	put32(block + 84, ENTRY_SIZE);
	put32(block + 88, crc32_ieee(entries, ENTRIES * ENTRY_SIZE));
	put32(block + 16, crc32_ieee(block, 92));
}

static void test_good(void **state)
{
	uint8_t block[512], entries[ENTRIES * ENTRY_SIZE];
	struct gpt_part v[ENTRIES];
	struct gpt_header h;

	(void)state;
	make(block, entries);
	assert_int_equal(gpt_parse_header(block, sizeof(block), &h), 0);
	assert_int_equal(h.nr_entries, ENTRIES);
	assert_int_equal(gpt_parse_entries(&h, entries, sizeof(entries), v, ENTRIES), 2);
	assert_int_equal(v[0].nr, 1);
	assert_int_equal(v[1].nr, 3);
	assert_int_equal(v[1].first_lba, 6144);
	assert_int_equal(v[1].last_lba, 8191);
	assert_int_equal(gpt_parse_entries(&h, entries, sizeof(entries), v, 1), 1);
	assert_int_equal(gpt_parse_entries(&h, entries, sizeof(entries) - 1, v, 1), -EBADMSG);
}

static void test_bad(void **state)
{
	uint8_t block[512], entries[ENTRIES * ENTRY_SIZE];
	struct gpt_part v[ENTRIES];
	struct gpt_header h;

	(void)state;
	make(block, entries);
	for (size_t len = 0; len < 92; len++)
		assert_int_equal(gpt_parse_header(block, len, &h), -EBADMSG);
	for (size_t bit = 0; bit < 92 * 8; bit++) {
		block[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(gpt_parse_header(block, sizeof(block), &h), -EBADMSG);
		block[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(gpt_parse_header(block, sizeof(block), &h), 0);
	entries[200] ^= 1;
	assert_int_equal(gpt_parse_entries(&h, entries, sizeof(entries), v, ENTRIES), -EBADMSG);
}

static void seal(uint8_t block[static 512], uint32_t size)
{
	put32(block + 16, 0);
	put32(block + 16, crc32_ieee(block, size));
}

/* Fields that are wrong under a right checksum. */
static const struct {
	const char *name;
	size_t at;
	uint32_t value;
	int want;
} fields[] = {
	{ "as it was", 80, ENTRIES, 0 },	{ "no entries", 80, 0, -EBADMSG },
	{ "the most entries", 80, GPT_ENTRIES_MAX, 0 }, { "too many entries", 80, GPT_ENTRIES_MAX + 1, -EBADMSG },
	{ "entries without end", 80, UINT32_MAX, -EBADMSG }, { "entries of 0 bytes", 84, 0, -EBADMSG },
	{ "short entries", 84, 120, -EBADMSG },	{ "entries of an odd size", 84, 132, -EBADMSG },
	{ "long entries", 84, 4096, 0 },	{ "too long entries", 84, 4104, -EBADMSG },
	{ "entries without a size", 84, UINT32_MAX, -EBADMSG }, { "entries in the header", 72, 1, -EBADMSG },
	{ "entries in the first block", 72, 0, -EBADMSG }, { "a short header", 12, 91, -EBADMSG },
	{ "a header of the whole block", 12, 512, 0 }, { "a header beyond the block", 12, 513, -EBADMSG },
	{ "a header without end", 12, UINT32_MAX, -EBADMSG }, { "a header of 0 bytes", 12, 0, -EBADMSG },
};

static void test_fields(void **state)
{
	uint8_t block[512], entries[ENTRIES * ENTRY_SIZE];
	struct gpt_header h;

	(void)state;
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		const bool own_size = fields[i].at == 12 && fields[i].value <= sizeof(block);

		make(block, entries);
		put32(block + fields[i].at, fields[i].value);
		seal(block, own_size ? fields[i].value : 92);
		if (gpt_parse_header(block, sizeof(block), &h) != fields[i].want)
			fail_msg("%s", fields[i].name);
	}
}

/* What a disk gives: blocks of 512 and of 4096 bytes, entries that are not where they should be. */
static const struct {
	const char *name;
	uint32_t block, entries_lba, entries_high, size;	/* size: of the disk */
	long want;
} disks[] = {
	{ "blocks of 512", 512, 2, 0, 4096, 2 },	{ "blocks of 4096", 4096, 2, 0, 16384, 2 },
	{ "entries farther behind", 512, 5, 0, 4096, 2 }, { "entries cut", 512, 2, 0, 1024 + 511, -ENODATA },
	{ "header cut", 512, 2, 0, 1023, -ENODATA },	{ "entries beyond the end", 512, 100, 0, 4096, -ENODATA },
	{ "entries at 2^64 and more", 512, 2, 0x00800000, 4096, -ENODATA },
	{ "nothing", 0, 0, 0, 16384, -EBADMSG },	{ "no disk", 0, 0, 0, 0, -ENODATA },
};

static void test_disks(void **state)
{
	static uint8_t disk[16384];

	(void)state;
	for (size_t i = 0; i < sizeof(disks) / sizeof(*disks); i++) {
		const int fd = memfd_create("disk", MFD_CLOEXEC);
		uint8_t block[512], entries[ENTRIES * ENTRY_SIZE];
		const size_t at = (size_t)disks[i].entries_lba * disks[i].block;
		struct gpt_part v[ENTRIES];
		uint32_t size = 0;
		long n;

		memset(disk, 0, sizeof(disk));
		make(block, entries);
		put32(block + 72, disks[i].entries_lba);
		put32(block + 76, disks[i].entries_high);
		seal(block, 92);
		if (disks[i].block)
			memcpy(disk + disks[i].block, block, sizeof(block));
		if (disks[i].block && at + sizeof(entries) <= sizeof(disk))
			memcpy(disk + at, entries, sizeof(entries));
		assert_true(fd >= 0 && write(fd, disk, disks[i].size) == (ssize_t)disks[i].size);
		n = gpt_read(fd, v, ENTRIES, &size);
		if (n != disks[i].want && !(n < 0 && disks[i].want == -ENODATA))
			fail_msg("%s: %ld", disks[i].name, n);
		if (n > 0)
			assert_int_equal(size, disks[i].block);
		close(fd);
	}
}

/* Entries that no partition can be made of are none; the others keep their numbers. */
static void test_entries(void **state)
{
	uint8_t block[512], entries[ENTRIES * ENTRY_SIZE];
	struct gpt_part v[ENTRIES];
	struct gpt_header h;

	(void)state;
	make(block, entries);
	put32(entries + 32, 5000);		/* begins behind its end */
	entries[ENTRY_SIZE] = 0xaf;		/* of one block, at 0 */
	memset(entries + 3 * ENTRY_SIZE, 0xff, ENTRY_SIZE);
	memset(entries + 3 * ENTRY_SIZE + 32, 0, 8);	/* all of 2^64 blocks */
	put32(block + 88, crc32_ieee(entries, sizeof(entries)));
	seal(block, 92);
	assert_int_equal(gpt_parse_header(block, sizeof(block), &h), 0);
	assert_int_equal(gpt_parse_entries(&h, entries, sizeof(entries), v, ENTRIES), 3);
	assert_int_equal(v[0].nr, 2);
	assert_int_equal(v[1].nr, 3);
	assert_int_equal(v[2].nr, 4);
	assert_int_equal(v[2].last_lba, UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_disks),
		cmocka_unit_test(test_entries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
