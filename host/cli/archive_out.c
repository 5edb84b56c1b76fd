/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/cli/archive_out.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/log.h"
#include "common/spool.h"
#include "host/cli/archive.h"
#include "host/restore/restore.h"

#define COPY_BLOCK ((size_t)256 << 10)

struct out {
	const struct archive_out *how;
	struct target *target;
	struct archive_stream *stream;
	struct restore_report report;
	struct cli_notes notes;
	uint64_t bytes, damaged;	/* read; members that are not whole */
	struct err first;		/* what the first of them is */
	int dir;
	bool target_failed;
	const volatile sig_atomic_t *stop;
};

/* A tree_note_fn. */
static void on_damage(void *arg, const char *path, size_t path_len, int code, const char *what)
{
	struct out *o = arg;
	char q[600];

	if (!o->damaged++)
		(void)err_text(&o->first, code < 0 ? code : -EBADMSG, "'%s': %s", log_quote(path, path_len, q, sizeof(q)), what);
	if (o->how->keep_going)
		cli_note(&o->notes, path, path_len, "%s", what);
}

static void on_note(void *arg, const char *path, size_t path_len, int code, const char *what)
{
	struct out *o = arg;

	/* Damage is told already, and nobody minds what is left out when all ends. */
	if (code == -EPIPE || (o->stop && *o->stop) || (o->damaged && !o->how->keep_going))
		return;
	cli_note(&o->notes, path, path_len, "%s%s%s", what, code ? ": " : "", code ? strerror(abs(code)) : "");
}

/* A restore_read_fn. */
static ssize_t read_stream(void *arg, void *p, size_t n, struct err *err)
{
	struct out *o = arg;
	const ssize_t got = archive_stream_read(o->stream, p, n, err);

	if (o->damaged && !o->how->keep_going) {
		if (err)
			*err = o->first;
		return -EBADMSG;
	}
	if (got > 0) {
		o->bytes += (uint64_t)got;
		cli_progress("%" PRIu64 " entries, %.1f MiB", o->report.files + o->report.dirs + o->report.others,
			     (double)o->bytes / (1 << 20));
	}
	return got;
}

static int to_target(struct out *o, bool tar, struct err *err)
{
	const struct restore_sink sink = { .note = on_note, .arg = o };
	const struct restore_options opt = {
		.overwrite = o->how->overwrite ? RESTORE_OVERWRITE_ALWAYS : RESTORE_OVERWRITE_NEVER,
		.devices = tar || o->how->devices, .keep_partial = o->how->keep_going, .skip_root = tar, .abort = o->stop,
	};
	struct restore_target *to = NULL;
	int r = tar ? restore_tar_new(STDOUT_FILENO, &to, err) : restore_dir_new(o->dir, &to, err);

	if (r == 0)
		r = restore_stream(to, &opt, PXAR_DEC_EXT, read_stream, o, &sink, &o->report, err);
	if (r == 0)
		r = restore_finish(to, err);
	restore_free(to);
	return r;
}

static int to_pxar(struct out *o, struct err *err)
{
	CLEANUP_FREE char *block = malloc(COPY_BLOCK);
	ssize_t n;
	int r;

	if (!block)
		return err_set(err, -ENOMEM, "restore");
	while ((n = read_stream(o, block, COPY_BLOCK, err)) > 0) {
		r = *o->stop ? -EINTR : io_write_full(STDOUT_FILENO, block, (size_t)n);
		if (r < 0) {
			o->target_failed = r != -EINTR;
			return err_set(err, r, "write to standard output");
		}
	}
	return (int)n;
}

static int open_dir(struct out *o, struct err *err)
{
	const char *where = o->how->where;
	int r = 0;

	if (mkdir(where, 0700) < 0 && errno != EEXIST)
		r = err_set(err, -errno, "create '%s'", where);
	else if ((o->dir = open(where, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		r = err_set(err, -errno, "open '%s'", where);
	else if (faccessat(o->dir, ".", W_OK | X_OK, AT_EACCESS) < 0)
		r = err_set(err, -errno, "write to '%s'", where);
	o->target_failed = r < 0;
	o->target->out_dir = &o->dir;
	return r;
}

static int restore(struct out *o, const char *stored, struct err *err)
{
	const bool stream = !strcmp(o->how->where, "-");
	const bool pxar = stream && o->how->format && !strcasecmp(o->how->format, "pxar");
	int r;

	if (!stream && o->how->format)
		return err_text(err, -EINVAL, "--format is for standard output: give - as TARGET");
	r = archive_stream_open(o->target->snapshot, stored, "", 0, pxar ? ARCHIVE_PXAR : ARCHIVE_RESTORE, on_damage, o,
				&o->stream, err);
	if (r == 0 && !stream)
		r = open_dir(o, err);
	o->stop = cli_signals_defer(-1);
	spool_prepare();
	if (r == 0)
		r = target_confine(o->target, err);
	if (r < 0)
		return r;
	return pxar ? to_pxar(o, err) : to_target(o, stream, err);
}

static int verdict(struct out *o, int r, const struct err *err)
{
	const struct restore_report *rep = &o->report;
	const int cut = cli_cut_short(o->stop, r);

	if (cut >= 0)
		return cut;
	cli_notes_end(&o->notes);
	if (r < 0) {
		const int status = cli_fail(err, r);

		return o->target_failed ? EXIT_TARGET : status;
	}
	if (rep->left_out || rep->incomplete)
		cli_error("%" PRIu64 " left out, %" PRIu64 " incomplete", rep->left_out, rep->incomplete);
	if (!o->how->quiet && o->dir >= 0)
		(void)fprintf(stderr, "%" PRIu64 " files, %" PRIu64 " directories, %" PRIu64 " others, %" PRIu64 " bytes\n",
			      rep->files, rep->dirs, rep->others, rep->bytes);
	if (o->damaged)
		return EXIT_DAMAGED;
	return rep->left_out || rep->incomplete || rep->meta_failed ? EXIT_PARTIAL : EXIT_OK;
}

int archive_out(struct target *t, const char *stored, const struct archive_out *how)
{
	struct out o = { .how = how, .target = t, .dir = -1 };
	struct err err = ERR_INIT;
	int r = restore(&o, stored, &err);

	r = verdict(&o, r, &err);
	archive_stream_close(o.stream);
	t->out_dir = NULL;
	if (o.dir >= 0)
		(void)close(o.dir);
	return r;
}
