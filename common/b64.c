/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/b64.h"

#include <errno.h>
#include <string.h>

#include "common/buf.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void encode_group(const uint8_t *p, size_t n, uint8_t q[static 4])
{
	uint32_t v = (uint32_t)p[0] << 16;

	if (n > 1)
		v |= (uint32_t)p[1] << 8;
	if (n > 2)
		v |= p[2];
	for (size_t k = 0; k < 4; k++)
		q[k] = k <= n ? (uint8_t)alphabet[v >> (18 - 6 * k) & 63] : '=';
}

void b64_encode(struct buf *out, const void *bytes, size_t len)
{
	const size_t groups = (len + 2) / 3;
	const uint8_t *p = bytes;
	uint8_t *to = groups ? buf_reserve(out, 4 * groups) : NULL;

	if (!to)
		return;
	for (; len > 3; p += 3, len -= 3, to += 4)
		encode_group(p, 3, to);
	encode_group(p, len, to);
	out->len += 4 * groups;
}

/* 1 more than the value of each digit. */
static const uint8_t digits[256] = {
	['A'] = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26,
	['a'] = 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52,
	['0'] = 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, ['+'] = 63, ['/'] = 64,
};

static int digit(char c)
{
	return digits[(uint8_t)c] - 1;
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
