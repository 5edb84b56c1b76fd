/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_DEV_VSOCK_VSOCK_H
#define HOST_DEV_VSOCK_VSOCK_H

/*
 * virtio-vsock for one guest. Theory of operation:
 *
 * A connection joins a stream socket that the session handed over with a port of the guest. Our port numbers name the
 * place in the table (port % VSOCK_CONNS), so there is no look-up, and are not used again soon.
 *
 *  guest -> socket  A packet's data goes to the socket straight out of guest memory; what the socket does not take waits in
 *                   the connection's buffer of VSOCK_BUF_BYTES. Credit is given back when the socket has taken the bytes, so a
 *                   client that does not read stops its own connection alone.
 *  socket -> guest  Bytes are received straight into the guest's receive buffers, one buffer a packet, no further than the
 *                   guest's credit goes. Without buffers or credit the bytes stay in the socket. Nothing is queued here.
 *
 * What must be sent is kept as flags of the connection, not as packets, so it is bounded; connections that have something
 * to do stand on the ready list and take turns, one packet each.
 *
 * The ends: "the guest is done" (SHUTDOWN, RST), "the client is done" (end of file), "the client is gone" (reset, EPIPE).
 * What the guest sent before it was done still goes to the socket, also when the connection is no more for the guest.
 *
 * Two kinds of connections may be made by the guest, neither of which has a client; every other is reset. The agent's to
 * WIRE_READY_PORT, once. And those of its workers to ports of work (common/wire.h), on which nothing is said: the session is told
 * of their begin, before it is answered, and of their end. vsock_ping() asks on one of them for credit, which the guest's kernel
 * answers without the agent: a kernel that is stuck does not.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/wire.h"
#include "host/dev/port.h"
#include "host/dev/vsock/packet.h"

#define VSOCK_CONNS 256
#define VSOCK_STRAYS 64		/* resets for packets without a connection; more than that are left out */
#define VSOCK_QUEUE_RX 0	/* to the guest */
#define VSOCK_QUEUE_TX 1	/* from the guest */

enum vsock_state {
	VSOCK_FREE,
	VSOCK_CONNECTING,
	VSOCK_OPEN,
	VSOCK_DRAINING,		/* over for the guest; its last bytes are on their way to the client */
};

struct vsock;

struct vsock_conn {
	struct vsock *v;
	enum vsock_state state;
	uint32_t host_port, guest_port;
	uint32_t id;			/* the session's name for it */
	struct loop_src src;
	int fd;				/* the client; -1: made by the guest */
	struct vsock_credit credit;
	uint8_t *buf;			/* ring of VSOCK_BUF_BYTES, or NULL until it is needed */
	uint32_t buf_off, buf_len;
	bool readable;			/* the socket may have bytes for the guest */
	bool hung_up;			/* the client has closed its end */
	bool host_eof;			/* the client will not send more */
	bool guest_eof;			/* the guest will not send more */
	bool guest_deaf;		/* the guest will not take more */
	bool wr_shut;			/* the client was told that there is no more */
	bool want_request, want_response, want_credit, want_shutdown, want_rst, want_ping, asked_credit; /* packets to be sent */
	bool request_sent;
	bool queued;			/* on the ready list */
	struct vsock_conn *next_ready;
};

struct vsock {
	struct port port;
	uint64_t guest_cid;
	struct vsock_conn conn[VSOCK_CONNS];
	uint32_t generation[VSOCK_CONNS];
	struct vsock_conn agent;
	struct vsock_conn work[WIRE_CONN_MAX];
	bool pinged;			/* PONG is owed */
	size_t agent_line;		/* bytes of the agent's line seen so far */
	bool agent_ready;
	struct vsock_conn *ready, **ready_end;
	struct vsock_hdr stray[VSOCK_STRAYS];	/* to be reset */
	size_t nr_strays;
	struct loop_job later;		/* go on with what one turn of the loop left */
};

/** vsock_init() - served on @fd, which is taken over on success. Return: 0; negative errno. */
int vsock_init(struct vsock *v, struct loop *loop, struct uplink *up, const struct vu_ram *ram,
	       uint64_t guest_cid, int fd);
void vsock_fini(struct vsock *v);

/** vsock_client() - join @fd, taken over, to guest port @port. CLIENT_FAILED or CLIENT_DONE follows exactly once. */
void vsock_client(struct vsock *v, int fd, uint32_t port, uint32_t id);

/** vsock_ping() - ask the guest's kernel for a sign of life; PONG follows, if it comes. */
void vsock_ping(struct vsock *v);

/* between the files of this folder */

/** vsock_is_work() - is it one of those that say what the agent works on? */
static inline bool vsock_is_work(const struct vsock_conn *c)
{
	return c >= c->v->work && c < c->v->work + WIRE_CONN_MAX;
}

/** vsock_tell_work() - WORK to the session. */
void vsock_tell_work(struct vsock_conn *c, bool begins);

/** vsock_pong() - the guest has shown life. */
void vsock_pong(struct vsock *v);

/** vsock_close() - the end of a connection for us: socket closed, session told, place free. */
void vsock_close(struct vsock_conn *c, int code);

/** vsock_drain() - over for the guest: deliver what it has sent, then close. */
void vsock_drain(struct vsock_conn *c);

/** vsock_mark() - it has something to send: put it on the ready list. */
void vsock_mark(struct vsock_conn *c);

/** vsock_pump() - send what is ready as far as the guest has buffers. Return: 0; -EPROTO with the field named. */
int vsock_pump(struct vsock *v, struct err *err);

/** vsock_take_packets() - everything the guest has sent, up to a budget. Return: 0; 1 if there is more; -EPROTO. */
int vsock_take_packets(struct vsock *v, struct err *err);

/** vsock_to_client() - bytes from the guest: to the socket, or the buffer (credit has been checked). */
void vsock_to_client(struct vsock_conn *c, const struct iovec *iov, size_t nr, size_t off, uint32_t len);

/** vsock_flush() - the buffer to the socket; then what was put off until it was empty. */
void vsock_flush(struct vsock_conn *c);

/** vsock_client_event() - the socket's event handler. */
void vsock_client_event(struct loop_src *s, uint32_t events);

/** vsock_read_client() - receive up to @len bytes for the guest. Return: bytes; 0 if there is nothing (now or for ever: c->host_eof). */
size_t vsock_read_client(struct vsock_conn *c, const struct iovec *iov, size_t nr);

#endif
