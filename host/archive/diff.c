/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation. Of the two members whose turn it is, that with the lesser name comes first; of equal names both. One
 * that comes alone is looked up in the other directory. What the old one has is always told when its own turn comes, so what
 * the new one has alone is passed over if the old one has it, too. Each member of the old directory has its turn once, hence
 * each pair is told once, whatever the order.
 */
#include "host/archive/diff.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/grow.h"
#include "common/path.h"
#include "host/archive/diff_member.h"

#define OLD 0
#define NEW 1

/* A path that is in both archives as a directory, or in one of them as a whole; the last one is the innermost. */
struct level {
	struct access_dir dir[2];	/* empty: there is none */
	size_t next[2];
	bool unsure[2];			/* members may be missing here that are there in truth */
	size_t path_len;
};

/* A member as far as it could be read. */
struct head {
	struct access_member *m, *file;	/* file: what a hard link refers to */
	int code;			/* of reading it */
	struct err why;
	bool loaded;
};

struct walk {
	const struct diff_side *side;
	const struct diff_options *o;
	const struct diff_sink *sink;
	struct diff_totals *totals;
	struct diff_contents contents;
	struct head head[2], found;
	struct level *level;
	size_t nr, room;
	struct buf path;		/* of the member that is looked at */
	struct err *err;		/* of what ends the walk */
};

static const char *const which[] = { "the old archive", "the new archive" };

CLEANUP_DEFINE(struct access_member *, access_member_free)

static int emit(struct walk *w, struct diff_entry *e)
{
	struct diff_totals *t = w->totals;

	if (buf_ok(&w->path) < 0)
		return buf_ok(&w->path);
	e->path = w->path.len ? (const char *)w->path.data : "";
	e->path_len = w->path.len;
	t->added += e->op == DIFF_ADDED;
	t->removed += e->op == DIFF_REMOVED;
	t->changed += e->op == DIFF_CHANGED;
	t->unknown += e->code != 0;
	return w->sink->entry(w->sink->arg, e);
}

/* Tells of something at the current path that cannot be compared, for which the archive of side @s is to blame. */
static int tell_unknown(struct walk *w, int s, int code, const struct err *why)
{
	struct err text = ERR_INIT;
	struct diff_entry e = { .op = DIFF_UNKNOWN, .code = code, .why = text.text };

	if (access_is_fatal(code))
		return err_text(w->err, code, "%s: %s", which[s], why->text);
	(void)err_text(&text, code, "%s: %s", which[s], why->text);
	return emit(w, &e);
}

static const struct pxar_entry *entry_of(const struct head *h)
{
	return h->code == 0 || h->m->partial ? &h->m->entry : NULL;
}

/* Fills one side of an entry. Return: 0; why the file that a hard link refers to cannot be had. */
static int describe(struct walk *w, int s, struct head *h, struct diff_entry *e, struct err *why)
{
	const struct pxar_entry *own = entry_of(h), *stat = own;
	int r = h->code;

	if (r < 0)
		*why = h->why;
	if (own && own->kind == PXAR_KIND_HARDLINK) {
		r = access_follow(w->side[s].a, h->m, h->file, why);
		stat = r < 0 ? NULL : &h->file->entry;
	}
	*(s == OLD ? &e->from : &e->to) = own;
	*(s == OLD ? &e->from_stat : &e->to_stat) = stat;
	return r;
}

static int push(struct walk *w, struct level *v)
{
	if (grow(&w->level, &w->room, w->nr, sizeof(*w->level)) < 0)
		return -ENOMEM;
	w->level[w->nr++] = *v;
	w->head[OLD].loaded = w->head[NEW].loaded = false;
	return 0;
}

