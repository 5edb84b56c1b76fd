/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "host/restore/links.h"
#include "host/restore/pax.h"
#include "host/restore/pump.h"

/* Attributes of files that no record holds. */
#define LOST_FLAGS (UINT64_C(0x3ff) << 16)
#define FLUSH_AT ((size_t)64 << 10)

struct restore_tar {
	int fd;			/* borrowed */
	bool broken;		/* it must not get an end */
	struct buf out;
};

/*
 * Segments of a sparse file in whole blocks, since GNU tar reads each from the begin of a block: what this adds are
 * zeros.
 */
struct sparse {
	struct pxar_segment *v;
	size_t nr, at;		/* at: the one that is being written, @seen bytes of it are out */
	uint64_t total, seen;
	size_t from;		/* index in the entry's segments, @from_seen bytes of it came */
	uint64_t from_seen;
};

/* One stream on its way into the archive. */
struct to_tar {
	struct restore_tar *tar;
	const struct restore_options *o;
	bool ext;
	struct report rep;
	struct links_made links;
	const struct pxar_entry *entry;	/* the file whose data comes; NULL */
	bool held;		/* @entry has no data and is not in the tar yet: it may turn out to be unreadable */
	uint64_t payload;	/* bytes of it in the tar */
	const char *last;
	struct sparse sparse;
};

int restore_tar_new(int fd, struct restore_tar **ret, struct err *err)
{
	struct restore_tar *t = calloc(1, sizeof(*t));

	if (!t)
		return err_set(err, -ENOMEM, "tar");
	t->fd = fd;
	*ret = t;
	return 0;
}

void restore_tar_free(struct restore_tar *t)
{
	if (!t)
		return;
	buf_free(&t->out);
	free(t);
}

static int flush(struct restore_tar *t, struct err *err)
{
	int r = buf_ok(&t->out);

	if (r == 0 && t->out.len)
		r = io_write_full(t->fd, t->out.data, t->out.len);
	buf_reset(&t->out);
	if (r < 0)
		t->broken = true;
	return r < 0 ? err_set(err, r, "write tar") : 0;
}

static int flush_some(struct restore_tar *t, struct err *err)
{
	return t->out.len >= FLUSH_AT || buf_ok(&t->out) < 0 ? flush(t, err) : 0;
}

static int put_member(struct to_tar *t, const struct pxar_entry *e, struct err *err)
{
	CLEANUP_BUF struct buf path = BUF_INIT;
	const bool root = !e->name_len;
	struct pax_member m = { .e = e, .link = e->target };

	buf_add(&path, t->rep.path.data, t->rep.path.len);
	buf_str(&path, root ? "." : e->name);
	if (e->kind == PXAR_KIND_DIR)
		buf_u8(&path, '/');
	m.path = buf_cstr(&path);
	if (!m.path)
		return err_set(err, -ENOMEM, "tar");
	pax_head(&t->tar->out, &m);
	if (e->flags & LOST_FLAGS || e->has_projid) {
		t->rep.r->meta_failed++;
		report_note(&t->rep, root ? NULL : e->name, -EOPNOTSUPP,
			    "tar holds neither file attributes (chattr) nor project ids");
	}
	return flush_some(t->tar, err);
}

