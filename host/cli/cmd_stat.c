/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/b64.h"
#include "common/cleanup.h"
#include "common/jsonw.h"
#include "host/cli/archive.h"
#include "host/cli/entry_out.h"
#include "host/cli/target.h"

/* Pairs of base64 texts; anything else is a lie. */
static int write_xattrs(struct jsonw *w, const json_t *list)
{
	static const char *const keys[] = { "name", "value" };
	const json_t *v;
	size_t i;

	jsonw_key(w, "xattrs");
	jsonw_array_begin(w);
	json_array_foreach((json_t *)list, i, v) {
		jsonw_object_begin(w);
		for (size_t k = 0; k < 2; k++) {
			const json_t *t = json_object_get(v, keys[k]);
			CLEANUP_BUF struct buf raw = BUF_INIT;

			if (!t || b64_decode(&raw, json_string_value(t), json_string_length(t)) < 0)
				return -EPROTO;
			jsonw_key_bytes(w, keys[k], json_string_value(t), json_string_length(t));
		}
		jsonw_object_end(w);
	}
	jsonw_array_end(w);
	return 0;
}

/* Our own object: integers, texts, and lists of them. */
static void write_value(struct jsonw *w, const json_t *v)
{
	const char *key;
	json_t *e;
	size_t i;

	switch (json_typeof(v)) {
	case JSON_OBJECT:
		jsonw_object_begin(w);
		json_object_foreach((json_t *)v, key, e) {
			jsonw_key(w, key);
			write_value(w, e);
		}
		jsonw_object_end(w);
		break;
	case JSON_ARRAY:
		jsonw_array_begin(w);
		json_array_foreach((json_t *)v, i, e)
			write_value(w, e);
		jsonw_array_end(w);
		break;
	case JSON_STRING:
		jsonw_string(w, json_string_value(v), json_string_length(v));
		break;
	case JSON_INTEGER:
		jsonw_i64(w, json_integer_value(v));
		break;
	default:
		jsonw_null(w);
	}
}

/* A file archive knows neither inodes nor links, but ACLs, flags and projects. */
static void write_archive_fields(struct jsonw *w, const json_t *o, const struct target_path *p)
{
	const char *type = json_string_value(json_object_get(o, "type")), *name, *key;
	const json_t *s = json_object_get(o, "mtime"), *ns = json_object_get(o, "mtime-nsec");
	const struct client_entry e = { .path = "" };
	size_t len;
	json_t *v;

	entry_name(&e, (const char *)p->bytes.data, p->bytes.len, &name, &len);
	jsonw_key_b64(w, "filepath", p->bytes.data, p->bytes.len);
	jsonw_key_bool(w, "leaf", type && *type != 'd');
	jsonw_key_bytes(w, "text", name, len);
	json_object_foreach((json_t *)o, key, v) {
		if (!strcmp(key, "mtime-nsec"))
			continue;
		jsonw_key(w, key);
		write_value(w, v);
	}
	jsonw_key(w, "mtime-ns");
	jsonw_ns(w, json_integer_value(s), (uint32_t)json_integer_value(ns));
}

static int write_vm_fields(struct jsonw *w, const json_t *o, const struct target_path *p, struct err *err)
{
	const json_t *xattrs = json_object_get(o, "xattrs");
	CLEANUP_BUF struct buf target = BUF_INIT;
	struct client_entry e;
	int r = client_stat_entry(o, &target, &e, err);

	if (r < 0)
		return r;
	entry_write_fields(w, &e, (const char *)p->bytes.data, p->bytes.len);
	if (xattrs && write_xattrs(w, xattrs) < 0)
		return err_text(err, -EPROTO, "the VM's answer is malformed");
	return 0;
}

/* The fields that list gives, and "xattrs". */
static int print_stat(const json_t *o, const struct target_path *p, bool pretty, struct err *err)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	struct jsonw w = { .out = &out, .pretty = pretty };
	int r = 0;

	jsonw_object_begin(&w);
	if (p->archive)
		write_archive_fields(&w, o, p);
	else
		r = write_vm_fields(&w, o, p, err);
	if (r < 0)
		return r;
	jsonw_object_end(&w);
	buf_u8(&out, '\n');
	r = buf_ok(&out);
	if (r < 0)
		return err_set(err, r, "stat");
	(void)cli_out_buf(&out);
	return 0;
}

static int stat_path(const struct args *a, struct target *t, const char *text, enum cli_format format, struct err *err)
{
	struct target_path p = { 0 };
	json_t *o = NULL;
	int r = target_open(t, err);

	if (r == 0)
		r = target_path(t, text, strlen(text), args_flag(a, "base64"), &p, err);
	if (r < 0)
		return r;
	if (p.root)
		r = err_text(err, -EINVAL, "'/' has no metadata");
	else
		r = target_stat(t, &p, &o, err);
	if (r == 0)
		r = print_stat(o, &p, format == CLI_JSON_PRETTY || format == CLI_TEXT, err);
	json_decref(o);
	target_path_free(&p);
	return r;
}

static int run_stat(const struct args *a)
{
	struct err err = ERR_INIT;
	enum cli_format format;
	struct target t = { 0 };
	size_t pos = 0;
	int r;

	cli_progress_init(false);
	r = cli_format(a, &format, &err);
	if (r == 0)
		r = target_parse(a, &pos, &t, &err);
	if (r == 0 && pos + 1 != a->nr_pos)
		r = err_text(&err, -EINVAL, "give one PATH");
	if (r == 0)
		r = stat_path(a, &t, a->pos[pos], format, &err);
	target_free(&t);
	return r < 0 ? cli_fail(&err, r) : EXIT_OK;
}

const struct command cmd_stat = {
	.name = "stat",
	.usage = "SNAPSHOT PATH | --disk FILE PATH",
	.help = "all metadata of one path, as JSON",
	.opts = { target_opts, cli_format_opts, target_base64_opts, target_vm_opts },
	.min_pos = 1,
	.max_pos = 2,
	.run = run_stat,
};