/* Opens one side of a directory. One that cannot be opened is told. Return: 0, and whether it is open; negative errno. */
static int open_side(struct walk *w, int s, const struct head *h, struct level *v, bool *ret_open)
{
	struct access_dir *d = &v->dir[s];
	struct err why = ERR_INIT;
	int r = access_dir_open(w->side[s].a, h->m, d, &why);

	*ret_open = r == 0;
	if (r < 0)
		return tell_unknown(w, s, r, &why);
	v->unsure[s] = d->lost || d->nr_unreadable;
	if (d->lost)
		return tell_unknown(w, s, d->lost, &d->lost_why);
	if (!d->nr_unreadable)
		return 0;
	(void)err_text(&why, -EIO, "%zu members are not in it: its writer could not read them", d->nr_unreadable);
	return tell_unknown(w, s, -EIO, &why);
}

/* Enters the directories of one side or both (NULL: not there) at the current path. */
static int enter(struct walk *w, const struct head *old, const struct head *new)
{
	struct level v = { .path_len = w->path.len };
	bool open = w->nr < PXAR_DEPTH_MAX;
	struct err why = ERR_INIT;
	int r = 0;

	if (!open) {
		(void)err_text(&why, -ELOOP, "directories too deep in each other");
		return tell_unknown(w, old ? OLD : NEW, -ELOOP, &why);
	}
	if (old)
		r = open_side(w, OLD, old, &v, &open);
	if (r == 0 && open && new)
		r = open_side(w, NEW, new, &v, &open);
	if (r == 0 && open)
		r = push(w, &v);
	if (r < 0 || !open) {
		access_dir_close(&v.dir[OLD]);
		access_dir_close(&v.dir[NEW]);
	}
	return r;
}

static bool is_dir(const struct head *h)
{
	const struct pxar_entry *e = entry_of(h);

	return e && e->kind == PXAR_KIND_DIR;
}

/* A member that only side @s has, with all beneath it. */
static int tell_alone(struct walk *w, int s, struct head *h)
{
	struct diff_entry e = { .op = s == OLD ? DIFF_REMOVED : DIFF_ADDED };
	struct err why = ERR_INIT;
	int r;

	e.code = describe(w, s, h, &e, &why);
	if (access_is_fatal(e.code))
		return err_text(w->err, e.code, "%s", why.text);
	e.why = e.code ? why.text : NULL;
	r = emit(w, &e);
	return r || !is_dir(h) ? r : enter(w, s == OLD ? h : NULL, s == NEW ? h : NULL);
}

static bool same_type(const struct pxar_entry *a, const struct pxar_entry *b)
{
	return a->kind == b->kind && (a->kind != PXAR_KIND_DEVICE || S_ISBLK(a->mode) == S_ISBLK(b->mode));
}

static bool same_link(const struct pxar_entry *a, const struct pxar_entry *b)
{
	if (a->kind != b->kind)
		return a->kind != PXAR_KIND_HARDLINK && b->kind != PXAR_KIND_HARDLINK;
	if (a->kind != PXAR_KIND_HARDLINK)
		return true;
	return a->target_len == b->target_len && !memcmp(a->target, b->target, a->target_len);
}

/* Contents of files that have the same size. */
static int compare_data(struct walk *w, struct head *old, struct head *new, struct diff_entry *e, struct err *why)
{
	const struct head *h[2] = { old, new };
	struct access_member *m[2];
	int r;

	if (w->o->no_contents) {
		w->totals->not_read++;
		return 0;
	}
	for (int s = 0; s < 2; s++)
		m[s] = h[s]->m->entry.kind == PXAR_KIND_HARDLINK ? h[s]->file : h[s]->m;
	r = diff_contents(&w->contents, m[OLD], m[NEW], why);
	if (r == 0)
		e->what |= DIFF_CONTENTS;
	return r < 0 ? r : 0;
}

