/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "agent/archive.h"
#include "agent/data.h"
#include "agent/native.h"
#include "agent/request.h"
#include "agent/resolve.h"
#include "common/cleanup.h"
#include "common/log.h"

#define FILE_FLAGS (O_RDONLY | O_NONBLOCK | O_NOATIME)

/* Bytes @off to @end of a file, as far as it goes. */
static int send_range(struct request *q, struct data *d, uint64_t off, uint64_t end)
{
	while (off < end) {
		int error = 0;
		ssize_t n = data_send(d, q->reply, off, end, &error);

		if (n < 0)
			return err_set(q->err, (int)n, "send");
		if (n == 0)
			return err_set(q->err, error, "read the file");
		off += (uint64_t)n;
	}
	return 0;
}

/* As much of @size bytes as was asked for. */
static int send_asked(struct request *q, struct data *d, const struct item *i, uint64_t size)
{
	int r;

	reply_begin(q->reply, "application/octet-stream");
	q->reply->note = i->note;
	q->reply->entries = 1;
	if (q->off > size)
		q->off = size;
	r = send_range(q, d, q->off, q->len < size - q->off ? q->off + q->len : size);
	return r < 0 ? r : reply_end(q->reply);
}

static int send_file(struct request *q, struct item *i)
{
	CLEANUP_CLOSE int fd = resolve_open(item_dirfd(i), i->name, FILE_FLAGS);
	CLEANUP(decmpfs_closep) struct decmpfs *decoder = NULL;
	uint64_t size = i->st.stx_size;
	const char *what = "read the file";
	struct data d;
	int r;

	if (fd < 0)
		return err_set(q->err, fd, "%s", native_open_failed(fd));
	r = native_check_data(&i->native, fd, &i->st, &what);
	if (r == 0)
		r = native_decoder(&i->native, fd, &i->st, &decoder, &what);
	if (r < 0)
		return err_set(q->err, r, "%s", what);
	if (decoder)
		size = decmpfs_size(decoder);
	data_begin(&d, fd, size);
	d.decoder = decoder;
	return send_asked(q, &d, i, size);
}

static int send_plain(struct request *q, struct item *i)
{
	struct data of_stream = { .fd = -1, .stream = i->stream };

	if (q->given & (PARAM_FILTER | PARAM_DATA))
		return err_text(q->err, -EINVAL, "parameters 'filter' and 'data' go with format 'pxar' only");
	if (S_ISDIR(i->st.stx_mode))
		return err_text(q->err, -EISDIR, "cannot stream dir with format 'plain'");
	if (!S_ISREG(i->st.stx_mode))
		return err_text(q->err, -EINVAL, "cannot stream anything but regular files with format 'plain'");
	return i->stream ? send_asked(q, &of_stream, i, i->st.stx_size) : send_file(q, i);
}

static int send_pxar(struct request *q, const struct target *t, struct item *i)
{
	const char *shown = strrchr(t->shown, '/');
	int r;

	if (q->given & (PARAM_OFFSET | PARAM_LENGTH))
		return err_text(q->err, -EINVAL, "parameters 'offset' and 'length' go with format 'plain' only");
	if (q->no_data && !q->ext)
		return err_text(q->err, -EINVAL, "parameter 'data' goes with 'ext' only");
	reply_begin(q->reply, "application/octet-stream");
	q->reply->note = i->note;
	r = archive_send(q, i, i->parent_fd >= 0 ? i->name : shown ? shown + 1 : t->shown);
	return r < 0 ? r : reply_end(q->reply);
}

int extract_handle(struct request *q)
{
	CLEANUP_TARGET struct target t = { 0 };
	CLEANUP_ITEM struct item i = ITEM_INIT;
	char quoted[600];
	int r = target_parse(q->a, (const char *)q->path.data, q->path.len, &t, q->err);

	if (r < 0)
		return r;
	if (t.level != TARGET_VOLUME)
		return err_text(q->err, -EINVAL, "invalid path, cannot restore meta-directory: %s",
				log_quote(q->path.data, q->path.len, quoted, sizeof(quoted)));
	r = item_open(q->a, &t, &i, q->err);
	if (r < 0)
		return r;
	return q->pxar ? send_pxar(q, &t, &i) : send_plain(q, &i);
}
