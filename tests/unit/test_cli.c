/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "host/cli/target.h"

#define ARGC_MAX 8

static const struct {
	const char *argv[ARGC_MAX];
	int want;
	size_t nr_pos;
	bool flag;	/* --recursive */
	uint64_t number;	/* --timeout */
} lines[] = {
	{ { "list", "a", "b" }, 0, 2, false, 0 },
	{ { "list", "--recursive", "a", "b" }, 0, 2, true, 0 },
	{ { "list", "a", "--recursive", "1", "b" }, 0, 2, true, 0 },
	{ { "list", "a", "b", "--recursive=off" }, 0, 2, false, 0 },
	{ { "list", "a", "b", "--recursive", "No" }, 0, 2, false, 0 },
	{ { "list", "a", "b", "--recursive=maybe" }, -EINVAL, 2, false, 0 },
	{ { "list", "--timeout", "25", "a" }, 0, 1, false, 25 },
	{ { "list", "--timeout=7", "--timeout=8", "a" }, 0, 1, false, 8 },
	{ { "list", "--timeout=0", "a" }, -EINVAL, 0, false, 0 },
	{ { "list", "--timeout=-1", "a" }, -EINVAL, 0, false, 0 },
	{ { "list", "--timeout=99999999999999999999999", "a" }, -EINVAL, 0, false, 0 },
	{ { "list", "a", "--timeout" }, -EINVAL, 1, false, 0 },
	{ { "list", "--recursiv", "a" }, -EINVAL, 0, false, 0 },
	{ { "list", "-r", "a" }, -EINVAL, 0, false, 0 },
	{ { "list", "--", "--recursive" }, 0, 1, false, 0 },
	{ { "list", "-" }, 0, 1, false, 0 },
	{ { "list" }, -EINVAL, 0, false, 0 },
	{ { "list", "a", "b", "c" }, -EINVAL, 3, false, 0 },
	{ { "list", "--output-format", "xml", "a" }, -EINVAL, 0, false, 0 },
	{ { "list", "--output-format", "jsonl", "a" }, 0, 1, false, 0 },
};

static void test_args(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		struct args a;
		int argc = 0;

		while (argc < ARGC_MAX && lines[i].argv[argc])
			argc++;
		print_message("%zu\n", i);
		assert_int_equal(args_parse(&cmd_list, argc - 1, (char **)lines[i].argv + 1, &a, NULL), lines[i].want);
		if (lines[i].want == 0) {
			assert_int_equal(a.nr_pos, lines[i].nr_pos);
			assert_int_equal(args_flag(&a, "recursive"), lines[i].flag);
			assert_int_equal(args_number(&a, "timeout", 0), lines[i].number);
		}
		args_free(&a);
	}
}

static void test_snapshot(void **state)
{
	static const char *const good[] = { "vm/100/2026-11-17T02:00:00Z", "host/a.b-c_/1970-01-01T00:00:00Z", "ct/1/2024-02-29T23:59:59Z" };
	static const char *const bad[] = {
		"", "vm", "vm/100", "vm/100/", "vm/100/2026-11-17", "VM/100/2026-11-17T02:00:00Z", "vm/../2026-11-17T02:00:00Z",
		"vm//2026-11-17T02:00:00Z", "vm/a b/2026-11-17T02:00:00Z", "vm/1/2023-02-29T00:00:00Z", "vm/1/2026-11-17T02:00:00Zx",
		"vm/1/2026-11-17 02:00:00Z", "vm/1/x/2026-11-17T02:00:00Z",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		assert_true(target_is_snapshot(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		print_message("%s\n", bad[i]);
		assert_false(target_is_snapshot(bad[i]));
	}
}

static const struct {
	const char *in, *out;
	int want;
} paths[] = {
	{ "/", "", 0 },			{ "null", "null", 0 },		{ "//null//raw/./a/", "null/raw/a", 0 },
	{ "null.img.fidx/raw", "null/raw", 0 }, { "", "", -EINVAL },	{ "nul/raw", "", -ENOENT },
	{ "null/raw/../x", "", -EINVAL }, { "x.pxar.didx/", "", -ENOENT }, { "b=c/part/1", "b=c/part/1", -ENOENT },
};

static void test_paths(void **state)
{
	const char *argv[] = { "--disk", "/dev/null", "--disk", "zz=/dev/zero" }, *twice[] = { "--disk", "a=/dev/null", "--disk=a=/dev/zero" };
	struct target t;
	struct args a;
	size_t pos = 0;

	(void)state;
	assert_int_equal(args_parse(&cmd_disks, 4, (char **)argv, &a, NULL), 0);
	assert_int_equal(target_parse(&a, &pos, &t, NULL), 0);
	assert_string_equal(t.disks[1].name, "zz");
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		struct target_path p;

		print_message("%s\n", paths[i].in);
		assert_int_equal(target_path(&t, paths[i].in, strlen(paths[i].in), false, &p, NULL), paths[i].want);
		if (paths[i].want)
			continue;
		assert_int_equal(p.root, !*paths[i].out);
		assert_int_equal(p.bytes.len, strlen(paths[i].out));
		assert_memory_equal(p.bytes.data, paths[i].out, p.bytes.len);
		target_path_free(&p);
	}
	target_free(&t);
	args_free(&a);
	assert_int_equal(args_parse(&cmd_disks, 3, (char **)twice, &a, NULL), 0);
	assert_int_equal(target_parse(&a, &pos, &t, NULL), -EINVAL);
	target_free(&t);
	args_free(&a);
}

static bool is_documented(const char *text, const char *option)
{
	const size_t len = strlen(option);

	for (const char *at = strstr(text, option); at; at = strstr(at + len, option))
		if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-", at[len]))
			return true;
	return false;
}

/* Every command and option occurs in the manual page. */
static void test_documented(void **state)
{
	CLEANUP_FREE char *text = NULL;
	size_t len, out = 0;

	(void)state;
	assert_int_equal(io_read_file(AT_FDCWD, "docs/pluck.1", 1 << 20, &text, &len), 0);
	for (size_t i = 0; i <= len; i++) {
		if (!strncmp(text + i, "\\f", 2))	/* and the font */
			i += 2;
		else if (text[i] != '\\')
			text[out++] = text[i];
	}
	for (size_t c = 0; commands[c]; c++) {
		assert_non_null(strstr(text, commands[c]->name));
		for (size_t t = 0; t < COMMAND_OPTS_MAX && commands[c]->opts[t]; t++) {
			for (const struct opt *o = commands[c]->opts[t]; o->name; o++) {
				char want[64];

				(void)snprintf(want, sizeof(want), "--%s", o->name);
				if (!is_documented(text, want))
					fail_msg("docs/pluck.1: %s of %s", want, commands[c]->name);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_args),
		cmocka_unit_test(test_snapshot),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_documented),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
