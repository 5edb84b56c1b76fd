/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation. A table has every chunk that was met (seen.h). The chunks of an index are taken some thousand at a time:
 * those that are new go into a list, which threads take from; then the ranges of those that are bad are known.
 */
#include "host/source/store/check.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/grow.h"
#include "host/source/store/blob.h"
#include "host/source/store/index.h"
#include "host/source/store/loaders.h"
#include "host/source/store/priv.h"
#include "host/source/store/seen.h"

#define THREADS_MAX 16
#define PROGRESS_MS 200
#define BATCH ((size_t)16384)	/* chunks */

/* A chunk that is to be read. */
struct todo {
	uint64_t place;		/* in the table */
	struct seen chunk;	/* its why: 0, or 1 + index in texts */
};

struct check {
	struct store *store;
	unsigned int threads;
	struct loaders loaders;
	struct seen_table seen;
	char **texts;		/* of bad chunks */
	size_t nr_texts, texts_room;
	struct check_stats stats;
	/* the batch being checked */
	pthread_mutex_t lock;
	pthread_cond_t done;
	const struct crypt_key *key;
	struct todo *todo;	/* BATCH of them */
	size_t nr_todo, next, running;
	bool stop;
	int failed;
};

CLEANUP_DEFINE(struct check *, check_free)

void check_free(struct check *c)
{
	if (!c)
		return;
	loaders_free(&c->loaders);
	for (size_t i = 0; i < c->nr_texts; i++)
		free(c->texts[i]);
	free(c->texts);
	seen_free(&c->seen);
	free(c->todo);
	(void)pthread_mutex_destroy(&c->lock);
	(void)pthread_cond_destroy(&c->done);
	free(c);
}

int check_new(struct store *s, unsigned int threads, struct check **ret, struct err *err)
{
	struct check *c = calloc(1, sizeof(*c));

	if (!c)
		return err_set(err, -ENOMEM, "verify");
	c->store = s;
	c->threads = threads < 1 ? 1 : threads > THREADS_MAX ? THREADS_MAX : threads;
	loaders_init(&c->loaders);
	(void)pthread_mutex_init(&c->lock, NULL);
	(void)pthread_cond_init(&c->done, NULL);
	*ret = c;
	return 0;
}

struct check_stats check_stats(const struct check *c)
{
	return c->stats;
}

static int add_text(struct check *c, const char *text, uint32_t *ret)
{
	if (grow(&c->texts, &c->texts_room, c->nr_texts, sizeof(*c->texts)) < 0)
		return -ENOMEM;
	c->texts[c->nr_texts] = strdup(text);
	if (!c->texts[c->nr_texts])
		return -ENOMEM;
	*ret = (uint32_t)++c->nr_texts;
	return 0;
}

static int tell_bad(struct check *c, struct todo *t, const char *text)
{
	const int r = add_text(c, text, &t->chunk.why);

	return r < 0 ? r : seen_put(&c->seen, t->place, &t->chunk, false);
}

static int load(struct check *c, const struct seen *s, struct loader *l, struct err *err)
{
	if (s->sealed)
		return chunk_check_sealed(&l->chunk, c->store->chunks_fd, s->digest, err);
	if (!l->unit)
		l->unit = malloc(BLOB_CHUNK_MAX);
	if (!l->unit)
		return err_set(err, -ENOMEM, "verify");
	return chunk_load(&l->chunk, c->store->chunks_fd, s->digest, s->crypt ? c->key : NULL, l->unit, s->len, err);
}

static void *work(void *arg)
{
	struct check *c = arg;
	struct loader *l = loaders_get(&c->loaders);

	(void)pthread_mutex_lock(&c->lock);
	if (!l)
		c->failed = -ENOMEM;
	while (!c->stop && !c->failed && c->next < c->nr_todo) {
		struct todo *t = &c->todo[c->next++];
		struct err why = ERR_INIT;
		int r;

		(void)pthread_mutex_unlock(&c->lock);
		r = load(c, &t->chunk, l, &why);
		(void)pthread_mutex_lock(&c->lock);
		if (r == -ENOMEM)
			c->failed = r;
		else if (r < 0)
			c->failed = tell_bad(c, t, why.text);
		c->stats.chunks++;
		c->stats.bytes += t->chunk.len;
		c->stats.bad += r < 0;
	}
	c->running--;
	(void)pthread_cond_signal(&c->done);
	(void)pthread_mutex_unlock(&c->lock);
	if (l)
		loaders_put(&c->loaders, l);
	return NULL;
}

/* With the lock held: until all threads are at their end. */
static int wait_for_all(struct check *c, const struct check_sink *sink)
{
	int r = 0;

	while (c->running) {
		struct timespec until;
		struct check_stats now;

		(void)clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += PROGRESS_MS * 1000000L;
		until.tv_sec += until.tv_nsec / 1000000000L;
		until.tv_nsec %= 1000000000L;
		(void)pthread_cond_timedwait(&c->done, &c->lock, &until);
		now = c->stats;
		(void)pthread_mutex_unlock(&c->lock);
		if (r == 0)
			r = sink->progress(sink->arg, &now);
		(void)pthread_mutex_lock(&c->lock);
		c->stop = r < 0;
	}
	return r < 0 ? r : c->failed;
}

