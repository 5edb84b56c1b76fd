/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "host/source/store/blob.h"
#include "host/source/store/digest.h"
#include "host/source/store/key.h"
#include "host/source/store/manifest.h"

#define ONES "0101010101010101010101010101010101010101010101010101010101010101"
#define TWOS "0202020202020202020202020202020202020202020202020202020202020202"
#define SIGNATURE "d7b446fb7db081662081d4b40fedd858a1d6307a5aff4ecff7d5bf4fd35679e9"
#define FILES "[{\"crypt-mode\":\"encrypt\",\"csum\":\"" ONES "\",\"filename\":\"test1.img.fidx\",\"size\":200}," \
	"{\"crypt-mode\":\"none\",\"csum\":\"" TWOS "\",\"filename\":\"abc.blob\",\"size\":200}]"
#define CANONICAL "{\"backup-id\":\"elsa\",\"backup-time\":1593179765,\"backup-type\":\"host\",\"files\":" FILES "}"
#define WITH(more) "{ \"unprotected\": {\"notes\":\"x\"}, \"backup-type\": \"host\", \"files\":" FILES ",\n" more \
	"\"backup-time\": 1593179765, \"backup-id\": \"elsa\" }"
#define ONE(type, id, time, file) "{\"backup-type\":" type ",\"backup-id\":" id ",\"backup-time\":" time ",\"files\":[" file "]}"
#define FILE(name, size, csum) "{\"filename\":" name ",\"size\":" size ",\"csum\":" csum "}"
#define GOOD_FILE FILE("\"a.blob\"", "12", "\"" ONES "\"")

static struct crypt_key key;

static int setup(void **state)
{
	uint8_t data[32];

	(void)state;
	return digest_from_hex("28cdb1a3bef39396c3860e00d448fe7a0efd8244486ab6feb30457681d31597e", 64, data) < 0 ||
	       crypt_key_init(&key, data) < 0;
}

