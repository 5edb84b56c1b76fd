/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/pxar/encode.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/err.h"
#include "common/grow.h"
#include "common/pxar/format.h"
#include "common/pxar/siphash.h"
#include "common/records.h"

#define TABLE_PART ((size_t)64 << 10)	/* bytes of a table that are written at once */

struct member {
	uint64_t hash;
	uint64_t pos;		/* of its FILENAME */
	uint64_t size;		/* to the end of the member, its own GOODBYE included */
};

struct level {
	uint64_t first;		/* of its members */
	uint64_t entry_pos;
	struct member last;	/* if open */
	bool member_open;	/* the last member's size is not known yet */
};

/* The table of a directory, while it is written. */
struct table {
	bool begun;
	uint64_t goodbye;	/* position of its item */
	uint64_t nr, done;	/* members */
};

struct pxar_enc {
	struct buf *out;
	unsigned int flags;
	uint64_t pos;		/* of the stream, the payload included */
	bool root_done;
	struct records members;	/* of all open directories, but for the last one of each */
	struct level *levels;
	size_t nr_levels, room_levels;
	struct table table;
};

struct pxar_enc *pxar_enc_new(struct buf *out, unsigned int flags)
{
	struct pxar_enc *e = calloc(1, sizeof(*e));

	if (e) {
		e->out = out;
		e->flags = flags;
		e->members.size = sizeof(struct member);
	}
	return e;
}

void pxar_enc_free(struct pxar_enc *e)
{
	if (!e)
		return;
	records_free(&e->members);
	free(e->levels);
	free(e);
}

uint64_t pxar_enc_pos(const struct pxar_enc *e)
{
	return e->pos;
}

void pxar_enc_payload(struct pxar_enc *e, uint64_t n)
{
	e->pos += n;
}

static void put(struct pxar_enc *e, const void *p, size_t n)
{
	buf_add(e->out, p, n);
	e->pos += n;
}

static void put_u64(struct pxar_enc *e, uint64_t v)
{
	buf_u64le(e->out, v);
	e->pos += 8;
}

static void put_head(struct pxar_enc *e, uint64_t type, uint64_t content)
{
	put_u64(e, type);
	put_u64(e, PXAR_HEADER_SIZE + content);
}

/* An item that is a string with its NUL. */
static void put_text(struct pxar_enc *e, uint64_t type, const char *s, size_t len)
{
	put_head(e, type, len + 1);
	put(e, s, len);
	put(e, "", 1);
}

static bool ext(const struct pxar_enc *e)
{
	return e->flags & PXAR_ENC_EXT;
}

static bool good_text(const char *s, size_t len, size_t max)
{
	return s && len && len <= max && !memchr(s, 0, len);
}

static bool good_name(const struct pxar_entry *n)
{
	return good_text(n->name, n->name_len, PXAR_NAME_MAX) && !memchr(n->name, '/', n->name_len) &&
	       !(n->name[0] == '.' && (n->name_len == 1 || (n->name_len == 2 && n->name[1] == '.')));
}

static bool mode_fits(const struct pxar_entry *n)
{
	switch (n->mode & S_IFMT) {
	case S_IFDIR:
		return n->kind == PXAR_KIND_DIR;
	case S_IFREG:
		return n->kind == PXAR_KIND_FILE;
	case S_IFLNK:
		return n->kind == PXAR_KIND_SYMLINK;
	case S_IFBLK:
	case S_IFCHR:
		return n->kind == PXAR_KIND_DEVICE;
	case S_IFIFO:
		return n->kind == PXAR_KIND_FIFO;
	case S_IFSOCK:
		return n->kind == PXAR_KIND_SOCKET;
	}
	return false;
}

/* Segments ascend, do not touch, lie within the file, and their sum is the payload. */
static bool good_segments(const struct pxar_entry *n)
{
	uint64_t sum = 0, end = 0;

	if (n->nr_segments > PXAR_SEGMENTS_MAX)
		return false;
	for (size_t i = 0; i < n->nr_segments; i++) {
		const struct pxar_segment *s = &n->segments[i];

		if (!s->len || s->off < end || (i && s->off == end) || s->off > n->size || s->len > n->size - s->off)
			return false;
		end = s->off + s->len;
		sum += s->len;
	}
	return sum == n->payload_size;
}

