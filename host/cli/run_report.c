/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/cli/run_report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "host/cli/versions.h"

#define FLUSH_AT ((size_t)64 << 10)

static void flush(struct run_report *r)
{
	int e = buf_ok(&r->out);

	if (e == 0 && r->out.len)
		e = io_write_full(r->fd, r->out.data, r->out.len);
	if (e < 0 && r->error == 0)
		r->error = e;
	buf_reset(&r->out);
}

static void put_time(struct jsonw *w, const char *key, const struct timespec *at)
{
	char text[64] = "";
	struct tm tm;

	if (gmtime_r(&at->tv_sec, &tm))
		(void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	jsonw_key_string(w, key, text);
}

static void put_versions(struct jsonw *w)
{
	CLEANUP_BUF struct buf kernel = BUF_INIT, qemu = BUF_INIT;

	version_kernel(&kernel);
	version_qemu(&qemu);
	jsonw_key(w, "versions");
	jsonw_object_begin(w);
	jsonw_key_string(w, "pluck", PLUCK_VERSION);
	if (kernel.len)
		jsonw_key_bytes(w, "kernel", kernel.data, kernel.len);
	if (qemu.len)
		jsonw_key_bytes(w, "qemu", qemu.data, qemu.len);
	jsonw_object_end(w);
}

static void put_head(struct run_report *r)
{
	r->w = JSONW(&r->out);
	jsonw_object_begin(&r->w);
	jsonw_key_string(&r->w, "format", "pluck-report-1");
	jsonw_key_string(&r->w, "command", "extract");
	put_versions(&r->w);
	put_time(&r->w, "begun", &r->begun);
}

int run_report_open(struct run_report *r, const char *path, struct err *err)
{
	*r = (struct run_report){ .fd = -1 };
	(void)clock_gettime(CLOCK_REALTIME, &r->begun);
	if (!path)
		return 0;
	r->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
	if (r->fd < 0)
		return err_set(err, -errno, "report '%s'", path);
	put_head(r);	/* now, while QEMU can still be asked for its version */
	return 0;
}

void run_report_begin(struct run_report *r, const struct target *t, const char *plain, const struct target_path *path,
		      size_t nr_paths, const char *where, bool has_files, bool dry_run)
{
	struct jsonw *w = &r->w;

	if (r->fd < 0)
		return;
	if (dry_run)
		jsonw_key_bool(w, "dry-run", true);
	if (t->spec.repository) {
		jsonw_key_string(w, "repository", t->spec.repository);
		jsonw_key_string(w, "namespace", t->spec.ns);
		jsonw_key_string(w, "snapshot", t->spec.snapshot);
	}
	if (plain)
		jsonw_key_bytes(w, "archive", plain, strlen(plain));
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
	r->has_files = has_files;
	if (has_files) {
		jsonw_key(w, "files");
		jsonw_array_begin(w);
	}
	r->problems.limit = RUN_REPORT_PROBLEM_BYTES;
	r->pw = JSONW(&r->problems);
	r->nw = JSONW(&r->notes);
}

void run_report_file(struct run_report *r, const char *path, size_t len, uint64_t size,
		     const uint8_t sha256[static 32])
{
	char hex[65];

	if (r->fd < 0 || !r->has_files)
		return;
	for (size_t i = 0; i < 32; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", sha256[i]);
	jsonw_object_begin(&r->w);
	jsonw_key_b64(&r->w, "path", path, len);
	jsonw_key_bytes(&r->w, "text", path, len);
	jsonw_key_u64(&r->w, "size", size);
	jsonw_key_string(&r->w, "sha256", hex);
	jsonw_object_end(&r->w);
	if (r->out.len >= FLUSH_AT)
		flush(r);
}

void run_report_problem(struct run_report *r, const char *path, size_t len, int code, const char *what)
{
	struct jsonw *w = &r->pw;

	if (r->fd < 0 || !w->out || r->nr++ >= RUN_REPORT_PROBLEMS_MAX || r->problems.len + 8 * len + 1024 > r->problems.limit)
		return;
	r->nr_told++;
	jsonw_object_begin(w);
	jsonw_key_b64(w, "path", path, len);
	jsonw_key_bytes(w, "text", path, len);
	if (code)
		jsonw_key_string(w, "error", err_name(code));
	jsonw_key_string(w, "what", what);
	jsonw_object_end(w);
}

void run_report_totals(struct jsonw *w, const struct restore_report *sum)
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

void run_report_note(struct run_report *r, const char *volume, size_t len, const char *note)
{
	if (r->fd < 0 || !r->nw.out)
		return;
	jsonw_object_begin(&r->nw);
	jsonw_key_b64(&r->nw, "volume", volume, len);
	jsonw_key_bytes(&r->nw, "text", volume, len);
	jsonw_key_bytes(&r->nw, "note", note, strlen(note));
	jsonw_object_end(&r->nw);
}

int run_report_end(struct run_report *r, const struct restore_report *sum, int status, const struct err *err)
{
	struct jsonw *w = &r->w;
	struct timespec now;

	if (r->fd < 0) {
		free(r->unreadable);
		return status;
	}
	if (r->has_files)
		jsonw_array_end(w);
	jsonw_key(w, "problems");
	jsonw_array_begin(w);
	if (r->problems.len)
		buf_add(&r->out, r->problems.data, r->problems.len);
	jsonw_array_end(w);
	jsonw_key_u64(w, "problems-total", r->nr);
	if (r->notes.len) {
		jsonw_key(w, "notes");
		jsonw_array_begin(w);
		buf_add(&r->out, r->notes.data, r->notes.len);
		jsonw_array_end(w);
	}
	if (r->unreadable) {
		jsonw_key(w, "unreadable");
		jsonw_raw(w, r->unreadable);
		free(r->unreadable);
	}
	run_report_totals(w, sum);
	if (err->code)
		jsonw_key_string(w, "error", err->text);
	(void)clock_gettime(CLOCK_REALTIME, &now);
	put_time(w, "ended", &now);
	jsonw_key_i64(w, "exit-status", status);
	jsonw_object_end(w);
	buf_u8(&r->out, '\n');
	flush(r);
	if (close(r->fd) < 0 && r->error == 0)
		r->error = -errno;
	r->fd = -1;
	buf_free(&r->out);
	buf_free(&r->problems);
	buf_free(&r->notes);
	if (r->error == 0)
		return status;
	cli_error("the report could not be written: %s", strerror(-r->error));
	return status == EXIT_OK ? EXIT_TARGET : status;
}
