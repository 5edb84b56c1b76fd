/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/b64.h"
#include "common/cleanup.h"
#include "common/jsonw.h"
#include "common/log.h"
#include "host/cli/target.h"

#define TREE_DEPTH_MAX 64

static void text_of(struct buf *out, const char *before, const json_t *v, const char *after)
{
	if (!v)
		return;
	buf_str(out, before);
	cli_escape(out, json_string_value(v), json_string_length(v));
	buf_str(out, after);
}

static void tree_text(struct buf *out, const json_t *list, unsigned int depth)
{
	const json_t *v;
	size_t i;

	json_array_foreach((json_t *)list, i, v) {
		const json_t *size = json_object_get(v, "size"), *path = json_object_get(v, "path");
		CLEANUP_BUF struct buf raw = BUF_INIT;

		for (unsigned int d = 0; d < depth; d++)
			buf_str(out, "  ");
		text_of(out, "", json_object_get(v, "name"), "");
		text_of(out, "  ", json_object_get(v, "type"), "");
		if (size)
			buf_fmt(out, "  %lld bytes", (long long)json_integer_value(size));
		text_of(out, "  label '", json_object_get(v, "label"), "'");
		text_of(out, "  uuid ", json_object_get(v, "uuid"), "");
		if (path && b64_decode(&raw, json_string_value(path), json_string_length(path)) == 0) {
			buf_str(out, "  -> ");
			cli_escape(out, raw.data, raw.len);
		}
		text_of(out, "  (", json_object_get(v, "error"), ")");
		text_of(out, "  (", json_object_get(v, "note"), ")");
		buf_u8(out, '\n');
		if (depth < TREE_DEPTH_MAX)
			tree_text(out, json_object_get(v, "children"), depth + 1);
	}
}

/* The agent knows disks by their plain names; list takes those of the archives. */
static void append_listed(struct buf *out, const struct buf *raw, const struct target *t)
{
	const char *p = (const char *)raw->data, *slash = raw->len ? memchr(p, '/', raw->len) : NULL;
	size_t len = slash ? (size_t)(slash - p) : raw->len;

	for (size_t i = 0; i < t->nr_disks; i++) {
		if (strlen(t->disks[i].name) == len && !memcmp(t->disks[i].name, p, len)) {
			buf_str(out, target_archive(t, i));
			buf_add(out, p + len, raw->len - len);
			return;
		}
	}
	buf_add(out, p, raw->len);
}

