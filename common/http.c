/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/http.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "common/buf.h"
#include "common/hex.h"

enum body_state { BODY_FIXED, BODY_LINE, BODY_DATA, BODY_DATA_END, BODY_TRAILER, BODY_DONE, BODY_BAD };

long http_head_end(const void *bytes, size_t len)
{
	size_t n = len < HTTP_HEAD_MAX ? len : HTTP_HEAD_MAX;
	const char *end = memmem(bytes, n, "\r\n\r\n", 4);

	if (end)
		return end + 4 - (const char *)bytes;
	return len < HTTP_HEAD_MAX ? 0 : -EBADMSG;
}

static bool is_token(const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)p[i];

		if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'))
			continue;
		if (!c || !strchr("!#$%&'*+-.^_`|~", c))
			return false;
	}
	return len > 0;
}

static bool is_text(const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] != '\t' && (p[i] < ' ' || p[i] > '~'))
			return false;
	return true;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool same(const char *p, size_t len, const char *word)
{
	return len == strlen(word) && !strncasecmp(p, word, len);
}

/* The next line without its CRLF. A CR or LF elsewhere is refused by the checks on characters. */
static int next_line(const char **p, size_t *left, const char **ret, size_t *ret_len)
{
	const char *end = memmem(*p, *left, "\r\n", 2);

	if (!end)
		return -EBADMSG;
	*ret = *p;
	*ret_len = (size_t)(end - *p);
	*left -= *ret_len + 2;
	*p = end + 2;
	return 0;
}

static const struct http_field *find(const struct http_field *f, size_t nr, const char *name, size_t len)
{
	for (size_t i = 0; i < nr; i++)
		if (f[i].name_len == len && !strncasecmp(f[i].name, name, len))
			return &f[i];
	return NULL;
}

/* No white space before the colon or the name (folding), no name twice. */
static int parse_field(const char *line, size_t len, const struct http_field *before, size_t nr, struct http_field *ret)
{
	const char *colon = memchr(line, ':', len);
	const char *v, *end = line + len;

	if (!colon || !is_token(line, (size_t)(colon - line)) || !is_text(line, len))
		return -EBADMSG;
	if (find(before, nr, line, (size_t)(colon - line)))
		return -EBADMSG;
	for (v = colon + 1; v < end && is_blank(*v); v++)
		;
	while (end > v && is_blank(end[-1]))
		end--;
	*ret = (struct http_field){ line, v, (size_t)(colon - line), (size_t)(end - v) };
	return 0;
}

/* Field lines up to the empty line, which must be the end of the bytes. */
static int parse_fields(const char *p, size_t left, struct http_field *f, size_t *nr)
{
	const char *line;
	size_t len;

	for (*nr = 0;; (*nr)++) {
		if (next_line(&p, &left, &line, &len) < 0)
			return -EBADMSG;
		if (!len)
			return left ? -EBADMSG : 0;
		if (*nr == HTTP_FIELDS_MAX || parse_field(line, len, f, *nr, &f[*nr]) < 0)
			return -EBADMSG;
	}
}

static bool list_has(const struct http_field *f, const char *word)
{
	const char *p = f->value, *end = p + f->value_len;

	while (p < end) {
		const char *comma = memchr(p, ',', (size_t)(end - p));
		const char *e = comma ? comma : end, *next = comma ? comma + 1 : end;

		while (p < e && is_blank(*p))
			p++;
		while (e > p && is_blank(e[-1]))
			e--;
		if (same(p, (size_t)(e - p), word))
			return true;
		p = next;
	}
	return false;
}

static int parse_framing(struct http_head *h)
{
	const struct http_field *len = http_field(h, "content-length");
	const struct http_field *te = http_field(h, "transfer-encoding");
	const struct http_field *conn = http_field(h, "connection");

	if (len && te)
		return -EBADMSG;
	if (len && http_field_u64(len, &h->length) < 0)
		return -EBADMSG;
	if (te && !same(te->value, te->value_len, "chunked"))
		return -EBADMSG;
	h->has_length = len;
	h->chunked = te;
	h->close = conn && list_has(conn, "close");
	return 0;
}

/* The start line and where the fields begin. */
static int split_head(const void *bytes, size_t len, const char **line, size_t *line_len, struct http_head *h)
{
	const char *p = bytes;
	size_t left = len;

	*h = (struct http_head){ 0 };
	if (len > HTTP_HEAD_MAX || next_line(&p, &left, line, line_len) < 0)
		return -EBADMSG;
	if (parse_fields(p, left, h->field, &h->nr_fields) < 0)
		return -EBADMSG;
	return parse_framing(h);
}

