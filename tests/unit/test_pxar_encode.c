/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "common/pxar/encode.h"
#include "common/pxar/format.h"
#include "common/pxar/siphash.h"

/* formats: root with hello.txt, 221 bytes */
static const uint8_t example[] = {
	0xef, 0xac, 0x88, 0xe5, 0x74, 0x64, 0x95, 0xd5, 0x38, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0xed, 0x41, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xb3, 0x17, 0x39, 0x06, 0x21, 0x11, 0x70, 0x16,
	0x1a, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x68, 0x65, 0x6c, 0x6c, 0x6f, 0x2e, 0x74, 0x78,
	0x74, 0x00, 0xef, 0xac, 0x88, 0xe5, 0x74, 0x64, 0x95, 0xd5, 0x38, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0xa4, 0x81, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0xe8, 0x03, 0x00, 0x00, 0xe8, 0x03, 0x00, 0x00, 0x00, 0xf1, 0x53, 0x65, 0x00, 0x00,
	0x00, 0x00, 0x05, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x25, 0x1a, 0x7c, 0x0b, 0x1b, 0x7a,
	0x14, 0x28, 0x13, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x68, 0x69, 0x0a, 0x1d, 0x73, 0xd5,
	0x42, 0xa6, 0x4f, 0xec, 0x2f, 0x40, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0c, 0x19, 0x66,
	0x4c, 0xb8, 0xe0, 0x1e, 0x9b, 0x65, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x65, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x55, 0x15, 0x3e, 0x75, 0x5b, 0xed, 0x5e, 0xef, 0x9d, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x40, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
};

static const struct pxar_entry root = { .name = "", .kind = PXAR_KIND_DIR, .mode = S_IFDIR | 0755, .mtime_s = 1 };

