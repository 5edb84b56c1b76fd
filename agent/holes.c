/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/holes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <linux/fiemap.h>
#include <linux/fs.h>

#include "common/cleanup.h"
#include "common/grow.h"
#include "common/pxar/format.h"

#define FIRST_GAP 65536
#define EXTENTS 64
#define NTFS_ATTR_SPARSE 0x200
#define NTFS_ATTR_REPARSE_POINT 0x400

void holes_free(struct holes *h)
{
	free(h->v);
	*h = (struct holes){ 0 };
}

static bool joins(const struct holes *h, size_t to, uint64_t off)
{
	return off - (h->v[to].off + h->v[to].len) <= h->min_gap;
}

static void fill_gaps(struct holes *h)
{
	while (h->nr > PXAR_SEGMENTS_MAX / 2) {
		size_t to = 0;

		h->min_gap = h->min_gap ? 2 * h->min_gap : FIRST_GAP;
		for (size_t i = 1; i < h->nr; i++) {
			if (joins(h, to, h->v[i].off))
				h->v[to].len = h->v[i].off + h->v[i].len - h->v[to].off;
			else
				h->v[++to] = h->v[i];
		}
		h->nr = to + 1;
	}
}

int holes_add(struct holes *h, uint64_t off, uint64_t len)
{
	if (!len)
		return 0;
	if (h->nr && joins(h, h->nr - 1, off)) {
		h->v[h->nr - 1].len = off + len - h->v[h->nr - 1].off;
		return 0;
	}
	if (h->nr == PXAR_SEGMENTS_MAX) {
		fill_gaps(h);
		return holes_add(h, off, len);
	}
	if (grow(&h->v, &h->room, h->nr, sizeof(*h->v)) < 0)
		return -ENOMEM;
	h->v[h->nr++] = (struct pxar_segment){ off, len };
	return 0;
}

/*
 * A sparse file of NTFS? Its driver maps those well; system files that Windows compressed are sparse, too, but their contents
 * come from elsewhere, as with everything that is a reparse point.
 */
static bool is_plain_sparse(int fd)
{
	uint32_t attr;

	return fgetxattr(fd, "system.ntfs_attrib", &attr, sizeof(attr)) == sizeof(attr) && attr & NTFS_ATTR_SPARSE &&
	       !(attr & NTFS_ATTR_REPARSE_POINT);
}

/* By FIEMAP: ntfs3 has that, and no SEEK_HOLE. What it does not map is a hole. Return: 0; -EOPNOTSUPP; -ENOMEM. */
static int map_extents(int fd, uint64_t size, struct holes *ret)
{
	CLEANUP_FREE struct fiemap *m = calloc(1, sizeof(*m) + EXTENTS * sizeof(m->fm_extents[0]));
	uint64_t at = 0;
	int r = m ? 0 : -ENOMEM;

	while (r == 0 && at < size) {
		*m = (struct fiemap){ .fm_start = at, .fm_length = size - at, .fm_extent_count = EXTENTS };
		if (ioctl(fd, FS_IOC_FIEMAP, m) < 0)
			return at ? holes_add(ret, at, size - at) : -EOPNOTSUPP;
		if (!m->fm_mapped_extents || m->fm_mapped_extents > EXTENTS)
			return 0;
		for (uint32_t i = 0; r == 0 && i < m->fm_mapped_extents; i++) {
			const struct fiemap_extent *e = &m->fm_extents[i];
			uint64_t end;

			if (__builtin_add_overflow(e->fe_logical, e->fe_length, &end) || end > size)
				end = size;
			if (e->fe_logical >= size || end <= at)
				return r;
			r = holes_add(ret, e->fe_logical > at ? e->fe_logical : at, end - (e->fe_logical > at ? e->fe_logical : at));
			at = end;
			if (e->fe_flags & FIEMAP_EXTENT_LAST)
				return r;
		}
	}
	return r;
}

int holes_map(int fd, uint64_t size, struct holes *ret)
{
	uint64_t at = 0;
	int r = 0;

	if (size && is_plain_sparse(fd) && lseek(fd, 0, SEEK_HOLE) == (off_t)size && lseek(fd, 0, SEEK_DATA) == 0) {
		r = map_extents(fd, size, ret);
		if (r != -EOPNOTSUPP)
			return r;
		r = 0;
	}
	while (r == 0 && at < size) {
		off_t data = lseek(fd, (off_t)at, SEEK_DATA), hole;

		if (data < 0 && errno == ENXIO)
			break;
		if (data < 0 || (uint64_t)data < at)
			return holes_add(ret, at, size - at);
		if ((uint64_t)data >= size)
			break;
		hole = lseek(fd, data, SEEK_HOLE);
		if (hole <= data || (uint64_t)hole > size)
			hole = (off_t)size;
		r = holes_add(ret, (uint64_t)data, (uint64_t)(hole - data));
		at = (uint64_t)hole;
	}
	return r;
}

uint64_t holes_data(const struct holes *h)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < h->nr; i++)
		sum += h->v[i].len;
	return sum;
}
