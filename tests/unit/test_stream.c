/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Streams over chunks: what waits for what, and how much is held. Loads end when the test says so: no clock decides anything. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "host/archive/stream.h"
#include "tests/lib/gate.h"

#define CHUNKS 400u
#define BAD 333u
#define LONG_LEN 1000u		/* chunk i has 1 to this many bytes */

struct gated {
	struct chunks chunks;
	struct gate gate;
	size_t shut_from, shut_to;	/* chunks that wait at the gate */
	uint64_t start[CHUNKS + 1];
	unsigned int loads[CHUNKS];	/* read when no thread is at work */
};

static struct gated g;
static struct source *s;

static size_t find(struct chunks *c, uint64_t off)
{
	size_t i = 0;

	(void)c;
	while (g.start[i + 1] <= off)
		i++;
	return i;
}

static uint64_t start(struct chunks *c, size_t i)
{
	(void)c;
	return g.start[i];
}

static int load(struct chunks *c, size_t i, void *p, struct err *err)
{
	if (i >= g.shut_from && i < g.shut_to)
		gate_pass(&g.gate);
	(void)__atomic_add_fetch(&g.loads[i], 1, __ATOMIC_RELAXED);
	memset(p, (int)(i & 255), chunks_len(c, i));
	return i == BAD ? err_text(err, -EIO, "chunk %zu is missing", i) : 0;
}

static void close_chunks(struct chunks *c)
{
	(void)c;
}

static const struct chunks_ops ops = { .find = find, .start = start, .load = load, .close = close_chunks };

static void open_stream_of(size_t cache_bytes, size_t least)
{
	memset(&g, 0, sizeof(g));
	for (size_t i = 0; i < CHUNKS; i++)
		g.start[i + 1] = g.start[i] + least + i * 37 % LONG_LEN;
	g.chunks = (struct chunks){ .ops = &ops, .size_bytes = g.start[CHUNKS], .nr_chunks = CHUNKS };
	gate_init(&g.gate);
	assert_int_equal(stream_open(&g.chunks, cache_bytes, &s, NULL), 0);
}

static void open_stream(size_t cache_bytes)
{
	open_stream_of(cache_bytes, 1);
}

static int teardown(void **state)
{
	(void)state;
	gate_open(&g.gate);
	source_close(s);
	s = NULL;
	gate_fini(&g.gate);
	return 0;
}

static void read_chunk(size_t i)
{
	uint8_t b = 0;

	assert_int_equal(source_read_at(s, &b, 1, g.start[i], NULL), 0);
	assert_int_equal(b, i & 255);
}

static void *read_in_thread(void *arg)
{
	uint8_t b = 0;

	return source_read_at(s, &b, 1, g.start[*(size_t *)arg], NULL) == 0 && b == (*(size_t *)arg & 255) ? arg : NULL;
}

/* Chunks 3 and on hang; a reader in sequence has made the workers begin with them. */
static void hang_ahead(void)
{
	open_stream(1 << 20);
	g.shut_from = 3;
	g.shut_to = 100;
	for (size_t i = 0; i < 3; i++)
		read_chunk(i);
	gate_wait(&g.gate, 2);
}

static void test_small_read_does_not_wait(void **state)
{
	unsigned int at_work;

	(void)state;
	hang_ahead();
	at_work = gate_waiting(&g.gate);
	for (size_t i = 200; i < 300; i += 10)
		read_chunk(i);
	read_chunk(0);
	read_chunk(1);
	assert_true(gate_waiting(&g.gate) >= at_work);	/* none of them has got on */
	for (size_t i = 3; i < 100; i++)
		assert_int_equal(g.loads[i], 0);
}

/* Who needs the very chunk that is being read ahead waits for it, and it is read once. */
static void test_needed_chunk_is_shared(void **state)
{
	size_t which = 3;
	void *good = NULL;
	pthread_t t;

	(void)state;
	hang_ahead();
	assert_int_equal(pthread_create(&t, NULL, read_in_thread, &which), 0);
	read_chunk(200);
	gate_open(&g.gate);
	assert_int_equal(pthread_join(t, &good), 0);
	assert_ptr_equal(good, &which);
	assert_int_equal(g.loads[3], 1);
}

/* A chunk of the window that no worker has begun with is read by who needs it, whatever the workers do. */
static void test_window_holds_nobody(void **state)
{
	(void)state;
	open_stream(1 << 20);
	g.shut_from = 30;
	g.shut_to = 34;
	for (size_t i = 0; i < 20; i++)
		read_chunk(i);
	gate_wait(&g.gate, 2);		/* the window reaches as far as that; with two workers nobody is left */
	read_chunk(40);
	read_chunk(39);
	read_chunk(20);
}

/* Jumps to and fro, as to the end of a directory, do not end reading ahead. */
static void test_jump_and_back(void **state)
{
	(void)state;
	open_stream(1 << 20);
	for (size_t i = 0; i < 10; i++) {
		read_chunk(i);
		read_chunk(300);
		read_chunk(i);
	}
	g.shut_from = 100;
	g.shut_to = 200;
	for (size_t i = 10; i < 99; i++) {
		read_chunk(i);
		read_chunk(300);
	}
	gate_wait(&g.gate, 2);
	assert_int_equal(g.loads[300], 1);
}

