/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads the datastores that the reference implementation wrote ($PLUCK_GOLDEN, else ../shared/golden: see its README) and
 * compares each image, stream and blob with what was found in them without our code.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <fcntl.h>
#include <limits.h>
#include <jansson.h>
#include <openssl/evp.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "host/source/store/blob.h"
#include "host/source/store/chunk.h"
#include "host/source/store/digest.h"
#include "host/source/store/key_file.h"
#include "host/source/store/priv.h"
#include "tests/lib/golden.h"
#include "tests/lib/index_bytes.h"

static int setup(void **state)
{
	(void)state;
	if (!golden_open())
		return 0;
	golden_unpack("stores/plain");
	golden_unpack("stores/encrypted");
	golden_unpack_old();
	run("cd %s && for s in %s/stores/*.contents.jsonl.zst %s/old/stores/*.contents.jsonl.zst; do zstd -dcq $s >$(basename $s .jsonl.zst); "
	    "done", dir, golden, golden);
	return 0;
}

static void load_key(const char *name, const char *pass, struct crypt_key *k)
{
	CLEANUP_FREE char *text = NULL;
	char path[PATH_MAX + 128];
	size_t len;

	(void)snprintf(path, sizeof(path), "%s/%s", golden, name);
	assert_int_equal(io_read_file(-1, path, KEY_FILE_MAX, &text, &len), 0);
	assert_int_equal(key_load(text, len, pass, pass ? strlen(pass) : 0, k, NULL), 0);
}

static void hash_image(struct snapshot *sn, const char *file, char *hex, struct err *e)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	struct source *s;
	uint8_t digest[32];
	uint8_t *p;

	assert_int_equal(snapshot_open_image(sn, file, &s, e), 0);
	p = malloc(s->unit_bytes);
	assert_true(p && md && EVP_DigestInit_ex(md, EVP_sha256(), NULL));
	for (uint64_t off = 0; off < s->size_bytes; off += s->unit_bytes) {
		size_t n = s->size_bytes - off < s->unit_bytes ? (size_t)(s->size_bytes - off) : s->unit_bytes;

		assert_int_equal(source_read_at(s, p, n, off, e), 0);
		assert_true(EVP_DigestUpdate(md, p, n));
	}
	assert_true(EVP_DigestFinal_ex(md, digest, NULL));
	digest_to_hex(digest, hex);
	EVP_MD_CTX_free(md);
	free(p);
	source_close(s);
}

/* A whole stream by its dynamic index. Return: what chunk_load() says. */
static int hash_stream(struct snapshot *sn, const char *file, char *hex, struct err *e)
{
	const struct store_file *f = manifest_find(sn->manifest, file);
	const struct crypt_key *key = strcmp(f->crypt_mode, "encrypt") ? NULL : &sn->key;
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	struct chunk_loader l;
	struct index x = { 0 };
	uint8_t digest[32];
	int r = 0;

	assert_int_equal(chunk_loader_init(&l), 0);
	assert_int_equal(index_load(sn->fd, f, &x, e), 0);
	assert_true(md && EVP_DigestInit_ex(md, EVP_sha256(), NULL));
	for (size_t i = 0; i < x.nr_chunks && r == 0; i++) {
		size_t n = index_chunk_len(&x, i);
		CLEANUP_FREE uint8_t *p = malloc(n);

		assert_non_null(p);
		r = chunk_load(&l, sn->store->chunks_fd, index_digest(&x, i), key, p, n, e);
		if (r == 0)
			assert_true(EVP_DigestUpdate(md, p, n));
	}
	assert_true(EVP_DigestFinal_ex(md, digest, NULL));
	digest_to_hex(digest, hex);
	EVP_MD_CTX_free(md);
	chunk_loader_free(&l);
	index_free(&x);
	return r;
}

static void hash_blob(struct snapshot *sn, const char *file, char *hex, struct err *e)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	uint8_t digest[32];

	assert_int_equal(snapshot_read_blob(sn, file, &b, e), 0);
	assert_int_equal(digest_sha256(b.data ? b.data : (const uint8_t *)"", b.len, NULL, 0, digest), 0);
	digest_to_hex(digest, hex);
}

