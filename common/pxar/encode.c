/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/pxar/encode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/pxar/format.h"
#include "common/pxar/siphash.h"

/* One line of a goodbye table; in memory @start is the absolute position of the member's FILENAME item. */
struct goodbye {
	uint64_t hash, start, size;
};

struct level {
	uint64_t entry_pos;	/* of the directory's ENTRY item */
	uint64_t name_pos, name_hash;	/* of its FILENAME item, for the parent's table */
	struct goodbye *members;
	size_t nr, room;
};

struct pxar_enc {
	struct buf *out;
	unsigned int flags;
	uint64_t pos;
	struct level *levels;
	size_t depth, room;
	bool open_member;	/* a file or special member whose goodbye entry is not written yet */
	struct goodbye member;
};

struct pxar_enc *pxar_enc_new(struct buf *out, unsigned int flags)
{
	struct pxar_enc *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->out = out;
	e->flags = flags;
	return e;
}

void pxar_enc_free(struct pxar_enc *e)
{
	if (!e)
		return;
	for (size_t i = 0; i < e->depth; i++)
		free(e->levels[i].members);
	free(e->levels);
	free(e);
}

uint64_t pxar_enc_pos(const struct pxar_enc *e)
{
	return e->pos;
}

/* Every item is written through here, so that the position is known whatever the caller drained. */
static void item(struct pxar_enc *e, uint64_t type, uint64_t content)
{
	buf_u64le(e->out, type);
	buf_u64le(e->out, content + PXAR_HEADER_SIZE);
	e->pos += content + PXAR_HEADER_SIZE;
}

static void item_string(struct pxar_enc *e, uint64_t type, const char *s, size_t len)
{
	item(e, type, len + 1);
	buf_add(e->out, s, len);
	buf_u8(e->out, 0);
}

