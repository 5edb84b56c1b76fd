/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Patterns of names and paths, what is no pattern, and what becomes of a tree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/filter.h"

static const struct {
	const char *pattern, *path;
	bool dir, want;
} matches[] = {
	{ "a", "a", false, true },		{ "a", "b", false, false },		{ "a", "x/y/a", false, true },
	{ "a", "ab", false, false },		{ "*", ".hidden", false, true },	{ "*.txt", "d/x.txt", false, true },
	{ "*.txt", "x.txt.gz", false, false },	{ "/a", "a", false, true },		{ "/a", "x/a", false, false },
	{ "x/a", "x/a", false, true },		{ "x/a", "y/x/a", false, false },	{ "**/x/a", "y/x/a", false, true },
	{ "**/x/a", "x/a", false, true },	{ "x/**", "x", true, false },		{ "x/**", "x/a/b", false, true },
	{ "x/**/a", "x/a", false, true },	{ "x/**/a", "x/1/2/a", false, true },	{ "x/**/a", "x/1/2/b", false, false },
	{ "**", "anything", false, true },	{ "x*/b", "xyz/b", false, true },	{ "x*b", "x/b", false, false },
	{ "x?b", "x/b", false, false },		{ "/*/b", "x/b", false, true },		{ "/*/b", "x/y/b", false, false },
	{ "tmp/", "tmp", true, true },		{ "tmp/", "tmp", false, false },	{ "tmp/", "a/tmp", true, true },
	{ "[a-c]x", "bx", false, true },	{ "[a-c]x", "dx", false, false },	{ "[!a-c]x", "dx", false, true },
	{ "[^a-c]x", "ax", false, false },	{ "[]]x", "]x", false, true },		{ "[a-]x", "-x", false, true },
	{ "[\\]]", "]", false, true },		{ "\\*", "*", false, true },		{ "\\*", "a", false, false },
	{ "\\a", "a", false, true },		{ "???", "\xc3\xa4\xc3\xb6\xc3\xbc", false, true },
	{ "[\xc3\xa4-\xc3\xbc]", "\xc3\xb6", false, true },			{ "?", "\xff", false, true },
	{ "\xff*", "\xff\xfe", false, true },	{ "a*b*c", "aXbYbZc", false, true },	{ "a*b*c", "aXcYb", false, false },
	{ "*a*", "bab", false, true },		{ "**/a/**/b", "a/a/x/b", false, true },
	{ "**/a/**/b/c", "a/b/a/b/c", false, true },				{ "a/**/**/b", "a/b", false, true },
	{ "a**b", "axxb", false, true },	{ "é", "e\xcc\x81", false, false },
};

static void match(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(matches) / sizeof(*matches); i++) {
		const struct filter_pos top = { 0 };
		struct filter *f = filter_new();
		enum filter_verdict v;

		assert_int_equal(filter_add(f, true, matches[i].pattern, strlen(matches[i].pattern), NULL), 0);
		v = filter_look(f, &top, matches[i].path, strlen(matches[i].path), matches[i].dir);
		if ((v == FILTER_LEAVE) != matches[i].want)
			fail_msg("'%s' and '%s'", matches[i].pattern, matches[i].path);
		filter_free(f);
	}
}

static void refused(void **state)
{
	static const char *const bad[] = { "", "/", "//", "a//b", "[a", "[", "[]", "[!]", "a\\", "x/[a-/b" };
	static char longest[FILTER_BYTES_MAX + 1];
	struct filter *f = filter_new();

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(filter_add(f, false, bad[i], strlen(bad[i]), NULL), -EINVAL);
	assert_int_equal(filter_add(f, false, "a\0b", 3, NULL), -EINVAL);
	memset(longest, 'a', sizeof(longest));
	assert_int_equal(filter_add(f, false, longest, sizeof(longest), NULL), -E2BIG);
	assert_int_equal(filter_parse(f, "x\0", 2, NULL), -EINVAL);
	assert_int_equal(filter_parse(f, "+a", 2, NULL), -EINVAL);
	assert_int_equal(filter_parse(f, "+\0", 2, NULL), -EINVAL);
	assert_int_equal(filter_parse(f, "+a\0-b\0", 6, NULL), 0);
	filter_free(f);
}

/* Stars without end against a name that nearly matches: the test ends at all. */
static void cost(void **state)
{
	static char pattern[4001], path[4001];
	struct filter *f = filter_new();
	const struct filter_pos top = { 0 };

	(void)state;
	for (size_t i = 0; i < 4000; i++)
		pattern[i] = i % 2 ? 'a' : '*';
	pattern[4000] = 'b';
	memset(path, 'a', 4001);
	assert_int_equal(filter_add(f, true, pattern, 4001, NULL), 0);
	assert_int_equal(filter_look(f, &top, path, 4001, false), FILTER_TAKE);
	filter_free(f);
}

