/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "host/restore/pax.h"
#include "host/restore/unpack.h"

/* Attributes of files that no record holds. */
#define LOST_FLAGS (UINT64_C(0x3ff) << 16)
#define FLUSH_AT ((size_t)64 << 10)

/*
 * Segments of a sparse file in whole blocks, since GNU tar reads each from the begin of a block: what this adds are
 * zeros.
 */
struct sparse {
	struct pxar_segment *v;
	size_t nr, at;		/* at: the one that is being written, @seen bytes of it are out */
	uint64_t total, seen;
};

struct to_tar {
	struct restore_target base;
	int fd;			/* borrowed */
	bool broken;		/* it must not get an end */
	struct buf out;
	uint64_t payload;	/* bytes of the member's data that are in the tar */
	struct sparse sparse;
};

static struct to_tar *self(struct restore_target *t)
{
	return (struct to_tar *)t;	/* base comes first */
}

static int flush(struct to_tar *t, struct err *err)
{
	int r = buf_ok(&t->out);

	if (r == 0 && t->out.len)
		r = io_write_full(t->fd, t->out.data, t->out.len);
	buf_reset(&t->out);
	if (r < 0)
		t->broken = true;
	return r < 0 ? err_set(err, r, "write tar") : 0;
}

static int flush_some(struct to_tar *t, struct err *err)
{
	return t->out.len >= FLUSH_AT || buf_ok(&t->out) < 0 ? flush(t, err) : 0;
}

static int put_member(struct to_tar *t, struct unpack *u, const struct pxar_entry *e, struct err *err)
{
	CLEANUP_BUF struct buf path = BUF_INIT;
	struct pax_member m = { .e = e, .link = e->target };

	buf_add(&path, u->rep.path.data, u->rep.path.len);
	buf_str(&path, e->name_len ? e->name : ".");
	if (e->kind == PXAR_KIND_DIR)
		buf_u8(&path, '/');
	m.path = buf_cstr(&path);
	if (!m.path)
		return err_set(err, -ENOMEM, "tar");
	pax_head(&t->out, &m);
	if ((e->flags & LOST_FLAGS || e->has_projid) && !u->o->skip_special)
		unpack_meta_lost(u, e, -EOPNOTSUPP, "tar holds neither file attributes (chattr) nor project ids");
	return flush_some(t, err);
}

static int sparse_plan(struct sparse *s, const struct pxar_entry *e)
{
	free(s->v);
	*s = (struct sparse){ .v = calloc(e->nr_segments + 1, sizeof(*s->v)) };
	if (!s->v)
		return -ENOMEM;
	for (size_t i = 0; i < e->nr_segments; i++) {
		const uint64_t off = e->segments[i].off / PAX_BLOCK * PAX_BLOCK;
		uint64_t end = e->segments[i].off + e->segments[i].len;
		struct pxar_segment *last = s->nr ? &s->v[s->nr - 1] : NULL;

		end = e->size - end < PAX_BLOCK ? e->size : (end + PAX_BLOCK - 1) / PAX_BLOCK * PAX_BLOCK;
		if (last && off <= last->off + last->len)
			last->len = end - last->off;
		else
			s->v[s->nr++] = (struct pxar_segment){ off, end - off };
	}
	for (size_t i = 0; i < s->nr; i++)
		s->total += s->v[i].len;
	return 0;
}

static int put_sparse(struct to_tar *t, struct unpack *u, const struct pxar_entry *e, struct err *err)
{
	struct pxar_entry aligned = *e;

	if (sparse_plan(&t->sparse, e) < 0)
		return err_set(err, -ENOMEM, "tar");
	aligned.segments = t->sparse.v;
	aligned.nr_segments = t->sparse.nr;
	aligned.payload_size = t->sparse.total;
	return put_member(t, u, &aligned, err);
}

static int begin_root(struct restore_target *base, struct unpack *u, const struct pxar_entry *e, struct err *err)
{
	return u->o->skip_root ? 0 : put_member(self(base), u, e, err);
}

static int put_dir(struct restore_target *base, struct unpack *u, const struct pxar_entry *e, struct err *err)
{
	return put_member(self(base), u, e, err);
}

static int begin_file(struct restore_target *base, struct unpack *u, const struct pxar_entry *e, struct err *err)
{
	struct to_tar *t = self(base);

	t->payload = 0;
	return e->has_segments ? put_sparse(t, u, e, err) : put_member(t, u, e, err);
}

static int put_bytes(struct to_tar *t, const uint8_t *p, size_t len, struct err *err)
{
	int r = t->out.len ? flush(t, err) : 0;

	if (r < 0)
		return r;
	r = io_write_full(t->fd, p, len);
	if (r < 0) {
		t->broken = true;
		return err_set(err, r, "write tar");
	}
	t->payload += len;
	return 0;
}

