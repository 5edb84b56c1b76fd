/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/cli/entry_out.h"

#include <string.h>

#include "common/buf.h"
#include "host/exit.h"

void entry_name(const struct client_entry *e, const char *base, size_t base_len, const char **ret, size_t *ret_len)
{
	const char *p = e->path_len ? e->path : base;
	size_t len = e->path_len ? e->path_len : base_len;
	const char *slash = len ? memrchr(p, '/', len) : NULL;

	*ret = slash ? slash + 1 : p;
	*ret_len = slash ? (size_t)(p + len - slash - 1) : len;
}

bool entry_is_damaged(const struct client_entry *e)
{
	return e->error_name && exit_from_errno(err_from_name(e->error_name, strlen(e->error_name))) == EXIT_DAMAGED;
}

static void write_stat(struct jsonw *w, const struct client_entry *e)
{
	jsonw_key_i64(w, "mtime", e->mtime_s);
	jsonw_key(w, "mtime-ns");
	jsonw_ns(w, e->mtime_s, e->mtime_ns);
	jsonw_key_u64(w, "mode", e->mode);
	jsonw_key_u64(w, "uid", e->uid);
	jsonw_key_u64(w, "gid", e->gid);
	if (e->links)
		jsonw_key_u64(w, "links", e->links);
	if (e->inode)
		jsonw_key_u64(w, "inode", e->inode);
}

void entry_write_fields(struct jsonw *w, const struct client_entry *e, const char *base, size_t base_len)
{
	CLEANUP_BUF struct buf path = BUF_INIT;
	const char type[2] = { e->type, 0 }, *name;
	size_t len;

	buf_add(&path, base, base_len);
	if (e->path_len) {
		buf_u8(&path, '/');
		buf_add(&path, e->path, e->path_len);
	}
	if (buf_ok(&path) < 0)
		w->out->error = buf_ok(&path);
	entry_name(e, base, base_len, &name, &len);
	jsonw_key_b64(w, "filepath", path.data, path.len);
	jsonw_key_bool(w, "leaf", e->type != 'd' && e->type != 'v');
	if (e->has_stat)
		write_stat(w, e);
	if (e->has_size && (e->type == 'f' || e->type == 'h' || !e->has_stat))
		jsonw_key_u64(w, "size", e->size);
	if (e->target)
		jsonw_key_b64(w, "target", e->target, e->target_len);
	if (e->has_rdev) {
		jsonw_key(w, "rdev");
		jsonw_array_begin(w);
		jsonw_u64(w, e->rdev_major);
		jsonw_u64(w, e->rdev_minor);
		jsonw_array_end(w);
	}
	jsonw_key_bytes(w, "text", name, len);
	jsonw_key_string(w, "type", type);
	if (e->error_name) {
		jsonw_key(w, "error");
		jsonw_object_begin(w);
		jsonw_key_string(w, "name", e->error_name);
		jsonw_key_string(w, "text", e->error_text ? e->error_text : "");
		jsonw_object_end(w);
	}
}

void entry_write_json(struct jsonw *w, const struct client_entry *e, const char *base, size_t base_len)
{
	jsonw_object_begin(w);
	entry_write_fields(w, e, base, base_len);
	jsonw_object_end(w);
}
