/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/crc32.h"

static const struct {
	const char *in;
	uint32_t want;
} cases[] = {
	{ "", 0 },
	{ "hello", 0x3610a686 },
	{ "123456789", 0xcbf43926 },
	{ "The quick brown fox jumps over the lazy dog", 0x414fa339 },
};

static void test_known(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		print_message("%s\n", cases[i].in);
		assert_int_equal(crc32_ieee(cases[i].in, strlen(cases[i].in)), cases[i].want);
	}
}

/* The plain definition, bit by bit. */
static uint32_t slow(const uint8_t *p, size_t len)
{
	uint32_t c = UINT32_MAX;

	for (; len; p++, len--) {
		c ^= *p;
		for (int bit = 0; bit < 8; bit++)
			c = c & 1 ? c >> 1 ^ UINT32_C(0xedb88320) : c >> 1;
	}
	return ~c;
}

static void test_every_length_and_alignment(void **state)
{
	uint8_t in[400];

	(void)state;
	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)(i * 37 + 11);
	for (size_t at = 0; at < 8; at++)
		for (size_t len = 0; len <= sizeof(in) - at; len++)
			assert_int_equal(crc32_ieee(in + at, len), slow(in + at, len));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_every_length_and_alignment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
