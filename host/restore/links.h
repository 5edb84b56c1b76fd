/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_RESTORE_LINKS_H
#define HOST_RESTORE_LINKS_H

/*
 * The files that this extraction made, by their position in the stream: only these can be targets of hard links. A
 * table of 32 bytes a file, LINKS_MAX files, most of it in the temporary file; of a stream with LINK items only files that have one are in it.
 */

#include <stddef.h>
#include <stdint.h>

#include "common/pxar/entry.h"
#include "common/spool.h"

struct links_made {
	struct spool files;
};

/** links_made_add() - positions ascend. Return: 0, also when the table is full and it was not added; as spool_add(). */
int links_made_add(struct links_made *l, uint64_t pos, int fd);

/** links_made_note() - the same without the file: for links within a tar. Return: as links_made_add(). */
int links_made_note(struct links_made *l, const struct pxar_entry *e);

/** links_made_noted() - the target's mode, owner and time into a hard link's entry. Return: 0; -ENOENT; as spool_read(). */
int links_made_noted(const struct links_made *l, struct pxar_entry *link);

/** links_made_why() - what links_made_noted() and links_made_open() mean by @r. */
const char *links_made_why(int r);

/**
 * links_made_open() - the directory of a hard link's target
 * @dirfd: what the target's path is relative to; no symlink is followed
 * @ret_name: last component, borrowed from @e
 * Return: descriptor; -ENOENT if the target was not made here; -ESTALE if something else is there; negative errno.
 */
int links_made_open(const struct links_made *l, int dirfd, const struct pxar_entry *e, const char **ret_name);

/** links_made_same() - is @name in @dirfd the file made for @e's target? */
bool links_made_same(const struct links_made *l, int dirfd, const char *name, const struct pxar_entry *e);

void links_made_free(struct links_made *l);

#endif