static int left_out(struct to_tar *t, const struct pxar_entry *e, int code, const char *what)
{
	t->rep.r->left_out++;
	report_note(&t->rep, e->name, code, what);
	return 0;
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

static int put_sparse(struct to_tar *t, const struct pxar_entry *e, struct err *err)
{
	struct pxar_entry aligned = *e;

	if (sparse_plan(&t->sparse, e) < 0)
		return err_set(err, -ENOMEM, "tar");
	aligned.segments = t->sparse.v;
	aligned.nr_segments = t->sparse.nr;
	aligned.payload_size = t->sparse.total;
	return put_member(t, &aligned, err);
}

static int put_file_head(struct to_tar *t, const struct pxar_entry *e, struct err *err)
{
	return e->has_segments ? put_sparse(t, e, err) : put_member(t, e, err);
}

static int put_file(struct to_tar *t, const struct pxar_entry *e, struct err *err)
{
	if (e->payload_ref)
		return left_out(t, e, -EOPNOTSUPP, "its data is in another stream");
	t->entry = e;
	t->payload = 0;
	t->held = !e->payload_size;
	return t->held ? 0 : put_file_head(t, e, err);
}

/* A reader that cannot link makes a file of it: it gets the metadata of its target. */
static int put_hardlink(struct to_tar *t, const struct pxar_entry *e, struct err *err)
{
	struct pxar_entry link = *e;

	if (!links_made_noted(&t->links, &link))
		return left_out(t, e, -ENOENT, "target of the hard link is not in the archive");
	t->rep.r->files++;
	return put_member(t, &link, err);
}

static int put_dir(struct to_tar *t, const struct pxar_entry *e, struct err *err)
{
	int r = e->name_len || !t->o->skip_root ? put_member(t, e, err) : 0;

	t->rep.r->dirs += e->name_len > 0;
	if (e->name_len)
		report_push(&t->rep, e->name);
	return r < 0 ? r : buf_ok(&t->rep.path) < 0 ? err_set(err, buf_ok(&t->rep.path), "tar") : 0;
}

static int on_entry(struct to_tar *t, const struct pxar_entry *e, struct err *err)
{
	t->last = e->name;
	switch (e->kind) {
	case PXAR_KIND_DIR:
		return put_dir(t, e, err);
	case PXAR_KIND_FILE:
		return put_file(t, e, err);
	case PXAR_KIND_HARDLINK:
		return put_hardlink(t, e, err);
	case PXAR_KIND_SOCKET:
		return t->o->skip_special ? 0 : left_out(t, e, -EOPNOTSUPP, "tar has no sockets");
	default:
		t->rep.r->others++;
		return put_member(t, e, err);
	}
}

static int put_bytes(struct to_tar *t, const uint8_t *p, size_t len, struct err *err)
{
	int r = t->tar->out.len ? flush(t->tar, err) : 0;

	if (r < 0)
		return r;
	r = io_write_full(t->tar->fd, p, len);
	if (r < 0) {
		t->tar->broken = true;
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

/* Completes segments until the one that has the byte @off. */
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

static int sparse_data(struct to_tar *t, const uint8_t *p, size_t len, struct err *err)
{
	struct sparse *s = &t->sparse;
	int r = 0;

	while (r == 0 && len) {
		const struct pxar_segment *from = &t->entry->segments[s->from];
		size_t n = len;

		if (s->from >= t->entry->nr_segments)
			return err_set(err, -EBADMSG, "tar");
		if (n > from->len - s->from_seen)
			n = (size_t)(from->len - s->from_seen);
		r = sparse_seek(t, from->off + s->from_seen, err);
		if (r == 0)
			r = put_bytes(t, p, n, err);
		s->seen += n;
		s->from_seen += n;
		if (s->from_seen == from->len) {
			s->from++;
			s->from_seen = 0;
		}
		p += n;
		len -= n;
	}
	return r;
}

static int on_data(struct to_tar *t, const uint8_t *p, size_t len, struct err *err)
{
	if (!t->entry)
		return 0;
	t->rep.r->bytes += len;
	return t->entry->has_segments ? sparse_data(t, p, len, err) : put_bytes(t, p, len, err);
}

static int end_file(struct to_tar *t, const struct pxar_error *error, struct err *err)
{
	const struct pxar_entry *e = t->entry;
	int r = 0;

	if (!e)
		return 0;
	if (t->held && error->code) {
		t->entry = NULL;
		return left_out(t, e, error->code, "not readable");
	}
	if (t->held)
		r = put_file_head(t, e, err);
	if (r == 0 && e->has_segments)
		r = sparse_seek(t, UINT64_MAX, err);
	if (r < 0)
		return r;
	t->entry = NULL;
	pax_pad(&t->tar->out, t->payload);
	if (error->code) {
		t->rep.r->incomplete++;
		report_note(&t->rep, e->name, error->code, "not read whole; what is missing is zeros in the tar");
		return flush_some(t->tar, err);
	}
	t->rep.r->files++;
	if (!t->ext || e->link_id)
		r = links_made_note(&t->links, e);
	return r == -ENOMEM ? err_set(err, r, "table of hard links") : flush_some(t->tar, err);
}

static int on_event(void *arg, const struct pxar_event *ev, struct err *err)
{
	struct to_tar *t = arg;

	switch (ev->type) {
	case PXAR_EV_ENTRY:
		return on_entry(t, ev->entry, err);
	case PXAR_EV_DATA:
		return on_data(t, ev->data, ev->data_len, err);
	case PXAR_EV_FILE_END:
		return end_file(t, &ev->error, err);
	case PXAR_EV_DIR_END:
	case PXAR_EV_ITEM_ERROR:
		report_item_end(&t->rep, t->last, ev);
		break;
	case PXAR_EV_END:
		break;
	}
	return 0;
}

static void on_broken(void *arg, int code)
{
	struct to_tar *t = arg;

	t->tar->broken = true;
	if (!t->entry)
		return;
	t->rep.r->incomplete++;
	report_note(&t->rep, t->entry->name, code, "not read whole");
}

static void to_tar_free(struct to_tar *t)
{
	links_made_free(&t->links);
	free(t->sparse.v);
	buf_free(&t->rep.path);
}

int restore_to_tar(struct restore_tar *tar, const struct restore_options *o, unsigned int dec_flags,
		   restore_read_fn *read, void *arg, const struct restore_sink *sink, struct restore_report *ret, struct err *err)
{
	CLEANUP(to_tar_free) struct to_tar t = { .tar = tar, .o = o, .ext = dec_flags & PXAR_DEC_EXT,
						 .rep = { .r = ret, .sink = sink } };
	const struct pump p = { read, arg, dec_flags, o->abort, on_event, on_broken, &t };
	int r = pump_run(&p, err);

	return r < 0 ? r : flush(tar, err);
}

int restore_tar_finish(struct restore_tar *t, struct err *err)
{
	static const uint8_t end[2 * PAX_BLOCK];

	if (t->broken)
		return err_text(err, -EIO, "the tar is not complete");
	buf_add(&t->out, end, sizeof(end));
	return flush(t, err);
}
