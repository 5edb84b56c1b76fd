/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_free(struct buf *b)
{
	free(b->data);
	b->data = NULL;
	b->len = b->room = 0;
	b->error = 0;
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	b->error = 0;
}

uint8_t *buf_reserve(struct buf *b, size_t n)
{
	size_t limit = b->limit ? b->limit : BUF_LIMIT_DEFAULT;
	size_t room = b->room;
	uint8_t *p;

	if (b->error)
		return NULL;
	if (n > limit || b->len > limit - n) {
		b->error = -E2BIG;
		return NULL;
	}
	if (!b->data || n > b->room - b->len) {
		while (!room || n > room - b->len)
			room = room ? room * 2 : 256;
		p = realloc(b->data, room);
		if (!p) {
			b->error = -ENOMEM;
			return NULL;
		}
		b->data = p;
		b->room = room;
	}
	return b->data + b->len;
}

void buf_add(struct buf *b, const void *p, size_t n)
{
	uint8_t *to = n ? buf_reserve(b, n) : NULL;

	if (!to)
		return;
	memcpy(to, p, n);
	b->len += n;
}

void buf_str(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void buf_fmt(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	uint8_t *to;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		b->error = -EINVAL;
	to = n < 0 ? NULL : buf_reserve(b, (size_t)n + 1);
	if (to) {
		(void)vsnprintf((char *)to, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
	}
	va_end(again);
}

void buf_dec(struct buf *b, uint64_t v)
{
	char digits[20];
	size_t at = sizeof(digits);

	do
		digits[--at] = (char)('0' + v % 10);
	while (v /= 10);
	buf_add(b, digits + at, sizeof(digits) - at);
}

static void add_le(struct buf *b, uint64_t v, size_t bytes)
{
	uint8_t *to = buf_reserve(b, bytes);

	if (!to)
		return;
	for (size_t i = 0; i < bytes; i++)
		to[i] = (uint8_t)(v >> 8 * i);
	b->len += bytes;
}

void buf_u8(struct buf *b, uint8_t v)
{
	add_le(b, v, 1);
}

void buf_u16le(struct buf *b, uint16_t v)
{
	add_le(b, v, 2);
}

void buf_u32le(struct buf *b, uint32_t v)
{
	add_le(b, v, 4);
}

void buf_u64le(struct buf *b, uint64_t v)
{
	add_le(b, v, 8);
}

const char *buf_cstr(struct buf *b)
{
	uint8_t *to = buf_reserve(b, 1);

	if (!to)
		return NULL;
	*to = 0;
	return (const char *)b->data;
}
