/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_DEV_BLK_CACHE_H
#define HOST_DEV_BLK_CACHE_H

/*
 * Which unit of which disk lies in which slot of the chunk cache. Bookkeeping alone: who wants a unit hands in a waiter,
 * the want callback sends WANT (urge: URGE, for a unit that was wanted ahead), cache_unit() takes the answer. All in the
 * loop's thread, so a unit that cache_find() gave stays where it is until the caller asks the cache for something else.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CACHE_NONE UINT32_MAX

struct cache_waiter {
	/** fn() - look again: @code 0, or why the unit cannot be read (negative errno) */
	void (*fn)(struct cache_waiter *w, int code);
	struct cache_waiter *next;
	struct cache_list *on;		/* list it stands on, or NULL */
};

struct cache_list {
	struct cache_waiter *first, **end;
};

struct cache_slot {
	uint64_t unit;
	uint32_t disk;
	enum { CACHE_FREE, CACHE_WANTED, CACHE_READY } state;
	bool prefetch, pinned;
	uint32_t next;			/* in its hash chain */
	uint32_t newer, older;		/* in the order of use; free ones stand at the old end */
	struct cache_list waiters;
};

struct cache {
	const uint8_t *base;
	uint64_t slot_bytes;
	uint32_t nr_slots, nr_hash;
	struct cache_slot *slot;
	uint32_t *hash;
	uint32_t newest, oldest;
	uint32_t nr_prefetching;
	struct cache_list starved;	/* wait for any slot */
	void (*want)(void *arg, uint32_t disk, uint64_t unit, uint32_t slot, bool prefetch);
	void (*urge)(void *arg, uint32_t disk, uint64_t unit, uint32_t slot);
	void *arg;
};

/**
 * cache_init() - @nr_slots slots of @slot_bytes at @base (borrowed); want, urge and arg are set by the caller
 * Return: 0; -ENOMEM.
 */
int cache_init(struct cache *c, const uint8_t *base, uint32_t nr_slots, uint64_t slot_bytes);
void cache_fini(struct cache *c);

/** cache_find() - the bytes of a unit that is there, now the most recently used. Return: NULL if it is not. */
const uint8_t *cache_find(struct cache *c, uint32_t disk, uint64_t unit);

/** cache_want() - @w is called when the unit is there, cannot be read, or might be asked for again. */
void cache_want(struct cache *c, uint32_t disk, uint64_t unit, struct cache_waiter *w);

/** cache_prefetch() - ask for a unit if it is not there and there is a slot to spare. */
void cache_prefetch(struct cache *c, uint32_t disk, uint64_t unit);

/** cache_cancel() - a waiter that is not interested any more. */
void cache_cancel(struct cache_waiter *w);

/**
 * cache_unit() - the answer to a want
 * @code: 0 or negative errno
 * @zero: nothing was written; the caller remembers that the unit is zero and its waiters look there
 * Return: 0; -EPROTO if this was not wanted.
 */
int cache_unit(struct cache *c, uint32_t disk, uint64_t unit, uint32_t slot, int code, bool zero);

#endif