static bool good_file(const struct pxar_enc *e, const struct pxar_entry *n)
{
	if (n->payload_ref || n->payload_size > UINT64_MAX - PXAR_HEADER_SIZE)
		return false;
	if (n->has_segments && ext(e))
		return good_segments(n);
	return n->payload_size == n->size;
}

static bool good_attrs(const struct pxar_entry *n)
{
	for (size_t i = 0; i < n->nr_xattrs; i++) {
		const struct pxar_xattr *x = &n->xattrs[i];

		if (!good_text(x->name, x->name_len, PXAR_XATTR_NAME_MAX) || x->value_len > PXAR_XATTR_VALUE_MAX)
			return false;
	}
	for (size_t i = 0; i < n->nr_acls; i++)
		if (n->acls[i].perm > 7)
			return false;
	return n->fcaps_len <= PXAR_XATTR_VALUE_MAX;
}

static bool good_entry(const struct pxar_enc *e, const struct pxar_entry *n)
{
	if (!e->nr_levels)
		return !e->root_done && n->kind == PXAR_KIND_DIR && !n->name_len && mode_fits(n) &&
		       n->mtime_ns < 1000000000 && good_attrs(n);
	if (!good_name(n))
		return false;
	if (n->kind == PXAR_KIND_HARDLINK)
		return good_text(n->target, n->target_len, PXAR_TARGET_MAX) && n->link_pos < e->pos;
	if (!mode_fits(n) || n->mtime_ns >= 1000000000 || !good_attrs(n))
		return false;
	if (n->kind == PXAR_KIND_FILE)
		return good_file(e, n);
	if (n->kind == PXAR_KIND_SYMLINK)
		return good_text(n->target, n->target_len, PXAR_TARGET_MAX);
	return n->kind != PXAR_KIND_DIR || e->nr_levels < PXAR_DEPTH_MAX;
}

static void put_stat(struct pxar_enc *e, const struct pxar_entry *n)
{
	put_head(e, PXAR_ENTRY, 40);
	put_u64(e, n->mode);
	put_u64(e, n->flags);
	put_u64(e, (uint64_t)n->gid << 32 | n->uid);
	put_u64(e, (uint64_t)n->mtime_s);
	put_u64(e, n->mtime_ns);
}

static void put_xattr(struct pxar_enc *e, const struct pxar_xattr *x)
{
	if (x->any && !ext(e))
		return;
	put_head(e, x->any ? PXAR_EXT_XATTR_ANY : PXAR_XATTR, x->name_len + 1 + x->value_len);
	put(e, x->name, x->name_len);
	put(e, "", 1);
	put(e, x->value, x->value_len);
}

static void put_acl_type(struct pxar_enc *e, const struct pxar_entry *n, uint64_t type)
{
	for (size_t i = 0; i < n->nr_acls; i++) {
		if (n->acls[i].type != type)
			continue;
		put_head(e, type, 16);
		put_u64(e, n->acls[i].id);
		put_u64(e, n->acls[i].perm);
	}
}

static void put_acls(struct pxar_enc *e, const struct pxar_entry *n)
{
	put_acl_type(e, n, PXAR_ACL_USER);
	put_acl_type(e, n, PXAR_ACL_GROUP);
	if (n->has_acl_group_obj) {
		put_head(e, PXAR_ACL_GROUP_OBJ, 8);
		put_u64(e, n->acl_group_obj);
	}
	if (n->has_acl_default) {
		put_head(e, PXAR_ACL_DEFAULT, 32);
		put_u64(e, n->acl_default.user_obj);
		put_u64(e, n->acl_default.group_obj);
		put_u64(e, n->acl_default.other);
		put_u64(e, n->acl_default.mask);
	}
	put_acl_type(e, n, PXAR_ACL_DEFAULT_USER);
	put_acl_type(e, n, PXAR_ACL_DEFAULT_GROUP);
}

