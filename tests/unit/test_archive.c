/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * File archives of other writers ($PLUCK_GOLDEN, else ../shared/golden): every member, every field and all contents, by
 * random access and through the stream for the extractor.
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
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/pxar/decode.h"
#include "host/archive/access.h"
#include "host/archive/catalog.h"
#include "host/archive/stream.h"
#include "host/archive/tree.h"
#include "host/source/store/digest.h"
#include "host/source/store/key.h"
#include "host/source/store/store.h"
#include "tests/lib/archive_check.c"
#include "tests/lib/golden.h"

#define BLOCK ((size_t)256 << 10)

static int setup(void **state)
{
	(void)state;
	if (!golden_open())
		return 0;
	golden_unpack("stores/plain");
	golden_unpack("old/pxar/archives");
	golden_unpack_old();
	return 0;
}

struct sha {
	EVP_MD_CTX *md;
};

static void sha_begin(struct sha *s)
{
	s->md = EVP_MD_CTX_new();
	assert_true(s->md && EVP_DigestInit_ex(s->md, EVP_sha256(), NULL));
}

static void sha_end(struct sha *s, char hex[static DIGEST_HEX + 1])
{
	uint8_t digest[32];

	assert_true(EVP_DigestFinal_ex(s->md, digest, NULL));
	digest_to_hex(digest, hex);
	EVP_MD_CTX_free(s->md);
}

static int hash_contents(struct access *a, struct access_member *m, char *hex, struct err *err)
{
	static uint8_t block[BLOCK];
	struct sha s;
	int r = 0;

	sha_begin(&s);
	for (uint64_t off = 0; r == 0 && off < m->entry.size; off += BLOCK) {
		size_t n = m->entry.size - off < BLOCK ? (size_t)(m->entry.size - off) : BLOCK;

		r = access_read(a, m, block, n, off, err);
		assert_true(EVP_DigestUpdate(s.md, block, n));
	}
	sha_end(&s, hex);
	return r;
}

static unsigned int nr_members, nr_bad, nr_unreadable;

/* A member by random access; a hard link both as such and followed. */
static void check_one(struct access *a, struct manifest_check *c, const struct buf *path, struct access_member *m)
{
	struct access_member *again = access_member_new();
	struct err err = ERR_INIT;
	char hex[DIGEST_HEX + 1];

	nr_members++;
	assert_non_null(again);
	if (m->entry.kind == PXAR_KIND_FILE)
		assert_int_equal(hash_contents(a, m, hex, &err), 0);
	if (m->entry.kind == PXAR_KIND_HARDLINK) {
		assert_int_equal(access_follow(a, m, again, &err), 0);
		assert_int_equal(hash_contents(a, again, hex, &err), 0);
	}
	check_member(c, (const char *)path->data, path->len, &m->entry, m->entry.kind == PXAR_KIND_FILE ? hex : NULL, true);
	assert_int_equal(access_find(a, path->data ? (const char *)path->data : "", path->len, again, &err), 0);
	assert_int_equal(again->entry.kind, m->entry.kind);
	access_member_free(again);
}

struct open_dir {
	struct access_dir d;
	size_t next, path_len;
};

static void push(struct access *a, struct open_dir **v, size_t *nr, struct access_member *m, size_t path_len)
{
	struct err err = ERR_INIT;

	*v = reallocarray(*v, *nr + 1, sizeof(**v));
	assert_non_null(*v);
	(*v)[*nr] = (struct open_dir){ .path_len = path_len };
	if (access_dir_open(a, m, &(*v)[*nr].d, &err) < 0) {
		print_message("%s\n", err.text);
		nr_bad++;
	}
	nr_unreadable += (unsigned int)(*v)[*nr].d.nr_unreadable;
	(*nr)++;
}

