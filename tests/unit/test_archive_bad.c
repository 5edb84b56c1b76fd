/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Damaged and hostile archives and catalogs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include <sys/stat.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/pxar/decode.h"
#include "common/pxar/encode.h"
#include "common/pxar/format.h"
#include "common/pxar/siphash.h"
#include "host/archive/access.h"
#include "host/archive/tree.h"
#include "tests/lib/mem_source.h"

#define PAYLOAD_BYTES 3000

static uint64_t put(struct pxar_enc *e, struct buf *b, enum pxar_kind kind, const char *name, uint64_t link)
{
	static const uint64_t mode[] = { [PXAR_KIND_DIR] = S_IFDIR | 0755, [PXAR_KIND_FILE] = S_IFREG | 0644,
					 [PXAR_KIND_SYMLINK] = S_IFLNK | 0777, [PXAR_KIND_FIFO] = S_IFIFO | 0600 };
	const uint64_t pos = pxar_enc_pos(e);
	struct pxar_entry n = { .name = name, .name_len = strlen(name), .kind = kind, .mtime_s = -1, .mtime_ns = 750000000 };

	if (kind == PXAR_KIND_HARDLINK) {
		n.target = "d/file";
		n.link_pos = link;
	} else {
		n.mode = mode[kind];
	}
	if (kind == PXAR_KIND_SYMLINK)
		n.target = "../x";
	n.target_len = n.target ? strlen(n.target) : 0;
	n.size = n.payload_size = kind == PXAR_KIND_FILE ? PAYLOAD_BYTES : 0;
	assert_int_equal(pxar_enc_entry(e, &n), 0);
	for (size_t i = 0; i < n.size; i++)
		buf_u8(b, (uint8_t)(i * 7 + (uint8_t)name[0]));
	if (n.size)
		pxar_enc_payload(e, n.size);
	return pos;
}

/* / d/ file deeper/ g | e/ link | fifo | last | sym */
static void make(struct buf *b)
{
	struct pxar_enc *e = pxar_enc_new(b, 0);
	uint64_t file;

	(void)put(e, b, PXAR_KIND_DIR, "", 0);
	(void)put(e, b, PXAR_KIND_DIR, "d", 0);
	file = put(e, b, PXAR_KIND_FILE, "file", 0);
	(void)put(e, b, PXAR_KIND_DIR, "deeper", 0);
	(void)put(e, b, PXAR_KIND_FILE, "g", 0);
	assert_int_equal(pxar_enc_dir_end(e), 0);
	assert_int_equal(pxar_enc_dir_end(e), 0);
	(void)put(e, b, PXAR_KIND_DIR, "e", 0);
	(void)put(e, b, PXAR_KIND_HARDLINK, "link", file);
	(void)put(e, b, PXAR_KIND_HARDLINK, "link2", file);
	assert_int_equal(pxar_enc_dir_end(e), 0);
	(void)put(e, b, PXAR_KIND_FIFO, "fifo", 0);
	(void)put(e, b, PXAR_KIND_FILE, "last", 0);
	(void)put(e, b, PXAR_KIND_SYMLINK, "sym", 0);
	assert_int_equal(pxar_enc_dir_end(e), 0);
	assert_int_equal(buf_ok(b), 0);
	pxar_enc_free(e);
}

struct seen {
	unsigned int files, links, others, errors, notes;
	char names[1024];
};

static void note(void *arg, const char *path, size_t path_len, int code, const char *text)
{
	struct seen *s = arg;

	(void)path;
	(void)path_len;
	assert_true(code < 0 && *text);
	s->notes++;
}

