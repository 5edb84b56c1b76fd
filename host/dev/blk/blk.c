/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/dev/blk/blk.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_blk.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEADER_BYTES 16		/* type u32, ioprio u32, sector u64 */

static void config(struct port *p, uint8_t ret[static VU_CONFIG_MAX])
{
	const struct blk *b = (struct blk *)p;
	struct virtio_blk_config c = {
		.seg_max = htole32(BLK_SEG_MAX), .blk_size = htole32(BLK_SECTOR), .num_queues = htole16(1),
	};

	c.capacity = htole64((b->size_bytes + BLK_SECTOR - 1) / BLK_SECTOR);
	memcpy(ret, &c, sizeof(c));
}

void blk_complete(struct blk_req *q, uint8_t status)
{
	struct blk *b = q->b;

	(void)vu_iov_put(q->iov, q->nr_iov, q->len, &status, 1);
	virtq_push(vu_virtq(&b->port.vu, 0), q->head, (uint32_t)q->len + 1);
	vu_notify(&b->port.vu, 0);
	*q->link = q->next;
	if (q->next)
		q->next->link = q->link;
	free(q);
}

static void get_id(struct blk_req *q)
{
	(void)vu_iov_put(q->iov, q->nr_iov, 0, q->b->serial, q->len < LINK_SERIAL_LEN ? q->len : LINK_SERIAL_LEN);
	blk_complete(q, VIRTIO_BLK_S_OK);
}

static void start(struct blk_req *q, uint32_t type, uint64_t sector)
{
	const struct blk *b = q->b;
	uint64_t capacity = (b->size_bytes + BLK_SECTOR - 1) / BLK_SECTOR;

	switch (type) {
	case VIRTIO_BLK_T_IN:
		break;
	case VIRTIO_BLK_T_GET_ID:
		get_id(q);
		return;
	case VIRTIO_BLK_T_OUT:
		blk_complete(q, VIRTIO_BLK_S_IOERR);
		return;
	default:
		blk_complete(q, VIRTIO_BLK_S_UNSUPP);
		return;
	}
	if (!q->len || q->len % BLK_SECTOR || q->len > BLK_REQUEST_MAX || sector > capacity ||
	    q->len / BLK_SECTOR > capacity - sector) {
		blk_complete(q, VIRTIO_BLK_S_IOERR);
		return;
	}
	q->off = sector * BLK_SECTOR;
	if (b->raw)
		blk_raw_read(q);
	else
		blk_chunked_read(q);
}

static int take(struct blk *b, const struct virtq_chain *c, struct err *err)
{
	uint8_t header[HEADER_BYTES];
	struct blk_req *q;
	uint64_t sector;
	uint32_t type;

	if (vu_iov_get(c->iov, c->nr_out, 0, header, sizeof(header)) != sizeof(header))
		return err_text(err, -EPROTO, "virtio-blk: request header");
	if (!c->in_bytes)
		return err_text(err, -EPROTO, "virtio-blk: no room for the status");
	q = calloc(1, sizeof(*q) + c->nr_in * sizeof(*q->iov));
	if (!q)
		return err_set(err, -ENOMEM, "virtio-blk: request");
	q->b = b;
	q->head = c->head;
	q->len = c->in_bytes - 1;
	q->nr_iov = c->nr_in;
	memcpy(q->iov, c->iov + c->nr_out, c->nr_in * sizeof(*q->iov));
	q->next = b->reqs;
	q->link = &b->reqs;
	if (q->next)
		q->next->link = &q->next;
	b->reqs = q;
	memcpy(&type, header, sizeof(type));
	memcpy(&sector, header + 8, sizeof(sector));
	start(q, le32toh(type), le64toh(sector));
	return 0;
}

static int run(struct port *p, unsigned int queue, struct err *err)
{
	struct blk *b = (struct blk *)p;
	struct virtq *vq = vu_virtq(&p->vu, queue);
	struct virtq_chain c;
	int r;

	do {
		virtq_kicks_off(vq);
		while ((r = virtq_pop(vq, &c, err)) > 0) {
			r = take(b, &c, err);
			if (r < 0)
				return r;
		}
	} while (r == 0 && virtq_kicks_on(vq));
	return r;
}

static void stop(struct port *p, unsigned int queue)
{
	struct blk *b = (struct blk *)p;

	(void)queue;
	pool_quiesce(b->pool);
	while (b->reqs) {
		struct blk_req *q = b->reqs;

		cache_cancel(&q->waiter);
		b->reqs = q->next;
		free(q);
	}
}

static const struct port_type type = {
	.features = UINT64_C(1) << VIRTIO_BLK_F_RO | UINT64_C(1) << VIRTIO_BLK_F_SEG_MAX |
		    UINT64_C(1) << VIRTIO_BLK_F_BLK_SIZE,
	.nr_queues = 1,
	.slave = true,
	.config = config,
	.run = run,
	.stop = stop,
};

int blk_init(struct blk *b, const struct blk_shared *sh, struct pool *pool, uint32_t slot,
	const struct vu_ram *ram, int fd)
{
	*b = (struct blk){ .sh = sh, .pool = pool, .slot = slot, .fd = -1 };
	(void)snprintf(b->port.name, sizeof(b->port.name), "disk %u", slot);
	return port_init(&b->port, &type, sh->loop, sh->up, ram, fd);
}

void blk_fini(struct blk *b)
{
	port_fini(&b->port);
	free(b->zero);
	if (b->fd >= 0)
		(void)close(b->fd);
	b->zero = NULL;
	b->fd = -1;
}

static int insert_chunked(struct blk *b, const struct link_msg *m, struct err *err)
{
	uint64_t units;

	if (!m->disk.unit_bytes || m->disk.unit_bytes > b->sh->cache->slot_bytes || !b->sh->cache->nr_slots)
		return err_text(err, -EPROTO, "disk %u: unit of %u bytes", b->slot, m->disk.unit_bytes);
	units = m->disk.size_bytes / m->disk.unit_bytes + 1;
	if (units > BLK_UNITS_MAX)
		return err_text(err, -EFBIG, "disk %u: too many units", b->slot);
	b->zero = calloc(units / 8 + 1, 1);
	if (!b->zero)
		return err_set(err, -ENOMEM, "disk %u", b->slot);
	b->unit_bytes = m->disk.unit_bytes;
	return 0;
}

int blk_insert(struct blk *b, const struct link_msg *m, int fd, struct err *err)
{
	int r = 0;

	if (b->present || m->disk.size_bytes > INT64_MAX - BLK_SECTOR)
		r = err_text(err, -EPROTO, "disk %u: %s", b->slot, b->present ? "inserted twice" : "size");
	else if (!m->disk.raw)
		r = insert_chunked(b, m, err);
	if (r < 0) {
		if (fd >= 0)
			(void)close(fd);
		return r;
	}
	b->fd = fd;
	b->raw = m->disk.raw;
	b->size_bytes = m->disk.size_bytes;
	memcpy(b->serial, m->disk.serial, sizeof(b->serial));
	b->present = true;
	vu_config_changed(&b->port.vu);
	return 0;
}
