/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/cleanup.h"
#include "host/cli/secret.h"

#define NAME "PLUCK_TEST_SECRET"

static const struct {
	const char *name, *text, *want;	/* words joined by '|'; NULL: -EINVAL */
} lines[] = {
	{ "words", "a bc\td", "a|bc|d" },
	{ "blanks around", "  a  b \n", "a|b" },
	{ "single quotes", "a 'b  \\c' d", "a|b  \\c|d" },
	{ "double quotes", "\"b \\\" \\n $x\"", "b \" \\n $x" },
	{ "quotes within", "a'b c'\"d e\"f", "ab cd ef" },
	{ "backslash", "a\\ b\\\\ c", "a b\\|c" },
	{ "empty word", "a '' b", "a||b" },
	{ "nothing expands", "$HOME `id` $(id) * ~ | ; > x", "$HOME|`id`|$(id)|*|~|||;|>|x" },
	{ "one letter", "a", "a" },
	{ "nothing", "", NULL },
	{ "blanks alone", " \t\n", NULL },
	{ "open single quote", "a 'b", NULL },
	{ "open double quote", "a \"b\\\"", NULL },
	{ "backslash at the end", "a\\", NULL },
};

static void test_split(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		CLEANUP_FREE char *text = strdup(lines[i].text), **words = NULL;
		char joined[256] = "";
		int n = secret_split(text, &words);

		print_message("%s\n", lines[i].name);
		if (!lines[i].want) {
			assert_int_equal(n, -EINVAL);
			continue;
		}
		assert_true(n >= 1);
		for (int k = 0; k < n; k++) {
			strcat(joined, k ? "|" : "");
			strcat(joined, words[k]);
		}
		assert_null(words[n]);
		assert_string_equal(joined, lines[i].want);
	}
}

static void clear(void)
{
	static const char *const names[] = { NAME, NAME "_FD", NAME "_FILE", NAME "_CMD", "CREDENTIALS_DIRECTORY" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		(void)unsetenv(names[i]);
}

static char long_text[SECRET_MAX + 2];

static const struct {
	const char *name, *variable, *value, *want;
	int code;		/* negative errno; 1; 0 */
} sources[] = {
	{ "nothing", "", "x", NULL, 0 },
	{ "empty", NAME, "", NULL, 0 },
	{ "value", NAME, "pass word", "pass word", 1 },
	{ "value of two lines", NAME, "first\nsecond", "first", 1 },
	{ "value with CR", NAME, "first\r\nsecond", "first", 1 },
	{ "value, not UTF-8", NAME, "a\xff", NULL, -EILSEQ },
	{ "value, too long", NAME, long_text, NULL, -E2BIG },
	{ "no file", NAME "_FILE", "/nonexistent/x", NULL, -ENOENT },
	{ "file without contents", NAME "_FILE", "/dev/null", "", 1 },
	{ "file with NUL", NAME "_FILE", "/proc/self/cmdline", NULL, -EILSEQ },
	{ "file too long", NAME "_FILE", "/dev/zero", NULL, -E2BIG },
	{ "no number", NAME "_FD", "x", NULL, -EINVAL },
	{ "negative", NAME "_FD", "-1", NULL, -EINVAL },
	{ "bad descriptor", NAME "_FD", "1000000", NULL, -EBADF },
	{ "command", NAME "_CMD", "printf '%s\\n%s' 'a b' c", "a b", 1 },
	{ "command that fails", NAME "_CMD", "false", NULL, -ECHILD },
	{ "command that is not there", NAME "_CMD", "/nonexistent/x", NULL, -ENOENT },
	{ "command that goes on", NAME "_CMD", "yes y", "y", 1 },
	{ "command with an open quote", NAME "_CMD", "printf 'x", NULL, -EINVAL },
};

static void test_sources(void **state)
{
	(void)state;
	memset(long_text, 'x', sizeof(long_text) - 1);
	for (size_t i = 0; i < sizeof(sources) / sizeof(*sources); i++) {
		struct err e = ERR_INIT;
		struct secret s;

		clear();
		if (*sources[i].variable)
			assert_int_equal(setenv(sources[i].variable, sources[i].value, 1), 0);
		print_message("%s\n", sources[i].name);
		assert_int_equal(secret_find(NAME, NULL, &s, &e), sources[i].code);
		if (sources[i].code == 1)
			assert_string_equal(s.text, sources[i].want);
		assert_int_equal(!!e.text[0], sources[i].code < 0);
		if (sources[i].code < 0 && *sources[i].value)
			assert_non_null(strstr(e.text, NAME));
	}
	clear();
}

/* A descriptor is read no further than its first line; the value comes before the descriptor, that before the command. */
static void test_order(void **state)
{
	CLEANUP_CLOSE int fd = memfd_create("secret", MFD_CLOEXEC);
	struct secret s;
	char number[16];

	(void)state;
	clear();
	assert_int_equal(write(fd, "one\ntwo\n", 8), 8);
	(void)snprintf(number, sizeof(number), "%d", fd);
	assert_int_equal(setenv(NAME "_FD", number, 1), 0);
	assert_int_equal(setenv(NAME "_CMD", "false", 1), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(secret_find(NAME, NULL, &s, NULL), 1);
	assert_string_equal(s.text, "one");
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 4);
	assert_int_equal(setenv(NAME, "zero", 1), 0);
	assert_int_equal(secret_find(NAME, NULL, &s, NULL), 1);
	assert_string_equal(s.text, "zero");
	clear();
}

static void test_credentials(void **state)
{
	char dir[] = "/tmp/pluck-secret-XXXXXX", path[64];
	struct secret s;
	FILE *f;

	(void)state;
	clear();
	assert_non_null(mkdtemp(dir));
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", dir, 1), 0);
	assert_int_equal(secret_find(NAME, "cred", &s, NULL), 0);
	(void)snprintf(path, sizeof(path), "%s/cred", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	(void)fputs("two\nlines\n", f);
	(void)fclose(f);
	assert_int_equal(secret_find(NAME, "cred", &s, NULL), 1);
	assert_string_equal(s.text, "two\nlines");
	assert_int_equal(secret_find(NAME, NULL, &s, NULL), 0);
	(void)unlink(path);
	(void)rmdir(dir);
	clear();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_sources),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_credentials),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
