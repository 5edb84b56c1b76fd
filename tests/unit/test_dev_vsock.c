/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/lib/vsock_guest.h"

static struct vg g;
static uint8_t bytes[65536];

static int setup(void **state)
{
	(void)state;
	vg_init(&g);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vg_fini(&g);
	return 0;
}

static void post(unsigned int n)
{
	while (n--)
		assert_int_equal(vg_post(&g, NULL), 0);
}

/* A client joined to guest port 807; its REQUEST has been received. */
static int client(struct vsock_hdr *ret_request)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	post(1);
	vsock_client(&g.v, pair[1], 807, 77);
	assert_non_null(vg_received(&g, ret_request));
	assert_int_equal(ret_request->op, VIRTIO_VSOCK_OP_REQUEST);
	assert_int_equal(ret_request->dst_port, 807);
	assert_int_equal(ret_request->src_cid, 2);
	return pair[0];
}

static struct vsock_hdr answer(const struct vsock_hdr *to, uint16_t op)
{
	return (struct vsock_hdr){ .src_cid = VG_CID, .dst_cid = 2, .src_port = to->dst_port, .dst_port = to->src_port,
				   .type = 1, .op = op, .buf_alloc = 1 << 18 };
}

static int open_client(struct vsock_hdr *ret)
{
	struct vsock_hdr request;
	int fd = client(&request);

	*ret = answer(&request, VIRTIO_VSOCK_OP_RESPONSE);
	assert_int_equal(vg_send(&g, ret, NULL, 0, NULL), 0);
	return fd;
}

static int send_op(struct vsock_hdr *h, uint16_t op, uint32_t len, struct err *err)
{
	h->op = op;
	h->len = len;
	return vg_send(&g, h, bytes, len, err);
}

static void expect_op(uint16_t op)
{
	struct vsock_hdr h;

	assert_non_null(vg_received(&g, &h));
	assert_int_equal(h.op, op);
}

static void expect_link(uint32_t type)
{
	struct link_msg m;

	assert_int_equal(link_recv(g.link[1], &m, NULL, 0, NULL), 1);
	assert_int_equal(m.type, type);
	if (type == LINK_CLIENT_DONE || type == LINK_CLIENT_FAILED)
		assert_int_equal(m.client.id, 77);
}

static void lie_none(struct vsock_hdr *h)
{
	h->fwd_cnt = 0;
}

static void lie_cid(struct vsock_hdr *h)
{
	h->src_cid = 4;
}

static void lie_op(struct vsock_hdr *h)
{
	h->op = 9;
	h->len = 0;
}

static void lie_len(struct vsock_hdr *h)
{
	h->len++;
}

static void lie_huge(struct vsock_hdr *h)
{
	h->len = UINT32_MAX;
}

static void lie_fwd(struct vsock_hdr *h)
{
	h->fwd_cnt = 1;
}

static void lie_long(struct vsock_hdr *h)
{
	h->len = VSOCK_PACKET_MAX + 1;
}

static void lie_len_of_update(struct vsock_hdr *h)
{
	h->op = VIRTIO_VSOCK_OP_CREDIT_UPDATE;
}

static const struct {
	const char *name;
	void (*change)(struct vsock_hdr *h);
	const char *text;
} violations[] = {
	{ "none", lie_none, NULL },	   { "src_cid", lie_cid, "src_cid" },
	{ "op", lie_op, "op 9" },	   { "length", lie_len, "len 101 in a buffer" },
	{ "huge length", lie_huge, "len" }, { "fwd_cnt", lie_fwd, "fwd_cnt" },
	{ "length of an update", lie_len_of_update, "len 100 with op 6" },
	{ "longer than a packet", lie_long, "len 65537 with op 5" },
};

static void test_violations(void **state)
{
	for (size_t i = 0; i < sizeof(violations) / sizeof(*violations); i++) {
		struct err err = ERR_INIT;
		struct vsock_hdr h;
		int fd, r;

		print_message("%s\n", violations[i].name);
		fd = open_client(&h);
		h.op = VIRTIO_VSOCK_OP_RW;
		h.len = 100;
		violations[i].change(&h);
		r = vg_send(&g, &h, bytes, i == 2 ? 0 : 100, &err);
		assert_int_equal(r, violations[i].text ? -EPROTO : 0);
		if (violations[i].text)
			assert_non_null(strstr(err.text, violations[i].text));
		(void)close(fd);
		(void)teardown(state);
		(void)setup(state);
	}
}

