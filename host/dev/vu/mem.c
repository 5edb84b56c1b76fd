/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/dev/vu/mem.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

static bool overlap(uint64_t a, uint64_t b, uint64_t a_len, uint64_t b_len)
{
	return a < b ? b - a < a_len : a - b < b_len;
}

static int check_region(const struct vu_mem *m, const struct vu_region *r, struct err *err)
{
	uint64_t end;

	if (!r->size_bytes)
		return err_text(err, -EPROTO, "memory table: region size 0");
	if (r->off > m->ram->size_bytes || r->size_bytes > m->ram->size_bytes - r->off)
		return err_text(err, -EPROTO, "memory table: region past the end of guest memory");
	if (__builtin_add_overflow(r->gpa, r->size_bytes, &end) || __builtin_add_overflow(r->uva, r->size_bytes, &end))
		return err_text(err, -EPROTO, "memory table: region address wraps");
	return 0;
}

int vu_mem_set(struct vu_mem *m, const struct vu_region *regions, size_t nr, struct err *err)
{
	if (nr > VU_REGIONS_MAX)
		return err_text(err, -EPROTO, "memory table: %zu regions", nr);
	for (size_t i = 0; i < nr; i++) {
		const struct vu_region *r = &regions[i];
		int c = check_region(m, r, err);

		if (c < 0)
			return c;
		for (size_t k = 0; k < i; k++)
			if (overlap(r->gpa, regions[k].gpa, r->size_bytes, regions[k].size_bytes) ||
			    overlap(r->uva, regions[k].uva, r->size_bytes, regions[k].size_bytes))
				return err_text(err, -EPROTO, "memory table: regions overlap");
	}
	if (nr)
		memcpy(m->region, regions, nr * sizeof(*regions));
	m->nr_regions = nr;
	return 0;
}

int vu_mem_check_fd(const struct vu_mem *m, int fd, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_set(err, -errno, "memory table: stat descriptor");
	if (st.st_dev != m->ram->dev || st.st_ino != m->ram->ino)
		return err_text(err, -EPROTO, "memory table: descriptor is not the guest's memory");
	return 0;
}

static void *at(const struct vu_mem *m, const struct vu_region *r, uint64_t delta, uint64_t len)
{
	if (delta >= r->size_bytes || len > r->size_bytes - delta)
		return NULL;
	return m->ram->base + r->off + delta;
}

void *vu_mem_gpa(const struct vu_mem *m, uint64_t gpa, uint64_t len)
{
	for (size_t i = 0; i < m->nr_regions; i++) {
		const struct vu_region *r = &m->region[i];
		void *p = gpa >= r->gpa ? at(m, r, gpa - r->gpa, len) : NULL;

		if (p)
			return p;
	}
	return NULL;
}

void *vu_mem_uva(const struct vu_mem *m, uint64_t uva, uint64_t len)
{
	for (size_t i = 0; i < m->nr_regions; i++) {
		const struct vu_region *r = &m->region[i];
		void *p = uva >= r->uva ? at(m, r, uva - r->uva, len) : NULL;

		if (p)
			return p;
	}
	return NULL;
}

/* Walks the ranges: the next piece of at most @len bytes at @off, or NULL at the end. */
static uint8_t *piece(const struct iovec **iov, size_t *nr, size_t *off, size_t len, size_t *ret_len)
{
	while (*nr && *off >= (*iov)->iov_len) {
		*off -= (*iov)->iov_len;
		(*iov)++;
		(*nr)--;
	}
	if (!*nr || !len)
		return NULL;
	*ret_len = (*iov)->iov_len - *off < len ? (*iov)->iov_len - *off : len;
	return (uint8_t *)(*iov)->iov_base + *off;
}

size_t vu_iov_get(const struct iovec *iov, size_t nr, size_t off, void *ret, size_t len)
{
	size_t done = 0, n;
	uint8_t *p;

	while ((p = piece(&iov, &nr, &off, len - done, &n))) {
		memcpy((uint8_t *)ret + done, p, n);
		done += n;
		off += n;
	}
	return done;
}

size_t vu_iov_put(const struct iovec *iov, size_t nr, size_t off, const void *from, size_t len)
{
	size_t done = 0, n;
	uint8_t *p;

	while ((p = piece(&iov, &nr, &off, len - done, &n))) {
		memcpy(p, (const uint8_t *)from + done, n);
		done += n;
		off += n;
	}
	return done;
}

size_t vu_iov_zero(const struct iovec *iov, size_t nr, size_t off, size_t len)
{
	size_t done = 0, n;
	uint8_t *p;

	while ((p = piece(&iov, &nr, &off, len - done, &n))) {
		memset(p, 0, n);
		done += n;
		off += n;
	}
	return done;
}

size_t vu_iov_slice(const struct iovec *iov, size_t nr, size_t off, size_t len, struct iovec *ret)
{
	size_t out = 0, n;
	uint8_t *p;

	while ((p = piece(&iov, &nr, &off, len, &n))) {
		ret[out++] = (struct iovec){ .iov_base = p, .iov_len = n };
		len -= n;
		off += n;
	}
	return out;
}
