/* SPDX-License-Identifier: GPL-2.0-or-later */
/* restore: one file of a snapshot as a whole. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "common/cleanup.h"
#include "host/archive/stream.h"
#include "host/cli/cli.h"
#include "host/cli/extract.h"
#include "host/cli/stored.h"
#include "host/cli/target.h"
#include "host/restore/bytes.h"

#define CHUNK_MAX ((size_t)16 << 20)

/* Bytes that could not be read and came out as zeros. */
struct range {
	uint64_t off, len;
	struct err why;		/* of its first chunk */
};

struct restore {
	const struct args *args;
	struct target target;
	struct buf name;		/* stored */
	const char *where;
	struct bytes_out *out;
	int dir;			/* of the file that will appear there; -1 */
	bool keep_going, target_failed;
	struct range bad;		/* the last one, not yet told */
	uint64_t nr_bad;
	struct timespec start;
	const volatile sig_atomic_t *stop;
};

CLEANUP_DEFINE(struct source *, source_close)

static const char *name_of(struct restore *x)
{
	return buf_cstr(&x->name);
}

static void show_progress(struct restore *x, uint64_t done, uint64_t size)
{
	const double mib = 1 << 20;
	struct timespec now;
	double s;

	if (clock_gettime(CLOCK_MONOTONIC, &now) < 0)
		return;
	s = (double)(now.tv_sec - x->start.tv_sec) + (double)(now.tv_nsec - x->start.tv_nsec) / 1e9;
	cli_progress("%s: %.1f of %.1f MiB (%.0f %%), %.1f MiB/s", name_of(x), (double)done / mib, (double)size / mib,
		     size ? 100.0 * (double)done / (double)size : 100.0, s > 0 ? (double)done / mib / s : 0.0);
}

static void tell_range(struct restore *x)
{
	if (x->bad.len)
		cli_error("'%s': %" PRIu64 " bytes at %" PRIu64 " are zeros: %s", name_of(x), x->bad.len, x->bad.off,
			  x->bad.why.text);
	x->bad.len = 0;
}

static void add_range(struct restore *x, uint64_t off, uint64_t len, const struct err *why)
{
	if (x->bad.len && x->bad.off + x->bad.len == off) {
		x->bad.len += len;
		return;
	}
	tell_range(x);
	x->bad = (struct range){ off, len, *why };
	x->nr_bad++;
}

static int open_out(struct restore *x, uint64_t size, struct err *err)
{
	int r = bytes_open(x->where, size, args_flag(x->args, "overwrite"), &x->out, err);

	x->target_failed = r < 0;
	if (r < 0)
		return r;
	x->stop = cli_signals_defer(-1);
	x->dir = bytes_dir(x->out);
	x->target.out_dir = x->dir < 0 ? NULL : &x->dir;
	return target_confine(&x->target, err);
}

/* Chunk @i of @c, read through @src, which reads ahead. */
static int copy_chunk(struct restore *x, struct chunks *c, struct source *src, size_t i, uint8_t *block,
		      struct err *err)
{
	const uint64_t off = chunks_start(c, i);
	const size_t len = chunks_len(c, i);
	struct err why = ERR_INIT;
	bool zero = chunks_is_zero(c, i);
	int r = zero ? 0 : source_read_at(src, block, len, off, &why);

	if (r < 0 && (!x->keep_going || (r != -EIO && r != -EBADMSG))) {
		*err = why;
		return err_ctx(err, r, "'%s'", name_of(x));
	}
	if (r < 0) {
		add_range(x, off, len, &why);
		zero = true;
	}
	r = zero ? bytes_zeros(x->out, len, err) : bytes_data(x->out, block, len, err);
	x->target_failed = r < 0;
	return r;
}

static int copy_index(struct restore *x, struct err *err)
{
	CLEANUP_FREE uint8_t *block = malloc(CHUNK_MAX);
	CLEANUP(source_closep) struct source *src = NULL;
	struct chunks *c;
	int r = block ? 0 : err_set(err, -ENOMEM, "restore");

	if (r == 0)
		r = snapshot_open_chunks(x->target.snapshot, name_of(x), &c, err);
	if (r == 0)
		r = stream_open(c, STREAM_CACHE_BYTES, &src, err);
	if (r == 0)
		r = open_out(x, src->size_bytes, err);
	for (size_t i = 0; r == 0 && i < c->nr_chunks; i++) {
		show_progress(x, chunks_start(c, i), c->size_bytes);
		r = *x->stop ? err_set(err, -EINTR, "restore") : copy_chunk(x, c, src, i, block, err);
	}
	tell_range(x);
	return r;
}

