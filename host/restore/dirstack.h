/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_RESTORE_DIRSTACK_H
#define HOST_RESTORE_DIRSTACK_H

/*
 * The open directories from the target down. Only the innermost DIRS_OPEN_MAX keep their descriptor; an outer one is
 * opened again through ".." of the one that is left, and must be the directory it was.
 */

#include <sys/types.h>

#include "common/err.h"
#include "common/pxar/entry.h"

#define DIRS_OPEN_MAX 64
#define DIRS_META_MAX ((size_t)64 << 20)	/* metadata kept for all of them */

struct dir_level {
	int fd;			/* -1: closed for now, or the outer one was lost */
	dev_t dev;
	ino_t ino;
	struct pxar_entry *meta;	/* applied when it is left; NULL: nothing */
	size_t meta_size;
};

struct dirs {
	struct dir_level *v;
	size_t nr, room, meta_size;
};

/** dirs_push() - enter; takes @fd also on failure. Return: 0; negative errno. */
int dirs_push(struct dirs *d, int fd, const struct pxar_entry *meta, bool *ret_meta_lost);

/** dirs_fd() - the innermost directory, borrowed; -1 if it is lost. */
int dirs_fd(const struct dirs *d);

/** dirs_top() - the innermost level. */
struct dir_level *dirs_top(struct dirs *d);

/** dirs_pop() - leave; opens the outer one again if need be. Return: 0; -ESTALE if it is lost. */
int dirs_pop(struct dirs *d);

void dirs_free(struct dirs *d);

#endif
