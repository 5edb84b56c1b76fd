/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/dev/vsock/vsock.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_PORT (1u << 20)

static void config(struct port *p, uint8_t ret[static VU_CONFIG_MAX])
{
	uint64_t cid = htole64(((struct vsock *)p)->guest_cid);

	memcpy(ret, &cid, sizeof(cid));
}

/* Both ways, as far as one turn goes. */
static int turn(struct vsock *v, struct err *err)
{
	int more = 0, r;

	if (vu_runs(&v->port.vu, VSOCK_QUEUE_TX))
		more = vsock_take_packets(v, err);
	if (more < 0)
		return more;
	if (more)
		loop_later(v->port.loop, &v->later);
	r = vsock_pump(v, err);
	return r;
}

static int run(struct port *p, unsigned int queue, struct err *err)
{
	(void)queue;
	return turn((struct vsock *)p, err);
}

static void later(struct loop_job *j)
{
	struct vsock *v = (struct vsock *)(void *)((char *)j - offsetof(struct vsock, later));
	struct err err = ERR_INIT;

	if (turn(v, &err) < 0)
		uplink_fatal(v->port.up, &err, v->port.name);
}

/* Free, with nothing left to be said. It may stand on the ready list. */
static void forget(struct vsock_conn *c)
{
	c->state = VSOCK_FREE;
	c->want_request = c->want_response = c->want_credit = c->want_shutdown = c->want_rst = c->want_ping = false;
}

/* The guest's driver has gone, and with it all its connections. */
static void stop(struct port *p, unsigned int queue)
{
	struct vsock *v = (struct vsock *)p;

	(void)queue;
	v->nr_strays = 0;
	if (v->agent.state != VSOCK_FREE)
		vsock_close(&v->agent, 0);
	/* What was in work is so until the session has seen the VM end. */
	for (size_t i = 0; i < WIRE_CONN_MAX; i++)
		forget(&v->work[i]);
	for (size_t i = 0; i < VSOCK_CONNS; i++) {
		struct vsock_conn *c = &v->conn[i];

		if (c->state == VSOCK_CONNECTING && c->request_sent) {
			vsock_close(c, -ECONNREFUSED);
		} else if (c->state == VSOCK_OPEN) {
			vsock_drain(c);
		}
	}
}

static const struct port_type type = { .nr_queues = 2, .config = config, .run = run, .stop = stop };

int vsock_init(struct vsock *v, struct loop *loop, struct uplink *up, const struct vu_ram *ram,
	       uint64_t guest_cid, int fd)
{
	memset(v, 0, sizeof(*v));
	v->guest_cid = guest_cid;
	v->ready_end = &v->ready;
	v->later.fn = later;
	v->agent.v = v;
	v->agent.fd = v->agent.src.fd = -1;
	for (size_t i = 0; i < VSOCK_CONNS; i++) {
		v->conn[i].v = v;
		v->conn[i].fd = v->conn[i].src.fd = -1;
	}
	for (size_t i = 0; i < WIRE_CONN_MAX; i++) {
		v->work[i].v = v;
		v->work[i].fd = v->work[i].src.fd = -1;
	}
	(void)snprintf(v->port.name, sizeof(v->port.name), "vsock");
	return port_init(&v->port, &type, loop, up, ram, fd);
}

void vsock_fini(struct vsock *v)
{
	port_fini(&v->port);
	for (size_t i = 0; i < VSOCK_CONNS; i++)
		if (v->conn[i].state != VSOCK_FREE)
			vsock_close(&v->conn[i], -ESHUTDOWN);
}

static void tell(struct vsock *v, uint32_t type_, uint32_t id, int code)
{
	struct link_msg m = { .type = type_, .client = { .id = id, .code = code } };

	uplink_send(v->port.up, &m);
}

void vsock_tell_work(struct vsock_conn *c, bool begins)
{
	struct link_msg m = { .type = LINK_WORK, .work = { .port = c->host_port, .begins = begins } };

	uplink_send(c->v->port.up, &m);
}

void vsock_pong(struct vsock *v)
{
	const struct link_msg m = { .type = LINK_PONG };

	if (v->pinged)
		uplink_send(v->port.up, &m);
	v->pinged = false;
}

void vsock_ping(struct vsock *v)
{
	struct err err = ERR_INIT;

	v->pinged = true;
	for (size_t i = 0; i < WIRE_CONN_MAX; i++) {
		struct vsock_conn *c = &v->work[i];

		if (c->state != VSOCK_OPEN)
			continue;
		c->want_ping = true;
		vsock_mark(c);
		if (vsock_pump(v, &err) < 0)
			uplink_fatal(v->port.up, &err, v->port.name);
		return;
	}
	vsock_pong(v);
}

void vsock_close(struct vsock_conn *c, int code)
{
	struct vsock *v = c->v;

	if (vsock_is_work(c) && c->state != VSOCK_FREE)
		vsock_tell_work(c, false);
	if (c->fd >= 0) {
		loop_del(v->port.loop, &c->src);
		(void)close(c->fd);
		if (c->state == VSOCK_CONNECTING)
			tell(v, LINK_CLIENT_FAILED, c->id, code ? code : -ECONNRESET);
		else
			tell(v, LINK_CLIENT_DONE, c->id, 0);
	}
	free(c->buf);
	c->buf = NULL;
	c->fd = -1;
	c->buf_len = 0;
	forget(c);
}

void vsock_client(struct vsock *v, int fd, uint32_t port, uint32_t id)
{
	struct vsock_conn *c = NULL;
	struct err err = ERR_INIT;
	uint32_t i;
	int r;

	for (i = 0; i < VSOCK_CONNS && !c; i++)
		if (v->conn[i].state == VSOCK_FREE)
			c = &v->conn[i];
	if (!c) {
		(void)close(fd);
		tell(v, LINK_CLIENT_FAILED, id, -EMFILE);
		return;
	}
	i = (uint32_t)(c - v->conn);
	*c = (struct vsock_conn){ .v = v, .state = VSOCK_CONNECTING, .guest_port = port, .id = id, .fd = fd,
				  .src = { .fn = vsock_client_event, .fd = -1 }, .want_request = true,
				  .queued = c->queued, .next_ready = c->next_ready };
	c->host_port = FIRST_PORT + (v->generation[i]++ % (1u << 20)) * VSOCK_CONNS + i;
	r = loop_add(v->port.loop, &c->src, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
	if (r < 0) {
		vsock_close(c, r);
		return;
	}
	vsock_mark(c);
	if (vsock_pump(v, &err) < 0)
		uplink_fatal(v->port.up, &err, v->port.name);
}
