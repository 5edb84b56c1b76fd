/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stddef.h>
#include <stdint.h>

#include "tests/lib/vsock_guest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CLIENTS 4

static struct vsock_hdr header(struct vg *g, const uint8_t *p, uint32_t len)
{
	const struct vsock_conn *c = p[1] & 8 ? &g->v.agent : &g->v.conn[p[1] % CLIENTS];

	return (struct vsock_hdr){
		.src_cid = p[1] & 0x80 ? p[2] : VG_CID, .dst_cid = p[1] & 0x40 ? p[2] : VSOCK_HOST_CID,
		.src_port = p[1] & 8 ? 5 : c->guest_port, .dst_port = !(p[1] & 8) ? c->host_port : p[4] & 1 ? WIRE_WORK_PORT | p[2] : 808,
		.len = p[1] & 0x20 ? p[2] * 300u : len, .type = p[1] & 0x10 ? p[2] : 1, .op = p[3] & 15, .flags = p[3] >> 4,
		.buf_alloc = (uint32_t)p[4] << 10, .fwd_cnt = c->credit.tx_cnt - (p[5] & 0x7f) * 31 + (p[5] & 0x80 ? 100u : 0),
	};
}

/* Each step is six bytes: what is done, and with what. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct vg g;
	static uint8_t bytes[65536];
	int client[CLIENTS] = { -1, -1, -1, -1 };
	int r = 0;

	vg_init(&g);
	for (; size >= 6 && r >= 0 && !g.loop.stop; data += 6, size -= 6) {
		int *fd = &client[data[1] % CLIENTS], pair[2];
		struct vsock_hdr h;

		switch (data[0] & 7) {
		case 0:
			if (*fd >= 0)
				(void)close(*fd);
			if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
				abort();
			*fd = pair[0];
			vsock_client(&g.v, pair[1], 807, data[2]);
			break;
		case 1:
			r = vg_post(&g, NULL);
			if (data[1] & 0x80)
				vsock_ping(&g.v);
			break;
		case 2:
			if (*fd >= 0)
				(void)!send(*fd, bytes, data[2] * 257u, MSG_NOSIGNAL);
			break;
		case 3:
			if (*fd >= 0)
				(void)!read(*fd, bytes, sizeof(bytes));
			break;
		case 4:
			if (*fd >= 0 && data[2] & 1)
				(void)shutdown(*fd, data[2] & 2 ? SHUT_RD : SHUT_WR);
			else if (*fd >= 0)
				(void)close(*fd);
			if (!(data[2] & 1))
				*fd = -1;
			break;
		default:
			h = header(&g, data, (data[3] & 15) == VIRTIO_VSOCK_OP_RW ? data[2] * 257u : 0);
			r = vg_send(&g, &h, data[1] & 8 ? (const uint8_t *)"READY 1\n" : bytes, h.len < 65536 ? h.len % (data[1] & 8 ? 9 : 65536) : 0, NULL);
			break;
		}
		vg_turn(&g);
	}
	for (int i = 0; i < CLIENTS; i++)
		if (client[i] >= 0)
			(void)close(client[i]);
	vg_fini(&g);
	return 0;
}
