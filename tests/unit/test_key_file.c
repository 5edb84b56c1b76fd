/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "host/source/store/key_file.h"

static char base[] = "/tmp/pluck-keyfile-XXXXXX";

static int setup(void **state)
{
	(void)state;
	return mkdtemp(base) ? 0 : -1;
}

static int teardown(void **state)
{
	char cmd[64];

	(void)state;
	(void)snprintf(cmd, sizeof(cmd), "rm -rf %s", base);
	return system(cmd) ? -1 : 0;
}

static const struct {
	enum key_kdf kdf;
	const char *pass, *hint, *head;
} kinds[] = {
	{ KEY_KDF_NONE, NULL, NULL, "{\"kdf\":null,\"created\":\"" },
	{ KEY_KDF_SCRYPT, "five5", "a \"hint\"", "{\"kdf\":{\"Scrypt\":{\"n\":65536,\"r\":8,\"p\":1,\"salt\":\"" },
	{ KEY_KDF_PBKDF2, "\xc3\xa4\xc3\xb6\xc3\xbc", "\xc3\xa4", "{\"kdf\":{\"PBKDF2\":{\"iter\":65535,\"salt\":\"" },
};

static void test_round(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		CLEANUP(key_buf_free) struct buf text = BUF_INIT;
		const char *pass = kinds[i].pass;
		size_t pass_len = pass ? strlen(pass) : 0;
		struct crypt_key key, back;
		struct key_info info;
		int64_t t;

		assert_int_equal(key_generate(&key), 0);
		assert_int_equal(key_file_format(&key, kinds[i].kdf, pass, pass_len, "2024-01-01T00:00:00Z", kinds[i].hint, &text,
						 NULL), 0);
		print_message("%.*s\n", (int)text.len, (const char *)text.data);
		assert_memory_equal(text.data, kinds[i].head, strlen(kinds[i].head));
		assert_int_equal(key_load((const char *)text.data, text.len, pass, pass_len, &back, NULL), 0);
		assert_memory_equal(&key, &back, sizeof(key));
		assert_int_equal(key_file_info((const char *)text.data, text.len, &info, NULL), 0);
		assert_int_equal(info.kdf, kinds[i].kdf);
		assert_string_equal(info.created, "2024-01-01T00:00:00Z");
		assert_int_equal(key_time_parse(info.modified, &t), 0);
		assert_true(info.has_fingerprint);
		assert_memory_equal(info.fingerprint, key.fingerprint, 32);
		assert_string_equal(info.hint, kinds[i].hint ? kinds[i].hint : "");
		if (pass) {
			assert_int_equal(key_load((const char *)text.data, text.len, "wrong", 5, &back, NULL), -EKEYREJECTED);
			assert_int_equal(key_file_format(&key, kinds[i].kdf, "four", 4, NULL, NULL, &text, NULL), -EINVAL);
		}
	}
}

static void test_fresh(void **state)
{
	struct crypt_key a, b;

	(void)state;
	assert_int_equal(key_generate(&a), 0);
	assert_int_equal(key_generate(&b), 0);
	assert_memory_not_equal(a.data, b.data, sizeof(a.data));
}

static const struct {
	const char *text;
	int want;
	int64_t t;
} times[] = {
	{ "1970-01-01T00:00:00Z", 0, 0 },
	{ "2026-02-03T12:00:00+01:00", 0, 1770116400 },
	{ "2026-02-03T12:00:00-01:30", 0, 1770125400 },
	{ "2026-02-03T12:00:00", -EBADMSG, 0 },
	{ "2026-02-03T12:00:00+01:00x", -EBADMSG, 0 },
	{ "2026-02-03T12:00:00+0100", -EBADMSG, 0 },
	{ "2026-02-03T12:00:00+24:00", -EBADMSG, 0 },
	{ "2026-02-03T12:00:00+-1:00", -EBADMSG, 0 },
	{ "2026-02-03T12:00:00+01", -EBADMSG, 0 },
	{ "2026-02-03 12:00:00Z", -EBADMSG, 0 },
	{ "", -EBADMSG, 0 },
};

