/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The decoder against hand-made streams, and against archives of the reference and others (PLUCK_GOLDEN): every field
 * is compared with the manifest, and unified official archives must come out of our encoder byte for byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <jansson.h>
#include <openssl/evp.h>

#include "common/b64.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "common/pxar/decode.h"
#include "common/pxar/encode.h"
#include "common/pxar/format.h"

typedef void event_fn(void *arg, const struct pxar_event *ev);

/* Decodes @len bytes in pieces of @step. Return: as pxar_dec_next(), 0 for a complete archive. */
static int decode(const uint8_t *p, size_t len, size_t step, unsigned int flags, event_fn *fn, void *arg)
{
	struct pxar_dec *d = pxar_dec_new(flags);
	struct pxar_event ev = { 0 };
	size_t at = 0;
	int r;

	for (;;) {
		r = pxar_dec_next(d, &ev, NULL);
		if (r < 0 || (r > 0 && ev.type == PXAR_EV_END))
			break;
		if (r > 0) {
			if (fn)
				fn(arg, &ev);
		} else if (at == len) {
			pxar_dec_eof(d);
		} else {
			size_t n = len - at < step ? len - at : step;

			pxar_dec_feed(d, p + at, n);
			at += n;
		}
	}
	if (r < 0)
		assert_int_equal(pxar_dec_next(d, &ev, NULL), r);
	pxar_dec_free(d);
	return r < 0 ? r : 0;
}

/* A stream under construction: items as they are, right or wrong. */
static struct buf s;

static void item(uint64_t type, const void *p, size_t len)
{
	buf_u64le(&s, type);
	buf_u64le(&s, 16 + len);
	buf_add(&s, p, len);
}

static void u64s(uint64_t type, size_t nr, const uint64_t *v)
{
	item(type, v, 8 * nr);
}

#define U64S(type, ...) u64s(type, sizeof((uint64_t[]){ __VA_ARGS__ }) / 8, (const uint64_t[]){ __VA_ARGS__ })

static void entry(uint64_t mode)
{
	U64S(PXAR_ENTRY, mode, 0, 0, 0, 0);
}

static void name(const char *n)
{
	item(PXAR_FILENAME, n, strlen(n) + 1);
}

static void goodbye(void)
{
	U64S(PXAR_GOODBYE, PXAR_GOODBYE_TAIL_MARKER, 0, 40);
}

static void file(void)
{
	name("f");
	entry(S_IFREG);
}

