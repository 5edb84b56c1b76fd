/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A dynamic index as chunks. Loads share the index, which never changes, and a short list of loaders. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "host/source/chunks.h"
#include "host/source/store/chunk.h"
#include "host/source/store/index_dynamic.h"
#include "host/source/store/index_fixed.h"
#include "host/source/store/priv.h"

#define ARCHIVE_LOADERS 4		/* kept for the next load */

struct archive_loader {
	struct chunk_loader chunk;
	struct archive_loader *next;
};

struct archive {
	struct chunks chunks;
	struct snapshot *sn;
	struct buf file;
	struct index_dynamic index;
	const struct crypt_key *key;	/* NULL: chunks are not encrypted */
	pthread_mutex_t lock;
	struct archive_loader *idle;
	unsigned int nr_idle;
};

static void loader_free(struct archive_loader *l)
{
	if (!l)
		return;
	chunk_loader_free(&l->chunk);
	free(l);
}

static struct archive_loader *loader_get(struct archive *a)
{
	struct archive_loader *l;

	(void)pthread_mutex_lock(&a->lock);
	l = a->idle;
	if (l) {
		a->idle = l->next;
		a->nr_idle--;
	}
	(void)pthread_mutex_unlock(&a->lock);
	if (l)
		return l;
	l = calloc(1, sizeof(*l));
	if (l && chunk_loader_init(&l->chunk) < 0) {
		free(l);
		return NULL;
	}
	return l;
}

static void loader_put(struct archive *a, struct archive_loader *l)
{
	(void)pthread_mutex_lock(&a->lock);
	if (a->nr_idle < ARCHIVE_LOADERS) {
		l->next = a->idle;
		a->idle = l;
		a->nr_idle++;
		l = NULL;
	}
	(void)pthread_mutex_unlock(&a->lock);
	loader_free(l);
}

static size_t archive_find(struct chunks *c, uint64_t off)
{
	struct archive *a = (struct archive *)c;
	size_t i = 0;

	(void)index_dynamic_find(&a->index, off, &i);
	return i;
}

static uint64_t archive_start(struct chunks *c, size_t i)
{
	struct archive *a = (struct archive *)c;

	return index_dynamic_start(&a->index, i);
}

static int archive_load(struct chunks *c, size_t i, void *p, struct err *err)
{
	struct archive *a = (struct archive *)c;
	struct archive_loader *l = loader_get(a);
	int r;

	if (!l)
		return err_set(err, -ENOMEM, "read archive");
	r = chunk_load(&l->chunk, a->sn->store->chunks_fd, index_dynamic_digest(&a->index, i), a->key, p, chunks_len(c, i),
		       err);
	loader_put(a, l);
	return r;
}

static void archive_close(struct chunks *c)
{
	struct archive *a = (struct archive *)c;

	while (a->idle) {
		struct archive_loader *l = a->idle;

		a->idle = l->next;
		loader_free(l);
	}
	(void)pthread_mutex_destroy(&a->lock);
	buf_free(&a->file);
	free(a);
}

static const struct chunks_ops archive_ops = { archive_find, archive_start, archive_load, archive_close };

CLEANUP_DEFINE(struct chunks *, chunks_close)

static int load_index(struct archive *a, const struct store_file *f, struct err *err)
{
	int r = chunk_read_file(a->sn->fd, f->name, INDEX_FILE_MAX, &a->file, err);

	if (r == 0)
		r = index_dynamic_parse(a->file.data, a->file.len, &a->index, err);
	if (r < 0)
		return err_ctx(err, r == -EFBIG ? -EBADMSG : r, "file '%s'", f->name);
	if (f->has_csum && memcmp(a->index.csum, f->csum, DIGEST_BYTES))
		return err_text(err, -EBADMSG, "wrong checksum for file '%s'", f->name);
	if (a->index.size_bytes != f->size)
		return err_text(err, -EBADMSG, "wrong size for file '%s'", f->name);
	return 0;
}

int snapshot_open_archive(struct snapshot *sn, const char *file, struct chunks **ret, struct err *err)
{
	const struct store_file *f = manifest_find(sn->manifest, file);
	CLEANUP(chunks_closep) struct chunks *c = NULL;
	struct archive *a;
	int r;

	if (!f)
		return err_text(err, -ENOENT, "file '%.255s' is not in the manifest", file);
	if (names_file_kind(file, strlen(file)) != NAMES_DIDX)
		return err_text(err, -EINVAL, "file '%s' is not a file archive or catalog", file);
	if (!strcmp(f->crypt_mode, "encrypt") && !sn->has_key)
		return err_text(err, -ENOKEY, "file '%s' is encrypted and there is no key", file);
	a = calloc(1, sizeof(*a));
	if (!a)
		return err_set(err, -ENOMEM, "open archive");
	c = &a->chunks;
	a->chunks.ops = &archive_ops;
	a->sn = sn;
	a->file.limit = (size_t)INDEX_FILE_MAX + 1;
	a->key = strcmp(f->crypt_mode, "encrypt") ? NULL : &sn->key;
	(void)pthread_mutex_init(&a->lock, NULL);
	r = load_index(a, f, err);
	if (r < 0)
		return r;
	a->chunks.size_bytes = a->index.size_bytes;
	a->chunks.nr_chunks = a->index.nr_chunks;
	*ret = TAKE_PTR(c);
	return 0;
}
