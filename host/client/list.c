/* SPDX-License-Identifier: GPL-2.0-or-later */
/* JSON Lines of list?ext=1: one bounded object at a time, every field checked before the caller sees it. */
#include <errno.h>
#include <string.h>

#include "common/b64.h"
#include "common/path.h"
#include "common/wire.h"
#include "host/client/client_int.h"

#define NSEC 1000000000

struct listing {
	client_entry_fn *fn;
	void *arg;
	struct buf line;		/* the line so far */
	struct buf path, target;	/* decoded fields of the current entry */
	uint64_t lines, errors;
	bool recursive;
};

static int get_u64(const json_t *o, const char *key, uint64_t max, uint64_t *ret, bool *ret_has)
{
	const json_t *v = json_object_get(o, key);

	*ret_has = v != NULL;
	if (!v)
		return 0;
	if (!json_is_integer(v) || json_integer_value(v) < 0 || (uint64_t)json_integer_value(v) > max)
		return -EPROTO;
	*ret = (uint64_t)json_integer_value(v);
	return 0;
}

static int get_u32(const json_t *o, const char *key, uint32_t *ret, bool *ret_has)
{
	uint64_t v = 0;
	int r = get_u64(o, key, UINT32_MAX, &v, ret_has);

	*ret = (uint32_t)v;
	return r;
}

/* Every component must be one that could be created; no slash at either end. */
static int check_path(const struct buf *b, bool recursive)
{
	const char *p = (const char *)b->data, *name;
	size_t left = b->len, n, joined = 0, parts = 0;

	while (path_next(&p, &left, &name, &n)) {
		if (path_check_name(name, n) == -EBADMSG || n > PATH_NAME_MAX * 4)
			return -EPROTO;
		joined += n;
		parts++;
	}
	if (parts && joined + parts - 1 != b->len)
		return -EPROTO;
	return b->len && (!parts || (parts > 1 && !recursive)) ? -EPROTO : 0;
}

static int get_b64(const json_t *o, const char *key, size_t max, struct buf *ret, bool *ret_has)
{
	const json_t *v = json_object_get(o, key);

	buf_reset(ret);
	*ret_has = v != NULL;
	if (!v)
		return 0;
	if (!json_is_string(v) || b64_decode(ret, json_string_value(v), json_string_length(v)) < 0 || ret->len > max)
		return -EPROTO;
	return buf_cstr(ret) ? 0 : -ENOMEM;
}

static int get_type(const json_t *o, char *ret)
{
	const json_t *v = json_object_get(o, "type");

	if (!json_is_string(v) || json_string_length(v) != 1 || !strchr("dflbcpsv?", json_string_value(v)[0]))
		return -EPROTO;
	*ret = json_string_value(v)[0];
	return 0;
}

static int get_time(const json_t *o, struct client_entry *e)
{
	const json_t *s = json_object_get(o, "mtime"), *ns = json_object_get(o, "mtime-nsec");

	if (!json_is_integer(s) || !json_is_integer(ns) || json_integer_value(ns) < 0 || json_integer_value(ns) >= NSEC)
		return -EPROTO;
	e->mtime_s = json_integer_value(s);
	e->mtime_ns = (uint32_t)json_integer_value(ns);
	return 0;
}

static int get_rdev(const json_t *o, struct client_entry *e)
{
	const json_t *v = json_object_get(o, "rdev");
	const json_t *major = json_array_get(v, 0), *minor = json_array_get(v, 1);

	if (!v)
		return 0;
	if (json_array_size(v) != 2 || !json_is_integer(major) || !json_is_integer(minor) ||
	    json_integer_value(major) < 0 || json_integer_value(major) > UINT32_MAX ||
	    json_integer_value(minor) < 0 || json_integer_value(minor) > UINT32_MAX)
		return -EPROTO;
	e->has_rdev = true;
	e->rdev_major = (uint32_t)json_integer_value(major);
	e->rdev_minor = (uint32_t)json_integer_value(minor);
	return 0;
}

static int get_error(const json_t *o, struct client_entry *e)
{
	const json_t *v = json_object_get(o, "error");
	const char *name = json_string_value(json_object_get(v, "name"));
	const char *text = json_string_value(json_object_get(v, "text"));

	if (!v)
		return 0;
	if (!name || !*name || strlen(name) > 32 || strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != strlen(name))
		return -EPROTO;
	e->error_name = name;
	e->error_text = text ? text : "";
	return 0;
}