static void good(void) { file(); item(PXAR_PAYLOAD, "abc", 3); goodbye(); }
static void trailing(void) { goodbye(); buf_u8(&s, 0); }
static void no_payload(void) { file(); goodbye(); }
static void ref_in_unified(void) { file(); U64S(PXAR_PAYLOAD_REF, 16, 0); goodbye(); }
static void payload_of_dir(void) { name("d"); entry(S_IFDIR); item(PXAR_PAYLOAD, "", 0); goodbye(); }
static void symlink_of_file(void) { file(); item(PXAR_SYMLINK, "x", 2); goodbye(); }
static void no_nul(void) { name("l"); entry(S_IFLNK); item(PXAR_SYMLINK, "xy", 2); goodbye(); }
static void inner_nul(void) { name("l"); entry(S_IFLNK); item(PXAR_SYMLINK, "x\0y", 4); goodbye(); }
static void nul_name(void) { item(PXAR_FILENAME, "a\0b", 4); entry(S_IFIFO); goodbye(); }
static void dots(void) { name(".."); entry(S_IFIFO); goodbye(); }
static void slash(void) { name("a/b"); entry(S_IFIFO); goodbye(); }
static void strange_mode(void) { name("a"); entry(0); goodbye(); }
static void high_mode(void) { name("a"); entry(S_IFIFO | 1u << 20); goodbye(); }
static void bad_ns(void) { name("a"); U64S(PXAR_ENTRY, S_IFIFO, 0, 0, 0, 1000000000); goodbye(); }
static void bad_perm(void) { file(); U64S(PXAR_ACL_USER, 1, 8); item(PXAR_PAYLOAD, "", 0); goodbye(); }
static void two_group_obj(void) { file(); U64S(PXAR_ACL_GROUP_OBJ, 1); U64S(PXAR_ACL_GROUP_OBJ, 1); item(PXAR_PAYLOAD, "", 0); goodbye(); }
static void two_default(void) { file(); U64S(PXAR_ACL_DEFAULT, 1, 1, 1, 1); U64S(PXAR_ACL_DEFAULT, 1, 1, 1, 1); item(PXAR_PAYLOAD, "", 0); goodbye(); }
static void two_fcaps(void) { file(); item(PXAR_FCAPS, "a", 1); item(PXAR_FCAPS, "a", 1); item(PXAR_PAYLOAD, "", 0); goodbye(); }
static void two_projid(void) { file(); U64S(PXAR_QUOTA_PROJID, 1); U64S(PXAR_QUOTA_PROJID, 1); item(PXAR_PAYLOAD, "", 0); goodbye(); }
static void xattr_no_nul(void) { file(); item(PXAR_XATTR, "user.a", 6); item(PXAR_PAYLOAD, "", 0); goodbye(); }
static void link_zero(void) { name("h"); item(PXAR_HARDLINK, "\0\0\0\0\0\0\0\0f", 10); goodbye(); }
static void link_far(void) { name("h"); item(PXAR_HARDLINK, "\x39\0\0\0\0\0\0\0f", 10); goodbye(); }
static void link_up(void) { name("h"); item(PXAR_HARDLINK, "\1\0\0\0\0\0\0\0../f", 13); goodbye(); }
static void link_abs(void) { name("h"); item(PXAR_HARDLINK, "\1\0\0\0\0\0\0\0/f", 11); goodbye(); }
static void link_empty(void) { name("h"); item(PXAR_HARDLINK, "\1\0\0\0\0\0\0\0a//f", 13); goodbye(); }
static void version_late(void) { U64S(PXAR_FORMAT_VERSION, 2); goodbye(); }
static void unknown(void) { item(42, "", 0); }
static void small(void) { buf_u64le(&s, PXAR_GOODBYE); buf_u64le(&s, 15); }
static void huge(void) { file(); buf_u64le(&s, PXAR_PAYLOAD); buf_u64le(&s, UINT64_MAX); }
static void ext_item(void) { file(); item(PXAR_EXT_LINK, "\1\0\0\0\0\0\0", 8); item(PXAR_PAYLOAD, "", 0); goodbye(); }
static void ext_error(void) { file(); item(PXAR_PAYLOAD, "a", 1); item(PXAR_EXT_ERROR, "\0\0\0\0\0\0\0\0EIO\0t", 14); goodbye(); }
#define EIO_ITEM "\0\0\0\0\0\0\0\0EIO\0t", 14
static void meta_error(void) { file(); item(PXAR_EXT_META_ERROR, EIO_ITEM); item(PXAR_PAYLOAD, "a", 1); goodbye(); }
static void meta_error_twice(void) { file(); item(PXAR_EXT_META_ERROR, EIO_ITEM); item(PXAR_EXT_META_ERROR, EIO_ITEM); item(PXAR_PAYLOAD, "a", 1); goodbye(); }
static void fifo_error(void) { name("p"); entry(S_IFIFO); item(PXAR_EXT_ERROR, EIO_ITEM); goodbye(); }
static void holes_sum(void) { file(); U64S(PXAR_EXT_HOLES, 100, 0, 4); item(PXAR_PAYLOAD, "a", 1); goodbye(); }
static void holes_order(void) { file(); U64S(PXAR_EXT_HOLES, 100, 8, 1, 0, 1); item(PXAR_PAYLOAD, "ab", 2); goodbye(); }
static void holes_out(void) { file(); U64S(PXAR_EXT_HOLES, 100, 99, 2); item(PXAR_PAYLOAD, "ab", 2); goodbye(); }
static void holes_good(void) { file(); U64S(PXAR_EXT_HOLES, 100, 8, 1, 98, 2); item(PXAR_PAYLOAD, "abc", 3); goodbye(); }
static void cut(void) { file(); buf_u64le(&s, PXAR_PAYLOAD); }

