/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/session/fill.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "common/cleanup.h"

#define FILL_THREADS_MAX 16

struct queue {
	struct fill_job *first, **last;
};

struct fill {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct queue demand, prefetch, done;
	bool stop;
	int fd;
	unsigned int nr_threads, nr_ahead;	/* threads, and those that read ahead now */
	pthread_t threads[FILL_THREADS_MAX];
};

static void push(struct queue *q, struct fill_job *j)
{
	if (!q->first)
		q->last = &q->first;
	j->next = NULL;
	*q->last = j;
	q->last = &j->next;
}

static struct fill_job *pop(struct queue *q)
{
	struct fill_job *j = q->first;

	if (j)
		q->first = j->next;
	return j;
}

/* Return: was @j there? */
static bool take_out(struct queue *q, const struct fill_job *j)
{
	for (struct fill_job **p = &q->first; *p; p = &(*p)->next) {
		if (*p != j)
			continue;
		*p = j->next;
		if (!*p)
			q->last = p;
		return true;
	}
	return false;
}

static void run_job(struct fill_job *j)
{
	struct source *s = j->source;
	uint64_t off = j->unit * s->unit_bytes;
	size_t n = s->size_bytes - off < s->unit_bytes ? (size_t)(s->size_bytes - off) : s->unit_bytes;

	j->err = ERR_INIT;
	j->zero = source_is_zero(s, j->unit);
	if (j->zero)
		return;
	j->code = source_read_at(s, j->to, n, off, &j->err);
	if (j->code == 0 && n < j->room)
		memset(j->to + n, 0, (s->unit_bytes < j->room ? s->unit_bytes : j->room) - n);
}

/* The job for this thread; *@ret_ahead: does it count among those that read ahead? */
static struct fill_job *next_job(struct fill *f, bool *ret_ahead)
{
	struct fill_job *j = pop(&f->demand);

	*ret_ahead = false;
	if (!j && f->nr_ahead + 1 < f->nr_threads) {
		j = pop(&f->prefetch);
		*ret_ahead = j;
	}
	f->nr_ahead += *ret_ahead;
	return j;
}

static void *worker(void *arg)
{
	struct fill *f = arg;
	bool ahead;

	(void)pthread_mutex_lock(&f->lock);
	while (!f->stop) {
		struct fill_job *j = next_job(f, &ahead);

		if (!j) {
			(void)pthread_cond_wait(&f->more, &f->lock);
			continue;
		}
		(void)pthread_mutex_unlock(&f->lock);
		run_job(j);
		(void)pthread_mutex_lock(&f->lock);
		f->nr_ahead -= ahead;
		push(&f->done, j);
		(void)eventfd_write(f->fd, 1);
	}
	(void)pthread_mutex_unlock(&f->lock);
	return NULL;
}

int fill_new(unsigned int nr_threads, struct fill **ret, struct err *err)
{
	struct fill *f = calloc(1, sizeof(*f));
	sigset_t all, old;
	int r = 0;

	if (!f)
		return err_set(err, -ENOMEM, "threads");
	f->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (f->fd < 0) {
		free(f);
		return err_set(err, -errno, "eventfd");
	}
	(void)pthread_mutex_init(&f->lock, NULL);
	(void)pthread_cond_init(&f->more, NULL);
	(void)pthread_mutex_lock(&f->lock);	/* threads see how many there are when all are there */
	(void)sigfillset(&all);
	(void)sigdelset(&all, SIGSYS);	/* so that a forbidden call is told (host/confine) */
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	while (r == 0 && f->nr_threads < nr_threads && f->nr_threads < FILL_THREADS_MAX) {
		r = -pthread_create(&f->threads[f->nr_threads], NULL, worker, f);
		if (r == 0)
			f->nr_threads++;
	}
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	(void)pthread_mutex_unlock(&f->lock);
	if (r < 0) {
		fill_free(f, NULL);
		return err_set(err, r, "threads");
	}
	*ret = f;
	return 0;
}

void fill_add(struct fill *f, struct fill_job *job)
{
	(void)pthread_mutex_lock(&f->lock);
	push(job->prefetch ? &f->prefetch : &f->demand, job);
	(void)pthread_cond_signal(&f->more);
	(void)pthread_mutex_unlock(&f->lock);
}

void fill_urge(struct fill *f, struct fill_job *job)
{
	(void)pthread_mutex_lock(&f->lock);
	if (take_out(&f->prefetch, job)) {
		push(&f->demand, job);
		(void)pthread_cond_signal(&f->more);
	}
	(void)pthread_mutex_unlock(&f->lock);
}

int fill_fd(const struct fill *f)
{
	return f->fd;
}

struct fill_job *fill_take(struct fill *f)
{
	struct fill_job *j;
	eventfd_t v;

	(void)pthread_mutex_lock(&f->lock);
	j = pop(&f->done);
	if (!f->done.first)
		(void)eventfd_read(f->fd, &v);
	(void)pthread_mutex_unlock(&f->lock);
	return j;
}

void fill_free(struct fill *f, void (*drop)(struct fill_job *job))
{
	struct queue *const queues[] = { &f->demand, &f->prefetch, &f->done };

	(void)pthread_mutex_lock(&f->lock);
	f->stop = true;
	(void)pthread_cond_broadcast(&f->more);
	(void)pthread_mutex_unlock(&f->lock);
	for (unsigned int i = 0; i < f->nr_threads; i++)
		(void)pthread_join(f->threads[i], NULL);
	for (size_t i = 0; i < sizeof(queues) / sizeof(*queues); i++)
		for (struct fill_job *j = pop(queues[i]); j; j = pop(queues[i]))
			if (drop)
				drop(j);
	(void)close(f->fd);
	(void)pthread_cond_destroy(&f->more);
	(void)pthread_mutex_destroy(&f->lock);
	free(f);
}
