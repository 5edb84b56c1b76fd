/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/archive/scan.h"

#include <errno.h>

#include "common/pxar/dec_items.h"
#include "common/pxar/format.h"
#include "host/archive/ref.h"

struct scan {
	struct items *s;
	struct records *refs;
	struct access_dir dir;
	struct ref last;	/* the member that was met last */
	int failed;		/* not for what is read: that only ends the scan */
	uint64_t depth;		/* directories entered below the one that is scanned */
	bool over;
};

/* The last member ends at @pos. */
static int end_member(struct scan *sc, uint64_t pos)
{
	sc->last.size = pos - sc->last.pos;
	if (sc->dir.nr)
		sc->failed = records_add(sc->refs, &sc->last);
	return sc->failed;
}

/* A member begins at @pos, and the one before ends there. */
static int begin_member(struct scan *sc, uint64_t pos)
{
	int r = end_member(sc, pos);

	sc->last.pos = pos;
	sc->dir.nr += r == 0;
	return r;
}

/* Return: 0; negative errno ends the scan. */
static int take_item(struct scan *sc, const struct item *it)
{
	struct pxar_entry e;
	struct cur c;
	int r = 0;

	switch (it->type) {
	case PXAR_FILENAME:
		if (sc->depth)
			return 0;
		return sc->dir.nr < ACCESS_MEMBERS_MAX ? begin_member(sc, it->pos) : -EBADMSG;
	case PXAR_ENTRY:
	case PXAR_ENTRY_V1:
		r = items_content(sc->s, it, &c, NULL);
		if (r == 0)
			r = it->type == PXAR_ENTRY ? dec_item_entry(c, &e) : dec_item_entry_v1(c, &e);
		if (r == 0 && pxar_kind_of_mode(e.mode) == PXAR_KIND_DIR)
			sc->depth++;
		return r == 0 && sc->dir.nr ? 0 : -EBADMSG;
	case PXAR_GOODBYE:
		sc->over = !sc->depth;
		sc->depth -= !sc->over;
		return 0;
	}
	return sc->dir.nr ? 0 : -EBADMSG;
}

int scan_members(struct items *s, uint64_t first, uint64_t limit, uint64_t *items, struct records *refs,
		 struct access_dir *ret)
{
	struct scan sc = { .s = s, .refs = refs };
	uint64_t pos = first;
	struct item it;
	int r = 0;

	while (r == 0 && !sc.over && (*items)++ < SCAN_ITEMS_MAX) {
		r = items_head(s, pos, limit, &it, NULL);
		if (r == 0)
			r = take_item(&sc, &it);
		if (r == 0 && !sc.over)
			pos = item_end(&it);
	}
	sc.dir.cut = !sc.over;
	sc.dir.goodbye = sc.over ? pos : limit;
	if (r != -ENOMEM && !sc.failed)
		r = end_member(&sc, sc.dir.goodbye);
	*ret = sc.dir;
	return r == -ENOMEM ? r : sc.failed;
}