/* The stream of @path, which must always be a good one. Return: what tree_open() says. */
static int stream(struct access *a, const char *path, struct seen *ret)
{
	struct pxar_dec *d = pxar_dec_new(PXAR_DEC_EXT);
	struct err err = ERR_INIT;
	struct tree *t = NULL;
	struct pxar_event ev = { 0 };
	uint8_t block[700];
	ssize_t n;
	int r;

	*ret = (struct seen){ 0 };
	r = tree_open(a, path, strlen(path), true, note, ret, &t, &err);
	while (r == 0) {
		int more = pxar_dec_next(d, &ev, &err);

		assert_true(more >= 0);
		if (more && ev.type == PXAR_EV_END)
			break;
		if (more) {
			ret->errors += ev.error.code != 0;
			if (ev.type != PXAR_EV_ENTRY)
				continue;
			ret->errors += ev.entry->meta_error.code != 0;
			ret->files += ev.entry->kind == PXAR_KIND_FILE;
			ret->links += ev.entry->kind == PXAR_KIND_HARDLINK;
			ret->others += ev.entry->kind > PXAR_KIND_HARDLINK || ev.entry->kind == PXAR_KIND_SYMLINK;
			if (strlen(ret->names) + ev.entry->name_len + 2 < sizeof(ret->names))
				(void)strcat(strcat(ret->names, ev.entry->name), " ");
			continue;
		}
		n = tree_read(t, block, sizeof(block), &err);
		assert_true(n >= 0);
		if (n)
			pxar_dec_feed(d, block, (size_t)n);
		else
			pxar_dec_eof(d);
	}
	tree_free(t);
	pxar_dec_free(d);
	return r;
}

static void test_good(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct access_member *m = access_member_new();
	struct mem_source src;
	struct access *a;
	struct seen s;

	(void)state;
	make(&b);
	src = mem_source(b.data, b.len);
	assert_int_equal(access_open(&src.src, NULL, &a, NULL), 0);
	assert_int_equal(stream(a, "", &s), 0);
	assert_string_equal(s.names, " d file deeper g e link link2 fifo last sym ");
	assert_true(s.files == 3 && s.links == 2 && !s.errors && !s.notes);
	assert_int_equal(stream(a, "/d//", &s), 0);
	assert_string_equal(s.names, " d file deeper g ");
	assert_int_equal(stream(a, "d/deeper/g", &s), 0);
	assert_string_equal(s.names, " g ");
	/* Of links to something outside the first is the file, the others link to it. */
	assert_int_equal(stream(a, "e", &s), 0);
	assert_string_equal(s.names, " e link link2 ");
	assert_true(s.files == 1 && s.links == 1);
	assert_int_equal(stream(a, "e/link2", &s), 0);
	assert_true(s.files == 1 && !s.links);
	assert_int_equal(stream(a, "nope", &s), -ENOENT);
	assert_int_equal(stream(a, "d/nope", &s), -ENOENT);
	assert_int_equal(stream(a, "sym/x", &s), -ENOTDIR);
	assert_int_equal(stream(a, "d/../e", &s), -EINVAL);
	assert_int_equal(access_find(a, "d/./file", 8, m, NULL), 0);
	assert_int_equal(m->entry.mtime_s, -1);
	assert_int_equal(m->entry.size, PAYLOAD_BYTES);
	access_member_free(m);
	access_free(a);
}

/* The far end of each directory on the way is asked for before its beginning is read; the end of what is looked for is not. */
static void test_expected_ends(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct access_member *m = access_member_new();
	uint64_t d, deeper;
	struct mem_source src;
	struct access *a;

	(void)state;
	make(&b);
	src = mem_source(b.data, b.len);
	assert_int_equal(access_open(&src.src, NULL, &a, NULL), 0);
	assert_true(src.nr_expected == 1 && src.expected[0] == b.len - 1);
	assert_int_equal(access_find(a, "d", 1, m, NULL), 0);
	d = m->end;
	assert_int_equal(access_find(a, "last", 4, m, NULL), 0);
	assert_int_equal(src.nr_expected, 1);
	assert_int_equal(access_find(a, "d/deeper", 8, m, NULL), 0);
	deeper = m->end;
	assert_true(src.nr_expected == 2 && src.expected[1] == d - 1);
	src.nr_expected = 0;
	assert_int_equal(access_find(a, "d/deeper/g", 10, m, NULL), 0);
	assert_true(src.nr_expected == 2 && src.expected[0] == d - 1 && src.expected[1] == deeper - 1);
	access_member_free(m);
	access_free(a);
}

/* Cut at each length and flipped at each byte: an error, or a stream that is good in itself. */
static void test_cut_and_flipped(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct mem_source src;
	struct access *a;
	struct seen s;

	(void)state;
	make(&b);
	for (size_t len = 0; len < b.len; len += len > 64 && len + 64 < b.len ? 13 : 1) {
		src = mem_source(b.data, len);
		assert_int_not_equal(access_open(&src.src, NULL, &a, NULL), 0);
	}
	for (size_t i = 0; i < b.len; i++) {
		b.data[i] ^= (uint8_t)(1u << i % 8);
		src = mem_source(b.data, b.len);
		if (access_open(&src.src, NULL, &a, NULL) == 0) {
			(void)stream(a, "", &s);
			(void)stream(a, "e", &s);
			access_free(a);
		}
		b.data[i] ^= (uint8_t)(1u << i % 8);
	}
}

