/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_ARCHIVE_STREAM_H
#define HOST_ARCHIVE_STREAM_H

/* Chunks of varying length as a source: a bounded cache of decoded chunks, and read-ahead for who reads on and on. */

#include "common/err.h"
#include "host/source/chunks.h"
#include "host/source/source.h"

#define STREAM_CACHE_BYTES ((size_t)64 << 20)

/**
 * stream_open() - @c as a source
 * @c:           taken over, also on failure
 * @cache_bytes: decoded chunks kept at most; a chunk that is being read is kept in any case
 * Once three chunks were read in sequence, threads decode those that come next, the more of them the longer it goes on
 * like that; reading elsewhere in between does not end it. One of them decodes a large chunk that source_expect() names.
 * No read waits for them but for the very chunk it needs. A chunk that is missing or damaged fails the reads that touch
 * it, by name.
 * Return: 0; -ENOMEM.
 */
int stream_open(struct chunks *c, size_t cache_bytes, struct source **ret, struct err *err);

/** stream_chunks() - the chunks of a source that stream_open() made. Borrowed as long as the source. */
struct chunks *stream_chunks(struct source *s);

struct stream_stat {
	uint64_t loads;		/* chunks read and decoded */
	size_t peak_bytes;	/* decoded chunks held at most */
};

/** stream_stat() - of a source that stream_open() made, so far. */
void stream_stat(struct source *s, struct stream_stat *ret);

#endif
