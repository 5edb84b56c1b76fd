/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_SESSION_LOOP_H
#define HOST_SESSION_LOOP_H

/* An epoll loop. A watch is embedded in what it serves and must be removed before that is freed. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/types.h>
#include <unistd.h>

struct watch {
	int fd;			/* borrowed; -1: not in the loop */
	void (*fn)(struct watch *w, uint32_t events);
	void *arg;
};

struct loop {
	int epfd;
	bool dirty;		/* a watch went away: events in hand may be stale */
};

int loop_init(struct loop *l);
void loop_done(struct loop *l);
/** loop_add() - level-triggered. Return: 0; negative errno. */
int loop_add(struct loop *l, struct watch *w, uint32_t events);
int loop_change(struct loop *l, struct watch *w, uint32_t events);
void loop_remove(struct loop *l, struct watch *w);
/** loop_once() - wait at most @timeout_ms (-1: for ever) and call what is due. Return: 0; negative errno. */
int loop_once(struct loop *l, int timeout_ms);

#endif