static int run(struct check *c, const struct check_sink *sink, struct err *err)
{
	pthread_t thread[THREADS_MAX];
	unsigned int nr = 0;
	sigset_t all, old;
	int r;

	c->next = 0;
	c->stop = false;
	c->failed = 0;
	(void)sigfillset(&all);
	(void)sigdelset(&all, SIGSYS);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	(void)pthread_mutex_lock(&c->lock);
	while (nr < c->threads && nr < c->nr_todo && pthread_create(&thread[nr], NULL, work, c) == 0)
		nr++;
	c->running = nr;
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	r = !nr && c->nr_todo ? -EAGAIN : wait_for_all(c, sink);
	(void)pthread_mutex_unlock(&c->lock);
	for (unsigned int i = 0; i < nr; i++)
		(void)pthread_join(thread[i], NULL);
	return r < 0 ? err_set(err, r, "verify") : 0;
}

static struct seen key_of(const struct check *c, const struct index *x, size_t i, bool crypt)
{
	struct seen s = { .len = (uint32_t)index_chunk_len(x, i), .crypt = crypt, .sealed = crypt && !c->key };

	memcpy(s.digest, index_digest(x, i), DIGEST_BYTES);
	return s;
}

/* Lists those of @nr chunks of an index, from number @first on, that were not met before. */
static int plan(struct check *c, const struct index *x, size_t first, size_t nr, bool crypt)
{
	int r = seen_make_room(&c->seen, nr);

	c->nr_todo = 0;
	if (!c->todo)
		c->todo = calloc(BATCH, sizeof(*c->todo));
	if (!c->todo)
		return -ENOMEM;
	for (size_t i = first; r >= 0 && i < first + nr; i++) {
		struct todo *t = &c->todo[c->nr_todo];

		t->chunk = key_of(c, x, i, crypt);
		r = seen_find(&c->seen, &t->chunk, &t->place, NULL);
		if (r)
			continue;
		r = seen_put(&c->seen, t->place, &t->chunk, true);
		c->nr_todo++;
	}
	return r < 0 ? r : 0;
}

/* Ranges that are bad. */
struct ranges {
	struct check_range *v;
	size_t nr, room;
};

static void ranges_free(struct ranges *x)
{
	free(x->v);
}

/* Adds those of the same chunks. */
static int collect(struct check *c, const struct index *x, size_t first, size_t nr, bool crypt, struct ranges *ret)
{
	for (size_t i = first; i < first + nr; i++) {
		struct seen s = { 0 };
		const struct seen key = key_of(c, x, i, crypt);
		struct check_range *v;
		uint64_t place;
		const int r = seen_find(&c->seen, &key, &place, &s);

		if (r < 0)
			return r;
		if (!s.why)
			continue;
		if (grow(&ret->v, &ret->room, ret->nr, sizeof(*ret->v)) < 0)
			return -ENOMEM;
		v = &ret->v[ret->nr++];
		*v = (struct check_range){ .off = index_start(x, i), .len = s.len, .why = c->texts[s.why - 1] };
		memcpy(v->digest, s.digest, DIGEST_BYTES);
	}
	return 0;
}

static int check_chunks(struct check *c, const struct index *x, bool crypt, struct ranges *ret,
			const struct check_sink *sink, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < x->nr_chunks; i += BATCH) {
		const size_t nr = x->nr_chunks - i < BATCH ? x->nr_chunks - i : BATCH;

		r = plan(c, x, i, nr, crypt);
		if (r < 0)
			return err_set(err, r, "verify");
		r = run(c, sink, err);
		if (r == 0 && (r = collect(c, x, i, nr, crypt, ret)) < 0)
			return err_set(err, r, "verify");
	}
	return r;
}

static int check_index(struct check *c, struct snapshot *sn, const struct store_file *f, struct check_file *file,
		       const struct check_sink *sink, struct err *err)
{
	const bool crypt = !strcmp(f->crypt_mode, "encrypt");
	CLEANUP(ranges_free) struct ranges bad = { 0 };
	CLEANUP(index_free) struct index x = { 0 };
	struct err why = ERR_INIT;
	int r = index_load(sn->fd, f, &x, &why);

	if (r == -ENOMEM)
		return err_set(err, r, "verify");
	if (r < 0) {
		file->error = why.text;
		return sink->file(sink->arg, file);
	}
	file->nr_chunks = x.nr_chunks;
	file->sealed = crypt && !c->key;
	r = check_chunks(c, &x, crypt, &bad, sink, err);
	if (r < 0)
		return r;
	file->range = bad.v;
	file->nr_ranges = bad.nr;
	return sink->file(sink->arg, file);
}

static int check_blob_file(struct snapshot *sn, const struct store_file *f, struct check_file *file,
			   const struct check_sink *sink)
{
	CLEANUP_BUF struct buf text = { .limit = STORE_BLOB_MAX };
	struct err why = ERR_INIT;
	const int r = snapshot_read_blob(sn, f->name, &text, &why);

	file->sealed = r == -ENOKEY;
	if (r < 0 && !file->sealed)
		file->error = why.text;
	return sink->file(sink->arg, file);
}

int check_snapshot(struct check *c, struct snapshot *sn, const struct check_sink *sink, struct err *err)
{
	int r = 0;

	c->key = sn->has_key ? &sn->key : NULL;
	for (size_t i = 0; i < sn->manifest->nr_files && r == 0; i++) {
		const struct store_file *f = &sn->manifest->files[i];
		struct check_file file = { .name = f->name, .size_bytes = f->size };

		if (names_file_kind(f->name, strlen(f->name)) == NAMES_BLOB)
			r = check_blob_file(sn, f, &file, sink);
		else
			r = check_index(c, sn, f, &file, sink, err);
	}
	return r;
}