static void test_cases(void **state)
{
	static const struct { const char *name; void (*make)(void); unsigned int flags; int want; } cases[] = {
		{ "good", good, 0, 0 }, { "trailing", trailing, 0, -EBADMSG }, { "no payload", no_payload, 0, -EBADMSG },
		{ "reference in unified", ref_in_unified, 0, -EBADMSG }, { "payload of directory", payload_of_dir, 0, -EBADMSG },
		{ "symlink of file", symlink_of_file, 0, -EBADMSG }, { "no NUL", no_nul, 0, -EBADMSG },
		{ "inner NUL", inner_nul, 0, -EBADMSG }, { "NUL in name", nul_name, 0, -EBADMSG }, { "dots", dots, 0, -EBADMSG },
		{ "slash", slash, 0, -EBADMSG }, { "mode without type", strange_mode, 0, -EBADMSG }, { "high mode", high_mode, 0, -EBADMSG },
		{ "nanoseconds", bad_ns, 0, -EBADMSG }, { "permission", bad_perm, 0, -EBADMSG }, { "two group_obj", two_group_obj, 0, -EBADMSG },
		{ "two default", two_default, 0, -EBADMSG }, { "two fcaps", two_fcaps, 0, -EBADMSG }, { "two projid", two_projid, 0, -EBADMSG },
		{ "xattr without NUL", xattr_no_nul, 0, -EBADMSG }, { "link to itself", link_zero, 0, -EBADMSG },
		{ "link before the begin", link_far, 0, -EBADMSG }, { "link up", link_up, 0, -EBADMSG },
		{ "link absolute", link_abs, 0, -EBADMSG }, { "link with empty component", link_empty, 0, -EBADMSG },
		{ "version late", version_late, 0, -EBADMSG }, { "unknown", unknown, 0, -EBADMSG }, { "small", small, 0, -EBADMSG },
		{ "huge", huge, 0, -EBADMSG }, { "private without flag", ext_item, 0, -EBADMSG }, { "private", ext_item, PXAR_DEC_EXT, 0 },
		{ "metadata error without flag", meta_error, 0, -EBADMSG }, { "metadata error", meta_error, PXAR_DEC_EXT, 0 },
		{ "metadata error twice", meta_error_twice, PXAR_DEC_EXT, -EBADMSG },
		{ "error of a FIFO", fifo_error, PXAR_DEC_EXT, -EBADMSG },
		{ "error without flag", ext_error, 0, -EBADMSG }, { "error", ext_error, PXAR_DEC_EXT, 0 },
		{ "holes sum", holes_sum, PXAR_DEC_EXT, -EBADMSG }, { "holes order", holes_order, PXAR_DEC_EXT, -EBADMSG },
		{ "holes outside", holes_out, PXAR_DEC_EXT, -EBADMSG }, { "holes", holes_good, PXAR_DEC_EXT, 0 },
		{ "cut", cut, 0, -ENODATA }, { "no version", good, PXAR_DEC_SPLIT, -EBADMSG },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		print_message("%s\n", cases[i].name);
		buf_reset(&s);
		entry(S_IFDIR);
		cases[i].make();
		assert_int_equal(decode(s.data, s.len, SIZE_MAX, cases[i].flags, NULL, NULL), cases[i].want);
		assert_int_equal(decode(s.data, s.len, 1, cases[i].flags, NULL, NULL), cases[i].want);
	}
	buf_free(&s);
}

/* One archive against its manifest and through the encoder. */
struct check {
	bool go, has_manifest, data_elsewhere;
	FILE *lines;
	size_t entries;
	char path[8192];
	size_t parent;		/* length of the path of the open directory */
	json_t *want;
	EVP_MD_CTX *md;
	struct pxar_enc *enc;
	struct buf out;
};

static bool field_is(const struct check *c, const char *key, int64_t got)
{
	const json_t *j = json_object_get(c->want, key);
	int64_t v = json_is_string(j) ? strtoll(json_string_value(j), NULL, 8) : json_is_real(j) ? (int64_t)json_number_value(j) : json_integer_value(j);

	if (!j || v == got)
		return true;
	print_message("%s: %s is %lld, want %lld\n", c->path, key, (long long)got, (long long)v);
	return false;
}

static bool text_is(const json_t *j, const void *got, size_t len)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	b64_encode(&b, got, len);
	return j && !strcmp(json_string_value(j), buf_cstr(&b));
}

/* Of the source's attributes those that an official archive has: user.*, trusted.*, security.NTACL. Names are in base64. */
static size_t stored_xattrs(json_t *x)
{
	const char *name;
	json_t *value;
	size_t nr = 0;

	json_object_foreach(x, name, value)
		nr += !strncmp(name, "dXNlci", 6) || !strncmp(name, "dHJ1c3RlZC", 10) || !strcmp(name, "c2VjdXJpdHkuTlRBQ0w=");
	return nr;
}

static void check_xattrs(const struct check *c, const struct pxar_entry *e)
{
	json_t *x = json_object_get(c->want, "x");
	const json_t *fc = json_object_get(c->want, "fc");

	if (c->go)
		return;
	if (e->kind != PXAR_KIND_FILE && e->kind != PXAR_KIND_DIR) {
		assert_int_equal(e->nr_xattrs, 0);
		return;
	}
	assert_int_equal(e->nr_xattrs, stored_xattrs(x));
	for (size_t i = 0; i < e->nr_xattrs; i++) {
		CLEANUP_BUF struct buf b = BUF_INIT;

		b64_encode(&b, e->xattrs[i].name, e->xattrs[i].name_len);
		assert_true(text_is(json_object_get(x, buf_cstr(&b)), e->xattrs[i].value, e->xattrs[i].value_len));
	}
	assert_int_equal(!fc, !e->fcaps);
	if (fc)
		assert_true(text_is(fc, e->fcaps, e->fcaps_len));
}

