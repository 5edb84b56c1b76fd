/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>

#include "host/source/store/digest.h"
#include "host/source/store/key.h"

/* Made for this test; the passphrase of the protected ones is "five5". */
#define B64_COUNTING "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define FP_COUNTING "0e:ab:d4:46:0b:6e:b9:ca:34:50:23:de:e2:b7:78:c7:90:e5:4a:16:83:b9:65:9c:0a:57:ae:19:90:90:15:9b"
#define ANY64 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="
#define FP_OTHER "00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00"
#define PLAIN(more) "{\"kdf\":null,\"created\":\"2026-01-01T00:00:00Z\",\"modified\":\"2026-01-01T00:00:00Z\",\"data\":\"" \
	B64_COUNTING "\"" more "}"
#define SCRYPT(n, r, p) "{\"kdf\":{\"Scrypt\":{\"n\":" n ",\"r\":" r ",\"p\":" p ",\"salt\":\"c2FsdA==\"}}," \
	"\"data\":\"AAECAwQFBgcICQoLDA0OD5yfatb+ncXkLfrvIwzZAXZ8rmEQASDNyy0J8jrwBNRajg/vskSJ6WJ2ORJKfctUvw==\"," \
	"\"hint\":\"a\\u001bb\"}"
#define PBKDF2(iter) "{\"kdf\":{\"PBKDF2\":{\"iter\":" iter ",\"salt\":\"c2FsdA==\"}}," \
	"\"data\":\"AAECAwQFBgcICQoLDA0OD/05Y5EF8yUx7TuhrG0oyoLZt2y73LvphYmxfmD9UR74EcK0jQBkBwbltvKdeF6sSQ==\"," \
	"\"fingerprint\":\"" FP_COUNTING "\"}"

static const struct {
	const char *name, *json, *pass;
	int want;
} cases[] = {
	{ "not protected", PLAIN(""), NULL, 0 },
	{ "not protected, with fingerprint", PLAIN(",\"fingerprint\":\"" FP_COUNTING "\""), NULL, 0 },
	{ "a passphrase too many", PLAIN(""), "five5", 0 },
	{ "wrong fingerprint", PLAIN(",\"fingerprint\":\"1" FP_COUNTING "\""), NULL, -EBADMSG },
	{ "other fingerprint", PLAIN(",\"fingerprint\":\"" FP_OTHER "\""), NULL, -EBADMSG },
	{ "scrypt", SCRYPT("1024", "8", "1"), "five5", 0 },
	{ "scrypt, wrong passphrase", SCRYPT("1024", "8", "1"), "five6", -EKEYREJECTED },
	{ "scrypt, short passphrase", SCRYPT("1024", "8", "1"), "five", -EKEYREJECTED },
	{ "scrypt, no passphrase", SCRYPT("1024", "8", "1"), NULL, -ENOKEY },
	{ "scrypt, n no power of two", SCRYPT("1025", "8", "1"), "five5", -EBADMSG },
	{ "scrypt, n is 0", SCRYPT("0", "8", "1"), "five5", -EBADMSG },
	{ "scrypt, r is 0", SCRYPT("1024", "0", "1"), "five5", -EBADMSG },
	{ "scrypt, p is negative", SCRYPT("1024", "8", "-1"), "five5", -EBADMSG },
	{ "scrypt, too much memory", SCRYPT("2097152", "8", "1"), "five5", -E2BIG },
	{ "scrypt, overflowing memory", SCRYPT("4611686018427387904", "1024", "1"), "five5", -E2BIG },
	{ "scrypt, too much time", SCRYPT("1024", "8", "1000000"), "five5", -E2BIG },
	{ "PBKDF2", PBKDF2("1000"), "five5", 0 },
	{ "PBKDF2, other count", PBKDF2("1001"), "five5", -EKEYREJECTED },
	{ "PBKDF2, no end", PBKDF2("4000000000"), "five5", -E2BIG },
	{ "unknown derivation", "{\"kdf\":{\"Argon\":{}},\"data\":\"" ANY64 "\"}", "five5", -EBADMSG },
	{ "two derivations", "{\"kdf\":{\"Scrypt\":{},\"PBKDF2\":{}},\"data\":\"" ANY64 "\"}", "five5", -EBADMSG },
	{ "short key", "{\"kdf\":null,\"data\":\"AAECAw==\"}", NULL, -EBADMSG },
	{ "no base64", "{\"kdf\":null,\"data\":\"AAEC*w==\"}", NULL, -EBADMSG },
	{ "no data", "{\"kdf\":null}", NULL, -EBADMSG },
	{ "no JSON", "key", NULL, -EBADMSG },
	{ "empty", "", NULL, -EBADMSG },
};

static void test_derived(void **state)
{
	uint8_t data[KEY_BYTES], fp[32];
	char hex[65], text[KEY_FP_TEXT];
	struct crypt_key k;

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)i;
	assert_int_equal(crypt_key_init(&k, data), 0);
	digest_to_hex(k.id_key, hex);
	assert_string_equal(hex, "7c2c013efd07f3b25717a485263343cd4d292a4b65c200bb3b18ea227abe225c");
	assert_string_equal(key_fp_format(k.fingerprint, text), FP_COUNTING);
	assert_int_equal(key_fp_parse(FP_COUNTING, fp), 0);
	assert_memory_equal(fp, k.fingerprint, 32);
	assert_int_equal(digest_sha256("hello", 5, k.id_key, KEY_BYTES, fp), 0);
	digest_to_hex(fp, hex);
	assert_string_equal(hex, "e34178a27b992c4a218599bf7f43ed50bc464a03d624d9092306fe2ed74d557e");
	assert_int_equal(digest_sha256("hello", 5, NULL, 0, fp), 0);
	digest_to_hex(fp, hex);
	assert_string_equal(hex, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
}

static void test_files(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *pass = cases[i].pass;
		struct err e = ERR_INIT;
		char text[KEY_FP_TEXT];
		struct crypt_key k;
		int r = key_load(cases[i].json, strlen(cases[i].json), pass, pass ? strlen(pass) : 0, &k, &e);

		print_message("%s: %s\n", cases[i].name, e.text);
		assert_int_equal(r, cases[i].want);
		assert_int_equal(!!r, !!e.text[0]);
		assert_null(strchr(e.text, 0x1b));
		if (!r)
			assert_string_equal(key_fp_format(k.fingerprint, text), FP_COUNTING);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_derived),
		cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