/* "ns:.../TYPE/ID/TIME" as the contents file has it: "ns/a/ns/b/vm/100/TIME" or "vm/100/TIME". */
static const char *split_ns(const char *snapshot, char *ns, size_t room)
{
	ns[0] = 0;
	while (!strncmp(snapshot, "ns/", 3)) {
		size_t n = strcspn(snapshot + 3, "/");

		(void)snprintf(ns + strlen(ns), room - strlen(ns), "%s%.*s", *ns ? "/" : "", (int)n, snapshot + 3);
		snapshot += 3 + n + 1;
	}
	return snapshot;
}

static unsigned int seen_images, seen_streams, seen_blobs, seen_missing;

static int open_with_keys(struct store *st, const char *ns, const char *name, const struct crypt_key *keys, size_t nr,
			  struct snapshot **ret, struct err *e)
{
	int r = snapshot_open(st, ns, name, ret, e);

	/* Old manifests do not name their key. */
	if (r == 0 && (*ret)->manifest->has_signature && !(*ret)->manifest->has_fp) {
		snapshot_close(*ret);
		r = -ENOKEY;
	}
	for (size_t i = 0; i < nr && (r == -ENOKEY || r == -EKEYREJECTED || r == -EBADMSG); i++)
		r = snapshot_open_key(st, ns, name, &keys[i], ret, e);
	return r;
}

static void check_line(struct store *st, json_t *o, const struct crypt_key *keys, size_t nr)
{
	const char *want = json_string_value(json_object_get(o, "sha256"));
	const char *file = json_string_value(json_object_get(o, "file"));
	struct snapshot *sn = NULL;
	struct err e = ERR_INIT;
	char ns[300], hex[65];
	const char *name = split_ns(json_string_value(json_object_get(o, "snapshot")), ns, sizeof(ns));
	size_t len = file ? strlen(file) : 0;
	int r = open_with_keys(st, ns, name, keys, nr, &sn, &e);

	print_message("%s %s %s %s\n", ns, name, file ? file : "-", r < 0 ? e.text : "");
	if (json_object_get(o, "unfinished")) {
		assert_int_equal(r, -ENOENT);
		return;
	}
	assert_int_equal(r, 0);
	if (file && !strcmp(file + len - 5, ".fidx")) {
		hash_image(sn, file, hex, &e);
		assert_string_equal(hex, want);
		seen_images++;
	} else if (file && !strcmp(file + len - 5, ".didx")) {
		r = hash_stream(sn, file, hex, &e);
		assert_int_equal(r, json_object_get(o, "missing-chunk") ? -EIO : 0);
		if (r == 0)
			assert_string_equal(hex, want);
		seen_streams += r == 0;
		seen_missing += r != 0;
	} else if (file && want) {
		hash_blob(sn, file, hex, &e);
		assert_string_equal(hex, want);
		seen_blobs++;
	}
	snapshot_close(sn);
}

static void check_store(const char *name, const struct crypt_key *keys, size_t nr)
{
	char path[300], line[8192];
	struct store *st;
	struct err e = ERR_INIT;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(store_open(path, &st, &e), 0);
	(void)snprintf(path, sizeof(path), "%s/%s.contents", dir, name);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		json_t *o = json_loads(line, 0, NULL);

		assert_non_null(o);
		check_line(st, o, keys, nr);
		json_decref(o);
	}
	(void)fclose(f);
	store_close(st);
}

static void test_plain(void **state)
{
	(void)state;
	if (!have_golden())
		return;
	check_store("plain", NULL, 0);
	assert_true(seen_images >= 4 && seen_blobs > 10 && seen_streams > 20 && seen_missing >= 1);
}

static void test_encrypted(void **state)
{
	struct crypt_key keys[3];

	(void)state;
	if (!have_golden())
		return;
	load_key("keys/scrypt.json", "golden pass", &keys[0]);
	load_key("keys/pbkdf2.json", "golden pass", &keys[1]);
	load_key("keys/none.json", NULL, &keys[2]);
	seen_images = 0;
	check_store("encrypted", keys, 3);
	assert_true(seen_images >= 4);
}

