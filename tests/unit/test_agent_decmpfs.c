/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/decmpfs.h"
#include "agent/lzvn.h"

#define END "\x06"

static const struct {
	const char *name, *in;
	size_t len;
	const char *want;
	int code;
} lzvn_cases[] = {
	{ "literals", "\xe3" "abc" END, 5, "abc", 0 },
	{ "without the end's mark", "\xe3" "abc", 4, "abc", 0 },
	{ "many literals", "\xe0\x01" "0123456789abcdefg" END, 20, "0123456789abcdefg", 0 },
	{ "short distance", "\xe3" "abc\x00\x03" END, 7, "abcabc", 0 },
	{ "short distance behind a literal", "\xe3" "abc\x40\x04x" END, 8, "abcxabc", 0 },
	{ "medium distance", "\xe3" "abc\xa0\x0c\x00" END, 8, "abcabc", 0 },
	{ "long distance", "\xe3" "abc\x07\x03\x00" END, 8, "abcabc", 0 },
	{ "overlapping match", "\xe1" "a\x38\x01" END, 5, "aaaaaaaaaaa", 0 },
	{ "distance before", "\xe3" "abc\x00\x03\xf2" END, 8, "abcabcab", 0 },
	{ "distance before, with a literal", "\xe3" "abc\x00\x03\x46" "x" END, 9, "abcabcxbcx", 0 },
	{ "long match", "\xe1" "a\x00\x01\xf0\x00" END, 7, "aaaaaaaaaaaaaaaaaaaa", 0 },
	{ "nothing", "\x0e\x16\xe1" "a" END, 5, "a", 0 },
	{ "no distance before", "\xe1" "a\xf2" END, 4, "aaa", -EUCLEAN },
	{ "distance 0", "\xe1" "a\x00\x00" END, 5, "aaaa", -EUCLEAN },
	{ "before the beginning", "\xe1" "a\x00\x02" END, 5, "aaaa", -EUCLEAN },
	{ "too many", "\xe3" "abc" END, 5, "ab", -EUCLEAN },
	{ "too few", "\xe3" "abc" END, 5, "abcd", -EUCLEAN },
	{ "match too long", "\xe3" "abc\x00\x03" END, 7, "abcab", -EUCLEAN },
	{ "not defined", "\xe1" "a\x70" END, 4, "a", -EUCLEAN },
	{ "not defined either", "\xe1" "a\xd0" END, 4, "a", -EUCLEAN },
	{ "nor this", "\xe1" "a\x1e" END, 4, "a", -EUCLEAN },
	{ "cut literals", "\xe3" "ab", 3, "abc", -EUCLEAN },
	{ "cut distance", "\xe3" "abc\x07\x03", 6, "abcabc", -EUCLEAN },
};

static void test_lzvn(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(lzvn_cases) / sizeof(*lzvn_cases); i++) {
		uint8_t out[64] = { 0 };
		size_t n = strlen(lzvn_cases[i].want);

		print_message("%s\n", lzvn_cases[i].name);
		assert_int_equal(lzvn_decode((const uint8_t *)lzvn_cases[i].in, lzvn_cases[i].len, out, n), lzvn_cases[i].code);
		if (!lzvn_cases[i].code)
			assert_memory_equal(out, lzvn_cases[i].want, n);
	}
}

static void test_head(void **state)
{
	static const uint8_t head[] = "fpmc\4\0\0\0\0\0\1\0\0\0\0";	/* the string's NUL is the last byte */
	uint8_t huge[16];
	struct decmpfs_head h;

	(void)state;
	assert_int_equal(decmpfs_parse(head, 16, &h), 0);
	assert_int_equal(h.type, 4);
	assert_int_equal(h.size, 65536);
	for (size_t n = 0; n < 16; n++)
		assert_int_equal(decmpfs_parse(head, n, &h), -EBADMSG);
	memcpy(huge, head, 16);
	huge[15] = 0x80;
	assert_int_equal(decmpfs_parse(huge, 16, &h), -EBADMSG);
	huge[0] = 'g';
	assert_int_equal(decmpfs_parse(huge, 16, &h), -EBADMSG);
}

static void test_blocks(void **state)
{
	uint8_t out[8];

	(void)state;
	assert_int_equal(decmpfs_decode(3, (const uint8_t *)"\xff" "abc", 4, out, 3), 0);
	assert_memory_equal(out, "abc", 3);
	assert_int_equal(decmpfs_decode(4, (const uint8_t *)"\xff" "abc", 4, out, 4), -EUCLEAN);
	assert_int_equal(decmpfs_decode(4, (const uint8_t *)"x", 1, out, 4), -EUCLEAN);
	assert_int_equal(decmpfs_decode(8, (const uint8_t *)"\x06" "abc", 4, out, 3), 0);
	assert_int_equal(decmpfs_decode(9, (const uint8_t *)"\xcc" "abc", 4, out, 3), 0);
	assert_memory_equal(out, "abc", 3);
	assert_int_equal(decmpfs_decode(1, (const uint8_t *)"abc", 3, out, 3), 0);
	assert_int_equal(decmpfs_decode(7, NULL, 0, out, 3), -EUCLEAN);
	assert_int_equal(decmpfs_decode(7, NULL, 0, out, 0), 0);
	assert_int_equal(decmpfs_decode(11, (const uint8_t *)"bvx2", 4, out, 3), -EOPNOTSUPP);
	assert_int_equal(decmpfs_decode(3, (const uint8_t *)"\xff", 1, out, DECMPFS_BLOCK + 1), -EUCLEAN);
}

