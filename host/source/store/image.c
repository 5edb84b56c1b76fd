/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A fixed index as a source. Nothing is shared between two reads but the index, which never changes, and a short list
 * of loaders: each read takes one (or makes one) and puts it back.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "host/source/store/blob.h"
#include "host/source/store/index_fixed.h"
#include "host/source/store/loaders.h"
#include "host/source/store/priv.h"

struct image {
	struct source src;
	struct snapshot *sn;
	struct buf file;
	struct index_fixed index;
	const struct crypt_key *key;		/* NULL: chunks are not encrypted */
	pthread_mutex_t lock;
	bool zero_known;
	uint8_t zero[2][DIGEST_BYTES];		/* of a full chunk of zeros, and of the last one */
	struct loaders loaders;
};

/* Digests of the two chunks of zeros that this image can hold. */
static void learn_zeros(struct image *im)
{
	size_t full = index_fixed_chunk_len(&im->index, 0), last = index_fixed_chunk_len(&im->index, im->index.nr_chunks - 1);
	CLEANUP_FREE uint8_t *zeros = calloc(1, full);
	const uint8_t *id = im->key ? im->key->id_key : NULL;

	if (zeros && digest_sha256(zeros, full, id, id ? KEY_BYTES : 0, im->zero[0]) == 0 &&
	    digest_sha256(zeros, last, id, id ? KEY_BYTES : 0, im->zero[1]) == 0)
		im->zero_known = true;
}

static bool image_is_zero(struct source *s, uint64_t unit)
{
	struct image *im = (struct image *)s;
	bool known;

	if (unit >= im->index.nr_chunks)
		return false;
	(void)pthread_mutex_lock(&im->lock);
	if (!im->zero_known)
		learn_zeros(im);
	known = im->zero_known;
	(void)pthread_mutex_unlock(&im->lock);
	return known && !memcmp(index_fixed_digest(&im->index, (size_t)unit), im->zero[unit + 1 == im->index.nr_chunks],
				DIGEST_BYTES);
}

/* @n bytes at @at of one chunk. */
static int read_part(struct image *im, struct loader *l, size_t chunk, size_t at, void *p, size_t n, struct err *err)
{
	size_t len = index_fixed_chunk_len(&im->index, chunk);
	const uint8_t *digest = index_fixed_digest(&im->index, chunk);
	int r;

	if (image_is_zero(&im->src, chunk)) {
		memset(p, 0, n);
		return 0;
	}
	if (n == len)
		return chunk_load(&l->chunk, im->sn->store->chunks_fd, digest, im->key, p, n, err);
	if (!l->unit)
		l->unit = malloc(im->index.chunk_bytes);
	if (!l->unit)
		return err_set(err, -ENOMEM, "read image");
	r = chunk_load(&l->chunk, im->sn->store->chunks_fd, digest, im->key, l->unit, len, err);
	if (r == 0)
		memcpy(p, l->unit + at, n);
	return r;
}

static int image_read_at(struct source *s, void *p, size_t n, uint64_t off, struct err *err)
{
	struct image *im = (struct image *)s;
	struct loader *l;
	uint8_t *to = p;
	int r = 0;

	if (!n)
		return 0;
	l = loaders_get(&im->loaders);
	if (!l)
		return err_set(err, -ENOMEM, "read image");
	while (n && r == 0) {
		size_t chunk = (size_t)(off / im->index.chunk_bytes), at = (size_t)(off % im->index.chunk_bytes);
		size_t part = index_fixed_chunk_len(&im->index, chunk) - at;

		if (part > n)
			part = n;
		r = read_part(im, l, chunk, at, to, part, err);
		to += part;
		off += part;
		n -= part;
	}
	loaders_put(&im->loaders, l);
	return r;
}

static void image_close(struct source *s)
{
	struct image *im = (struct image *)s;

	loaders_free(&im->loaders);
	(void)pthread_mutex_destroy(&im->lock);
	buf_free(&im->file);
	free(im);
}

CLEANUP_DEFINE(struct source *, source_close)

static const struct source_ops image_ops = { .read_at = image_read_at, .is_zero = image_is_zero, .close = image_close };

static int load_index(struct image *im, const struct store_file *f, struct err *err)
{
	int r;

	r = chunk_read_file(im->sn->fd, f->name, INDEX_FILE_MAX, &im->file, err);
	if (r == 0)
		r = index_fixed_parse(im->file.data, im->file.len, &im->index, err);
	if (r < 0)
		return err_ctx(err, r == -EFBIG ? -EBADMSG : r, "file '%s'", f->name);
	if (f->has_csum && memcmp(im->index.csum, f->csum, DIGEST_BYTES))
		return err_text(err, -EBADMSG, "wrong checksum for file '%s'", f->name);
	if (im->index.size_bytes != f->size)
		return err_text(err, -EBADMSG, "wrong size for file '%s'", f->name);
	return 0;
}

int snapshot_open_image(struct snapshot *sn, const char *file, struct source **ret, struct err *err)
{
	const struct store_file *f = manifest_find(sn->manifest, file);
	CLEANUP(source_closep) struct source *s = NULL;
	struct image *im;
	int r;

	if (!f)
		return err_text(err, -ENOENT, "file '%.255s' is not in the manifest", file);
	if (names_file_kind(file, strlen(file)) != NAMES_FIDX)
		return err_text(err, -EINVAL, "file '%s' is not a disk image", file);
	if (!strcmp(f->crypt_mode, "encrypt") && !sn->has_key)
		return err_text(err, -ENOKEY, "file '%s' is encrypted and there is no key", file);
	im = calloc(1, sizeof(*im));
	if (!im)
		return err_set(err, -ENOMEM, "open image");
	s = &im->src;
	im->src = (struct source){ .ops = &image_ops, .raw_fd = -1 };
	im->sn = sn;
	im->file.limit = (size_t)INDEX_FILE_MAX + 1;
	im->key = strcmp(f->crypt_mode, "encrypt") ? NULL : &sn->key;
	(void)pthread_mutex_init(&im->lock, NULL);
	loaders_init(&im->loaders);
	r = load_index(im, f, err);
	if (r < 0)
		return r;
	im->src.size_bytes = im->index.size_bytes;
	im->src.unit_bytes = im->index.chunk_bytes;
	*ret = TAKE_PTR(s);
	return 0;
}
