/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "agent/request.h"
#include "agent/tools.h"

#define QUIET_MS 20

/*
 * Waits until the program has written, or ended. When it pauses, what it wrote before goes out: somebody may be watching.
 * Return: 0; -EPIPE nobody listens any more.
 */
static int await_output(struct request *q, int fd)
{
	struct pollfd pfd[] = { { .fd = fd, .events = POLLIN }, { .fd = q->reply->fd, .events = POLLRDHUP } };
	int timeout_ms = QUIET_MS;

	for (;;) {
		int n = poll(pfd, sizeof(pfd) / sizeof(*pfd), timeout_ms);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			return pfd[0].revents ? 0 : -EPIPE;
		if (n == 0 && reply_flush(q->reply) < 0)
			return -EPIPE;
		timeout_ms = n == 0 ? -1 : timeout_ms;
	}
}

/* What the program writes, until it closes its output. */
static int send_output(struct request *q, int fd)
{
	for (;;) {
		size_t room;
		uint8_t *p = await_output(q, fd) < 0 ? NULL : reply_space(q->reply, &room);
		ssize_t n;

		if (!p)
			return err_set(q->err, -EPIPE, "send");
		n = read(fd, p, room);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(q->err, -errno, "read what the program writes");
		if (n == 0)
			return 0;
		reply_commit(q->reply, (size_t)n);
	}
}

int run_handle(struct request *q)
{
	struct tools_proc proc;
	int status, r;

	r = tools_start(q->a, (const char *)q->args.data, q->args.len, &proc, q->err);
	if (r < 0)
		return r;
	reply_begin(q->reply, "application/octet-stream");
	r = send_output(q, proc.out);
	if (r < 0)
		tools_kill(&proc);
	status = tools_wait(&proc);
	if (r < 0)
		return r;
	q->reply->exit_status = status;
	q->reply->entries = 1;
	return reply_end(q->reply);
}
