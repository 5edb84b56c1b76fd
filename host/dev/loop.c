/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/dev/loop.h"

#include <errno.h>
#include <unistd.h>

int loop_init(struct loop *l)
{
	*l = (struct loop){ .epoll_fd = epoll_create1(EPOLL_CLOEXEC) };
	l->jobs_end = &l->jobs;
	return l->epoll_fd < 0 ? -errno : 0;
}

void loop_fini(struct loop *l)
{
	if (l->epoll_fd >= 0)
		(void)close(l->epoll_fd);
	l->epoll_fd = -1;
}

int loop_add(struct loop *l, struct loop_src *s, int fd, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = s };

	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0)
		return -errno;
	s->fd = fd;
	return 0;
}

void loop_del(struct loop *l, struct loop_src *s)
{
	if (s->fd < 0)
		return;
	(void)epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
	s->fd = -1;
	for (int i = 0; i < l->nr_batch; i++)
		if (l->batch[i].data.ptr == s)
			l->batch[i].data.ptr = NULL;
}

void loop_later(struct loop *l, struct loop_job *j)
{
	if (j->queued)
		return;
	j->queued = true;
	j->next = NULL;
	*l->jobs_end = j;
	l->jobs_end = &j->next;
}

/* Only the jobs that are there now: what they queue waits for the next round. */
static void run_jobs(struct loop *l)
{
	struct loop_job *j = l->jobs;

	l->jobs = NULL;
	l->jobs_end = &l->jobs;
	while (j && !l->stop) {
		struct loop_job *next = j->next;

		j->queued = false;
		j->fn(j);
		j = next;
	}
}

int loop_run(struct loop *l)
{
	while (!l->stop) {
		int n = epoll_wait(l->epoll_fd, l->batch, LOOP_BATCH, l->jobs ? 0 : -1);

		if (n < 0 && errno != EINTR)
			return -errno;
		l->nr_batch = n < 0 ? 0 : n;
		for (int i = 0; i < l->nr_batch && !l->stop; i++) {
			struct loop_src *s = l->batch[i].data.ptr;

			if (s)
				s->fn(s, l->batch[i].events);
		}
		l->nr_batch = 0;
		run_jobs(l);
	}
	return 0;
}
