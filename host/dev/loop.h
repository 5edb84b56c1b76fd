/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_DEV_LOOP_H
#define HOST_DEV_LOOP_H

/* The one event loop of the device process. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

#define LOOP_BATCH 64

/* A watched descriptor; embedded in its owner. */
struct loop_src {
	void (*fn)(struct loop_src *s, uint32_t events);
	int fd;		/* -1: not watched */
};

/* Work left for the next round, after descriptors had their turn; embedded in its owner. */
struct loop_job {
	void (*fn)(struct loop_job *j);
	struct loop_job *next;
	bool queued;
};

struct loop {
	int epoll_fd;
	struct epoll_event batch[LOOP_BATCH];
	int nr_batch;
	struct loop_job *jobs, **jobs_end;
	bool stop;
};

/** loop_init() - Return: 0; negative errno. */
int loop_init(struct loop *l);
void loop_fini(struct loop *l);

/** loop_add() - watch @fd with @s, whose fn is set. Return: 0; negative errno. */
int loop_add(struct loop *l, struct loop_src *s, int fd, uint32_t events);

/** loop_del() - stop watching; also forgets events that are waiting to be handled. */
void loop_del(struct loop *l, struct loop_src *s);

/** loop_later() - run @j once in the next round. */
void loop_later(struct loop *l, struct loop_job *j);

/** loop_run() - until l->stop. Return: 0; negative errno. */
int loop_run(struct loop *l);

#endif
