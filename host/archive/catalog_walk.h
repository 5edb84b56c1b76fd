/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_ARCHIVE_CATALOG_WALK_H
#define HOST_ARCHIVE_CATALOG_WALK_H

/* A directory of a catalog with what lies beneath it, in memory that grows with the depth alone. */

#include <stdbool.h>

#include "host/archive/catalog.h"

/**
 * catalog_walk_fn - an entry
 * @path: beneath the directory that is walked; of one without a name, which its writer could not read, that of its directory
 * Return: 0 to go on; anything else ends the walk with it.
 */
typedef int catalog_walk_fn(void *arg, const char *path, size_t path_len, const struct catalog_entry *e);

/**
 * catalog_walk() - each directory before its entries, entries in the order of their block
 * @block: of the directory, which is not told of
 * Return: 0; -EBADMSG, also when it is deeper than an archive can be, or has more entries than bytes because
 * directories share what lies beneath them; -ENOMEM; what the callback or reading gives.
 */
int catalog_walk(const struct catalog *c, uint64_t block, bool recursive, catalog_walk_fn *fn, void *arg,
		 struct err *err);

#endif
