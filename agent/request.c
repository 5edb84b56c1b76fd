/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/request.h"

#include <errno.h>
#include <string.h>

#include "common/b64.h"
#include "common/filter.h"
#include "common/http.h"

static const struct {
	const char *name;
	unsigned int bit;
} params[] = {
	{ "path", PARAM_PATH },		{ "ext", PARAM_EXT },	    { "recursive", PARAM_RECURSIVE },
	{ "format", PARAM_FORMAT },	{ "offset", PARAM_OFFSET }, { "length", PARAM_LENGTH },
	{ "keep-timeout", PARAM_KEEP_TIMEOUT }, { "args", PARAM_ARGS }, { "filter", PARAM_FILTER },
	{ "data", PARAM_DATA },
};

void request_free(struct request *q)
{
	buf_free(&q->path);
	buf_free(&q->args);
	filter_free(q->filter);
}

static unsigned int find_param(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(params) / sizeof(*params); i++)
		if (strlen(params[i].name) == len && !memcmp(params[i].name, name, len))
			return params[i].bit;
	return 0;
}

/* Every name in the query must be one that the route takes. */
static int check_names(const struct http_head *h, unsigned int allowed, struct err *err)
{
	const char *p = memchr(h->target, '?', h->target_len), *end = h->target + h->target_len;

	while (p && p < end) {
		const char *start = p + 1, *amp = memchr(start, '&', (size_t)(end - start));
		const char *e = amp ? amp : end, *eq = memchr(start, '=', (size_t)(e - start));
		size_t n = (size_t)((eq ? eq : e) - start);

		if (n && !(find_param(start, n) & allowed))
			return err_text(err, -EINVAL, "parameter '%.*s' is not known here", n < 40 ? (int)n : 40, start);
		p = amp;
	}
	return 0;
}

static int parse_bool(const char *s, size_t len, bool *ret)
{
	static const char *const words[2][4] = { { "0", "false", "no", "off" }, { "1", "true", "yes", "on" } };

	for (int v = 0; v < 2; v++)
		for (size_t i = 0; i < 4; i++)
			if (strlen(words[v][i]) == len && !memcmp(words[v][i], s, len)) {
				*ret = v;
				return 0;
			}
	return -EINVAL;
}

static int parse_u64(const char *s, size_t len, uint64_t *ret)
{
	const struct http_field f = { .value = s, .value_len = len };

	return http_field_u64(&f, ret) < 0 ? -EINVAL : 0;
}

static int parse_path(const char *s, size_t len, struct buf *ret)
{
	if (len > WIRE_PATH_MAX / 3 * 4 + 8 || b64_decode(ret, s, len) < 0 || ret->len > WIRE_PATH_MAX)
		return -EINVAL;
	if (ret->len > 1 && ret->data[ret->len - 1] == '/')
		ret->len--;
	return 0;
}

static int parse_format(const char *s, size_t len, bool *ret_pxar)
{
	*ret_pxar = len == 4 && !memcmp(s, "pxar", 4);
	return *ret_pxar || (len == 5 && !memcmp(s, "plain", 5)) ? 0 : -EINVAL;
}

static int parse_filter(const char *s, size_t len, struct filter **ret)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	if (b64_decode(&b, s, len) < 0)
		return -EINVAL;
	*ret = filter_new();
	return *ret ? filter_parse(*ret, b.data, b.len, NULL) : -ENOMEM;
}

static int parse_data(const char *s, size_t len, bool *ret_none)
{
	bool data;
	int r = parse_bool(s, len, &data);

	*ret_none = !data;
	return r;
}

static int parse_value(struct request *q, unsigned int bit, const struct buf *v)
{
	const char *s = v->data ? (const char *)v->data : "";

	switch (bit) {
	case PARAM_PATH:
		return parse_path(s, v->len, &q->path);
	case PARAM_ARGS:
		return b64_decode(&q->args, s, v->len) < 0 ? -EINVAL : 0;
	case PARAM_FILTER:
		return parse_filter(s, v->len, &q->filter);
	case PARAM_DATA:
		return parse_data(s, v->len, &q->no_data);
	case PARAM_EXT:
		return parse_bool(s, v->len, &q->ext);
	case PARAM_RECURSIVE:
		return parse_bool(s, v->len, &q->recursive);
	case PARAM_KEEP_TIMEOUT:
		return parse_bool(s, v->len, &q->keep_timeout);
	case PARAM_FORMAT:
		return parse_format(s, v->len, &q->pxar);
	case PARAM_OFFSET:
		return parse_u64(s, v->len, &q->off);
	default:
		return parse_u64(s, v->len, &q->len);
	}
}

int request_parse(struct request *q, const struct http_head *h, unsigned int allowed, struct err *err)
{
	int r = check_names(h, allowed, err);

	if (r < 0)
		return r;
	q->len = UINT64_MAX;
	for (size_t i = 0; i < sizeof(params) / sizeof(*params); i++) {
		CLEANUP_BUF struct buf value = BUF_INIT;

		if (!(params[i].bit & allowed))
			continue;
		r = http_query(h, params[i].name, &value);
		if (r == 0)
			continue;
		if (r < 0 || parse_value(q, params[i].bit, &value) < 0)
			return err_text(err, -EINVAL, "parameter '%s' is not valid", params[i].name);
		q->given |= params[i].bit;
	}
	if (allowed & ~q->given & PARAM_PATH)
		return err_text(err, -EINVAL, "parameter 'path' is missing");
	return 0;
}
