/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_SOURCE_STORE_SEEN_H
#define HOST_SOURCE_STORE_SEEN_H

/*
 * Chunks that were met, each under its digest, its length and whether it is to be encrypted: who finds a chunk with another
 * length than its index says has found another chunk. Any number, in memory that does not grow with them (common/spool_area.h).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/spool_area.h"
#include "host/source/store/digest.h"

/* A record of the table as it lies there, 48 bytes. */
struct seen {
	uint8_t digest[DIGEST_BYTES];
	uint32_t len;		/* 0: a free place */
	uint32_t why;		/* 0: good; else what the caller makes of it */
	uint8_t crypt, sealed;
	uint8_t unused[6];
};

struct seen_table {
	struct spool_space space;	/* open addressing, a power of two places */
	uint64_t room, nr;
};

/**
 * seen_find() - the chunk with the key of @key
 * @ret_place: where it is, or would be put; @ret: what is there, may be NULL
 * Return: 1; 0 it is not there; as spool_space_read().
 */
int seen_find(const struct seen_table *t, const struct seen *key, uint64_t *ret_place, struct seen *ret);

/** seen_put() - at a place that seen_find() gave: a new chunk, or more about the one that is there. Return: 0; as spool_space_write(). */
int seen_put(struct seen_table *t, uint64_t place, const struct seen *s, bool is_new);

/** seen_make_room() - places for @more chunks; those there are move. Return: 0; -ENOMEM; as spool_space_write(). */
int seen_make_room(struct seen_table *t, uint64_t more);

void seen_free(struct seen_table *t);

#endif
