/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "host/source/store/digest.h"
#include "tests/lib/index_bytes.h"

#define MIB4 UINT64_C(4194304)

/* An image of 4 MiB of zeros and "hello". */
static const char zeros_hex[] = "bb9f8df61474d25e71fa00722318cd387396ca1736605e1248821cc0de3d3af8";
static const char hello_hex[] = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
static const char fixed_csum[] = "1d77917af4c67365bbe8f81698b464912c59b4261bbe4ee013b7243f2ab57ef1";
static const uint8_t uuid[16] = { 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff };
static const uint8_t head[80] = {
	0x2f, 0x7f, 0x41, 0xed, 0x91, 0xfd, 0x0f, 0xcd, 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
	0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 0x75, 0xfe, 0xf5, 0x5e, 0x00, 0x00, 0x00, 0x00,
	0x1d, 0x77, 0x91, 0x7a, 0xf4, 0xc6, 0x73, 0x65, 0xbb, 0xe8, 0xf8, 0x16, 0x98, 0xb4, 0x64, 0x91,
	0x2c, 0x59, 0xb4, 0x26, 0x1b, 0xbe, 0x4e, 0xe0, 0x13, 0xb7, 0x24, 0x3f, 0x2a, 0xb5, 0x7e, 0xf1,
	0x05, 0x00, 0x40, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x40, 0x00, 0x00, 0x00, 0x00, 0x00,
};

static void two_digests(uint8_t ret[64])
{
	assert_int_equal(digest_from_hex(zeros_hex, 64, ret), 0);
	assert_int_equal(digest_from_hex(hello_hex, 64, ret + 32), 0);
}

static void make_fixed(struct buf *b, uint64_t size, uint64_t chunk, size_t tail)
{
	uint8_t bytes[4096] = { 0 }, digests[64];

	memcpy(bytes, head, 64);
	buf_add(b, bytes, 64);
	buf_u64le(b, size);
	buf_u64le(b, chunk);
	buf_add(b, bytes + 80, 4096 - 80);
	two_digests(digests);
	for (; tail > 64; tail -= 64)
		buf_add(b, digests, 64);
	buf_add(b, digests, tail);
}

static void test_fixed_example(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	uint8_t digests[64], csum[32];
	struct index x = { 0 };
	char hex[65];

	(void)state;
	two_digests(digests);
	assert_int_equal(index_fixed_write(MIB4 + 5, MIB4, digests, uuid, 1593179765, &b, csum), 0);
	assert_int_equal(b.len, 4160);
	assert_memory_equal(b.data, head, sizeof(head));
	assert_memory_equal(b.data + 4096, digests, 64);
	for (size_t i = 80; i < 4096; i++)
		assert_int_equal(b.data[i], 0);
	assert_int_equal(index_of_bytes(b.data, b.len, true, &x, NULL), 0);
	digest_to_hex(x.fixed.csum, hex);
	assert_string_equal(hex, fixed_csum);
	assert_int_equal(x.nr_chunks, 2);
	assert_int_equal(index_chunk_len(&x, 0), MIB4);
	assert_int_equal(index_chunk_len(&x, 1), 5);
	assert_memory_equal(index_digest(&x, 1), digests + 32, 32);
	index_free(&x);
	b.data[32] ^= 1;	/* the stored checksum is not trusted, so it does not matter */
	assert_int_equal(index_of_bytes(b.data, b.len, true, &x, NULL), 0);
	digest_to_hex(x.fixed.csum, hex);
	assert_string_equal(hex, fixed_csum);
	index_free(&x);
}

static const struct {
	const char *name;
	uint64_t size, chunk;
	size_t tail;
	int want;
} fixed[] = {
	{ "two chunks", MIB4 + 5, MIB4, 64, 0 },
	{ "two full chunks", 2 * MIB4, MIB4, 64, 0 },
	{ "one byte more", 2 * MIB4 + 1, MIB4, 64, -EBADMSG },
	{ "one chunk", 1, MIB4, 32, 0 },
	{ "64 KiB", 65537, 65536, 64, 0 },
	{ "chunks of 32 KiB", 32769, 32768, 64, -EBADMSG },
	{ "chunks of 8 MiB", 2 * MIB4 + 1, 2 * MIB4, 64, -EBADMSG },
	{ "chunk size 0", MIB4 + 5, 0, 64, -EBADMSG },
	{ "no power of two", MIB4 + 5, MIB4 - 1, 64, -EBADMSG },
	{ "huge chunk size", MIB4 + 5, UINT64_C(1) << 63, 64, -EBADMSG },
	{ "chunk size past 32 bits", MIB4 + 5, (UINT64_C(1) << 32) + MIB4, 64, -EBADMSG },
	{ "empty", 0, MIB4, 0, -EBADMSG },
	{ "empty with digests", 0, MIB4, 64, -EBADMSG },
	{ "huge size", UINT64_MAX, MIB4, 64, -EBADMSG },
	{ "size that overflows in bytes of digests", UINT64_MAX, 65536, 64, -EBADMSG },
	{ "digest cut", MIB4 + 5, MIB4, 63, -EBADMSG },
	{ "digest too many", MIB4 + 5, MIB4, 96, -EBADMSG },
	{ "bytes too many", MIB4 + 5, MIB4, 65, -EBADMSG },
};