static void walk(struct access *a, struct manifest_check *c)
{
	struct access_member *m = access_member_new();
	CLEANUP_BUF struct buf path = BUF_INIT;
	struct open_dir *v = NULL;
	struct err err = ERR_INIT;
	size_t nr = 0;

	assert_int_equal(access_root(a, m, &err), 0);
	check_one(a, c, &path, m);
	push(a, &v, &nr, m, 0);
	while (nr) {
		struct open_dir *top = &v[nr - 1];

		path.len = top->path_len;
		if (top->next == top->d.nr) {
			access_dir_close(&top->d);
			nr--;
			continue;
		}
		if (access_dir_member(a, &top->d, top->next++, m, &err) < 0) {
			print_message("%s\n", err.text);
			nr_bad++;
			continue;
		}
		if (path.len)
			buf_u8(&path, '/');
		buf_add(&path, m->name, m->entry.name_len);
		check_one(a, c, &path, m);
		if (m->entry.kind == PXAR_KIND_DIR)
			push(a, &v, &nr, m, path.len);
	}
	free(v);
	access_member_free(m);
}

/* Events of a stream against the manifest. */
struct replay {
	struct manifest_check *c;
	struct buf path;
	size_t parents[4096], depth;
	struct pxar_entry last;
	struct sha sha;
	unsigned int errors;
	bool over;
};

static void on_event(struct replay *p, const struct pxar_event *ev)
{
	char hex[DIGEST_HEX + 1];

	switch (ev->type) {
	case PXAR_EV_ENTRY:
		p->last = *ev->entry;
		p->path.len = p->depth ? p->parents[p->depth - 1] : 0;
		if (p->path.len)
			buf_u8(&p->path, '/');
		buf_add(&p->path, ev->entry->name, ev->entry->name_len);
		if (ev->entry->kind == PXAR_KIND_DIR)
			p->parents[p->depth++] = p->path.len;
		if (ev->entry->kind == PXAR_KIND_FILE)
			sha_begin(&p->sha);
		else
			check_member(p->c, (const char *)p->path.data, p->path.len, ev->entry, NULL, true);
		break;
	case PXAR_EV_DATA:
		assert_true(EVP_DigestUpdate(p->sha.md, ev->data, ev->data_len));
		break;
	case PXAR_EV_FILE_END:
		sha_end(&p->sha, hex);
		if (!ev->error.code)
			check_member(p->c, (const char *)p->path.data, p->path.len, &p->last, hex, true);
		break;
	case PXAR_EV_DIR_END:
		p->depth--;
		break;
	case PXAR_EV_END:
		p->over = true;
		break;
	}
	p->errors += ev->error.code || (ev->type == PXAR_EV_ENTRY && ev->entry->meta_error.code);
}

/* Return: errors within the stream. */
static unsigned int stream_through(struct access *a, struct manifest_check *c, const char *path)
{
	static uint8_t block[BLOCK];
	struct pxar_dec *d = pxar_dec_new(PXAR_DEC_EXT);
	struct replay *p = calloc(1, sizeof(*p));
	struct err err = ERR_INIT;
	struct pxar_event ev;
	struct tree *t;
	unsigned int errors;
	int r;

	p->c = c;
	assert_int_equal(tree_open(a, path, strlen(path), true, NULL, NULL, &t, &err), 0);
	while (!p->over) {
		r = pxar_dec_next(d, &ev, &err);
		if (r < 0)
			print_message("%s\n", err.text);
		assert_true(r >= 0);
		if (r > 0) {
			on_event(p, &ev);
			continue;
		}
		ssize_t n = tree_read(t, block, BLOCK, &err);

		assert_true(n >= 0);
		if (n)
			pxar_dec_feed(d, block, (size_t)n);
		else
			pxar_dec_eof(d);
	}
	errors = p->errors;
	buf_free(&p->path);
	free(p);
	tree_free(t);
	pxar_dec_free(d);
	return errors;
}

static struct source *open_file(const char *path)
{
	struct source *s;

	assert_int_equal(source_open_raw(open(path, O_RDONLY | O_CLOEXEC), &s, NULL), 0);
	return s;
}

