/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_SOURCE_STORE_CHECK_H
#define HOST_SOURCE_STORE_CHECK_H

/*
 * Verification: every file of a snapshot, every chunk of its indexes. A chunk is read once, however many indexes, files and
 * snapshots name it. Nothing in the store is changed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "host/source/store/store.h"

/* Bytes of a file that cannot be read. */
struct check_range {
	uint64_t off, len;
	uint8_t digest[32];	/* of the chunk that is missing or damaged */
	const char *why;	/* borrowed */
};

struct check_file {
	const char *name;
	uint64_t size_bytes;
	size_t nr_chunks;	/* 0: a small file, or no index could be read */
	bool sealed;		/* encrypted, and there is no key: checksums alone were checked */
	const char *error;	/* the file as a whole is of no use; NULL */
	const struct check_range *range;
	size_t nr_ranges;
};

struct check_stats {
	uint64_t chunks, bytes;	/* read; bytes as stored in images and archives */
	uint64_t bad;		/* chunks among them */
};

struct check_sink {
	/** progress() - now and then. Return: 0; a negative errno ends it */
	int (*progress)(void *arg, const struct check_stats *s);
	/** file() - one file is done; all strings live until it returns. Return: 0; a negative errno ends it */
	int (*file)(void *arg, const struct check_file *f);
	void *arg;
};

struct check;

/** check_new() - remembers chunks of this store. @threads: that read, 1 to 16. Return: 0; -ENOMEM. */
int check_new(struct store *s, unsigned int threads, struct check **ret, struct err *err);
void check_free(struct check *c);

/** check_stats() - of all so far. */
struct check_stats check_stats(const struct check *c);

/** check_snapshot() - all its files, in the order of the manifest. Return: 0, also for damage; -ENOMEM; what @sink gives. */
int check_snapshot(struct check *c, struct snapshot *sn, const struct check_sink *sink, struct err *err);

#endif
