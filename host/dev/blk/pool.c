/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/dev/blk/pool.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void *worker(void *arg)
{
	struct pool *p = arg;

	(void)pthread_mutex_lock(&p->lock);
	p->nr_started++;
	(void)pthread_cond_signal(&p->idle);
	for (;;) {
		struct pool_job *j;
		uint64_t one = 1;

		while (!p->todo && !p->end)
			(void)pthread_cond_wait(&p->work, &p->lock);
		if (p->end)
			break;
		j = p->todo;
		p->todo = j->next;
		if (!p->todo)
			p->todo_end = &p->todo;
		p->running++;
		(void)pthread_mutex_unlock(&p->lock);
		j->run(j);
		(void)pthread_mutex_lock(&p->lock);
		j->next = p->finished;
		p->finished = j;
		p->running--;
		if (!p->running && !p->todo)
			(void)pthread_cond_signal(&p->idle);
		if (write(p->event_fd, &one, sizeof(one)) < 0)
			continue;	/* the counter is full: the loop is awake anyway */
	}
	(void)pthread_mutex_unlock(&p->lock);
	return NULL;
}

static void finish(struct pool *p)
{
	struct pool_job *j;

	(void)pthread_mutex_lock(&p->lock);
	j = p->finished;
	p->finished = NULL;
	(void)pthread_mutex_unlock(&p->lock);
	while (j) {
		struct pool_job *next = j->next;

		j->done(j);
		j = next;
	}
}

static void woken(struct loop_src *s, uint32_t events)
{
	struct pool *p = (struct pool *)(void *)((char *)s - offsetof(struct pool, event));
	uint64_t n;

	(void)events;
	if (read(p->event_fd, &n, sizeof(n)) < 0)
		return;
	finish(p);
}

static int start(struct pool *p, unsigned int wanted)
{
	pthread_attr_t attr;
	int r = -pthread_attr_init(&attr);

	if (r < 0)
		return r;
	r = -pthread_attr_setstacksize(&attr, POOL_STACK_BYTES);
	while (r == 0 && p->nr_threads < wanted) {
		r = -pthread_create(&p->thread[p->nr_threads], &attr, worker, p);
		if (r == 0)
			p->nr_threads++;
	}
	(void)pthread_attr_destroy(&attr);
	return p->nr_threads ? 0 : r;
}

int pool_init(struct pool *p, struct loop *loop, unsigned int wanted)
{
	int r;

	*p = (struct pool){ .loop = loop, .event = { .fn = woken, .fd = -1 } };
	p->todo_end = &p->todo;
	p->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->event_fd < 0)
		return -errno;
	(void)pthread_mutex_init(&p->lock, NULL);
	(void)pthread_cond_init(&p->work, NULL);
	(void)pthread_cond_init(&p->idle, NULL);
	r = loop_add(loop, &p->event, p->event_fd, EPOLLIN);
	if (r == 0)
		r = start(p, wanted < POOL_THREADS_MAX ? wanted : POOL_THREADS_MAX);
	if (r < 0) {
		pool_fini(p);
		return r;
	}
	/* Starting needs system calls that the sandbox forbids later. */
	(void)pthread_mutex_lock(&p->lock);
	while (p->nr_started < p->nr_threads)
		(void)pthread_cond_wait(&p->idle, &p->lock);
	(void)pthread_mutex_unlock(&p->lock);
	return 0;
}

void pool_fini(struct pool *p)
{
	(void)pthread_mutex_lock(&p->lock);
	p->end = true;
	(void)pthread_cond_broadcast(&p->work);
	(void)pthread_mutex_unlock(&p->lock);
	for (unsigned int i = 0; i < p->nr_threads; i++)
		(void)pthread_join(p->thread[i], NULL);
	loop_del(p->loop, &p->event);
	(void)close(p->event_fd);
	(void)pthread_cond_destroy(&p->idle);
	(void)pthread_cond_destroy(&p->work);
	(void)pthread_mutex_destroy(&p->lock);
}

void pool_submit(struct pool *p, struct pool_job *j)
{
	j->next = NULL;
	(void)pthread_mutex_lock(&p->lock);
	*p->todo_end = j;
	p->todo_end = &j->next;
	(void)pthread_cond_signal(&p->work);
	(void)pthread_mutex_unlock(&p->lock);
}

void pool_quiesce(struct pool *p)
{
	(void)pthread_mutex_lock(&p->lock);
	while (p->todo || p->running)
		(void)pthread_cond_wait(&p->idle, &p->lock);
	(void)pthread_mutex_unlock(&p->lock);
	finish(p);
}
