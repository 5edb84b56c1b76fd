/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/archive/scan.h"

#include <errno.h>
#include <stdlib.h>

#include "common/pxar/dec_items.h"
#include "common/pxar/format.h"

struct scan {
	struct items *s;
	struct access_dir dir;
	size_t room;
	uint64_t depth;		/* directories entered below the one that is scanned */
	bool over;
};

/* A member begins at @pos, and the one before ends there. */
static int begin_member(struct scan *sc, uint64_t pos)
{
	if (sc->dir.nr)
		sc->dir.ref[sc->dir.nr - 1].size = pos - sc->dir.ref[sc->dir.nr - 1].pos;
	if (sc->dir.nr == sc->room) {
		size_t room = sc->room ? 2 * sc->room : 64;
		struct access_ref *v = reallocarray(sc->dir.ref, room, sizeof(*v));

		if (!v)
			return -ENOMEM;
		sc->dir.ref = v;
		sc->room = room;
	}
	sc->dir.ref[sc->dir.nr++] = (struct access_ref){ .pos = pos };
	return 0;
}

/* Return: 0; -EBADMSG ends the scan; -ENOMEM. */
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

int scan_members(struct items *s, uint64_t first, uint64_t limit, uint64_t *items, struct access_dir *ret)
{
	struct scan sc = { .s = s };
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
	if (r == -ENOMEM) {
		access_dir_close(&sc.dir);
		return r;
	}
	sc.dir.cut = !sc.over;
	sc.dir.goodbye = sc.over ? pos : limit;
	if (sc.dir.nr)
		sc.dir.ref[sc.dir.nr - 1].size = sc.dir.goodbye - sc.dir.ref[sc.dir.nr - 1].pos;
	*ret = sc.dir;
	return 0;
}
