/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/archive/damage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/grow.h"

/* A directory that is being walked; the last one is the innermost. */
struct level {
	struct access_dir dir;
	size_t next, path_len;
};

struct walk {
	struct access *a;
	const struct damage_range *bad;
	size_t nr_bad;
	damage_fn *fn;
	void *arg;
	struct access_member *m;
	struct buf path;
	struct level *level;
	size_t nr, room;
	struct err *err;	/* of what ends the walk */
};

static int tell(struct walk *w, const char *why)
{
	if (buf_ok(&w->path) < 0)
		return buf_ok(&w->path);
	return w->fn(w->arg, w->path.len ? (const char *)w->path.data : "", w->path.len, why);
}

/* Do @len bytes from @off on lie in a range, in part at least? */
static bool is_hit(const struct walk *w, uint64_t off, uint64_t len)
{
	size_t lo = 0, hi = w->nr_bad;

	while (lo < hi) {
		const size_t mid = lo + (hi - lo) / 2;

		if (w->bad[mid].off + w->bad[mid].len > off)
			hi = mid;
		else
			lo = mid + 1;
	}
	return len && lo < w->nr_bad && (w->bad[lo].off < off || w->bad[lo].off - off < len);
}

/* Enters the directory in w->m. One that cannot be read is told and left out. */
static int enter(struct walk *w)
{
	struct level v = { .path_len = w->path.len };
	struct err why = ERR_INIT;
	int r;

	if (grow(&w->level, &w->room, w->nr, sizeof(*w->level)) < 0)
		return -ENOMEM;
	r = access_dir_open(w->a, w->m, &v.dir, &why);
	if (access_is_fatal(r))
		return err_text(w->err, r, "%s", why.text);
	if (r < 0)
		return tell(w, why.text);
	w->level[w->nr++] = v;
	return v.dir.lost ? tell(w, v.dir.lost_why.text) : 0;
}

static int look(struct walk *w)
{
	const struct pxar_entry *e = &w->m->entry;
	const bool split = access_is_split(w->a);

	if (e->kind == PXAR_KIND_DIR)
		return enter(w);
	if (e->kind == PXAR_KIND_FILE &&
	    is_hit(w, split ? e->payload_off : w->m->body, split ? e->size + PXAR_HEADER_SIZE : e->size))
		return tell(w, "its data cannot be read whole");
	return 0;
}

static int next_member(struct walk *w)
{
	struct level *v = &w->level[w->nr - 1];
	struct err why = ERR_INIT;
	int r;

	w->path.len = v->path_len;
	if (v->next == v->dir.nr) {
		access_dir_close(&v->dir);
		w->nr--;
		return 0;
	}
	r = access_dir_member(w->a, &v->dir, v->next++, w->m, &why);
	if (access_is_fatal(r))
		return err_text(w->err, r, "%s", why.text);
	if (w->path.len)
		buf_u8(&w->path, '/');
	buf_str(&w->path, w->m->name[0] ? w->m->name : "?");
	if (r < 0) {
		r = tell(w, why.text);
		if (r < 0 || !w->m->partial)
			return r;
	}
	return look(w);
}

int damage_walk(struct access *a, const struct damage_range *bad, size_t nr_bad, damage_fn *fn, void *arg,
		struct err *err)
{
	struct err why = ERR_INIT, end = ERR_INIT;
	struct walk w = { .a = a, .bad = bad, .nr_bad = nr_bad, .fn = fn, .arg = arg, .m = access_member_new(), .err = &end };
	int r = w.m ? access_root(a, w.m, &why) : -ENOMEM;

	if (r == 0)
		r = enter(&w);
	else if (access_is_fatal(r))
		(void)err_text(&end, r, "%s", why.text);
	else
		r = tell(&w, why.text);
	while (r == 0 && w.nr)
		r = next_member(&w);
	while (w.nr)
		access_dir_close(&w.level[--w.nr].dir);
	free(w.level);
	buf_free(&w.path);
	access_member_free(w.m);
	if (end.code)
		return err_text(err, r, "%s", end.text);
	return r < 0 ? err_set(err, r, "walk archive") : 0;
}
