/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "agent/entry.h"
#include "agent/holes.h"
#include "agent/request.h"
#include "agent/resolve.h"
#include "agent/xattrs.h"
#include "common/cleanup.h"
#include "common/jsonw.h"

static int open_path(struct request *q, struct target *t, struct item *i)
{
	int r = target_parse(q->a, (const char *)q->path.data, q->path.len, t, q->err);

	if (r < 0 || t->level != TARGET_VOLUME)
		return r;
	return item_open(q->a, t, i, q->err);
}

static int finish(struct request *q, struct jsonw *w)
{
	jsonw_object_end(w);
	if (buf_ok(w->out) < 0)
		return err_set(q->err, buf_ok(w->out), "answer");
	return reply_data(q->reply, "application/json", w->out);
}

static void xattr_fields(struct jsonw *w, struct item *i)
{
	CLEANUP(xattrs_free) struct xattrs x = { 0 };
	int r = i->stream ? 0 : xattrs_read(&i->native, -1, item_dirfd(i), i->name, &x);

	jsonw_key(w, "xattrs");
	jsonw_array_begin(w);
	for (size_t k = 0; k < x.nr; k++) {
		jsonw_object_begin(w);
		jsonw_key_b64(w, "name", x.v[k].name, x.v[k].name_len);
		jsonw_key_b64(w, "value", x.v[k].value, x.v[k].value_len);
		jsonw_object_end(w);
	}
	jsonw_array_end(w);
	if (r < 0)
		entry_error(w, r, x.what);
}

int stat_handle(struct request *q)
{
	CLEANUP_TARGET struct target t = { 0 };
	CLEANUP_ITEM struct item i = ITEM_INIT;
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct jsonw w = JSONW(&b);
	int r = open_path(q, &t, &i);

	if (r < 0)
		return r;
	jsonw_object_begin(&w);
	jsonw_key(&w, "data");
	jsonw_object_begin(&w);
	if (t.level == TARGET_VOLUME) {
		if (!entry_fields(&i.native, &w, "", 0, item_dirfd(&i), i.name, &i.st, 0, ""))
			xattr_fields(&w, &i);
	} else {
		jsonw_key_string(&w, "path", "");
		jsonw_key_string(&w, "type", "v");
	}
	jsonw_object_end(&w);
	q->reply->note = i.note;
	return finish(q, &w);
}

int map_handle(struct request *q)
{
	CLEANUP_TARGET struct target t = { 0 };
	CLEANUP_ITEM struct item i = ITEM_INIT;
	CLEANUP(holes_free) struct holes h = { 0 };
	CLEANUP_BUF struct buf b = BUF_INIT;
	CLEANUP_CLOSE int fd = -1;
	struct jsonw w = JSONW(&b);
	int r = open_path(q, &t, &i);

	if (r < 0)
		return r;
	if (t.level != TARGET_VOLUME || !S_ISREG(i.st.stx_mode))
		return err_text(q->err, -EINVAL, "not a regular file");
	if (!i.stream) {
		fd = resolve_open(item_dirfd(&i), i.name, O_RDONLY | O_NONBLOCK | O_NOATIME);
		if (fd < 0)
			return err_set(q->err, fd, "%s", native_open_failed(fd));
	}
	r = i.stream ? ntfs_stream_map(i.stream, &h) : holes_map(fd, i.st.stx_size, &h);
	if (r < 0)
		return err_set(q->err, r, "map the file");
	jsonw_object_begin(&w);
	jsonw_key(&w, "data");
	jsonw_object_begin(&w);
	jsonw_key_u64(&w, "size", i.st.stx_size);
	jsonw_key(&w, "data");
	jsonw_array_begin(&w);
	for (size_t k = 0; k < h.nr; k++) {
		jsonw_array_begin(&w);
		jsonw_u64(&w, h.v[k].off);
		jsonw_u64(&w, h.v[k].len);
		jsonw_array_end(&w);
	}
	jsonw_array_end(&w);
	jsonw_object_end(&w);
	q->reply->note = i.note;
	return finish(q, &w);
}