/* What cannot be read is told, and all the rest comes. */
static void test_unreadable(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct access_member *m = access_member_new();
	struct mem_source src;
	struct access *a;
	struct seen s;

	(void)state;
	make(&b);
	src = mem_source(b.data, b.len);
	assert_int_equal(access_open(&src.src, NULL, &a, NULL), 0);
	assert_int_equal(access_find(a, "d/file", 6, m, NULL), 0);
	access_free(a);
	src.bad_from = m->body + 1000;
	src.bad_to = m->body + 1010;
	assert_int_equal(access_open(&src.src, NULL, &a, NULL), 0);
	assert_int_equal(stream(a, "", &s), 0);
	assert_string_equal(s.names, " d file deeper g e link link2 fifo last sym ");
	assert_true(s.errors == 1 && s.notes == 1);
	access_free(a);
	/* the head of a file: nothing is known of it, its directory is not whole */
	src.bad_from = m->entry.pos;
	src.bad_to = m->entry.pos + 1;
	assert_int_equal(access_open(&src.src, NULL, &a, NULL), 0);
	assert_int_equal(stream(a, "", &s), 0);
	assert_true(s.errors >= 1 && s.notes >= 1);
	assert_non_null(strstr(s.names, "deeper g"));
	assert_non_null(strstr(s.names, "last sym"));
	access_free(a);
	access_member_free(m);
}

static const struct {
	const char *path, *name;
	size_t parent;		/* 0: the root */
} members[] = { { "", "", 0 }, { "d", " d ", 0 }, { "d/file", " file ", 1 }, { "d/deeper", " deeper ", 1 },
		{ "d/deeper/g", " g ", 3 }, { "e", " e ", 0 }, { "e/link", " link ", 5 }, { "e/link2", " link2 ", 5 },
		{ "fifo", " fifo ", 0 }, { "last", " last ", 0 }, { "sym", " sym ", 0 } };

#define NR_MEMBERS (sizeof(members) / sizeof(*members))

static void find_ends(struct source *src, uint64_t begin[NR_MEMBERS], uint64_t end[NR_MEMBERS])
{
	struct access_member *m = access_member_new();
	struct access *a;

	assert_int_equal(access_open(src, NULL, &a, NULL), 0);
	for (size_t i = 0; i < NR_MEMBERS; i++) {
		assert_int_equal(access_find(a, members[i].path, strlen(members[i].path), m, NULL), 0);
		begin[i] = m->entry.pos;
		end[i] = m->end;
	}
	access_free(a);
	access_member_free(m);
}

/* The archive, and where its members begin and end. */
static struct mem_source make_known(struct buf *b, uint64_t begin[NR_MEMBERS], uint64_t end[NR_MEMBERS])
{
	struct mem_source src;

	make(b);
	src = mem_source(b->data, b->len);
	find_ends(&src.src, begin, end);
	return src;
}

/* An archive of which something is lost can be opened, and tells of it. */
static struct access *open_lost(struct mem_source *src, struct seen *s)
{
	struct access *a;

	assert_int_equal(access_open(&src->src, NULL, &a, NULL), 0);
	assert_int_equal(stream(a, "", s), 0);
	assert_true(s->errors >= 1 && s->notes >= 1);
	return a;
}

/* Without its end, from each byte on, the archive gives every member that lies before it. */
static void test_lost_end(void **state)
{
	struct access_member *m = access_member_new();
	uint64_t begin[NR_MEMBERS], end[NR_MEMBERS];
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct mem_source src;
	struct access *a;
	struct seen s;

	(void)state;
	src = make_known(&b, begin, end);
	src.bad_to = b.len;
	for (src.bad_from = begin[1] + PXAR_HEADER_SIZE; src.bad_from < b.len; src.bad_from++) {
		a = open_lost(&src, &s);
		for (size_t i = 1; i < NR_MEMBERS; i++) {
			const int r = access_find(a, members[i].path, strlen(members[i].path), m, NULL);

			if (end[i] > src.bad_from)
				continue;
			assert_non_null(strstr(s.names, members[i].name));
			if (strcmp(members[i].path, "fifo"))	/* whose end only what follows tells */
				assert_int_equal(r, 0);
		}
		assert_int_equal(access_find(a, "nope", 4, m, NULL), -EIO);
		access_free(a);
	}
	access_member_free(m);
}

