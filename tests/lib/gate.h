/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_LIB_GATE_H
#define TESTS_LIB_GATE_H

/* Threads wait here until the test lets them on; the test waits until so many are here. */

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <time.h>

#define GATE_PATIENCE_MS 60000	/* then the test has failed, and does not hang */

struct gate {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned int waiting;
	bool open;
};

static inline void gate_init(struct gate *g)
{
	*g = (struct gate){ .waiting = 0 };
	(void)pthread_mutex_init(&g->lock, NULL);
	(void)pthread_cond_init(&g->changed, NULL);
}

static inline void gate_fini(struct gate *g)
{
	(void)pthread_cond_destroy(&g->changed);
	(void)pthread_mutex_destroy(&g->lock);
}

/* For the threads. */
static inline void gate_pass(struct gate *g)
{
	(void)pthread_mutex_lock(&g->lock);
	g->waiting++;
	(void)pthread_cond_broadcast(&g->changed);
	while (!g->open)
		(void)pthread_cond_wait(&g->changed, &g->lock);
	g->waiting--;
	(void)pthread_mutex_unlock(&g->lock);
}

/* For the test: until @nr are here. */
static inline void gate_wait(struct gate *g, unsigned int nr)
{
	struct timespec until;
	int r = 0;

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += GATE_PATIENCE_MS / 1000;
	(void)pthread_mutex_lock(&g->lock);
	while (g->waiting < nr && r == 0)
		r = pthread_cond_timedwait(&g->changed, &g->lock, &until);
	(void)pthread_mutex_unlock(&g->lock);
	assert(r == 0);
}

static inline unsigned int gate_waiting(struct gate *g)
{
	unsigned int nr;

	(void)pthread_mutex_lock(&g->lock);
	nr = g->waiting;
	(void)pthread_mutex_unlock(&g->lock);
	return nr;
}

static inline void gate_open(struct gate *g)
{
	(void)pthread_mutex_lock(&g->lock);
	g->open = true;
	(void)pthread_cond_broadcast(&g->changed);
	(void)pthread_mutex_unlock(&g->lock);
}

#endif
