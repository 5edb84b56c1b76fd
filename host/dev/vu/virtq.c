/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/dev/vu/virtq.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_ring.h>

#define DESC_BYTES 16

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

static uint16_t load16(const uint8_t *p)
{
	return le16toh(*(const volatile uint16_t *)(const void *)p);
}

static void store16(uint8_t *p, uint16_t v)
{
	*(volatile uint16_t *)(void *)p = htole16(v);
}

static struct desc load_desc(const uint8_t *p)
{
	const volatile struct vring_desc *d = (const volatile void *)p;

	return (struct desc){ le64toh(d->addr), le32toh(d->len), le16toh(d->flags), le16toh(d->next) };
}

/* avail: flags, idx, ring[size], used_event; used: flags, idx, ring[size] of {id, len}, avail_event */
static uint8_t *used_event(const struct virtq *q)
{
	return q->avail + 4 + 2 * (size_t)q->size;
}

static uint8_t *avail_event(const struct virtq *q)
{
	return q->used + 4 + 8 * (size_t)q->size;
}

static void *ring_at(const struct virtq *q, uint64_t addr, uint64_t len, unsigned int align)
{
	uint8_t *p = addr % align ? NULL : vu_mem_uva(q->mem, addr, len);

	return p && (uintptr_t)p % align ? NULL : p;
}

int virtq_start(struct virtq *q, uint64_t desc, uint64_t avail, uint64_t used, struct err *err)
{
	uint8_t *d, *a, *u;

	if (!q->size || q->size > VIRTQ_SIZE_MAX || q->size & (q->size - 1))
		return err_text(err, -EPROTO, "virtqueue: size %u", q->size);
	d = ring_at(q, desc, (uint64_t)DESC_BYTES * q->size, 16);
	if (!d)
		return err_text(err, -EPROTO, "virtqueue: address of the descriptor table");
	a = ring_at(q, avail, 6 + UINT64_C(2) * q->size, 2);
	if (!a)
		return err_text(err, -EPROTO, "virtqueue: address of the available ring");
	u = ring_at(q, used, 6 + UINT64_C(8) * q->size, 4);
	if (!u)
		return err_text(err, -EPROTO, "virtqueue: address of the used ring");
	if (!virtq_running(q)) {
		q->used_idx = load16(u + 2);
		q->signalled_valid = false;
		q->in_flight = 0;
	}
	q->desc = d;
	q->avail = a;
	q->used = u;
	return 0;
}

void virtq_stop(struct virtq *q)
{
	q->desc = q->avail = q->used = NULL;
}

static int add_range(const struct virtq *q, const struct desc *d, struct virtq_chain *c, struct err *err)
{
	size_t *total = d->flags & VRING_DESC_F_WRITE ? &c->in_bytes : &c->out_bytes;
	size_t n = c->nr_out + c->nr_in;
	void *p;

	if (n == VIRTQ_CHAIN_MAX)
		return err_text(err, -EPROTO, "virtqueue: chain too long");
	if (!(d->flags & VRING_DESC_F_WRITE) && c->nr_in)
		return err_text(err, -EPROTO, "virtqueue: readable descriptor behind a writable one");
	if (!d->len)
		return err_text(err, -EPROTO, "virtqueue: descriptor length 0");
	p = vu_mem_gpa(q->mem, d->addr, d->len);
	if (!p)
		return err_text(err, -EPROTO, "virtqueue: descriptor address");
	if (d->len > UINT32_MAX - *total)
		return err_text(err, -EPROTO, "virtqueue: length of the chain");
	c->iov[n] = (struct iovec){ .iov_base = p, .iov_len = d->len };
	*total += d->len;
	if (d->flags & VRING_DESC_F_WRITE)
		c->nr_in++;
	else
		c->nr_out++;
	return 0;
}

