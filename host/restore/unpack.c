/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/restore/unpack.h"

#include <errno.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/path.h"

#define READ_SIZE ((size_t)256 << 10)

CLEANUP_DEFINE(struct pxar_dec *, pxar_dec_free)

/* What becomes of the file that came last. */
enum file_state {
	FILE_NONE,	/* nothing, or nothing any more */
	FILE_HELD,	/* it has no data: it may turn out to be unreadable */
	FILE_OPEN,	/* begun */
};

/* One stream on its way into a target. */
struct stream {
	struct unpack u;
	struct restore_target *t;
	const struct target_ops *ops;
	size_t depth;			/* directories entered */
	size_t lost;			/* depth within a directory that is left out */
	const struct pxar_entry *e;	/* the last entry, borrowed from the decoder */
	enum file_state file;
	uint64_t seen;			/* payload bytes that came; with holes: of the segment */
	size_t segment;
};

static bool is_fatal(int code)
{
	return code == -ENOSPC || code == -EDQUOT || code == -EIO || code == -EROFS || code == -ENOMEM || code == -EMFILE ||
	       code == -ENFILE;
}

static void leave_out(struct unpack *u, const char *name, int code, const char *what)
{
	u->rep.r->left_out++;
	report_note(&u->rep, name, code, what);
}

int unpack_left_out(struct unpack *u, const struct pxar_entry *e, int code, const char *what, struct err *err)
{
	if (is_fatal(code))
		return err_set(err, code, "%s", what);
	leave_out(u, e->name, code, what);
	return UNPACK_LEFT_OUT;
}

void unpack_meta_lost(struct unpack *u, const struct pxar_entry *e, int code, const char *what)
{
	u->rep.r->meta_failed++;
	report_note(&u->rep, e->name_len ? e->name : NULL, code, what);
}

bool unpack_has_links(const struct unpack *u, const struct pxar_entry *e)
{
	return !u->ext || e->link_id;
}

/* An entry in a directory that is left out. */
static int lost_entry(struct stream *s, const struct pxar_entry *e, struct err *err)
{
	leave_out(&s->u, e->name, 0, "its directory is left out");
	if (e->kind != PXAR_KIND_DIR)
		return 0;
	s->lost++;
	report_push(&s->u.rep, e->name);
	return buf_ok(&s->u.rep.path) < 0 ? err_set(err, buf_ok(&s->u.rep.path), "path") : 0;
}

static int enter_dir(struct stream *s, const struct pxar_entry *e, struct err *err)
{
	int r = s->ops->enter(s->t, &s->u, e, err);

	if (r < 0)
		return r;
	if (r == UNPACK_LEFT_OUT)
		s->lost = 1;
	else
		s->depth++;
	s->u.rep.r->dirs += r == UNPACK_MADE;
	report_push(&s->u.rep, e->name);
	return buf_ok(&s->u.rep.path) < 0 ? err_set(err, buf_ok(&s->u.rep.path), "path") : 0;
}

static int begin_file(struct stream *s, struct err *err)
{
	int r = s->ops->begin(s->t, &s->u, s->e, err);

	s->file = r == UNPACK_MADE ? FILE_OPEN : FILE_NONE;
	s->segment = 0;
	s->seen = 0;
	return r;
}

static int new_file(struct stream *s, const struct pxar_entry *e, struct err *err)
{
	int r;

	if (e->payload_ref)
		return unpack_left_out(&s->u, e, -EOPNOTSUPP, "its data is in another stream", err);
	if (!e->payload_size) {
		s->file = FILE_HELD;
		return 0;
	}
	r = begin_file(s, err);
	return r < 0 ? r : 0;
}

static int make_link(struct stream *s, const struct pxar_entry *e, struct err *err)
{
	int r = s->ops->link(s->t, &s->u, e, err);

	s->u.rep.r->files += r == UNPACK_MADE;
	return r < 0 ? r : 0;
}

static int make_special(struct stream *s, const struct pxar_entry *e, struct err *err)
{
	int r = s->ops->special(s->t, &s->u, e, err);

	s->u.rep.r->others += r == UNPACK_MADE;
	return r < 0 ? r : 0;
}

static int on_entry(struct stream *s, const struct pxar_entry *e, struct err *err)
{
	int r;

	s->e = e;
	s->file = FILE_NONE;
	if (s->lost)
		return lost_entry(s, e, err);
	if (!s->depth) {
		s->depth = 1;
		return s->ops->root(s->t, &s->u, e, err);
	}
	r = path_check_name(e->name, e->name_len);
	if (r < 0) {
		leave_out(&s->u, e->name, r, "name cannot be used here");
		s->lost = e->kind == PXAR_KIND_DIR;
		if (s->lost)
			report_push(&s->u.rep, e->name);
		return 0;
	}
	switch (e->kind) {
	case PXAR_KIND_DIR:
		return enter_dir(s, e, err);
	case PXAR_KIND_FILE:
		return new_file(s, e, err);
	case PXAR_KIND_HARDLINK:
		return make_link(s, e, err);
	default:
		return make_special(s, e, err);
	}
}

/* Where the next bytes of the payload belong. Return: how many of @len, 0 if the segments are full. */
static size_t place(struct stream *s, size_t len, uint64_t *ret_off)
{
	const struct pxar_segment *seg = &s->e->segments[s->segment];

	if (!s->e->has_segments) {
		*ret_off = s->seen;
		s->seen += len;
		return len;
	}
	if (s->segment >= s->e->nr_segments)
		return 0;
	*ret_off = seg->off + s->seen;
	if (len > seg->len - s->seen)
		len = (size_t)(seg->len - s->seen);
	s->seen += len;
	if (s->seen == seg->len) {
		s->segment++;
		s->seen = 0;
	}
	return len;
}

