/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation. A slot holds one chunk: being loaded (by the reader that needs it or by a worker), or ready. A
 * reader that finds no slot loads the chunk itself, in its own thread; if a worker has begun with this chunk it waits
 * for that. Workers take chunks of the window [ahead, ahead_end), which sequential reading moves on. A reader of archives
 * jumps to the end of each directory and comes back, so a jump changes nothing: only chunks in sequence elsewhere do. A load
 * that fails leaves no slot, so that the reader meets the error itself.
 */
#include "host/archive/stream.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/cleanup.h"

#define WORKERS_MIN 2
#define WORKERS_MAX 4
#define AHEAD_CHUNKS 64			/* the window at most, */
#define AHEAD_BYTES ((size_t)16 << 20)	/* and not much more than that */
#define EXPECT_BYTES ((size_t)512 << 10)	/* a chunk decoded faster is not worth a thread */
#define HUGE_PAGE ((size_t)2 << 20)
#define NONE (SIZE_MAX - 1)		/* no chunk, and no chunk follows it */
#define WORKER_STACK ((size_t)512 << 10)
#define BUCKETS 1024

struct slot {
	struct slot *prev, *next;	/* order of use, oldest first; a slot in use is in no list */
	struct slot *same;		/* next one of the bucket */
	size_t chunk, len;
	unsigned int users;
	bool ready;
	uint8_t *data;
};

struct stream {
	struct source src;
	struct chunks *chunks;
	size_t limit, used;		/* bytes of all slots, and what it takes to keep them */
	struct slot *bucket[BUCKETS];	/* by chunk */
	struct slot lru;		/* head of the ring */
	pthread_mutex_t lock;
	pthread_cond_t loaded, work;
	struct stream_stat stat;
	size_t last, run;		/* chunk read last, and last in sequence; NONE at first */
	size_t run_len;			/* chunks in sequence */
	size_t bad;			/* chunk that failed last, NONE if none: it is not tried again */
	int bad_code;
	struct err bad_why;
	size_t ahead, ahead_end;
	pthread_t worker[WORKERS_MAX];
	unsigned int nr_workers;
	bool stop, no_workers;
};

static void lru_remove(struct slot *s)
{
	s->prev->next = s->next;
	s->next->prev = s->prev;
	s->prev = s->next = NULL;
}

static void lru_append(struct stream *st, struct slot *s)
{
	s->next = &st->lru;
	s->prev = st->lru.prev;
	s->prev->next = s;
	st->lru.prev = s;
}

static struct slot *slot_find(const struct stream *st, size_t chunk)
{
	struct slot *s = st->bucket[chunk % BUCKETS];

	while (s && s->chunk != chunk)
		s = s->same;
	return s;
}

/* Bytes that a chunk of @len takes in memory: chunks may be tiny. */
static size_t cost(size_t len)
{
	return len + sizeof(struct slot);
}

static void slot_drop(struct stream *st, struct slot *s)
{
	struct slot **p = &st->bucket[s->chunk % BUCKETS];

	while (*p != s)
		p = &(*p)->same;
	*p = s->same;
	st->used -= cost(s->len);
	free(s->data);
	free(s);
}

/* Of a large chunk the page faults cost as much as its checksum does, if the pages are small ones. */
static uint8_t *slot_room(size_t len)
{
	void *p = NULL;

	if (len < HUGE_PAGE)
		return malloc(len);
	if (posix_memalign(&p, HUGE_PAGE, len) != 0)
		return NULL;
	(void)madvise(p, len, MADV_HUGEPAGE);
	return p;
}

/* Makes room for @len bytes; only what nobody uses can go. Return: is there room? */
static bool make_room(struct stream *st, size_t len)
{
	while (st->used + cost(len) > st->limit && st->lru.next != &st->lru) {
		struct slot *oldest = st->lru.next;

		lru_remove(oldest);
		slot_drop(st, oldest);
	}
	return st->used + cost(len) <= st->limit;
}

static struct slot *slot_new(struct stream *st, size_t chunk, size_t len)
{
	struct slot *s = malloc(sizeof(*s));

	if (!s)
		return NULL;
	*s = (struct slot){ .same = st->bucket[chunk % BUCKETS], .chunk = chunk, .len = len, .users = 1,
			    .data = slot_room(len) };
	if (!s->data) {
		free(s);
		return NULL;
	}
	st->bucket[chunk % BUCKETS] = s;
	st->used += cost(len);
	if (st->used > st->stat.peak_bytes)
		st->stat.peak_bytes = st->used;
	st->stat.loads++;
	return s;
}