static void test_fixed_rules(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(fixed) / sizeof(*fixed); i++) {
		CLEANUP_BUF struct buf b = BUF_INIT;
		struct err e = ERR_INIT;
		struct index x = { 0 };

		make_fixed(&b, fixed[i].size, fixed[i].chunk, fixed[i].tail);
		assert_int_equal(index_of_bytes(b.data, b.len, true, &x, &e), fixed[i].want);
		index_free(&x);
		print_message("%s: %s\n", fixed[i].name, e.text);
	}
}

static void make_dynamic(struct buf *b, const uint64_t *ends, size_t nr)
{
	static const uint8_t magic[8] = { 0x1c, 0x91, 0x4e, 0xa5, 0x19, 0xba, 0xb3, 0xcd };
	uint8_t zero[4096] = { 0 }, digests[64];

	two_digests(digests);
	buf_add(b, magic, 8);
	buf_add(b, uuid, 16);
	buf_add(b, zero, 4096 - 24);
	for (size_t i = 0; i < nr; i++) {
		buf_u64le(b, ends[i]);
		buf_add(b, digests + i % 2 * 32, 32);
	}
}

static const struct {
	const char *name;
	uint64_t end[3];
	size_t nr;
	int want;
} dynamic[] = {
	{ "two chunks", { MIB4, MIB4 + 5 }, 2, 0 },
	{ "16 MiB", { 4 * MIB4, 8 * MIB4 }, 2, 0 },
	{ "16 MiB and a byte", { 4 * MIB4, 8 * MIB4 + 1 }, 2, -EBADMSG },
	{ "none", { 0 }, 0, -EBADMSG },
	{ "empty chunk", { 5, 5 }, 2, -EBADMSG },
	{ "first chunk empty", { 0, 5 }, 2, -EBADMSG },
	{ "backwards", { 5, 4 }, 2, -EBADMSG },
	{ "huge", { UINT64_MAX }, 1, -EBADMSG },
	{ "wraps", { MIB4, UINT64_MAX, 1 }, 3, -EBADMSG },
};

static void test_dynamic_rules(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(dynamic) / sizeof(*dynamic); i++) {
		CLEANUP_BUF struct buf b = BUF_INIT;
		struct err e = ERR_INIT;
		struct index x = { 0 };

		make_dynamic(&b, dynamic[i].end, dynamic[i].nr);
		assert_int_equal(index_of_bytes(b.data, b.len, false, &x, &e), dynamic[i].want);
		index_free(&x);
		print_message("%s: %s\n", dynamic[i].name, e.text);
	}
}

static void test_dynamic_example(void **state)
{
	const uint64_t ends[] = { MIB4, MIB4 + 5 };
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct index x = { 0 };
	char hex[65];
	size_t at;

	(void)state;
	make_dynamic(&b, ends, 2);
	assert_int_equal(b.len, 4176);
	assert_int_equal(index_of_bytes(b.data, b.len, false, &x, NULL), 0);
	digest_to_hex(x.dynamic.csum, hex);
	assert_string_equal(hex, "31bed408200cb47158b7da1bfb1982cd9501fe45a35e0dc0f8c36df08c0d65f2");
	assert_int_equal(x.size_bytes, MIB4 + 5);
	assert_int_equal(index_dynamic_find(&x.dynamic, 0, &at), 0);
	assert_int_equal(at, 0);
	assert_int_equal(index_dynamic_find(&x.dynamic, MIB4 - 1, &at), 0);
	assert_int_equal(at, 0);
	assert_int_equal(index_dynamic_find(&x.dynamic, MIB4, &at), 0);
	assert_int_equal(at, 1);
	assert_int_equal(index_dynamic_find(&x.dynamic, MIB4 + 5, &at), -ERANGE);
	assert_int_equal(index_start(&x, 1), MIB4);
	index_free(&x);
}

/* Every cut, and every flipped bit of the header that is checked. */
static void test_cut_and_flipped(void **state)
{
	CLEANUP_BUF struct buf f = BUF_INIT, d = BUF_INIT;
	const uint64_t ends[] = { MIB4, MIB4 + 5 };
	struct index x = { 0 };

	(void)state;
	make_fixed(&f, MIB4 + 5, MIB4, 64);
	make_dynamic(&d, ends, 2);
	for (size_t len = 0; len < f.len; len++)
		assert_int_equal(index_of_bytes(f.data, len, true, &x, NULL), -EBADMSG);
	for (size_t len = 0; len < d.len; len++) {
		assert_int_equal(index_of_bytes(d.data, len, false, &x, NULL), len == d.len - 40 ? 0 : -EBADMSG);
		index_free(&x);
	}
	for (size_t bit = 0; bit < 64; bit++) {
		f.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		d.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(index_of_bytes(f.data, f.len, true, &x, NULL), -EBADMSG);
		assert_int_equal(index_of_bytes(d.data, d.len, false, &x, NULL), -EBADMSG);
		f.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		d.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fixed_example),	cmocka_unit_test(test_fixed_rules),
		cmocka_unit_test(test_dynamic_example), cmocka_unit_test(test_dynamic_rules),
		cmocka_unit_test(test_cut_and_flipped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
