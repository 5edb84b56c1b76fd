/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/cli/extract.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"

static double seconds_since(const struct extract *x)
{
	struct timespec now = { 0 };

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - x->start.tv_sec) + (double)(now.tv_nsec - x->start.tv_nsec) / 1e9;
}

static uint64_t entries_of(const struct restore_report *s)
{
	return s->files + s->dirs + s->others;
}

static void json_progress(const struct extract *x)
{
	CLEANUP_BUF struct buf line = BUF_INIT;
	struct jsonw w = JSONW(&line);
	const double seconds = seconds_since(x);

	jsonw_object_begin(&w);
	jsonw_key_string(&w, "type", "progress");
	jsonw_key_u64(&w, "entries", entries_of(&x->sum));
	jsonw_key_u64(&w, "bytes", x->bytes);
	jsonw_key_u64(&w, "bytes-per-second", seconds > 0 ? (uint64_t)((double)x->bytes / seconds) : 0);
	jsonw_key_u64(&w, "milliseconds", (uint64_t)(seconds * 1000));
	jsonw_object_end(&w);
	cli_json_line(&line);
}

void extract_progress(struct extract *x)
{
	double seconds;

	if (cli_progress_due())
		json_progress(x);
	if (!cli_shows_progress())
		return;
	seconds = seconds_since(x);
	cli_progress("%" PRIu64 " entries, %.1f MiB, %.1f MiB/s", entries_of(&x->sum), (double)x->bytes / (1 << 20),
		     seconds > 0 ? (double)x->bytes / (1 << 20) / seconds : 0.0);
}

void extract_result(const struct extract *x, int status)
{
	CLEANUP_BUF struct buf line = BUF_INIT;
	struct jsonw w = JSONW(&line);

	jsonw_object_begin(&w);
	jsonw_key_string(&w, "type", "result");
	run_report_totals(&w, &x->sum);
	jsonw_key_u64(&w, "milliseconds", (uint64_t)(seconds_since(x) * 1000));
	jsonw_key_i64(&w, "exit-status", status);
	jsonw_object_end(&w);
	cli_json_line(&line);
}

/* What a dry run finds: a line an entry on standard output. */
static void plan_line(const char *what, const char *path, size_t path_len, const char *end)
{
	CLEANUP_BUF struct buf line = BUF_INIT;

	buf_str(&line, what);
	cli_escape(&line, path, path_len);
	buf_str(&line, end);
	buf_u8(&line, '\n');
	(void)cli_out_buf(&line);
}

void extract_made(void *extract, const char *path, size_t path_len, const struct pxar_entry *e, bool replaced,
		  const uint8_t *sha256)
{
	struct extract *x = extract;

	if (x->dry_run)
		plan_line(replaced ? "replace " : "make ", path, path_len, e->kind == PXAR_KIND_DIR ? "/" : "");
	if (sha256)
		run_report_file(&x->machine, path, path_len, e->size, sha256);
}

void extract_note(void *extract, const char *path, size_t path_len, int code, const char *what)
{
	struct extract *x = extract;

	/* The reader of our output went away, or it is to end: no fault of the entry. */
	if (code == -EPIPE || (x->stop && *x->stop) || (x->strict && x->damaged))
		return;
	run_report_problem(&x->machine, path, path_len, code > 0 ? -code : code, what);
	if (x->dry_run) {
		CLEANUP_BUF struct buf why = BUF_INIT;

		buf_fmt(&why, ": %s%s%s", what, code ? ": " : "", code ? strerror(abs(code)) : "");
		plan_line("leave ", path, path_len, buf_cstr(&why) ? buf_cstr(&why) : "");
		return;
	}
	if (code)
		cli_note(&x->notes, path, path_len, "%s: %s", what, strerror(code < 0 ? -code : code));
	else
		cli_note(&x->notes, path, path_len, "%s", what);
}

void extract_damage_counted(void *extract, const char *path, size_t path_len, int code, const char *what)
{
	struct extract *x = extract;
	char q[600];

	if (!x->damaged++)
		(void)err_text(&x->first_damage, code < 0 ? code : -EBADMSG, "'%s': %s",
			       log_quote(path, path_len, q, sizeof(q)), what);
}

void extract_damage(void *extract, const char *path, size_t path_len, int code, const char *what)
{
	struct extract *x = extract;

	extract_damage_counted(x, path, path_len, code, what);
	run_report_problem(&x->machine, path, path_len, code > 0 ? -code : code, what);
	if (!x->strict)
		cli_note(&x->notes, path, path_len, "%s", what);
}

static const char *s_of(uint64_t nr)
{
	return nr == 1 ? "" : "s";
}

static void report(struct extract *x, bool quiet)
{
	const struct restore_report *s = &x->sum;

	cli_notes_end(&x->notes);
	if (s->meta_failed)
		cli_error("%" PRIu64 " piece%s of metadata could not be restored", s->meta_failed, s_of(s->meta_failed));
	if (s->left_out || s->incomplete)
		cli_error("%" PRIu64 " entr%s left out, %" PRIu64 " file%s incomplete", s->left_out, s->left_out == 1 ? "y" : "ies",
			  s->incomplete, s_of(s->incomplete));
	if (x->errors && !s->left_out && !s->incomplete && !s->meta_failed)
		cli_error("%" PRIu64 " entries could not be read whole in the VM", x->errors);
	if (!quiet && !cli_has_json_lines() && (x->form == FORM_DIR || x->dry_run))
		(void)fprintf(stderr, "%" PRIu64 " file%s, %" PRIu64 " director%s, %" PRIu64 " other%s, %" PRIu64 " byte%s\n",
			      s->files, s_of(s->files), s->dirs, s->dirs == 1 ? "y" : "ies", s->others, s_of(s->others), s->bytes,
			      s_of(s->bytes));
}

/* Of a finished or failed extraction; only what the stream's totals confirmed may be 0. */
int extract_verdict(struct extract *x, int r, struct err *err)
{
	const struct restore_report *s = &x->sum;
	const int cut = cli_cut_short(x->stop, r);
	int damage;

	if (cut >= 0)
		return cut;
	report(x, x->quiet || r < 0);
	damage = x->damaged != 0;
	if (x->has_image && (r < 0 || s->incomplete || x->errors))
		damage += target_report_damage(x->target, &x->machine.unreadable);
	if (r < 0) {
		int status = cli_fail(err, r);

		return x->target_error || s->target_failed ? EXIT_TARGET : damage && status == EXIT_PARTIAL ? EXIT_DAMAGED : status;
	}
	if (damage)
		return EXIT_DAMAGED;
	return s->left_out || s->incomplete || s->meta_failed || x->errors ? EXIT_PARTIAL : EXIT_OK;
}