/* Written by the servers and clients 0.8.9 to 3.4.8. */
static void test_old(void **state)
{
	static const char *const versions[] = { "0.8.9", "1.1.14", "2.4.7", "3.2.5", "3.4.8" };
	struct crypt_key keys[10];
	char name[64];

	(void)state;
	if (!have_golden())
		return;
	for (size_t i = 0; i < 5; i++) {
		(void)snprintf(name, sizeof(name), "old/keys/%s-scrypt.json", versions[i]);
		load_key(name, "old pass", &keys[2 * i]);
		(void)snprintf(name, sizeof(name), "old/keys/%s-none.json", versions[i]);
		load_key(name, NULL, &keys[2 * i + 1]);
	}
	seen_images = 0;
	check_store("server-0.8.9", keys, 10);
	check_store("server-1.1.14", keys, 10);
	check_store("server-4.2.3", keys, 10);
	assert_true(seen_images >= 10);
}

/* A manifest for an index of a third-party writer, which made none: plain JSON in a plain blob. */
static void write_manifest(const char *snapshot, const struct index *x)
{
	CLEANUP_BUF struct buf blob = BUF_INIT, json = BUF_INIT;
	struct blob_codec *c = blob_codec_new();
	CLEANUP_CLOSE int fd = -1;
	char path[330], csum[65];

	digest_to_hex(x->fixed.csum, csum);
	buf_fmt(&json, "{\"backup-type\":\"vm\",\"backup-id\":\"1\",\"backup-time\":0,\"files\":[{\"filename\":\"disk.img.fidx\","
		"\"size\":%llu,\"csum\":\"%s\"}]}", (unsigned long long)x->size_bytes, csum);
	assert_int_equal(blob_encode(c, json.data, json.len, &blob), 0);
	blob_codec_free(c);
	(void)snprintf(path, sizeof(path), "%s/index.json.blob", snapshot);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_int_equal(io_write_full(fd, blob.data, blob.len), 0);
}

/* Chunks of 64 KiB, frames with checksum and single segment, a last chunk that is half, one of zeros. */
static void test_third_party(void **state)
{
	CLEANUP_FREE char *file = NULL, *disk = NULL;
	char base[100], path[300];
	struct index x = { 0 };
	struct snapshot *sn;
	struct store *st;
	struct source *s;
	size_t len, disk_len;
	uint8_t *p;

	(void)state;
	if (!have_golden())
		return;
	(void)snprintf(base, sizeof(base), "%s/go", dir);
	run("mkdir -p %s/vm/1/1970-01-01T00:00:00Z && cd %s && zstd -dcq --long=27 %s/go-pxar/datastore.tar.zst | tar xf - "
	    "--no-same-owner && mv disk.img.fidx vm/1/*/ && zstd -dcq %s/go-pxar/datastore-disk.img.zst >disk", base, base, golden,
	    golden);
	(void)snprintf(path, sizeof(path), "%s/disk", base);
	assert_int_equal(io_read_file(-1, path, 64 << 20, &disk, &disk_len), 0);
	(void)snprintf(path, sizeof(path), "%s/vm/1/1970-01-01T00:00:00Z/disk.img.fidx", base);
	assert_int_equal(io_read_file(-1, path, 64 << 20, &file, &len), 0);
	assert_int_equal(index_of_bytes(file, len, true, &x, NULL), 0);
	*strrchr(path, '/') = 0;
	write_manifest(path, &x);
	index_free(&x);
	assert_int_equal(store_open(base, &st, NULL), 0);
	assert_int_equal(snapshot_open(st, "", "vm/1/1970-01-01T00:00:00Z", &sn, NULL), 0);
	assert_int_equal(snapshot_open_image(sn, "disk.img.fidx", &s, NULL), 0);
	assert_int_equal(s->unit_bytes, 65536);
	assert_int_equal(s->size_bytes, disk_len);
	p = malloc(disk_len);
	assert_int_equal(source_read_at(s, p, disk_len, 0, NULL), 0);
	assert_memory_equal(p, disk, disk_len);
	free(p);
	source_close(s);
	snapshot_close(sn);
	store_close(st);
}

