/* SPDX-License-Identifier: GPL-2.0-or-later */
/* First byte: odd for a request; the rest is head and body. */
#include <stdint.h>

#include "common/buf.h"
#include "common/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void body(const struct http_head *h, const char *p, size_t left)
{
	struct http_body b;
	const char *run;
	size_t n;

	if (http_body_init(&b, h) < 0)
		return;
	while (http_body_next(&b, &p, &left, &run, &n) == 0 && (left || n))
		;
	(void)http_trailer(&b, "pluck-entries");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	CLEANUP_BUF struct buf value = BUF_INIT;
	struct http_head h;
	long n;

	if (!len || (n = http_head_end(data + 1, len - 1)) <= 0)
		return 0;
	if (data[0] & 1) {
		if (http_parse_request(data + 1, (size_t)n, &h) == 0)
			(void)http_query(&h, "path", &value);
	} else if (http_parse_response(data + 1, (size_t)n, &h) == 0) {
		body(&h, (const char *)data + 1 + n, len - 1 - (size_t)n);
	}
	return 0;
}
