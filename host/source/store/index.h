/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_SOURCE_STORE_INDEX_H
#define HOST_SOURCE_STORE_INDEX_H

/* An index file of a snapshot, of either kind: which chunks lie behind each other, and where each begins. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/spool_area.h"
#include "host/source/store/index_dynamic.h"
#include "host/source/store/index_fixed.h"

struct store_file;

struct index {
	struct spool_area entries;	/* its bytes behind the head, into which the rest points */
	bool is_fixed;
	union {
		struct index_fixed fixed;
		struct index_dynamic dynamic;
	};
	uint64_t size_bytes;
	size_t nr_chunks;
};

/**
 * index_load() - read an index and check it against the manifest: form, checksum and size
 * @dirfd: the snapshot's directory
 * Return: 0, release it with index_free(); -EBADMSG; negative errno.
 */
int index_load(int dirfd, const struct store_file *f, struct index *ret, struct err *err);

/** index_read() - the same of an open file of @len bytes, without a manifest: form and checksum. */
int index_read(int fd, size_t len, bool is_fixed, struct index *ret, struct err *err);
void index_free(struct index *x);

/** index_start() - first byte of chunk @i; @i may be nr_chunks: the size. */
uint64_t index_start(const struct index *x, size_t i);

/** index_digest() - of chunk @i, less than nr_chunks. Borrowed. */
const uint8_t *index_digest(const struct index *x, size_t i);

/** index_find() - the chunk that covers byte @off, less than the size. */
size_t index_find(const struct index *x, uint64_t off);

static inline size_t index_chunk_len(const struct index *x, size_t i)
{
	return (size_t)(index_start(x, i + 1) - index_start(x, i));
}

#endif