/* An archive against its manifest in both ways. @payload: NULL for a unified one. */
static void check_archive(struct source *meta, struct source *payload, const char *manifest, bool go, bool no_dir_acl)
{
	struct err err = ERR_INIT;
	struct manifest_check c;
	struct access *a;
	int r;

	r = access_open(meta, payload, &a, &err);
	if (r < 0)
		print_message("%s\n", err.text);
	assert_int_equal(r, 0);
	assert_int_equal(access_is_split(a), !!payload);
	for (int way = 0; way < 2; way++) {
		check_load(&c, manifest, go);
		c.no_dir_acl = no_dir_acl;
		if (way)
			(void)stream_through(a, &c, "");
		else
			walk(a, &c);
		assert_int_equal(check_done(&c), 0);
		check_free(&c);
	}
	access_free(a);
}

static void check_files(const char *meta, const char *payload, const char *manifest, bool go, bool no_dir_acl)
{
	struct source *m = open_file(meta), *p = payload ? open_file(payload) : NULL;

	check_archive(m, p, manifest, go, no_dir_acl);
	source_close(m);
	source_close(p);
}

/* Unpacks NAME.pxar.zst, or NAME.mpxar.zst with its payload, and checks it. */
static void check_golden(const char *folder, const char *name, const char *manifest, bool split, bool go)
{
	char meta[PATH_MAX], payload[PATH_MAX], want[3 * PATH_MAX];

	print_message("%s/%s%s\n", folder, name, split ? " split" : "");
	(void)snprintf(meta, sizeof(meta), "%s/meta", dir);
	(void)snprintf(payload, sizeof(payload), "%s/payload", dir);
	(void)snprintf(want, sizeof(want), "%s/%s/%s.jsonl.zst", golden, folder, manifest);
	run("zstd -dcq --long=27 %s/%s/%s.%s.zst >%s", golden, folder, name, split ? "mpxar" : "pxar", meta);
	if (split)
		run("zstd -dcq --long=27 %s/%s/%s.ppxar.zst >%s", golden, folder, name, payload);
	check_files(meta, split ? payload : NULL, want, go, false);
}

static void test_official(void **state)
{
	static const char *const names[] = { "T1", "T1-exclude", "T2", "TB", "TX" };

	(void)state;
	if (!have_golden())
		return;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		check_golden("pxar", names[i], names[i], false, false);
		check_golden("pxar", names[i], names[i], true, false);
	}
	check_golden("pxar", "TB-allfs", "TB-allfs", false, false);
	assert_int_equal(nr_bad, 0);
	assert_int_equal(nr_unreadable, 0);
}

static void test_go(void **state)
{
	static const struct {
		const char *name, *manifest;
		bool split;
	} files[] = {
		{ "tree", "tree", false }, { "tree-split", "tree", true },
		{ "small", "small", false }, { "small-split", "small", true }, { "small-split-noprelude", "small", true },
		{ "empty", "empty", false }, { "empty-split", "empty", true },
		{ "unsorted-streamed", "unsorted-streamed", false }, { "duplicate-names", "duplicate-names", false },
		{ "tizbac-tree", "tizbac-tree", false }, { "tizbac-dangling", "tizbac-dangling", false },
	};

	(void)state;
	if (!have_golden())
		return;
	nr_bad = nr_unreadable = 0;
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		check_golden("go-pxar", files[i].name, files[i].manifest, files[i].split, true);
	assert_int_equal(nr_bad, 0);
	assert_int_equal(nr_unreadable, 2);	/* of tizbac-dangling */
}

