/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/dev/vsock/vsock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* The side of the stream sockets. */

static void client_gone(struct vsock_conn *c)
{
	c->buf_len = 0;
	if (c->state == VSOCK_DRAINING) {
		vsock_close(c, 0);
		return;
	}
	c->want_rst = true;
	vsock_mark(c);
}

static void consumed(struct vsock_conn *c, uint32_t n)
{
	c->credit.fwd_cnt += n;
	if (c->credit.fwd_cnt - c->credit.fwd_told >= VSOCK_UPDATE_BYTES && c->state == VSOCK_OPEN) {
		c->want_credit = true;
		vsock_mark(c);
	}
}

/* Return: bytes the socket took; -EAGAIN; negative errno when the client has gone. */
static ssize_t send_some(struct vsock_conn *c, struct iovec *iov, size_t nr)
{
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = nr };
	ssize_t n;

	do
		n = sendmsg(c->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static void buffer(struct vsock_conn *c, const struct iovec *iov, size_t nr, size_t off, uint32_t len)
{
	uint32_t at = (c->buf_off + c->buf_len) % VSOCK_BUF_BYTES;
	uint32_t first = len < VSOCK_BUF_BYTES - at ? len : VSOCK_BUF_BYTES - at;

	if (!c->buf)
		c->buf = malloc(VSOCK_BUF_BYTES);
	if (!c->buf) {
		client_gone(c);
		return;
	}
	(void)vu_iov_get(iov, nr, off, c->buf + at, first);
	(void)vu_iov_get(iov, nr, off + first, c->buf, len - first);
	c->buf_len += len;
}

void vsock_to_client(struct vsock_conn *c, const struct iovec *iov, size_t nr, size_t off, uint32_t len)
{
	if (!len || c->want_rst)
		return;
	if (!c->buf_len) {
		struct iovec part[VIRTQ_CHAIN_MAX];
		size_t nr_part = vu_iov_slice(iov, nr, off, len, part);
		ssize_t n = send_some(c, part, nr_part);

		if (n < 0 && n != -EAGAIN) {
			client_gone(c);
			return;
		}
		if (n > 0) {
			consumed(c, (uint32_t)n);
			off += (size_t)n;
			len -= (uint32_t)n;
		}
	}
	if (len)
		buffer(c, iov, nr, off, len);
}

static void buffer_empty(struct vsock_conn *c)
{
	if (c->guest_eof && !c->wr_shut) {
		(void)shutdown(c->fd, SHUT_WR);
		c->wr_shut = true;
	}
	if (c->state == VSOCK_DRAINING) {
		vsock_close(c, 0);
	} else if (c->guest_eof && c->host_eof && !c->want_shutdown) {
		c->want_rst = true;
		vsock_mark(c);
	}
}

void vsock_flush(struct vsock_conn *c)
{
	while (c->buf_len) {
		uint32_t first = VSOCK_BUF_BYTES - c->buf_off;
		struct iovec iov[2] = {
			{ .iov_base = c->buf + c->buf_off, .iov_len = c->buf_len < first ? c->buf_len : first },
			{ .iov_base = c->buf, .iov_len = c->buf_len < first ? 0 : c->buf_len - first },
		};
		ssize_t n = send_some(c, iov, 2);

		if (n == -EAGAIN)
			return;
		if (n < 0) {
			client_gone(c);
			return;
		}
		c->buf_off = (c->buf_off + (uint32_t)n) % VSOCK_BUF_BYTES;
		c->buf_len -= (uint32_t)n;
		consumed(c, (uint32_t)n);
	}
	buffer_empty(c);
}

void vsock_drain(struct vsock_conn *c)
{
	c->state = VSOCK_DRAINING;
	c->guest_eof = true;
	c->want_response = c->want_credit = c->want_shutdown = c->want_rst = c->want_ping = false;
	if (c->fd < 0)
		vsock_close(c, 0);
	else
		vsock_flush(c);
}

void vsock_client_event(struct loop_src *s, uint32_t events)
{
	struct vsock_conn *c = (struct vsock_conn *)(void *)((char *)s - offsetof(struct vsock_conn, src));
	struct vsock *v = c->v;
	struct err err = ERR_INIT;

	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
		c->readable = true;
		c->hung_up |= !!(events & (EPOLLHUP | EPOLLERR));
		vsock_mark(c);
	}
	if (events & EPOLLOUT && c->buf_len)
		vsock_flush(c);
	/* A guest that never answers must not keep what its client has left; a late answer is reset as a stray. */
	if ((c->state == VSOCK_DRAINING || c->state == VSOCK_CONNECTING) && c->hung_up)
		vsock_close(c, 0);
	if (vsock_pump(v, &err) < 0)
		uplink_fatal(v->port.up, &err, v->port.name);
}

size_t vsock_read_client(struct vsock_conn *c, const struct iovec *iov, size_t nr)
{
	struct iovec part[VIRTQ_CHAIN_MAX];
	size_t max = vsock_credit_free(&c->credit);
	struct msghdr msg = { .msg_iov = part, .msg_iovlen = vu_iov_slice(iov, nr, VSOCK_HDR_BYTES, max, part) };
	ssize_t n;

	do
		n = recvmsg(c->fd, &msg, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		return (size_t)n;
	c->readable = false;
	if (n < 0 && errno == EAGAIN)
		return 0;
	c->host_eof = true;
	if (n < 0 || c->hung_up)
		client_gone(c);
	else
		c->want_shutdown = true;
	return 0;
}
