/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/dev/blk/cache.h"

#include <errno.h>
#include <stdlib.h>

/* lists of waiters */

static void list_init(struct cache_list *l)
{
	l->first = NULL;
	l->end = &l->first;
}

static void list_add(struct cache_list *l, struct cache_waiter *w)
{
	w->next = NULL;
	w->on = l;
	*l->end = w;
	l->end = &w->next;
}

static struct cache_waiter *list_take(struct cache_list *l)
{
	struct cache_waiter *w = l->first;

	if (w)
		cache_cancel(w);
	return w;
}

void cache_cancel(struct cache_waiter *w)
{
	struct cache_list *l = w->on;
	struct cache_waiter **p;

	if (!l)
		return;
	for (p = &l->first; *p != w; p = &(*p)->next)
		;
	*p = w->next;
	if (l->end == &w->next)
		l->end = p;
	w->on = NULL;
	w->next = NULL;
}

/* the order of use */

static void unlink_slot(struct cache *c, uint32_t i)
{
	struct cache_slot *s = &c->slot[i];

	*(s->newer == CACHE_NONE ? &c->newest : &c->slot[s->newer].older) = s->older;
	*(s->older == CACHE_NONE ? &c->oldest : &c->slot[s->older].newer) = s->newer;
}

static void make_newest(struct cache *c, uint32_t i)
{
	struct cache_slot *s = &c->slot[i];

	s->newer = CACHE_NONE;
	s->older = c->newest;
	*(c->newest == CACHE_NONE ? &c->oldest : &c->slot[c->newest].newer) = i;
	c->newest = i;
}

static void make_oldest(struct cache *c, uint32_t i)
{
	struct cache_slot *s = &c->slot[i];

	s->older = CACHE_NONE;
	s->newer = c->oldest;
	*(c->oldest == CACHE_NONE ? &c->newest : &c->slot[c->oldest].older) = i;
	c->oldest = i;
}

/* the hash */

static uint32_t *bucket(const struct cache *c, uint32_t disk, uint64_t unit)
{
	uint64_t h = (unit ^ (uint64_t)disk << 48) * UINT64_C(0x9e3779b97f4a7c15);

	return &c->hash[(h >> 32) & (c->nr_hash - 1)];
}

static uint32_t look_up(const struct cache *c, uint32_t disk, uint64_t unit)
{
	uint32_t i;

	if (!c->nr_slots)
		return CACHE_NONE;
	i = *bucket(c, disk, unit);
	while (i != CACHE_NONE && (c->slot[i].unit != unit || c->slot[i].disk != disk))
		i = c->slot[i].next;
	return i;
}

static void unhash(struct cache *c, uint32_t i)
{
	uint32_t *p = bucket(c, c->slot[i].disk, c->slot[i].unit);

	while (*p != i)
		p = &c->slot[*p].next;
	*p = c->slot[i].next;
}

int cache_init(struct cache *c, const uint8_t *base, uint32_t nr_slots, uint64_t slot_bytes)
{
	c->base = base;
	c->nr_slots = nr_slots;
	c->slot_bytes = slot_bytes;
	c->newest = c->oldest = CACHE_NONE;
	c->nr_prefetching = 0;
	list_init(&c->starved);
	for (c->nr_hash = 1; c->nr_hash < nr_slots; c->nr_hash *= 2)
		;
	c->slot = calloc(nr_slots ? nr_slots : 1, sizeof(*c->slot));
	c->hash = calloc(c->nr_hash, sizeof(*c->hash));
	if (!c->slot || !c->hash) {
		cache_fini(c);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < c->nr_hash; i++)
		c->hash[i] = CACHE_NONE;
	for (uint32_t i = 0; i < nr_slots; i++) {
		list_init(&c->slot[i].waiters);
		make_oldest(c, i);
	}
	return 0;
}

void cache_fini(struct cache *c)
{
	free(c->slot);
	free(c->hash);
	c->slot = NULL;
	c->hash = NULL;
}

const uint8_t *cache_find(struct cache *c, uint32_t disk, uint64_t unit)
{
	uint32_t i = look_up(c, disk, unit);

	if (i == CACHE_NONE || c->slot[i].state != CACHE_READY)
		return NULL;
	unlink_slot(c, i);
	make_newest(c, i);
	return c->base + i * c->slot_bytes;
}

/* The slot that was not used for the longest time and is not being filled. */
static uint32_t evictable(const struct cache *c)
{
	uint32_t i = c->oldest;

	while (i != CACHE_NONE && (c->slot[i].state == CACHE_WANTED || c->slot[i].pinned))
		i = c->slot[i].newer;
	return i;
}

static uint32_t start_want(struct cache *c, uint32_t disk, uint64_t unit, bool prefetch)
{
	uint32_t i = evictable(c), *b;
	struct cache_slot *s;

	if (i == CACHE_NONE)
		return i;
	s = &c->slot[i];
	if (s->state == CACHE_READY)
		unhash(c, i);
	s->disk = disk;
	s->unit = unit;
	s->state = CACHE_WANTED;
	s->prefetch = prefetch;
	c->nr_prefetching += prefetch;
	b = bucket(c, disk, unit);
	s->next = *b;
	*b = i;
	unlink_slot(c, i);
	make_newest(c, i);
	c->want(c->arg, disk, unit, i, prefetch);
	return i;
}

/* What was to be there in time is waited for. */
static void urge(struct cache *c, uint32_t i)
{
	struct cache_slot *s = &c->slot[i];

	s->prefetch = false;
	c->nr_prefetching--;
	c->urge(c->arg, s->disk, s->unit, i);
}

void cache_want(struct cache *c, uint32_t disk, uint64_t unit, struct cache_waiter *w)
{
	uint32_t i = look_up(c, disk, unit);

	if (i == CACHE_NONE)
		i = start_want(c, disk, unit, false);
	else if (c->slot[i].prefetch)
		urge(c, i);
	list_add(i == CACHE_NONE ? &c->starved : &c->slot[i].waiters, w);
}

void cache_prefetch(struct cache *c, uint32_t disk, uint64_t unit)
{
	/* At most a quarter of the cache is filled ahead, and never while somebody waits for a slot. */
	if (c->starved.first || c->nr_prefetching >= c->nr_slots / 4 || look_up(c, disk, unit) != CACHE_NONE)
		return;
	(void)start_want(c, disk, unit, true);
}

static void wake(struct cache_list *l, int code)
{
	struct cache_waiter *last = NULL, *w = l->first;

	/* Only those that are there now: one that comes back waits for something new. */
	while (w) {
		last = w;
		w = w->next;
	}
	while (last && (w = list_take(l))) {
		bool end = w == last;

		w->fn(w, code);
		if (end)
			break;
	}
}

int cache_unit(struct cache *c, uint32_t disk, uint64_t unit, uint32_t i, int code, bool zero)
{
	struct cache_slot *s;
	struct cache_waiter *w;

	if (i >= c->nr_slots || c->slot[i].state != CACHE_WANTED || c->slot[i].disk != disk || c->slot[i].unit != unit)
		return -EPROTO;
	s = &c->slot[i];
	c->nr_prefetching -= s->prefetch;
	s->prefetch = false;
	s->state = CACHE_READY;
	s->pinned = true;
	if (code < 0 || zero)
		unhash(c, i);
	wake(&s->waiters, code);
	s->pinned = false;
	if (code < 0 || zero) {
		s->state = CACHE_FREE;
		unlink_slot(c, i);
		make_oldest(c, i);
	}
	while (c->starved.first && evictable(c) != CACHE_NONE && (w = list_take(&c->starved)))
		w->fn(w, 0);
	return 0;
}
