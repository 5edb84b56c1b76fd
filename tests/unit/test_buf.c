/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/b64.h"
#include "common/buf.h"
#include "common/cur.h"
#include "common/err.h"
#include "common/jsonw.h"
#include "common/log.h"
#include "common/utf8.h"

static void test_grow_and_limit(void **state)
{
	struct buf none = BUF_INIT;
	CLEANUP_BUF struct buf b = { .limit = 1000 };

	(void)state;
	assert_non_null(buf_reserve(&none, 0));	/* no bytes are no failure */
	buf_free(&none);
	for (int i = 0; i < 100; i++)
		buf_str(&b, "0123456789");
	assert_int_equal(buf_ok(&b), 0);
	assert_int_equal(b.len, 1000);
	buf_u8(&b, 1);
	assert_int_equal(buf_ok(&b), -E2BIG);
	assert_int_equal(b.len, 1000);
	buf_reset(&b);
	buf_fmt(&b, "%d-%s", 7, "x");
	assert_string_equal(buf_cstr(&b), "7-x");
}

static void test_cur(void **state)
{
	const uint8_t in[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };
	struct cur c = cur_of(in, sizeof(in));
	uint64_t v64;
	uint16_t v16;
	uint8_t v8;

	(void)state;
	assert_int_equal(cur_u64le(&c, &v64), 0);
	assert_true(v64 == UINT64_C(0x0807060504030201));
	assert_int_equal(cur_u16be(&c, &v16), -EBADMSG);
	assert_int_equal(cur_end(&c), -EBADMSG);
	assert_int_equal(cur_u8(&c, &v8), 0);
	assert_int_equal(cur_end(&c), 0);
}

static const struct {
	const char *in, *out;
	int want;
} b64_cases[] = {
	{ "", "", 0 },		{ "aGVsbG8=", "hello", 0 },  { "aGVsbA==", "hell", 0 },
	{ "aGVsbG8", "", -EBADMSG }, { "aGVsbG9=", "", -EBADMSG }, { "aGV=bG8=", "", -EBADMSG },
	{ "aGVs bG8", "", -EBADMSG }, { "====", "", -EBADMSG },
};

static void test_b64(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(b64_cases) / sizeof(*b64_cases); i++) {
		CLEANUP_BUF struct buf b = BUF_INIT, e = BUF_INIT;

		print_message("%s\n", b64_cases[i].in);
		assert_int_equal(b64_decode(&b, b64_cases[i].in, strlen(b64_cases[i].in)), b64_cases[i].want);
		if (b64_cases[i].want)
			continue;
		assert_string_equal(buf_cstr(&b), b64_cases[i].out);
		b64_encode(&e, b.data, b.len);
		assert_string_equal(buf_cstr(&e), b64_cases[i].in);
	}
}

/* Every digit, every length of what is left behind the last group of three, every byte that is no digit. */
static void test_b64_digits(void **state)
{
	static const char all[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	CLEANUP_BUF struct buf bytes = BUF_INIT;

	(void)state;
	assert_int_equal(b64_decode(&bytes, all, 64), 0);
	assert_int_equal(bytes.len, 48);
	for (size_t len = 0; len <= bytes.len; len++) {
		CLEANUP_BUF struct buf text = BUF_INIT, back = BUF_INIT;

		b64_encode(&text, bytes.data, len);
		assert_int_equal(text.len, (len + 2) / 3 * 4);
		assert_memory_equal(buf_cstr(&text), all, len / 3 * 4);
		assert_int_equal(b64_decode(&back, buf_cstr(&text), text.len), 0);
		assert_int_equal(back.len, len);
		if (len)
			assert_memory_equal(back.data, bytes.data, len);
	}
	for (int c = 0; c < 256; c++) {
		CLEANUP_BUF struct buf b = BUF_INIT;
		const char text[4] = { 'A', (char)c, 'A', 'A' };

		assert_int_equal(b64_decode(&b, text, 4), c && strchr(all, c) ? 0 : -EBADMSG);
	}
}

static void test_json(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct jsonw w = JSONW(&b);

	(void)state;
	jsonw_object_begin(&w);
	jsonw_key_string(&w, "a", "x\"\n\xff\xc3\xa9");
	jsonw_key(&w, "t");
	jsonw_ns(&w, INT64_C(15000000000), 5);
	jsonw_key(&w, "l");
	jsonw_array_begin(&w);
	jsonw_i64(&w, -1);
	jsonw_ns(&w, -1, 750000000);
	jsonw_i64(&w, INT64_MIN);
	jsonw_i64(&w, INT64_MAX);
	jsonw_u64(&w, UINT64_MAX);
	jsonw_u64(&w, 0);
	jsonw_array_end(&w);
	jsonw_key(&w, "o");
	jsonw_object_begin(&w);
	jsonw_object_end(&w);
	jsonw_object_end(&w);
	assert_string_equal(buf_cstr(&b), "{\"a\":\"x\\\"\\n\xef\xbf\xbd\xc3\xa9\",\"t\":15000000000000000005,"
					  "\"l\":[-1,-250000000,-9223372036854775808,9223372036854775807,"
					  "18446744073709551615,0],\"o\":{}}");
	buf_reset(&b);
	w = (struct jsonw){ .out = &b, .pretty = true };
	jsonw_array_begin(&w);
	jsonw_object_begin(&w);
	jsonw_key_u64(&w, "n", 1);
	jsonw_object_end(&w);
	jsonw_array_end(&w);
	assert_string_equal(buf_cstr(&b), "[\n  {\n    \"n\": 1\n  }\n]");
}

static void test_quote(void **state)
{
	char out[64];

	(void)state;
	assert_string_equal(log_quote("a\x1b[31m\xc3\xa9\xe2\x80\xae\\", 12, out, sizeof(out)),
			    "a\\x1b[31m\xc3\xa9\\xe2\\x80\\xae\\\\");
	assert_false(utf8_valid("\xed\xa0\x80", 3));
	assert_true(utf8_valid("\xf0\x9f\x98\x80", 4));
}

static void test_err(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(err_set(&e, -ENOENT, "open '%s'", "x"), -ENOENT);
	assert_int_equal(err_ctx(&e, -ENOENT, "chunk 'y'"), -ENOENT);
	assert_string_equal(e.text, "chunk 'y': open 'x': No such file or directory");
	assert_int_equal(err_from_name("ENOKEY", 6), -ENOKEY);
	assert_int_equal(err_from_name("NONSENSE", 8), -EIO);
	assert_string_equal(err_name(-EIO), "EIO");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grow_and_limit), cmocka_unit_test(test_cur),   cmocka_unit_test(test_b64),
		cmocka_unit_test(test_b64_digits),
		cmocka_unit_test(test_json),	       cmocka_unit_test(test_quote), cmocka_unit_test(test_err),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
