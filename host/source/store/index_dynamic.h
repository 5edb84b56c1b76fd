/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_SOURCE_STORE_INDEX_DYNAMIC_H
#define HOST_SOURCE_STORE_INDEX_DYNAMIC_H

/*
 * Dynamic index: magic[8] uuid[16] ctime(i64) csum[32], zeros up to 4096, then per chunk its end offset (u64) and its
 * digest[32]. Chunk i covers the bytes from the end of chunk i - 1 (0 for the first) up to its own end.
 */

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "host/source/store/index_fixed.h"

#define INDEX_DYNAMIC_ENTRY 40

struct index_dynamic {
	uint64_t size_bytes;
	size_t nr_chunks;
	const uint8_t *entries;		/* borrowed from who reads the file */
	uint8_t csum[32];		/* of the entries; whoever reads them makes it */
};

/**
 * index_dynamic_head() - the head of a file of @len bytes, @len being more than that of the head
 * Return: 0, and how many entries come; -EBADMSG.
 */
int index_dynamic_head(const uint8_t head[static INDEX_HEADER], size_t len, struct index_dynamic *ret, struct err *err);

/**
 * index_dynamic_check() - the next @nr entries, the first of which has the number @first: do they ascend?
 * Return: 0, and the size grows to their end; -EBADMSG, when one is empty or covers more than 16 MiB.
 */
int index_dynamic_check(struct index_dynamic *x, const uint8_t *entries, size_t first, size_t nr, struct err *err);

/** index_dynamic_end() - first byte behind chunk @i, less than nr_chunks. */
uint64_t index_dynamic_end(const struct index_dynamic *x, size_t i);

static inline uint64_t index_dynamic_start(const struct index_dynamic *x, size_t i)
{
	return i ? index_dynamic_end(x, i - 1) : 0;
}

static inline const uint8_t *index_dynamic_digest(const struct index_dynamic *x, size_t i)
{
	return x->entries + i * INDEX_DYNAMIC_ENTRY + 8;
}

/** index_dynamic_find() - the chunk that covers byte @off. Return: 0; -ERANGE past the end. O(log n). */
int index_dynamic_find(const struct index_dynamic *x, uint64_t off, size_t *ret);

#endif