/* Walks a table of @size descriptors from @i on; bounded by @size steps, so that loops end. */
static int walk(const struct virtq *q, const uint8_t *table, uint32_t size, uint32_t i, struct virtq_chain *c,
		struct err *err)
{
	for (uint32_t steps = 0;; steps++) {
		struct desc d;
		int r;

		if (i >= size)
			return err_text(err, -EPROTO, "virtqueue: descriptor index");
		if (steps == size)
			return err_text(err, -EPROTO, "virtqueue: chain loops");
		d = load_desc(table + (size_t)DESC_BYTES * i);
		if (d.flags & VRING_DESC_F_INDIRECT)
			return err_text(err, -EPROTO, "virtqueue: indirect descriptor inside a chain");
		r = add_range(q, &d, c, err);
		if (r < 0)
			return r;
		if (!(d.flags & VRING_DESC_F_NEXT))
			return 0;
		i = d.next;
	}
}

static int walk_head(const struct virtq *q, struct virtq_chain *c, struct err *err)
{
	struct desc d = load_desc(q->desc + (size_t)DESC_BYTES * c->head);
	const uint8_t *table;

	if (!(d.flags & VRING_DESC_F_INDIRECT))
		return walk(q, q->desc, q->size, c->head, c, err);
	if (!q->indirect)
		return err_text(err, -EPROTO, "virtqueue: indirect descriptor was not negotiated");
	if (d.flags & VRING_DESC_F_NEXT)
		return err_text(err, -EPROTO, "virtqueue: indirect descriptor with a next one");
	if (!d.len || d.len % DESC_BYTES || d.len / DESC_BYTES > VIRTQ_SIZE_MAX)
		return err_text(err, -EPROTO, "virtqueue: length of the indirect table");
	table = vu_mem_gpa(q->mem, d.addr, d.len);
	if (!table || (uintptr_t)table % 8)
		return err_text(err, -EPROTO, "virtqueue: address of the indirect table");
	return walk(q, table, d.len / DESC_BYTES, 0, c, err);
}

int virtq_pop(struct virtq *q, struct virtq_chain *ret, struct err *err)
{
	uint16_t there;
	int r;

	if (!virtq_running(q))
		return 0;
	there = (uint16_t)(load16(q->avail + 2) - q->last_avail);
	if (!there)
		return 0;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (there > q->size)
		return err_text(err, -EPROTO, "virtqueue: available index");
	if (q->in_flight >= q->size)
		return err_text(err, -EPROTO, "virtqueue: more chains than the ring has entries");
	ret->head = load16(q->avail + 4 + 2 * (size_t)(q->last_avail & (q->size - 1)));
	if (ret->head >= q->size)
		return err_text(err, -EPROTO, "virtqueue: head of a chain");
	ret->nr_out = ret->nr_in = 0;
	ret->out_bytes = ret->in_bytes = 0;
	r = walk_head(q, ret, err);
	if (r < 0)
		return r;
	q->last_avail++;
	q->in_flight++;
	return 1;
}

void virtq_unpop(struct virtq *q)
{
	q->last_avail--;
	q->in_flight--;
}

void virtq_push(struct virtq *q, uint16_t head, uint32_t len)
{
	volatile struct vring_used_elem *e;

	if (!virtq_running(q))
		return;
	e = (volatile void *)(q->used + 4 + 8 * (size_t)(q->used_idx & (q->size - 1)));
	e->id = htole32(head);
	e->len = htole32(len);
	q->used_idx++;
	q->in_flight--;
	__atomic_thread_fence(__ATOMIC_RELEASE);
	store16(q->used + 2, q->used_idx);
}

bool virtq_must_notify(struct virtq *q)
{
	uint16_t old = q->signalled;
	bool valid = q->signalled_valid;

	if (!virtq_running(q) || (valid && old == q->used_idx))
		return false;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	q->signalled = q->used_idx;
	q->signalled_valid = true;
	if (!q->event_idx)
		return !(load16(q->avail) & VRING_AVAIL_F_NO_INTERRUPT);
	return !valid || vring_need_event(load16(used_event(q)), q->used_idx, old);
}

void virtq_kicks_off(struct virtq *q)
{
	/* With the event index the last one stays as it is: it lies behind, so no kick comes until it is moved on. */
	if (virtq_running(q) && !q->event_idx)
		store16(q->used, VRING_USED_F_NO_NOTIFY);
}

bool virtq_kicks_on(struct virtq *q)
{
	if (!virtq_running(q))
		return false;
	if (q->event_idx)
		store16(avail_event(q), q->last_avail);
	else
		store16(q->used, 0);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return load16(q->avail + 2) != q->last_avail;
}
