/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A dynamic index as chunks. Loads share the index, which never changes, and a short list of loaders. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "host/source/chunks.h"
#include "host/source/store/index_dynamic.h"
#include "host/source/store/index_fixed.h"
#include "host/source/store/loaders.h"
#include "host/source/store/priv.h"

struct archive {
	struct chunks chunks;
	struct snapshot *sn;
	struct buf file;
	struct index_dynamic index;
	const struct crypt_key *key;	/* NULL: chunks are not encrypted */
	struct loaders loaders;
};

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
	struct loader *l = loaders_get(&a->loaders);
	int r;

	if (!l)
		return err_set(err, -ENOMEM, "read archive");
	r = chunk_load(&l->chunk, a->sn->store->chunks_fd, index_dynamic_digest(&a->index, i), a->key, p, chunks_len(c, i),
		       err);
	loaders_put(&a->loaders, l);
	return r;
}

static void archive_close(struct chunks *c)
{
	struct archive *a = (struct archive *)c;

	loaders_free(&a->loaders);
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
	loaders_init(&a->loaders);
	r = load_index(a, f, err);
	if (r < 0)
		return r;
	a->chunks.size_bytes = a->index.size_bytes;
	a->chunks.nr_chunks = a->index.nr_chunks;
	*ret = TAKE_PTR(c);
	return 0;
}
