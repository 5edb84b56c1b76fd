/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/filter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/utf8.h"

#define BYTE_BASE 0x110000u	/* bytes that are no UTF-8 stand behind all characters */

struct pattern {
	struct pattern *next;
	bool exclude, dir_only;
	bool anchored;		/* matched against the path, else against the name */
	size_t len;		/* of the body */
	size_t text_len;
	char text[];		/* the body, without slashes at its ends; then the text as it was given */
};

struct filter {
	struct pattern *first, **end;
	size_t bytes;
	bool has_include;
};

struct filter *filter_new(void)
{
	struct filter *f = calloc(1, sizeof(*f));

	if (f)
		f->end = &f->first;
	return f;
}

void filter_free(struct filter *f)
{
	if (!f)
		return;
	for (struct pattern *p = f->first, *next; p; p = next) {
		next = p->next;
		free(p);
	}
	free(f);
}

/* The character at the begin, taken off. @len is not 0. */
static uint32_t take(const char **p, size_t *len)
{
	uint32_t c;
	size_t n = utf8_decode((const uint8_t *)*p, *len, &c);

	if (!n) {
		c = BYTE_BASE + (uint8_t)**p;
		n = 1;
	}
	*p += n;
	*len -= n;
	return c;
}

/* A character of a pattern, behind its backslash if it has one. */
static uint32_t take_quoted(const char **p, size_t *len)
{
	if (**p == '\\' && *len > 1) {
		++*p;
		--*len;
	}
	return take(p, len);
}

/* The set behind "[". Return: is @c in it? *ret_ok false: it does not end. */
static bool take_set(const char **p, size_t *len, uint32_t c, bool *ret_ok)
{
	const bool negated = *len && (**p == '!' || **p == '^');
	bool found = false, first = true;

	*p += negated;
	*len -= negated;
	for (; *len && (**p != ']' || first); first = false) {
		uint32_t low = take_quoted(p, len), high = low;

		if (*len > 1 && **p == '-' && (*p)[1] != ']') {
			++*p;
			--*len;
			high = take_quoted(p, len);
		}
		found |= c >= low && c <= high;
	}
	*ret_ok = *len > 0;
	*p += *ret_ok;
	*len -= *ret_ok;
	return found != negated;
}

/* One step of a pattern that does not begin with "*". Return: does it match the character taken off the name? */
static bool match_one(const char **p, size_t *len, const char **name, size_t *name_len)
{
	const uint32_t c = take(name, name_len);
	bool ok;

	if (**p == '?') {
		++*p;
		--*len;
		return true;
	}
	if (**p == '[') {
		++*p;
		--*len;
		return take_set(p, len, c, &ok);
	}
	return take_quoted(p, len) == c;
}

/* One component. Only the last "*" is ever gone back to, so that the cost is the product of the lengths at most. */
static bool match_name(const char *p, size_t len, const char *name, size_t name_len)
{
	const char *star = NULL, *back = NULL;
	size_t star_len = 0, back_len = 0;

	while (name_len || len) {
		if (len && *p == '*') {
			star = ++p;
			star_len = --len;
			back = name;
			back_len = name_len;
			continue;
		}
		if (len && name_len && match_one(&p, &len, &name, &name_len))
			continue;
		if (!star || !back_len)
			return false;
		(void)take(&back, &back_len);
		p = star;
		len = star_len;
		name = back;
		name_len = back_len;
	}
	return true;
}

static size_t component(const char *p, size_t len)
{
	const char *slash = len ? memchr(p, '/', len) : NULL;

	return slash ? (size_t)(slash - p) : len;
}

static void skip_component(const char **p, size_t *len)
{
	size_t n = component(*p, *len);

	n += n < *len;
	*p += n;
	*len -= n;
}

static bool is_any(const char *p, size_t len)
{
	return component(p, len) == 2 && p[0] == '*' && p[1] == '*';
}

bool filter_match(const char *p, size_t len, const char *path, size_t path_len)
{
	const char *any = NULL, *back = NULL;
	size_t any_len = 0, back_len = 0;

	while (len || path_len) {
		if (len && is_any(p, len)) {
			if (len == 2)
				return path_len > 0;	/* at the end: something beneath */
			skip_component(&p, &len);
			any = p;
			any_len = len;
			back = path;
			back_len = path_len;
			continue;
		}
		if (len && path_len && match_name(p, component(p, len), path, component(path, path_len))) {
			skip_component(&p, &len);
			skip_component(&path, &path_len);
			continue;
		}
		if (!any || !back_len)
			return false;
		skip_component(&back, &back_len);
		p = any;
		len = any_len;
		path = back;
		path_len = back_len;
	}
	return true;
}