static void test_hash(void **state)
{
	static const struct { const char *s; uint64_t want; } cases[] = {
		{ "", 0x76614015f8d1bb6c }, { "a", 0x0c26e9067c2c7bcf }, { "etc", 0xd0c229edbd411e9a },
		{ "passwd", 0x5c270b5c54db0265 }, { "hello.txt", 0x9b1ee0b84c66190c }, { "link", 0x04fe0b2ecf0fc0ef },
		{ ".pxarexclude-cli", 0x046975ce672e09eb }, { "__PROXMOX_FORMAT_ENTRY_V2__", PXAR_ENTRY },
		{ "__PLUCK_PXAR_HOLES__", PXAR_EXT_HOLES }, { "__PLUCK_PXAR_ERROR__", PXAR_EXT_ERROR },
		{ "__PLUCK_PXAR_XATTR__", PXAR_EXT_XATTR_ANY }, { "__PLUCK_PXAR_LINKS__", PXAR_EXT_LINK },
		{ "__PLUCK_PXAR_DIR_ERROR__", PXAR_EXT_DIR_ERROR }, { "__PLUCK_PXAR_META_ERROR__", PXAR_EXT_META_ERROR },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(pxar_hash(cases[i].s, strlen(cases[i].s)), cases[i].want);
}

static void test_example(void **state)
{
	struct pxar_entry f = { .name = "hello.txt", .name_len = 9, .kind = PXAR_KIND_FILE, .mode = S_IFREG | 0644,
		.uid = 1000, .gid = 1000, .mtime_s = 1700000000, .mtime_ns = 5, .size = 3, .payload_size = 3 };
	struct buf out = BUF_INIT;
	struct pxar_enc *e = pxar_enc_new(&out, 0);

	(void)state;
	assert_int_equal(pxar_enc_entry(e, &root), 0);
	assert_int_equal(pxar_enc_pos(e), 0x38);
	assert_int_equal(pxar_enc_entry(e, &f), 0);
	assert_int_equal(out.len, 0x9a);
	buf_add(&out, "hi\n", 3);
	pxar_enc_payload(e, 3);
	assert_int_equal(pxar_enc_dir_end(e), 0);
	assert_int_equal(out.len, sizeof(example));
	assert_memory_equal(out.data, example, sizeof(example));
	assert_int_equal(pxar_enc_dir_end(e), -EINVAL);
	assert_int_equal(pxar_enc_entry(e, &root), -EINVAL);
	pxar_enc_free(e);
	buf_free(&out);
}

/* The order of the table: ranks of the sorted members, as the format's text has them. */
static void test_tree(void **state)
{
	static const struct { size_t n; int order[10]; } cases[] = {
		{ 1, { 0 } }, { 2, { 1, 0 } }, { 3, { 1, 0, 2 } }, { 4, { 2, 1, 3, 0 } }, { 5, { 3, 1, 4, 0, 2 } },
		{ 6, { 3, 1, 5, 0, 2, 4 } }, { 7, { 3, 1, 5, 0, 2, 4, 6 } }, { 8, { 4, 2, 6, 1, 3, 5, 7, 0 } },
		{ 10, { 6, 3, 8, 1, 5, 7, 9, 0, 2, 4 } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const size_t n = cases[i].n;
		struct buf out = BUF_INIT;
		struct pxar_enc *e = pxar_enc_new(&out, 0);
		uint64_t hash[10];

		assert_int_equal(pxar_enc_entry(e, &root), 0);
		for (size_t k = 0; k < n; k++) {
			const char name[2] = { (char)('a' + k), 0 };
			struct pxar_entry p = { .name = name, .name_len = 1, .kind = PXAR_KIND_FIFO, .mode = S_IFIFO };

			assert_int_equal(pxar_enc_entry(e, &p), 0);
		}
		assert_int_equal(pxar_enc_dir_end(e), 0);
		for (size_t k = 0; k < n; k++)
			memcpy(&hash[k], out.data + out.len - 24 * (n + 1) + 24 * k, 8);
		for (size_t a = 0; a < n; a++)
			for (size_t b = 0; b < n; b++)
				assert_int_equal(hash[a] < hash[b], cases[i].order[a] < cases[i].order[b]);
		pxar_enc_free(e);
		buf_free(&out);
	}
}

/* Walks the tree in order. */
static size_t tree_first(size_t i, size_t n)
{
	while (2 * i + 1 < n)
		i = 2 * i + 1;
	return i;
}

static size_t tree_next(size_t i, size_t n)
{
	if (2 * i + 2 < n)
		return tree_first(2 * i + 2, n);
	while (i && !(i & 1))
		i = (i - 1) / 2;
	return i ? (i - 1) / 2 : 0;
}

/* A table of many members comes in parts; each row leads to a member of its own. */
static void many(size_t n, size_t parts)
{
	struct buf out = { .limit = 64 << 20 };
	struct pxar_enc *e = pxar_enc_new(&out, 0);
	const struct pxar_entry dir = { .name = "d", .name_len = 1, .kind = PXAR_KIND_DIR, .mode = S_IFDIR };
	size_t before, seen = 0, at = 0;
	uint64_t last = 0, sum = 0;
	int r;

	assert_int_equal(pxar_enc_entry(e, &root), 0);
	assert_int_equal(pxar_enc_entry(e, &dir), 0);
	for (size_t k = 0; k < n; k++) {
		char name[16];
		struct pxar_entry p = { .name = name, .name_len = (size_t)snprintf(name, sizeof(name), "%zu", k), .kind = PXAR_KIND_FIFO, .mode = S_IFIFO };

		assert_int_equal(pxar_enc_entry(e, &p), 0);
	}
	before = out.len;
	while ((r = pxar_enc_dir_end(e)) == 1)
		seen++;
	assert_int_equal(r, 0);
	assert_int_equal(seen, parts);
	assert_int_equal(out.len, before + 16 + 24 * (n + 1));
	if (n)
		at = tree_first(0, n);
	for (size_t k = 0; k < n; k++, at = tree_next(at, n)) {
		uint64_t row[3], filename;

		memcpy(row, out.data + before + 16 + 24 * at, sizeof(row));
		assert_true(row[0] >= last);
		memcpy(&filename, out.data + before - row[1], 8);
		assert_true(filename == PXAR_FILENAME);
		memcpy(&filename, out.data + before - row[1] + row[2], 8);
		assert_true(filename == PXAR_FILENAME || row[1] == row[2]);
		last = row[0];
		sum += row[2];
	}
	assert_int_equal(before, out.len - 24 * (n + 1) - 16);
	assert_int_equal(sum, before - 56 - 18 - 56);	/* all but the two directories' own */
	assert_int_equal(pxar_enc_dir_end(e), 0);
	pxar_enc_free(e);
	buf_free(&out);
}

static void test_parts(void **state)
{
	(void)state;
	many(0, 0);
	many(2729, 0);
	many(2730, 0);
	many(2731, 1);
	many(6000, 2);
	many(200000, 73);
}

static void test_refused(void **state)
{
	static const struct pxar_segment touching[] = { { 0, 4 }, { 4, 4 } }, beyond[] = { { 8, 8 } };
	static const struct pxar_entry bad[] = {
		{ .name = "", .name_len = 0, .kind = PXAR_KIND_FIFO, .mode = S_IFIFO },
		{ .name = "..", .name_len = 2, .kind = PXAR_KIND_FIFO, .mode = S_IFIFO },
		{ .name = "a/b", .name_len = 3, .kind = PXAR_KIND_FIFO, .mode = S_IFIFO },
		{ .name = "a\0b", .name_len = 3, .kind = PXAR_KIND_FIFO, .mode = S_IFIFO },
		{ .name = "a", .name_len = 1, .kind = PXAR_KIND_FIFO, .mode = S_IFSOCK },
		{ .name = "a", .name_len = 1, .kind = PXAR_KIND_FIFO, .mode = S_IFIFO, .mtime_ns = 1000000000 },
		{ .name = "a", .name_len = 1, .kind = PXAR_KIND_SYMLINK, .mode = S_IFLNK },
		{ .name = "a", .name_len = 1, .kind = PXAR_KIND_FILE, .mode = S_IFREG, .size = 2 },
		{ .name = "a", .name_len = 1, .kind = PXAR_KIND_HARDLINK, .target = "b", .target_len = 1, .link_pos = 56 },
		{ .name = "a", .name_len = 1, .kind = PXAR_KIND_FILE, .mode = S_IFREG, .size = 9, .payload_size = 8,
		  .has_segments = true, .segments = touching, .nr_segments = 2 },
		{ .name = "a", .name_len = 1, .kind = PXAR_KIND_FILE, .mode = S_IFREG, .size = 9, .payload_size = 8,
		  .has_segments = true, .segments = beyond, .nr_segments = 1 },
	};
	struct buf out = BUF_INIT;
	struct pxar_enc *e = pxar_enc_new(&out, PXAR_ENC_EXT);

	(void)state;
	assert_int_equal(pxar_enc_entry(e, &bad[1]), -EINVAL);
	assert_int_equal(pxar_enc_entry(e, &root), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		print_message("case %zu\n", i);
		assert_int_equal(pxar_enc_entry(e, &bad[i]), -EINVAL);
		assert_int_equal(out.len, 56);
	}
	pxar_enc_free(e);
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hash),
		cmocka_unit_test(test_example),
		cmocka_unit_test(test_tree),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
