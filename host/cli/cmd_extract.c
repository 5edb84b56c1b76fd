/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "host/cli/archive.h"
#include "host/cli/run_report.h"
#include "host/cli/target.h"
#include "host/cli/zout.h"
#include "host/restore/restore.h"

#define PATHS_MAX (64u << 20)	/* bytes of --paths-from */
#define COPY_BLOCK (256u << 10)

enum form { FORM_DIR, FORM_PLAIN, FORM_TAR, FORM_PXAR, FORM_ZIP };

struct extract {
	const struct args *args;
	struct target target;
	struct target_path *path;
	size_t nr_paths, room;
	bool has_image;			/* among them: a VM is needed */
	const char *where;		/* TARGET */
	enum form form;
	int out;			/* directory, or stream */
	struct restore_tar *tar;
	struct restore_zip *zip;
	struct restore_options opt;
	struct restore_report sum, report;	/* of the streams that are done; of the one being read */
	struct cli_notes notes;
	struct run_report machine;	/* --report */
	struct client *client;		/* of the stream being read */
	struct archive_stream *archive;	/* the same of a file archive */
	uint64_t damaged;		/* members of file archives that are not whole */
	bool ended;			/* its end and its good totals were seen */
	uint64_t bytes, errors;
	int target_error;		/* writing failed: not the VM's fault */
	struct timespec start;
	const volatile sig_atomic_t *stop;
};

static void show_progress(struct extract *x)
{
	const struct restore_report *now_done = &x->report, *before = &x->sum;
	uint64_t entries = before->files + before->dirs + before->others + now_done->files + now_done->dirs + now_done->others;
	struct timespec now;
	double s;

	if (clock_gettime(CLOCK_MONOTONIC, &now) < 0)
		return;
	s = (double)(now.tv_sec - x->start.tv_sec) + (double)(now.tv_nsec - x->start.tv_nsec) / 1e9;
	cli_progress("%" PRIu64 " entries, %.1f MiB, %.1f MiB/s", entries, (double)x->bytes / (1 << 20),
		     s > 0 ? (double)x->bytes / (1 << 20) / s : 0.0);
}

/* A restore_read_fn. */
static ssize_t read_stream(void *arg, void *p, size_t n, struct err *err)
{
	struct extract *x = arg;
	ssize_t got;

	if (x->ended)
		return 0;
	got = x->archive ? archive_stream_read(x->archive, p, n, err) : client_read(x->client, p, n, err);
	if (got > 0) {
		x->bytes += (uint64_t)got;
		show_progress(x);
	} else if (got == 0) {
		x->ended = true;
		x->errors += x->archive ? 0 : client_last_totals(x->client)->errors;
	}
	return got;
}

/* Whoever parsed the stream may have stopped at the archive's end: the totals come behind it. */
static int read_to_end(struct extract *x, struct err *err)
{
	char extra[4096];
	ssize_t n = read_stream(x, extra, sizeof(extra), err);

	if (n > 0)
		return err_text(err, -EBADMSG, "there are bytes behind the end of the archive");
	return (int)n;
}

static void on_note(void *arg, const char *path, size_t path_len, int code, const char *what)
{
	struct extract *x = arg;

	/* The reader of our output went away, or we are to end: no fault of the entry. */
	if (code == -EPIPE || (x->stop && *x->stop))
		return;
	run_report_problem(&x->machine, path, path_len, code > 0 ? -code : code, what);
	if (code)
		cli_note(&x->notes, path, path_len, "%s: %s", what, strerror(code < 0 ? -code : code));
	else
		cli_note(&x->notes, path, path_len, "%s", what);
}

static void add_report(struct restore_report *sum, const struct restore_report *r)
{
	sum->files += r->files;
	sum->dirs += r->dirs;
	sum->others += r->others;
	sum->bytes += r->bytes;
	sum->left_out += r->left_out;
	sum->incomplete += r->incomplete;
	sum->meta_failed += r->meta_failed;
}

static int copy_stream(struct extract *x, struct err *err)
{
	CLEANUP_FREE char *block = malloc(COPY_BLOCK);
	ssize_t n;
	int r;

	if (!block)
		return err_set(err, -ENOMEM, "extract");
	while ((n = read_stream(x, block, COPY_BLOCK, err)) > 0) {
		r = io_write_full(x->out, block, (size_t)n);
		if (r < 0) {
			x->target_error = r;
			return err_set(err, r, "write to standard output");
		}
		x->sum.bytes += (uint64_t)n;
	}
	return (int)n;
}

