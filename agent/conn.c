/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/conn.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "agent/api.h"
#include "common/http.h"

#define HEAD_WAIT_MS 30000	/* from a request's first bytes to its whole head */

struct conn {
	int fd;
	char head[HTTP_HEAD_MAX];
	size_t len;
};

/* Return: length of a whole head at the front; 0 at the end of the connection; negative errno. */
static long read_head(struct conn *c)
{
	for (;;) {
		struct pollfd p = { .fd = c->fd, .events = POLLIN };
		long end = http_head_end(c->head, c->len);
		ssize_t n;

		if (end)
			return end;
		n = poll(&p, 1, c->len ? HEAD_WAIT_MS : -1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ETIMEDOUT;
		n = read(c->fd, c->head + c->len, sizeof(c->head) - c->len);
		if (n == 0)
			return 0;
		if (n > 0)
			c->len += (size_t)n;
		else if (errno != EINTR && errno != EAGAIN)
			return -errno;
	}
}

static void serve(struct agent *a, struct conn *c, struct reply *r)
{
	while (!r->close) {
		struct http_head h;
		long end = read_head(c);
		int ret;

		if (end == 0 || (end < 0 && end != -EBADMSG))
			return;
		reply_begin(r, NULL);
		ret = end < 0 ? (int)end : http_parse_request(c->head, (size_t)end, &h);
		if (ret < 0 || h.close)
			r->close = true;
		if (ret == -EOPNOTSUPP) {
			(void)reply_fail(r, 405, ret, "only GET is served");
			return;
		}
		if (ret < 0) {
			(void)reply_fail(r, 400, ret, "malformed request");
			return;
		}
		api_handle(a, &h, r);
		c->len -= (size_t)end;
		memmove(c->head, c->head + end, c->len);
	}
}

void conn_serve(struct agent *a, int fd)
{
	struct conn c = { .fd = fd };
	struct reply r;

	if (reply_init(&r, fd) == 0)
		serve(a, &c, &r);
	reply_free(&r);
}