/* Official writers have attributes for files and directories alone. */
static void put_attrs(struct pxar_enc *e, const struct pxar_entry *n)
{
	if (n->kind != PXAR_KIND_DIR && n->kind != PXAR_KIND_FILE && !ext(e))
		return;
	for (size_t i = 0; i < n->nr_xattrs; i++)
		put_xattr(e, &n->xattrs[i]);
	put_acls(e, n);
	if (n->fcaps) {
		put_head(e, PXAR_FCAPS, n->fcaps_len);
		put(e, n->fcaps, n->fcaps_len);
	}
	if (n->has_projid) {
		put_head(e, PXAR_QUOTA_PROJID, 8);
		put_u64(e, n->projid);
	}
}

static void put_file(struct pxar_enc *e, const struct pxar_entry *n)
{
	if (n->has_segments && ext(e)) {
		put_head(e, PXAR_EXT_HOLES, 8 + 16 * n->nr_segments);
		put_u64(e, n->size);
		for (size_t i = 0; i < n->nr_segments; i++) {
			put_u64(e, n->segments[i].off);
			put_u64(e, n->segments[i].len);
		}
	}
	put_head(e, PXAR_PAYLOAD, n->payload_size);
}

static int put_error(struct pxar_enc *e, uint64_t type, const struct pxar_error *error)
{
	const char *name = err_name(error->code);
	size_t n = strlen(name) + 1, len = strnlen(error->text, sizeof(error->text) - 1);

	if (!ext(e))
		return 0;
	if (!e->nr_levels)
		return -EINVAL;
	put_head(e, type, 8 + n + len + 1);
	put_u64(e, error->off);
	put(e, name, n);
	put(e, error->text, len);
	put(e, "", 1);
	return buf_ok(e->out);
}

/* What comes behind the attributes. */
static void put_tail(struct pxar_enc *e, const struct pxar_entry *n)
{
	if (n->meta_error.code)
		(void)put_error(e, PXAR_EXT_META_ERROR, &n->meta_error);
	if (n->link_id && ext(e) && n->kind != PXAR_KIND_DIR) {
		put_head(e, PXAR_EXT_LINK, 8);
		put_u64(e, n->link_id);
	}
	switch (n->kind) {
	case PXAR_KIND_FILE:
		put_file(e, n);
		break;
	case PXAR_KIND_SYMLINK:
		put_text(e, PXAR_SYMLINK, n->target, n->target_len);
		break;
	case PXAR_KIND_DEVICE:
		put_head(e, PXAR_DEVICE, 16);
		put_u64(e, n->dev_major);
		put_u64(e, n->dev_minor);
		break;
	case PXAR_KIND_DIR:
	case PXAR_KIND_FIFO:
	case PXAR_KIND_SOCKET:
	case PXAR_KIND_HARDLINK:
		break;
	}
}

static void put_hardlink(struct pxar_enc *e, const struct pxar_entry *n, uint64_t pos)
{
	put_head(e, PXAR_HARDLINK, 8 + n->target_len + 1);
	put_u64(e, pos - n->link_pos);
	put(e, n->target, n->target_len);
	put(e, "", 1);
}

static int end_member(struct pxar_enc *e)
{
	struct level *l = &e->levels[e->nr_levels - 1];

	if (!l->member_open)
		return 0;
	l->member_open = false;
	l->last.size = e->pos - l->last.pos;
	return e->flags & PXAR_ENC_NO_TABLES ? 0 : records_add(&e->members, &l->last);
}

/* The member at @pos has begun. */
static void begin_member(struct pxar_enc *e, const struct pxar_entry *entry, uint64_t pos)
{
	struct level *l = &e->levels[e->nr_levels - 1];

	l->last = (struct member){ e->flags & PXAR_ENC_NO_TABLES ? 0 : pxar_hash(entry->name, entry->name_len), pos, 0 };
	l->member_open = true;
}

int pxar_enc_entry(struct pxar_enc *e, const struct pxar_entry *entry)
{
	const uint64_t pos = e->pos;
	int r;

	if (!good_entry(e, entry))
		return -EINVAL;
	r = grow(&e->levels, &e->room_levels, e->nr_levels, sizeof(*e->levels));
	if (r == 0 && e->nr_levels)
		r = end_member(e);
	if (r < 0)
		return r;
	if (e->nr_levels) {
		begin_member(e, entry, pos);
		put_text(e, PXAR_FILENAME, entry->name, entry->name_len);
	}
	if (entry->kind == PXAR_KIND_DIR)
		e->levels[e->nr_levels++] = (struct level){ .first = records_nr(&e->members), .entry_pos = e->pos };
	if (entry->kind == PXAR_KIND_HARDLINK) {
		put_hardlink(e, entry, pos);
	} else {
		put_stat(e, entry);
		put_attrs(e, entry);
		put_tail(e, entry);
	}
	return buf_ok(e->out);
}

