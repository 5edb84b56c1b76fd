/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <unistd.h>

#include "agent/request.h"
#include "agent/tools.h"

/* What the program writes, until it closes its output. */
static int send_output(struct request *q, int fd)
{
	for (;;) {
		size_t room;
		uint8_t *p = reply_space(q->reply, &room);
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
	status = tools_wait(&proc);
	if (r < 0)
		return r;
	q->reply->exit_status = status;
	q->reply->entries = 1;
	return reply_end(q->reply);
}
