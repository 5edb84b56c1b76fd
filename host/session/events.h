/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_SESSION_EVENTS_H
#define HOST_SESSION_EVENTS_H

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

struct events {
	int epfd;
	bool dirty;		/* a watch went away: events in hand may be stale */
};

/** events_init() - an empty loop. Return: 0; negative errno. */
int events_init(struct events *l);
void events_done(struct events *l);
/** events_add() - level-triggered. Return: 0; negative errno. */
int events_add(struct events *l, struct watch *w, uint32_t events);
int events_change(struct events *l, struct watch *w, uint32_t events);
void events_remove(struct events *l, struct watch *w);
/** events_once() - wait at most @timeout_ms (-1: for ever) and call what is due. Return: 0; negative errno. */
int events_once(struct events *l, int timeout_ms);

#endif