int pxar_enc_error(struct pxar_enc *e, const struct pxar_error *error)
{
	if (e->nr_levels && !e->levels[e->nr_levels - 1].member_open)
		return pxar_enc_dir_error(e, error);
	return put_error(e, PXAR_EXT_ERROR, error);
}

int pxar_enc_dir_error(struct pxar_enc *e, const struct pxar_error *error)
{
	const int r = e->nr_levels ? end_member(e) : 0;

	return r < 0 ? r : put_error(e, PXAR_EXT_DIR_ERROR, error);
}

static int by_hash(const void *x, const void *y)
{
	const struct member *a = x, *b = y;

	if (a->hash != b->hash)
		return a->hash < b->hash ? -1 : 1;
	return a->pos < b->pos ? -1 : a->pos > b->pos;
}

/*
 * The table is the left-complete binary search tree in an array (children of i: 2i + 1, 2i + 2).
 * Return: the place, in order, of node @i of @n.
 */
static uint64_t tree_rank(uint64_t i, uint64_t n)
{
	const unsigned int depth = 63 - (unsigned int)__builtin_clzll(i + 1), height = 63 - (unsigned int)__builtin_clzll(n);
	const uint64_t in_level = i + 1 - ((uint64_t)1 << depth), lowest = n + 1 - ((uint64_t)1 << height);
	const uint64_t rank = ((2 * in_level + 1) << (height - depth)) - 1;	/* if the lowest level were full, */
	const uint64_t left = (rank + 1) / 2;					/* with so many of its nodes before this one */

	return left > lowest ? rank - (left - lowest) : rank;
}

static int begin_table(struct pxar_enc *e, const struct level *l)
{
	const uint64_t nr = records_nr(&e->members) - l->first;
	const int r = nr ? records_sort(&e->members, l->first, by_hash) : 0;

	if (r < 0)
		return r;
	e->table = (struct table){ .begun = true, .goodbye = e->pos, .nr = nr };
	put_head(e, PXAR_GOODBYE, 24 * (nr + 1));
	return 0;
}

static int put_row(struct pxar_enc *e, const struct level *l)
{
	struct member m;
	const int r = records_get(&e->members, l->first + tree_rank(e->table.done, e->table.nr), &m);

	if (r < 0)
		return r;
	put_u64(e, m.hash);
	put_u64(e, e->table.goodbye - m.pos);
	put_u64(e, m.size);
	e->table.done++;
	return 0;
}

static int end_table(struct pxar_enc *e, const struct level *l)
{
	put_u64(e, PXAR_GOODBYE_TAIL_MARKER);
	put_u64(e, e->table.goodbye - l->entry_pos);
	put_u64(e, PXAR_HEADER_SIZE + 24 * (e->table.nr + 1));
	e->table.begun = false;
	return records_cut(&e->members, l->first);
}

int pxar_enc_dir_end(struct pxar_enc *e)
{
	const size_t before = e->out->len;
	struct level *l;
	int r;

	if (!e->nr_levels)
		return -EINVAL;
	l = &e->levels[e->nr_levels - 1];
	r = end_member(e);
	if (r == 0 && !e->table.begun)
		r = begin_table(e, l);
	while (r == 0 && e->table.done < e->table.nr && e->out->len - before < TABLE_PART && buf_ok(e->out) == 0)
		r = put_row(e, l);
	if (r == 0)
		r = buf_ok(e->out);
	if (r == 0 && e->table.done < e->table.nr)
		return 1;
	if (r == 0)
		r = end_table(e, l);
	if (r == 0 && --e->nr_levels)
		r = end_member(e);
	e->root_done = !e->nr_levels;
	return r < 0 ? r : buf_ok(e->out);
}
