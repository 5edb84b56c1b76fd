/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An index as chunks. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/source/chunks.h"
#include "host/source/store/indexed.h"

struct archive {
	struct chunks chunks;
	struct indexed x;
};

static size_t archive_find(struct chunks *c, uint64_t off)
{
	return index_find(&((struct archive *)c)->x.index, off);
}

static uint64_t archive_start(struct chunks *c, size_t i)
{
	return index_start(&((struct archive *)c)->x.index, i);
}

static int archive_load(struct chunks *c, size_t i, void *p, struct err *err)
{
	struct archive *a = (struct archive *)c;
	struct loader *l = loaders_get(&a->x.loaders);
	int r;

	if (!l)
		return err_set(err, -ENOMEM, "read archive");
	r = indexed_load(&a->x, l, i, p, err);
	loaders_put(&a->x.loaders, l);
	return r;
}

static bool archive_is_zero(struct chunks *c, size_t i)
{
	return indexed_is_zero(&((struct archive *)c)->x, i);
}

static const uint8_t *archive_digest(const struct chunks *c, size_t i)
{
	return index_digest(&((const struct archive *)c)->x.index, i);
}

static void archive_close(struct chunks *c)
{
	struct archive *a = (struct archive *)c;

	indexed_close(&a->x);
	free(a);
}

static const struct chunks_ops archive_ops = {
	.find = archive_find, .start = archive_start, .load = archive_load, .is_zero = archive_is_zero,
	.digest = archive_digest, .close = archive_close,
};

static int open_chunks(struct snapshot *sn, const char *file, bool sealed_too, struct chunks **ret, struct err *err)
{
	struct archive *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return err_set(err, -ENOMEM, "open archive");
	r = indexed_open(sn, file, sealed_too, &a->x, err);
	if (r < 0) {
		free(a);
		return r;
	}
	a->chunks = (struct chunks){ .ops = &archive_ops, .size_bytes = a->x.index.size_bytes,
				     .nr_chunks = a->x.index.nr_chunks };
	*ret = &a->chunks;
	return 0;
}

int snapshot_open_chunks(struct snapshot *sn, const char *file, struct chunks **ret, struct err *err)
{
	return open_chunks(sn, file, false, ret, err);
}

int snapshot_open_index(struct snapshot *sn, const char *file, struct chunks **ret, struct err *err)
{
	return open_chunks(sn, file, true, ret, err);
}

int snapshot_open_archive(struct snapshot *sn, const char *file, struct chunks **ret, struct err *err)
{
	if (manifest_find(sn->manifest, file) && names_file_kind(file, strlen(file)) != NAMES_DIDX)
		return err_text(err, -EINVAL, "file '%s' is not a file archive or catalog", file);
	return snapshot_open_chunks(sn, file, ret, err);
}
