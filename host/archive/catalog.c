/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/archive/catalog.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "common/cur.h"
#include "common/log.h"
#include "common/path.h"

#define MAGIC_SIZE 8
#define TAIL_SIZE 8

static const uint8_t magic[MAGIC_SIZE] = { 0x91, 0xfd, 0x60, 0xf9, 0xc4, 0x67, 0x58, 0xd5 };

/* The bytes of one table, read piece by piece. */
struct table_reader {
	struct source *src;
	uint64_t pos, end;
	uint8_t bytes[8192];
	struct cur have;
};

static int bad(struct err *err, uint64_t pos, const char *what)
{
	return err_text(err, -EBADMSG, "catalog, byte %" PRIu64 ": %s", pos, what);
}

int catalog_open(struct source *src, struct catalog *ret, struct err *err)
{
	uint8_t head[MAGIC_SIZE], tail[TAIL_SIZE];
	struct cur c = cur_of(tail, sizeof(tail));
	uint64_t root = 0;
	int r;

	if (src->size_bytes < MAGIC_SIZE + 2 + TAIL_SIZE)
		return bad(err, 0, "too short");
	r = source_read_at(src, head, sizeof(head), 0, err);
	if (r == 0)
		r = source_read_at(src, tail, sizeof(tail), src->size_bytes - TAIL_SIZE, err);
	if (r < 0)
		return r;
	if (memcmp(head, magic, sizeof(magic)))
		return bad(err, 0, "not a catalog (wrong magic)");
	(void)cur_u64le(&c, &root);
	if (root < MAGIC_SIZE || root >= src->size_bytes - TAIL_SIZE)
		return bad(err, src->size_bytes - TAIL_SIZE, "the root block lies outside");
	*ret = (struct catalog){ src, root };
	return 0;
}

/* Where the next byte to be parsed lies. */
static uint64_t at(const struct table_reader *t)
{
	return t->pos - t->have.left;
}

static int take(struct table_reader *t, uint8_t *ret, struct err *err)
{
	if (!t->have.left) {
		uint64_t n = t->end - t->pos;
		int r;

		if (!n)
			return bad(err, t->pos, "a block ends early");
		n = n < sizeof(t->bytes) ? n : sizeof(t->bytes);
		r = source_read_at(t->src, t->bytes, (size_t)n, t->pos, err);
		if (r < 0)
			return r;
		t->pos += n;
		t->have = cur_of(t->bytes, (size_t)n);
	}
	return cur_u8(&t->have, ret);
}

/* Adds a group of seven bits. Return: does it fit? */
static bool add_group(uint64_t *v, unsigned int i, uint8_t bits)
{
	if (i > 9 || (i == 9 && bits > 1))
		return false;
	*v |= (uint64_t)bits << 7 * i;
	return true;
}

/* @signed_too: a byte of zero ends the number, too, and makes it negative */
static int take_number(struct table_reader *t, bool signed_too, uint64_t *ret, struct err *err)
{
	uint64_t v = 0;
	uint8_t b = 0x80;

	for (unsigned int i = 0; b & 0x80; i++) {
		int r = take(t, &b, err);

		if (r < 0)
			return r;
		if (signed_too && b == 0) {
			v = 0 - v;
			break;
		}
		if (!add_group(&v, i, b & 0x7f))
			return bad(err, at(t), "number too big");
	}
	*ret = v;
	return 0;
}

static int take_u64(struct table_reader *t, uint64_t *ret, struct err *err)
{
	return take_number(t, false, ret, err);
}

/* A writer stores negative ones unsigned: they come out right, too. */
static int take_i64(struct table_reader *t, int64_t *ret, struct err *err)
{
	uint64_t v = 0;
	int r = take_number(t, true, &v, err);

	if (r == 0)
		*ret = (int64_t)v;
	return r;
}