static void read_golden(const char *where, const char *name, char **ret, size_t *ret_len)
{
	char path[PATH_MAX + 128];

	(void)snprintf(path, sizeof(path), "%s/%s", where, name);
	assert_int_equal(io_read_file(-1, path, 1 << 20, ret, ret_len), 0);
}

/* Keys that were wrapped with the master key; the blob as it lies in the store, and its contents. */
static void test_master_key(void **state)
{
	CLEANUP_FREE char *pem = NULL, *blob = NULL;
	CLEANUP_BUF struct buf out = BUF_INIT, raw = BUF_INIT;
	struct crypt_key want, got;
	size_t pem_len, len;

	(void)state;
	if (!have_golden())
		return;
	load_key("keys/scrypt.json", "golden pass", &want);
	read_golden(golden, "keys/master-private.pem", &pem, &pem_len);
	read_golden(dir, "encrypted/vm/100/2024-01-01T00:00:00Z/rsa-encrypted.key.blob", &blob, &len);
	assert_int_equal(key_rsa_unwrap(pem, pem_len, NULL, blob, len, &out, NULL), -ENOKEY);
	assert_int_equal(key_rsa_unwrap(pem, pem_len, "golden", blob, len, &out, NULL), -EKEYREJECTED);
	assert_int_equal(key_rsa_unwrap(pem, pem_len, "golden master", blob, len, &out, NULL), 0);
	assert_int_equal(key_load((const char *)out.data, out.len, NULL, 0, &got, NULL), 0);
	assert_memory_equal(&got, &want, sizeof(got));
	assert_int_equal(blob_decode(blob, len, NULL, 1 << 16, &raw, NULL), 0);
	buf_reset(&out);
	assert_int_equal(key_rsa_unwrap(pem, pem_len, "golden master", raw.data, raw.len, &out, NULL), 0);
	assert_int_equal(key_load((const char *)out.data, out.len, NULL, 0, &got, NULL), 0);
	assert_int_equal(key_rsa_unwrap(pem, pem_len, "golden master", raw.data, raw.len - 1, &out, NULL), -EBADMSG);
	raw.data[9] ^= 1;
	buf_reset(&out);
	if (key_rsa_unwrap(pem, pem_len, "golden master", raw.data, raw.len, &out, NULL) == 0)
		assert_int_equal(key_load((const char *)out.data, out.len, NULL, 0, &got, NULL), -EBADMSG);
	assert_int_equal(key_rsa_unwrap(blob, len, "x", raw.data, raw.len, &out, NULL), -EBADMSG);
}

/* What "key paperkey" printed, without its pictures. */
static void test_paper(void **state)
{
	static const char *const names[] = { "none", "scrypt", "pbkdf2" };
	static const char end[] = "-----END PROXMOX BACKUP KEY-----\n";

	(void)state;
	if (!have_golden())
		return;
	for (size_t i = 0; i < 6; i++) {
		CLEANUP_FREE char *json = NULL, *want = NULL;
		CLEANUP_BUF struct buf out = BUF_INIT;
		char name[64], subject[32];
		size_t len, want_len;

		(void)snprintf(subject, sizeof(subject), "golden %s", names[i / 2]);
		(void)snprintf(name, sizeof(name), "keys/%s.json", names[i / 2]);
		read_golden(golden, name, &json, &len);
		(void)snprintf(name, sizeof(name), "keys/%s.paperkey%s.txt", names[i / 2], i % 2 ? "-subject" : "");
		read_golden(golden, name, &want, &want_len);
		assert_non_null(strstr(want, end));
		strstr(want, end)[sizeof(end) - 1] = 0;
		assert_int_equal(key_file_paper(json, len, i % 2 ? subject : NULL, &out, NULL), 0);
		assert_string_equal(buf_cstr(&out), want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_encrypted),
		cmocka_unit_test(test_old),
		cmocka_unit_test(test_third_party),
		cmocka_unit_test(test_master_key),
		cmocka_unit_test(test_paper),
	};

	return cmocka_run_group_tests(tests, setup, golden_close);
}