static void slot_put(struct stream *st, struct slot *s)
{
	if (--s->users == 0)
		lru_append(st, s);
}

/* Loads a new slot without the lock. Return: 0, the slot is ready; negative errno, and it is gone. */
static int slot_load(struct stream *st, struct slot *s, struct err *err)
{
	int r;

	(void)pthread_mutex_unlock(&st->lock);
	r = chunks_load(st->chunks, s->chunk, s->data, err);
	(void)pthread_mutex_lock(&st->lock);
	s->ready = r == 0;
	if (r < 0)
		slot_drop(st, s);
	(void)pthread_cond_broadcast(&st->loaded);
	return r;
}

/* The next chunk of the window that is worth loading. Return: false if there is none. */
static bool next_ahead(struct stream *st, size_t *ret)
{
	while (st->ahead < st->ahead_end && slot_find(st, st->ahead))
		st->ahead++;
	if (st->ahead >= st->ahead_end)
		return false;
	*ret = st->ahead++;
	return true;
}

static void *work(void *arg)
{
	struct stream *st = arg;
	size_t chunk;

	(void)pthread_mutex_lock(&st->lock);
	while (!st->stop) {
		struct slot *s;
		size_t len;

		if (!next_ahead(st, &chunk)) {
			(void)pthread_cond_wait(&st->work, &st->lock);
			continue;
		}
		len = chunks_len(st->chunks, chunk);
		s = make_room(st, len) ? slot_new(st, chunk, len) : NULL;
		if (!s)
			st->ahead_end = st->ahead;
		else if (slot_load(st, s, NULL) == 0)
			slot_put(st, s);
	}
	(void)pthread_mutex_unlock(&st->lock);
	return NULL;
}

/* Without workers reading goes on as before, only slower. */
static void start_workers(struct stream *st)
{
	const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	const unsigned int nr = cpus <= WORKERS_MIN ? WORKERS_MIN : cpus >= WORKERS_MAX ? WORKERS_MAX : (unsigned int)cpus;
	pthread_attr_t attr;
	sigset_t all, old;

	st->no_workers = true;
	if (pthread_attr_init(&attr) != 0)
		return;
	(void)pthread_attr_setstacksize(&attr, WORKER_STACK);
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	while (st->nr_workers < nr && pthread_create(&st->worker[st->nr_workers], &attr, work, st) == 0)
		st->nr_workers++;
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	(void)pthread_attr_destroy(&attr);
}

/* Chunk @i is read now: what does that say of the next ones? */
static void plan_ahead(struct stream *st, size_t i)
{
	const size_t last = st->last, most = st->limit / 2 < AHEAD_BYTES ? st->limit / 2 : AHEAD_BYTES;
	size_t end = i + 1, bytes = 0, nr;

	st->last = i;
	if (i == last || (i != last + 1 && i != st->run + 1))
		return;
	st->run_len = i == st->run + 1 ? st->run_len + 1 : 1;
	st->run = i;
	nr = 2 * (st->run_len - 1) < AHEAD_CHUNKS ? 2 * (st->run_len - 1) : AHEAD_CHUNKS;
	if (!nr)
		return;
	while (end < st->chunks->nr_chunks && end <= i + nr && bytes < most)
		bytes += chunks_len(st->chunks, end++);
	if (st->ahead <= i || st->ahead > end)
		st->ahead = i + 1;
	st->ahead_end = end;
	if (!st->no_workers)
		start_workers(st);
	(void)pthread_cond_broadcast(&st->work);
}

/* Only where that is worth a thread: a large chunk. */
static void stream_expect(struct source *s, uint64_t off)
{
	struct stream *st = (struct stream *)s;
	const size_t i = chunks_find(st->chunks, off);

	if (!i || chunks_len(st->chunks, i) < EXPECT_BYTES)
		return;		/* the first one is read at once */
	(void)pthread_mutex_lock(&st->lock);
	if (!slot_find(st, i)) {
		st->ahead = i;
		st->ahead_end = i + 1;
		if (!st->no_workers)
			start_workers(st);
		(void)pthread_cond_broadcast(&st->work);
	}
	(void)pthread_mutex_unlock(&st->lock);
}