static int copy_blob(struct restore *x, struct err *err)
{
	CLEANUP_BUF struct buf text = { .limit = STORE_BLOB_MAX };
	int r = snapshot_read_blob(x->target.snapshot, name_of(x), &text, err);

	if (r < 0)
		return r;
	r = open_out(x, text.len, err);
	if (r == 0 && text.len) {
		r = bytes_data(x->out, text.data, text.len, err);
		x->target_failed = r < 0;
	}
	return r;
}

static int restore_bytes(struct restore *x, struct err *err)
{
	int r = stored_has_suffix(name_of(x), ".blob") ? copy_blob(x, err) : copy_index(x, err);

	if (r == 0) {
		r = bytes_finish(x->out, err);
		x->target_failed = r < 0;
	}
	bytes_free(x->out);
	return r;
}

static int verdict(struct restore *x, int r, const struct err *err)
{
	const int cut = cli_cut_short(x->stop, r);

	if (cut >= 0)
		return cut;
	if (r < 0) {
		const int status = cli_fail(err, r);

		return x->target_failed ? EXIT_TARGET : status;
	}
	return x->nr_bad ? EXIT_DAMAGED : EXIT_OK;
}

/* A tree, or a stream. Without --keep-going the first member that is not whole ends it. */
static int restore_archive(struct restore *x)
{
	const char *format = args_text(x->args, "format");
	struct err err = ERR_INIT;
	struct extract tree = {
		.args = x->args, .target = &x->target, .where = x->where, .start = x->start, .strict = !x->keep_going,
		.quiet = args_flag(x->args, "quiet"), .opt.devices = args_flag(x->args, "devices"), .opt.keep_partial = x->keep_going,
		.opt.overwrite = args_flag(x->args, "overwrite") ? RESTORE_OVERWRITE_ALWAYS : RESTORE_OVERWRITE_NEVER,
	};
	int r;

	if (!strcmp(x->where, "-"))
		tree.form = format && !strcasecmp(format, "pxar") ? FORM_PXAR : FORM_TAR;
	else if (format)
		return cli_usage(x->args->cmd, "--format is for standard output: give - as TARGET");
	r = extract_add_path(&tree, name_of(x), strlen(name_of(x)), &err);
	r = r < 0 ? cli_fail(&err, r) : extract_verdict(&tree, extract_run(&tree, &err), &err);
	extract_paths_free(&tree);
	return r;
}

static int restore(struct restore *x)
{
	const bool raw = args_flag(x->args, "raw");
	struct err err = ERR_INIT;
	size_t pos = 0;
	int r = target_parse(x->args, &pos, &x->target, &err);

	if (r == 0)
		r = target_open(&x->target, &err);
	if (r == 0)
		r = stored_find(x->target.snapshot, x->args->pos[1], &x->name, &err);
	if (r == 0 && !raw && stored_is_archive(name_of(x)))
		return restore_archive(x);
	if (r == 0 && args_has(x->args, "format"))
		return cli_usage(x->args->cmd, "--format is for file archives");
	if (r == 0 && !raw && stored_has_suffix(name_of(x), ".didx"))
		return cli_usage(x->args->cmd, "'%s' is no archive by itself: --raw gives its bytes", name_of(x));
	if (r == 0)
		r = restore_bytes(x, &err);
	return verdict(x, r, &err);
}

static int run(const struct args *a)
{
	struct restore x = { .args = a, .where = a->pos[2], .keep_going = args_flag(a, "keep-going") };
	int r;

	cli_progress_init(args_flag(a, "quiet"));
	(void)clock_gettime(CLOCK_MONOTONIC, &x.start);
	r = restore(&x);
	buf_free(&x.name);
	target_free(&x.target);
	return r;
}

static const struct opt opts[] = {
	{ OPT("raw", OPT_BOOL, NULL, "the decoded bytes of any stored file, archives too") },
	{ OPT("format", OPT_TEXT, "tar|pxar", "of a file archive on standard output (default: tar)") },
	{ OPT("overwrite", OPT_BOOL, NULL, "replace files that exist; write to a block device") },
	{ OPT("keep-going", OPT_BOOL, NULL, "zeros for what cannot be read, which is listed; exit status 5") },
	{ OPT("devices", OPT_BOOL, NULL, "create device nodes") },
	{ OPT("quiet", OPT_BOOL, NULL, "no progress, no totals") },
	OPT_END,
};

const struct command cmd_restore = {
	.name = "restore",
	.usage = "SNAPSHOT ARCHIVE TARGET|-",
	.help = "restore a whole disk, file archive or small file",
	.more = "A disk or small file becomes the file TARGET, which appears when it is whole; a file archive becomes a\n"
		"tree in the directory TARGET, or a tar on standard output. Without --keep-going the first damaged chunk ends it.",
	.opts = { target_store_opts, opts, target_snapshot_opts },
	.min_pos = 3,
	.max_pos = 3,
	.run = run,
};
