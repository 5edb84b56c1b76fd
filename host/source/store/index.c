/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/source/store/index.h"

#include <errno.h>
#include <string.h>

#include "host/source/store/chunk.h"
#include "host/source/store/names.h"
#include "host/source/store/store.h"

static int parse(struct index *x, struct err *err)
{
	int r;

	if (x->is_fixed) {
		r = index_fixed_parse(x->file.data, x->file.len, &x->fixed, err);
		x->size_bytes = x->fixed.size_bytes;
		x->nr_chunks = x->fixed.nr_chunks;
	} else {
		r = index_dynamic_parse(x->file.data, x->file.len, &x->dynamic, err);
		x->size_bytes = x->dynamic.size_bytes;
		x->nr_chunks = x->dynamic.nr_chunks;
	}
	return r;
}

int index_load(int dirfd, const struct store_file *f, struct index *ret, struct err *err)
{
	struct index x = { .file = { .limit = (size_t)INDEX_FILE_MAX + 1 } };
	int r;

	x.is_fixed = names_file_kind(f->name, strlen(f->name)) == NAMES_FIDX;
	r = chunk_read_file(dirfd, f->name, INDEX_FILE_MAX, &x.file, err);
	if (r == 0)
		r = parse(&x, err);
	if (r < 0)
		r = err_ctx(err, r == -EFBIG ? -EBADMSG : r, "file '%s'", f->name);
	else if (f->has_csum && memcmp(x.is_fixed ? x.fixed.csum : x.dynamic.csum, f->csum, sizeof(f->csum)))
		r = err_text(err, -EBADMSG, "wrong checksum for file '%s'", f->name);
	else if (x.size_bytes != f->size)
		r = err_text(err, -EBADMSG, "wrong size for file '%s'", f->name);
	if (r < 0) {
		index_free(&x);
		return r;
	}
	*ret = x;
	return 0;
}

void index_free(struct index *x)
{
	buf_free(&x->file);
	*x = (struct index){ 0 };
}

uint64_t index_start(const struct index *x, size_t i)
{
	if (!x->is_fixed)
		return index_dynamic_start(&x->dynamic, i);
	return i < x->nr_chunks ? (uint64_t)i * x->fixed.chunk_bytes : x->size_bytes;
}

const uint8_t *index_digest(const struct index *x, size_t i)
{
	return x->is_fixed ? index_fixed_digest(&x->fixed, i) : index_dynamic_digest(&x->dynamic, i);
}

size_t index_find(const struct index *x, uint64_t off)
{
	size_t i = 0;

	if (x->is_fixed)
		return (size_t)(off / x->fixed.chunk_bytes);
	(void)index_dynamic_find(&x->dynamic, off, &i);
	return i;
}
