/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/session/control.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"

int control_check_request(const struct control_request *rq)
{
	if (rq->magic != CONTROL_MAGIC || rq->op < CONTROL_CONNECT || rq->op > CONTROL_WHY || rq->has_key > 1)
		return -EPROTO;
	return 0;
}

int control_check_header(const struct control_header *h)
{
	if (h->magic != CONTROL_MAGIC || h->kind < CONTROL_PROGRESS || h->kind > CONTROL_ERROR ||
		h->length > CONTROL_PAYLOAD_MAX)
		return -EPROTO;
	if (h->kind == CONTROL_ERROR ? h->code >= 0 || h->code < -4095 : h->code != 0)
		return -EPROTO;
	return 0;
}

static int send_all(int fd, const void *p, size_t n, bool wait)
{
	while (n) {
		ssize_t r = send(fd, p, n, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT));

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		p = (const char *)p + r;
		n -= (size_t)r;
	}
	return 0;
}

int control_send_request(int fd, enum control_op op, const uint8_t *fingerprint)
{
	struct control_request rq = { .magic = CONTROL_MAGIC, .op = op, .has_key = fingerprint ? 1 : 0 };

	if (fingerprint)
		memcpy(rq.fingerprint, fingerprint, sizeof(rq.fingerprint));
	return send_all(fd, &rq, sizeof(rq), true);
}

int control_send_question(int fd, enum control_op op, uint32_t number)
{
	const struct control_request rq = { .magic = CONTROL_MAGIC, .op = op, .number = number };

	return send_all(fd, &rq, sizeof(rq), true);
}

int control_send(int fd, enum control_kind kind, int code, const void *p, size_t n, bool wait)
{
	const struct control_header h = { .magic = CONTROL_MAGIC, .kind = kind, .code = code, .length = (uint32_t)n };
	CLEANUP_FREE char *all = NULL;

	if (n > CONTROL_PAYLOAD_MAX)
		return -E2BIG;
	all = malloc(sizeof(h) + n);
	if (!all)
		return -ENOMEM;
	memcpy(all, &h, sizeof(h));
	if (n)
		memcpy(all + sizeof(h), p, n);
	return send_all(fd, all, sizeof(h) + n, wait);
}

static int recv_all(int fd, int timeout_ms, void *p, size_t n)
{
	while (n) {
		struct pollfd pfd = { .fd = fd, .events = POLLIN };
		ssize_t r = poll(&pfd, 1, timeout_ms);

		if (r == 0)
			return -ETIMEDOUT;
		if (r > 0)
			r = recv(fd, p, n, 0);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return errno == ECONNRESET ? -ENODATA : -errno;
		if (r == 0)
			return -ENODATA;
		p = (char *)p + r;
		n -= (size_t)r;
	}
	return 0;
}

int control_recv(int fd, int timeout_ms, struct control_header *ret, char **ret_payload)
{
	CLEANUP_FREE char *payload = NULL;
	struct control_header h;
	int r;

	r = recv_all(fd, timeout_ms, &h, sizeof(h));
	if (r == 0)
		r = control_check_header(&h);
	if (r < 0)
		return r;
	payload = malloc((size_t)h.length + 1);
	if (!payload)
		return -ENOMEM;
	r = recv_all(fd, timeout_ms, payload, h.length);
	if (r < 0)
		return r;
	payload[h.length] = 0;
	*ret = h;
	*ret_payload = TAKE_PTR(payload);
	return 0;
}