/* A volume of 16 blocks of 512 bytes: header in block 2, catalog in blocks 4 and 5, resource fork of file 16 in block 8. */
#define VOLUME (16 * 512)

static void put(uint8_t *p, size_t off, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[off + i] = (uint8_t)(v >> 8 * (n - 1 - i));
}

static void put_fork(uint8_t *p, size_t off, uint64_t size, uint32_t start, uint32_t count)
{
	put(p, off, size, 8);
	put(p, off + 12, count, 4);
	put(p, off + 16, start, 4);
	put(p, off + 20, count, 4);
}

static void make_volume(uint8_t v[static VOLUME])
{
	uint8_t *head = v + 1024, *tree = v + 4 * 512, *leaf = tree + 512;
	const size_t thread = 14 + 2 + 8 + 248;

	memset(v, 0, VOLUME);
	put(head, 0, 0x482b, 2);
	put(head, 40, 512, 4);
	put_fork(head, 192, 0, 0, 0);
	put_fork(head, 272, 1024, 4, 2);
	put(tree, 14, 1, 2);		/* depth */
	put(tree, 16, 1, 4);		/* root */
	put(tree, 32, 512, 2);		/* size of a node */
	put(leaf, 8, 0xff, 1);
	put(leaf, 10, 2, 2);
	put(leaf, 14, 8, 2);		/* key: folder 2, name "a" */
	put(leaf, 16, 2, 4);
	put(leaf, 20, 1, 2);
	put(leaf, 22, 'a', 2);
	put(leaf, 24, 2, 2);		/* a file: id 16, resource fork */
	put(leaf, 24 + 8, 16, 4);
	put_fork(leaf, 24 + 168, 300, 8, 1);
	put(leaf, thread, 6, 2);	/* key: 16, no name; its folder is 2 */
	put(leaf, thread + 2, 16, 4);
	put(leaf, thread + 8, 4, 2);
	put(leaf, thread + 12, 2, 4);
	put(leaf, 510, 14, 2);
	put(leaf, 508, thread, 2);
	put(leaf, 506, thread + 18, 2);
	memset(v + 8 * 512, 'r', 300);
}

static int read_fork(int fd, uint8_t *ret)
{
	struct hfsplus_fork f;
	struct hfsplus h;
	int r = hfsplus_open(fd, &h);

	if (r == 0)
		r = hfsplus_resource(&h, 16, &f);
	return r < 0 ? r : hfsplus_read(&h, &f, 0, ret, 300);
}

static void test_hfsplus(void **state)
{
	uint8_t v[VOLUME], out[300], want[300];
	int fd = memfd_create("volume", MFD_CLOEXEC), good = 0;
	struct hfsplus_fork f;
	struct hfsplus h;

	(void)state;
	memset(want, 'r', sizeof(want));
	make_volume(v);
	assert_int_equal(pwrite(fd, v, VOLUME, 0), VOLUME);
	assert_int_equal(read_fork(fd, out), 0);
	assert_memory_equal(out, want, 300);
	assert_int_equal(hfsplus_open(fd, &h), 0);
	assert_int_equal(hfsplus_resource(&h, 17, &f), -ENOENT);
	assert_int_equal(hfsplus_resource(&h, 2, &f), -ENOENT);
	assert_int_equal(hfsplus_resource(&h, 16, &f), 0);
	assert_int_equal(hfsplus_read(&h, &f, 1, out, 300), -ERANGE);
	/* Whatever a single byte says, it ends, within bounds, and with an answer. */
	for (size_t i = 1024; i < 6 * 512; i++) {
		for (unsigned int bit = 0; bit < 8; bit++) {
			uint8_t bad = v[i] ^ (uint8_t)(1 << bit);

			assert_int_equal(pwrite(fd, &bad, 1, (off_t)i), 1);
			good += read_fork(fd, out) == 0;
		}
		assert_int_equal(pwrite(fd, &v[i], 1, (off_t)i), 1);
	}
	assert_true(good > 0);
	for (off_t size = VOLUME; size > 0; size -= 500) {
		assert_int_equal(ftruncate(fd, size), 0);
		(void)read_fork(fd, out);
	}
	(void)close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lzvn), cmocka_unit_test(test_head), cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_hfsplus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
