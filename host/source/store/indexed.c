/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/source/store/indexed.h"

#include <errno.h>
#include <string.h>

#include "common/cleanup.h"

/* Digests of the two chunks of zeros that this image can hold. */
static void learn_zeros(struct indexed *x)
{
	size_t full = index_chunk_len(&x->index, 0), last = index_chunk_len(&x->index, x->index.nr_chunks - 1);
	CLEANUP_FREE uint8_t *zeros = calloc(1, full);
	const uint8_t *id = x->key ? x->key->id_key : NULL;

	if (zeros && digest_sha256(zeros, full, id, id ? KEY_BYTES : 0, x->zero[0]) == 0 &&
	    digest_sha256(zeros, last, id, id ? KEY_BYTES : 0, x->zero[1]) == 0)
		x->zero_known = true;
}

bool indexed_is_zero(struct indexed *x, size_t i)
{
	bool known;

	if (!x->index.is_fixed || x->sealed || i >= x->index.nr_chunks)
		return false;
	(void)pthread_mutex_lock(&x->lock);
	if (!x->zero_known)
		learn_zeros(x);
	known = x->zero_known;
	(void)pthread_mutex_unlock(&x->lock);
	return known && !memcmp(index_digest(&x->index, i), x->zero[i + 1 == x->index.nr_chunks], DIGEST_BYTES);
}

int indexed_load(struct indexed *x, struct loader *l, size_t i, void *p, struct err *err)
{
	const size_t len = index_chunk_len(&x->index, i);

	if (x->sealed)
		return err_text(err, -ENOKEY, "chunks are encrypted and there is no key");
	if (indexed_is_zero(x, i)) {
		memset(p, 0, len);
		return 0;
	}
	return chunk_load(&l->chunk, x->sn->store->chunks_fd, index_digest(&x->index, i), x->key, p, len, err);
}

int indexed_open(struct snapshot *sn, const char *file, bool sealed_too, struct indexed *ret, struct err *err)
{
	const struct store_file *f = manifest_find(sn->manifest, file);
	struct indexed x = { .sn = sn };
	int r;

	if (!f)
		return err_text(err, -ENOENT, "file '%.255s' is not in the manifest", file);
	if (names_file_kind(file, strlen(file)) == NAMES_BLOB)
		return err_text(err, -EINVAL, "file '%s' has no chunks", file);
	if (!strcmp(f->crypt_mode, "encrypt")) {
		x.sealed = !sn->has_key;
		if (x.sealed && !sealed_too)
			return err_text(err, -ENOKEY, "file '%s' is encrypted and there is no key", file);
		x.key = x.sealed ? NULL : &sn->key;
	}
	r = index_load(sn->fd, f, &x.index, err);
	if (r < 0)
		return r;
	*ret = x;
	(void)pthread_mutex_init(&ret->lock, NULL);
	loaders_init(&ret->loaders);
	return 0;
}

void indexed_close(struct indexed *x)
{
	loaders_free(&x->loaders);
	(void)pthread_mutex_destroy(&x->lock);
	index_free(&x->index);
}