static int listed_paths(json_t *list, const struct target *t, unsigned int depth)
{
	json_t *v;
	size_t i;

	json_array_foreach(list, i, v) {
		CLEANUP_BUF struct buf raw = BUF_INIT, listed = BUF_INIT, b64 = BUF_INIT;
		const json_t *path = json_object_get(v, "path");

		if (path && b64_decode(&raw, json_string_value(path), json_string_length(path)) == 0 && raw.len) {
			append_listed(&listed, &raw, t);
			b64_encode(&b64, listed.data, listed.len);
			if (buf_ok(&listed) < 0 || !buf_cstr(&b64) ||
			    json_object_set_new(v, "path", json_string(buf_cstr(&b64))) < 0)
				return -ENOMEM;
		}
		if (depth < TREE_DEPTH_MAX && listed_paths(json_object_get(v, "children"), t, depth + 1) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* "path" as text, the very bytes as "filepath". */
static int tree_paths(json_t *list, unsigned int depth)
{
	json_t *v;
	size_t i;

	json_array_foreach(list, i, v) {
		CLEANUP_BUF struct buf raw = BUF_INIT, text = BUF_INIT;
		struct jsonw w = JSONW(&text);
		json_t *path = json_object_get(v, "path"), *plain;

		if (path && b64_decode(&raw, json_string_value(path), json_string_length(path)) == 0) {
			jsonw_string(&w, raw.data, raw.len);
			plain = buf_cstr(&text) ? json_loads(buf_cstr(&text), JSON_DECODE_ANY, NULL) : NULL;
			if (!plain || json_object_set(v, "filepath", path) < 0 || json_object_set_new(v, "path", plain) < 0)
				return -ENOMEM;
		}
		if (depth < TREE_DEPTH_MAX && tree_paths(json_object_get(v, "children"), depth + 1) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* What the agent did not name is there nevertheless. */
static int add_missing(json_t *list, const struct target *t)
{
	for (size_t i = 0; i < t->nr_disks; i++) {
		bool seen = false;
		json_t *v;
		size_t j;

		json_array_foreach(list, j, v) {
			const char *name = json_string_value(json_object_get(v, "name"));

			seen |= name && !strcmp(name, t->disks[i].name);
		}
		if (!seen && json_array_append_new(list, json_pack("{s:s,s:s}", "name", t->disks[i].name, "type", "disk")) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int print_tree(json_t *list, const struct target *t, enum cli_format format)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	CLEANUP_FREE char *text = NULL;

	if (add_missing(list, t) < 0 || listed_paths(list, t, 0) < 0)
		return -ENOMEM;
	if (format == CLI_TEXT) {
		tree_text(&out, list, 0);
		return cli_out_buf(&out);
	}
	if (tree_paths(list, 0) < 0)
		return -ENOMEM;
	text = json_dumps(list, JSON_SORT_KEYS | (format == CLI_JSON_PRETTY ? JSON_INDENT(2) : JSON_COMPACT));
	if (!text)
		return -ENOMEM;
	cli_json(&out, text);
	return cli_out_buf(&out);
}

/* The second time in a new VM, which leaves out what ended the first. */
static int ask_disks(const struct target *t, json_t **ret, struct err *err)
{
	int r = 0;

	for (int i = 0; i < 2; i++) {
		struct client *c = NULL;

		r = target_connect(t, &c, NULL, err);
		if (r == 0)
			r = target_why(t, client_disks(c, ret, err), err);
		client_free(c);
		if (r != -EHOSTDOWN)
			break;
	}
	return r;
}

/* What ended a VM, by name. Return: how much of that there is. */
static size_t tell_left_out(const json_t *list, const char *above, unsigned int depth)
{
	const json_t *v;
	size_t i, nr = 0;

	json_array_foreach((json_t *)list, i, v) {
		const char *name = json_string_value(json_object_get(v, "name"));
		const char *why = json_string_value(json_object_get(v, "error"));
		char q[300], path[1024];

		(void)log_quote(name ? name : "", name ? strlen(name) : 0, q, sizeof(q));
		(void)snprintf(path, sizeof(path), "%s%s%s", above, *above ? "/" : "", q);
		if (json_is_true(json_object_get(v, "left-out"))) {
			nr++;
			cli_error("'%s': %s", path, why ? why : "left out");
		}
		if (depth < TREE_DEPTH_MAX)
			nr += tell_left_out(json_object_get(v, "children"), path, depth + 1);
	}
	return nr;
}

static bool has_unreadable(const json_t *list, unsigned int depth)
{
	const json_t *v;
	size_t i;

	json_array_foreach((json_t *)list, i, v)
		if (json_is_true(json_object_get(v, "unreadable")) ||
		    (depth < TREE_DEPTH_MAX && has_unreadable(json_object_get(v, "children"), depth + 1)))
			return true;
	return false;
}

static int run_disks(const struct args *a)
{
	struct err err = ERR_INIT;
	struct target t = { 0 };
	enum cli_format format;
	size_t pos = 0, left_out = 0;
	bool unreadable;
	json_t *list = NULL;
	int r;

	cli_progress_init(false);
	r = cli_format(a, &format, &err);
	if (r == 0)
		r = target_parse(a, &pos, &t, &err);
	if (r == 0 && pos != a->nr_pos)
		r = err_text(&err, -EINVAL, "too many arguments");
	if (r == 0)
		r = target_open(&t, &err);
	if (r == 0)
		r = ask_disks(&t, &list, &err);
	if (r == 0)
		left_out = tell_left_out(list, "", 0);
	if (r == 0 && print_tree(list, &t, format) == -ENOMEM)
		r = err_set(&err, -ENOMEM, "disks");
	unreadable = has_unreadable(list, 0);
	if (r == 0 && unreadable)
		(void)target_report_damage(&t, NULL);
	json_decref(list);
	target_free(&t);
	if (r < 0)
		return cli_fail(&err, r);
	return unreadable ? EXIT_DAMAGED : left_out ? EXIT_PARTIAL : EXIT_OK;
}

const struct command cmd_disks = {
	.name = "disks",
	.usage = "SNAPSHOT | --disk FILE",
	.help = "partitions and volumes on the disks",
	.opts = { target_opts, cli_format_opts, target_vm_opts },
	.max_pos = 1,
	.run = run_disks,
};
