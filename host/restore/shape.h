/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_RESTORE_SHAPE_H
#define HOST_RESTORE_SHAPE_H

/* What the options change of an entry before it reaches a target: its owner, and which attributes it keeps. */

#include "common/pxar/entry.h"
#include "host/restore/restore.h"

struct shape {
	struct pxar_entry entry;
	struct pxar_xattr *xattrs;	/* those that stay */
	size_t room;
};

/** shape_entry() - Return: the entry as it is to be, until the next call; it borrows from @e. NULL without memory. */
const struct pxar_entry *shape_entry(struct shape *s, const struct restore_options *o, const struct pxar_entry *e);

void shape_free(struct shape *s);

#endif