static int add_member(struct level *l, const struct goodbye *g)
{
	if (l->nr == l->room) {
		size_t room = l->room ? l->room * 2 : 16;
		struct goodbye *more = reallocarray(l->members, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		l->members = more;
		l->room = room;
	}
	l->members[l->nr++] = *g;
	return 0;
}

/* The member before is complete when the next item of its directory begins. */
static int close_member(struct pxar_enc *e)
{
	if (!e->open_member)
		return 0;
	e->open_member = false;
	e->member.size = e->pos - e->member.start;
	return add_member(&e->levels[e->depth - 1], &e->member);
}

static int push_level(struct pxar_enc *e, const struct level *l)
{
	if (e->depth == e->room) {
		size_t room = e->room ? e->room * 2 : 32;
		struct level *more = reallocarray(e->levels, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		e->levels = more;
		e->room = room;
	}
	e->levels[e->depth++] = *l;
	return 0;
}

static void put_xattr(struct pxar_enc *e, const struct pxar_xattr *x)
{
	if (x->any && !(e->flags & PXAR_ENC_EXT))
		return;
	item(e, x->any ? PXAR_EXT_XATTR_ANY : PXAR_XATTR, x->name_len + 1 + x->value_len);
	buf_add(e->out, x->name, x->name_len);
	buf_u8(e->out, 0);
	buf_add(e->out, x->value, x->value_len);
}

static void put_acls(struct pxar_enc *e, const struct pxar_entry *n, uint64_t type)
{
	for (size_t i = 0; i < n->nr_acls; i++) {
		if (n->acls[i].type != type)
			continue;
		item(e, type, 16);
		buf_u64le(e->out, n->acls[i].id);
		buf_u64le(e->out, n->acls[i].perm);
	}
}

/* In the order of the official writer. */
static void put_attrs(struct pxar_enc *e, const struct pxar_entry *n)
{
	for (size_t i = 0; i < n->nr_xattrs; i++)
		put_xattr(e, &n->xattrs[i]);
	put_acls(e, n, PXAR_ACL_USER);
	put_acls(e, n, PXAR_ACL_GROUP);
	if (n->has_acl_group_obj) {
		item(e, PXAR_ACL_GROUP_OBJ, 8);
		buf_u64le(e->out, n->acl_group_obj);
	}
	if (n->has_acl_default) {
		item(e, PXAR_ACL_DEFAULT, 32);
		buf_u64le(e->out, n->acl_default.user_obj);
		buf_u64le(e->out, n->acl_default.group_obj);
		buf_u64le(e->out, n->acl_default.other);
		buf_u64le(e->out, n->acl_default.mask);
	}
	put_acls(e, n, PXAR_ACL_DEFAULT_USER);
	put_acls(e, n, PXAR_ACL_DEFAULT_GROUP);
	if (n->fcaps) {
		item(e, PXAR_FCAPS, n->fcaps_len);
		buf_add(e->out, n->fcaps, n->fcaps_len);
	}
	if (n->has_projid) {
		item(e, PXAR_QUOTA_PROJID, 8);
		buf_u64le(e->out, n->projid);
	}
}

static void put_entry_item(struct pxar_enc *e, const struct pxar_entry *n)
{
	item(e, PXAR_ENTRY, 40);
	buf_u64le(e->out, n->mode);
	buf_u64le(e->out, n->flags);
	buf_u32le(e->out, n->uid);
	buf_u32le(e->out, n->gid);
	buf_u64le(e->out, (uint64_t)n->mtime_s);
	buf_u32le(e->out, n->mtime_ns);
	buf_u32le(e->out, 0);
}

static void put_file(struct pxar_enc *e, const struct pxar_entry *n)
{
	if (n->has_segments && (e->flags & PXAR_ENC_EXT)) {
		item(e, PXAR_EXT_HOLES, 8 + 16 * n->nr_segments);
		buf_u64le(e->out, n->size);
		for (size_t i = 0; i < n->nr_segments; i++) {
			buf_u64le(e->out, n->segments[i].off);
			buf_u64le(e->out, n->segments[i].len);
		}
	}
	/* The payload's bytes are counted when they are sent: pxar_enc_payload(). */
	item(e, PXAR_PAYLOAD, n->payload_size);
	e->pos -= n->payload_size;
}

/* What ends the entry. */
static void put_content(struct pxar_enc *e, const struct pxar_entry *n)
{
	if (n->link_id && (e->flags & PXAR_ENC_EXT)) {
		item(e, PXAR_EXT_LINK, 8);
		buf_u64le(e->out, n->link_id);
	}
	switch (n->kind) {
	case PXAR_KIND_FILE:
		put_file(e, n);
		break;
	case PXAR_KIND_SYMLINK:
		item_string(e, PXAR_SYMLINK, n->target, n->target_len);
		break;
	case PXAR_KIND_DEVICE:
		item(e, PXAR_DEVICE, 16);
		buf_u64le(e->out, n->dev_major);
		buf_u64le(e->out, n->dev_minor);
		break;
	default:
		break;
	}
}

static int check_entry(const struct pxar_enc *e, const struct pxar_entry *n)
{
	if (!e->depth != !n->name_len || (!e->depth && (n->kind != PXAR_KIND_DIR || e->pos)))
		return -EINVAL;
	if (n->name_len > PXAR_NAME_MAX || n->target_len > PXAR_TARGET_MAX || e->depth >= PXAR_DEPTH_MAX)
		return -EINVAL;
	if (n->kind == PXAR_KIND_HARDLINK && n->link_pos >= e->pos)
		return -EINVAL;
	if (n->has_segments && (n->nr_segments > PXAR_SEGMENTS_MAX || !(e->flags & PXAR_ENC_EXT)))
		return -EINVAL;
	for (size_t i = 0; i < n->nr_xattrs; i++)
		if (n->xattrs[i].name_len > PXAR_XATTR_NAME_MAX || n->xattrs[i].value_len > PXAR_XATTR_VALUE_MAX)
			return -EINVAL;
	return 0;
}

static void put_hardlink(struct pxar_enc *e, const struct pxar_entry *n, uint64_t start)
{
	item(e, PXAR_HARDLINK, 8 + n->target_len + 1);
	buf_u64le(e->out, start - n->link_pos);
	buf_add(e->out, n->target, n->target_len);
	buf_u8(e->out, 0);
}

int pxar_enc_entry(struct pxar_enc *e, const struct pxar_entry *n)
{
	struct goodbye g = { 0 };
	struct level l = { 0 };
	int r;

	r = check_entry(e, n);
	if (r == 0)
		r = close_member(e);
	if (r < 0)
		return r;
	g.start = e->pos;
	if (n->name_len) {
		g.hash = pxar_hash(n->name, n->name_len);
		item_string(e, PXAR_FILENAME, n->name, n->name_len);
	}
	if (n->kind == PXAR_KIND_HARDLINK) {
		put_hardlink(e, n, g.start);
	} else {
		l = (struct level){ .entry_pos = e->pos, .name_pos = g.start, .name_hash = g.hash };
		put_entry_item(e, n);
		put_attrs(e, n);
		put_content(e, n);
	}
	if (n->kind == PXAR_KIND_DIR) {
		r = push_level(e, &l);
		if (r < 0)
			return r;
	} else {
		e->open_member = true;
		e->member = g;
	}
	return buf_ok(e->out);
}

void pxar_enc_payload(struct pxar_enc *e, uint64_t n)
{
	e->pos += n;
}

int pxar_enc_error(struct pxar_enc *e, const struct pxar_error *error)
{
	const char *name = err_name(error->code);
	int r;

	if (!(e->flags & PXAR_ENC_EXT))
		return 0;
	r = buf_ok(e->out);
	if (r < 0)
		return r;
	item(e, PXAR_EXT_ERROR, 8 + strlen(name) + 1 + strlen(error->text) + 1);
	buf_u64le(e->out, error->off);
	buf_add(e->out, name, strlen(name) + 1);
	buf_add(e->out, error->text, strlen(error->text) + 1);
	return buf_ok(e->out);
}

static int by_hash(const void *a, const void *b)
{
	const struct goodbye *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return x->start < y->start ? -1 : x->start > y->start;
}

/* One subtree of the table: @cnt sorted members from @base on go under tree node @node. */
struct subtree {
	size_t cnt, base, node;
	unsigned int order;
};

/*
 * Sorted members become a complete binary search tree in an array (children of i: 2i+1 and 2i+2). The pending right
 * subtrees are at most one a level of the tree.
 */
static void place(const struct goodbye *sorted, size_t nr, struct goodbye *out)
{
	struct subtree todo[130];
	size_t n = 0;

	if (!nr)
		return;
	todo[n++] = (struct subtree){ .cnt = nr, .order = 63u - (unsigned int)__builtin_clzll(nr) };
	while (n) {
		struct subtree t = todo[--n];
		size_t p = (size_t)1 << t.order, full = p + p / 2 - 1;
		size_t m = t.cnt > full ? p - 1 : p - 1 - (full - t.cnt);

		out[t.node] = sorted[t.base + m];
		if (m + 1 < t.cnt)
			todo[n++] = (struct subtree){ t.cnt - m - 1, t.base + m + 1, 2 * t.node + 2, t.order - 1 };
		if (m)
			todo[n++] = (struct subtree){ m, t.base, 2 * t.node + 1, t.order - 1 };
	}
}

static int put_goodbye(struct pxar_enc *e, struct level *l)
{
	CLEANUP_FREE struct goodbye *tree = NULL;
	uint64_t start = e->pos;

	if (l->nr) {
		tree = reallocarray(NULL, l->nr, sizeof(*tree));
		if (!tree)
			return -ENOMEM;
		qsort(l->members, l->nr, sizeof(*l->members), by_hash);
		place(l->members, l->nr, tree);
	}
	item(e, PXAR_GOODBYE, 24 * (l->nr + 1));
	for (size_t i = 0; i < l->nr; i++) {
		buf_u64le(e->out, tree[i].hash);
		buf_u64le(e->out, start - tree[i].start);
		buf_u64le(e->out, tree[i].size);
	}
	buf_u64le(e->out, PXAR_GOODBYE_TAIL_MARKER);
	buf_u64le(e->out, start - l->entry_pos);
	buf_u64le(e->out, PXAR_HEADER_SIZE + 24 * (l->nr + 1));
	return buf_ok(e->out);
}

int pxar_enc_dir_end(struct pxar_enc *e)
{
	struct goodbye g;
	struct level *l;
	int r;

	if (!e->depth)
		return -EINVAL;
	r = close_member(e);
	if (r < 0)
		return r;
	l = &e->levels[e->depth - 1];
	r = put_goodbye(e, l);
	if (r < 0)
		return r;
	g = (struct goodbye){ .hash = l->name_hash, .start = l->name_pos, .size = e->pos - l->name_pos };
	free(l->members);
	e->depth--;
	return e->depth ? add_member(&e->levels[e->depth - 1], &g) : 0;
}
