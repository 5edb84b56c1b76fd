/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/restore/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/grow.h"
#include "common/log.h"
#include "common/path.h"
#include "host/restore/meta.h"
#include "host/restore/shape.h"
#include "host/restore/sum.h"

#define READ_SIZE ((size_t)256 << 10)
#define PENDING_MAX ((size_t)64 << 20)	/* bytes of directories that are not made yet */

CLEANUP_DEFINE(struct pxar_dec *, pxar_dec_free)

/* What becomes of the file that came last. */
enum file_state {
	FILE_NONE,	/* nothing, or nothing any more */
	FILE_HELD,	/* it has no data: it may turn out to be unreadable */
	FILE_UNWANTED,	/* only its error would be told */
	FILE_OPEN,	/* begun */
};

/* A directory that is wanted only if something in it is. */
struct pending {
	struct pxar_entry *e;
	size_t size, path_len;	/* path_len: of the path outside of it */
};

/* One stream on its way into a target. */
struct stream {
	struct unpack u;
	struct restore_target *t;
	const struct target_ops *ops;
	size_t depth;			/* directories entered */
	size_t lost;			/* depth within a directory that is left out */
	bool unwanted;			/* that one is only excluded: there is nothing to tell */
	struct filter_pos pos;		/* beneath what was asked for */
	size_t top_len;			/* of the path: what was asked for, with its slash */
	struct pending *pending;	/* the innermost directories */
	size_t nr_pending, room_pending, pending_size;
	struct shape shape;
	struct sum sum;
	const struct pxar_entry *e;	/* the last entry, borrowed from the decoder or @shape */
	enum file_state file;
	uint64_t seen;			/* payload bytes that came; with holes: of the segment */
	size_t segment;
	bool replaces;			/* it takes the place of something */
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
	if (is_fatal(code)) {
		u->rep.r->target_failed = code != -ENOMEM && code != -EMFILE && code != -ENFILE;
		return err_set(err, code, "%s", what);
	}
	leave_out(u, e->name, code, what);
	return UNPACK_LEFT_OUT;
}

void unpack_meta_lost(struct unpack *u, const struct pxar_entry *e, int code, const char *what)
{
	u->rep.r->meta_failed++;
	report_note(&u->rep, e->name_len ? e->name : NULL, code, what);
}

#define WHAT_MAX (64 + 4 * sizeof(((struct pxar_error *)NULL)->text))

/* What happened, and why in the words of whoever made the stream, made safe. Return: @ret. */
static const char *reason(const char *what, const struct pxar_error *why, char ret[static WHAT_MAX])
{
	char quoted[4 * sizeof(why->text)];

	if (why && why->text[0])
		(void)snprintf(ret, WHAT_MAX, "%s (%s)", what, log_quote(why->text, strlen(why->text), quoted, sizeof(quoted)));
	else
		(void)snprintf(ret, WHAT_MAX, "%s", what);
	return ret;
}

void unpack_bad(struct unpack *u, const struct pxar_entry *e, int code, const char *what)
{
	char text[WHAT_MAX];

	report_note(&u->rep, e->name, code, reason(what, u->why, text));
}

static void tell_meta(struct stream *s, const struct pxar_entry *e)
{
	char text[WHAT_MAX];

	if (e->meta_error.code)
		unpack_meta_lost(&s->u, e, e->meta_error.code, reason("metadata not read whole", &e->meta_error, text));
}

bool unpack_has_links(const struct unpack *u, const struct pxar_entry *e)
{
	return !u->ext || e->link_id;
}

