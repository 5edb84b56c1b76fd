/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_SOURCE_CHUNKS_H
#define HOST_SOURCE_CHUNKS_H

/*
 * A byte stream that lies in chunks of varying length: what an index describes. Nothing is kept or read ahead
 * here; who reads it decides about that.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define CHUNKS_DIGEST_BYTES 32

struct chunks;

struct chunks_ops {
	/** find() - the chunk that covers byte @off, less than the size */
	size_t (*find)(struct chunks *c, uint64_t off);
	/** start() - first byte of chunk @i; @i may be nr_chunks: the size */
	uint64_t (*start)(struct chunks *c, size_t i);
	/**
	 * load() - the whole of chunk @i, all checks passed; thread safe
	 * Return: 0; -EIO or -EBADMSG when it is missing or damaged (@err names the chunk and its file).
	 */
	int (*load)(struct chunks *c, size_t i, void *p, struct err *err);
	void (*close)(struct chunks *c);
	/** is_zero() - is chunk @i known to be all zeros without reading? May be NULL: never. Thread safe. */
	bool (*is_zero)(struct chunks *c, size_t i);
	/** digest() - CHUNKS_DIGEST_BYTES that name the contents of chunk @i, borrowed; NULL: chunks have no such name */
	const uint8_t *(*digest)(const struct chunks *c, size_t i);
};

struct chunks {
	const struct chunks_ops *ops;
	uint64_t size_bytes;
	size_t nr_chunks;
};

static inline size_t chunks_find(struct chunks *c, uint64_t off)
{
	return c->ops->find(c, off);
}

static inline uint64_t chunks_start(struct chunks *c, size_t i)
{
	return c->ops->start(c, i);
}

/* A chunk has at most 16 MiB. */
static inline size_t chunks_len(struct chunks *c, size_t i)
{
	return (size_t)(chunks_start(c, i + 1) - chunks_start(c, i));
}

static inline int chunks_load(struct chunks *c, size_t i, void *p, struct err *err)
{
	return c->ops->load(c, i, p, err);
}

static inline bool chunks_is_zero(struct chunks *c, size_t i)
{
	return c->ops->is_zero && c->ops->is_zero(c, i);
}

/*
 * Chunks of the same length and digest have the same contents. Those of different digests have different contents if both
 * come from indexes that were made without a key, or with the same.
 */
static inline const uint8_t *chunks_digest(const struct chunks *c, size_t i)
{
	return c->ops->digest ? c->ops->digest(c, i) : NULL;
}

static inline void chunks_close(struct chunks *c)
{
	if (c)
		c->ops->close(c);
}

#endif