/* Without its beginning, up to each byte, every member behind it in directories whose heads are there. */
static void test_lost_begin(void **state)
{
	struct access_member *m = access_member_new();
	uint64_t begin[NR_MEMBERS], end[NR_MEMBERS];
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct mem_source src;
	struct access *a;
	struct seen s;

	(void)state;
	src = make_known(&b, begin, end);
	for (src.bad_to = 1; src.bad_to < end[10]; src.bad_to++) {
		a = open_lost(&src, &s);
		for (size_t i = 1; i < NR_MEMBERS; i++) {
			size_t top = i;

			while (members[top].parent)
				top = members[top].parent;
			if (begin[top] < src.bad_to)
				continue;
			assert_non_null(strstr(s.names, members[i].name));
			assert_int_equal(access_find(a, members[i].path, strlen(members[i].path), m, NULL), 0);
		}
		if (begin[9] >= src.bad_to)	/* what is missing is not passed by */
			assert_true(access_find(a, "nope/last", 9, m, NULL) < 0);
		access_free(a);
	}
	/* both ends: nothing is left to go by */
	src.bad_to = b.len;
	src.bad_from = 0;
	assert_int_equal(access_open(&src.src, NULL, &a, NULL), -EIO);
	access_member_free(m);
}

/* What was read and is wrong is no loss: no other way around it is taken. */
static void test_malformed_is_refused(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct mem_source src;
	struct access *a;

	(void)state;
	make(&b);
	for (size_t i = 1; i <= 24; i++) {
		b.data[b.len - i] ^= 0x55;
		src = mem_source(b.data, b.len);
		assert_int_equal(access_open(&src.src, NULL, &a, NULL), -EBADMSG);
		b.data[b.len - i] ^= 0x55;
	}
	buf_u8(&b, 0);
	src = mem_source(b.data, b.len);
	assert_int_equal(access_open(&src.src, NULL, &a, NULL), -EBADMSG);
}

static void put_item(struct buf *b, uint64_t type, uint64_t content)
{
	buf_u64le(b, type);
	buf_u64le(b, PXAR_HEADER_SIZE + content);
}

static void put_entry(struct buf *b, uint64_t mode)
{
	put_item(b, PXAR_ENTRY, 40);
	buf_u64le(b, mode);
	for (int i = 0; i < 4; i++)
		buf_u64le(b, 0);
}

/* The metadata stream of a split archive with the file "z", and @gap bytes behind it; one library put the data there. */
static void make_split(struct buf *b, size_t gap)
{
	size_t name, goodbye;

	put_item(b, PXAR_FORMAT_VERSION, 8);
	buf_u64le(b, 2);
	put_entry(b, S_IFDIR | 0755);
	name = b->len;
	put_item(b, PXAR_FILENAME, 2);
	buf_add(b, "z", 2);
	put_entry(b, S_IFREG | 0644);
	put_item(b, PXAR_PAYLOAD_REF, 16);
	buf_u64le(b, 16);
	buf_u64le(b, 2);
	for (size_t i = 0; i < gap; i++)
		buf_u8(b, 'x');
	goodbye = b->len;
	put_item(b, PXAR_GOODBYE, UINT64_C(2) * 24);
	buf_u64le(b, pxar_hash("z", 1));
	buf_u64le(b, goodbye - name);
	buf_u64le(b, goodbye - name + 18);	/* counts the data, too */
	buf_u64le(b, PXAR_GOODBYE_TAIL_MARKER);
	buf_u64le(b, goodbye);
	buf_u64le(b, PXAR_HEADER_SIZE + UINT64_C(2) * 24);
}

