/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/pxar/encode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/err.h"
#include "common/grow.h"
#include "common/pxar/format.h"
#include "common/pxar/siphash.h"

struct member {
	uint64_t hash;
	uint64_t pos;		/* of its FILENAME */
	uint64_t size;		/* to the end of the member, its own GOODBYE included */
};

struct level {
	size_t first;		/* of its members; the directory itself, if not the root, is the one before */
	uint64_t entry_pos;
	bool member_open;	/* the last member's size is not known yet */
};

/*
 * The members of all open directories lie in one vector: those of an inner directory on top of those of the outer one,
 * whose last member it is.
 */
struct pxar_enc {
	struct buf *out;
	unsigned int flags;
	uint64_t pos;		/* of the stream, the payload included */
	bool root_done;
	struct member *members;
	size_t nr_members, room_members;
	struct level *levels;
	size_t nr_levels, room_levels;
};

struct pxar_enc *pxar_enc_new(struct buf *out, unsigned int flags)
{
	struct pxar_enc *e = calloc(1, sizeof(*e));

	if (e) {
		e->out = out;
		e->flags = flags;
	}
	return e;
}

void pxar_enc_free(struct pxar_enc *e)
{
	if (!e)
		return;
	free(e->members);
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

static void end_member(struct pxar_enc *e)
{
	struct level *l = &e->levels[e->nr_levels - 1];
	struct member *m;

	if (l->member_open && !(e->flags & PXAR_ENC_NO_TABLES)) {
		m = &e->members[e->nr_members - 1];
		m->size = e->pos - m->pos;
	}
	l->member_open = false;
}

/* The member at @pos has begun. */
static void begin_member(struct pxar_enc *e, const struct pxar_entry *entry, uint64_t pos)
{
	if (!(e->flags & PXAR_ENC_NO_TABLES))
		e->members[e->nr_members++] = (struct member){ pxar_hash(entry->name, entry->name_len), pos, 0 };
	e->levels[e->nr_levels - 1].member_open = true;
}

int pxar_enc_entry(struct pxar_enc *e, const struct pxar_entry *entry)
{
	const uint64_t pos = e->pos;

	if (!good_entry(e, entry))
		return -EINVAL;
	if (grow(&e->members, &e->room_members, e->nr_members, sizeof(*e->members)) < 0 ||
	    grow(&e->levels, &e->room_levels, e->nr_levels, sizeof(*e->levels)) < 0)
		return -ENOMEM;
	if (e->nr_levels) {
		end_member(e);
		begin_member(e, entry, pos);
		put_text(e, PXAR_FILENAME, entry->name, entry->name_len);
	}
	if (entry->kind == PXAR_KIND_DIR)
		e->levels[e->nr_levels++] = (struct level){ e->nr_members, e->pos, false };
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
	if (e->nr_levels)
		end_member(e);
	return put_error(e, PXAR_EXT_DIR_ERROR, error);
}

static int by_hash(const void *x, const void *y)
{
	const struct member *a = x, *b = y;

	if (a->hash != b->hash)
		return a->hash < b->hash ? -1 : 1;
	return a->pos < b->pos ? -1 : a->pos > b->pos;
}

/*
 * The table is the left-complete binary search tree in an array (children of i: 2i + 1, 2i + 2). These two walk such a
 * tree of @n nodes in order, so that sorted members find their places one after the other.
 */
static size_t tree_first(size_t i, size_t n)
{
	while (2 * i + 1 < n)
		i = 2 * i + 1;
	return i;
}

static size_t tree_next(size_t i, size_t n)
{
	if (2 * i + 2 < n)
		return tree_first(2 * i + 2, n);
	while (i && !(i & 1))
		i = (i - 1) / 2;
	return i ? (i - 1) / 2 : 0;
}

static void put_le(uint8_t *p, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

static void put_goodbye(struct pxar_enc *e, struct member *v, size_t nr, uint64_t tail_off)
{
	const uint64_t start = e->pos;
	size_t at = tree_first(0, nr);
	uint8_t *p;

	if (nr)
		qsort(v, nr, sizeof(*v), by_hash);
	put_head(e, PXAR_GOODBYE, 24 * (nr + 1));
	p = buf_reserve(e->out, 24 * nr);
	if (!p)
		return;
	for (size_t i = 0; i < nr; i++, at = tree_next(at, nr)) {
		put_le(p + 24 * at, v[i].hash);
		put_le(p + 24 * at + 8, start - v[i].pos);
		put_le(p + 24 * at + 16, v[i].size);
	}
	e->out->len += 24 * nr;
	e->pos += 24 * nr;
	put_u64(e, PXAR_GOODBYE_TAIL_MARKER);
	put_u64(e, tail_off);
	put_u64(e, PXAR_HEADER_SIZE + 24 * (nr + 1));
}

int pxar_enc_dir_end(struct pxar_enc *e)
{
	struct level *l;

	if (!e->nr_levels)
		return -EINVAL;
	end_member(e);
	l = &e->levels[e->nr_levels - 1];
	put_goodbye(e, e->nr_members ? e->members + l->first : NULL, e->nr_members - l->first, e->pos - l->entry_pos);
	e->nr_members = l->first;
	if (!--e->nr_levels)
		e->root_done = true;
	else
		end_member(e);
	return buf_ok(e->out);
}
