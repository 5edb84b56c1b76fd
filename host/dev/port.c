/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/dev/port.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/io.h"

#define CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

static void kicked(struct loop_src *s, uint32_t events)
{
	struct port_kick *k = CONTAINER(s, struct port_kick, src);
	struct err err = ERR_INIT;

	(void)events;
	if (vu_runs(&k->port->vu, k->queue) && k->port->type->run(k->port, k->queue, &err) < 0)
		uplink_fatal(k->port->up, &err, k->port->name);
}

static void op_config(void *arg, uint8_t ret[static VU_CONFIG_MAX])
{
	struct port *p = arg;

	p->type->config(p, ret);
}

static int op_run(void *arg, unsigned int queue, struct err *err)
{
	struct port *p = arg;

	return p->type->run(p, queue, err);
}

static void op_stop(void *arg, unsigned int queue)
{
	struct port *p = arg;

	p->type->stop(p, queue);
}

/*
 * Kicks are watched edge-triggered and never read: each write to an eventfd is an event of its own, and a descriptor that
 * QEMU chose cannot make us block.
 */
static int op_kick_fd(void *arg, unsigned int queue, int fd, struct err *err)
{
	struct port *p = arg;
	int r;

	if (fd < 0) {
		loop_del(p->loop, &p->kick[queue].src);
		return 0;
	}
	r = loop_add(p->loop, &p->kick[queue].src, fd, EPOLLIN | EPOLLET);
	return r < 0 ? err_set(err, r, "vhost-user: SET_VRING_KICK: watch") : 0;
}

static void drop_fds(struct port *p)
{
	for (size_t i = 0; i < p->nr_fds; i++)
		(void)close(p->fds[i]);
	p->nr_fds = 0;
}

static int send_answer(struct port *p, const struct buf *out, struct err *err)
{
	ssize_t n;

	if (buf_ok(out) < 0)
		return err_set(err, buf_ok(out), "vhost-user: answer");
	if (!out->len)
		return 0;
	n = send(p->fd, out->data, out->len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return err_set(err, -errno, "vhost-user: answer");
	return (size_t)n == out->len ? 0 : err_text(err, -EPROTO, "vhost-user: QEMU does not read its answers");
}

static int handle_whole(struct port *p, struct err *err)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	size_t nr_fds = p->nr_fds, len = p->have;
	struct vu_msg m;
	int r;

	r = vu_msg_parse(p->in, len, nr_fds, &m, err);
	if (r < 0)
		return r;
	p->have = 0;
	p->nr_fds = 0;
	r = vu_handle(&p->vu, &m, p->fds, nr_fds, &out, err);
	return r < 0 ? r : send_answer(p, &out, err);
}

/* Reads no further than the end of a message, so that descriptors belong to the message they came with. */
static int read_some(struct port *p, struct err *err)
{
	size_t want = VU_HEADER_BYTES, payload, nr = 0;
	ssize_t n;
	int r;

	if (p->have >= VU_HEADER_BYTES) {
		r = vu_msg_size(p->in, &payload, err);
		if (r < 0)
			return r;
		want += payload;
	}
	if (p->have < want) {
		n = io_recv_msg(p->fd, p->in + p->have, want - p->have, p->fds + p->nr_fds, VU_REGIONS_MAX - p->nr_fds, &nr);
		if (n == -EAGAIN)
			return 0;
		if (n == 0)
			return -ESHUTDOWN;
		if (n == -EMSGSIZE)
			return err_text(err, -EPROTO, "vhost-user: too many descriptors");
		if (n < 0)
			return err_set(err, (int)n, "vhost-user: read");
		p->have += (size_t)n;
		p->nr_fds += nr;
		if (p->have < want)
			return 1;
	}
	if (want == VU_HEADER_BYTES) {
		r = vu_msg_size(p->in, &payload, err);
		if (r < 0 || payload)
			return r < 0 ? r : 1;
	}
	r = handle_whole(p, err);
	return r < 0 ? r : 1;
}

static void readable(struct loop_src *s, uint32_t events)
{
	struct port *p = CONTAINER(s, struct port, sock);
	struct err err = ERR_INIT;
	int r;

	(void)events;
	while ((r = read_some(p, &err)) > 0)
		;
	if (r == 0)
		return;
	/* QEMU has gone: what becomes of that is the session's decision. */
	loop_del(p->loop, s);
	drop_fds(p);
	if (r != -ESHUTDOWN && r != -ECONNRESET && r != -EPIPE)
		uplink_fatal(p->up, &err, p->name);
}

int port_init(struct port *p, const struct port_type *type, struct loop *loop, struct uplink *up,
	      const struct vu_ram *ram, int fd)
{
	int r;

	p->type = type;
	p->loop = loop;
	p->up = up;
	p->ops = (struct vu_ops){ .features = type->features, .nr_queues = type->nr_queues, .slave = type->slave,
				  .config = op_config, .kick_fd = op_kick_fd, .run = op_run, .stop = op_stop };
	vu_init(&p->vu, &p->ops, p, ram);
	for (unsigned int i = 0; i < VU_QUEUES_MAX; i++)
		p->kick[i] = (struct port_kick){ .src = { .fn = kicked, .fd = -1 }, .port = p, .queue = i };
	p->sock = (struct loop_src){ .fn = readable, .fd = -1 };
	p->fd = -1;
	r = io_set_nonblock(fd);
	if (r == 0)
		r = loop_add(loop, &p->sock, fd, EPOLLIN);
	if (r == 0)
		p->fd = fd;
	return r;
}

void port_fini(struct port *p)
{
	vu_fini(&p->vu);
	drop_fds(p);
	loop_del(p->loop, &p->sock);
	if (p->fd >= 0)
		(void)close(p->fd);
	p->fd = -1;
}
