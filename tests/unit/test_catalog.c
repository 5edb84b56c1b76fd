/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Catalogs: look-ups, numbers, and walks through what may be hostile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/buf.h"
#include "common/pxar/format.h"
#include "host/archive/catalog_walk.h"
#include "tests/lib/mem_source.h"

static const uint8_t catalog[] = {
	0x91, 0xfd, 0x60, 0xf9, 0xc4, 0x67, 0x58, 0xd5, 0x14, 0x02, 'f', 6, 'p', 'a', 's', 's', 'w', 'd', 0xd2, 0x09,
	0x80, 0xe2, 0xcf, 0xaa, 0x06, 'l', 2, 'r', 'c', 0x0f, 0x02, 'd', 3, 'e', 't', 'c', 0x15, 'f', 3, 'o', 'l', 'd',
	0x00, 0x81, 0x00, 0x12, 0x01, 'd', 0x0e, 'r', 'o', 'o', 't', '.', 'p', 'x', 'a', 'r', '.', 'd', 'i', 'd', 'x', 0x10,
	0x2d, 0, 0, 0, 0, 0, 0, 0,
};

static int count(void *arg, const struct catalog_entry *e)
{
	(void)e;
	++*(unsigned int *)arg;
	return 0;
}

static void test_catalog(void **state)
{
	struct mem_source src = mem_source(catalog, sizeof(catalog));
	uint8_t copy[sizeof(catalog)];
	struct catalog_entry e;
	unsigned int nr = 0;
	struct catalog c;

	(void)state;
	assert_int_equal(catalog_open(&src.src, &c, NULL), 0);
	assert_int_equal(catalog_find(&c, "root.pxar.didx/etc/passwd", 25, &e, NULL), 0);
	assert_true(e.type == 'f' && e.size == 1234 && e.mtime == 1700000000);
	assert_int_equal(catalog_find(&c, "/root.pxar.didx//old/", 21, &e, NULL), 0);
	assert_true(e.type == 'f' && e.size == 0 && e.mtime == -1);
	assert_int_equal(catalog_find(&c, "root.pxar.didx/nope", 19, &e, NULL), -ENOENT);
	assert_int_equal(catalog_find(&c, "root.pxar.didx/old/x", 20, &e, NULL), -ENOTDIR);
	assert_int_equal(catalog_find(&c, "root.pxar.didx/etc", 18, &e, NULL), 0);
	assert_int_equal(catalog_list(&c, e.block, count, &nr, NULL), 0);
	assert_int_equal(nr, 2);
	for (size_t len = 0; len < sizeof(catalog); len++) {
		src = mem_source(catalog, len);
		assert_int_equal(catalog_open(&src.src, &c, NULL), -EBADMSG);
	}
	memcpy(copy, catalog, sizeof(copy));
	src = mem_source(copy, sizeof(copy));
	copy[36] = 0x1d;	/* etc is its own parent's parent: before the magic's end */
	assert_int_equal(catalog_open(&src.src, &c, NULL), 0);
	assert_int_equal(catalog_find(&c, "root.pxar.didx/etc", 18, &e, NULL), -EBADMSG);
	copy[36] = 0;		/* itself */
	assert_int_equal(catalog_find(&c, "root.pxar.didx/etc", 18, &e, NULL), -EBADMSG);
}

/* Numbers as the format has them, in the place of the time of a file. */
static void test_catalog_times(void **state)
{
	static const struct {
		int64_t want;
		uint8_t bytes[12];
		size_t len;
		bool bad;
	} cases[] = {
		{ 1, { 1 }, 1, false }, { -1, { 0x81, 0 }, 2, false }, { -127, { 0xff, 0 }, 2, false },
		{ -128, { 0x80, 0x81, 0 }, 3, false }, { -300, { 0xac, 0x82, 0 }, 3, false }, { 128, { 0x80, 1 }, 2, false },
		{ INT64_MIN, { 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x81, 0 }, 11, false },
		{ -3600, { 0xf0, 0xe3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1 }, 10, false },
		{ 0, { 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x82, 0 }, 11, true },
		{ 0, { 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1 }, 12, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		CLEANUP_BUF struct buf b = BUF_INIT;
		struct catalog_entry e;
		struct mem_source src;
		struct catalog c;

		buf_add(&b, catalog, 8);
		buf_u8(&b, (uint8_t)(1 + 4 + cases[i].len));
		buf_add(&b, "\1f\1x", 4);
		buf_u8(&b, 5);
		buf_add(&b, cases[i].bytes, cases[i].len);
		buf_u64le(&b, 8);
		src = mem_source(b.data, b.len);
		assert_int_equal(catalog_open(&src.src, &c, NULL), 0);
		assert_int_equal(catalog_find(&c, "x", 1, &e, NULL), cases[i].bad ? -EBADMSG : 0);
		if (!cases[i].bad)
			assert_true(e.mtime == cases[i].want);
	}
}

static void varint(struct buf *b, uint64_t v)
{
	for (; v >= 128; v >>= 7)
		buf_u8(b, (uint8_t)(v | 128));
	buf_u8(b, (uint8_t)v);
}

/* A block of @nr directories "d0", "d1", ..., each the block at @child, and then a link of the name @link. Return: its position. */
static uint64_t block(struct buf *b, unsigned int nr, uint64_t child, const char *link)
{
	CLEANUP_BUF struct buf table = BUF_INIT;
	const uint64_t pos = b->len;

	varint(&table, nr + 1);
	for (unsigned int i = 0; i < nr; i++) {
		buf_str(&table, "d\2d");
		buf_u8(&table, (uint8_t)('0' + i));
		varint(&table, pos - child);
	}
	buf_u8(&table, 'l');
	varint(&table, strlen(link));
	buf_str(&table, link);
	varint(b, table.len);
	buf_add(b, table.data, table.len);
	return pos;
}

struct seen {
	struct buf text;
	uint64_t nr;
	size_t longest;
};

static int see(void *arg, const char *path, size_t path_len, const struct catalog_entry *e)
{
	struct seen *s = arg;

	assert_int_equal(path[path_len], 0);
	if (++s->nr < 20)
		buf_fmt(&s->text, "%c:%s;", e->type, path);
	if (path_len > s->longest)
		s->longest = path_len;
	return 0;
}

/* Each level is @nr directories that are the same block of the level below. */
static int walk(unsigned int levels, unsigned int nr, const char *link, bool recursive, struct seen *s)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct mem_source src;
	struct catalog c;
	uint64_t root;

	*s = (struct seen){ 0 };
	buf_add(&b, catalog, 8);
	root = block(&b, 0, 0, link);
	for (unsigned int i = 0; i < levels; i++)
		root = block(&b, nr, root, link);
	buf_u64le(&b, root);
	assert_int_equal(buf_ok(&b), 0);
	src = mem_source(b.data, b.len);
	assert_int_equal(catalog_open(&src.src, &c, NULL), 0);
	return catalog_walk(&c, c.root, recursive, see, s, NULL);
}