/* Sets that end, and a character behind each backslash. */
static bool is_well_formed(const char *p, size_t len)
{
	bool ok = true;

	while (len && ok) {
		if (*p == '[') {
			p++;
			len--;
			(void)take_set(&p, &len, 0, &ok);
		} else if (*p == '\\' && len == 1) {
			ok = false;
		} else {
			(void)take_quoted(&p, &len);
		}
	}
	return ok;
}

int filter_add(struct filter *f, bool exclude, const char *text, size_t text_len, struct err *err)
{
	const char *body = text;
	size_t len = text_len;
	struct pattern *p;

	if (text_len > FILTER_BYTES_MAX - f->bytes)
		return err_text(err, -E2BIG, "the patterns have more than %d bytes", FILTER_BYTES_MAX);
	while (len && body[len - 1] == '/')
		len--;
	while (len && *body == '/') {
		body++;
		len--;
	}
	if (!len || memchr(text, 0, text_len) || memmem(body, len, "//", 2) || !is_well_formed(body, len))
		return err_text(err, -EINVAL, "this is no pattern: '%.*s'", text_len < 80 ? (int)text_len : 80, text);
	p = malloc(sizeof(*p) + len + text_len);
	if (!p)
		return err_set(err, -ENOMEM, "patterns");
	*p = (struct pattern){ .exclude = exclude, .dir_only = text[text_len - 1] == '/', .len = len, .text_len = text_len,
			       .anchored = *text == '/' || memchr(body, '/', len) };
	memcpy(p->text, body, len);
	memcpy(p->text + len, text, text_len);
	*f->end = p;
	f->end = &p->next;
	f->bytes += text_len + 2;
	f->has_include |= !exclude;
	return 0;
}

void filter_write(const struct filter *f, struct buf *out)
{
	for (const struct pattern *p = f->first; p; p = p->next) {
		buf_u8(out, p->exclude ? '-' : '+');
		buf_add(out, p->text + p->len, p->text_len);
		buf_u8(out, 0);
	}
}

int filter_parse(struct filter *f, const void *from, size_t len, struct err *err)
{
	const char *p = from;
	int r = 0;

	while (r == 0 && len) {
		const char *nul = memchr(p, 0, len);
		const size_t n = nul ? (size_t)(nul - p) : 0;

		if (n < 2 || (*p != '+' && *p != '-'))
			return err_text(err, -EINVAL, "malformed patterns");
		r = filter_add(f, *p == '-', p + 1, n - 1, err);
		p += n + 1;
		len -= n + 1;
	}
	return r;
}

static bool any_matches(const struct filter *f, bool exclude, const char *path, size_t len, bool dir)
{
	const char *slash = memrchr(path, '/', len), *name = slash ? slash + 1 : path;

	for (const struct pattern *p = f->first; p; p = p->next) {
		if (p->exclude != exclude || (p->dir_only && !dir))
			continue;
		if (p->anchored ? filter_match(p->text, p->len, path, len) :
				  filter_match(p->text, p->len, name, len - (size_t)(name - path)))
			return true;
	}
	return false;
}

/* Can what lies beneath a directory match a pattern's body? The first components of it must match those of @path. */
static bool may_match_beneath(const char *p, size_t len, const char *path, size_t path_len)
{
	for (; path_len; skip_component(&path, &path_len), skip_component(&p, &len)) {
		if (len && is_any(p, len))
			return true;
		if (!len || !match_name(p, component(p, len), path, component(path, path_len)))
			return false;
	}
	return len > 0;
}

static bool any_may_match_beneath(const struct filter *f, const char *path, size_t len)
{
	for (const struct pattern *p = f->first; p; p = p->next)
		if (!p->exclude && (!p->anchored || may_match_beneath(p->text, p->len, path, len)))
			return true;
	return false;
}

enum filter_verdict filter_look(const struct filter *f, const struct filter_pos *at, const char *path, size_t len,
				bool dir)
{
	if (!f)
		return FILTER_TAKE;
	if (any_matches(f, true, path, len, dir))
		return FILTER_LEAVE;
	if (!f->has_include || at->taken || any_matches(f, false, path, len, dir))
		return FILTER_TAKE;
	return dir && any_may_match_beneath(f, path, len) ? FILTER_PASS : FILTER_LEAVE;
}

void filter_enter(struct filter_pos *at, enum filter_verdict v)
{
	at->depth++;
	if (v == FILTER_TAKE && !at->taken)
		at->taken = at->depth;
}

void filter_leave(struct filter_pos *at)
{
	if (at->taken == at->depth)
		at->taken = 0;
	at->depth--;
}
