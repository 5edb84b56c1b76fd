/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/cli/run_report.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"

#define FLUSH_AT ((size_t)64 << 10)

int run_report_open(struct run_report *r, const char *path, struct err *err)
{
	*r = (struct run_report){ .fd = -1 };
	if (!path)
		return 0;
	r->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
	return r->fd < 0 ? err_set(err, -errno, "report '%s'", path) : 0;
}

static void flush(struct run_report *r)
{
	int e = buf_ok(&r->out);

	if (e == 0 && r->out.len)
		e = io_write_full(r->fd, r->out.data, r->out.len);
	if (e < 0 && r->error == 0)
		r->error = e;
	buf_reset(&r->out);
}

void run_report_begin(struct run_report *r, const struct target *t, const struct target_path *path, size_t nr_paths,
		      const char *where)
{
	struct jsonw *w = &r->w;

	if (r->fd < 0)
		return;
	*w = JSONW(&r->out);
	jsonw_object_begin(w);
	jsonw_key_string(w, "format", "pluck-report-1");
	jsonw_key_string(w, "command", "extract");
	if (t->spec.repository) {
		jsonw_key_string(w, "repository", t->spec.repository);
		jsonw_key_string(w, "namespace", t->spec.ns);
		jsonw_key_string(w, "snapshot", t->spec.snapshot);
	}
	jsonw_key(w, "disks");
	jsonw_array_begin(w);
	for (size_t i = 0; i < t->nr_disks; i++)
		jsonw_string(w, target_archive(t, i), strlen(target_archive(t, i)));
	jsonw_array_end(w);
	jsonw_key(w, "paths");
	jsonw_array_begin(w);
	for (size_t i = 0; i < nr_paths; i++)
		jsonw_b64(w, path[i].bytes.data, path[i].bytes.len);
	jsonw_array_end(w);
	jsonw_key_string(w, "target", where);
	jsonw_key(w, "problems");
	jsonw_array_begin(w);
}

void run_report_problem(struct run_report *r, const char *path, size_t len, int code, const char *what)
{
	struct jsonw *w = &r->w;

	if (r->fd < 0 || !w->out || r->nr++ >= RUN_REPORT_PROBLEMS_MAX)
		return;
	jsonw_object_begin(w);
	jsonw_key_b64(w, "path", path, len);
	jsonw_key_bytes(w, "text", path, len);
	if (code)
		jsonw_key_string(w, "error", err_name(code));
	jsonw_key_string(w, "what", what);
	jsonw_object_end(w);
	if (r->out.len >= FLUSH_AT)
		flush(r);
}

static void put_totals(struct jsonw *w, const struct restore_report *sum)
{
	jsonw_key(w, "totals");
	jsonw_object_begin(w);
	jsonw_key_u64(w, "files", sum->files);
	jsonw_key_u64(w, "directories", sum->dirs);
	jsonw_key_u64(w, "others", sum->others);
	jsonw_key_u64(w, "bytes", sum->bytes);
	jsonw_key_u64(w, "left-out", sum->left_out);
	jsonw_key_u64(w, "incomplete", sum->incomplete);
	jsonw_key_u64(w, "metadata-failed", sum->meta_failed);
	jsonw_object_end(w);
}

int run_report_end(struct run_report *r, const struct restore_report *sum, int status, const struct err *err)
{
	struct jsonw *w = &r->w;

	if (r->fd < 0)
		return status;
	if (!w->out) {			/* it did not even begin */
		*w = JSONW(&r->out);
		jsonw_object_begin(w);
		jsonw_key_string(w, "format", "pluck-report-1");
		jsonw_key_string(w, "command", "extract");
	} else {
		jsonw_array_end(w);
	}
	jsonw_key_u64(w, "problems-total", r->nr);
	put_totals(w, sum);
	if (err->code)
		jsonw_key_string(w, "error", err->text);
	jsonw_key_i64(w, "exit-status", status);
	jsonw_object_end(w);
	buf_u8(&r->out, '\n');
	flush(r);
	if (close(r->fd) < 0 && r->error == 0)
		r->error = -errno;
	r->fd = -1;
	buf_free(&r->out);
	if (r->error == 0)
		return status;
	cli_error("the report could not be written: %s", strerror(-r->error));
	return status == EXIT_OK ? EXIT_TARGET : status;
}
