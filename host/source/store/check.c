/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation. The table has every chunk that was met, under its digest, its length and whether it is to be
 * encrypted: who finds a chunk with another length than its index says has found another chunk. The chunks of one file that
 * are new go into a list, which threads take from; then the file's ranges are those of its chunks that are bad.
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

#define THREADS_MAX 16
#define PROGRESS_MS 200

struct seen {
	uint8_t digest[DIGEST_BYTES];
	uint32_t len;		/* 0: a free place */
	uint32_t why;		/* 0: good; else 1 + index in texts */
	bool crypt, sealed;
};

struct check {
	struct store *store;
	unsigned int threads;
	struct loaders loaders;
	struct seen *table;	/* open addressing, a power of two places */
	size_t room, nr;
	char **texts;		/* of bad chunks */
	size_t nr_texts, texts_room;
	struct check_stats stats;
	/* the file being checked */
	pthread_mutex_t lock;
	pthread_cond_t done;
	const struct crypt_key *key;
	size_t *todo;		/* places in the table */
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
	free(c->table);
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

/* The place of a chunk, or the free one where it belongs. Digests are spread evenly, or are our own trouble: it ends. */
static size_t place_of(const struct check *c, const struct seen *s)
{
	uint64_t h;
	size_t i;

	memcpy(&h, s->digest, sizeof(h));
	for (i = (size_t)h & (c->room - 1); c->table[i].len; i = (i + 1) & (c->room - 1))
		if (c->table[i].len == s->len && c->table[i].crypt == s->crypt && c->table[i].sealed == s->sealed &&
		    !memcmp(c->table[i].digest, s->digest, DIGEST_BYTES))
			break;
	return i;
}

/* Room for @more chunks, so that places do not move while a file is checked. */
static int make_room(struct check *c, size_t more)
{
	struct seen *old = c->table;
	const size_t old_room = c->room;
	size_t room = old_room ? old_room : 1024;

	while ((c->nr + more) * 4 > room * 3)
		room *= 2;
	if (room == old_room)
		return 0;
	c->table = calloc(room, sizeof(*c->table));
	if (!c->table) {
		c->table = old;
		return -ENOMEM;
	}
	c->room = room;
	for (size_t i = 0; i < old_room; i++)
		if (old[i].len)
			c->table[place_of(c, &old[i])] = old[i];
	free(old);
	return 0;
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
		struct seen *s = &c->table[c->todo[c->next++]];
		struct err why = ERR_INIT;
		int r;

		(void)pthread_mutex_unlock(&c->lock);
		r = load(c, s, l, &why);
		(void)pthread_mutex_lock(&c->lock);
		if (r == -ENOMEM)
			c->failed = r;
		else if (r < 0 && add_text(c, why.text, &s->why) < 0)
			c->failed = -ENOMEM;
		c->stats.chunks++;
		c->stats.bytes += s->len;
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

/* Lists the chunks of an index that were not met before. */
static int plan(struct check *c, const struct index *x, bool crypt)
{
	int r = make_room(c, x->nr_chunks);

	free(c->todo);
	c->nr_todo = 0;
	c->todo = r < 0 ? NULL : reallocarray(NULL, x->nr_chunks, sizeof(*c->todo));
	if (!c->todo)
		return -ENOMEM;
	for (size_t i = 0; i < x->nr_chunks; i++) {
		const struct seen s = key_of(c, x, i, crypt);
		const size_t at = place_of(c, &s);

		if (c->table[at].len)
			continue;
		c->table[at] = s;
		c->nr++;
		c->todo[c->nr_todo++] = at;
	}
	return 0;
}

/* Ranges of the chunks that are bad. */
static int collect(struct check *c, const struct index *x, bool crypt, struct check_range **ret, size_t *ret_nr)
{
	struct check_range *v = NULL;
	size_t nr = 0, room = 0;

	for (size_t i = 0; i < x->nr_chunks; i++) {
		const struct seen key = key_of(c, x, i, crypt), *s = &c->table[place_of(c, &key)];

		if (!s->why)
			continue;
		if (grow(&v, &room, nr, sizeof(*v)) < 0) {
			free(v);
			return -ENOMEM;
		}
		v[nr++] = (struct check_range){ index_start(x, i), s->len, s->digest, c->texts[s->why - 1] };
	}
	*ret = v;
	*ret_nr = nr;
	return 0;
}

static int check_index(struct check *c, struct snapshot *sn, const struct store_file *f, struct check_file *file,
		       const struct check_sink *sink, struct err *err)
{
	const bool crypt = !strcmp(f->crypt_mode, "encrypt");
	CLEANUP_FREE struct check_range *range = NULL;
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
	r = plan(c, &x, crypt);
	if (r < 0)
		return err_set(err, r, "verify");
	r = run(c, sink, err);
	if (r < 0)
		return r;
	if (collect(c, &x, crypt, &range, &file->nr_ranges) < 0)
		return err_set(err, -ENOMEM, "verify");
	file->range = range;
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