static int restore_stream(struct extract *x, struct err *err)
{
	const struct restore_sink sink = { .note = on_note, .arg = x };
	int r;

	if (x->form == FORM_TAR)
		r = restore_to_tar(x->tar, &x->opt, PXAR_DEC_EXT, read_stream, x, &sink, &x->report, err);
	else if (x->form == FORM_ZIP)
		r = restore_to_zip(x->zip, &x->opt, PXAR_DEC_EXT, read_stream, x, &sink, &x->report, err);
	else
		r = restore_to_dir(x->out, &x->opt, PXAR_DEC_EXT, read_stream, x, &sink, &x->report, err);
	add_report(&x->sum, &x->report);
	x->report = (struct restore_report){ 0 };
	return r < 0 ? r : read_to_end(x, err);
}

/* A tree_note_fn. */
static void on_damage(void *arg, const char *path, size_t path_len, int code, const char *what)
{
	struct extract *x = arg;

	x->damaged++;
	run_report_problem(&x->machine, path, path_len, code > 0 ? -code : code, what);
	cli_note(&x->notes, path, path_len, "%s", what);
}

static int stat_path(struct extract *x, const struct target_path *p, json_t **ret, struct err *err)
{
	struct client *c = NULL;
	const char *inner;
	size_t len;
	int r;

	if (p->archive) {
		inner = target_inner(p, &len);
		return archive_stat(x->target.snapshot, p->archive, inner, len, ret, err);
	}
	r = target_connect(&x->target, &c, NULL, err);
	if (r == 0)
		r = client_stat(c, p->bytes.data, p->bytes.len, ret, err);
	client_free(c);
	return r;
}

/* A file goes to standard output as it is, anything else as tar. */
static int choose_form(struct extract *x, const struct target_path *p, struct err *err)
{
	json_t *o = NULL;
	const char *type;
	int r = stat_path(x, p, &o, err);

	if (r < 0)
		return r;
	type = json_string_value(json_object_get(o, "type"));
	x->form = type && (*type == 'f' || *type == 'h') ? FORM_PLAIN : FORM_TAR;
	json_decref(o);
	return 0;
}

/* The contents of one file of the archive or disk that @p leads into. */
static int open_plain(struct extract *x, const struct target_path *p, const struct buf *path, struct err *err)
{
	static const struct client_extract how = { .format = "plain" };
	size_t skip = p->archive_len + 1;
	int r;

	x->ended = false;
	if (p->archive)
		return archive_stream_open(x->target.snapshot, p->archive, (const char *)path->data + skip, path->len - skip,
					   ARCHIVE_PLAIN, on_damage, x, &x->archive, err);
	r = target_connect(&x->target, &x->client, NULL, err);
	return r < 0 ? r : client_extract_begin(x->client, path->data, path->len, &how, err);
}

/* Hard links are files of their own in a zip. Their targets are named from the root of the stream. */
static int zip_links(struct extract *x, const struct target_path *p, bool container, struct err *err)
{
	const char *slash = memrchr(p->bytes.data, '/', p->bytes.len), *target;
	size_t base = container && slash ? (size_t)((const uint8_t *)slash - p->bytes.data) : p->bytes.len;
	int r = 0;

	while (r == 0 && x->zip && (target = restore_zip_link(x->zip))) {
		CLEANUP_BUF struct buf path = BUF_INIT;

		buf_add(&path, p->bytes.data, base);
		buf_u8(&path, '/');
		buf_str(&path, target);
		r = buf_ok(&path) < 0 ? err_set(err, buf_ok(&path), "path") : open_plain(x, p, &path, err);
		if (r == 0)
			r = restore_zip_link_data(x->zip, read_stream, x, &x->sum, err);
		archive_stream_close(x->archive);
		x->archive = NULL;
		client_free(x->client);
		x->client = NULL;
	}
	return r;
}