static void test_bound(void **state)
{
	static const size_t limits[] = { 0, 1, 3000, 20000 };
	uint8_t *all, *want;

	(void)state;
	for (size_t l = 0; l < sizeof(limits) / sizeof(*limits); l++) {
		struct stream_stat stat;

		open_stream(limits[l]);
		all = malloc(g.start[BAD]);
		want = malloc(g.start[BAD]);
		assert_true(all && want);
		for (size_t i = 0; i < BAD; i++)
			memset(want + g.start[i], (int)(i & 255), g.start[i + 1] - g.start[i]);
		for (unsigned int i = 0; i < 3; i++) {
			assert_int_equal(source_read_at(s, all, g.start[BAD], 0, NULL), 0);
			assert_memory_equal(all, want, g.start[BAD]);
			for (size_t j = i; j < BAD; j += 7)
				read_chunk(BAD - 1 - j);
		}
		stream_stat(s, &stat);
		assert_true(stat.peak_bytes <= limits[l] + LONG_LEN + 128);	/* one chunk there must be, and what keeps it */
		assert_true(stat.peak_bytes >= limits[l] / 2);
		assert_true(stat.loads >= BAD);
		free(all);
		free(want);
		if (l + 1 < sizeof(limits) / sizeof(*limits))
			(void)teardown(NULL);
	}
}

/* Not in a row: nothing is read ahead, and what was not used for the longest time goes. */
static void test_oldest_goes(void **state)
{
	(void)state;
	open_stream(1500);
	for (size_t i = 0; i < 2; i++)
		read_chunk(50);		/* 851 bytes */
	read_chunk(10);			/* 371 */
	read_chunk(50);
	read_chunk(35);			/* 296: 10 goes */
	read_chunk(50);
	assert_int_equal(g.loads[50], 1);
	read_chunk(10);
	assert_int_equal(g.loads[10], 2);
	for (size_t i = 0; i < CHUNKS; i++)
		assert_int_equal(!!g.loads[i], i == 50 || i == 10 || i == 35);
}

static void test_ends(void **state)
{
	uint8_t b[2];

	(void)state;
	open_stream(1 << 20);
	assert_int_equal(source_read_at(s, b, 2, g.start[CHUNKS] - 1, NULL), -ERANGE);
	assert_int_equal(source_read_at(s, b, 0, g.start[CHUNKS], NULL), 0);
	assert_int_equal(source_read_at(s, b, 2, g.start[CHUNKS - 1] - 1, NULL), 0);
	assert_true(b[0] == ((CHUNKS - 2) & 255) && b[1] == ((CHUNKS - 1) & 255));
}

/* A bad chunk fails what touches it, by name, however often, and is read twice at most: ahead, and by who needs it. */
static void test_bad_chunk(void **state)
{
	(void)state;
	open_stream(1 << 20);
	for (size_t i = 300; i < BAD; i++)
		read_chunk(i);
	for (unsigned int i = 0; i < 5; i++) {
		struct err err = ERR_INIT;
		uint8_t b[2];

		assert_int_equal(source_read_at(s, b, 2, g.start[BAD] - 1, &err), -EIO);
		assert_string_equal(err.text, "chunk 333 is missing");
	}
	for (size_t i = BAD + 1; i < CHUNKS; i++)
		read_chunk(i);
	assert_in_range(g.loads[BAD], 1, 2);
}

#define T(t) cmocka_unit_test_teardown(t, teardown)

/* A worker has begun with the last chunk when the first one is read; who comes for it waits for that. */
static void test_expect(void **state)
{
	size_t last = CHUNKS - 1;
	pthread_t thread;
	void *got = NULL;

	(void)state;
	open_stream_of(8 << 20, 1 << 20);
	g.shut_from = last;
	g.shut_to = CHUNKS;
	source_expect(s, s->size_bytes);	/* nothing there */
	source_expect(s, s->size_bytes - 1);
	gate_wait(&g.gate, 1);
	read_chunk(0);
	assert_int_equal(pthread_create(&thread, NULL, read_in_thread, &last), 0);
	gate_open(&g.gate);
	assert_int_equal(pthread_join(thread, &got), 0);
	assert_ptr_equal(got, &last);
	assert_int_equal(g.loads[last], 1);
	assert_int_equal(g.loads[0], 1);
}

/* One that is lost fails whoever reads it, and nobody else. */
static void test_expect_bad(void **state)
{
	struct err err = ERR_INIT;
	uint8_t b;

	(void)state;
	open_stream_of(8 << 20, 1 << 20);
	source_expect(s, g.start[BAD]);
	read_chunk(0);
	assert_int_equal(source_read_at(s, &b, 1, g.start[BAD], &err), -EIO);
	assert_non_null(strstr(err.text, "chunk 333 is missing"));
	read_chunk(BAD + 1);
}

/* A small chunk is decoded as fast as a thread begins. */
static void test_expect_small(void **state)
{
	(void)state;
	open_stream(1 << 20);
	source_expect(s, g.start[20]);
	read_chunk(0);
	assert_int_equal(g.loads[20], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { T(test_small_read_does_not_wait), T(test_needed_chunk_is_shared), T(test_window_holds_nobody),
					    T(test_jump_and_back), T(test_oldest_goes), T(test_ends), T(test_bound), T(test_bad_chunk), T(test_expect), T(test_expect_bad), T(test_expect_small) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