int http_parse_request(const void *p, size_t len, struct http_head *ret)
{
	const char *line, *target, *end;
	struct http_head h;
	size_t n;

	if (split_head(p, len, &line, &n, &h) < 0)
		return -EBADMSG;
	end = line + n;
	target = memchr(line, ' ', n);
	if (!target || !is_token(line, (size_t)(target - line)))
		return -EBADMSG;
	h.target = ++target;
	while (target < end && *target > ' ' && *target <= '~' && *target != '#')
		target++;
	h.target_len = (size_t)(target - h.target);
	if (!h.target_len || *h.target != '/' || !same(target, (size_t)(end - target), " HTTP/1.1") ||
	    memcmp(target, " HTTP/", 6) != 0)
		return -EBADMSG;
	if (n < 4 || memcmp(line, "GET ", 4) != 0)
		return -EOPNOTSUPP;
	if (h.chunked || h.length)
		return -EBADMSG;	/* a body would be read as the next request */
	*ret = h;
	return 0;
}

int http_parse_response(const void *p, size_t len, struct http_head *ret)
{
	static const char version[] = "HTTP/1.1 ";
	const size_t vlen = sizeof(version) - 1;
	struct http_head h;
	const char *line;
	size_t n;

	if (split_head(p, len, &line, &n, &h) < 0)
		return -EBADMSG;
	if (n < vlen + 4 || memcmp(line, version, vlen) != 0 || line[vlen + 3] != ' ' || !is_text(line, n))
		return -EBADMSG;
	for (size_t i = vlen; i < vlen + 3; i++) {
		if (line[i] < '0' || line[i] > '9')
			return -EBADMSG;
		h.status = h.status * 10 + (line[i] - '0');
	}
	if (h.status < 100 || h.status > 599)
		return -EBADMSG;
	*ret = h;
	return 0;
}

const struct http_field *http_field(const struct http_head *h, const char *name)
{
	return find(h->field, h->nr_fields, name, strlen(name));
}

static int unescape(const char *p, size_t len, struct buf *out)
{
	for (size_t i = 0; i < len; i++) {
		if (p[i] == '%') {
			if (len - i < 3 || hex_digit(p[i + 1]) < 0 || hex_digit(p[i + 2]) < 0)
				return -EBADMSG;
			buf_u8(out, (uint8_t)(hex_digit(p[i + 1]) << 4 | hex_digit(p[i + 2])));
			i += 2;
		} else {
			buf_u8(out, p[i] == '+' ? ' ' : (uint8_t)p[i]);
		}
	}
	return buf_ok(out);
}

/* One "name=value" or "name". Return: 1 if it has this name; 0; -EBADMSG for names with escapes: two spellings of one. */
static int match_param(const char *p, size_t len, const char *name, const char **ret, size_t *ret_len)
{
	const char *eq = memchr(p, '=', len);
	size_t n = eq ? (size_t)(eq - p) : len;

	if (memchr(p, '%', n) || memchr(p, '+', n))
		return -EBADMSG;
	if (n != strlen(name) || memcmp(p, name, n) != 0)
		return 0;
	*ret = eq ? eq + 1 : p + len;
	*ret_len = eq ? len - n - 1 : 0;
	return 1;
}

int http_query(const struct http_head *h, const char *name, struct buf *ret)
{
	const char *p = h->target_len ? memchr(h->target, '?', h->target_len) : NULL;
	const char *end = h->target + h->target_len, *value = NULL;
	size_t value_len = 0, keep = ret->len;
	int r;

	while (p && p < end) {
		const char *start = p + 1, *amp = memchr(start, '&', (size_t)(end - start));
		const char *e = amp ? amp : end, *v;
		size_t n;

		r = match_param(start, (size_t)(e - start), name, &v, &n);
		if (r < 0 || (r && value))
			return -EBADMSG;
		if (r) {
			value = v;
			value_len = n;
		}
		p = amp;
	}
	if (!value)
		return 0;
	r = unescape(value, value_len, ret);
	if (r < 0)
		ret->len = keep;
	return r < 0 ? r : 1;
}

bool http_target_path(const struct http_head *h, const char *path)
{
	const char *q = h->target_len ? memchr(h->target, '?', h->target_len) : NULL;
	size_t n = q ? (size_t)(q - h->target) : h->target_len;

	return n == strlen(path) && !memcmp(h->target, path, n);
}

void http_escape(struct buf *out, const void *bytes, size_t len)
{
	static const char digits[] = "0123456789ABCDEF";
	const uint8_t *p = bytes;

	for (size_t i = 0; i < len; i++) {
		bool plain = (p[i] >= '0' && p[i] <= '9') || (p[i] >= 'A' && p[i] <= 'Z') ||
			     (p[i] >= 'a' && p[i] <= 'z') || (p[i] && strchr("-_.~", p[i]));

		if (plain) {
			buf_u8(out, p[i]);
			continue;
		}
		buf_u8(out, '%');
		buf_u8(out, (uint8_t)digits[p[i] >> 4]);
		buf_u8(out, (uint8_t)digits[p[i] & 15]);
	}
}

