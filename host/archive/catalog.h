/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_ARCHIVE_CATALOG_H
#define HOST_ARCHIVE_CATALOG_H

/*
 * The catalog of a snapshot ("catalog.pcat1.didx"): magic, directory blocks with children before parents, position of the
 * root block (u64) as the last bytes. A block is varint(length of its table), varint(entries), entries. The entries of the
 * root block are the archives.
 *
 * Nothing is kept in memory but one entry. A child lies strictly before its parent, so there are no loops.
 */

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "host/source/source.h"

#define CATALOG_NAME "catalog.pcat1.didx"
#define CATALOG_NAME_MAX 4095

struct catalog {
	struct source *src;	/* borrowed */
	uint64_t root;		/* position of the root block */
};

struct catalog_entry {
	char type;		/* d f l h b c p s */
	const char *name;	/* borrowed until the callback returns; "" in what a careless writer could not read */
	size_t name_len;
	uint64_t size;		/* f */
	int64_t mtime;		/* f: seconds */
	uint64_t block;		/* d: position of its block */
};

/** Return: 0 to go on; anything else ends the listing with it. */
typedef int catalog_fn(void *arg, const struct catalog_entry *e);

/** catalog_open() - check both ends. Return: 0; -EBADMSG; what reading gives. */
int catalog_open(struct source *src, struct catalog *ret, struct err *err);

/**
 * catalog_list() - the entries of the block at @block, in its order
 * Return: 0; -EBADMSG; what the callback or reading gives.
 */
int catalog_list(const struct catalog *c, uint64_t block, catalog_fn *fn, void *arg, struct err *err);

/**
 * catalog_find() - look a path up
 * @path: ARCHIVE[/component...]; leading, double and trailing slashes and "." are ignored
 * @ret:  the entry, without its name; "" is a directory, the root block
 * Return: 0; -ENOENT; -ENOTDIR; -EBADMSG.
 */
int catalog_find(const struct catalog *c, const char *path, size_t len, struct catalog_entry *ret, struct err *err);

#endif
