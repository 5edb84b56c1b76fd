/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The list without ext=1, as the reference gives it: {"data":[{...},...]} on one line. One object at a time is parsed. */
#include <errno.h>
#include <string.h>

#include "common/b64.h"
#include "common/path.h"
#include "common/wire.h"
#include "host/client/client_int.h"

struct plain {
	client_entry_fn *fn;
	void *arg;
	const char *base;		/* the requested path */
	size_t base_len;
	struct buf object;		/* the one so far */
	struct buf path;		/* decoded */
	unsigned int depth;		/* of braces */
	bool in_text, escaped;
	uint64_t nr;
};

static int get_name(struct plain *l, const json_t *o, struct client_entry *e)
{
	const json_t *v = json_object_get(o, "filepath");
	const char *p;

	buf_reset(&l->path);
	if (!v || b64_decode(&l->path, json_string_value(v), json_string_length(v)) < 0 || !buf_cstr(&l->path))
		return -EPROTO;
	p = (const char *)l->path.data;
	if (l->path.len < l->base_len || memcmp(p, l->base, l->base_len) != 0)
		return -EPROTO;
	e->path = p + l->base_len;
	e->path_len = l->path.len - l->base_len;
	if (!e->path_len)
		return 0;		/* a file, asked for itself */
	if (*e->path != '/' || path_check_name(e->path + 1, e->path_len - 1) == -EBADMSG)
		return -EPROTO;
	e->path++;
	e->path_len--;
	return 0;
}

static int parse(struct plain *l, const json_t *o, struct client_entry *e)
{
	const char *type = json_string_value(json_object_get(o, "type"));
	const json_t *size = json_object_get(o, "size"), *mtime = json_object_get(o, "mtime");

	if (!json_is_object(o) || !type || strlen(type) != 1 || !strchr("dfv", *type) || get_name(l, o, e) < 0)
		return -EPROTO;
	if ((size && (!json_is_integer(size) || json_integer_value(size) < 0)) || (mtime && !json_is_integer(mtime)))
		return -EPROTO;
	e->type = *type;
	e->has_size = size != NULL;
	e->size = (uint64_t)json_integer_value(size);
	e->has_stat = mtime != NULL;
	e->mtime_s = json_integer_value(mtime);
	return 0;
}

static int one_object(struct plain *l, struct err *err)
{
	struct client_entry e = { 0 };
	json_t *o = json_loadb((const char *)l->object.data, l->object.len, JSON_REJECT_DUPLICATES, NULL);
	int r = o ? parse(l, o, &e) : -EPROTO;

	json_decref(o);
	l->nr++;
	if (r < 0)
		return err_text(err, r, "entry %llu of the VM's listing is malformed", (unsigned long long)l->nr);
	return l->fn(l->arg, &e);
}

/* Braces within texts do not count. */
static int one_byte(struct plain *l, uint8_t c, struct err *err)
{
	int r = 0;

	if (l->depth >= 2)
		buf_u8(&l->object, c);
	if (l->in_text) {
		l->in_text = l->escaped || c != '"';
		l->escaped = !l->escaped && c == '\\';
	} else if (c == '"') {
		l->in_text = true;
	} else if (c == '{') {
		if (++l->depth == 2) {
			buf_reset(&l->object);
			buf_u8(&l->object, c);
		}
	} else if (c == '}') {
		if (l->depth == 2)
			r = one_object(l, err);
		if (!l->depth--)
			return err_text(err, -EPROTO, "the VM's listing is malformed");
	}
	if (r == 0 && buf_ok(&l->object) < 0)
		r = err_text(err, -EPROTO, "an entry of the VM's listing is too long");
	return r;
}

static int read_all(struct client *c, struct plain *l, struct err *err)
{
	const char *p;
	size_t n;
	int r;

	while ((r = client_next(c, &p, &n, err)) > 0) {
		for (size_t i = 0; i < n; i++) {
			r = one_byte(l, (uint8_t)p[i], err);
			if (r < 0) {
				client_abandon(c);
				return r;
			}
		}
	}
	if (r == 0 && (l->depth || l->in_text || client_last_totals(c)->entries != l->nr))
		return err_text(err, -EPROTO, "the VM's listing is not what its trailer says");
	return r;
}

int client_list_plain(struct client *c, const void *path, size_t path_len, client_entry_fn *fn, void *arg,
		      struct err *err)
{
	struct plain l = { .fn = fn, .arg = arg, .base = path, .base_len = path_len, .object = { .limit = WIRE_LINE_MAX } };
	CLEANUP_BUF struct buf b = BUF_INIT;
	int r;

	client_target(&b, "list", path, path_len);
	r = client_begin(c, &b, true, err);
	if (r == 0)
		r = read_all(c, &l, err);
	buf_free(&l.object);
	buf_free(&l.path);
	return r;
}
