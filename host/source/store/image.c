/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A fixed index as a source. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/source/store/indexed.h"

struct image {
	struct source src;
	struct indexed x;
};

static bool image_is_zero(struct source *s, uint64_t unit)
{
	struct image *im = (struct image *)s;

	return unit < im->x.index.nr_chunks && indexed_is_zero(&im->x, (size_t)unit);
}

/* @n bytes at @at of one chunk. */
static int read_part(struct image *im, struct loader *l, size_t chunk, size_t at, void *p, size_t n, struct err *err)
{
	int r;

	if (n == index_chunk_len(&im->x.index, chunk))
		return indexed_load(&im->x, l, chunk, p, err);
	if (indexed_is_zero(&im->x, chunk)) {
		memset(p, 0, n);
		return 0;
	}
	if (!l->unit)
		l->unit = malloc(im->src.unit_bytes);
	if (!l->unit)
		return err_set(err, -ENOMEM, "read image");
	r = indexed_load(&im->x, l, chunk, l->unit, err);
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
	l = loaders_get(&im->x.loaders);
	if (!l)
		return err_set(err, -ENOMEM, "read image");
	while (n && r == 0) {
		size_t chunk = (size_t)(off / im->src.unit_bytes), at = (size_t)(off % im->src.unit_bytes);
		size_t part = index_chunk_len(&im->x.index, chunk) - at;

		if (part > n)
			part = n;
		r = read_part(im, l, chunk, at, to, part, err);
		to += part;
		off += part;
		n -= part;
	}
	loaders_put(&im->x.loaders, l);
	return r;
}

static void image_close(struct source *s)
{
	struct image *im = (struct image *)s;

	indexed_close(&im->x);
	free(im);
}

static const struct source_ops image_ops = { .read_at = image_read_at, .is_zero = image_is_zero, .close = image_close };

int snapshot_open_image(struct snapshot *sn, const char *file, struct source **ret, struct err *err)
{
	struct image *im;
	int r;

	if (manifest_find(sn->manifest, file) && names_file_kind(file, strlen(file)) != NAMES_FIDX)
		return err_text(err, -EINVAL, "file '%s' is not a disk image", file);
	im = calloc(1, sizeof(*im));
	if (!im)
		return err_set(err, -ENOMEM, "open image");
	r = indexed_open(sn, file, false, &im->x, err);
	if (r < 0) {
		free(im);
		return r;
	}
	im->src = (struct source){ .ops = &image_ops, .raw_fd = -1, .size_bytes = im->x.index.size_bytes,
				   .unit_bytes = im->x.index.fixed.chunk_bytes };
	*ret = &im->src;
	return 0;
}