/* Both can be read. */
static int compare(struct walk *w, struct head *old, struct head *new, struct diff_entry *e, struct err *why)
{
	int what;

	w->totals->compared++;
	if (!same_type(e->from_stat, e->to_stat)) {
		e->what = DIFF_TYPE;
		return 0;
	}
	what = diff_metadata(e->from_stat, e->to_stat);
	if (what < 0)
		return what;
	e->what = (unsigned int)what | (same_link(e->from, e->to) ? 0 : DIFF_LINK);
	return e->from_stat->kind == PXAR_KIND_FILE && !(what & DIFF_SIZE) ? compare_data(w, old, new, e, why) : 0;
}

/* A member that both sides have. */
static int tell_pair(struct walk *w, struct head *old, struct head *new)
{
	struct diff_entry e = { .op = DIFF_CHANGED };
	struct err why = ERR_INIT, text = ERR_INIT;
	int r, s = OLD;

	r = describe(w, OLD, old, &e, &why);
	if (r == 0) {
		s = NEW;
		r = describe(w, NEW, new, &e, &why);
	}
	if (r < 0) {
		r = tell_unknown(w, s, r, &why);
		return r == 0 && is_dir(old) && is_dir(new) ? enter(w, old, new) : r;
	}
	e.code = compare(w, old, new, &e, &why);
	if (access_is_fatal(e.code))
		return err_text(w->err, e.code, "%s", why.text);
	if (e.code) {
		(void)err_text(&text, e.code, "contents cannot be compared: %s", why.text);
		e.why = text.text;
		e.op = e.what ? DIFF_CHANGED : DIFF_UNKNOWN;
	}
	r = e.what || e.code ? emit(w, &e) : 0;
	if (r == 0 && (is_dir(old) || is_dir(new)))
		r = enter(w, is_dir(old) ? old : NULL, is_dir(new) ? new : NULL);
	return r;
}

/* The member at @h has no other one of its name at hand. */
static int tell_single(struct walk *w, struct level *v, int s, struct head *h)
{
	struct err why = ERR_INIT;
	int r;

	if (!h->m->name[0])
		return tell_unknown(w, s, h->code, &h->why);
	r = -ENOENT;
	if (!v->dir[!s].lost)
		r = access_dir_find(w->side[!s].a, &v->dir[!s], h->m->name, h->m->entry.name_len, w->found.m, &why);
	w->found.code = r;
	w->found.why = why;
	if (r == 0)
		return s == OLD ? tell_pair(w, h, &w->found) : 0;
	if (r == -ENOENT && !v->unsure[!s])
		return tell_alone(w, s, h);
	if (r == -ENOENT)
		(void)err_text(&why, -EIO, "whether it has this cannot be told");
	return tell_unknown(w, !s, r == -ENOENT ? -EIO : r, &why);
}

static bool load(struct walk *w, struct level *v, int s)
{
	struct head *h = &w->head[s];

	if (v->next[s] == v->dir[s].nr)
		return false;
	if (!h->loaded) {
		h->code = access_dir_member(w->side[s].a, &v->dir[s], v->next[s], h->m, &h->why);
		h->loaded = true;
	}
	return true;
}

/* Return: below 0 the old one, above the new one, 0 both. One without a name has no partner. */
static int order(const struct walk *w)
{
	const struct access_member *a = w->head[OLD].m, *b = w->head[NEW].m;

	if (!a->name[0] || !b->name[0])
		return a->name[0] ? 1 : -1;
	return strcmp(a->name, b->name);
}

static void take(struct walk *w, struct level *v, int s)
{
	v->next[s]++;
	w->head[s].loaded = false;
}

static void leave(struct walk *w)
{
	struct level *v = &w->level[--w->nr];

	access_dir_close(&v->dir[OLD]);
	access_dir_close(&v->dir[NEW]);
	w->head[OLD].loaded = w->head[NEW].loaded = false;
}

