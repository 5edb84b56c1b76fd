/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pxar: archives that are plain files. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/jsonw.h"
#include "common/spool.h"
#include "host/cli/archive.h"
#include "host/cli/cli.h"
#include "host/cli/entry_out.h"
#include "host/confine/confine.h"
#include "host/restore/restore.h"

#define META_SUFFIX ".mpxar"

struct pxar {
	const struct args *args;
	struct archive_stream *stream;
	struct cli_notes notes;
	uint64_t damaged, errors;
	enum cli_format format;
	struct buf out;
	const volatile sig_atomic_t *stop;
};

/* Of "x.mpxar" the payload stream is "x.ppxar" if nothing else is said. */
static int open_archive(const struct pxar *p, struct archive_file *ret, struct err *err)
{
	const char *meta = p->args->pos[1], *payload = args_text(p->args, "payload-input");
	const size_t len = strlen(meta), suffix = strlen(META_SUFFIX);
	CLEANUP_FREE char *beside = NULL;

	if (!payload && len > suffix && !strcmp(meta + len - suffix, META_SUFFIX)) {
		beside = strdup(meta);
		if (!beside)
			return err_set(err, -ENOMEM, "archive");
		beside[len - suffix + 1] = 'p';
		payload = access(beside, F_OK) == 0 ? beside : NULL;
	}
	return archive_open_plain(meta, payload, ret, err);
}

/* Text: a path a line. */
static int on_entry(void *arg, const struct client_entry *e)
{
	struct pxar *p = arg;

	if (e->error_name) {
		p->errors++;
		p->damaged += entry_is_damaged(e);
		cli_note(&p->notes, e->path, e->path_len, "%s", e->error_text);
	}
	if (p->format == CLI_TEXT) {
		cli_escape(&p->out, e->path, e->path_len);
	} else {
		struct jsonw w = JSONW(&p->out);

		entry_write_json(&w, e, "", 0);
	}
	buf_u8(&p->out, '\n');
	return cli_out_buf(&p->out);
}

static int list(struct pxar *p, struct err *err)
{
	const char *inner = p->args->nr_pos > 2 ? p->args->pos[2] : "";
	struct archive_file f;
	int r = confine_command(-1, err);

	if (r == 0)
		r = open_archive(p, &f, err);
	if (r < 0)
		return r;
	r = archive_list_file(&f, inner, strlen(inner), true, on_entry, p, err);
	archive_close(&f);
	return r;
}

static ssize_t read_stream(void *arg, void *buf, size_t n, struct err *err)
{
	struct pxar *p = arg;

	return archive_stream_read(p->stream, buf, n, err);
}

static void on_note(void *arg, const char *path, size_t path_len, int code, const char *what)
{
	struct pxar *p = arg;

	if (p->stop && *p->stop)
		return;
	cli_note(&p->notes, path, path_len, "%s%s%s", what, code ? ": " : "", code ? strerror(abs(code)) : "");
}

static void on_damage(void *arg, const char *path, size_t path_len, int code, const char *what)
{
	struct pxar *p = arg;

	(void)code;
	p->damaged++;
	cli_note(&p->notes, path, path_len, "%s", what);
}

static int restore(struct pxar *p, int dir, struct err *err)
{
	const struct restore_sink sink = { .note = on_note, .arg = p };
	struct restore_options o = { .devices = args_flag(p->args, "devices"),
				     .skip_root = archive_stream_is_container(p->stream),
				     .container = archive_stream_is_container(p->stream),
				     .abort = p->stop };
	struct restore_report rep = { 0 };
	struct restore_target *to = NULL;
	int r;

	r = restore_dir_new(dir, &to, err);
	if (r == 0)
		r = restore_stream(to, &o, PXAR_DEC_EXT, read_stream, p, &sink, &rep, err);
	restore_free(to);
	p->errors += rep.left_out + rep.incomplete + rep.meta_failed;
	if (r == 0)
		(void)fprintf(stderr, "%" PRIu64 " files, %" PRIu64 " directories, %" PRIu64 " others, %" PRIu64 " bytes\n",
			      rep.files, rep.dirs, rep.others, rep.bytes);
	return r;
}

static int extract(struct pxar *p, struct err *err)
{
	const char *where = p->args->nr_pos > 2 ? p->args->pos[2] : ".", *inner = args_text(p->args, "path");
	CLEANUP_CLOSE int dir = -1;
	struct archive_file f;
	int r;

	if (mkdir(where, 0700) < 0 && errno != EEXIST)
		return err_set(err, -errno, "create the target directory");
	dir = open(where, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_set(err, -errno, "open the target directory");
	spool_prepare();
	r = confine_command(dir, err);
	if (r == 0)
		r = open_archive(p, &f, err);
	if (r < 0)
		return r;
	inner = inner ? inner : "";
	p->stop = cli_signals_defer(-1);
	r = archive_stream_of(&f, inner, strlen(inner), ARCHIVE_RESTORE, on_damage, p, &p->stream, err);
	if (r == 0)
		r = restore(p, dir, err);
	archive_stream_close(p->stream);
	return r;
}

static int run_pxar(const struct args *a)
{
	const bool want_list = !strcmp(a->pos[0], "list");
	struct pxar p = { .args = a };
	struct err err = ERR_INIT;
	int r, cut;

	if (!want_list && strcmp(a->pos[0], "extract"))
		return cli_usage(a->cmd, "first argument is list or extract");
	r = cli_format(a, &p.format, &err);
	if (r == 0)
		r = want_list ? list(&p, &err) : extract(&p, &err);
	cut = cli_cut_short(p.stop, r);
	if (cut < 0)
		cli_notes_end(&p.notes);
	buf_free(&p.out);
	if (cut >= 0)
		return cut;
	if (r < 0)
		return cli_fail(&err, r);
	return p.damaged ? EXIT_DAMAGED : p.errors ? EXIT_PARTIAL : EXIT_OK;
}

static const struct opt opts[] = {
	{ OPT("payload-input", OPT_TEXT, "FILE", "the payload stream (default: FILE.ppxar beside FILE.mpxar)") },
	{ OPT("path", OPT_TEXT, "PATH", "extract only this") },
	{ OPT("devices", OPT_BOOL, NULL, "create device nodes") },
	OPT_END,
};

const struct command cmd_pxar = {
	.name = "pxar",
	.usage = "list FILE [PATH] | extract FILE [TARGET]",
	.help = "list and extract archives that are plain files",
	.more = "JSON comes as one object a line.",
	.opts = { opts, cli_format_jsonl_opts },
	.min_pos = 2,
	.max_pos = 3,
	.run = run_pxar,
};