static void stray_dst_cid(struct vsock_hdr *h)
{
	h->dst_cid = 5;
}

static void stray_src_port(struct vsock_hdr *h)
{
	h->src_port++;
}

static void stray_dst_port(struct vsock_hdr *h)
{
	h->dst_port += VSOCK_CONNS;
}

static void stray_type(struct vsock_hdr *h)
{
	h->type = 2;
}

static const struct {
	const char *name;
	void (*change)(struct vsock_hdr *h);
} strays[] = {
	{ "dst_cid", stray_dst_cid }, { "src_port", stray_src_port }, { "dst_port", stray_dst_port }, { "type", stray_type },
};

/* Addresses that are almost those of a connection: reset, and the connection is none the worse. */
static void test_almost(void **state)
{
	for (size_t i = 0; i < sizeof(strays) / sizeof(*strays); i++) {
		struct vsock_hdr h, lie, got;
		int fd = open_client(&h);

		print_message("%s\n", strays[i].name);
		lie = h;
		strays[i].change(&lie);
		assert_int_equal(send_op(&lie, VIRTIO_VSOCK_OP_RW, 10, NULL), 0);
		post(1);
		assert_non_null(vg_received(&g, &got));
		assert_int_equal(got.op, VIRTIO_VSOCK_OP_RST);
		assert_int_equal(got.src_port, lie.dst_port);
		assert_int_equal(got.dst_port, lie.src_port);
		assert_int_equal(got.src_cid, lie.dst_cid);
		assert_int_equal(got.type, lie.type);
		assert_int_equal(read(fd, bytes, 100), -1);
		assert_int_equal(send_op(&h, VIRTIO_VSOCK_OP_RW, 10, NULL), 0);
		assert_int_equal(read(fd, bytes, 100), 10);
		(void)close(fd);
		(void)teardown(state);
		(void)setup(state);
	}
}

static const struct {
	const char *name;
	unsigned int queue;
	struct vring_desc d;	/* beginning in the packet or receive buffer */
	const char *text;
} buffers[] = {
	{ "a packet without a whole header", VSOCK_QUEUE_TX, { 0, VSOCK_HDR_BYTES - 1, 0, 0 }, "packet: 43 bytes" },
	{ "a packet that we are to fill", VSOCK_QUEUE_TX, { 0, 100, VRING_DESC_F_WRITE, 0 }, "packet: 0 bytes" },
	{ "a header of zeros", VSOCK_QUEUE_TX, { 0, VSOCK_HDR_BYTES, 0, 0 }, "packet: op 0" },
	{ "a receive buffer for a header alone", VSOCK_QUEUE_RX, { 0, VSOCK_HDR_BYTES, VRING_DESC_F_WRITE, 0 }, "receive buffer: 44 bytes" },
	{ "a receive buffer that is full", VSOCK_QUEUE_RX, { 0, VG_BUF, 0, 0 }, "receive buffer: 0 bytes" },
	{ "a receive buffer outside", VSOCK_QUEUE_RX, { UINT64_MAX / 2, VG_BUF, VRING_DESC_F_WRITE, 0 }, "virtqueue: descriptor address" },
};

/* Buffers that cannot be what they are offered as. */
static void test_buffers(void **state)
{
	for (size_t i = 0; i < sizeof(buffers) / sizeof(*buffers); i++) {
		const bool rx = buffers[i].queue == VSOCK_QUEUE_RX;
		struct vg_ring *r = rx ? &g.mem->rx : &g.mem->tx;
		struct err err = ERR_INIT;
		int pair[2];

		print_message("%s\n", buffers[i].name);
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
		vsock_client(&g.v, pair[1], 807, 77);	/* something that wants a receive buffer */
		r->desc[0] = buffers[i].d;
		r->desc[0].addr += vg_gpa(&g, rx ? g.mem->rx_buf[0] : g.mem->tx_buf);
		vg_avail(r, 0);
		assert_int_equal(vg_run(&g, buffers[i].queue, &err), -EPROTO);
		assert_string_equal(err.text, buffers[i].text);
		(void)close(pair[0]);
		(void)teardown(state);
		(void)setup(state);
	}
}

