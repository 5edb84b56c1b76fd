/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/utf8.h"

/* Bounds of the second byte by first byte: Unicode 15, table 3-7. */
static size_t shape(uint8_t b, uint8_t *lo, uint8_t *hi)
{
	*lo = 0x80;
	*hi = 0xbf;
	if (b < 0x80)
		return 1;
	if (b >= 0xc2 && b <= 0xdf)
		return 2;
	if (b >= 0xe0 && b <= 0xef) {
		if (b == 0xe0)
			*lo = 0xa0;
		if (b == 0xed)
			*hi = 0x9f;
		return 3;
	}
	if (b >= 0xf0 && b <= 0xf4) {
		if (b == 0xf0)
			*lo = 0x90;
		if (b == 0xf4)
			*hi = 0x8f;
		return 4;
	}
	return 0;
}

size_t utf8_bad_prefix(const uint8_t *p, size_t len)
{
	uint8_t lo, hi;
	size_t want = shape(p[0], &lo, &hi), n = 1;

	while (n < want && n < len && p[n] >= lo && p[n] <= hi) {
		lo = 0x80;
		hi = 0xbf;
		n++;
	}
	return n;
}

size_t utf8_decode(const uint8_t *p, size_t len, uint32_t *ret_cp)
{
	uint8_t lo, hi;
	size_t n;

	*ret_cp = 0xfffd;
	if (!len)
		return 0;
	n = shape(p[0], &lo, &hi);
	if (!n || n > len || utf8_bad_prefix(p, len) != n)
		return 0;
	if (n == 1) {
		*ret_cp = p[0];
		return 1;
	}
	*ret_cp = p[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++)
		*ret_cp = *ret_cp << 6 | (p[i] & 0x3f);
	return n;
}

bool utf8_valid(const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	while (len) {
		uint32_t cp;
		size_t n = utf8_decode(p, len, &cp);

		if (!n)
			return false;
		p += n;
		len -= n;
	}
	return true;
}

bool utf8_printable(uint32_t cp)
{
	if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0))
		return false;
	if (cp == 0x061c || cp == 0x200e || cp == 0x200f || (cp >= 0x2028 && cp <= 0x202e) ||
	    (cp >= 0x2066 && cp <= 0x2069) || cp == 0xfeff)
		return false;
	return true;
}
