/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_SOURCE_STORE_INDEX_FIXED_H
#define HOST_SOURCE_STORE_INDEX_FIXED_H

/*
 * Fixed index: magic[8] uuid[16] ctime(i64) csum[32] size(u64) chunk_size(u64), zeros up to 4096, then a digest of 32
 * bytes per chunk. Chunk i covers the bytes from i * chunk_size on; only the last one may be shorter.
 */

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct buf;

#define INDEX_HEADER 4096
#define INDEX_FIXED_ENTRY 32
#define INDEX_FILE_MAX (256u << 20)	/* 32 TiB of image in chunks of 4 MiB */
#define INDEX_FIXED_CHUNK_MIN (64u << 10)
#define INDEX_FIXED_CHUNK_MAX (4u << 20)

struct index_fixed {
	uint64_t size_bytes;
	uint32_t chunk_bytes;
	size_t nr_chunks;
	const uint8_t *digests;		/* borrowed from who reads the file */
	uint8_t csum[32];		/* of the digests; whoever reads them makes it */
};

/** index_fixed_head() - the head of a file of @len bytes, which are not less. Return: 0; -EBADMSG. */
int index_fixed_head(const uint8_t head[static INDEX_HEADER], size_t len, struct index_fixed *ret, struct err *err);

/** index_fixed_digest() - of chunk @i, less than nr_chunks. */
static inline const uint8_t *index_fixed_digest(const struct index_fixed *x, size_t i)
{
	return x->digests + i * 32;
}

/** index_fixed_chunk_len() - bytes of chunk @i, less than nr_chunks. */
static inline size_t index_fixed_chunk_len(const struct index_fixed *x, size_t i)
{
	uint64_t left = x->size_bytes - (uint64_t)i * x->chunk_bytes;

	return left < x->chunk_bytes ? (size_t)left : x->chunk_bytes;
}

/**
 * index_fixed_write() - append a whole index file to @out
 * @digests: 32 bytes per chunk of an image of @size_bytes
 * @ret_csum: the checksum for the manifest
 * Return: 0; -ENOMEM; -E2BIG; -EIO.
 */
int index_fixed_write(uint64_t size_bytes, uint32_t chunk_bytes, const uint8_t *digests, const uint8_t uuid[static 16],
		      int64_t ctime, struct buf *out, uint8_t ret_csum[static 32]);

#endif
