/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/archive/diff_member.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

static int order_bytes(const void *a, size_t a_len, const void *b, size_t b_len)
{
	const size_t n = a_len < b_len ? a_len : b_len;
	const int d = n ? memcmp(a, b, n) : 0;

	return d ? d : (a_len > b_len) - (a_len < b_len);
}

static int by_xattr(const void *x, const void *y)
{
	const struct pxar_xattr *a = x, *b = y;
	const int d = order_bytes(a->name, a->name_len, b->name, b->name_len);

	return d ? d : order_bytes(a->value, a->value_len, b->value, b->value_len);
}

static int order_u64(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int by_acl(const void *x, const void *y)
{
	const struct pxar_acl_entry *a = x, *b = y;
	int d = order_u64(a->type, b->type);

	d = d ? d : order_u64(a->id, b->id);
	return d ? d : order_u64(a->perm, b->perm);
}

/* Do two arrays of @nr have the same elements, in whatever order? Return: 1; 0; -ENOMEM. */
static int same_set(const void *a, const void *b, size_t nr, size_t size, int (*order)(const void *, const void *))
{
	CLEANUP_FREE uint8_t *sorted = NULL;
	const uint8_t *p = a, *q = b;
	size_t i = 0;

	while (i < nr && !order(p + i * size, q + i * size))
		i++;
	if (i == nr)
		return 1;
	sorted = reallocarray(NULL, nr, 2 * size);
	if (!sorted)
		return -ENOMEM;
	memcpy(sorted, a, nr * size);
	memcpy(sorted + nr * size, b, nr * size);
	qsort(sorted, nr, size, order);
	qsort(sorted + nr * size, nr, size, order);
	for (i = 0; i < nr && !order(sorted + i * size, sorted + (nr + i) * size); i++)
		;
	return i == nr;
}

static bool same_acl_head(const struct pxar_entry *a, const struct pxar_entry *b)
{
	if (a->nr_acls != b->nr_acls || a->has_acl_group_obj != b->has_acl_group_obj ||
	    a->has_acl_default != b->has_acl_default)
		return false;
	if (a->has_acl_group_obj && a->acl_group_obj != b->acl_group_obj)
		return false;
	return !a->has_acl_default ||
	       (a->acl_default.user_obj == b->acl_default.user_obj && a->acl_default.group_obj == b->acl_default.group_obj &&
		a->acl_default.other == b->acl_default.other && a->acl_default.mask == b->acl_default.mask);
}

/* Extended attributes and ACLs. */
static int diff_sets(const struct pxar_entry *a, const struct pxar_entry *b)
{
	int what = 0, r = a->nr_xattrs == b->nr_xattrs;

	if (r)
		r = same_set(a->xattrs, b->xattrs, a->nr_xattrs, sizeof(*a->xattrs), by_xattr);
	if (r < 0)
		return r;
	what |= r ? 0 : (int)DIFF_XATTRS;
	r = same_acl_head(a, b);
	if (r)
		r = same_set(a->acls, b->acls, a->nr_acls, sizeof(*a->acls), by_acl);
	return r < 0 ? r : what | (r ? 0 : (int)DIFF_ACL);
}

static unsigned int diff_kind(const struct pxar_entry *a, const struct pxar_entry *b)
{
	switch (a->kind) {
	case PXAR_KIND_FILE:
		return a->size == b->size ? 0 : DIFF_SIZE | DIFF_CONTENTS;
	case PXAR_KIND_SYMLINK:
		return order_bytes(a->target, a->target_len, b->target, b->target_len) ? DIFF_TARGET : 0;
	case PXAR_KIND_DEVICE:
		return a->dev_major == b->dev_major && a->dev_minor == b->dev_minor ? 0 : DIFF_RDEV;
	default:
		return 0;
	}
}

int diff_metadata(const struct pxar_entry *a, const struct pxar_entry *b)
{
	unsigned int what = diff_kind(a, b);
	const int sets = diff_sets(a, b);

	if (sets < 0)
		return sets;
	if ((a->mode ^ b->mode) & 07777)
		what |= DIFF_MODE;
	if (a->uid != b->uid || a->gid != b->gid)
		what |= DIFF_OWNER;
	if (a->mtime_s != b->mtime_s || a->mtime_ns != b->mtime_ns)
		what |= DIFF_MTIME;
	if (a->flags != b->flags)
		what |= DIFF_FLAGS;
	if (!a->fcaps != !b->fcaps || order_bytes(a->fcaps, a->fcaps_len, b->fcaps, b->fcaps_len))
		what |= DIFF_CAPABILITIES;
	if (a->has_projid != b->has_projid || (a->has_projid && a->projid != b->projid))
		what |= DIFF_PROJECT;
	return (int)what | sets;
}

/* A file's bytes in the chunks of its stream. */
struct place {
	struct chunks *c;
	uint64_t begin, end;	/* of the file in the stream */
	uint64_t pos;		/* in the stream */
	size_t chunk;
	uint64_t into;		/* bytes of the chunk before pos */
};

static void look_up(struct place *p, uint64_t off)
{
	p->pos = p->begin + off;
	p->chunk = chunks_find(p->c, p->pos);
	p->into = p->pos - chunks_start(p->c, p->chunk);
}

static bool is_inside(const struct place *p)
{
	return chunks_start(p->c, p->chunk) >= p->begin && chunks_start(p->c, p->chunk + 1) <= p->end;
}

/* What do digests say of the chunks at two places? Return: 1 the same; 0 other contents; -1 nothing. */
static int by_digest(const struct place *a, const struct place *b, bool same_key)
{
	const uint8_t *d = chunks_digest(a->c, a->chunk), *e = chunks_digest(b->c, b->chunk);

	if (!d || !e || a->into != b->into || chunks_len(a->c, a->chunk) != chunks_len(b->c, b->chunk))
		return -1;
	if (!memcmp(d, e, CHUNKS_DIGEST_BYTES))
		return 1;
	return same_key && is_inside(a) && is_inside(b) ? 0 : -1;
}

static int read_sides(const struct diff_contents *c, struct access_member *const m[2], size_t n, uint64_t off,
		      struct err *err)
{
	static const char *const name[] = { "the old one", "the new one" };

	for (int s = 0; s < 2; s++) {
		int r = access_read(c->side[s].a, m[s], c->piece[s], n, off, err);

		if (r < 0)
			return err_ctx(err, r, "%s", name[s]);
	}
	c->totals->bytes_read += n;
	return memcmp(c->piece[0], c->piece[1], n) ? 0 : 1;
}

int diff_contents(const struct diff_contents *c, struct access_member *a, struct access_member *b, struct err *err)
{
	struct access_member *const m[2] = { a, b };
	const bool chunked = c->side[0].data && c->side[1].data;
	const uint64_t size = a->entry.size;
	struct place p[2];
	uint64_t off = 0;
	int r = 1;

	for (int s = 0; s < 2; s++) {
		r = access_check_data(c->side[s].a, m[s], err);
		if (r < 0)
			return r;
		p[s] = (struct place){ c->side[s].data, access_data_pos(c->side[s].a, m[s]), 0, 0, 0, 0 };
		p[s].end = p[s].begin + size;
	}
	for (r = 1; r > 0 && off < size;) {
		uint64_t n = size - off;
		int same = -1;

		if (chunked) {
			look_up(&p[0], off);
			look_up(&p[1], off);
			same = by_digest(&p[0], &p[1], c->o->same_key);
			if (chunks_len(p[0].c, p[0].chunk) - p[0].into < n)
				n = chunks_len(p[0].c, p[0].chunk) - p[0].into;
		}
		if (same < 0) {
			n = n < DIFF_PIECE ? n : DIFF_PIECE;
			r = read_sides(c, m, (size_t)n, off, err);
		} else {
			c->totals->bytes_proved += n;
			r = same;
		}
		off += n;
		if (c->sink->progress)
			c->sink->progress(c->sink->arg, c->totals);
	}
	return r;
}
