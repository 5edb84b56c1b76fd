/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/session/events.h"

#include <errno.h>

#define EVENTS_BATCH 32

int events_init(struct events *l)
{
	l->epfd = epoll_create1(EPOLL_CLOEXEC);
	return l->epfd < 0 ? -errno : 0;
}

void events_done(struct events *l)
{
	if (l->epfd >= 0)
		(void)close(l->epfd);
	l->epfd = -1;
}

int events_add(struct events *l, struct watch *w, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	return epoll_ctl(l->epfd, EPOLL_CTL_ADD, w->fd, &ev) < 0 ? -errno : 0;
}

int events_change(struct events *l, struct watch *w, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	return epoll_ctl(l->epfd, EPOLL_CTL_MOD, w->fd, &ev) < 0 ? -errno : 0;
}

void events_remove(struct events *l, struct watch *w)
{
	if (w->fd < 0)
		return;
	(void)epoll_ctl(l->epfd, EPOLL_CTL_DEL, w->fd, NULL);
	w->fd = -1;
	l->dirty = true;
}

int events_once(struct events *l, int timeout_ms)
{
	struct epoll_event ev[EVENTS_BATCH];
	int n = epoll_wait(l->epfd, ev, EVENTS_BATCH, timeout_ms);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	l->dirty = false;
	/* Level-triggered: what is left out comes again. */
	for (int i = 0; i < n && !l->dirty; i++) {
		struct watch *w = ev[i].data.ptr;

		w->fn(w, ev[i].events);
	}
	return 0;
}