static void test_old(void **state)
{
	static const struct {
		const char *name, *manifest;
		bool split, no_dir_acl;
	} files[] = {
		{ "0.8.9-T0", "T0-noattr.v0", false, false }, { "0.8.9-T0-attrs", "T0.v0", false, true },
		{ "0.8.9-T0-exclude", "T0-exclude.v0", false, false }, { "0.8.9-TO", "TO", false, false },
		{ "1.1.14-T1", "T1.v1", false, false }, { "1.1.14-T1-exclude", "T1-exclude.v1", false, false },
		{ "1.1.14-TO", "TO", false, false }, { "2.4.7-T1", "T1.v2", false, false },
		{ "2.4.7-T1-exclude", "T1-exclude.v2", false, false }, { "3.2.5-T1", "T1.v3", false, false },
		{ "3.2.5-T1", "T1.v3", true, false }, { "3.2.5-T1-exclude", "T1-exclude.v3", false, false },
		{ "3.2.5-TO", "TO", true, false },
	};
	char meta[PATH_MAX], payload[PATH_MAX], want[3 * PATH_MAX];

	(void)state;
	if (!have_golden())
		return;
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		print_message("%s\n", files[i].name);
		(void)snprintf(meta, sizeof(meta), "%s/pxar/%s.%s", dir, files[i].name, files[i].split ? "mpxar" : "pxar");
		(void)snprintf(payload, sizeof(payload), "%s/pxar/%s.ppxar", dir, files[i].name);
		(void)snprintf(want, sizeof(want), "%s/old/trees/%s.jsonl.zst", golden, files[i].manifest);
		check_files(meta, files[i].split ? payload : NULL, want, false, files[i].no_dir_acl);
	}
}

static void count_damage(void *arg, const char *path, size_t path_len, int code, const char *text)
{
	(void)path;
	(void)path_len;
	(void)code;
	assert_non_null(text);
	++*(unsigned int *)arg;
}

/* Data in the metadata stream: an error wherever it shows, never wrong data. */
static void test_bad_split(void **state)
{
	char meta[PATH_MAX], payload[PATH_MAX];
	struct err err = ERR_INIT;
	unsigned int notes = 0;
	struct source *m, *p;
	struct access *a;
	struct tree *t;
	char block[4096];

	(void)state;
	if (!have_golden())
		return;
	(void)snprintf(meta, sizeof(meta), "%s/meta", dir);
	(void)snprintf(payload, sizeof(payload), "%s/payload", dir);
	run("cd %s/go-pxar && zstd -dcq bad-split-streamed.mpxar.zst >%s && zstd -dcq bad-split-streamed.ppxar.zst >%s", golden,
	    meta, payload);
	m = open_file(meta);
	p = open_file(payload);
	if (access_open(m, p, &a, &err) == 0) {
		assert_int_equal(tree_open(a, "", 0, true, count_damage, &notes, &t, &err), 0);
		while (tree_read(t, block, sizeof(block), &err) > 0)
			;
		assert_true(notes > 0);
		tree_free(t);
		assert_int_equal(tree_open(a, "", 0, false, NULL, NULL, &t, &err), 0);
		ssize_t n;

		while ((n = tree_read(t, block, sizeof(block), &err)) > 0)
			;
		assert_int_equal(n, -EBADMSG);
		tree_free(t);
		access_free(a);
	}
	source_close(m);
	source_close(p);
}

static struct source *open_stream(struct snapshot *sn, const char *file, size_t cache)
{
	struct err err = ERR_INIT;
	struct chunks *c;
	struct source *s;
	int r = snapshot_open_archive(sn, file, &c, &err);

	if (r < 0)
		print_message("%s\n", err.text);
	assert_int_equal(r, 0);
	assert_int_equal(stream_open(c, cache, &s, &err), 0);
	return s;
}

/* One archive of a store, by what the contents file says of it. */
static void check_stored(struct store *st, const json_t *o, const char *trees, const struct crypt_key *key)
{
	const char *tree = text(o, "tree"), *name = text(o, "snapshot"), *file = text(o, "file");
	char payload[512], manifest[3 * PATH_MAX], ns[300] = "";
	struct source *m, *p = NULL;
	struct err err = ERR_INIT;
	struct snapshot *sn;
	const char *mpxar;

	while (!strncmp(name, "ns/", 3)) {
		size_t n = strcspn(name + 3, "/");

		(void)snprintf(ns + strlen(ns), sizeof(ns) - strlen(ns), "%s%.*s", *ns ? "/" : "", (int)n, name + 3);
		name += 3 + n + 1;
	}
	if (!*tree || json_object_get(o, "missing-chunk"))
		return;
	if (key ? snapshot_open_key(st, ns, name, key, &sn, &err) < 0 :
	    !strcmp(text(o, "crypt-mode"), "encrypt") || snapshot_open(st, ns, name, &sn, &err) < 0)
		return;
	print_message("%s %s\n", name, file);
	(void)snprintf(manifest, sizeof(manifest), "%s/%s/%s.jsonl.zst", golden, trees, tree);
	m = open_stream(sn, file, STREAM_CACHE_BYTES);
	mpxar = strstr(file, ".mpxar.didx");
	if (mpxar) {
		(void)snprintf(payload, sizeof(payload), "%.*s.ppxar.didx", (int)(mpxar - file), file);
		p = open_stream(sn, payload, STREAM_CACHE_BYTES);
	}
	check_archive(m, p, manifest, false, false);
	source_close(m);
	source_close(p);
	snapshot_close(sn);
}

