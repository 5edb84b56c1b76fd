/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
