/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_DEV_BLK_POOL_H
#define HOST_DEV_BLK_POOL_H

/* A few threads for the reads of one disk that would block the event loop. */

#include <pthread.h>

#include "host/dev/loop.h"

#define POOL_THREADS_MAX 3
#define POOL_STACK_BYTES (512u << 10)	/* a read needs little, and there may be sixty disks */

/* Embedded in its owner, who keeps it until done() was called. */
struct pool_job {
	void (*run)(struct pool_job *j);	/* in a thread */
	void (*done)(struct pool_job *j);	/* in the loop */
	struct pool_job *next;
};

struct pool {
	struct loop *loop;
	struct loop_src event;
	int event_fd;
	pthread_t thread[POOL_THREADS_MAX];
	unsigned int nr_threads, nr_started;
	pthread_mutex_t lock;
	pthread_cond_t work, idle;
	struct pool_job *todo, **todo_end;
	struct pool_job *finished;
	unsigned int running;
	bool end;
};

/**
 * pool_init() - start the threads; all run when it returns
 * @wanted: of them, at most POOL_THREADS_MAX. Where not all can be had, fewer do it, one at least.
 * Return: 0; negative errno.
 */
int pool_init(struct pool *p, struct loop *loop, unsigned int wanted);
void pool_fini(struct pool *p);

void pool_submit(struct pool *p, struct pool_job *j);

/** pool_quiesce() - wait until nothing is queued or running, and call done() of all that has finished. */
void pool_quiesce(struct pool *p);

#endif
