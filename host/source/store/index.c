/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/source/store/index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "host/source/store/chunk.h"
#include "host/source/store/digest.h"
#include "host/source/store/names.h"
#include "host/source/store/store.h"

#define PIECE_ENTRIES ((size_t)8192)

static uint8_t *csum_of(struct index *x)
{
	return x->is_fixed ? x->fixed.csum : x->dynamic.csum;
}

static int read_head(int fd, size_t len, struct index *x, struct err *err)
{
	uint8_t head[INDEX_HEADER];
	int r;

	if (len < INDEX_HEADER)
		return err_text(err, -EBADMSG, "%s index: shorter than its header", x->is_fixed ? "fixed" : "dynamic");
	r = io_read_full(fd, head, sizeof(head));
	if (r < 0)
		return err_set(err, r, "read");
	return x->is_fixed ? index_fixed_head(head, len, &x->fixed, err) : index_dynamic_head(head, len, &x->dynamic, err);
}

/* All entries, each read once: what is checked is what stays. */
static int read_entries(int fd, struct index *x, struct digest_sum *sum, struct err *err)
{
	const size_t size = x->is_fixed ? INDEX_FIXED_ENTRY : INDEX_DYNAMIC_ENTRY;
	const size_t nr = x->is_fixed ? x->fixed.nr_chunks : x->dynamic.nr_chunks;
	CLEANUP_FREE uint8_t *piece = malloc(PIECE_ENTRIES * size);
	int r = piece ? spool_area_new(nr * size, &x->entries) : -ENOMEM;

	if (r < 0)
		return err_set(err, r, "index");
	for (size_t i = 0; i < nr; i += PIECE_ENTRIES) {
		const size_t n = nr - i < PIECE_ENTRIES ? nr - i : PIECE_ENTRIES;

		r = io_read_full(fd, piece, n * size);
		if (r < 0)
			return err_set(err, r == -ENODATA ? -EBADMSG : r, "read");
		r = x->is_fixed ? 0 : index_dynamic_check(&x->dynamic, piece, i, n, err);
		if (r < 0)
			return r;
		digest_add(sum, piece, n * size);
		r = spool_area_add(&x->entries, piece, n * size);
		if (r < 0)
			return err_set(err, r, "index");
	}
	return 0;
}

static int read_all(int fd, size_t len, struct index *x, struct err *err)
{
	struct digest_sum sum;
	int r = read_head(fd, len, x, err), end;

	if (r < 0)
		return r;
	digest_begin(&sum);
	r = read_entries(fd, x, &sum, err);
	end = digest_end(&sum, csum_of(x));
	if (r < 0 || end < 0)
		return r < 0 ? r : err_set(err, end, "checksum");
	if (x->is_fixed)
		x->fixed.digests = x->entries.p;
	else
		x->dynamic.entries = x->entries.p;
	x->size_bytes = x->is_fixed ? x->fixed.size_bytes : x->dynamic.size_bytes;
	x->nr_chunks = x->is_fixed ? x->fixed.nr_chunks : x->dynamic.nr_chunks;
	return 0;
}

int index_read(int fd, size_t len, bool is_fixed, struct index *ret, struct err *err)
{
	struct index x = { .is_fixed = is_fixed };
	int r = read_all(fd, len, &x, err);

	if (r < 0)
		index_free(&x);
	else
		*ret = x;
	return r;
}

static int check_listed(struct index *x, const struct store_file *f, struct err *err)
{
	if (f->has_csum && memcmp(csum_of(x), f->csum, sizeof(f->csum)))
		return err_text(err, -EBADMSG, "wrong checksum for file '%s'", f->name);
	if (x->size_bytes != f->size)
		return err_text(err, -EBADMSG, "wrong size for file '%s'", f->name);
	return 0;
}

int index_load(int dirfd, const struct store_file *f, struct index *ret, struct err *err)
{
	const bool is_fixed = names_file_kind(f->name, strlen(f->name)) == NAMES_FIDX;
	CLEANUP_CLOSE int fd = -1;
	struct index x = { 0 };
	size_t len = 0;
	int r;

	fd = chunk_open_file(dirfd, f->name, INDEX_FILE_MAX, &len, err);
	r = fd < 0 ? fd : index_read(fd, len, is_fixed, &x, err);
	if (r < 0)
		return err_ctx(err, r == -EFBIG ? -EBADMSG : r, "file '%s'", f->name);
	r = check_listed(&x, f, err);
	if (r < 0)
		index_free(&x);
	else
		*ret = x;
	return r;
}

void index_free(struct index *x)
{
	spool_area_free(&x->entries);
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
