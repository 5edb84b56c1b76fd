/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One disk image into chunks. Two threads take chunk numbers in turn, read, hash and store; the caller is one of them
 * and reports progress. What lies in a hole is neither read nor hashed.
 */
#include "host/source/store/backup_image.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "host/source/store/blob.h"
#include "host/source/store/index_fixed.h"
#include "host/source/store/priv.h"
#include "host/source/store/put.h"

struct job {
	const struct store *store;
	const struct backup_input *in;
	const struct crypt_key *key;	/* NULL: not encrypted */
	uint64_t size_bytes;
	size_t nr_chunks;
	uint8_t *digests;
	bool holes;			/* SEEK_DATA works */
	uint8_t zero[DIGEST_BYTES];	/* of a full chunk of zeros */
	atomic_size_t next;
	atomic_uint_fast64_t done, new_bytes;
	atomic_size_t new_chunks;
	atomic_bool stop;
	pthread_mutex_t lock;
	bool zero_stored;		/* under the lock */
	struct err err;			/* of the first failure, under the lock */
};

struct worker {
	struct job *job;
	struct blob_codec *codec;
	uint8_t *data;
	struct buf room;
	backup_progress_fn *progress;	/* the caller's thread alone */
	void *arg;
};

static void fail(struct job *j, const struct err *e)
{
	(void)pthread_mutex_lock(&j->lock);
	if (!j->err.code)
		j->err = *e;
	(void)pthread_mutex_unlock(&j->lock);
	atomic_store(&j->stop, true);
}

static bool all_zero(const uint8_t *p, size_t n)
{
	size_t head = n < 64 ? n : 64;

	for (size_t i = 0; i < head; i++)
		if (p[i])
			return false;
	return n == head || !memcmp(p, p + head, n - head);
}

/* Does nothing but a hole lie there? (pread and lseek of two threads do not disturb each other: results count, not the
 * position.) */
static bool is_hole(const struct job *j, uint64_t off, size_t n)
{
	off_t data;

	if (!j->holes)
		return false;
	data = lseek(j->in->fd, (off_t)off, SEEK_DATA);
	if (data < 0)
		return errno == ENXIO;
	return (uint64_t)data >= off + n;
}

static int read_chunk(struct worker *w, uint64_t off, size_t n, bool *ret_zero, struct err *err)
{
	int r;

	*ret_zero = is_hole(w->job, off, n);
	if (*ret_zero) {
		memset(w->data, 0, n);
		return 0;
	}
	r = io_pread_full(w->job->in->fd, w->data, n, off);
	if (r == -ENODATA)
		return err_text(err, -EIO, "'%s' became smaller while it was read", w->job->in->name);
	if (r < 0)
		return err_set(err, r, "read '%s' at %llu", w->job->in->name, (unsigned long long)off);
	*ret_zero = all_zero(w->data, n);
	return 0;
}

static int chunk_digest(const struct job *j, const void *p, size_t n, uint8_t ret[static DIGEST_BYTES])
{
	return digest_sha256(p, n, j->key ? j->key->id_key : NULL, j->key ? KEY_BYTES : 0, ret);
}

static int store_chunk(struct worker *w, size_t i, size_t n, bool zero, struct err *err)
{
	struct job *j = w->job;
	uint8_t *digest = j->digests + i * DIGEST_BYTES;
	bool full_zero = zero && n == BACKUP_CHUNK_BYTES, known = false;
	uint64_t written = 0;
	int r;

	if (full_zero) {
		memcpy(digest, j->zero, DIGEST_BYTES);
		(void)pthread_mutex_lock(&j->lock);
		known = j->zero_stored;
		(void)pthread_mutex_unlock(&j->lock);
	} else if (chunk_digest(j, w->data, n, digest) < 0) {
		return err_set(err, -EIO, "digest");
	}
	if (known)
		return 0;
	r = put_chunk(j->store, w->codec, &w->room, j->key, digest, w->data, n, &written, err);
	if (r < 0)
		return r;
	if (full_zero) {
		(void)pthread_mutex_lock(&j->lock);
		j->zero_stored = true;
		(void)pthread_mutex_unlock(&j->lock);
	}
	if (written)
		atomic_fetch_add(&j->new_chunks, 1);
	atomic_fetch_add(&j->new_bytes, written);
	return 0;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct job *j = w->job;
	struct err e = ERR_INIT;

	while (!atomic_load(&j->stop)) {
		size_t i = atomic_fetch_add(&j->next, 1), n;
		uint64_t off = (uint64_t)i * BACKUP_CHUNK_BYTES;
		bool zero;
		int r;

		if (i >= j->nr_chunks)
			break;
		n = j->size_bytes - off < BACKUP_CHUNK_BYTES ? (size_t)(j->size_bytes - off) : BACKUP_CHUNK_BYTES;
		if (read_chunk(w, off, n, &zero, &e) < 0 || store_chunk(w, i, n, zero, &e) < 0) {
			fail(j, &e);
			break;
		}
		atomic_fetch_add(&j->done, n);
		r = w->progress ? w->progress(w->arg, j->in->name, atomic_load(&j->done), j->size_bytes) : 0;
		if (r < 0) {
			(void)err_set(&e, r, "back up '%s'", j->in->name);
			fail(j, &e);
		}
	}
	return NULL;
}

