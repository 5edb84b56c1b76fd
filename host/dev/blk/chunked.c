/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/dev/blk/blk.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <string.h>

/* A reader counts as sequential when it goes on near where it was; kernels keep several requests in the air. */
#define NEAR_BYTES (1u << 20)
#define STREAK_FEW (512u << 10)		/* bytes in sequence before two units are read ahead */
#define AHEAD_FEW 2
#define AHEAD_MANY 4			/* when the streak is longer than a few units */

static bool is_zero(const struct blk *b, uint64_t unit)
{
	return b->zero[unit / 8] >> (unit % 8) & 1;
}

static void read_ahead(struct blk *b, uint64_t last_unit)
{
	unsigned int ahead = b->streak_bytes > UINT64_C(3) * b->unit_bytes ? AHEAD_MANY : AHEAD_FEW;

	if (b->streak_bytes < STREAK_FEW)
		return;
	for (uint64_t u = last_unit + 1; u <= last_unit + ahead && u <= (b->size_bytes - 1) / b->unit_bytes; u++)
		if (!is_zero(b, u))
			cache_prefetch(b->sh->cache, b->slot, u);
}

/* One unit's part of the request. Return: false if the unit must come first. */
static bool copy_unit(struct blk_req *q, uint64_t off, size_t n)
{
	struct blk *b = q->b;
	uint64_t unit = off / b->unit_bytes;
	const uint8_t *p;

	if (is_zero(b, unit)) {
		q->done += vu_iov_zero(q->iov, q->nr_iov, q->done, n);
		return true;
	}
	p = cache_find(b->sh->cache, b->slot, unit);
	if (!p) {
		cache_want(b->sh->cache, b->slot, unit, &q->waiter);
		return false;
	}
	q->done += vu_iov_put(q->iov, q->nr_iov, q->done, p + off % b->unit_bytes, n);
	return true;
}

static void go_on(struct blk_req *q)
{
	const struct blk *b = q->b;

	while (q->done < q->len) {
		uint64_t off = q->off + q->done;
		size_t n = b->unit_bytes - off % b->unit_bytes;

		if (off >= b->size_bytes) {
			q->done += vu_iov_zero(q->iov, q->nr_iov, q->done, q->len - q->done);
			break;
		}
		if (n > q->len - q->done)
			n = q->len - q->done;
		if (n > b->size_bytes - off)
			n = (size_t)(b->size_bytes - off);
		if (!copy_unit(q, off, n))
			return;
	}
	blk_complete(q, VIRTIO_BLK_S_OK);
}

static void woken(struct cache_waiter *w, int code)
{
	struct blk_req *q = (struct blk_req *)(void *)((char *)w - offsetof(struct blk_req, waiter));

	if (code < 0)
		blk_complete(q, VIRTIO_BLK_S_IOERR);
	else
		go_on(q);
}

void blk_chunked_read(struct blk_req *q)
{
	struct blk *b = q->b;
	uint64_t last_unit = (q->off + q->len - 1) / b->unit_bytes;

	if (q->off + NEAR_BYTES >= b->next_off && q->off <= b->next_off + NEAR_BYTES)
		b->streak_bytes += q->len;
	else
		b->streak_bytes = 0;
	b->next_off = q->off + q->len;
	q->waiter.fn = woken;
	go_on(q);	/* demand first; frees the request if everything was there */
	read_ahead(b, last_unit);
}

int blk_unit(struct blk *b, const struct link_msg *m, struct err *err)
{
	if (!b->present || b->raw || m->unit.unit > (b->size_bytes ? (b->size_bytes - 1) / b->unit_bytes : 0))
		return err_text(err, -EPROTO, "disk %u: unit %llu was not wanted", b->slot, (unsigned long long)m->unit.unit);
	if (!m->unit.code && m->unit.zero)
		b->zero[m->unit.unit / 8] |= (uint8_t)(1u << m->unit.unit % 8);
	if (cache_unit(b->sh->cache, b->slot, m->unit.unit, m->unit.cache_slot, m->unit.code, m->unit.zero) < 0)
		return err_text(err, -EPROTO, "disk %u: unit %llu was not wanted", b->slot, (unsigned long long)m->unit.unit);
	return 0;
}
