/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_LIB_VSOCK_GUEST_H
#define TESTS_LIB_VSOCK_GUEST_H

/* A guest driver in plain memory for the vsock device: for unit test and fuzzer. Include once; everything is static. */

#include <linux/virtio_ring.h>
#include <linux/virtio_vsock.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/io.h"
#include "host/dev/vsock/vsock.h"

#define VG_RING 16u
#define VG_BUF 4000u			/* receive buffers */
#define VG_TX_BUF 65600u
#define VG_UVA UINT64_C(0x10000)
#define VG_CID 3

struct vg_ring {
	struct vring_desc desc[VG_RING];
	struct vring_avail avail;
	uint16_t avail_ring[VG_RING + 1];
	uint16_t pad;
	struct vring_used used __attribute__((aligned(4)));
	struct vring_used_elem used_ring[VG_RING];
	uint16_t avail_event, pad2;
};

struct vg {
	struct vg_mem {
		struct vg_ring rx, tx;
		uint8_t rx_buf[VG_RING][VG_BUF];
		uint8_t tx_buf[VG_TX_BUF];
	} *mem;
	struct vu_ram ram;
	struct vsock v;
	struct loop loop;
	struct uplink up;
	int link[2], qemu[2];
	uint16_t rx_seen;
};

static void vg_start_queue(struct vg *g, unsigned int i, struct vg_ring *r)
{
	struct vu_queue *k = &g->v.port.vu.queue[i];
	uint64_t base = VG_UVA + (uint64_t)((uint8_t *)r - (uint8_t *)g->mem);

	k->q.size = VG_RING;
	k->enabled = true;
	if (virtq_start(&k->q, base + offsetof(struct vg_ring, desc), base + offsetof(struct vg_ring, avail),
			base + offsetof(struct vg_ring, used), NULL) < 0)
		abort();
}

static void vg_init(struct vg *g)
{
	struct vu_region all = { .gpa = 0, .size_bytes = sizeof(*g->mem), .uva = VG_UVA };

	memset(g, 0, sizeof(*g));
	g->mem = aligned_alloc(4096, (sizeof(*g->mem) + 4095) & ~4095ul);
	memset(g->mem, 0, sizeof(*g->mem));
	g->ram = (struct vu_ram){ .base = (uint8_t *)g->mem, .size_bytes = sizeof(*g->mem) };
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, g->link) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, g->qemu) < 0 || loop_init(&g->loop) < 0 ||
	    uplink_init(&g->up, &g->loop, g->link[0]) < 0 || vsock_init(&g->v, &g->loop, &g->up, &g->ram, VG_CID, g->qemu[0]) < 0 ||
	    vu_mem_set(&g->v.port.vu.mem, &all, 1, NULL) < 0)
		abort();
	vg_start_queue(g, VSOCK_QUEUE_RX, &g->mem->rx);
	vg_start_queue(g, VSOCK_QUEUE_TX, &g->mem->tx);
}

static void vg_fini(struct vg *g)
{
	vsock_fini(&g->v);
	uplink_fini(&g->up);
	loop_fini(&g->loop);
	(void)close(g->link[0]);
	(void)close(g->link[1]);
	(void)close(g->qemu[1]);
	free(g->mem);
}

static uint64_t vg_gpa(const struct vg *g, const void *p)
{
	return (uint64_t)((const uint8_t *)p - (const uint8_t *)g->mem);
}

static void vg_avail(struct vg_ring *r, uint16_t head)
{
	uint16_t *ring = (uint16_t *)(void *)((uint8_t *)&r->avail + 4);

	ring[r->avail.idx % VG_RING] = head;
	__atomic_store_n(&r->avail.idx, (uint16_t)(r->avail.idx + 1), __ATOMIC_RELEASE);
}

static int vg_run(struct vg *g, unsigned int queue, struct err *err)
{
	return g->v.port.type->run(&g->v.port, queue, err);
}

/* Post one receive buffer. */
static int vg_post(struct vg *g, struct err *err)
{
	uint16_t i = g->mem->rx.avail.idx % VG_RING;

	g->mem->rx.desc[i] = (struct vring_desc){ vg_gpa(g, g->mem->rx_buf[i]), VG_BUF, VRING_DESC_F_WRITE, 0 };
	vg_avail(&g->mem->rx, i);
	return vg_run(g, VSOCK_QUEUE_RX, err);
}

/* The next packet that came, or NULL. */
static __attribute__((unused)) const uint8_t *vg_received(struct vg *g, struct vsock_hdr *ret)
{
	const struct vring_used_elem *ring = (void *)((uint8_t *)&g->mem->rx.used + 4);
	const uint8_t *p;

	if (g->mem->rx.used.idx == g->rx_seen)
		return NULL;
	p = g->mem->rx_buf[ring[g->rx_seen++ % VG_RING].id];
	return vsock_hdr_parse(p, ret, NULL) < 0 ? NULL : p + VSOCK_HDR_BYTES;
}

/* Send a packet; its length field is the header's. */
static int vg_send(struct vg *g, const struct vsock_hdr *h, const void *data, uint32_t len, struct err *err)
{
	uint16_t i = g->mem->tx.avail.idx % VG_RING;

	vsock_hdr_write(h, g->mem->tx_buf);
	if (len)
		memcpy(g->mem->tx_buf + VSOCK_HDR_BYTES, data, len);
	g->mem->tx.desc[i] = (struct vring_desc){ vg_gpa(g, g->mem->tx_buf), VSOCK_HDR_BYTES + len, 0, 0 };
	vg_avail(&g->mem->tx, i);
	return vg_run(g, VSOCK_QUEUE_TX, err);
}

/* Let the loop see what has happened to its sockets. */
static void vg_turn(struct vg *g)
{
	struct epoll_event e[16];
	int n = epoll_wait(g->loop.epoll_fd, e, 16, 0);

	for (int i = 0; i < n; i++) {
		struct loop_src *s = e[i].data.ptr;
		bool known = false;

		for (size_t k = 0; k < VSOCK_CONNS; k++)
			known |= s == &g->v.conn[k].src && s->fd >= 0;
		if (known)
			s->fn(s, e[i].events);
	}
}

#endif
