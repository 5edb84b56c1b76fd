/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_DEV_VSOCK_PACKET_H
#define HOST_DEV_VSOCK_PACKET_H

/* virtio-vsock packet headers, and the arithmetic of credit: pure functions. */

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "common/err.h"

#define VSOCK_HDR_BYTES 44
#define VSOCK_HOST_CID 2
#define VSOCK_BUF_BYTES (256u << 10)		/* what we take from the guest before a socket has taken it */
#define VSOCK_UPDATE_BYTES (64u << 10)		/* a credit update at least so often */
#define VSOCK_PACKET_MAX (64u << 10)		/* data bytes in one packet from the guest */

struct vsock_hdr {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port;
	uint32_t len;
	uint16_t type, op;
	uint32_t flags;
	uint32_t buf_alloc, fwd_cnt;
};

/** vsock_hdr_parse() - Return: 0; -EPROTO with the field named for an operation that does not exist or an impossible length. */
int vsock_hdr_parse(const uint8_t p[static VSOCK_HDR_BYTES], struct vsock_hdr *ret, struct err *err);

void vsock_hdr_write(const struct vsock_hdr *h, uint8_t ret[static VSOCK_HDR_BYTES]);

/* Counters are of bytes and wrap. */
struct vsock_credit {
	uint32_t rx_cnt;	/* came from the guest */
	uint32_t fwd_cnt;	/* of those, handed on */
	uint32_t fwd_told;	/* what the guest knows of that */
	uint32_t tx_cnt;	/* went to the guest */
	uint32_t peer_buf_alloc;
	uint32_t peer_fwd_cnt;
};

/**
 * vsock_credit_peer() - what the guest says about its buffer
 * Packets may overtake each other inside the guest: an older fwd_cnt is not taken over.
 * Return: 0; -EPROTO if it claims to have consumed more than was sent.
 */
int vsock_credit_peer(struct vsock_credit *c, uint32_t buf_alloc, uint32_t fwd_cnt, struct err *err);

/** vsock_credit_free() - bytes that may be sent to the guest now. */
uint32_t vsock_credit_free(const struct vsock_credit *c);

/** vsock_credit_take() - @len bytes have come. Return: 0; -EPROTO if the guest had no credit for them. */
int vsock_credit_take(struct vsock_credit *c, uint32_t len, struct err *err);

#endif