static int worker_init(struct worker *w, struct job *j)
{
	*w = (struct worker){ .job = j, .codec = blob_codec_new(), .data = malloc(BACKUP_CHUNK_BYTES) };
	return w->codec && w->data ? 0 : -ENOMEM;
}

static void worker_free(struct worker *w)
{
	blob_codec_free(w->codec);
	buf_free(&w->room);
	free(w->data);
}

static int input_size(const struct backup_input *in, uint64_t *ret, struct err *err)
{
	struct stat st;
	off_t size;

	if (fstat(in->fd, &st) < 0)
		return err_set(err, -errno, "stat '%s'", in->name);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return err_text(err, -EINVAL, "'%s' is neither a file nor a block device", in->name);
	size = S_ISREG(st.st_mode) ? st.st_size : lseek(in->fd, 0, SEEK_END);
	if (size < 0)
		return err_set(err, -errno, "find the size of '%s'", in->name);
	*ret = (uint64_t)size;
	return 0;
}

static int run(struct job *j, backup_progress_fn *progress, void *arg, struct err *err)
{
	struct worker w[2];
	pthread_t thread;
	bool second = false;
	int r = worker_init(&w[0], j), r2 = worker_init(&w[1], j);

	w[0].progress = progress;
	w[0].arg = arg;
	if (r == 0 && r2 == 0) {
		second = j->nr_chunks > 1 && pthread_create(&thread, NULL, work, &w[1]) == 0;
		(void)work(&w[0]);
		if (second)
			(void)pthread_join(thread, NULL);
		r = j->err.code;
		if (r < 0 && err)
			*err = j->err;
	} else {
		r = err_set(err, -ENOMEM, "back up '%s'", j->in->name);
	}
	worker_free(&w[0]);
	worker_free(&w[1]);
	return r;
}

static int prepare(struct job *j, struct err *err)
{
	CLEANUP_FREE uint8_t *zeros = calloc(1, BACKUP_CHUNK_BYTES);
	uint64_t count;
	int r;

	r = input_size(j->in, &j->size_bytes, err);
	if (r < 0)
		return r;
	if (!j->size_bytes)
		return err_text(err, -EINVAL, "'%s' is empty", j->in->name);
	count = (j->size_bytes - 1) / BACKUP_CHUNK_BYTES + 1;
	if (count > (INDEX_FILE_MAX - INDEX_HEADER) / DIGEST_BYTES)
		return err_text(err, -EFBIG, "'%s' is too big", j->in->name);
	j->nr_chunks = (size_t)count;
	j->digests = malloc(j->nr_chunks * DIGEST_BYTES);
	j->holes = lseek(j->in->fd, 0, SEEK_DATA) >= 0 || errno == ENXIO;
	if (!zeros || !j->digests)
		return err_set(err, -ENOMEM, "back up '%s'", j->in->name);
	r = chunk_digest(j, zeros, BACKUP_CHUNK_BYTES, j->zero);
	return r < 0 ? err_set(err, r, "digest") : 0;
}

int backup_image(const struct store *s, const struct backup_input *in, const struct crypt_key *key,
		 backup_progress_fn *progress, void *arg, struct backup_stats *stats, uint8_t **ret_digests,
		 uint64_t *ret_size, struct err *err)
{
	struct job j = { .store = s, .in = in, .key = key, .lock = PTHREAD_MUTEX_INITIALIZER };
	uint64_t size;
	int r;

	r = prepare(&j, err);
	if (r == 0)
		r = run(&j, progress, arg, err);
	if (r == 0)
		r = input_size(in, &size, err);
	if (r == 0 && size != j.size_bytes)
		r = err_text(err, -EIO, "'%s' changed its size while it was read", in->name);
	if (r < 0) {
		free(j.digests);
		return r;
	}
	stats->bytes += size;
	stats->chunks += j.nr_chunks;
	stats->new_chunks += atomic_load(&j.new_chunks);
	stats->new_bytes += atomic_load(&j.new_bytes);
	*ret_digests = j.digests;
	*ret_size = size;
	return 0;
}
