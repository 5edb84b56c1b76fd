/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is waited for and what is read ahead, with reads that end when the test says so: no clock decides anything. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "host/session/fill.h"
#include "tests/lib/gate.h"

#define UNIT 64u
#define UNITS 300u
#define THREADS 3u
#define JOBS 12u
#define FREE_UNIT 200u		/* units from here on are read at once, others when the gate opens */

static struct gate gate;
static struct fill *f;
static struct fill_job job[JOBS];
static uint8_t room[JOBS][UNIT];

static int read_at(struct source *s, void *p, size_t n, uint64_t off, struct err *err)
{
	(void)s;
	if (off / UNIT < FREE_UNIT)
		gate_pass(&gate);
	memset(p, (int)(off / UNIT), n);
	return off / UNIT == UNITS - 1 ? err_text(err, -EIO, "bad unit") : 0;
}

static const struct source_ops ops = { .read_at = read_at };
static struct source src = { .ops = &ops, .size_bytes = UNITS * UNIT, .unit_bytes = UNIT, .raw_fd = -1 };

static struct fill_job *add(unsigned int i, uint64_t unit, bool prefetch)
{
	job[i] = (struct fill_job){ .source = &src, .unit = unit, .to = room[i], .room = UNIT, .prefetch = prefetch };
	fill_add(f, &job[i]);
	return &job[i];
}

static struct fill_job *take(void)
{
	struct pollfd pfd = { .fd = fill_fd(f), .events = POLLIN };
	struct fill_job *j;

	do
		assert_int_equal(poll(&pfd, 1, GATE_PATIENCE_MS), 1);
	while (!(j = fill_take(f)));
	return j;
}

static int setup(void **state)
{
	(void)state;
	gate_init(&gate);
	return fill_new(THREADS, &f, NULL);
}

static int teardown(void **state)
{
	(void)state;
	gate_open(&gate);
	fill_free(f, NULL);
	gate_fini(&gate);
	return 0;
}

/* Reading ahead has taken every thread that it can get. */
static void fill_threads(void)
{
	for (unsigned int i = 0; i < 6; i++)
		(void)add(i, i, true);
	gate_wait(&gate, THREADS - 1);
}

static void test_demand_does_not_wait(void **state)
{
	(void)state;
	fill_threads();
	for (unsigned int i = 6; i < 9; i++) {
		(void)add(i, FREE_UNIT + i, false);
		assert_ptr_equal(take(), &job[i]);
	}
	assert_int_equal(room[7][0], (FREE_UNIT + 7) & 255);
	assert_int_equal(gate_waiting(&gate), THREADS - 1);
	assert_null(fill_take(f));
}

static void test_urged(void **state)
{
	struct fill_job *ahead;

	(void)state;
	fill_threads();
	ahead = add(6, FREE_UNIT, true);
	(void)add(7, FREE_UNIT + 1, true);
	(void)add(8, FREE_UNIT + 2, false);
	assert_ptr_equal(take(), &job[8]);
	fill_urge(f, ahead);
	assert_ptr_equal(take(), ahead);
	fill_urge(f, &job[7]);
	assert_ptr_equal(take(), &job[7]);
	fill_urge(f, &job[0]);	/* is running: nothing happens */
	(void)add(9, FREE_UNIT + 3, true);	/* the queue is whole after its last was taken out */
	gate_open(&gate);
	for (unsigned int i = 0; i < 7; i++)
		(void)take();
	assert_null(fill_take(f));
	for (unsigned int i = 0; i < 10; i++)
		assert_int_equal(job[i].code, 0);
}

static void test_answers(void **state)
{
	(void)state;
	(void)add(0, UNITS - 1, false);
	assert_int_equal(take()->code, -EIO);
	assert_string_equal(job[0].err.text, "bad unit");
}

/* One thread alone reads nothing ahead. */
static void test_one_thread(void **state)
{
	struct fill *all = f;

	(void)state;
	assert_int_equal(fill_new(1, &f, NULL), 0);
	(void)add(0, FREE_UNIT, true);
	(void)add(1, FREE_UNIT, false);
	assert_ptr_equal(take(), &job[1]);
	assert_null(fill_take(f));
	fill_urge(f, &job[0]);
	assert_ptr_equal(take(), &job[0]);
	fill_free(f, NULL);
	f = all;
}

#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { T(test_demand_does_not_wait), T(test_urged), T(test_answers), T(test_one_thread) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
