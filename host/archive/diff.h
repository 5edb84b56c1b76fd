/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_ARCHIVE_DIFF_H
#define HOST_ARCHIVE_DIFF_H

/*
 * What differs between two archives, of any form each. Directories are walked side by side in the order of the archives. That
 * is the order of names in what the official tools write; where it is another one, names are looked up by the goodbye
 * tables. So nothing is kept but the tables of the open directories.
 *
 * Contents are compared by the digests of their chunks as far as these can tell, and read only where they cannot.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/pxar/entry.h"
#include "host/archive/access.h"
#include "host/source/chunks.h"

enum diff_op {
	DIFF_ADDED,
	DIFF_REMOVED,
	DIFF_CHANGED,
	DIFF_UNKNOWN,		/* cannot be compared, or not all of it, and nothing else is known to differ */
};

/* What differs of a member. */
#define DIFF_TYPE (1u << 0)	/* then nothing else is compared */
#define DIFF_LINK (1u << 1)	/* a hard link of another name, or no hard link */
#define DIFF_MODE (1u << 2)
#define DIFF_OWNER (1u << 3)
#define DIFF_MTIME (1u << 4)
#define DIFF_SIZE (1u << 5)
#define DIFF_CONTENTS (1u << 6)
#define DIFF_TARGET (1u << 7)	/* of a symbolic link */
#define DIFF_RDEV (1u << 8)
#define DIFF_FLAGS (1u << 9)
#define DIFF_XATTRS (1u << 10)
#define DIFF_ACL (1u << 11)
#define DIFF_CAPABILITIES (1u << 12)
#define DIFF_PROJECT (1u << 13)
#define DIFF_BITS 14

struct diff_entry {
	enum diff_op op;
	const char *path;	/* from the root of the archives; "" is the root; foreign bytes */
	size_t path_len;
	const struct pxar_entry *from, *to;	/* in the old and the new archive; NULL: not there, or not readable */
	const struct pxar_entry *from_stat, *to_stat;	/* the same, but of a hard link the file it refers to */
	unsigned int what;	/* DIFF_CHANGED: bits */
	int code;		/* 0; why not all could be compared */
	const char *why;	/* foreign text */
};

struct diff_side {
	struct access *a;
	struct chunks *data;	/* the stream that files' contents lie in; NULL: there are no chunks */
};

struct diff_totals {
	uint64_t compared, added, removed, changed, unknown;	/* members */
	uint64_t bytes_read, bytes_proved;	/* of contents: read on each side; compared by their digests alone */
	uint64_t not_read;	/* files of equal size that were left to their metadata */
};

struct diff_options {
	bool same_key;		/* digests of both sides were made alike: different ones mean different contents */
	bool no_contents;	/* of files of the same size, metadata has to do */
};

/** Called for each difference, parents before what is in them. Return: 0; a negative errno ends the walk. */
typedef int diff_fn(void *arg, const struct diff_entry *e);

/** Called now and then. */
typedef void diff_progress_fn(void *arg, const struct diff_totals *t);

struct diff_sink {
	diff_fn *entry;
	diff_progress_fn *progress;	/* may be NULL */
	void *arg;
};

/**
 * diff_walk() - compare the member @path, and all beneath it
 * @path: as access_find(). It may be missing in one of both.
 * Return: 0; -ENOENT if neither has it; -EINVAL; -ENOMEM; what the sink gives.
 */
int diff_walk(const struct diff_side side[static 2], const char *path, size_t len, const struct diff_options *o,
	      const struct diff_sink *sink, struct diff_totals *ret, struct err *err);

#endif