int http_body_init(struct http_body *b, const struct http_head *h)
{
	if (h->has_length == h->chunked)
		return -EBADMSG;
	b->state = h->chunked ? BODY_LINE : BODY_FIXED;
	b->left = h->length;
	b->total = 0;
	b->line_len = 0;
	b->nr_trailers = 0;
	return 0;
}

/* Takes bytes up to and with the first LF. Return: 1 when a line is whole; 0; -EBADMSG over @max bytes in all. */
static int take_line(struct http_body *b, const char **p, size_t *len, size_t max)
{
	while (*len) {
		char c = *(*p)++;

		(*len)--;
		if (b->line_len == max)
			return -EBADMSG;
		b->line[b->line_len++] = c;
		if (c == '\n')
			return b->line_len >= 2 && b->line[b->line_len - 2] == '\r' ? 1 : -EBADMSG;
	}
	return 0;
}

static int end_chunk_line(struct http_body *b)
{
	uint64_t v = 0;

	if (b->line_len < 3)
		return -EBADMSG;
	for (size_t i = 0; i < b->line_len - 2; i++) {
		if (hex_digit(b->line[i]) < 0)
			return -EBADMSG;
		v = v << 4 | (uint64_t)hex_digit(b->line[i]);
	}
	if (v > UINT64_MAX - b->total)
		return -EBADMSG;
	b->left = v;
	b->line_len = 0;
	b->state = v ? BODY_DATA : BODY_TRAILER;
	return 0;
}

static int end_trailer_line(struct http_body *b)
{
	static const char *const framing[] = { "content-length", "transfer-encoding", "host", "authorization" };

	if (b->line_len != 2 && (b->line_len < 4 || memcmp(b->line + b->line_len - 4, "\r\n\r\n", 4) != 0))
		return 0;
	if (parse_fields(b->line, b->line_len, b->trailer, &b->nr_trailers) < 0)
		return -EBADMSG;
	for (size_t i = 0; i < sizeof(framing) / sizeof(*framing); i++)
		if (http_trailer(b, framing[i]))
			return -EBADMSG;
	b->state = BODY_DONE;
	return 0;
}

/* Framing bytes. Return: 1 when one piece was taken; 0 when the input ran out first; -EBADMSG. */
static int take_framing(struct http_body *b, const char **p, size_t *len)
{
	size_t max = b->state == BODY_TRAILER ? HTTP_TRAILER_MAX : b->state == BODY_LINE ? HTTP_CHUNK_LINE_MAX : 2;
	int r = take_line(b, p, len, max);

	if (r <= 0)
		return r;
	if (b->state == BODY_TRAILER)
		r = end_trailer_line(b);
	else if (b->state == BODY_LINE)
		r = end_chunk_line(b);
	else
		r = 0;
	if (b->state == BODY_DATA_END) {
		b->line_len = 0;
		b->state = BODY_LINE;
	}
	return r < 0 ? r : 1;
}

static void take_data(struct http_body *b, const char **p, size_t *len, const char **ret, size_t *ret_len)
{
	size_t n = *len < b->left ? *len : (size_t)b->left;

	*ret = *p;
	*ret_len = n;
	*p += n;
	*len -= n;
	b->left -= n;
	b->total += n;
	if (!b->left && b->state == BODY_DATA)
		b->state = BODY_DATA_END;
}

int http_body_next(struct http_body *b, const char **p, size_t *len, const char **ret, size_t *ret_len)
{
	int r;

	*ret = *p;
	*ret_len = 0;
	for (;;) {
		if (b->state == BODY_FIXED && !b->left)
			b->state = BODY_DONE;
		if (b->state == BODY_DONE)
			return 1;
		if (b->state == BODY_BAD)
			return -EBADMSG;
		if (!*len)
			return 0;
		if (b->state == BODY_FIXED || b->state == BODY_DATA) {
			take_data(b, p, len, ret, ret_len);
			return 0;
		}
		r = take_framing(b, p, len);
		if (r < 0)
			b->state = BODY_BAD;
	}
}

const struct http_field *http_trailer(const struct http_body *b, const char *name)
{
	return find(b->trailer, b->nr_trailers, name, strlen(name));
}

void http_write_chunk_line(struct buf *out, size_t len)
{
	buf_fmt(out, "%zx\r\n", len);
}

int http_field_u64(const struct http_field *f, uint64_t *ret)
{
	uint64_t v = 0;

	if (!f->value_len)
		return -EBADMSG;
	for (size_t i = 0; i < f->value_len; i++) {
		char c = f->value[i];

		if (c < '0' || c > '9' || __builtin_mul_overflow(v, 10u, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(c - '0'), &v))
			return -EBADMSG;
	}
	*ret = v;
	return 0;
}