static void check_walk(unsigned int levels, unsigned int nr, const char *link, bool recursive, int want, const char *text)
{
	struct seen s;

	assert_int_equal(walk(levels, nr, link, recursive, &s), want);
	if (text)
		assert_string_equal(buf_cstr(&s.text), text);
	buf_free(&s.text);
}

static void test_walk(void **state)
{
	char wide[CATALOG_NAME_MAX + 1];

	(void)state;
	check_walk(0, 0, "x", true, 0, "l:x;");
	check_walk(2, 1, "x", true, 0, "d:d0;d:d0/d0;l:d0/d0/x;l:d0/x;l:x;");
	check_walk(1, 2, "x", true, 0, "d:d0;l:d0/x;d:d1;l:d1/x;l:x;");
	check_walk(2, 2, "x", false, 0, "d:d0;d:d1;l:x;");
	check_walk(1, 1, "", true, 0, "d:d0;l:d0;l:;");
	/* as deep as an archive may be, and one more */
	check_walk(PXAR_DEPTH_MAX, 1, "x", true, 0, NULL);
	check_walk(PXAR_DEPTH_MAX + 1, 1, "x", true, -EBADMSG, NULL);
	/* a few bytes, but two to the power of forty entries */
	check_walk(40, 2, "x", true, -EBADMSG, NULL);
	/* a path that ends nowhere */
	memset(wide, 'w', sizeof(wide) - 1);
	wide[sizeof(wide) - 1] = 0;
	check_walk(3, 1, wide, true, 0, NULL);
}

/* More entries than fit into what is read at once; the directory in the middle is entered and left. */
static void test_wide(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT, table = BUF_INIT;
	const unsigned int nr = 20000;
	struct mem_source src;
	struct catalog c;
	struct seen s = { 0 };
	uint64_t child, root;

	(void)state;
	buf_add(&b, catalog, 8);
	child = block(&b, 0, 0, "inner");
	root = b.len;
	varint(&table, nr);
	for (unsigned int i = 0; i < nr; i++) {
		buf_str(&table, i % 1000 ? "l\4file" : "d\4dire");
		if (i % 1000 == 0)
			varint(&table, root - child);
	}
	varint(&b, table.len);
	buf_add(&b, table.data, table.len);
	buf_u64le(&b, root);
	src = mem_source(b.data, b.len);
	assert_int_equal(catalog_open(&src.src, &c, NULL), 0);
	assert_int_equal(catalog_walk(&c, c.root, true, see, &s, NULL), 0);
	assert_int_equal(s.nr, nr + nr / 1000);
	assert_int_equal(s.longest, strlen("dire/inner"));
	buf_free(&s.text);
}

static int stop(void *arg, const char *path, size_t path_len, const struct catalog_entry *e)
{
	(void)path;
	(void)path_len;
	(void)e;
	return ++*(int *)arg == 2 ? 77 : 0;
}

static void test_stop(void **state)
{
	struct mem_source src = mem_source(catalog, sizeof(catalog));
	struct catalog c;
	int nr = 0;

	(void)state;
	assert_int_equal(catalog_open(&src.src, &c, NULL), 0);
	assert_int_equal(catalog_walk(&c, c.root, true, stop, &nr, NULL), 77);
	assert_int_equal(nr, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_catalog),
		cmocka_unit_test(test_catalog_times),
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_wide),
		cmocka_unit_test(test_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
