/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "host/dev/blk/cache.h"

#define SLOTS 4
#define WAITERS 64

static uint8_t memory[SLOTS * 16];
static struct cache c;

/* what is wanted at the moment, by slot */
static struct {
	bool out, prefetch;
	uint32_t disk;
	uint64_t unit;
} wanted[SLOTS];
static unsigned int nr_wants, nr_out, nr_urged;

static struct one {
	struct cache_waiter w;
	uint32_t disk;
	uint64_t unit;
	int code;
	bool got, waits;
} one[WAITERS];

static void on_want(void *arg, uint32_t disk, uint64_t unit, uint32_t slot, bool prefetch)
{
	(void)arg;
	assert_true(slot < SLOTS);
	assert_false(wanted[slot].out);
	for (uint32_t i = 0; i < SLOTS; i++)
		assert_false(wanted[i].out && wanted[i].disk == disk && wanted[i].unit == unit);
	wanted[slot].out = true;
	wanted[slot].prefetch = prefetch;
	wanted[slot].disk = disk;
	wanted[slot].unit = unit;
	nr_wants++;
	nr_out++;
}

static void on_urge(void *arg, uint32_t disk, uint64_t unit, uint32_t slot)
{
	(void)arg;
	assert_true(slot < SLOTS && wanted[slot].out && wanted[slot].prefetch);
	assert_true(wanted[slot].disk == disk && wanted[slot].unit == unit);
	wanted[slot].prefetch = false;
	nr_urged++;
}

/* as a request does: look, and wait if it is not there */
static void look(struct one *o)
{
	const uint8_t *p = cache_find(&c, o->disk, o->unit);

	o->waits = !p;
	if (!p) {
		cache_want(&c, o->disk, o->unit, &o->w);
		return;
	}
	assert_int_equal(p[0], o->disk);
	assert_int_equal(p[1], o->unit);
	o->got = true;
}

static void woken(struct cache_waiter *w, int code)
{
	struct one *o = (struct one *)(void *)w;

	assert_true(o->waits);
	o->waits = false;
	o->code = code;
	if (!code)
		look(o);
}

static void start(struct one *o, uint32_t disk, uint64_t unit)
{
	*o = (struct one){ .w = { .fn = woken }, .disk = disk, .unit = unit };
	look(o);
}

static int deliver(uint32_t slot, int code)
{
	memory[slot * 16] = (uint8_t)wanted[slot].disk;
	memory[slot * 16 + 1] = (uint8_t)wanted[slot].unit;
	wanted[slot].out = false;
	nr_out--;
	return cache_unit(&c, wanted[slot].disk, wanted[slot].unit, slot, code, false);
}

static int setup(void **state)
{
	(void)state;
	memset(wanted, 0, sizeof(wanted));
	memset(one, 0, sizeof(one));
	nr_wants = nr_out = nr_urged = 0;
	c.want = on_want;
	c.urge = on_urge;
	return cache_init(&c, memory, SLOTS, 16);
}

static int teardown(void **state)
{
	(void)state;
	cache_fini(&c);
	return 0;
}

static uint32_t slot_of(uint64_t unit)
{
	for (uint32_t i = 0; i < SLOTS; i++)
		if (wanted[i].out && wanted[i].unit == unit)
			return i;
	fail_msg("unit %u is not wanted", (unsigned int)unit);
	return 0;
}

static void test_shared_want(void **state)
{
	(void)state;
	start(&one[0], 1, 7);
	start(&one[1], 1, 7);
	start(&one[2], 2, 7);
	assert_int_equal(nr_wants, 2);
	cache_cancel(&one[1].w);
	for (uint32_t i = 0; i < SLOTS; i++)
		if (wanted[i].out)
			assert_int_equal(deliver(i, 0), 0);
	assert_true(one[0].got && !one[1].got && one[2].got);
	start(&one[3], 1, 7);
	assert_true(one[3].got);
	assert_int_equal(nr_wants, 2);
}

static void test_errors_are_not_kept(void **state)
{
	(void)state;
	start(&one[0], 0, 5);
	assert_int_equal(deliver(slot_of(5), -EIO), 0);
	assert_int_equal(one[0].code, -EIO);
	start(&one[1], 0, 5);
	assert_int_equal(nr_wants, 2);
	assert_int_equal(deliver(slot_of(5), 0), 0);
	assert_true(one[1].got);
}

static void test_unwanted(void **state)
{
	(void)state;
	start(&one[0], 0, 5);
	assert_int_equal(cache_unit(&c, 0, 5, SLOTS, 0, false), -EPROTO);
	assert_int_equal(cache_unit(&c, 0, 6, slot_of(5), 0, false), -EPROTO);
	assert_int_equal(cache_unit(&c, 1, 5, slot_of(5), 0, false), -EPROTO);
	assert_int_equal(cache_unit(&c, 0, 5, (slot_of(5) + 1) % SLOTS, 0, false), -EPROTO);
	assert_int_equal(deliver(slot_of(5), 0), 0);
	assert_int_equal(cache_unit(&c, 0, 5, 0, 0, false), -EPROTO);
}

static void test_oldest_goes(void **state)
{
	(void)state;
	for (uint64_t u = 0; u < SLOTS; u++) {
		start(&one[u], 0, u);
		assert_int_equal(deliver(slot_of(u), 0), 0);
	}
	assert_non_null(cache_find(&c, 0, 0));
	start(&one[10], 0, 100);
	assert_int_equal(deliver(slot_of(100), 0), 0);
	assert_non_null(cache_find(&c, 0, 0));
	assert_null(cache_find(&c, 0, 1));
	assert_non_null(cache_find(&c, 0, 2));
}

static void test_prefetch_yields(void **state)
{
	(void)state;
	cache_prefetch(&c, 0, 1);
	cache_prefetch(&c, 0, 2);	/* more than a quarter */
	assert_int_equal(nr_wants, 1);
	assert_true(wanted[slot_of(1)].prefetch);
	assert_int_equal(nr_urged, 0);
	start(&one[0], 0, 1);		/* joins it, and says so once */
	start(&one[1], 0, 1);
	assert_int_equal(nr_wants, 1);
	assert_int_equal(nr_urged, 1);
	cache_prefetch(&c, 0, 2);	/* the first is none any more */
	assert_int_equal(nr_wants, 2);
	assert_int_equal(deliver(slot_of(2), 0), 0);
	assert_int_equal(deliver(slot_of(1), 0), 0);
	assert_true(one[0].got && one[1].got);
	cache_prefetch(&c, 0, 1);
	assert_int_equal(nr_wants, 2);
}

/* Far more readers than slots, answers in any order, some bad: everybody gets an answer, nothing is wanted twice at once. */
static void test_starved(void **state)
{
	unsigned int seed = 1;

	(void)state;
	for (unsigned int i = 0; i < WAITERS; i++)
		start(&one[i], i % 3, i / 2);
	assert_int_equal(nr_out, SLOTS);
	while (nr_out) {
		uint32_t i = (uint32_t)rand_r(&seed) % SLOTS;

		if (wanted[i].out)
			assert_int_equal(deliver(i, rand_r(&seed) % 5 ? 0 : -EIO), 0);
	}
	for (unsigned int i = 0; i < WAITERS; i++)
		assert_true(!one[i].waits && (one[i].got || one[i].code == -EIO));
	assert_null(c.starved.first);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { T(test_shared_want), T(test_errors_are_not_kept), T(test_unwanted),
					    T(test_oldest_goes), T(test_prefetch_yields),	T(test_starved) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
