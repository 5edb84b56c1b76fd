/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/jsonw.h"

#include <string.h>

#include "common/b64.h"
#include "common/utf8.h"

static void newline(struct jsonw *w)
{
	if (!w->pretty)
		return;
	buf_u8(w->out, '\n');
	for (unsigned int i = 0; i < w->depth; i++)
		buf_str(w->out, "  ");
}

static void before_value(struct jsonw *w)
{
	if (!w->after_key && w->comma)
		buf_u8(w->out, ',');
	if (!w->after_key && w->depth)
		newline(w);
	w->after_key = false;
	w->comma = true;
}

static void open_level(struct jsonw *w, char c)
{
	before_value(w);
	buf_u8(w->out, (uint8_t)c);
	w->depth++;
	w->comma = false;
}

static void close_level(struct jsonw *w, char c)
{
	bool empty = !w->comma;

	w->depth--;
	if (!empty)
		newline(w);
	buf_u8(w->out, (uint8_t)c);
	w->comma = true;
}

void jsonw_raw(struct jsonw *w, const char *json)
{
	before_value(w);
	buf_str(w->out, json);
}

void jsonw_object_begin(struct jsonw *w)
{
	open_level(w, '{');
}

void jsonw_object_end(struct jsonw *w)
{
	close_level(w, '}');
}

void jsonw_array_begin(struct jsonw *w)
{
	open_level(w, '[');
}

void jsonw_array_end(struct jsonw *w)
{
	close_level(w, ']');
}

static void put_escaped(struct buf *out, uint8_t c)
{
	static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
	const char *at = c ? strchr(from, c) : NULL;

	if (at)
		buf_fmt(out, "\\%c", to[at - from]);
	else
		buf_fmt(out, "\\u%04x", c);
}

/* Bytes at the start that need no escape. */
static size_t plain_run(const uint8_t *p, size_t len)
{
	size_t n = 0;

	while (n < len && p[n] >= 0x20 && p[n] < 0x7f && p[n] != '"' && p[n] != '\\')
		n++;
	return n;
}

/* What is not plain at @p. Return: bytes used. */
static size_t put_odd(struct buf *out, const uint8_t *p, size_t len)
{
	uint32_t cp;
	size_t n = utf8_decode(p, len, &cp);

	if (n == 0) {
		buf_str(out, "\xef\xbf\xbd");
		return utf8_bad_prefix(p, len);
	}
	if (n == 1 || cp < 0xa0)
		put_escaped(out, (uint8_t)cp);	/* C1 too: terminals obey it */
	else
		buf_add(out, p, n);
	return n;
}

static void put_string(struct jsonw *w, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	buf_u8(w->out, '"');
	while (len) {
		size_t n = plain_run(p, len);

		if (n)
			buf_add(w->out, p, n);
		else
			n = put_odd(w->out, p, len);
		p += n;
		len -= n;
	}
	buf_u8(w->out, '"');
}

void jsonw_key(struct jsonw *w, const char *key)
{
	before_value(w);
	put_string(w, key, strlen(key));
	buf_str(w->out, w->pretty ? ": " : ":");
	w->after_key = true;
}

void jsonw_string(struct jsonw *w, const void *p, size_t len)
{
	before_value(w);
	put_string(w, p, len);
}

void jsonw_b64(struct jsonw *w, const void *p, size_t len)
{
	before_value(w);
	buf_u8(w->out, '"');
	b64_encode(w->out, p, len);
	buf_u8(w->out, '"');
}

void jsonw_u64(struct jsonw *w, uint64_t v)
{
	before_value(w);
	buf_dec(w->out, v);
}

void jsonw_i64(struct jsonw *w, int64_t v)
{
	before_value(w);
	if (v < 0)
		buf_u8(w->out, '-');
	buf_dec(w->out, v < 0 ? -(uint64_t)v : (uint64_t)v);
}

void jsonw_ns(struct jsonw *w, int64_t sec, uint32_t nsec)
{
	__int128 t = (__int128)sec * 1000000000 + nsec;
	unsigned __int128 v = t < 0 ? -(unsigned __int128)t : (unsigned __int128)t;
	char digits[48];
	size_t at = sizeof(digits);

	before_value(w);
	digits[--at] = 0;
	do
		digits[--at] = (char)('0' + (int)(v % 10));
	while (v /= 10);
	if (t < 0)
		digits[--at] = '-';
	buf_str(w->out, digits + at);
}

void jsonw_bool(struct jsonw *w, bool v)
{
	before_value(w);
	buf_str(w->out, v ? "true" : "false");
}

void jsonw_null(struct jsonw *w)
{
	before_value(w);
	buf_str(w->out, "null");
}

void jsonw_key_string(struct jsonw *w, const char *key, const char *v)
{
	jsonw_key_bytes(w, key, v, strlen(v));
}

void jsonw_key_bytes(struct jsonw *w, const char *key, const void *p, size_t len)
{
	jsonw_key(w, key);
	jsonw_string(w, p, len);
}

void jsonw_key_b64(struct jsonw *w, const char *key, const void *p, size_t len)
{
	jsonw_key(w, key);
	jsonw_b64(w, p, len);
}

void jsonw_key_u64(struct jsonw *w, const char *key, uint64_t v)
{
	jsonw_key(w, key);
	jsonw_u64(w, v);
}

void jsonw_key_i64(struct jsonw *w, const char *key, int64_t v)
{
	jsonw_key(w, key);
	jsonw_i64(w, v);
}

void jsonw_key_bool(struct jsonw *w, const char *key, bool v)
{
	jsonw_key(w, key);
	jsonw_bool(w, v);
}