static int step(struct walk *w)
{
	struct level *v = &w->level[w->nr - 1];
	const bool old = load(w, v, OLD), new = load(w, v, NEW);
	const int d = old && new ? order(w) : old ? -1 : 1;
	const struct access_member *m = w->head[d <= 0 ? OLD : NEW].m;

	if (w->sink->progress)
		w->sink->progress(w->sink->arg, w->totals);
	w->path.len = v->path_len;
	if (!old && !new) {
		leave(w);
		return 0;
	}
	if (w->path.len)
		buf_u8(&w->path, '/');
	buf_str(&w->path, m->name[0] ? m->name : "?");
	if (buf_ok(&w->path) < 0)
		return buf_ok(&w->path);
	if (d <= 0)
		take(w, v, OLD);
	if (d >= 0)
		take(w, v, NEW);
	if (!d)
		return tell_pair(w, &w->head[OLD], &w->head[NEW]);
	return tell_single(w, v, d < 0 ? OLD : NEW, &w->head[d < 0 ? OLD : NEW]);
}

/* Looks the path up on both sides. Return: 0, also if one has none; negative errno. */
static int begin(struct walk *w, const char *path, size_t len, struct err *err)
{
	struct head *h = w->head;
	const char *p = path, *name;
	size_t left = len, n;
	int r;

	while (path_next(&p, &left, &name, &n)) {
		if (n == 1 && *name == '.')
			continue;
		if (w->path.len)
			buf_u8(&w->path, '/');
		buf_add(&w->path, name, n);
	}
	for (int s = 0; s < 2; s++) {
		h[s].code = access_find(w->side[s].a, path, len, h[s].m, &h[s].why);
		if (h[s].code == -EINVAL || access_is_fatal(h[s].code))
			return err_text(err, h[s].code, "%s", h[s].why.text);
	}
	for (int s = 0; s < 2; s++) {
		const int other = h[!s].code;

		if (h[s].code != -ENOENT && h[s].code != -ENOTDIR)
			continue;
		if (other == -ENOENT || other == -ENOTDIR)
			return err_text(err, h[s].code, "%s", h[s].why.text);
		r = other < 0 && !h[!s].m->partial ? tell_unknown(w, !s, other, &h[!s].why) : tell_alone(w, !s, &h[!s]);
		return r < 0 ? err_set(err, r, "compare") : r;
	}
	return tell_pair(w, &h[OLD], &h[NEW]);
}

static int make_room(struct walk *w)
{
	struct head *all[] = { &w->head[OLD], &w->head[NEW], &w->found };

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		all[i]->m = access_member_new();
		all[i]->file = access_member_new();
		if (!all[i]->m || !all[i]->file)
			return -ENOMEM;
	}
	for (int s = 0; s < 2; s++) {
		w->contents.piece[s] = malloc(DIFF_PIECE);
		if (!w->contents.piece[s])
			return -ENOMEM;
	}
	return 0;
}

static void walk_free(struct walk *w)
{
	struct head *all[] = { &w->head[OLD], &w->head[NEW], &w->found };

	while (w->nr)
		leave(w);
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		access_member_free(all[i]->m);
		access_member_free(all[i]->file);
	}
	free(w->contents.piece[OLD]);
	free(w->contents.piece[NEW]);
	free(w->level);
	buf_free(&w->path);
}

int diff_walk(const struct diff_side side[static 2], const char *path, size_t len, const struct diff_options *o,
	      const struct diff_sink *sink, struct diff_totals *ret, struct err *err)
{
	CLEANUP(walk_free) struct walk w = { .side = side, .o = o, .sink = sink, .totals = ret, .err = err };
	int r = make_room(&w);

	*ret = (struct diff_totals){ 0 };
	w.contents = (struct diff_contents){ side, o, sink, ret, { w.contents.piece[OLD], w.contents.piece[NEW] } };
	if (r < 0)
		return err_set(err, r, "compare");
	r = begin(&w, path, len, err);
	while (r == 0 && w.nr)
		r = step(&w);
	return r < 0 && (!err || !err->code) ? err_set(err, r, "compare") : r;
}