static const struct {
	const char *name, *json;
	int want;
} cases[] = {
	{ "good", ONE("\"vm\"", "\"1\"", "5", GOOD_FILE), 0 },
	{ "no files", ONE("\"vm\"", "\"1\"", "5", ""), 0 },
	{ "empty csum of a third-party client", ONE("\"vm\"", "\"1\"", "5", FILE("\"a.blob\"", "12", "\"\"")), 0 },
	{ "freely named archive", ONE("\"vm\"", "\"1\"", "5", FILE("\"a.didx\"", "12", "\"\"")), 0 },
	{ "not JSON", "{", -EBADMSG },
	{ "nothing", "", -EBADMSG },
	{ "an array", "[]", -EBADMSG },
	{ "a key twice", "{\"backup-type\":\"vm\",\"backup-type\":\"vm\",\"backup-id\":\"1\",\"backup-time\":5,\"files\":[]}", -EBADMSG },
	{ "trailing bytes", ONE("\"vm\"", "\"1\"", "5", "") "x", -EBADMSG },
	{ "bad type", ONE("\"xx\"", "\"1\"", "5", ""), -EBADMSG },
	{ "type is a number", ONE("1", "\"1\"", "5", ""), -EBADMSG },
	{ "id with a slash", ONE("\"vm\"", "\"../1\"", "5", ""), -EBADMSG },
	{ "id is missing", "{\"backup-type\":\"vm\",\"backup-time\":5,\"files\":[]}", -EBADMSG },
	{ "time is text", ONE("\"vm\"", "\"1\"", "\"5\"", ""), -EBADMSG },
	{ "time is a fraction", ONE("\"vm\"", "\"1\"", "5.5", ""), -EBADMSG },
	{ "time overflows", ONE("\"vm\"", "\"1\"", "99999999999999999999", ""), -EBADMSG },
	{ "files is an object", "{\"backup-type\":\"vm\",\"backup-id\":\"1\",\"backup-time\":5,\"files\":{}}", -EBADMSG },
	{ "a file is a number", ONE("\"vm\"", "\"1\"", "5", "1"), -EBADMSG },
	{ "file name with a slash", ONE("\"vm\"", "\"1\"", "5", FILE("\"../a.blob\"", "12", "\"\"")), -EBADMSG },
	{ "file name without suffix", ONE("\"vm\"", "\"1\"", "5", FILE("\"a\"", "12", "\"\"")), -EBADMSG },
	{ "hidden file", ONE("\"vm\"", "\"1\"", "5", FILE("\".a.blob\"", "12", "\"\"")), -EBADMSG },
	{ "the same file twice", ONE("\"vm\"", "\"1\"", "5", GOOD_FILE "," GOOD_FILE), -EBADMSG },
	{ "negative size", ONE("\"vm\"", "\"1\"", "5", FILE("\"a.blob\"", "-1", "\"\"")), -EBADMSG },
	{ "size is missing", ONE("\"vm\"", "\"1\"", "5", "{\"filename\":\"a.blob\",\"csum\":\"\"}"), -EBADMSG },
	{ "short csum", ONE("\"vm\"", "\"1\"", "5", FILE("\"a.blob\"", "12", "\"01\"")), -EBADMSG },
	{ "csum is missing", ONE("\"vm\"", "\"1\"", "5", "{\"filename\":\"a.blob\",\"size\":1}"), -EBADMSG },
	{ "csum is no hex", ONE("\"vm\"", "\"1\"", "5", FILE("\"a.blob\"", "12", "\"x101010101010101010101010101010101010101010101010101010101010101\"")), -EBADMSG },
	{ "unknown crypt-mode", ONE("\"vm\"", "\"1\"", "5", "{\"filename\":\"a.blob\",\"size\":1,\"csum\":\"\",\"crypt-mode\":\"x\"}"), -EBADMSG },
	{ "crypt-mode is null", ONE("\"vm\"", "\"1\"", "5", "{\"filename\":\"a.blob\",\"size\":1,\"csum\":\"\",\"crypt-mode\":null}"), -EBADMSG },
	{ "signature is a number", WITH("\"signature\": 1,"), -EBADMSG },
	{ "signature is cut", WITH("\"signature\": \"01\","), -EBADMSG },
	{ "signature is null", WITH("\"signature\": null,"), 0 },
	{ "NUL in a name", ONE("\"vm\"", "\"1\\u0000\"", "5", ""), -EBADMSG },
};

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct manifest *m = NULL;
		struct err e = ERR_INIT;
		int r = manifest_parse(cases[i].json, strlen(cases[i].json), &m, &e);

		print_message("%s: %s\n", cases[i].name, e.text);
		assert_int_equal(r, cases[i].want);
		assert_int_equal(!!r, !!e.text[0]);
		manifest_free(m);
	}
}

static struct manifest *parse(const char *json)
{
	struct manifest *m = NULL;

	assert_int_equal(manifest_parse(json, strlen(json), &m, NULL), 0);
	return m;
}

static void test_signature(void **state)
{
	struct manifest *m = parse(WITH("\"signature\": \"" SIGNATURE "\","));
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct crypt_key other;

	(void)state;
	assert_int_equal(manifest_canonical(m, &b), 0);
	assert_string_equal(buf_cstr(&b), CANONICAL);
	assert_int_equal(manifest_check_key(m, &key, NULL), 0);
	assert_int_equal(manifest_check_key(m, NULL, NULL), 0);	/* no fingerprint says that a key is needed */
	assert_int_equal(crypt_key_init(&other, key.id_key), 0);
	assert_int_equal(manifest_check_key(m, &other, NULL), -EBADMSG);
	m->files[0].size++;	/* only the form as received counts then */
	assert_int_equal(manifest_check_key(m, &key, NULL), 0);
	manifest_free(m);
}

static void test_signature_of_known_fields(void **state)
{
	/* An extra key is in the received form, which then does not fit, but not in the other one. */
	struct manifest *m = parse(WITH("\"more\": 1, \"signature\": \"" SIGNATURE "\","));

	(void)state;
	assert_int_equal(manifest_check_key(m, &key, NULL), 0);
	m->files[1].csum[0] ^= 1;
	assert_int_equal(manifest_check_key(m, &key, NULL), -EBADMSG);
	manifest_free(m);
}

