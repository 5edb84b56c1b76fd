/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Structures of other writers ($PLUCK_GOLDEN, else ../shared/golden), cut at each boundary and flipped at each byte: what has a checksum is
 * refused, and of the rest nothing is read out of bounds, for ever, or as more than it is.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/pxar/decode.h"
#include "host/archive/catalog.h"
#include "host/archive/items.h"
#include "host/archive/tree.h"
#include "host/source/store/blob.h"
#include "host/source/store/key_file.h"
#include "host/source/store/manifest.h"
#include "tests/lib/index_bytes.h"
#include "tests/lib/mem_source.h"

#define INDEX_HEAD 4096
#define FLIPPED_MAX 24		/* bytes flipped of each item of an archive: header and what it begins with */

static char golden[PATH_MAX];
static unsigned int nr_cuts, nr_flips;

/* Return: false if there is no such data. */
static bool have_golden(void)
{
	const char *from = getenv("PLUCK_GOLDEN");

	nr_cuts = nr_flips = 0;
	if (realpath(from ? from : "../shared/golden", golden))
		return true;
	print_message("skipped: no golden data ($PLUCK_GOLDEN, ../shared/golden)\n");
	return false;
}

static void output_of(struct buf *ret, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void output_of(struct buf *ret, const char *fmt, ...)
{
	char cmd[3 * PATH_MAX], block[65536];
	size_t n;
	va_list ap;
	FILE *f;

	va_start(ap, fmt);
	(void)vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	f = popen(cmd, "r");
	assert_non_null(f);
	buf_reset(ret);
	while ((n = fread(block, 1, sizeof(block), f)) > 0)
		buf_add(ret, block, n);
	assert_int_equal(pclose(f), 0);
	assert_true(buf_ok(ret) == 0 && ret->len);
}

/* One file out of the stores; @name with its directories. */
static void stored(struct buf *ret, const char *store, const char *name)
{
	output_of(ret, "zstd -dcq --long=27 %s/stores/%s.tar.zst | tar xO %s/%s", golden, store, store, name);
}

/* A copy of exactly this size, so that a sanitizer sees the first byte behind it. */
static uint8_t *exactly(const struct buf *b, size_t len)
{
	uint8_t *p = malloc(len ? len : 1);

	assert_non_null(p);
	if (len)
		memcpy(p, b->data, len);
	return p;
}

typedef void try_fn(const uint8_t *p, size_t len, const struct buf *good);

static void cut_at(const struct buf *good, size_t len, try_fn *try)
{
	CLEANUP_FREE uint8_t *p = exactly(good, len);

	try(p, len, good);
	nr_cuts++;
}

static void flip_at(const struct buf *good, size_t at, try_fn *try)
{
	CLEANUP_FREE uint8_t *p = exactly(good, good->len);

	for (unsigned int bit = 0; bit < 8; bit += 7) {
		p[at] ^= (uint8_t)(1u << bit);
		try(p, good->len, good);
		p[at] ^= (uint8_t)(1u << bit);
		nr_flips++;
	}
}

static void every_byte(const struct buf *good, try_fn *try)
{
	for (size_t i = 0; i < good->len; i++) {
		cut_at(good, i, try);
		flip_at(good, i, try);
	}
}

static void done(const char *what)
{
	print_message("%s: %u cuts, %u flips\n", what, nr_cuts, nr_flips);
}

static struct crypt_key key;

static void try_blob(const uint8_t *p, size_t len, const struct buf *good)
{
	CLEANUP_BUF struct buf out = { .limit = 1 << 24 };

	(void)good;
	assert_true(blob_decode(p, len, &key, 1 << 20, &out, NULL) < 0);
}

static void test_blobs(void **state)
{
	static const char *const blobs[][2] = {
		{ "plain", "ct/101/2024-01-01T00:00:00Z/pct.conf.blob" }, { "plain", "host/legacy/2024-01-01T00:00:00Z/index.json.blob" },
		{ "encrypted", "host/nokdf/2024-01-01T00:00:00Z/note.conf.blob" },
	};
	CLEANUP_BUF struct buf b = BUF_INIT, text = BUF_INIT, out = { .limit = 1 << 24 };

	(void)state;
	if (!have_golden())
		skip();
	output_of(&text, "cat %s/keys/none.json", golden);
	assert_int_equal(key_load((const char *)text.data, text.len, NULL, 0, &key, NULL), 0);
	for (size_t i = 0; i < sizeof(blobs) / sizeof(*blobs); i++) {
		stored(&b, blobs[i][0], blobs[i][1]);
		buf_reset(&out);
		assert_int_equal(blob_decode(b.data, b.len, &key, 1 << 20, &out, NULL), 0);
		every_byte(&b, try_blob);
	}
	done("blobs");
}

static void try_manifest(const uint8_t *p, size_t len, const struct buf *good)
{
	struct manifest *m;

	if (manifest_parse(p, len, &m, NULL) < 0)
		return;
	assert_int_equal(len, good->len);	/* no part of it is a manifest */
	(void)manifest_check_key(m, &key, NULL);
	manifest_free(m);
}

static void test_manifests(void **state)
{
	static const char *const names[][2] = { { "plain", "ct/101/2024-01-01T00:00:00Z" }, { "encrypted", "host/nokdf/2024-01-01T00:00:00Z" } };
	CLEANUP_BUF struct buf b = BUF_INIT, text = { .limit = 1 << 20 };
	char name[128];

	(void)state;
	if (!have_golden())
		skip();
	for (size_t i = 0; i < 2; i++) {
		(void)snprintf(name, sizeof(name), "%s/index.json.blob", names[i][1]);
		stored(&b, names[i][0], name);
		buf_reset(&text);
		assert_int_equal(blob_decode(b.data, b.len, NULL, 1 << 20, &text, NULL), 0);
		while (text.len && text.data[text.len - 1] == '\n')
			text.len--;
		every_byte(&text, try_manifest);
	}
	done("manifests");
}

static void try_index(const uint8_t *p, size_t len, const struct buf *good, bool is_fixed)
{
	struct index x = { 0 }, was = { 0 };
	const size_t sum = sizeof(x.fixed.csum);

	if (index_of_bytes(p, len, is_fixed, &x, NULL) < 0)
		return;
	assert_int_equal(index_of_bytes(good->data, good->len, is_fixed, &was, NULL), 0);
	assert_true(memcmp(is_fixed ? x.fixed.csum : x.dynamic.csum, is_fixed ? was.fixed.csum : was.dynamic.csum, sum) ||
		    !memcmp(p + INDEX_HEAD, good->data + INDEX_HEAD, len - INDEX_HEAD));
	assert_true(is_fixed ? len == good->len : len <= good->len);
	for (size_t i = 0; i < x.nr_chunks; i++)
		assert_true(index_digest(&x, i) + 32 <= x.entries.p + x.entries.len && index_chunk_len(&x, i) <= 16u << 20);
	index_free(&x);
	index_free(&was);
}

static void try_fixed(const uint8_t *p, size_t len, const struct buf *good)
{
	try_index(p, len, good, true);
}

static void try_dynamic(const uint8_t *p, size_t len, const struct buf *good)
{
	try_index(p, len, good, false);
}

static void test_indexes(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	(void)state;
	if (!have_golden())
		skip();
	stored(&b, "plain", "vm/100/2024-01-02T00:00:00Z/drive-scsi0.img.fidx");
	every_byte(&b, try_fixed);
	stored(&b, "plain", "host/legacy/2024-01-01T00:00:00Z/data.pxar.didx");
	every_byte(&b, try_dynamic);
	done("indexes");
}

static void try_key(const uint8_t *p, size_t len, const struct buf *good)
{
	struct crypt_key k;
	struct key_info info;

	if (key_file_info((const char *)p, len, &info, NULL) == 0)
		assert_true(len >= good->len - 1);	/* but for the last line's end */
	/* a changed key does not have the fingerprint that stands beside it */
	if (len == good->len && key_load((const char *)p, len, NULL, 0, &k, NULL) == 0 && info.has_fingerprint)
		assert_memory_equal(&k, &key, sizeof(k));
}

static void test_key_files(void **state)
{
	static const char *const names[] = { "none", "scrypt", "pbkdf2" };
	CLEANUP_BUF struct buf b = BUF_INIT;

	(void)state;
	if (!have_golden())
		skip();
	for (size_t i = 0; i < 3; i++) {
		output_of(&b, "cat %s/keys/%s.json", golden, names[i]);
		every_byte(&b, try_key);
	}
	done("key files");
}

static int count(void *arg, const struct catalog_entry *e)
{
	(void)e;
	return ++*(unsigned int *)arg > 100000 ? -ELOOP : 0;
}

static void try_catalog(const uint8_t *p, size_t len, const struct buf *good)
{
	struct mem_source src = mem_source(p, len);
	unsigned int nr = 0;
	struct catalog c;

	(void)good;
	if (catalog_open(&src.src, &c, NULL) < 0)
		return;
	/* every place is a block that something could lead to */
	for (uint64_t at = 8; at + 8 < len; at++)
		(void)catalog_list(&c, at, count, &nr, NULL);
}

static void test_catalogs(void **state)
{
	static const char *const names[] = { "foreign-catalog", "tizbac-dangling", "tizbac-tree" };
	CLEANUP_BUF struct buf b = BUF_INIT;

	(void)state;
	if (!have_golden())
		skip();
	for (size_t i = 0; i < 3; i++) {
		output_of(&b, "zstd -dcq %s/go-pxar/%s.pcat1.zst", golden, names[i]);
		every_byte(&b, try_catalog);
	}
	done("catalogs");
}

static struct buf payload;	/* of a split archive; empty: there is none */
static bool split;

/* The decoder, fed in two pieces. Return: is it a whole archive? */
static bool decode(const uint8_t *p, size_t len)
{
	struct pxar_dec *d = pxar_dec_new(split ? PXAR_DEC_SPLIT : 0);
	size_t fed = 0, half = len / 2;
	struct pxar_event ev;
	int r;

	do {
		r = pxar_dec_next(d, &ev, NULL);
		if (r == 0 && fed == len) {
			pxar_dec_eof(d);
		} else if (r == 0) {
			size_t n = fed < half ? half - fed : len - fed;

			pxar_dec_feed(d, p + fed, n);
			fed += n;
		}
	} while (r == 0 || (r > 0 && ev.type != PXAR_EV_END));
	pxar_dec_free(d);
	return r > 0;
}

/* What the extractor would get, which must be a good stream whatever came in. */
static void stream(struct access *a)
{
	struct pxar_dec *d = pxar_dec_new(PXAR_DEC_EXT);
	static uint8_t block[1 << 20];
	struct pxar_event ev = { 0 };
	struct tree *t = NULL;
	ssize_t n;
	int r;

	if (tree_open(a, "", 0, true, NULL, NULL, &t, NULL) == 0) {
		do {
			n = tree_read(t, block, sizeof(block), NULL);
			assert_true(n >= 0);
			if (n)
				pxar_dec_feed(d, block, (size_t)n);
			else
				pxar_dec_eof(d);
			while ((r = pxar_dec_next(d, &ev, NULL)) > 0 && ev.type != PXAR_EV_END)
				;
			assert_true(r >= 0);
		} while (n);
		assert_int_equal(ev.type, PXAR_EV_END);
	}
	tree_free(t);
	pxar_dec_free(d);
}

static void try_archive(const uint8_t *p, size_t len, const struct buf *good)
{
	struct mem_source meta = mem_source(p, len), data = mem_source(payload.data, payload.len);
	struct access *a;

	assert_true(!decode(p, len) || len == good->len);	/* no part of it is an archive */
	if (access_open(&meta.src, payload.len ? &data.src : NULL, &a, NULL) < 0)
		return;
	stream(a);
	access_free(a);
}

/* Cut at each item's ends, flipped in each header and at the begin of each content. */
static void every_item(const struct buf *good)
{
	struct mem_source src = mem_source(good->data, good->len);
	struct items items;
	struct item it;
	uint64_t pos = 0;

	assert_int_equal(items_init(&items, &src.src), 0);
	while (pos < good->len) {
		assert_int_equal(items_head(&items, pos, good->len, &it, NULL), 0);
		for (uint64_t at = pos ? pos - 1 : 0; at < pos + 2; at++)
			cut_at(good, (size_t)at, try_archive);
		cut_at(good, (size_t)pos + 16, try_archive);
		for (uint64_t at = pos; at < item_end(&it) && at < pos + FLIPPED_MAX; at++)
			flip_at(good, (size_t)at, try_archive);
		pos = item_end(&it);
	}
	assert_int_equal(pos, good->len);
	items_free(&items);
}

static void test_archives(void **state)
{
	static const struct {
		const char *name;
		bool split, whole;
	} files[] = {
		{ "go-pxar/empty.pxar", false, true }, { "go-pxar/small.pxar", false, true }, { "go-pxar/small-split.mpxar", true, true },
		{ "go-pxar/tizbac-dangling.pxar", false, true }, { "go-pxar/duplicate-names.pxar", false, true },
		{ "go-pxar/unsorted-streamed.pxar", false, false }, { "go-pxar/tree-split.mpxar", true, false },
	};
	CLEANUP_BUF struct buf b = BUF_INIT;

	(void)state;
	if (!have_golden())
		skip();
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		split = files[i].split;
		output_of(&b, "zstd -dcq %s/%s.zst", golden, files[i].name);
		buf_reset(&payload);
		if (split && files[i].whole)	/* the other one's is too long to be read so often */
			output_of(&payload, "zstd -dcq %s/%.*sppxar.zst", golden, (int)(strlen(files[i].name) - 5), files[i].name);
		if (files[i].whole)
			every_byte(&b, try_archive);
		else
			every_item(&b);
	}
	buf_free(&payload);
	done("archives");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blobs), cmocka_unit_test(test_manifests), cmocka_unit_test(test_indexes), cmocka_unit_test(test_key_files),
		cmocka_unit_test(test_catalogs), cmocka_unit_test(test_archives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