static void next_line(struct check *c)
{
	CLEANUP_FREE char *line = NULL;
	size_t room = 0;

	do {
		json_decref(c->want);
		assert_true(getline(&line, &room, c->lines) > 0);
		c->want = json_loads(line, c->go ? JSON_DECODE_INT_AS_REAL : 0, NULL);
		assert_non_null(c->want);
	} while (json_is_true(json_object_get(c->want, "ex")));
}

static void check_entry(struct check *c, const struct pxar_entry *e)
{
	static const char types[] = { 'd', 'f', 'l', 'f', 'b', 'p', 's' };
	const char *link = c->go ? "l" : e->kind == PXAR_KIND_HARDLINK ? "hl" : "l";
	char t;

	next_line(c);
	assert_true(text_is(json_object_get(c->want, "p"), c->path, strlen(c->path)));
	if (e->target)
		assert_true(text_is(json_object_get(c->want, link), e->target, e->target_len));
	if (e->kind == PXAR_KIND_HARDLINK)
		return;
	t = json_string_value(json_object_get(c->want, "t"))[0];
	assert_true(c->go || t == (S_ISCHR(e->mode) ? 'c' : types[e->kind]));
	assert_true(field_is(c, "m", e->mode & 07777) && field_is(c, "u", e->uid) && field_is(c, "g", e->gid));
	assert_true(field_is(c, "sec", e->mtime_s) && field_is(c, "ns", e->mtime_ns));
	assert_true(e->kind != PXAR_KIND_FILE || field_is(c, "s", (int64_t)e->size));
	assert_true(field_is(c, "pj", (int64_t)e->projid));
	if (e->kind == PXAR_KIND_DEVICE) {
		assert_int_equal((int)json_number_value(json_array_get(json_object_get(c->want, "r"), 0)), e->dev_major);
		assert_int_equal((int)json_number_value(json_array_get(json_object_get(c->want, "r"), 1)), e->dev_minor);
	}
	check_xattrs(c, e);
}

static void on_entry(struct check *c, const struct pxar_entry *e)
{
	c->entries++;
	c->path[c->parent] = 0;
	if (e->name_len)
		(void)snprintf(c->path + c->parent, sizeof(c->path) - c->parent, "%s%s", c->parent ? "/" : "", e->name);
	if (c->has_manifest)
		check_entry(c, e);
	if (e->kind == PXAR_KIND_DIR)
		c->parent = strlen(c->path);
	EVP_DigestInit_ex(c->md, EVP_sha256(), NULL);
	if (c->enc)
		assert_int_equal(pxar_enc_entry(c->enc, e), 0);
}

static void on_file_end(struct check *c)
{
	const char *want = json_string_value(json_object_get(c->want, "h"));
	unsigned char h[32];
	char hex[65];

	EVP_DigestFinal_ex(c->md, h, NULL);
	for (int i = 0; i < 32; i++)
		(void)sprintf(hex + 2 * i, "%02x", h[i]);
	if (c->has_manifest && want && !c->data_elsewhere)
		assert_string_equal(hex, want);
}

static void on_event(void *arg, const struct pxar_event *ev)
{
	struct check *c = arg;
	char *slash;

	switch (ev->type) {
	case PXAR_EV_ENTRY:
		on_entry(c, ev->entry);
		break;
	case PXAR_EV_DATA:
		EVP_DigestUpdate(c->md, ev->data, ev->data_len);
		if (c->enc) {
			buf_add(&c->out, ev->data, ev->data_len);
			pxar_enc_payload(c->enc, ev->data_len);
		}
		break;
	case PXAR_EV_FILE_END:
		on_file_end(c);
		break;
	case PXAR_EV_DIR_END:
		if (c->enc)
			assert_int_equal(pxar_enc_dir_end(c->enc), 0);
		c->path[c->parent] = 0;
		slash = strrchr(c->path, '/');
		c->parent = slash ? (size_t)(slash - c->path) : 0;
		break;
	default:
		fail();
	}
}

static FILE *unpack(const char *dir, const char *base, const char *ending)
{
	char cmd[512], path[384];

	(void)snprintf(path, sizeof(path), "%s/%s.%s.zst", dir, base, ending);
	if (access(path, R_OK) < 0)
		return NULL;
	(void)snprintf(cmd, sizeof(cmd), "zstd -dcq %s", path);
	return popen(cmd, "r");
}

