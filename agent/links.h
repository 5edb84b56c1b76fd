/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_LINKS_H
#define AGENT_LINKS_H

/* Files with several names that an archive already holds, in bounded memory: a file that finds no room is sent in full again. */

#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

#define LINKS_MEMORY_MAX (8u << 20)

struct link_entry {
	uint64_t ino, pos;	/* inode; stream position of the first name's item */
	uint32_t major, minor;
	uint32_t path_off;	/* in the paths, NUL-terminated; 0: free */
};

struct links {
	struct link_entry *v;
	size_t nr, room;	/* room: a power of two */
	struct buf paths;
};

void links_free(struct links *l);

/** links_find() - Return: the first name's entry, or NULL. */
const struct link_entry *links_find(const struct links *l, uint32_t major, uint32_t minor, uint64_t ino);

/** links_path() - path of the first name. */
static inline const char *links_path(const struct links *l, const struct link_entry *e)
{
	return (const char *)l->paths.data + e->path_off;
}

/** links_add() - remember a first name, if there is room. */
void links_add(struct links *l, uint32_t major, uint32_t minor, uint64_t ino, uint64_t pos, const char *path);

#endif