/* 256 KiB of credit and not a byte more, however slow the client is; then as much again as it reads. */
static void test_credit_from_guest(void **state)
{
	struct err err = ERR_INIT;
	struct vsock_hdr h;
	uint32_t taken = 0;
	ssize_t n;
	int fd = open_client(&h);

	(void)state;
	/* without a receive buffer no update reaches the guest, so the credit stays where it was */
	while (taken + sizeof(bytes) <= VSOCK_BUF_BYTES) {
		assert_int_equal(send_op(&h, VIRTIO_VSOCK_OP_RW, sizeof(bytes), NULL), 0);
		taken += sizeof(bytes);
	}
	assert_int_equal(taken, VSOCK_BUF_BYTES);
	for (uint32_t got = 0; got < taken; got += (uint32_t)n) {
		n = read(fd, bytes, sizeof(bytes));
		assert_true(n > 0);
		vg_turn(&g);
	}
	post(1);
	assert_non_null(vg_received(&g, &h));
	assert_int_equal(h.op, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	assert_int_equal(h.fwd_cnt, taken);
	assert_int_equal(h.buf_alloc, VSOCK_BUF_BYTES);
	h = answer(&h, 0);
	for (taken = 0; taken < VSOCK_BUF_BYTES; taken += sizeof(bytes))
		assert_int_equal(send_op(&h, VIRTIO_VSOCK_OP_RW, sizeof(bytes), NULL), 0);
	assert_int_equal(send_op(&h, VIRTIO_VSOCK_OP_RW, 1, &err), -EPROTO);
	assert_non_null(strstr(err.text, "credit"));
	(void)close(fd);
}

/* The guest's credit is never exceeded, and only what fits into its buffer goes into a packet. */
static void test_credit_to_guest(void **state)
{
	struct vsock_hdr h, got;
	int fd = open_client(&h);

	(void)state;
	h.buf_alloc = 5000;
	assert_int_equal(send_op(&h, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, NULL), 0);
	assert_int_equal(send(fd, bytes, 20000, 0), 20000);
	vg_turn(&g);
	post(4);
	assert_non_null(vg_received(&g, &got));
	assert_int_equal(got.op, VIRTIO_VSOCK_OP_RW);
	assert_int_equal(got.len, VG_BUF - VSOCK_HDR_BYTES);
	assert_non_null(vg_received(&g, &got));
	assert_int_equal(got.len, 5000 - (VG_BUF - VSOCK_HDR_BYTES));
	expect_op(VIRTIO_VSOCK_OP_CREDIT_REQUEST);
	assert_null(vg_received(&g, &got));
	/* an answer that brings nothing is not asked again */
	assert_int_equal(send_op(&h, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, NULL), 0);
	assert_null(vg_received(&g, &got));
	h.fwd_cnt = 5000;
	assert_int_equal(send_op(&h, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, NULL), 0);
	assert_non_null(vg_received(&g, &got));
	assert_int_equal(got.op, VIRTIO_VSOCK_OP_RW);
	/* an older count that was overtaken is no lie */
	h.fwd_cnt = 4000;
	assert_int_equal(send_op(&h, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, NULL), 0);
	(void)close(fd);
}

/* A window that the guest moves about: no byte beyond the smallest it told last, and never a wrap. */
static void test_window_lies(void **state)
{
	struct vsock_hdr h, got;
	int fd = open_client(&h);

	(void)state;
	h.buf_alloc = 0;
	assert_int_equal(send_op(&h, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, NULL), 0);
	assert_int_equal(send(fd, bytes, 9000, 0), 9000);
	vg_turn(&g);
	post(8);
	while (vg_received(&g, &got))
		assert_int_not_equal(got.op, VIRTIO_VSOCK_OP_RW);
	h.buf_alloc = 1000;
	assert_int_equal(send_op(&h, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, NULL), 0);
	assert_non_null(vg_received(&g, &got));
	assert_int_equal(got.op, VIRTIO_VSOCK_OP_RW);
	assert_int_equal(got.len, 1000);
	h.buf_alloc = 10;	/* less than is under way */
	assert_int_equal(send_op(&h, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, NULL), 0);
	while (vg_received(&g, &got))
		assert_int_not_equal(got.op, VIRTIO_VSOCK_OP_RW);
	h.buf_alloc = UINT32_MAX;
	assert_int_equal(send_op(&h, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, NULL), 0);
	assert_non_null(vg_received(&g, &got));
	assert_int_equal(got.op, VIRTIO_VSOCK_OP_RW);
	assert_true(got.len <= VG_BUF - VSOCK_HDR_BYTES);
	h.fwd_cnt = 1u << 31;	/* more than was ever sent */
	assert_int_equal(send_op(&h, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, NULL), -EPROTO);
	(void)close(fd);
}

/* A guest that answers no request: the table is bounded, clients beyond it are refused, and those that leave give room. */
static void test_half_open(void **state)
{
	static int fd[VSOCK_CONNS + 8];
	struct vsock_hdr got;
	struct link_msg m;
	size_t failed = 0;
	int pair[2];

	(void)state;
	for (size_t i = 0; i < VSOCK_CONNS + 8; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
		fd[i] = pair[0];
		vsock_client(&g.v, pair[1], 807, (uint32_t)i);
	}
	while (link_recv(g.link[1], &m, NULL, 0, NULL) == 1)
		failed += m.type == LINK_CLIENT_FAILED;
	assert_int_equal(failed, 8);
	for (size_t i = 0; i < VSOCK_CONNS + 8; i++)
		(void)close(fd[i]);
	for (int i = 0; i < 1200; i++) {
		vg_turn(&g);
		post(1);
		(void)vg_received(&g, &got);
	}
	for (size_t i = 0; i < VSOCK_CONNS; i++)
		assert_int_equal(g.v.conn[i].state, VSOCK_FREE);
}

/* Answers and ends that come twice, or for what is not there, harm nobody. */
static void test_repeats(void **state)
{
	static const uint16_t ops[] = { VIRTIO_VSOCK_OP_RESPONSE, VIRTIO_VSOCK_OP_REQUEST, VIRTIO_VSOCK_OP_CREDIT_REQUEST,
					VIRTIO_VSOCK_OP_RST, VIRTIO_VSOCK_OP_RST, VIRTIO_VSOCK_OP_SHUTDOWN,
					VIRTIO_VSOCK_OP_RESPONSE, VIRTIO_VSOCK_OP_CREDIT_UPDATE, VIRTIO_VSOCK_OP_RW };
	struct vsock_hdr h, got;
	struct link_msg m;
	size_t ends = 0;
	int fd = open_client(&h);

	(void)state;
	for (size_t i = 0; i < sizeof(ops) / sizeof(*ops); i++) {
		int r = send_op(&h, ops[i], 0, NULL);

		assert_true(r == 0 || r == -EPROTO);
		post(1);
		(void)vg_received(&g, &got);
	}
	while (link_recv(g.link[1], &m, NULL, 0, NULL) == 1)
		ends += m.type == LINK_CLIENT_DONE || m.type == LINK_CLIENT_FAILED;
	assert_int_equal(ends, 1);
	(void)close(fd);
}

/* What the guest has sent before it closed reaches a client that reads late, and then the end. */
static void test_data_before_shutdown(void **state)
{
	struct vsock_hdr h, got;
	size_t total = 0;
	ssize_t n;
	int fd = open_client(&h);

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(send_op(&h, VIRTIO_VSOCK_OP_RW, sizeof(bytes), NULL), 0);
	h.flags = 3;
	assert_int_equal(send_op(&h, VIRTIO_VSOCK_OP_SHUTDOWN, 0, NULL), 0);
	post(2);
	assert_non_null(vg_received(&g, &got));
	assert_int_equal(got.op, VIRTIO_VSOCK_OP_RST);
	while ((n = read(fd, bytes, 4096)) != 0) {
		if (n < 0)
			assert_int_equal(errno, EAGAIN);
		else
			total += (size_t)n;
		vg_turn(&g);
	}
	assert_int_equal(total, 4 * sizeof(bytes));
	expect_link(LINK_CLIENT_DONE);
	(void)close(fd);
}

static void test_half_close(void **state)
{
	struct vsock_hdr h, got;
	int fd = open_client(&h);

	(void)state;
	assert_int_equal(send(fd, "bye", 3, 0), 3);
	(void)shutdown(fd, SHUT_WR);
	vg_turn(&g);
	post(3);
	expect_op(VIRTIO_VSOCK_OP_RW);
	assert_non_null(vg_received(&g, &got));
	assert_int_equal(got.op, VIRTIO_VSOCK_OP_SHUTDOWN);
	assert_int_equal(got.flags, VIRTIO_VSOCK_SHUTDOWN_SEND);
	/* the guest goes on sending, then ends too */
	assert_int_equal(send_op(&h, VIRTIO_VSOCK_OP_RW, 10, NULL), 0);
	assert_int_equal(read(fd, bytes, 100), 10);
	h.flags = VIRTIO_VSOCK_SHUTDOWN_SEND;
	assert_int_equal(send_op(&h, VIRTIO_VSOCK_OP_SHUTDOWN, 0, NULL), 0);
	assert_int_equal(read(fd, bytes, 100), 0);
	expect_op(VIRTIO_VSOCK_OP_RST);
	expect_link(LINK_CLIENT_DONE);
	(void)close(fd);
}

static void test_refused(void **state)
{
	struct vsock_hdr request, h;
	int fd = client(&request);

	(void)state;
	h = answer(&request, VIRTIO_VSOCK_OP_RST);
	assert_int_equal(vg_send(&g, &h, NULL, 0, NULL), 0);
	expect_link(LINK_CLIENT_FAILED);
	assert_int_equal(read(fd, bytes, 1), 0);
	(void)close(fd);
}

static void test_guest_connects(void **state)
{
	struct vsock_hdr h = { .src_cid = VG_CID, .dst_cid = 2, .src_port = 5, .dst_port = 4711, .type = 1, .op = 1, .buf_alloc = 999 }, got;
	struct err err = ERR_INIT;

	(void)state;
	post(6);
	assert_int_equal(vg_send(&g, &h, NULL, 0, NULL), 0);
	assert_non_null(vg_received(&g, &got));
	assert_int_equal(got.op, VIRTIO_VSOCK_OP_RST);
	assert_int_equal(got.src_port, 4711);
	assert_int_equal(got.dst_port, 5);
	h.dst_port = 808;
	assert_int_equal(vg_send(&g, &h, NULL, 0, NULL), 0);
	expect_op(VIRTIO_VSOCK_OP_RESPONSE);
	memcpy(bytes, "READY 1\n", 8);
	assert_int_equal(send_op(&h, VIRTIO_VSOCK_OP_RW, 8, NULL), 0);
	expect_link(LINK_AGENT);
	h.src_port = 6;	/* once only */
	assert_int_equal(send_op(&h, VIRTIO_VSOCK_OP_REQUEST, 0, NULL), 0);
	expect_op(VIRTIO_VSOCK_OP_RST);
	h.src_port = 5;
	assert_int_equal(send_op(&h, VIRTIO_VSOCK_OP_RW, 8, &err), -EPROTO);
	assert_non_null(strstr(err.text, "READY 1"));
}

static void say_ready(void)
{
	struct vsock_hdr h = { .src_cid = VG_CID, .dst_cid = 2, .src_port = 5, .dst_port = 808, .type = 1, .op = 1, .buf_alloc = 999 };

	post(1);
	assert_int_equal(vg_send(&g, &h, NULL, 0, NULL), 0);
	expect_op(VIRTIO_VSOCK_OP_RESPONSE);
	memcpy(bytes, "READY 1\n", 8);
	assert_int_equal(send_op(&h, VIRTIO_VSOCK_OP_RW, 8, NULL), 0);
	expect_link(LINK_AGENT);
}

static void expect_work(uint32_t port, bool begins)
{
	struct link_msg m;

	assert_int_equal(link_recv(g.link[1], &m, NULL, 0, NULL), 1);
	assert_int_equal(m.type, LINK_WORK);
	assert_int_equal(m.work.port, port);
	assert_int_equal(m.work.begins, begins);
}

/* What the agent works on: told before the guest has its answer, and until it hangs up. */
static void test_work(void **state)
{
	struct vsock_hdr h = { .src_cid = VG_CID, .dst_cid = 2, .src_port = 9, .dst_port = 0x80000007, .type = 1, .op = 1, .buf_alloc = 999 };
	struct vsock_hdr early = h;
	struct err err = ERR_INIT;
	struct link_msg m;

	(void)state;
	post(4);
	assert_int_equal(vg_send(&g, &early, NULL, 0, NULL), 0);
	expect_op(VIRTIO_VSOCK_OP_RST);	/* before the agent has said that it is there */
	say_ready();
	assert_int_equal(vg_send(&g, &h, NULL, 0, NULL), 0);
	expect_work(0x80000007, true);
	expect_op(VIRTIO_VSOCK_OP_RESPONSE);
	h.src_port = 10;	/* another worker, the same volume */
	assert_int_equal(vg_send(&g, &h, NULL, 0, NULL), 0);
	expect_work(0x80000007, true);
	expect_op(VIRTIO_VSOCK_OP_RESPONSE);
	h.flags = 3;
	assert_int_equal(send_op(&h, VIRTIO_VSOCK_OP_SHUTDOWN, 0, NULL), 0);
	expect_op(VIRTIO_VSOCK_OP_RST);
	expect_work(0x80000007, false);
	assert_int_equal(link_recv(g.link[1], &m, NULL, 0, NULL), -EAGAIN);
	h.src_port = 9;		/* nothing is said there */
	assert_int_equal(send_op(&h, VIRTIO_VSOCK_OP_RW, 1, &err), -EPROTO);
	assert_non_null(strstr(err.text, "port of work"));
}

/* No more at once than the agent has workers; a driver that goes away has not ended its work. */
static void test_work_flood(void **state)
{
	struct vsock_hdr h = { .src_cid = VG_CID, .dst_cid = 2, .dst_port = 0x80000007, .type = 1, .op = 1, .buf_alloc = 999 }, got;
	struct link_msg m;
	unsigned int begun = 0, refused = 0;

	(void)state;
	say_ready();
	for (uint32_t i = 0; i < 500; i++) {
		post(1);
		h.src_port = i;
		h.dst_port = 0x80000000u + i * 0x10001u;
		assert_int_equal(vg_send(&g, &h, NULL, 0, NULL), 0);
		assert_non_null(vg_received(&g, &got));
		refused += got.op == VIRTIO_VSOCK_OP_RST;
		begun += link_recv(g.link[1], &m, NULL, 0, NULL) == 1;
	}
	assert_int_equal(begun, WIRE_CONN_MAX);
	assert_int_equal(refused, 500 - WIRE_CONN_MAX);
	g.v.port.type->stop(&g.v.port, VSOCK_QUEUE_TX);
	assert_int_equal(link_recv(g.link[1], &m, NULL, 0, NULL), -EAGAIN);
}

static void test_ping(void **state)
{
	struct vsock_hdr h = { .src_cid = VG_CID, .dst_cid = 2, .src_port = 9, .dst_port = 0x80000007, .type = 1, .op = 1, .buf_alloc = 999 };
	struct link_msg m;

	(void)state;
	post(4);
	vsock_ping(&g.v);	/* nothing is in work */
	expect_link(LINK_PONG);
	say_ready();
	assert_int_equal(vg_send(&g, &h, NULL, 0, NULL), 0);
	expect_work(0x80000007, true);
	expect_op(VIRTIO_VSOCK_OP_RESPONSE);
	vsock_ping(&g.v);
	expect_op(VIRTIO_VSOCK_OP_CREDIT_REQUEST);
	assert_int_equal(link_recv(g.link[1], &m, NULL, 0, NULL), -EAGAIN);
	assert_int_equal(send_op(&h, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, NULL), 0);
	expect_link(LINK_PONG);
	assert_int_equal(send_op(&h, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, NULL), 0);
	assert_int_equal(link_recv(g.link[1], &m, NULL, 0, NULL), -EAGAIN);
}

/* Resets for packets that belong to nothing are bounded, also when the guest gives no buffers. */
static void test_strays(void **state)
{
	struct vsock_hdr h = { .src_cid = VG_CID, .dst_cid = 2, .src_port = 5, .dst_port = 9, .type = 1, .op = VIRTIO_VSOCK_OP_RW };

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(vg_send(&g, &h, NULL, 0, NULL), 0);
	assert_int_equal(g.v.nr_strays, VSOCK_STRAYS);
	post(10);
	assert_int_equal(g.v.nr_strays, VSOCK_STRAYS - 10);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_violations), T(test_almost), T(test_buffers), T(test_credit_from_guest), T(test_credit_to_guest), T(test_data_before_shutdown),
		T(test_half_close), T(test_refused), T(test_window_lies),
		T(test_half_open), T(test_repeats), T(test_guest_connects), T(test_strays),
		T(test_work), T(test_work_flood), T(test_ping),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