/* The whole archive gives the target directory its metadata; the root of anything else is a mere container. */
static int extract_archive(struct extract *x, const struct target_path *p, struct err *err)
{
	const enum archive_form form = x->form == FORM_PLAIN ? ARCHIVE_PLAIN :
				       x->form == FORM_PXAR ? ARCHIVE_PXAR : ARCHIVE_RESTORE;
	size_t len;
	const char *inner = target_inner(p, &len);
	bool container;
	int r;

	/* A session for another path can be started only before. */
	r = x->has_image ? 0 : target_confine(&x->target, err);
	if (r < 0)
		return r;
	r = archive_stream_open(x->target.snapshot, p->archive, inner, len, form, on_damage, x, &x->archive, err);
	if (r < 0)
		return r;
	x->ended = false;
	x->opt.skip_root = x->form == FORM_TAR || x->form == FORM_ZIP || archive_stream_is_container(x->archive);
	if (x->form == FORM_DIR)
		x->opt.abort = x->stop = cli_signals_defer(-1);
	r = x->form == FORM_PLAIN || x->form == FORM_PXAR ? copy_stream(x, err) : restore_stream(x, err);
	x->opt.skip_root = true;
	container = archive_stream_is_container(x->archive);
	archive_stream_close(x->archive);
	x->archive = NULL;
	return r < 0 ? r : zip_links(x, p, container, err);
}

static int extract_one(struct extract *x, const struct target_path *p, struct err *err)
{
	const struct client_extract how = {
		.format = x->form == FORM_PLAIN ? "plain" : "pxar", .ext = x->form != FORM_PLAIN && x->form != FORM_PXAR,
	};
	int fd, r;

	if (p->root)
		return err_text(err, -EINVAL, "'/' cannot be extracted: name an archive and what is in it");
	if (p->archive)
		return extract_archive(x, p, err);
	r = target_connect(&x->target, &x->client, &fd, err);
	if (r < 0)
		return r;
	x->ended = false;
	if (x->form == FORM_DIR)
		x->opt.abort = x->stop = cli_signals_defer(fd);
	r = client_extract_begin(x->client, p->bytes.data, p->bytes.len, &how, err);
	if (r == 0)
		r = x->form == FORM_PLAIN || x->form == FORM_PXAR ? copy_stream(x, err) : restore_stream(x, err);
	if (r == 0 && !x->ended)
		r = err_text(err, -EPROTO, "the stream ended without its totals");
	if (x->form == FORM_DIR)
		(void)cli_signals_defer(-1);
	client_free(x->client);
	x->client = NULL;
	return r < 0 ? r : zip_links(x, p, true, err);
}

static int add_path(struct extract *x, const char *text, size_t len, struct err *err)
{
	if (x->nr_paths == x->room) {
		size_t room = x->room ? x->room * 2 : 16;
		struct target_path *p = reallocarray(x->path, room, sizeof(*p));

		if (!p)
			return err_set(err, -ENOMEM, "paths");
		x->path = p;
		x->room = room;
	}
	int r = target_path(&x->target, text, len, args_flag(x->args, "base64"), &x->path[x->nr_paths], err);

	if (r == 0)
		x->has_image |= !x->path[x->nr_paths++].archive;
	return r;
}

static int add_paths_from(struct extract *x, const char *file, struct err *err)
{
	char end = args_flag(x->args, "null") ? 0 : '\n';
	CLEANUP_FREE char *text = NULL;
	const char *p, *stop;
	size_t len;
	int r;

	r = io_read_file(AT_FDCWD, strcmp(file, "-") ? file : "/dev/stdin", PATHS_MAX, &text, &len);
	if (r < 0)
		return err_set(err, r, "list of paths");
	for (p = text, stop = text + len; r == 0 && p < stop;) {
		const char *e = memchr(p, end, (size_t)(stop - p));

		e = e ? e : stop;
		if (e > p)
			r = add_path(x, p, (size_t)(e - p), err);
		p = e + 1;
	}
	return r;
}

static int find_paths(struct extract *x, size_t *pos, struct err *err)
{
	const struct args *a = x->args;
	const char *p, *from = args_text(a, "paths-from");
	int r = 0;

	for (size_t i = 0; r == 0 && (p = args_list(a, "path", i)); i++)
		r = add_path(x, p, strlen(p), err);
	if (r == 0 && from)
		r = add_paths_from(x, from, err);
	if (r < 0)
		return r;
	if (!from && !args_has(a, "path")) {
		if (*pos >= a->nr_pos)
			return err_text(err, -EINVAL, "PATH is missing");
		r = add_path(x, a->pos[*pos], strlen(a->pos[*pos]), err);
		(*pos)++;
	}
	return r;
}

