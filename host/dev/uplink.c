/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/dev/uplink.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FLUSH_MS 1000

/* Return: 0 all sent; -EAGAIN; negative errno. */
static int flush(struct uplink *u)
{
	while (u->len) {
		int r = link_send(u->fd, &u->queue[u->head], NULL, 0);

		if (r < 0)
			return r;
		u->head = (u->head + 1) % UPLINK_QUEUE;
		u->len--;
	}
	return 0;
}

static void gone(struct uplink *u)
{
	u->failed = true;
	u->loop->stop = true;
}

static void writable(struct loop_src *s, uint32_t events)
{
	struct uplink *u = (struct uplink *)(void *)((char *)s - offsetof(struct uplink, out));
	int r = flush(u);

	(void)events;
	if (r == -EAGAIN)
		return;
	loop_del(u->loop, &u->out);
	if (r < 0)
		gone(u);
}

int uplink_init(struct uplink *u, struct loop *loop, int fd)
{
	*u = (struct uplink){ .loop = loop, .fd = fd, .out = { .fn = writable, .fd = -1 }, .out_fd = -1 };
	u->queue = calloc(UPLINK_QUEUE, sizeof(*u->queue));
	u->out_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (u->queue && u->out_fd >= 0)
		return 0;
	uplink_fini(u);
	return -ENOMEM;
}

void uplink_fini(struct uplink *u)
{
	loop_del(u->loop, &u->out);
	if (u->out_fd >= 0)
		(void)close(u->out_fd);
	u->out_fd = -1;
	free(u->queue);
	u->queue = NULL;
}

bool uplink_has_room(const struct uplink *u)
{
	return u->len < UPLINK_QUEUE / 2;
}

void uplink_send(struct uplink *u, const struct link_msg *m)
{
	int r;

	if (u->failed)
		return;
	if (u->len == UPLINK_QUEUE) {
		gone(u);
		return;
	}
	u->queue[(u->head + u->len) % UPLINK_QUEUE] = *m;
	u->len++;
	if (u->out.fd >= 0)
		return;
	r = flush(u);
	if (r == -EAGAIN)
		r = loop_add(u->loop, &u->out, u->out_fd, EPOLLOUT);
	if (r < 0)
		gone(u);
}

void uplink_fatal(struct uplink *u, const struct err *err, const char *what)
{
	struct link_msg m = { .type = LINK_FATAL, .fatal = { .code = err->code } };

	if (u->failed)
		return;
	(void)snprintf(m.fatal.text, sizeof(m.fatal.text), "%.20s: %.170s", what, err->text);
	uplink_send(u, &m);
	gone(u);
}

void uplink_flush_last(struct uplink *u)
{
	struct pollfd p = { .fd = u->fd, .events = POLLOUT };

	while (flush(u) == -EAGAIN && poll(&p, 1, FLUSH_MS) > 0)
		;
}