/* All of lstat or nothing of it. */
static int get_stat(const json_t *o, struct client_entry *e)
{
	bool mode, uid, gid, links, inode;

	if (get_u32(o, "mode", &e->mode, &mode) < 0 || get_u32(o, "uid", &e->uid, &uid) < 0 ||
	    get_u32(o, "gid", &e->gid, &gid) < 0 || get_u64(o, "size", INT64_MAX, &e->size, &e->has_size) < 0 ||
	    get_u64(o, "links", INT64_MAX, &e->links, &links) < 0 ||
	    get_u64(o, "inode", INT64_MAX, &e->inode, &inode) < 0)
		return -EPROTO;
	e->has_stat = mode;
	if (!mode)
		return 0;
	return uid && gid && links && inode && e->has_size ? get_time(o, e) : -EPROTO;
}

static int parse_entry(const json_t *o, bool recursive, struct buf *path, struct buf *target, struct client_entry *e)
{
	bool has_path, has_target;

	if (!json_is_object(o) || get_type(o, &e->type) < 0 || get_stat(o, e) < 0 || get_rdev(o, e) < 0 ||
	    get_error(o, e) < 0)
		return -EPROTO;
	if (get_b64(o, "path", WIRE_PATH_MAX * 2, path, &has_path) < 0 || !has_path || check_path(path, recursive) < 0)
		return -EPROTO;
	if (get_b64(o, "target", WIRE_PATH_MAX, target, &has_target) < 0)
		return -EPROTO;
	e->path = (const char *)path->data;
	e->path_len = path->len;
	e->target = has_target ? (const char *)target->data : NULL;
	e->target_len = target->len;
	return 0;
}

int client_stat_entry(const json_t *o, struct buf *target, struct client_entry *ret, struct err *err)
{
	CLEANUP_BUF struct buf path = BUF_INIT;
	struct client_entry e = { 0 };

	if (parse_entry(o, false, &path, target, &e) < 0 || e.path_len)
		return err_text(err, -EPROTO, "the VM's answer is malformed");
	e.path = "";
	*ret = e;
	return 0;
}

static int one_line(struct listing *l, struct err *err)
{
	struct client_entry e = { 0 };
	json_t *o = json_loadb((const char *)l->line.data, l->line.len, JSON_REJECT_DUPLICATES, NULL);
	int r = o ? parse_entry(o, l->recursive, &l->path, &l->target, &e) : -EPROTO;

	l->lines++;
	l->errors += e.error_name != NULL;
	if (r < 0)
		r = err_text(err, -EPROTO, "line %llu of the VM's listing is malformed", (unsigned long long)l->lines);
	else
		r = l->fn(l->arg, &e);
	json_decref(o);
	return r;
}

/* Bytes of the body: whole lines are handed on, the rest kept. */
static int take(struct listing *l, const char *p, size_t len, struct err *err)
{
	while (len) {
		const char *lf = memchr(p, '\n', len);
		size_t n = lf ? (size_t)(lf - p) : len;
		int r;

		buf_add(&l->line, p, n);
		if (buf_ok(&l->line) == -E2BIG)
			return err_text(err, -EPROTO, "a line of the VM's listing is longer than %d bytes", WIRE_LINE_MAX);
		if (buf_ok(&l->line) < 0)
			return err_set(err, buf_ok(&l->line), "listing");
		p += n;
		len -= n;
		if (!lf)
			break;
		p++;
		len--;
		r = one_line(l, err);
		if (r < 0)
			return r;
		buf_reset(&l->line);
	}
	return 0;
}

static int read_lines(struct client *c, struct listing *l, struct err *err)
{
	const char *p;
	size_t n;
	int r;

	while ((r = client_next(c, &p, &n, err)) > 0) {
		r = take(l, p, n, err);
		if (r < 0) {
			client_abandon(c);
			return r;
		}
	}
	if (r == 0 && (l->line.len || client_last_totals(c)->entries != l->lines ||
		       client_last_totals(c)->errors != l->errors)) {
		client_abandon(c);
		return err_text(err, -EPROTO, "the VM's listing is not what its trailer says");
	}
	return r;
}

int client_list(struct client *c, const void *path, size_t path_len, bool recursive, client_entry_fn *fn, void *arg,
		struct client_totals *ret, struct err *err)
{
	struct listing l = { .fn = fn, .arg = arg, .recursive = recursive, .line = { .limit = WIRE_LINE_MAX } };
	CLEANUP_BUF struct buf b = BUF_INIT;
	int r;

	client_target(&b, "list", path, path_len);
	buf_fmt(&b, "&ext=1%s", recursive ? "&recursive=1" : "");
	r = client_begin(c, &b, true, err);
	if (r == 0)
		r = read_lines(c, &l, err);
	if (r == 0 && ret)
		*ret = *client_last_totals(c);
	buf_free(&l.line);
	buf_free(&l.path);
	buf_free(&l.target);
	return r;
}