static void load(FILE *f, struct buf *b)
{
	size_t n = 1;

	b->limit = (size_t)512 << 20;
	while (n) {
		uint8_t *p = buf_reserve(b, 1 << 20);

		assert_non_null(p);
		n = fread(p, 1, 1 << 20, f);
		b->len += n;
	}
	assert_int_equal(pclose(f), 0);
}

/* A bounded sample of cuts and flips: they fail or end, and nothing else. */
static void damage(uint8_t *p, size_t len, unsigned int flags)
{
	const size_t max = len < 200000 ? len : 200000, step = max / 300 + 1;

	for (size_t at = 0; at < max; at += step) {
		assert_int_equal(decode(p, at, SIZE_MAX, flags, NULL, NULL), -ENODATA);
		p[at] ^= (uint8_t)(1u << at % 8);
		(void)decode(p, max, SIZE_MAX, flags, NULL, NULL);
		p[at] ^= (uint8_t)(1u << at % 8);
	}
}

static void check_archive(const char *dir, const char *base, bool go, bool split, const char *manifest)
{
	struct check c = { .go = go, .data_elsewhere = split, .lines = unpack(dir, manifest, "jsonl") };
	CLEANUP_BUF struct buf b = BUF_INIT;
	const unsigned int flags = split ? PXAR_DEC_SPLIT : 0;

	load(unpack(dir, base, split ? "mpxar" : "pxar"), &b);
	c.has_manifest = c.lines;
	c.md = EVP_MD_CTX_new();
	c.out.limit = (size_t)512 << 20;
	c.enc = split ? NULL : pxar_enc_new(&c.out, 0);
	assert_int_equal(decode(b.data, b.len, 60000, flags, on_event, &c), 0);
	print_message("%s: %zu entries, %zu bytes\n", base, c.entries, b.len);
	if (c.enc && !go) {
		assert_int_equal(c.out.len, b.len);
		assert_memory_equal(c.out.data, b.data, b.len);
	}
	damage(b.data, b.len, flags);
	if (c.lines)
		(void)pclose(c.lines);
	json_decref(c.want);
	EVP_MD_CTX_free(c.md);
	pxar_enc_free(c.enc);
	buf_free(&c.out);
}

static void test_golden(void **state)
{
	static const struct { const char *dir, *base, *manifest; bool go, unified, split; } v[] = {
		{ "pxar", "T1", "T1", false, true, true }, { "pxar", "T2", "T2", false, true, true },
		{ "pxar", "TX", "TX", false, true, true }, { "pxar", "TB", "TB", false, true, true },
		{ "pxar", "TB-allfs", "TB-allfs", false, true, false }, { "pxar", "T1-exclude", "none", false, true, true },
		{ "go-pxar", "tree", "tree", true, true, false }, { "go-pxar", "tree-split", "tree", true, false, true },
		{ "go-pxar", "small", "small", true, true, false }, { "go-pxar", "small-split", "small", true, false, true },
		{ "go-pxar", "small-split-noprelude", "small", true, false, true },
		{ "go-pxar", "empty", "empty", true, true, false }, { "go-pxar", "empty-split", "empty", true, false, true },
		{ "go-pxar", "unsorted-streamed", "unsorted-streamed", true, true, false },
		{ "go-pxar", "duplicate-names", "duplicate-names", true, true, false },
		{ "go-pxar", "tizbac-tree", "tizbac-tree", true, true, false },
	};
	const char *golden = getenv("PLUCK_GOLDEN");
	CLEANUP_BUF struct buf bad = BUF_INIT;
	char dir[256];

	(void)state;
	if (!golden || access(golden, R_OK) < 0) {
		print_message("skipped: PLUCK_GOLDEN does not name the golden data\n");
		skip();
	}
	for (size_t i = 0; i < sizeof(v) / sizeof(*v); i++) {
		(void)snprintf(dir, sizeof(dir), "%s/%s", golden, v[i].dir);
		if (v[i].unified)
			check_archive(dir, v[i].base, v[i].go, false, v[i].manifest);
		if (v[i].split)
			check_archive(dir, v[i].base, v[i].go, true, v[i].manifest);
	}
	(void)snprintf(dir, sizeof(dir), "%s/go-pxar", golden);
	load(unpack(dir, "bad-split-streamed", "mpxar"), &bad);
	assert_int_equal(decode(bad.data, bad.len, SIZE_MAX, PXAR_DEC_SPLIT, NULL, NULL), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_golden),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