/* Chunk @i, ready and in use. The lock is held. */
static int slot_get(struct stream *st, size_t i, struct slot **ret, struct err *err)
{
	struct err why = ERR_INIT;
	struct slot *s;
	int r;

	plan_ahead(st, i);
	while ((s = slot_find(st, i)) && !s->ready)
		(void)pthread_cond_wait(&st->loaded, &st->lock);
	if (s) {
		if (s->users++ == 0)
			lru_remove(s);
		*ret = s;
		return 0;
	}
	if (i == st->bad)
		return err_text(err, st->bad_code, "%s", st->bad_why.text);
	(void)make_room(st, chunks_len(st->chunks, i));
	s = slot_new(st, i, chunks_len(st->chunks, i));
	if (!s)
		return err_set(err, -ENOMEM, "read archive");
	r = slot_load(st, s, &why);
	if (r == -EIO || r == -EBADMSG) {
		st->bad = i;
		st->bad_code = r;
		st->bad_why = why;
	}
	if (r < 0)
		return err_text(err, r, "%s", why.text);
	*ret = s;
	return 0;
}

static int read_part(struct stream *st, size_t i, size_t at, void *p, size_t n, struct err *err)
{
	struct slot *s = NULL;
	int r;

	(void)pthread_mutex_lock(&st->lock);
	r = slot_get(st, i, &s, err);
	(void)pthread_mutex_unlock(&st->lock);
	if (r < 0)
		return r;
	memcpy(p, s->data + at, n);
	(void)pthread_mutex_lock(&st->lock);
	slot_put(st, s);
	(void)pthread_mutex_unlock(&st->lock);
	return 0;
}

static int stream_read_at(struct source *src, void *p, size_t n, uint64_t off, struct err *err)
{
	struct stream *st = (struct stream *)src;
	uint8_t *to = p;
	int r = 0;

	if (!n)
		return 0;
	for (size_t i = chunks_find(st->chunks, off); n && r == 0; i++) {
		size_t at = (size_t)(off - chunks_start(st->chunks, i)), part = chunks_len(st->chunks, i) - at;

		if (part > n)
			part = n;
		r = read_part(st, i, at, to, part, err);
		to += part;
		off += part;
		n -= part;
	}
	return r;
}

static void stream_close(struct source *src)
{
	struct stream *st = (struct stream *)src;

	(void)pthread_mutex_lock(&st->lock);
	st->stop = true;
	(void)pthread_cond_broadcast(&st->work);
	(void)pthread_mutex_unlock(&st->lock);
	for (unsigned int i = 0; i < st->nr_workers; i++)
		(void)pthread_join(st->worker[i], NULL);
	while (st->lru.next != &st->lru) {
		struct slot *s = st->lru.next;

		lru_remove(s);
		slot_drop(st, s);
	}
	(void)pthread_cond_destroy(&st->loaded);
	(void)pthread_cond_destroy(&st->work);
	(void)pthread_mutex_destroy(&st->lock);
	chunks_close(st->chunks);
	free(st);
}

struct chunks *stream_chunks(struct source *s)
{
	return ((struct stream *)s)->chunks;
}

void stream_stat(struct source *s, struct stream_stat *ret)
{
	struct stream *st = (struct stream *)s;

	(void)pthread_mutex_lock(&st->lock);
	*ret = st->stat;
	(void)pthread_mutex_unlock(&st->lock);
}

static const struct source_ops stream_ops = {
	.read_at = stream_read_at, .expect = stream_expect, .close = stream_close,
};

int stream_open(struct chunks *c, size_t cache_bytes, struct source **ret, struct err *err)
{
	struct stream *st = calloc(1, sizeof(*st));

	if (!st) {
		chunks_close(c);
		return err_set(err, -ENOMEM, "open archive");
	}
	st->src = (struct source){ .ops = &stream_ops, .size_bytes = c->size_bytes, .unit_bytes = 1u << 20, .raw_fd = -1 };
	st->chunks = c;
	st->limit = cache_bytes;
	st->last = st->run = st->bad = NONE;
	st->lru.prev = st->lru.next = &st->lru;
	(void)pthread_mutex_init(&st->lock, NULL);
	(void)pthread_cond_init(&st->loaded, NULL);
	(void)pthread_cond_init(&st->work, NULL);
	*ret = &st->src;
	return 0;
}
