/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Answers of an agent. First byte: the question; from bit 4 on, whether the rest is the answer or lines in a good one. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xxhash.h>

#include "common/buf.h"
#include "host/client/client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int on_entry(void *arg, const struct client_entry *e)
{
	uint64_t *sum = arg;

	for (size_t i = 0; i < e->path_len; i++)
		*sum += (uint8_t)e->path[i];
	for (size_t i = 0; e->target && i < e->target_len; i++)
		*sum += (uint8_t)e->target[i];
	*sum += e->error_name ? strlen(e->error_name) + strlen(e->error_text) : 0;
	return 0;
}

/* A stream that is right but for its lines; every line counts as an entry. */
static void wrap(struct buf *b, const uint8_t *p, size_t len)
{
	unsigned int nr = 0;

	for (size_t i = 0; i < len; i++)
		nr += p[i] == '\n';
	buf_fmt(b, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	if (len) {
		buf_fmt(b, "%zx\r\n", len);
		buf_add(b, p, len);
		buf_str(b, "\r\n");
	}
	buf_fmt(b, "0\r\npluck-entries: %u\r\npluck-bytes: %zu\r\npluck-errors: 0\r\npluck-xxh64: %016llx\r\n\r\n", nr, len,
		(unsigned long long)XXH64(p, len, 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct client *c;
	json_t *o = NULL;
	uint64_t sum = 0;
	char block[512];
	int pair[2];

	if (!len || len > 60000)
		return 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	c = client_new(pair[0], "00");
	if (data[0] & 16)
		buf_add(&b, data + 1, len - 1);
	else
		wrap(&b, data + 1, len - 1);
	if (!c || send(pair[1], b.data ? b.data : (const uint8_t *)"", b.len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		abort();
	(void)shutdown(pair[1], SHUT_WR);
	switch (data[0] & 3) {
	case 0:
	case 1:
		(void)client_list(c, "d", 1, data[0] & 1, on_entry, &sum, NULL, NULL);
		break;
	case 2:
		(void)client_stat(c, "d", 1, &o, NULL);
		break;
	default:
		if (client_run_begin(c, "x", 2, NULL) == 0)
			while (client_read(c, block, sizeof(block), NULL) > 0)
				;
	}
	json_decref(o);
	client_free(c);
	(void)close(pair[1]);
	return 0;
}