static int take_name(struct table_reader *t, char *ret, size_t *ret_len, struct err *err)
{
	uint64_t len;
	int r = take_u64(t, &len, err);

	if (r < 0)
		return r;
	if (len > CATALOG_NAME_MAX)
		return bad(err, at(t), "name too long");
	for (size_t i = 0; i < len; i++) {
		uint8_t b;

		r = take(t, &b, err);
		if (r < 0)
			return r;
		if (b == '/' || !b)
			return bad(err, at(t), "name that cannot be one");
		ret[i] = (char)b;
	}
	ret[len] = 0;
	*ret_len = (size_t)len;
	return 0;
}

static int take_entry(struct table_reader *t, uint64_t block, char *name, struct catalog_entry *ret, struct err *err)
{
	struct catalog_entry e = { .name = name };
	uint64_t back = 0;
	uint8_t type;
	int r = take(t, &type, err);

	if (r < 0)
		return r;
	if (!type || !strchr("dflhbcps", type))
		return bad(err, at(t), "unknown type of entry");
	e.type = (char)type;
	r = take_name(t, name, &e.name_len, err);
	if (r == 0 && type == 'd')
		r = take_u64(t, &back, err);
	if (r == 0 && type == 'f')
		r = take_u64(t, &e.size, err);
	if (r == 0 && type == 'f')
		r = take_i64(t, &e.mtime, err);
	if (r < 0)
		return r;
	if (type == 'd' && (!back || back > block - MAGIC_SIZE))
		return bad(err, at(t), "directory that does not lie before its parent");
	e.block = block - back;
	*ret = e;
	return 0;
}

/* Sets the reader on the table of the block. */
static int begin_block(struct table_reader *t, uint64_t block, struct err *err)
{
	uint64_t len;
	int r = take_u64(t, &len, err);

	if (r < 0)
		return r;
	if (!len || len > t->end - at(t))
		return bad(err, block, "block of a wrong length");
	t->end = at(t) + len;
	if (t->pos > t->end) {
		t->have.left -= (size_t)(t->pos - t->end);
		t->pos = t->end;
	}
	return 0;
}

int catalog_list(const struct catalog *c, uint64_t block, catalog_fn *fn, void *arg, struct err *err)
{
	struct table_reader t = { .src = c->src, .pos = block, .end = c->src->size_bytes - TAIL_SIZE };
	char name[CATALOG_NAME_MAX + 1];
	struct catalog_entry e;
	uint64_t nr;
	int r;

	r = begin_block(&t, block, err);
	if (r == 0)
		r = take_u64(&t, &nr, err);
	for (; r == 0 && nr; nr--) {
		r = take_entry(&t, block, name, &e, err);
		if (r == 0)
			r = fn(arg, &e);
	}
	if (r == 0 && at(&t) != t.end)
		return bad(err, at(&t), "bytes behind the entries of a block");
	return r;
}

struct wanted {
	const char *name;
	size_t len;
	struct catalog_entry found;
};

static int is_wanted(void *arg, const struct catalog_entry *e)
{
	struct wanted *w = arg;

	if (e->name_len != w->len || memcmp(e->name, w->name, w->len))
		return 0;
	w->found = *e;
	w->found.name = "";
	w->found.name_len = 0;
	return 1;
}

int catalog_find(const struct catalog *c, const char *path, size_t len, struct catalog_entry *ret, struct err *err)
{
	struct catalog_entry e = { .type = 'd', .name = "", .block = c->root };
	const char *p = path;
	struct wanted w = { 0 };
	size_t left = len;
	char q[300];
	int r;

	while (path_next(&p, &left, &w.name, &w.len)) {
		if (w.len == 1 && *w.name == '.')
			continue;
		(void)log_quote(path, len, q, sizeof(q));
		if (e.type != 'd')
			return err_text(err, -ENOTDIR, "'%s': not a directory", q);
		r = catalog_list(c, e.block, is_wanted, &w, err);
		if (r == 0)
			return err_text(err, -ENOENT, "'%s' is not in the catalog", q);
		if (r < 0)
			return r;
		e = w.found;
	}
	*ret = e;
	return 0;
}