static void test_split_gap(void **state)
{
	(void)state;
	for (size_t gap = 0; gap < 40; gap++) {
		CLEANUP_BUF struct buf b = BUF_INIT;
		struct access_member *m = access_member_new();
		struct access_dir dir;
		struct mem_source src;
		struct access *a;

		make_split(&b, gap);
		src = mem_source(b.data, b.len);
		assert_int_equal(access_open(&src.src, NULL, &a, NULL), 0);
		assert_int_equal(access_root(a, m, NULL), 0);
		assert_int_equal(access_dir_open(a, m, &dir, NULL), 0);
		assert_int_equal(dir.nr, 1);
		assert_int_equal(access_dir_member(a, &dir, 0, m, NULL), gap ? -EBADMSG : 0);
		assert_string_equal(m->name, "z");
		access_dir_close(&dir);
		access_free(a);
		access_member_free(m);
	}
}

static void put64(struct buf *b, size_t at, uint64_t v)
{
	for (size_t i = 0; i < 8; i++)
		b->data[at + i] = (uint8_t)(v >> 8 * i);
}

/* A member of directory e that leads back to the root's first member, and one that lies within another. */
static void test_loops(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct access_member *m = access_member_new();
	struct access_dir dir;
	struct mem_source src;
	struct access *a;
	struct seen s;
	uint64_t e_goodbye, root_goodbye, first;

	(void)state;
	make(&b);
	src = mem_source(b.data, b.len);
	assert_int_equal(access_open(&src.src, NULL, &a, NULL), 0);
	assert_int_equal(access_find(a, "e", 1, m, NULL), 0);
	assert_int_equal(access_dir_open(a, m, &dir, NULL), 0);
	e_goodbye = dir.goodbye;
	access_dir_close(&dir);
	assert_int_equal(access_root(a, m, NULL), 0);
	first = m->body;
	assert_int_equal(access_dir_open(a, m, &dir, NULL), 0);
	root_goodbye = dir.goodbye;
	access_dir_close(&dir);
	put64(&b, (size_t)e_goodbye + 16 + 8, e_goodbye - first);
	assert_int_equal(stream(a, "", &s), 0);
	assert_int_equal(s.errors, 1);
	assert_non_null(strstr(s.names, "last sym"));
	put64(&b, (size_t)e_goodbye + 16 + 8, 0);
	assert_int_equal(stream(a, "", &s), 0);
	assert_int_equal(s.errors, 1);
	/* all members of the root at one position */
	for (size_t i = 0; i < 5; i++)
		put64(&b, (size_t)root_goodbye + 16 + 24 * i + 8, root_goodbye - first);
	assert_int_equal(stream(a, "", &s), 0);
	assert_true(s.errors >= 1 && s.files < 5);
	access_member_free(m);
	access_free(a);
}

/* A hard link to a directory, to another link, to the middle of data, to nothing. */
static void test_bad_links(void **state)
{
	static const char *const paths[] = { "d", "e/link", NULL, "" };

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		CLEANUP_BUF struct buf b = BUF_INIT;
		struct access_member *m = access_member_new(), *x = access_member_new();
		struct mem_source src;
		struct access *a;
		struct seen s;
		uint64_t to = 200;

		make(&b);
		src = mem_source(b.data, b.len);
		assert_int_equal(access_open(&src.src, NULL, &a, NULL), 0);
		assert_int_equal(access_find(a, "e/link2", 7, m, NULL), 0);
		if (paths[i]) {
			assert_int_equal(access_find(a, paths[i], strlen(paths[i]), x, NULL), 0);
			to = x->entry.pos;
		}
		put64(&b, (size_t)m->entry.pos + 16 + 6 + 16, m->entry.pos - to);
		access_free(a);
		assert_int_equal(access_open(&src.src, NULL, &a, NULL), 0);
		assert_int_equal(access_find(a, "e/link2", 7, m, NULL), 0);
		assert_int_equal(access_follow(a, m, x, NULL), -EBADMSG);
		assert_int_equal(stream(a, "e", &s), 0);
		assert_int_equal(s.errors, 1);
		access_free(a);
		access_member_free(m);
		access_member_free(x);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good), cmocka_unit_test(test_expected_ends),
		cmocka_unit_test(test_cut_and_flipped),
		cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_lost_end),
		cmocka_unit_test(test_lost_begin),
		cmocka_unit_test(test_malformed_is_refused),
		cmocka_unit_test(test_split_gap),
		cmocka_unit_test(test_loops),
		cmocka_unit_test(test_bad_links),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