static void test_times(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++) {
		int64_t t = 0;

		print_message("%s\n", times[i].text);
		assert_int_equal(key_time_parse(times[i].text, &t), times[i].want);
		assert_int_equal(t, times[i].t);
	}
}

#define X64 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static void test_hints(void **state)
{
	static const char *const good[] = { "a", "the usual one", "\xc3\xa4", X64 };
	static const char *const wrong[] = { "", X64 "x", "a\nb", "\x1b[31m", "\xff", "\xe2\x80\xae" };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		assert_int_equal(key_hint_check(good[i]), 0);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		assert_int_equal(key_hint_check(wrong[i]), -EINVAL);
}

static const struct {
	const char *name, *json;
} bad_infos[] = {
	{ "no JSON", "x" },
	{ "an array", "[]" },
	{ "no data", "{\"kdf\":null}" },
	{ "data is a number", "{\"kdf\":null,\"data\":1}" },
	{ "unknown derivation", "{\"kdf\":{\"Argon\":{}},\"data\":\"\"}" },
	{ "derivation is a text", "{\"kdf\":\"none\",\"data\":\"\"}" },
	{ "created is a number", "{\"kdf\":null,\"data\":\"\",\"created\":5}" },
	{ "created is long", "{\"kdf\":null,\"data\":\"\",\"created\":\"" X64 "\"}" },
	{ "hint is long", "{\"kdf\":null,\"data\":\"\",\"hint\":\"" X64 X64 X64 X64 "x\"}" },
	{ "bad fingerprint", "{\"kdf\":null,\"data\":\"\",\"fingerprint\":\"00:11\"}" },
	{ "a key twice", "{\"kdf\":null,\"data\":\"\",\"data\":\"\"}" },
};

static void test_bad_infos(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad_infos) / sizeof(*bad_infos); i++) {
		CLEANUP_BUF struct buf out = BUF_INIT;
		struct key_info info;

		print_message("%s\n", bad_infos[i].name);
		assert_int_equal(key_file_info(bad_infos[i].json, strlen(bad_infos[i].json), &info, NULL), -EBADMSG);
		assert_int_equal(key_file_paper(bad_infos[i].json, strlen(bad_infos[i].json), NULL, &out, NULL), -EBADMSG);
		assert_int_equal(out.len, 0);
	}
}

static void check_file(const char *path, const char *want)
{
	CLEANUP_FREE char *text = NULL;
	struct stat st;
	size_t len;

	assert_int_equal(io_read_file(-1, path, 100, &text, &len), 0);
	assert_string_equal(text, want);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void test_write(void **state)
{
	char path[64], link[64], deep[64], cmd[128];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/k.json", base);
	(void)snprintf(link, sizeof(link), "%s/link", base);
	(void)snprintf(deep, sizeof(deep), "%s/no/k.json", base);
	assert_int_equal(key_file_write(path, "one", 3, false, NULL), 0);
	check_file(path, "one");
	assert_int_equal(key_file_write(path, "two", 3, false, NULL), -EEXIST);
	check_file(path, "one");
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(key_file_write(path, "two", 3, true, NULL), 0);
	check_file(path, "two");
	/* A link stays one. */
	assert_int_equal(symlink("k.json", link), 0);
	assert_int_equal(key_file_write(link, "three", 5, false, NULL), -EEXIST);
	assert_int_equal(key_file_write(link, "three", 5, true, NULL), 0);
	check_file(path, "three");
	assert_int_equal(readlink(link, cmd, sizeof(cmd)), 6);
	assert_int_equal(key_file_write(deep, "x", 1, false, NULL), -ENOENT);
	/* Nothing else is left. */
	(void)snprintf(cmd, sizeof(cmd), "test $(ls -A %s | wc -l) = 2", base);
	assert_int_equal(system(cmd), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round),	  cmocka_unit_test(test_fresh), cmocka_unit_test(test_times),
		cmocka_unit_test(test_hints),	  cmocka_unit_test(test_bad_infos), cmocka_unit_test(test_write),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
