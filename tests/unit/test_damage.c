/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which members lost bytes hit: host/archive/damage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include <sys/stat.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/pxar/encode.h"
#include "host/archive/damage.h"
#include "tests/lib/mem_source.h"

#define FILE_BYTES 1000

static struct buf archive = BUF_INIT;

static void put(struct pxar_enc *e, const char *name, bool dir)
{
	const struct pxar_entry n = { .name = name, .name_len = strlen(name), .kind = dir ? PXAR_KIND_DIR : PXAR_KIND_FILE,
				      .mode = dir ? S_IFDIR | 0755 : S_IFREG | 0644,
				      .size = dir ? 0 : FILE_BYTES, .payload_size = dir ? 0 : FILE_BYTES };

	assert_int_equal(pxar_enc_entry(e, &n), 0);
	for (size_t i = 0; i < n.size; i++)
		buf_u8(&archive, (uint8_t)i);
	if (n.size)
		pxar_enc_payload(e, n.size);
}

/* / a | d/ b deep/ c | e/ f | z */
static int setup(void **state)
{
	struct pxar_enc *e = pxar_enc_new(&archive, 0);

	(void)state;
	put(e, "", true);
	put(e, "a", false);
	put(e, "d", true);
	put(e, "b", false);
	put(e, "deep", true);
	put(e, "c", false);
	assert_int_equal(pxar_enc_dir_end(e), 0);
	assert_int_equal(pxar_enc_dir_end(e), 0);
	put(e, "e", true);
	put(e, "f", false);
	assert_int_equal(pxar_enc_dir_end(e), 0);
	put(e, "z", false);
	assert_int_equal(pxar_enc_dir_end(e), 0);
	pxar_enc_free(e);
	return buf_ok(&archive);
}

static int teardown(void **state)
{
	(void)state;
	buf_free(&archive);
	return 0;
}

struct seen {
	char text[200];		/* paths, sorted as they come, each with a space behind it; the root is "." */
	int stop_with;
};

static int note(void *arg, const char *path, size_t path_len, const char *why)
{
	struct seen *s = arg;
	const size_t n = strlen(s->text);

	assert_true(*why);
	(void)snprintf(s->text + n, sizeof(s->text) - n, "%.*s ", path_len ? (int)path_len : 1, path_len ? path : ".");
	return s->stop_with;
}

static int walk(struct mem_source *m, const struct damage_range *bad, size_t nr, struct seen *ret)
{
	struct err err = ERR_INIT;
	struct access *a;
	int r;

	assert_int_equal(access_open(&m->src, NULL, &a, &err), 0);
	r = damage_walk(a, bad, nr, note, ret, &err);
	access_free(a);
	return r;
}

/* Where a file's data begins, or a directory's table. */
static uint64_t place(const char *path)
{
	struct mem_source m = mem_source(archive.data, archive.len);
	struct access_member *x = access_member_new();
	struct access_dir d;
	struct access *a;
	uint64_t pos;

	assert_int_equal(access_open(&m.src, NULL, &a, NULL), 0);
	assert_int_equal(access_find(a, path, strlen(path), x, NULL), 0);
	pos = x->body;
	if (x->entry.kind == PXAR_KIND_DIR) {
		assert_int_equal(access_dir_open(a, x, &d, NULL), 0);
		pos = d.goodbye;
		access_dir_close(&d);
	}
	access_member_free(x);
	access_free(a);
	return pos;
}

/* Ranges of files' data, of which nothing is read. */
static void test_data(void **state)
{
	static const struct {
		const char *from;
		int64_t off;
		const char *to;		/* NULL: @len bytes */
		uint64_t len;
		const char *want;
	} cases[] = {
		{ "a", 0, NULL, 1, "a " },
		{ "a", FILE_BYTES - 1, NULL, 1, "a " },
		{ "a", FILE_BYTES, NULL, 1, "" },
		{ "a", -1, NULL, 1, "" },
		{ "a", -1, NULL, 2, "a " },
		{ "a", 10, NULL, UINT64_MAX / 2, "a d/b d/deep/c e/f z " },
		{ "d/b", 0, "d/deep/c", 0, "d/b " },
		{ "d/b", 0, "d/deep/c", 1, "d/b d/deep/c " },
		{ "d/deep/c", FILE_BYTES - 1, "e/f", 1, "d/deep/c e/f " },
		{ "z", 0, NULL, 5 * FILE_BYTES, "z " },
		{ "z", 100 * FILE_BYTES, NULL, 1, "" },
		{ "", 0, NULL, 8, "" },	/* the root's table: what can be read is not asked for */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct mem_source m = mem_source(archive.data, archive.len);
		struct damage_range bad = { .off = place(cases[i].from) + (uint64_t)cases[i].off, .len = cases[i].len };
		struct seen s = { 0 };

		if (cases[i].to)
			bad.len = place(cases[i].to) - bad.off + cases[i].len;
		assert_int_equal(walk(&m, &bad, 1, &s), 0);
		assert_string_equal(s.text, cases[i].want);
	}
}

/* Several ranges: each file once, whatever hits it. */
static void test_many(void **state)
{
	struct mem_source m = mem_source(archive.data, archive.len);
	const uint64_t a = place("a"), c = place("d/deep/c"), z = place("z");
	const struct damage_range bad[] = { { 0, 1 }, { a, 1 }, { a + 1, 1 }, { a + 500, 1 }, { c, 1 }, { z + 999, 1 }, { z + 5000, 1 } };
	struct seen s = { 0 }, none = { 0 }, stopped = { .stop_with = -ECANCELED };

	(void)state;
	assert_int_equal(walk(&m, bad, sizeof(bad) / sizeof(*bad), &s), 0);
	assert_string_equal(s.text, "a d/deep/c z ");
	assert_int_equal(walk(&m, NULL, 0, &none), 0);
	assert_string_equal(none.text, "");
	assert_int_equal(walk(&m, bad, 2, &stopped), -ECANCELED);
	assert_string_equal(stopped.text, "a ");
}

/* Metadata that cannot be read: the directory is told, and what is found without its table is looked at nevertheless. */
static void test_metadata(void **state)
{
	static const struct {
		const char *lost;	/* the table of this directory */
		const char *want;
	} cases[] = {
		{ "d/deep", "d/deep d/deep/c " }, { "e", "e e/f " }, { "d", "d d/deep d/deep/c " }, { "", ". d/deep/c e/f " },
	};
	const struct damage_range files[] = { { place("d/deep/c"), 1 }, { place("e/f"), 1 } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct mem_source m = mem_source(archive.data, archive.len);
		const bool has_c = strstr(cases[i].want, "deep/c"), has_f = strstr(cases[i].want, "e/f");
		struct seen s = { 0 };

		m.bad_from = place(cases[i].lost);
		m.bad_to = m.bad_from + 16;
		if (!*cases[i].lost) {
			m.bad_from = archive.len - 24;
			m.bad_to = archive.len;
		}
		assert_int_equal(walk(&m, has_c ? files : files + 1, (size_t)has_c + has_f, &s), 0);
		assert_string_equal(s.text, cases[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_data), cmocka_unit_test(test_many), cmocka_unit_test(test_metadata),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
