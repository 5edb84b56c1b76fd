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
	source_expect(src, src->size_bytes - 1);
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
static uint64_t at(const struct catalog_dir *d)
{
	return d->to.pos - d->have.left;
}

static int take(struct catalog_dir *d, uint8_t *ret, struct err *err)
{
	if (!d->have.left) {
		uint64_t n = d->to.end - d->to.pos;
		int r;

		if (!n)
			return bad(err, d->to.pos, "a block ends early");
		n = n < sizeof(d->bytes) ? n : sizeof(d->bytes);
		r = source_read_at(d->src, d->bytes, (size_t)n, d->to.pos, err);
		if (r < 0)
			return r;
		d->to.pos += n;
		d->have = cur_of(d->bytes, (size_t)n);
	}
	return cur_u8(&d->have, ret);
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
static int take_number(struct catalog_dir *d, bool signed_too, uint64_t *ret, struct err *err)
{
	uint64_t v = 0;
	uint8_t b = 0x80;

	for (unsigned int i = 0; b & 0x80; i++) {
		int r = take(d, &b, err);

		if (r < 0)
			return r;
		if (signed_too && b == 0) {
			v = 0 - v;
			break;
		}
		if (!add_group(&v, i, b & 0x7f))
			return bad(err, at(d), "number too big");
	}
	*ret = v;
	return 0;
}

static int take_u64(struct catalog_dir *d, uint64_t *ret, struct err *err)
{
	return take_number(d, false, ret, err);
}

/* A writer stores negative ones unsigned: they come out right, too. */
static int take_i64(struct catalog_dir *d, int64_t *ret, struct err *err)
{
	uint64_t v = 0;
	int r = take_number(d, true, &v, err);

	if (r == 0)
		*ret = (int64_t)v;
	return r;
}

static int take_name(struct catalog_dir *d, size_t *ret_len, struct err *err)
{
	uint64_t len;
	int r = take_u64(d, &len, err);

	if (r < 0)
		return r;
	if (len > CATALOG_NAME_MAX)
		return bad(err, at(d), "name too long");
	for (size_t i = 0; i < len; i++) {
		uint8_t b;

		r = take(d, &b, err);
		if (r < 0)
			return r;
		if (b == '/' || !b)
			return bad(err, at(d), "name that cannot be one");
		d->name[i] = (char)b;
	}
	d->name[len] = 0;
	*ret_len = (size_t)len;
	return 0;
}

static int take_entry(struct catalog_dir *d, struct catalog_entry *ret, struct err *err)
{
	struct catalog_entry e = { .name = d->name };
	uint64_t back = 0;
	uint8_t type;
	int r = take(d, &type, err);

	if (r < 0)
		return r;
	if (!type || !strchr("dflhbcps", type))
		return bad(err, at(d), "unknown type of entry");
	e.type = (char)type;
	r = take_name(d, &e.name_len, err);
	if (r == 0 && type == 'd')
		r = take_u64(d, &back, err);
	if (r == 0 && type == 'f')
		r = take_u64(d, &e.size, err);
	if (r == 0 && type == 'f')
		r = take_i64(d, &e.mtime, err);
	if (r < 0)
		return r;
	if (type == 'd' && (!back || back > d->to.block - MAGIC_SIZE))
		return bad(err, at(d), "directory that does not lie before its parent");
	e.block = d->to.block - back;
	*ret = e;
	return 0;
}

int catalog_dir_open(const struct catalog *c, uint64_t block, struct catalog_dir *ret, struct err *err)
{
	const struct catalog_place whole = { .block = block, .pos = block, .end = c->src->size_bytes - TAIL_SIZE };
	struct catalog_dir *d = ret;
	uint64_t len;
	int r;

	catalog_dir_resume(c, &whole, d);
	r = take_u64(d, &len, err);
	if (r < 0)
		return r;
	if (!len || len > d->to.end - at(d))
		return bad(err, block, "block of a wrong length");
	d->to.end = at(d) + len;
	if (d->to.pos > d->to.end) {
		d->have.left -= (size_t)(d->to.pos - d->to.end);
		d->to.pos = d->to.end;
	}
	return take_u64(d, &d->to.left, err);
}

int catalog_dir_next(struct catalog_dir *d, struct catalog_entry *ret, struct err *err)
{
	int r;

	if (!d->to.left)
		return at(d) == d->to.end ? 0 : bad(err, at(d), "bytes behind the entries of a block");
	d->to.left--;
	r = take_entry(d, ret, err);
	return r < 0 ? r : 1;
}

struct catalog_place catalog_dir_place(const struct catalog_dir *d)
{
	struct catalog_place p = d->to;

	p.pos = at(d);
	return p;
}

void catalog_dir_resume(const struct catalog *c, const struct catalog_place *place, struct catalog_dir *ret)
{
	ret->src = c->src;
	ret->to = *place;
	ret->have = cur_of(ret->bytes, 0);
}

int catalog_list(const struct catalog *c, uint64_t block, catalog_fn *fn, void *arg, struct err *err)
{
	struct catalog_dir d;
	struct catalog_entry e;
	int r = catalog_dir_open(c, block, &d, err);

	while (r == 0 && (r = catalog_dir_next(&d, &e, err)) == 1)
		r = fn(arg, &e);
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