/* What the options mean together. */
static int find_form(struct extract *x, struct err *err)
{
	static const char *const names[] = { "", "plain", "tar", "pxar", "zip" };
	const char *format = args_text(x->args, "format");
	bool to_stdout = !strcmp(x->where, "-");

	if (!to_stdout && (format || args_flag(x->args, "zstd")))
		return err_text(err, -EINVAL, "--format and --zstd are for standard output: give - as TARGET");
	for (size_t i = 1; format && i < sizeof(names) / sizeof(*names); i++)
		if (!strcasecmp(format, names[i]))
			x->form = (enum form)i;
	if (!to_stdout)
		return 0;
	if (x->nr_paths > 1 && format && x->form != FORM_TAR && x->form != FORM_ZIP)
		return err_text(err, -EINVAL, "several paths go into a directory, a tar or a zip");
	if (format)
		return 0;
	x->form = FORM_TAR;
	return x->nr_paths == 1 && !x->path[0].root ? choose_form(x, &x->path[0], err) : 0;
}

/* With all directories above it that are missing. */
static int make_dirs(const char *path)
{
	CLEANUP_FREE char *copy = strdup(path);

	if (!copy)
		return -ENOMEM;
	for (char *p = copy + 1; *copy && (p = strchr(p, '/')); *p++ = '/') {
		*p = 0;
		if (mkdir(copy, 0700) < 0 && errno != EEXIST && errno != EROFS)
			return -errno;
	}
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

static int open_dir(struct extract *x, struct err *err)
{
	int r = make_dirs(x->where);

	if (r < 0) {
		x->target_error = r;
		return err_set(err, r, "create '%s'", x->where);
	}
	x->out = open(x->where, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (x->out < 0 || faccessat(x->out, ".", W_OK | X_OK, AT_EACCESS) < 0) {
		x->target_error = -errno;
		return err_set(err, -errno, "write to '%s'", x->where);
	}
	return 0;
}

static int extract_all(struct extract *x, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < x->nr_paths; i++)
		r = extract_one(x, &x->path[i], err);
	return r;
}

static int extract_to_dir(struct extract *x, struct err *err)
{
	int r = open_dir(x, err);

	if (r < 0)
		return r;
	x->target.out_dir = &x->out;
	r = extract_all(x, err);
	(void)close(x->out);
	return r;
}

static int extract_to_stream(struct extract *x, struct err *err)
{
	struct zout *z;
	int r, done;

	r = zout_open(STDOUT_FILENO, args_flag(x->args, "zstd"), &z, &x->out, err);
	if (r == 0 && x->form == FORM_TAR)
		r = restore_tar_new(x->out, &x->tar, err);
	else if (r == 0 && x->form == FORM_ZIP)
		r = restore_zip_new(x->out, &x->zip, err);
	else if (r < 0)
		return r;
	if (r == 0)
		r = extract_all(x, err);
	if (r == 0 && x->tar)
		r = restore_tar_finish(x->tar, err);
	if (r == 0 && x->zip)
		r = restore_zip_finish(x->zip, err);
	restore_tar_free(x->tar);
	restore_zip_free(x->zip);
	done = zout_close(z, r == 0, r == 0 || r == -EPIPE ? err : NULL);
	if (done < 0) {
		x->target_error = done;
		return done;
	}
	return r;
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
	if (!quiet && x->form == FORM_DIR)
		(void)fprintf(stderr, "%" PRIu64 " file%s, %" PRIu64 " director%s, %" PRIu64 " other%s, %" PRIu64 " byte%s\n",
			      s->files, s_of(s->files), s->dirs, s->dirs == 1 ? "y" : "ies", s->others, s_of(s->others), s->bytes,
			      s_of(s->bytes));
}

/* Of a finished or failed extraction; only what the stream's totals confirmed may be 0. */
static int verdict(struct extract *x, int r, struct err *err)
{
	const struct restore_report *s = &x->sum;
	int damage;

	cli_progress_end();
	if (x->stop && *x->stop) {
		cli_error("interrupted");
		return 128 + *x->stop;
	}
	if (r == -EPIPE)
		return EXIT_PARTIAL;
	report(x, args_flag(x->args, "quiet") || r < 0);
	damage = x->damaged != 0;
	if (x->target.nr_disks && (r < 0 || s->incomplete || x->errors))
		damage += target_report_damage(&x->target);
	if (r < 0) {
		int status = cli_fail(err, r);

		return x->target_error ? EXIT_TARGET : damage && status == EXIT_PARTIAL ? EXIT_DAMAGED : status;
	}
	if (damage)
		return EXIT_DAMAGED;
	return s->left_out || s->incomplete || s->meta_failed || x->errors ? EXIT_PARTIAL : EXIT_OK;
}

static int prepare(struct extract *x, struct err *err)
{
	const struct args *a = x->args;
	size_t pos = 0;
	int r = target_parse(a, &pos, &x->target, err);

	if (r == 0)
		r = target_open(&x->target, err);
	if (r == 0)
		r = find_paths(x, &pos, err);
	if (r < 0)
		return r;
	x->where = pos < a->nr_pos ? a->pos[pos++] : ".";
	if (pos < a->nr_pos)
		return err_text(err, -EINVAL, "too many arguments");
	return find_form(x, err);
}

static int run_extract(const struct args *a)
{
	const char *over = args_text(a, "overwrite");
	struct extract x = {
		.args = a,
		.opt = { .devices = args_flag(a, "devices"), .keep_partial = args_flag(a, "keep-partial"),
			 .skip_special = args_flag(a, "skip-special"), .skip_root = true },
	};
	struct err err = ERR_INIT;
	int r;

	if (over && !strcasecmp(over, "always"))
		x.opt.overwrite = RESTORE_OVERWRITE_ALWAYS;
	else if (over && !strcasecmp(over, "if-newer"))
		x.opt.overwrite = RESTORE_OVERWRITE_IF_NEWER;
	cli_progress_init(args_flag(a, "quiet"));
	(void)clock_gettime(CLOCK_MONOTONIC, &x.start);
	r = run_report_open(&x.machine, args_text(a, "report"), &err);
	if (r < 0) {
		(void)cli_fail(&err, r);
		return EXIT_TARGET;
	}
	r = prepare(&x, &err);
	if (r == 0) {
		run_report_begin(&x.machine, &x.target, x.path, x.nr_paths, x.where);
		r = x.form == FORM_DIR ? extract_to_dir(&x, &err) : extract_to_stream(&x, &err);
		r = verdict(&x, r, &err);
	} else {
		r = cli_fail(&err, r);
	}
	r = run_report_end(&x.machine, &x.sum, r, &err);
	for (size_t i = 0; i < x.nr_paths; i++)
		target_path_free(&x.path[i]);
	free(x.path);
	target_free(&x.target);
	return r;
}

static const struct opt opts[] = {
	{ OPT("path", OPT_LIST, "PATH", "what to extract, in place of the argument PATH") },
	{ OPT("paths-from", OPT_TEXT, "FILE", "the same, one a line; - is standard input") },
	{ OPT("null", OPT_BOOL, NULL, "--paths-from is separated by NUL bytes"), .brief = '0' },
	{ OPT("format", OPT_TEXT, "plain|tar|zip|pxar", "of standard output (default: plain for a file, else tar)") },
	{ OPT("zstd", OPT_BOOL, NULL, "compress standard output") },
	{ OPT("overwrite", OPT_TEXT, "never|always|if-newer", "what to do with files that exist (default: never)") },
	{ OPT("devices", OPT_BOOL, NULL, "create device nodes") },
	{ OPT("skip-special", OPT_BOOL, NULL, "sockets, and in a zip devices and FIFOs, are no loss") },
	{ OPT("keep-partial", OPT_BOOL, NULL, "keep files that could not be read whole as NAME.partial") },
	{ OPT("report", OPT_TEXT, "FILE", "write what was done, and what was not, as JSON") },
	{ OPT("quiet", OPT_BOOL, NULL, "no progress, no totals") },
	OPT_END,
};

const struct command cmd_extract = {
	.name = "extract",
	.usage = "SNAPSHOT PATH [TARGET|-] | --disk FILE PATH [TARGET|-]",
	.help = "get files and directories out",
	.more = "TARGET: a directory, made if missing (default: the current one); - is standard output.",
	.opts = { target_opts, opts, target_base64_opts, target_vm_opts },
	.max_pos = 3,
	.run = run_extract,
};
