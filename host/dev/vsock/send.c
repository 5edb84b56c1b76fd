/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/dev/vsock/vsock.h"

#include <errno.h>
#include <linux/virtio_vsock.h>

/* Packets to the guest. */

#define BUDGET 256		/* packets per turn of the loop */

static struct virtq *rx(struct vsock *v)
{
	return vu_virtq(&v->port.vu, VSOCK_QUEUE_RX);
}

/* Return: 1; 0 when the guest has no buffer; -EPROTO. */
static int get_buffer(struct vsock *v, struct virtq_chain *ch, struct err *err)
{
	int r = virtq_pop(rx(v), ch, err);

	if (r == 0 && virtq_kicks_on(rx(v)))
		r = virtq_pop(rx(v), ch, err);
	if (r > 0 && (ch->nr_out || ch->in_bytes <= VSOCK_HDR_BYTES))
		return err_text(err, -EPROTO, "receive buffer: %zu bytes", ch->in_bytes);
	return r;
}

static void put_packet(struct vsock *v, const struct virtq_chain *ch, const struct vsock_hdr *h)
{
	uint8_t raw[VSOCK_HDR_BYTES];

	vsock_hdr_write(h, raw);
	(void)vu_iov_put(ch->iov, ch->nr_in, 0, raw, sizeof(raw));
	virtq_push(rx(v), ch->head, VSOCK_HDR_BYTES + h->len);
}

static void put_conn_packet(struct vsock_conn *c, const struct virtq_chain *ch, uint16_t op, uint32_t flags,
			    uint32_t len)
{
	struct vsock_hdr h = {
		.src_cid = VSOCK_HOST_CID, .dst_cid = c->v->guest_cid, .src_port = c->host_port, .dst_port = c->guest_port,
		.type = VIRTIO_VSOCK_TYPE_STREAM, .op = op, .flags = flags, .len = len,
		.buf_alloc = VSOCK_BUF_BYTES, .fwd_cnt = c->credit.fwd_cnt,
	};

	c->credit.fwd_told = c->credit.fwd_cnt;
	c->credit.tx_cnt += len;
	c->want_credit = false;
	put_packet(c->v, ch, &h);
}

void vsock_mark(struct vsock_conn *c)
{
	if (c->queued || c->state == VSOCK_FREE)
		return;
	c->queued = true;
	c->next_ready = NULL;
	*c->v->ready_end = c;
	c->v->ready_end = &c->next_ready;
}

static bool may_read(const struct vsock_conn *c)
{
	return c->state == VSOCK_OPEN && c->readable && !c->host_eof && !c->guest_deaf && c->fd >= 0;
}

/* Something to send besides data. Data comes first when it was there first: an end is only seen behind it. */
static bool has_control(const struct vsock_conn *c)
{
	return c->want_request || c->want_response || c->want_rst || c->want_credit || c->want_shutdown || c->want_ping;
}

static bool has_work(const struct vsock_conn *c)
{
	return has_control(c) || (may_read(c) && (vsock_credit_free(&c->credit) || !c->asked_credit));
}

static void send_rst(struct vsock_conn *c, const struct virtq_chain *ch)
{
	put_conn_packet(c, ch, VIRTIO_VSOCK_OP_RST, 0, 0);
	vsock_drain(c);
}

static void send_control(struct vsock_conn *c, const struct virtq_chain *ch)
{
	if (c->want_rst) {
		send_rst(c, ch);
	} else if (c->want_request) {
		c->want_request = false;
		c->request_sent = true;
		put_conn_packet(c, ch, VIRTIO_VSOCK_OP_REQUEST, 0, 0);
	} else if (c->want_response) {
		c->want_response = false;
		put_conn_packet(c, ch, VIRTIO_VSOCK_OP_RESPONSE, 0, 0);
	} else if (c->want_shutdown) {
		c->want_shutdown = false;
		put_conn_packet(c, ch, VIRTIO_VSOCK_OP_SHUTDOWN, VIRTIO_VSOCK_SHUTDOWN_SEND, 0);
		if (c->guest_eof && !c->buf_len) {
			c->want_rst = true;
			vsock_mark(c);
		}
	} else if (c->want_ping) {
		c->want_ping = false;
		put_conn_packet(c, ch, VIRTIO_VSOCK_OP_CREDIT_REQUEST, 0, 0);
	} else {
		put_conn_packet(c, ch, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, 0);
	}
}

/* One packet of data. Return: false if the buffer was not used. */
static bool send_data(struct vsock_conn *c, const struct virtq_chain *ch)
{
	size_t n;

	if (!vsock_credit_free(&c->credit)) {
		/* Guests tell on their own; ask once, for one that does not. */
		c->asked_credit = true;
		put_conn_packet(c, ch, VIRTIO_VSOCK_OP_CREDIT_REQUEST, 0, 0);
		return true;
	}
	n = vsock_read_client(c, ch->iov, ch->nr_in);
	if (!n)
		return false;
	put_conn_packet(c, ch, VIRTIO_VSOCK_OP_RW, 0, (uint32_t)n);
	return true;
}

static void send_stray(struct vsock *v, const struct virtq_chain *ch)
{
	struct vsock_hdr h = v->stray[--v->nr_strays];

	put_packet(v, ch, &h);
}

static struct vsock_conn *next_ready(struct vsock *v)
{
	struct vsock_conn *c = v->ready;

	if (!c)
		return NULL;
	v->ready = c->next_ready;
	if (!v->ready)
		v->ready_end = &v->ready;
	c->queued = false;
	return c;
}

int vsock_pump(struct vsock *v, struct err *err)
{
	struct virtq_chain ch;
	bool have = false;
	int budget = BUDGET, r = 0;

	if (!vu_runs(&v->port.vu, VSOCK_QUEUE_RX))
		return 0;
	while (v->ready || v->nr_strays) {
		struct vsock_conn *c;

		if (v->ready && !v->nr_strays && !has_work(v->ready)) {
			(void)next_ready(v);
			continue;
		}
		if (!budget--) {
			loop_later(v->port.loop, &v->later);
			break;
		}
		if (!have)
			r = get_buffer(v, &ch, err);
		if (r <= 0 && !have)
			break;
		have = true;
		if (v->nr_strays) {
			send_stray(v, &ch);
			have = false;
			continue;
		}
		c = next_ready(v);
		if (has_control(c)) {
			send_control(c, &ch);
			have = false;
		} else if (send_data(c, &ch)) {
			have = false;
		}
		vsock_mark(c);
	}
	if (have)
		virtq_unpop(rx(v));
	vu_notify(&v->port.vu, VSOCK_QUEUE_RX);
	return r < 0 ? r : 0;
}
