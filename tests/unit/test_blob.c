/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <zstd.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/crc32.h"
#include "host/source/store/blob.h"
#include "host/source/store/key.h"

#define PLAIN "\x42\xab\x38\x07\xbe\x83\x70\xa1"
#define ZSTD "\x31\xb9\x58\x42\x6f\xb6\xa3\x7f"
#define CRYPT "\x7b\x67\x85\xbe\x22\x2d\x4c\xf0"
#define HELLO PLAIN "\x86\xa6\x10\x36" "hello"
#define CRYPT_HELLO CRYPT "\x78\x4e\xea\x93" "\0\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17" \
	"\x0c\x84\xc4\x31\x83\x72\x97\xc0\xb1\x9e\x77\xe5\x60\x81\x62\xea" "\x0f\x09\xcc\x1a\x56"

static struct crypt_key key;

static int setup(void **state)
{
	uint8_t data[KEY_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)i;
	return crypt_key_init(&key, data);
}

static const struct {
	const char *name, *in;
	size_t len;
	bool with_key;
	size_t max;
	int want;
	const char *out;
} cases[] = {
	{ "plain", HELLO, 17, false, 100, 0, "hello" },
	{ "plain, exactly the limit", HELLO, 17, false, 5, 0, "hello" },
	{ "plain, over the limit", HELLO, 17, false, 4, -EBADMSG, NULL },
	{ "plain, a key is ignored", HELLO, 17, true, 100, 0, "hello" },
	{ "empty", PLAIN "\0\0\0\0", 12, false, 0, 0, "" },
	{ "cut header", HELLO, 11, false, 100, -EBADMSG, NULL },
	{ "nothing", "", 0, false, 100, -EBADMSG, NULL },
	{ "wrong CRC", PLAIN "\x86\xa6\x10\x37" "hello", 17, false, 100, -EBADMSG, NULL },
	{ "cut data", HELLO, 16, false, 100, -EBADMSG, NULL },
	{ "unknown magic", "XXXXXXXX\x86\xa6\x10\x36" "hello", 17, false, 100, -EBADMSG, NULL },
	{ "an index", "\x2f\x7f\x41\xed\x91\xfd\x0f\xcd\x86\xa6\x10\x36" "hello", 17, false, 100, -EBADMSG, NULL },
	{ "zstd of nothing", ZSTD "\0\0\0\0", 12, false, 100, 0, "" },
	{ "no zstd frame", ZSTD "\x86\xa6\x10\x36" "hello", 17, false, 100, -EBADMSG, NULL },
	{ "encrypted", CRYPT_HELLO, 49, true, 100, 0, "hello" },
	{ "encrypted, no key", CRYPT_HELLO, 49, false, 100, -ENOKEY, NULL },
	{ "encrypted, cut header", CRYPT_HELLO, 43, true, 100, -EBADMSG, NULL },
	{ "encrypted, cut data", CRYPT_HELLO, 48, true, 100, -EBADMSG, NULL },
};

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		CLEANUP_BUF struct buf out = BUF_INIT;
		struct err e = ERR_INIT;
		int r = blob_decode(cases[i].in, cases[i].len, cases[i].with_key ? &key : NULL, cases[i].max, &out, &e);

		print_message("%s: %s\n", cases[i].name, e.text);
		assert_int_equal(r, cases[i].want);
		assert_int_equal(!!r, !!e.text[0]);
		if (!r)
			assert_string_equal(buf_cstr(&out), cases[i].out);
	}
}