static void check_store(const char *name, const char *contents, const char *trees, const struct crypt_key *key)
{
	CLEANUP_FREE char *line = NULL;
	char path[3 * PATH_MAX];
	struct store *st;
	size_t room = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(store_open(path, &st, NULL), 0);
	(void)snprintf(path, sizeof(path), "zstd -dcq %s/%s/%s.contents.jsonl.zst", golden, contents, name);
	f = popen(path, "r");
	assert_non_null(f);
	while (getline(&line, &room, f) > 0) {
		json_t *o = json_loads(line, 0, NULL);

		assert_non_null(o);
		check_stored(st, o, trees, key);
		json_decref(o);
	}
	assert_int_equal(pclose(f), 0);
	store_close(st);
}

static void test_stores(void **state)
{
	(void)state;
	if (!have_golden())
		return;
	nr_members = 0;
	check_store("plain", "stores", "trees", NULL);
	check_store("server-0.8.9", "old/stores", "old/trees", NULL);
	check_store("server-1.1.14", "old/stores", "old/trees", NULL);
	check_store("server-4.2.3", "old/stores", "old/trees", NULL);
	print_message("%u members\n", nr_members);
	assert_true(nr_members > 10000);
}

static void test_encrypted(void **state)
{
	CLEANUP_FREE char *json = NULL;
	const unsigned int before = nr_members;
	char path[2 * PATH_MAX];
	struct crypt_key key;
	size_t len;

	(void)state;
	if (!have_golden())
		return;
	golden_unpack("stores/encrypted");
	(void)snprintf(path, sizeof(path), "%s/keys/scrypt.json", golden);
	assert_int_equal(io_read_file(-1, path, KEY_FILE_MAX, &json, &len), 0);
	assert_int_equal(key_load(json, len, "golden pass", 11, &key, NULL), 0);
	check_store("encrypted", "stores", "trees", &key);
	print_message("%u members\n", nr_members - before);
	assert_true(nr_members - before > 1000);
}

/* A subtree: links within it stay, links out of it become files. */
static void test_subtree(void **state)
{
	char meta[PATH_MAX], want[3 * PATH_MAX];
	struct err err = ERR_INIT;
	struct manifest_check c;
	struct source *m;
	struct access *a;

	(void)state;
	if (!have_golden())
		return;
	(void)snprintf(meta, sizeof(meta), "%s/pxar/3.2.5-T1.pxar", dir);
	(void)snprintf(want, sizeof(want), "%s/old/trees/T1.v3.jsonl.zst", golden);
	m = open_file(meta);
	assert_int_equal(access_open(m, NULL, &a, &err), 0);
	check_load(&c, want, false);
	assert_int_equal(stream_through(a, &c, "hard"), 0);
	print_message("%zu seen\n", c.seen);
	assert_true(c.seen > 3);
	check_free(&c);
	access_free(a);
	source_close(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_official),
		cmocka_unit_test(test_go),
		cmocka_unit_test(test_old),
		cmocka_unit_test(test_bad_split),
		cmocka_unit_test(test_subtree),
		cmocka_unit_test(test_stores),
		cmocka_unit_test(test_encrypted),
	};

	return cmocka_run_group_tests(tests, setup, golden_close);
}