static int on_data(struct stream *s, const uint8_t *p, size_t len, struct err *err)
{
	while (len && s->file == FILE_OPEN) {
		uint64_t off;
		size_t n = place(s, len, &off);
		int r;

		if (!n)
			return err_set(err, -EBADMSG, "file data");
		r = s->ops->data(s->t, &s->u, s->e, off, p, n, err);
		if (r < 0)
			return r;
		if (r == UNPACK_LEFT_OUT)
			s->file = FILE_NONE;
		else
			s->u.rep.r->bytes += n;
		p += n;
		len -= n;
	}
	return 0;
}

static int on_file_end(struct stream *s, const struct pxar_error *error, struct err *err)
{
	int r = 0;

	if (s->file == FILE_HELD && error->code) {
		s->file = FILE_NONE;
		leave_out(&s->u, s->e->name, error->code, "not readable");
	}
	if (s->file == FILE_HELD)
		r = begin_file(s, err);
	if (r < 0 || s->file != FILE_OPEN)
		return r < 0 ? r : 0;
	s->file = FILE_NONE;
	if (error->code) {
		s->u.rep.r->incomplete++;
		r = s->ops->bad(s->t, &s->u, s->e, error->code, err);
	} else {
		r = s->ops->end(s->t, &s->u, s->e, err);
		s->u.rep.r->files += r == UNPACK_MADE;
	}
	return r < 0 ? r : 0;
}

static int on_dir_end(struct stream *s, const struct pxar_error *error, struct err *err)
{
	if (error->code) {
		s->u.rep.r->incomplete++;
		report_note(&s->u.rep, NULL, error->code, "directory not read whole");
	}
	report_pop(&s->u.rep);
	if (s->lost) {
		s->lost--;
		return 0;
	}
	s->depth--;
	return s->ops->leave ? s->ops->leave(s->t, &s->u, err) : 0;
}

static int on_event(struct stream *s, const struct pxar_event *ev, struct err *err)
{
	switch (ev->type) {
	case PXAR_EV_ENTRY:
		return on_entry(s, ev->entry, err);
	case PXAR_EV_DATA:
		return on_data(s, ev->data, ev->data_len, err);
	case PXAR_EV_FILE_END:
		return on_file_end(s, &ev->error, err);
	case PXAR_EV_DIR_END:
		return on_dir_end(s, &ev->error, err);
	case PXAR_EV_ITEM_ERROR:
		unpack_meta_lost(&s->u, s->e, ev->error.code, "metadata not read whole");
		return 0;
	case PXAR_EV_END:
		return 1;
	}
	return 0;
}

/* Decodes to the end of the stream. */
static int run(struct stream *s, unsigned int dec_flags, restore_read_fn *read, void *arg, struct err *err)
{
	CLEANUP(pxar_dec_freep) struct pxar_dec *d = pxar_dec_new(dec_flags);
	CLEANUP_FREE uint8_t *bytes = malloc(READ_SIZE);
	struct pxar_event ev;
	int r = d && bytes ? 0 : err_set(err, -ENOMEM, "archive");

	while (r == 0) {
		ssize_t n;

		if (s->u.o->abort && *s->u.o->abort) {
			r = err_set(err, -EINTR, "extraction");
			break;
		}
		r = pxar_dec_next(d, &ev, err);
		if (r) {
			r = r < 0 ? r : on_event(s, &ev, err);
			continue;
		}
		n = read(arg, bytes, READ_SIZE, err);
		if (n > 0)
			pxar_dec_feed(d, bytes, (size_t)n);
		else if (n == 0)
			pxar_dec_eof(d);
		else
			r = (int)n;
	}
	if (r < 0 && s->ops->broken)
		s->ops->broken(s->t);
	if (r < 0 && s->file == FILE_OPEN) {	/* its entry is still the decoder's */
		s->u.rep.r->incomplete++;
		(void)s->ops->bad(s->t, &s->u, s->e, r, NULL);
	}
	return r < 0 ? r : 0;
}

int restore_stream(struct restore_target *t, const struct restore_options *o, unsigned int dec_flags,
		   restore_read_fn *read, void *arg, const struct restore_sink *sink, struct restore_report *ret,
		   struct err *err)
{
	struct stream s = { .u = { .o = o, .ext = dec_flags & PXAR_DEC_EXT, .rep = { .r = ret, .sink = sink } },
			    .t = t, .ops = t->ops };
	int r = run(&s, dec_flags, read, arg, err);

	if (t->ops->over)
		t->ops->over(t);
	links_made_free(&s.u.links);
	buf_free(&s.u.rep.path);
	return r;
}

const char *restore_next_link(struct restore_target *t)
{
	return t->ops->next_link ? t->ops->next_link(t) : NULL;
}

int restore_link_data(struct restore_target *t, restore_read_fn *read, void *arg, struct restore_report *ret,
		      struct err *err)
{
	return t->ops->link_data(t, read, arg, ret, err);
}

int restore_finish(struct restore_target *t, struct err *err)
{
	return t->ops->finish ? t->ops->finish(t, err) : 0;
}

void restore_free(struct restore_target *t)
{
	if (t)
		t->ops->free(t);
}