static void test_fingerprint(void **state)
{
	char json[4096], fp[KEY_FP_TEXT];
	struct crypt_key other;
	struct err e = ERR_INIT;
	struct manifest *m;

	(void)state;
	(void)snprintf(json, sizeof(json), "{\"backup-type\":\"host\",\"backup-id\":\"elsa\",\"backup-time\":1593179765,\"files\":"
		       FILES ",\"signature\":\"" SIGNATURE "\",\"unprotected\":{\"key-fingerprint\":\"%s\"}}",
		       key_fp_format(key.fingerprint, fp));
	m = parse(json);
	assert_int_equal(manifest_check_key(m, &key, NULL), 0);
	assert_int_equal(manifest_check_key(m, NULL, &e), -ENOKEY);
	assert_non_null(strstr(e.text, "12:b9:b7:74:bb:3d:89:95"));
	assert_int_equal(crypt_key_init(&other, key.id_key), 0);
	assert_int_equal(manifest_check_key(m, &other, &e), -EKEYREJECTED);
	manifest_free(m);
}

static void test_unsigned_but_encrypted(void **state)
{
	struct manifest *m = parse(WITH(""));

	(void)state;
	assert_int_equal(manifest_check_key(m, &key, NULL), -EBADMSG);
	manifest_free(m);
}

static void test_canonical_strings(void **state)
{
	struct manifest *m = parse(WITH("\"z\\u0001/\\\"\\\\\": [true, -5, \"\\b\\t\\n\\f\\r\\u001f\\u00e4\\/\", []], \"y\": {},"));
	CLEANUP_BUF struct buf b = BUF_INIT;

	(void)state;
	assert_int_equal(manifest_canonical(m, &b), 0);
	assert_non_null(strstr(buf_cstr(&b), ",\"y\":{},\"z\\u0001/\\\"\\\\\":[true,-5,\"\\b\\t\\n\\f\\r\\u001f\xc3\xa4/\",[]]}"));
	manifest_free(m);
	m = parse(WITH("\"z\": null,"));
	assert_int_equal(manifest_canonical(m, &b), -EBADMSG);
	manifest_free(m);
	m = parse(WITH("\"z\": 1.5,"));
	assert_int_equal(manifest_canonical(m, &b), -EBADMSG);
	manifest_free(m);
}

static void test_identity(void **state)
{
	struct snapshot_name n = { .type = "host", .id = "elsa", .time = 1593179765 };
	struct manifest *m = parse(WITH(""));

	(void)state;
	assert_int_equal(manifest_check_name(m, &n, NULL), 0);
	n.time++;
	assert_int_equal(manifest_check_name(m, &n, NULL), -EBADMSG);
	n.time--;
	n.id[0] = 'E';
	assert_int_equal(manifest_check_name(m, &n, NULL), -EBADMSG);
	assert_ptr_equal(manifest_find(m, "abc.blob"), &m->files[1]);
	assert_null(manifest_find(m, "abc"));
	manifest_free(m);
}

static void test_blob(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct blob_codec *c = blob_codec_new();
	struct manifest *m;

	(void)state;
	assert_int_equal(blob_encode(c, CANONICAL, strlen(CANONICAL), &b), 0);
	assert_int_equal(manifest_decode(b.data, b.len, &m, NULL), 0);
	manifest_free(m);
	b.data[b.len - 1] ^= 1;
	assert_int_equal(manifest_decode(b.data, b.len, &m, NULL), -EBADMSG);
	memcpy(b.data, "\x7b\x67\x85\xbe\x22\x2d\x4c\xf0", 8);	/* an encrypted blob, whatever the key */
	assert_int_equal(manifest_decode(b.data, b.len, &m, NULL), -EBADMSG);
	blob_codec_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_signature),
		cmocka_unit_test(test_signature_of_known_fields),
		cmocka_unit_test(test_fingerprint),
		cmocka_unit_test(test_unsigned_but_encrypted),
		cmocka_unit_test(test_canonical_strings),
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_blob),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
