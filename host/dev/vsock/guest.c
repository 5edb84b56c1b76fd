/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/dev/vsock/vsock.h"

#include <errno.h>
#include <linux/virtio_vsock.h>
#include <string.h>

#include "common/wire.h"

/* Packets from the guest. */

#define BUDGET 128		/* packets per turn of the loop */

static const char ready_line[] = WIRE_READY_LINE;

/* Reset what has no connection here: the answer has the addresses turned round. */
static void reset_stray(struct vsock *v, const struct vsock_hdr *h)
{
	if (h->op == VIRTIO_VSOCK_OP_RST || v->nr_strays == VSOCK_STRAYS)
		return;
	v->stray[v->nr_strays++] = (struct vsock_hdr){
		.src_cid = h->dst_cid, .dst_cid = h->src_cid, .src_port = h->dst_port, .dst_port = h->src_port,
		.type = h->type, .op = VIRTIO_VSOCK_OP_RST,
	};
}

/* The connection of work between two ports; with @guest_port 0 a free place. */
static struct vsock_conn *find_work(struct vsock *v, uint32_t host_port, uint32_t guest_port)
{
	for (size_t i = 0; i < WIRE_CONN_MAX; i++) {
		struct vsock_conn *c = &v->work[i];

		if (c->state == VSOCK_FREE ? !guest_port : c->host_port == host_port && c->guest_port == guest_port)
			return c;
	}
	return NULL;
}

static struct vsock_conn *find(struct vsock *v, const struct vsock_hdr *h)
{
	struct vsock_conn *c = h->dst_port == WIRE_READY_PORT ? &v->agent : &v->conn[h->dst_port % VSOCK_CONNS];

	if (h->dst_port & WIRE_WORK_PORT)
		c = h->src_port ? find_work(v, h->dst_port, h->src_port) : NULL;
	if (!c || h->dst_cid != VSOCK_HOST_CID || h->type != VIRTIO_VSOCK_TYPE_STREAM)
		return NULL;
	if (c->host_port != h->dst_port || c->guest_port != h->src_port)
		return NULL;
	return c->state == VSOCK_OPEN || (c->state == VSOCK_CONNECTING && c->request_sent) ? c : NULL;
}

/* Where a connection that the guest wants goes; NULL: it may not be. */
static struct vsock_conn *place(struct vsock *v, const struct vsock_hdr *h)
{
	if (h->dst_cid != VSOCK_HOST_CID || h->type != VIRTIO_VSOCK_TYPE_STREAM || !h->src_port)
		return NULL;
	if (h->dst_port & WIRE_WORK_PORT)
		return v->agent_ready ? find_work(v, h->dst_port, 0) : NULL;
	/* The agent's line comes once. */
	return h->dst_port == WIRE_READY_PORT && !v->agent_ready && v->agent.state == VSOCK_FREE ? &v->agent : NULL;
}

static void request(struct vsock *v, const struct vsock_hdr *h)
{
	struct vsock_conn *c = place(v, h);

	if (!c) {
		reset_stray(v, h);
		return;
	}
	*c = (struct vsock_conn){ .v = v, .state = VSOCK_OPEN, .host_port = h->dst_port, .guest_port = h->src_port, .fd = -1,
				  .src = { .fd = -1 }, .want_response = true, .queued = c->queued, .next_ready = c->next_ready };
	c->credit.peer_buf_alloc = h->buf_alloc;
	if (c == &v->agent)
		v->agent_line = 0;
	else
		vsock_tell_work(c, true);
	vsock_mark(c);
}

static int agent_bytes(struct vsock *v, const struct iovec *iov, size_t nr, uint32_t len, struct err *err)
{
	char got[sizeof(ready_line)];
	size_t want = sizeof(ready_line) - 1 - v->agent_line;

	if (len > want || vu_iov_get(iov, nr, VSOCK_HDR_BYTES, got, len) != len ||
	    memcmp(got, ready_line + v->agent_line, len) != 0)
		return err_text(err, -EPROTO, "the agent did not say \"%.*s\"", (int)sizeof(ready_line) - 2, ready_line);
	v->agent_line += len;
	v->agent.credit.fwd_cnt += len;
	if (len == want && !v->agent_ready) {
		struct link_msg m = { .type = LINK_AGENT };

		v->agent_ready = true;
		uplink_send(v->port.up, &m);
	}
	return 0;
}

static void refused(struct vsock_conn *c)
{
	vsock_close(c, -ECONNREFUSED);
}

