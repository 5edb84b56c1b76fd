/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The threads that read for a disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/sanitized.h"
#include "host/dev/blk/pool.h"
#include "tests/lib/gate.h"

#define JOBS 20

struct job {
	struct pool_job job;
	unsigned int runs, dones;
};

static struct loop loop;
static struct gate gate;

static void run(struct pool_job *j)
{
	((struct job *)j)->runs++;
}

static void run_behind_gate(struct pool_job *j)
{
	gate_pass(&gate);
	run(j);
}

static void done(struct pool_job *j)
{
	((struct job *)j)->dones++;
}

static void submit(struct pool *p, struct job *jobs, size_t nr, void (*fn)(struct pool_job *))
{
	for (size_t i = 0; i < nr; i++) {
		jobs[i] = (struct job){ .job = { .run = fn, .done = done } };
		pool_submit(p, &jobs[i].job);
	}
}

static void check(struct pool *p, const struct job *jobs, size_t nr)
{
	pool_quiesce(p);
	for (size_t i = 0; i < nr; i++)
		assert_true(jobs[i].runs == 1 && jobs[i].dones == 1);
}

static void test_all_run(void **state)
{
	struct job jobs[JOBS];
	struct pool p;

	(void)state;
	for (unsigned int wanted = 1; wanted <= POOL_THREADS_MAX + 1; wanted++) {
		assert_int_equal(pool_init(&p, &loop, wanted), 0);
		assert_int_equal(p.nr_threads, wanted < POOL_THREADS_MAX ? wanted : POOL_THREADS_MAX);
		submit(&p, jobs, JOBS, run);
		check(&p, jobs, JOBS);
		pool_fini(&p);
	}
}

/* What waits in one is no matter to another. */
static void test_two(void **state)
{
	struct job waiting[JOBS], jobs[JOBS];
	struct pool a, b;

	(void)state;
	gate_init(&gate);
	assert_int_equal(pool_init(&a, &loop, POOL_THREADS_MAX), 0);
	assert_int_equal(pool_init(&b, &loop, 1), 0);
	submit(&a, waiting, JOBS, run_behind_gate);
	gate_wait(&gate, POOL_THREADS_MAX);
	submit(&b, jobs, JOBS, run);
	check(&b, jobs, JOBS);
	for (size_t i = 0; i < JOBS; i++)
		assert_int_equal(waiting[i].dones, 0);
	gate_open(&gate);
	check(&a, waiting, JOBS);
	pool_fini(&a);
	pool_fini(&b);
	gate_fini(&gate);
}

static uint64_t mapped_bytes(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	assert_true(f && fscanf(f, "%lu", &pages) == 1);
	(void)fclose(f);
	return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Room for two stacks, for none. */
static void test_few(void **state)
{
	struct rlimit was, few;
	struct job jobs[JOBS];
	struct pool p;
	int r;

	(void)state;
	if (SANITIZED)
		skip();
	assert_int_equal(getrlimit(RLIMIT_AS, &was), 0);
	for (unsigned int stacks = 0; stacks <= 2; stacks += 2) {
		few = was;
		few.rlim_cur = mapped_bytes() + (rlim_t)stacks * POOL_STACK_BYTES + POOL_STACK_BYTES / 2;
		assert_int_equal(setrlimit(RLIMIT_AS, &few), 0);
		r = pool_init(&p, &loop, POOL_THREADS_MAX);
		assert_int_equal(setrlimit(RLIMIT_AS, &was), 0);
		assert_int_equal(r == 0, stacks > 0);
		if (r < 0)
			continue;
		assert_int_equal(p.nr_threads, stacks);
		submit(&p, jobs, JOBS, run);
		check(&p, jobs, JOBS);
		pool_fini(&p);
	}
}

int main(void)
{
	/* Stacks that were used stay mapped for the next ones: what needs them to be new comes first. */
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_few), cmocka_unit_test(test_all_run), cmocka_unit_test(test_two),
	};

	return loop_init(&loop) < 0 || cmocka_run_group_tests(tests, NULL, NULL);
}