/* A directory that is not included: may something beneath it be? */
static const struct {
	const char *include, *dir;
	bool want;
} ways[] = {
	{ "*.c", "a/b", true },		{ "a", "b", true },		{ "/a", "b", false },		{ "/a/b", "a", true },
	{ "/a/b", "b", false },		{ "a/b", "a", true },		{ "a/b", "c", false },		{ "a/b", "c/a", false },
	{ "/a/b/c", "a/b", true },	{ "/a/b/c", "a/x", false },	{ "/*/b", "x", true },		{ "/*/b", "x/y", false },
	{ "/a*/b", "ax", true },	{ "/a*/b", "bx", false },	{ "**/b", "x/y", true },	{ "/a/**/b", "a/x/y", true },
	{ "/a/**/b", "x", false },	{ "/a/**", "b", false },	{ "/a/**", "a", true },		{ "/a/", "b", false },
	{ "/a/b/", "a", true },		{ "/[a-c]/x", "b", true },	{ "/[a-c]/x", "d", false },	{ "/\\*/x", "*", true },
	{ "/\\*/x", "a", false },	{ "/a**b/x", "axb", true },	{ "/**x/y", "ax", true },	{ "/**x/y", "a", false },
	{ "/a/b", "ab", false },	{ "/ab/c", "a", false },
};

static void way(void **state)
{
	const struct filter_pos top = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		struct filter *f = filter_new();
		enum filter_verdict v;

		assert_int_equal(filter_add(f, false, ways[i].include, strlen(ways[i].include), NULL), 0);
		v = filter_look(f, &top, ways[i].dir, strlen(ways[i].dir), true);
		if (v != (ways[i].want ? FILTER_PASS : FILTER_LEAVE))
			fail_msg("'%s' beneath '%s'", ways[i].include, ways[i].dir);
		/* what another pattern may match is a way all the same */
		assert_int_equal(filter_add(f, true, "/z", 2, NULL), 0);
		assert_int_equal(filter_look(f, &top, ways[i].dir, strlen(ways[i].dir), true), v);
		assert_int_equal(filter_add(f, false, "*.x", 3, NULL), 0);
		assert_int_equal(filter_look(f, &top, ways[i].dir, strlen(ways[i].dir), true), FILTER_PASS);
		filter_free(f);
	}
}

/* Of all short paths over few letters: what is left out as a directory holds nothing that is included. */
static void way_is_right(void **state)
{
	static const char *const patterns[] = { "/a/b", "a/*", "/*/a", "/a*/b/a", "**/a/b", "a/**/b", "/?b/a", "/[!a]/b", "b/", "/a/b/", "/**" };
	static const char *const names[] = { "a", "b", "ab" };
	const struct filter_pos top = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(patterns) / sizeof(*patterns); i++) {
		struct filter *f = filter_new();

		assert_int_equal(filter_add(f, false, patterns[i], strlen(patterns[i]), NULL), 0);
		for (size_t k = 0; k < 81; k++) {
			char path[32];
			const int dir_len = snprintf(path, sizeof(path), "%s/%s", names[k % 3], names[k / 3 % 3]);
			const int len = snprintf(path, sizeof(path), "%s/%s/%s/%s", names[k % 3], names[k / 3 % 3], names[k / 9 % 3], names[k / 27]);

			if (filter_look(f, &top, path, (size_t)dir_len, true) == FILTER_LEAVE)
				assert_int_not_equal(filter_look(f, &top, path, (size_t)len, true), FILTER_TAKE);
		}
		filter_free(f);
	}
}

static void tree(void **state)
{
	struct filter *f = filter_new(), *g = filter_new();
	struct buf b = BUF_INIT;
	struct filter_pos at = { 0 };

	(void)state;
	assert_int_equal(filter_look(NULL, &at, "a", 1, false), FILTER_TAKE);
	assert_int_equal(filter_add(f, false, "docs/", 5, NULL), 0);
	assert_int_equal(filter_add(f, false, "*.c", 3, NULL), 0);
	assert_int_equal(filter_add(f, true, "secret*", 7, NULL), 0);
	filter_write(f, &b);
	assert_int_equal(filter_parse(g, b.data, b.len, NULL), 0);
	assert_int_equal(filter_look(g, &at, "src", 3, true), FILTER_PASS);
	assert_int_equal(filter_look(g, &at, "docs", 4, false), FILTER_LEAVE);
	filter_enter(&at, FILTER_PASS);
	assert_int_equal(filter_look(g, &at, "src/x.c", 7, false), FILTER_TAKE);
	assert_int_equal(filter_look(g, &at, "src/x.h", 7, false), FILTER_LEAVE);
	assert_int_equal(filter_look(g, &at, "src/docs", 8, true), FILTER_TAKE);
	filter_enter(&at, FILTER_TAKE);
	assert_int_equal(filter_look(g, &at, "src/docs/x.h", 12, false), FILTER_TAKE);
	assert_int_equal(filter_look(g, &at, "src/docs/in", 11, true), FILTER_TAKE);
	filter_enter(&at, FILTER_TAKE);
	assert_int_equal(filter_look(g, &at, "src/docs/in/secret.c", 20, false), FILTER_LEAVE);
	filter_leave(&at);
	filter_leave(&at);
	assert_int_equal(filter_look(g, &at, "src/x.h", 7, false), FILTER_LEAVE);
	filter_leave(&at);
	assert_int_equal(at.depth, 0);
	filter_free(f);
	filter_free(g);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(match), cmocka_unit_test(refused), cmocka_unit_test(cost), cmocka_unit_test(way),
					    cmocka_unit_test(way_is_right),
					    cmocka_unit_test(tree) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