/* Zeros up to byte @upto of the segment that is being written. At most two blocks. */
static int sparse_fill(struct to_tar *t, uint64_t upto, struct err *err)
{
	static const uint8_t zeros[PAX_BLOCK];
	struct sparse *s = &t->sparse;
	int r = 0;

	while (r == 0 && s->seen < upto) {
		const uint64_t n = upto - s->seen;

		r = put_bytes(t, zeros, n < sizeof(zeros) ? (size_t)n : sizeof(zeros), err);
		s->seen += n < sizeof(zeros) ? n : sizeof(zeros);
	}
	return r;
}

/* Completes segments until the one that has the byte @off, and that one up to it. */
static int sparse_seek(struct to_tar *t, uint64_t off, struct err *err)
{
	struct sparse *s = &t->sparse;
	int r = 0;

	while (r == 0 && s->at < s->nr && off >= s->v[s->at].off + s->v[s->at].len) {
		r = sparse_fill(t, s->v[s->at].len, err);
		s->at++;
		s->seen = 0;
	}
	return r == 0 && s->at < s->nr ? sparse_fill(t, off - s->v[s->at].off, err) : r;
}

static int put_data(struct restore_target *base, struct unpack *u, const struct pxar_entry *e, uint64_t off,
		    const uint8_t *p, size_t len, struct err *err)
{
	struct to_tar *t = self(base);
	int r = e->has_segments ? sparse_seek(t, off, err) : 0;

	(void)u;
	if (r == 0)
		r = put_bytes(t, p, len, err);
	t->sparse.seen += len;
	return r;
}

static int end_member(struct to_tar *t, const struct pxar_entry *e, struct err *err)
{
	int r = e->has_segments ? sparse_seek(t, UINT64_MAX, err) : 0;

	if (r < 0)
		return r;
	pax_pad(&t->out, t->payload);
	return flush_some(t, err);
}

static int end_file(struct restore_target *base, struct unpack *u, const struct pxar_entry *e, struct err *err)
{
	const int r = unpack_has_links(u, e) ? links_made_note(&u->links, e) : 0;

	return r < 0 ? err_set(err, r, "table of hard links (temporary file)") : end_member(self(base), e, err);
}

static int bad_file(struct restore_target *base, struct unpack *u, const struct pxar_entry *e, int code,
		    struct err *err)
{
	struct to_tar *t = self(base);

	unpack_bad(u, e, code,
		   t->broken ? "not read whole" : "not read whole; what is missing is zeros in the tar");
	return t->broken ? 0 : end_member(t, e, err);
}

/* A reader that cannot link makes a file of it: it gets the metadata of its target. */
static int put_hardlink(struct restore_target *base, struct unpack *u, const struct pxar_entry *e, struct err *err)
{
	struct pxar_entry link = *e;
	int r = links_made_noted(&u->links, &link);

	if (r < 0)
		return unpack_left_out(u, e, r, links_made_why(r), err);
	return put_member(self(base), u, &link, err);
}

static int put_special(struct restore_target *base, struct unpack *u, const struct pxar_entry *e, struct err *err)
{
	if (tar_holds(e))
		return put_member(self(base), u, e, err);
	return u->o->skip_special ? UNPACK_SAME : unpack_left_out(u, e, -EOPNOTSUPP, TAR_HOLDS_NOT, err);
}

static void on_broken(struct restore_target *base)
{
	self(base)->broken = true;
}

static int finish(struct restore_target *base, struct err *err)
{
	static const uint8_t end[2 * PAX_BLOCK];
	struct to_tar *t = self(base);

	if (t->broken)
		return err_text(err, -EIO, "the tar is not complete");
	buf_add(&t->out, end, sizeof(end));
	return flush(t, err);
}

static void to_tar_free(struct restore_target *base)
{
	struct to_tar *t = self(base);

	free(t->sparse.v);
	buf_free(&t->out);
	free(t);
}

static const struct target_ops ops = {
	.root = begin_root,
	.enter = put_dir,
	.begin = begin_file,
	.data = put_data,
	.end = end_file,
	.bad = bad_file,
	.link = put_hardlink,
	.special = put_special,
	.broken = on_broken,
	.finish = finish,
	.free = to_tar_free,
};

int restore_tar_new(int fd, struct restore_target **ret, struct err *err)
{
	struct to_tar *t = calloc(1, sizeof(*t));

	if (!t)
		return err_set(err, -ENOMEM, "tar");
	*t = (struct to_tar){ .base = { &ops }, .fd = fd };
	*ret = &t->base;
	return 0;
}