static void guest_shutdown(struct vsock_conn *c, uint32_t flags)
{
	c->guest_deaf |= !!(flags & VIRTIO_VSOCK_SHUTDOWN_RCV);
	c->guest_eof |= !!(flags & VIRTIO_VSOCK_SHUTDOWN_SEND);
	if (c->guest_eof && c->fd >= 0)
		vsock_flush(c);
	if (c->guest_deaf && c->guest_eof) {
		c->want_rst = true;	/* what waits in the buffer survives it */
		vsock_mark(c);
	}
}

static int data(struct vsock_conn *c, const struct vsock_hdr *h, const struct virtq_chain *ch, struct err *err)
{
	int r;

	if (c->guest_eof) {
		c->want_rst = true;
		vsock_mark(c);
		return 0;
	}
	r = vsock_credit_take(&c->credit, h->len, err);
	if (r < 0)
		return r;
	if (vsock_is_work(c))
		return err_text(err, -EPROTO, "packet: len %u on a port of work", h->len);
	if (c->fd < 0)
		return agent_bytes(c->v, ch->iov, ch->nr_out, h->len, err);
	vsock_to_client(c, ch->iov, ch->nr_out, VSOCK_HDR_BYTES, h->len);
	return 0;
}

static int on_open(struct vsock_conn *c, const struct vsock_hdr *h, const struct virtq_chain *ch, struct err *err)
{
	switch (h->op) {
	case VIRTIO_VSOCK_OP_RW:
		return data(c, h, ch, err);
	case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
		return 0;
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
		c->want_credit = true;
		vsock_mark(c);
		return 0;
	case VIRTIO_VSOCK_OP_SHUTDOWN:
		guest_shutdown(c, h->flags);
		return 0;
	case VIRTIO_VSOCK_OP_RST:
		vsock_drain(c);
		return 0;
	}
	c->want_rst = true;	/* RESPONSE or REQUEST for what is connected */
	vsock_mark(c);
	return 0;
}

static int packet(struct vsock *v, const struct vsock_hdr *h, const struct virtq_chain *ch, struct err *err)
{
	struct vsock_conn *c;
	int r;

	if (h->src_cid != v->guest_cid)
		return err_text(err, -EPROTO, "packet: src_cid %llu", (unsigned long long)h->src_cid);
	vsock_pong(v);
	c = find(v, h);
	if (!c) {
		if (h->op == VIRTIO_VSOCK_OP_REQUEST)
			request(v, h);
		else
			reset_stray(v, h);
		return 0;
	}
	if (c->want_rst)	/* its end is decided */
		return 0;
	r = vsock_credit_peer(&c->credit, h->buf_alloc, h->fwd_cnt, err);
	if (r < 0)
		return r;
	if (vsock_credit_free(&c->credit))
		c->asked_credit = false;	/* an answer without credit is no reason to ask again */
	if (c->state == VSOCK_OPEN) {
		vsock_mark(c);	/* it may have credit now */
		return on_open(c, h, ch, err);
	}
	if (h->op == VIRTIO_VSOCK_OP_RESPONSE) {
		c->state = VSOCK_OPEN;
		vsock_mark(c);
	} else {
		if (h->op != VIRTIO_VSOCK_OP_RST)
			reset_stray(v, h);
		refused(c);
	}
	return 0;
}

int vsock_take_packets(struct vsock *v, struct err *err)
{
	struct virtq *q = vu_virtq(&v->port.vu, VSOCK_QUEUE_TX);
	struct virtq_chain ch;
	int budget = BUDGET, r;

	virtq_kicks_off(q);
	for (;;) {
		uint8_t raw[VSOCK_HDR_BYTES];
		struct vsock_hdr h;

		r = virtq_pop(q, &ch, err);
		if (r < 0)
			return r;
		if (r == 0 && !virtq_kicks_on(q))
			break;
		if (r == 0)
			continue;
		if (vu_iov_get(ch.iov, ch.nr_out, 0, raw, sizeof(raw)) != sizeof(raw))
			return err_text(err, -EPROTO, "packet: %zu bytes", ch.out_bytes);
		r = vsock_hdr_parse(raw, &h, err);
		if (r < 0)
			return r;
		if (h.len != ch.out_bytes - VSOCK_HDR_BYTES)
			return err_text(err, -EPROTO, "packet: len %u in a buffer of %zu", h.len, ch.out_bytes);
		r = packet(v, &h, &ch, err);
		if (r < 0)
			return r;
		virtq_push(q, ch.head, 0);
		if (!--budget)
			break;
	}
	vu_notify(&v->port.vu, VSOCK_QUEUE_TX);
	return !budget;
}
