/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/dev/vsock/packet.h"

#include <errno.h>
#include <linux/virtio_vsock.h>

#include "common/cur.h"

int vsock_hdr_parse(const uint8_t p[static VSOCK_HDR_BYTES], struct vsock_hdr *ret, struct err *err)
{
	struct cur c = cur_of(p, VSOCK_HDR_BYTES);
	struct vsock_hdr h = { 0 };

	(void)cur_u64le(&c, &h.src_cid);
	(void)cur_u64le(&c, &h.dst_cid);
	(void)cur_u32le(&c, &h.src_port);
	(void)cur_u32le(&c, &h.dst_port);
	(void)cur_u32le(&c, &h.len);
	(void)cur_u16le(&c, &h.type);
	(void)cur_u16le(&c, &h.op);
	(void)cur_u32le(&c, &h.flags);
	(void)cur_u32le(&c, &h.buf_alloc);
	(void)cur_u32le(&c, &h.fwd_cnt);
	if (h.op == VIRTIO_VSOCK_OP_INVALID || h.op > VIRTIO_VSOCK_OP_CREDIT_REQUEST)
		return err_text(err, -EPROTO, "packet: op %u", h.op);
	if (h.len > VSOCK_PACKET_MAX || (h.len && h.op != VIRTIO_VSOCK_OP_RW))
		return err_text(err, -EPROTO, "packet: len %u with op %u", h.len, h.op);
	*ret = h;
	return 0;
}

static uint8_t *put(uint8_t *p, uint64_t v, unsigned int bytes)
{
	for (unsigned int i = 0; i < bytes; i++)
		*p++ = (uint8_t)(v >> (8 * i));
	return p;
}

void vsock_hdr_write(const struct vsock_hdr *h, uint8_t ret[static VSOCK_HDR_BYTES])
{
	uint8_t *p = ret;

	p = put(p, h->src_cid, 8);
	p = put(p, h->dst_cid, 8);
	p = put(p, h->src_port, 4);
	p = put(p, h->dst_port, 4);
	p = put(p, h->len, 4);
	p = put(p, h->type, 2);
	p = put(p, h->op, 2);
	p = put(p, h->flags, 4);
	p = put(p, h->buf_alloc, 4);
	(void)put(p, h->fwd_cnt, 4);
}

int vsock_credit_peer(struct vsock_credit *c, uint32_t buf_alloc, uint32_t fwd_cnt, struct err *err)
{
	c->peer_buf_alloc = buf_alloc;
	if ((int32_t)(c->tx_cnt - fwd_cnt) < 0)
		return err_text(err, -EPROTO, "packet: fwd_cnt %u is ahead of the %u bytes that were sent", fwd_cnt, c->tx_cnt);
	if ((int32_t)(fwd_cnt - c->peer_fwd_cnt) > 0)
		c->peer_fwd_cnt = fwd_cnt;
	return 0;
}

uint32_t vsock_credit_free(const struct vsock_credit *c)
{
	uint32_t used = c->tx_cnt - c->peer_fwd_cnt;

	return used < c->peer_buf_alloc ? c->peer_buf_alloc - used : 0;
}

int vsock_credit_take(struct vsock_credit *c, uint32_t len, struct err *err)
{
	uint32_t used = c->rx_cnt - c->fwd_told;

	if (len > VSOCK_BUF_BYTES - used)
		return err_text(err, -EPROTO, "packet: %u bytes are more than the credit given", len);
	c->rx_cnt += len;
	return 0;
}