/* Any bit of an encrypted blob but those of the CRC matters to the tag, the CRC matters to the CRC. */
static void test_flips(void **state)
{
	uint8_t in[49];

	(void)state;
	for (size_t bit = 0; bit < sizeof(in) * 8; bit++) {
		CLEANUP_BUF struct buf out = BUF_INIT;

		memcpy(in, CRYPT_HELLO, sizeof(in));
		in[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(blob_decode(in, sizeof(in), &key, 100, &out, NULL), -EBADMSG);
	}
}

static void put_crc(uint8_t *blob, size_t len)
{
	uint32_t crc = crc32_ieee(blob + BLOB_HEADER, len - BLOB_HEADER);

	for (int i = 0; i < 4; i++)
		blob[8 + i] = (uint8_t)(crc >> 8 * i);
}

/* Two zstd frames, what follows them, and a bomb. */
static void test_zstd(void **state)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	uint8_t blob[4096] = ZSTD;
	size_t n = BLOB_HEADER, big = 64u << 20;
	CLEANUP_FREE uint8_t *zeros = calloc(1, big);
	struct blob_codec *c = blob_codec_new();
	char five[5];

	(void)state;
	n += ZSTD_compress(blob + n, sizeof(blob) - n, "hel", 3, 1);
	n += ZSTD_compress(blob + n, sizeof(blob) - n, "lo", 2, 1);
	put_crc(blob, n);
	assert_int_equal(blob_decode(blob, n, NULL, 100, &out, NULL), 0);
	assert_string_equal(buf_cstr(&out), "hello");
	assert_int_equal(blob_decode_exact(c, blob, n, NULL, five, 5, NULL), 0);
	assert_memory_equal(five, "hello", 5);
	assert_int_equal(blob_decode_exact(c, blob, n, NULL, five, 4, NULL), -EBADMSG);
	blob[n] = 'x';
	put_crc(blob, n + 1);
	assert_int_equal(blob_decode(blob, n + 1, NULL, 100, &out, NULL), -EBADMSG);
	n = BLOB_HEADER + ZSTD_compress(blob + BLOB_HEADER, sizeof(blob) - BLOB_HEADER, zeros, 16 << 20, 1);
	put_crc(blob, n);
	assert_int_equal(blob_decode(blob, n, NULL, 16 << 20, &out, NULL), 0);
	assert_int_equal(out.len, 16 << 20);
	assert_int_equal(blob_decode(blob, n, NULL, (16 << 20) - 1, &out, NULL), -EBADMSG);
	assert_int_equal(blob_decode_exact(c, blob, n, NULL, zeros, (16 << 20) - 1, NULL), -EBADMSG);
	assert_int_equal(blob_decode_exact(c, blob, n, NULL, zeros, (16 << 20) + 1, NULL), -EBADMSG);
	blob_codec_free(c);
}

static void test_encode(void **state)
{
	CLEANUP_BUF struct buf blob = BUF_INIT, back = BUF_INIT;
	struct blob_codec *c = blob_codec_new();
	char text[5000];

	(void)state;
	assert_int_equal(blob_encode(c, "hello", 5, &blob), 0);
	assert_int_equal(blob.len, 17);
	assert_memory_equal(blob.data, HELLO, 17);
	assert_int_equal(blob_encode(c, "", 0, &blob), 0);
	assert_int_equal(blob.len, 12);
	assert_memory_equal(blob.data, PLAIN "\0\0\0\0", 12);
	memset(text, 'x', sizeof(text));
	assert_int_equal(blob_encode(c, text, sizeof(text), &blob), 0);
	assert_int_equal(blob_kind(blob.data, blob.len), BLOB_ZSTD);
	assert_true(blob.len < 100);
	assert_int_equal(blob_decode(blob.data, blob.len, NULL, sizeof(text), &back, NULL), 0);
	assert_int_equal(back.len, sizeof(text));
	assert_memory_equal(back.data, text, sizeof(text));
	assert_int_equal(blob_encode(c, text, (size_t)BLOB_CHUNK_MAX + 1, &blob), -E2BIG);
	blob_codec_free(c);
}

static void test_encrypt(void **state)
{
	CLEANUP_BUF struct buf blob = BUF_INIT, again = BUF_INIT, back = BUF_INIT;
	struct blob_codec *c = blob_codec_new();
	char text[5000];

	(void)state;
	memset(text, 'x', sizeof(text));
	for (size_t i = 0; i < 3; i++) {
		size_t n = i == 0 ? 0 : i == 1 ? 5 : sizeof(text);

		assert_int_equal(blob_encode_key(c, &key, text, n, &blob), 0);
		assert_int_equal(blob_kind(blob.data, blob.len), n > 5 ? BLOB_CRYPT_ZSTD : BLOB_CRYPT);
		assert_int_equal(blob_decode(blob.data, blob.len, NULL, sizeof(text), &back, NULL), -ENOKEY);
		assert_int_equal(blob_decode(blob.data, blob.len, &key, sizeof(text), &back, NULL), 0);
		assert_int_equal(back.len, n);
		if (n)
			assert_memory_equal(back.data, text, n);
		/* Never the same twice. */
		assert_int_equal(blob_encode_key(c, &key, text, n, &again), 0);
		assert_memory_not_equal(blob.data + 12, again.data + 12, 32);
		blob.data[12] ^= 1;
		assert_int_equal(blob_decode(blob.data, blob.len, &key, sizeof(text), &back, NULL), -EBADMSG);
	}
	assert_int_equal(blob_encode_key(c, NULL, "hello", 5, &blob), 0);
	assert_int_equal(blob_kind(blob.data, blob.len), BLOB_PLAIN);
	assert_int_equal(blob_encode_key(c, &key, text, (size_t)BLOB_CHUNK_MAX + 1, &blob), -E2BIG);
	blob_codec_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases), cmocka_unit_test(test_flips), cmocka_unit_test(test_zstd),
		cmocka_unit_test(test_encode), cmocka_unit_test(test_encrypt),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
