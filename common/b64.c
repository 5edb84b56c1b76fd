/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/b64.h"

#include <errno.h>
#include <string.h>

#include "common/buf.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void b64_encode(struct buf *out, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i < len; i += 3) {
		size_t n = len - i < 3 ? len - i : 3;
		uint32_t v = (uint32_t)p[i] << 16;
		char q[4];

		if (n > 1)
			v |= (uint32_t)p[i + 1] << 8;
		if (n > 2)
			v |= p[i + 2];
		for (size_t k = 0; k < 4; k++)
			q[k] = k <= n ? alphabet[v >> (18 - 6 * k) & 63] : '=';
		buf_add(out, q, 4);
	}
}

static int digit(char c)
{
	const char *at = c ? strchr(alphabet, c) : NULL;

	return at ? (int)(at - alphabet) : -1;
}

int b64_decode(struct buf *out, const char *s, size_t len)
{
	if (len % 4)
		return -EBADMSG;
	for (size_t i = 0; i < len; i += 4) {
		size_t pad = 0;
		uint32_t v = 0;

		if (i + 4 == len && s[i + 3] == '=')
			pad = s[i + 2] == '=' ? 2 : 1;
		for (size_t k = 0; k < 4; k++) {
			int d = k >= 4 - pad ? 0 : digit(s[i + k]);

			if (d < 0)
				return -EBADMSG;
			v = v << 6 | (uint32_t)d;
		}
		if ((pad == 1 && (v & 0xff)) || (pad == 2 && (v & 0xffff)))
			return -EBADMSG;
		for (size_t k = 0; k < 3 - pad; k++)
			buf_u8(out, (uint8_t)(v >> (16 - 8 * k)));
	}
	return buf_ok(out);
}
