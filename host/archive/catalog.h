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

#include "common/cur.h"
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

/* A place in a block: what it takes to read on there. */
struct catalog_place {
	uint64_t block;		/* where it begins */
	uint64_t pos, end;	/* of its table, not read yet */
	uint64_t left;		/* entries */
};

/* A block that is being read. */
struct catalog_dir {
	struct source *src;
	struct catalog_place to;	/* behind the bytes that are here */
	uint8_t bytes[8192];
	struct cur have;
	char name[CATALOG_NAME_MAX + 1];
};

/** Return: 0 to go on; anything else ends the listing with it. */
typedef int catalog_fn(void *arg, const struct catalog_entry *e);

/** catalog_open() - check both ends. Return: 0; -EBADMSG; what reading gives. */
int catalog_open(struct source *src, struct catalog *ret, struct err *err);

/** catalog_dir_open() - begin with the block at @block. Return: 0; -EBADMSG; what reading gives. */
int catalog_dir_open(const struct catalog *c, uint64_t block, struct catalog_dir *ret, struct err *err);

/** catalog_dir_next() - @ret: its name is valid until the next call. Return: 1; 0 at the end; -EBADMSG; what reading gives. */
int catalog_dir_next(struct catalog_dir *d, struct catalog_entry *ret, struct err *err);

/** catalog_dir_place() - where it goes on. */
struct catalog_place catalog_dir_place(const struct catalog_dir *d);

/** catalog_dir_resume() - go on at a place that catalog_dir_place() gave. */
void catalog_dir_resume(const struct catalog *c, const struct catalog_place *place, struct catalog_dir *ret);

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