int unpack_may_take(struct unpack *u, int dirfd, const struct pxar_entry *e)
{
	const enum restore_overwrite over = u->o->overwrite;
	struct stat st;
	bool newer;

	if (fstatat(dirfd, e->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return UNPACK_MADE;
	newer = e->mtime_s > st.st_mtim.tv_sec || (e->mtime_s == st.st_mtim.tv_sec && e->mtime_ns > st.st_mtim.tv_nsec);
	if (S_ISDIR(st.st_mode))
		return unpack_left_out(u, e, -EISDIR, "a directory is in the way", NULL);
	if (over == RESTORE_OVERWRITE_ALWAYS || (over == RESTORE_OVERWRITE_IF_NEWER && newer))
		return UNPACK_REPLACED;
	return unpack_left_out(u, e, -EEXIST, over == RESTORE_OVERWRITE_NEVER ? "exists" : "exists and is not older", NULL);
}

static int push(struct stream *s, const struct pxar_entry *e, struct err *err)
{
	report_push(&s->u.rep, e->name);
	return buf_ok(&s->u.rep.path) < 0 ? err_set(err, buf_ok(&s->u.rep.path), "path") : 0;
}

static void tell_made(struct stream *s, const struct pxar_entry *e, bool replaced, const uint8_t *sha256)
{
	const struct restore_sink *sink = s->u.rep.sink;
	struct buf *path = &s->u.rep.path;
	const size_t len = path->len;

	if (!sink || !sink->made)
		return;
	buf_add(path, e->name, e->name_len);
	if (buf_ok(path) == 0)
		sink->made(sink->arg, (const char *)path->data, path->len, e, replaced, sha256);
	path->len = len;
}

/* Counts and tells. Return: 0; negative errno. */
static int done(struct stream *s, const struct pxar_entry *e, int r, uint64_t *counter, const uint8_t *sha256)
{
	if (r == UNPACK_MADE || r == UNPACK_REPLACED) {
		++*counter;
		tell_made(s, e, r == UNPACK_REPLACED, sha256);
	}
	return r < 0 ? r : 0;
}

/* How many directories are open when only the one asked for is. */
static size_t top_depth(const struct stream *s)
{
	return s->u.o->container ? 2 : 1;
}

/* An entry in a directory that is left out. */
static int lost_entry(struct stream *s, const struct pxar_entry *e, struct err *err)
{
	if (!s->unwanted)
		leave_out(&s->u, e->name, 0, "its directory is left out");
	if (e->kind != PXAR_KIND_DIR)
		return 0;
	s->lost++;
	return push(s, e, err);
}

static int enter_dir(struct stream *s, const struct pxar_entry *e, enum filter_verdict v, struct err *err)
{
	int r = s->ops->enter(s->t, &s->u, e, err);

	if (r < 0)
		return r;
	if (r != UNPACK_LEFT_OUT)
		tell_meta(s, e);
	(void)done(s, e, r, &s->u.rep.r->dirs, NULL);
	if (r == UNPACK_LEFT_OUT) {
		s->lost = 1;
		s->unwanted = false;
	} else {
		if (s->depth >= top_depth(s))
			filter_enter(&s->pos, v);
		s->depth++;
	}
	r = push(s, e, err);
	if (s->depth == top_depth(s) && !s->lost)
		s->top_len = s->u.rep.path.len;
	return r;
}

static int put_off(struct stream *s, const struct pxar_entry *e, struct err *err)
{
	struct pending p = { .path_len = s->u.rep.path.len };

	if (grow(&s->pending, &s->room_pending, s->nr_pending, sizeof(*s->pending)) < 0)
		return err_set(err, -ENOMEM, "directories");
	p.e = s->pending_size < PENDING_MAX ? meta_copy(e, &p.size) : NULL;
	if (!p.e)
		return err_set(err, -ENOMEM, "directories");
	s->pending_size += p.size;
	s->pending[s->nr_pending++] = p;
	filter_enter(&s->pos, FILTER_PASS);
	s->depth++;
	return push(s, e, err);
}

static void drop_pending(struct stream *s)
{
	struct pending *p = &s->pending[--s->nr_pending];

	s->pending_size -= p->size;
	free(p->e);
}

/* Something is wanted in the directories that were put off. One that cannot be made takes those in it along. */
static int make_pending(struct stream *s, struct err *err)
{
	struct buf *path = &s->u.rep.path;
	const size_t nr = s->nr_pending, len = path->len;
	int r = 0;

	for (size_t i = 0; r == 0 && i < nr; i++) {
		const struct pending *p = &s->pending[i];

		path->len = p->path_len;
		r = s->ops->enter(s->t, &s->u, p->e, err);
		if (r >= 0 && r != UNPACK_LEFT_OUT)
			tell_meta(s, p->e);
		(void)done(s, p->e, r, &s->u.rep.r->dirs, NULL);
		path->len = len;
		if (r == UNPACK_LEFT_OUT) {
			s->lost = nr - i;
			s->unwanted = false;
			for (size_t n = s->lost; n; n--)
				filter_leave(&s->pos);
			s->depth -= s->lost;
		}
		r = r == UNPACK_LEFT_OUT ? 1 : r < 0 ? r : 0;
	}
	while (s->nr_pending)
		drop_pending(s);
	return r < 0 ? r : 0;
}

static int begin_file(struct stream *s, struct err *err)
{
	int r = s->ops->begin(s->t, &s->u, s->e, err);

	s->file = r == UNPACK_MADE || r == UNPACK_REPLACED ? FILE_OPEN : FILE_NONE;
	s->replaces = r == UNPACK_REPLACED;
	s->segment = 0;
	s->seen = 0;
	sum_begin(&s->sum);
	return r;
}

static int new_file(struct stream *s, const struct pxar_entry *e, struct err *err)
{
	int r;

	if (e->payload_ref)
		return unpack_left_out(&s->u, e, -EOPNOTSUPP, "its data is in another stream", err);
	s->file = FILE_HELD;
	if (!e->payload_size)
		return 0;
	r = begin_file(s, err);
	return r < 0 ? r : 0;
}

static int make_link(struct stream *s, const struct pxar_entry *e, struct err *err)
{
	return done(s, e, s->ops->link(s->t, &s->u, e, err), &s->u.rep.r->files, NULL);
}

static int make_special(struct stream *s, const struct pxar_entry *e, struct err *err)
{
	int r = s->ops->special(s->t, &s->u, e, err);

	if (r >= 0 && r != UNPACK_LEFT_OUT)
		tell_meta(s, e);
	return done(s, e, r, &s->u.rep.r->others, NULL);
}

/* What is wanted of an entry; the directory that was asked for is no question. */
static enum filter_verdict look_at(struct stream *s, const struct pxar_entry *e)
{
	struct buf *path = &s->u.rep.path;
	const size_t len = path->len;
	const bool dir = e->kind == PXAR_KIND_DIR;
	enum filter_verdict v = FILTER_TAKE;

	if (!s->u.o->filter || (dir && s->depth < top_depth(s)))
		return v;
	buf_add(path, e->name, e->name_len);
	if (buf_ok(path) == 0)
		v = filter_look(s->u.o->filter, &s->pos, (const char *)path->data + s->top_len, path->len - s->top_len, dir);
	path->len = len;
	return v;
}

static int unwanted_entry(struct stream *s, const struct pxar_entry *e, struct err *err)
{
	s->file = e->kind == PXAR_KIND_FILE && !e->payload_size ? FILE_UNWANTED : FILE_NONE;
	if (e->kind != PXAR_KIND_DIR)
		return 0;
	s->lost = 1;
	s->unwanted = true;
	return push(s, e, err);
}

static int bad_name(struct stream *s, const struct pxar_entry *e, int code, struct err *err)
{
	leave_out(&s->u, e->name, code, "name cannot be used here");
	if (e->kind != PXAR_KIND_DIR)
		return 0;
	s->lost = 1;
	s->unwanted = false;
	return push(s, e, err);
}

/* An entry that is wanted. */
static int take_entry(struct stream *s, const struct pxar_entry *e, enum filter_verdict v, struct err *err)
{
	int r = s->nr_pending ? make_pending(s, err) : 0;

	if (r < 0)
		return r;
	if (s->lost)
		return lost_entry(s, e, err);
	switch (e->kind) {
	case PXAR_KIND_DIR:
		return enter_dir(s, e, v, err);
	case PXAR_KIND_FILE:
		return new_file(s, e, err);
	case PXAR_KIND_HARDLINK:
		return make_link(s, e, err);
	default:
		return make_special(s, e, err);
	}
}

static int on_entry(struct stream *s, const struct pxar_entry *from, struct err *err)
{
	const struct pxar_entry *e = shape_entry(&s->shape, s->u.o, from);
	enum filter_verdict v;
	int r;

	if (!e)
		return err_set(err, -ENOMEM, "attributes");
	s->e = e;
	s->file = FILE_NONE;
	if (s->lost)
		return lost_entry(s, e, err);
	if (!s->depth) {
		s->depth = 1;
		return s->ops->root(s->t, &s->u, e, err);
	}
	r = path_check_name(e->name, e->name_len);
	if (r < 0)
		return bad_name(s, e, r, err);
	v = look_at(s, e);
	if (v == FILTER_LEAVE)
		return unwanted_entry(s, e, err);
	return v == FILTER_PASS ? put_off(s, e, err) : take_entry(s, e, v, err);
}

/* Where the next bytes of the payload belong. Return: how many of @len, 0 if the segments are full. */
static size_t place(struct stream *s, size_t len, uint64_t *ret_off)
{
	const struct pxar_segment *seg;

	if (!s->e->has_segments) {
		*ret_off = s->seen;
		s->seen += len;
		return len;
	}
	if (s->segment >= s->e->nr_segments)
		return 0;
	seg = &s->e->segments[s->segment];
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
		if (r == UNPACK_MADE)
			r = sum_upto(&s->sum, off, s->u.o->abort, err);
		if (r == UNPACK_MADE)
			sum_add(&s->sum, p, n);
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

static int end_file(struct stream *s, struct err *err)
{
	const uint8_t *sha256 = NULL;
	int r = sum_end(&s->sum, s->e->size, s->u.o->abort, &sha256, err);

	if (r == 0)
		r = s->ops->end(s->t, &s->u, s->e, err);
	if (r >= 0 && r != UNPACK_LEFT_OUT)
		tell_meta(s, s->e);
	return done(s, s->e, r == UNPACK_MADE && s->replaces ? UNPACK_REPLACED : r, &s->u.rep.r->files,
		    sha256);
}

static int on_file_end(struct stream *s, const struct pxar_error *error, struct err *err)
{
	char text[WHAT_MAX];
	int r = 0;

	if (s->file == FILE_UNWANTED && !error->code)
		s->file = FILE_NONE;
	if (error->code && (s->file == FILE_HELD || s->file == FILE_UNWANTED)) {
		s->file = FILE_NONE;
		leave_out(&s->u, s->e->name, error->code, reason("not readable", error, text));
	}
	if (s->file == FILE_HELD)
		r = begin_file(s, err);
	if (r < 0 || s->file != FILE_OPEN)
		return r < 0 ? r : 0;
	if (error->code) {
		s->u.rep.r->incomplete++;
		s->u.why = error;
		r = s->ops->bad(s->t, &s->u, s->e, error->code, err);
		s->u.why = NULL;
	} else {
		r = end_file(s, err);
	}
	s->file = FILE_NONE;
	return r < 0 ? r : 0;
}

static int on_dir_end(struct stream *s, const struct pxar_error *error, struct err *err)
{
	char text[WHAT_MAX];

	if (error->code) {
		s->u.rep.r->incomplete++;
		report_note(&s->u.rep, NULL, error->code, reason("directory not read whole", error, text));
	}
	report_pop(&s->u.rep);
	if (s->lost) {
		s->lost--;
		return 0;
	}
	if (s->depth > top_depth(s))
		filter_leave(&s->pos);
	s->depth--;
	if (s->nr_pending) {
		drop_pending(s);
		return 0;
	}
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

static void stream_free(struct stream *s)
{
	while (s->nr_pending)
		drop_pending(s);
	free(s->pending);
	shape_free(&s->shape);
	sum_free(&s->sum);
	links_made_free(&s->u.links);
	buf_free(&s->u.rep.path);
}

int restore_stream(struct restore_target *t, const struct restore_options *o, unsigned int dec_flags,
		   restore_read_fn *read, void *arg, const struct restore_sink *sink, struct restore_report *ret,
		   struct err *err)
{
	struct stream s = { .u = { .o = o, .ext = dec_flags & PXAR_DEC_EXT, .rep = { .r = ret, .sink = sink } },
			    .t = t, .ops = t->ops };
	int r;

	r = sum_new(&s.sum, o->hash, err);
	if (r == 0)
		r = run(&s, dec_flags, read, arg, err);
	if (t->ops->over)
		t->ops->over(t);
	stream_free(&s);
	return r;
}

const char *restore_next_link(struct restore_target *t)
{
	return t->ops->next_link ? t->ops->next_link(t) : NULL;
}

/* A reader that sums up what it reads. */
struct summing {
	restore_read_fn *read;
	void *arg;
	struct sum sum;
};

static ssize_t read_and_sum(void *arg, void *p, size_t n, struct err *err)
{
	struct summing *s = arg;
	ssize_t got = s->read(s->arg, p, n, err);

	if (got > 0)
		sum_add(&s->sum, p, (size_t)got);
	return got;
}

int restore_link_data(struct restore_target *t, const struct restore_options *o, restore_read_fn *read, void *arg,
		      const struct restore_sink *sink, struct restore_report *ret, struct err *err)
{
	struct summing s = { .read = read, .arg = arg };
	struct pxar_entry e = { .kind = PXAR_KIND_FILE, .mode = S_IFREG };
	const uint8_t *sha256 = NULL;
	const char *name;
	size_t len;
	int r = sum_new(&s.sum, o->hash, err);

	if (r < 0)
		return r;
	sum_begin(&s.sum);
	r = t->ops->link_data(t, read_and_sum, &s, ret, err);
	if (r == 0)
		r = sum_end(&s.sum, 0, o->abort, &sha256, err);
	if (r == 0 && sink && sink->made) {
		name = t->ops->link_name(t, &len);
		e.size = s.sum.off;
		sink->made(sink->arg, name, len, &e, false, sha256);
	}
	sum_free(&s.sum);
	return r;
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
