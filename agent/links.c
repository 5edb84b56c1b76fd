/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/links.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 256

void links_free(struct links *l)
{
	free(l->v);
	buf_free(&l->paths);
	*l = (struct links){ 0 };
}

static uint64_t mix(uint32_t major, uint32_t minor, uint64_t ino)
{
	uint64_t h = ino ^ ((uint64_t)major << 32 | minor) * UINT64_C(0x9e3779b97f4a7c15);

	h *= UINT64_C(0xbf58476d1ce4e5b9);
	return h ^ h >> 29;
}

/* The entry of this key, or the free one where it belongs. */
static struct link_entry *slot(struct link_entry *v, size_t room, uint32_t major, uint32_t minor, uint64_t ino)
{
	size_t i = (size_t)mix(major, minor, ino) & (room - 1);

	while (v[i].path_off && (v[i].ino != ino || v[i].major != major || v[i].minor != minor))
		i = (i + 1) & (room - 1);
	return &v[i];
}

const struct link_entry *links_find(const struct links *l, uint32_t major, uint32_t minor, uint64_t ino)
{
	const struct link_entry *e = l->nr ? slot(l->v, l->room, major, minor, ino) : NULL;

	return e && e->path_off ? e : NULL;
}

static int grow(struct links *l)
{
	size_t room = l->room ? 2 * l->room : FIRST_ROOM;
	struct link_entry *v;

	if (room * sizeof(*v) > LINKS_MEMORY_MAX / 2)
		return -E2BIG;
	v = calloc(room, sizeof(*v));
	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < l->room; i++)
		if (l->v[i].path_off)
			*slot(v, room, l->v[i].major, l->v[i].minor, l->v[i].ino) = l->v[i];
	free(l->v);
	l->v = v;
	l->room = room;
	return 0;
}

void links_add(struct links *l, uint32_t major, uint32_t minor, uint64_t ino, uint64_t pos, const char *path)
{
	size_t off;

	if (4 * (l->nr + 1) > 3 * l->room && grow(l) < 0)
		return;
	if (!l->paths.len) {
		l->paths.limit = LINKS_MEMORY_MAX / 2;
		buf_u8(&l->paths, 0);
	}
	off = l->paths.len;
	if (strlen(path) + 1 > l->paths.limit - off)
		return;
	buf_add(&l->paths, path, strlen(path) + 1);
	if (buf_ok(&l->paths) < 0)
		return;
	*slot(l->v, l->room, major, minor, ino) =
		(struct link_entry){ .ino = ino, .pos = pos, .major = major, .minor = minor, .path_off = (uint32_t)off };
	l->nr++;
}
