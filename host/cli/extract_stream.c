/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/cli/extract.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "host/cli/zout.h"
#include "host/restore/sum.h"

#define COPY_BLOCK (256u << 10)
#define SEARCH_MS 3600000	/* a walk of millions of entries of which none matches says nothing for minutes */

/* A restore_read_fn. */
static ssize_t read_stream(void *arg, void *p, size_t n, struct err *err)
{
	struct extract *x = arg;
	ssize_t got;

	if (x->ended)
		return 0;
	got = x->archive ? archive_stream_read(x->archive, p, n, err) : client_read(x->client, p, n, err);
	if (x->strict && x->damaged) {
		*err = x->first_damage;
		return err->code;
	}
	if (got > 0) {
		x->bytes += (uint64_t)got;
		extract_progress(x);
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

static int copy_stream(struct extract *x, struct err *err)
{
	CLEANUP_FREE char *block = malloc(COPY_BLOCK);
	CLEANUP(sum_free) struct sum sum = { 0 };
	const uint8_t *sha256 = NULL;
	ssize_t n;
	int r;

	r = block ? sum_new(&sum, x->opt.hash, err) : err_set(err, -ENOMEM, "extract");
	if (r < 0)
		return r;
	sum_begin(&sum);
	while ((n = read_stream(x, block, COPY_BLOCK, err)) > 0) {
		r = io_write_full(x->out, block, (size_t)n);
		if (r < 0) {
			x->target_error = r;
			return err_set(err, r, "write to standard output");
		}
		sum_add(&sum, block, (size_t)n);
		x->sum.bytes += (uint64_t)n;
	}
	r = n < 0 ? (int)n : sum_end(&sum, 0, NULL, &sha256, err);
	if (r == 0 && x->form == FORM_PLAIN) {
		const struct pxar_entry e = { .kind = PXAR_KIND_FILE, .size = x->sum.bytes };
		const char *path = (const char *)x->path[0].bytes.data, *slash = memrchr(path, '/', x->path[0].bytes.len);
		const char *name = slash ? slash + 1 : path;

		x->sum.files++;
		extract_made(x, name, x->path[0].bytes.len - (size_t)(name - path), &e, false, sha256);
	}
	return r;
}

/* The bytes as they come, or what they are turned into. */
static int take_stream(struct extract *x, struct err *err)
{
	const struct restore_sink sink = { .note = extract_note, .made = extract_made, .arg = x };
	int r;

	if (!x->to)
		return copy_stream(x, err);
	r = restore_stream(x->to, &x->opt, PXAR_DEC_EXT, read_stream, x, &sink, &x->sum, err);
	return r < 0 ? r : read_to_end(x, err);
}

static int open_archive(struct extract *x, const struct target_path *p, const char *inner, size_t len,
			enum archive_form form, struct err *err)
{
	/* The extractor tells of each member that is not whole, unless the first one ends it. */
	tree_note_fn *note = form == ARCHIVE_RESTORE && !x->strict ? extract_damage_counted : extract_damage;
	struct archive_file f;
	int r;

	if (!x->plain.meta)
		return archive_stream_open(x->target->snapshot, p->archive, inner, len, form, note, x, &x->archive, err);
	r = archive_open_plain(&x->plain, &f, err);
	if (r == 0)
		r = archive_stream_of(&f, inner, len, form, note, x, &x->archive, err);
	return r < 0 ? err_ctx(err, r, "archive '%s'", x->plain.meta) : 0;
}

/* The contents of one file of the archive or disk that @p leads into. */
static int open_plain(struct extract *x, const struct target_path *p, const struct buf *path, struct err *err)
{
	static const struct client_extract how = { .format = "plain" };
	size_t skip = p->archive_len + 1;
	int r;

	x->ended = false;
	if (p->archive)
		return open_archive(x, p, (const char *)path->data + skip, path->len - skip, ARCHIVE_PLAIN, err);
	r = target_connect(x->target, &x->client, NULL, err);
	return r < 0 ? r : client_extract_begin(x->client, path->data, path->len, &how, err);
}

/* Hard links are files of their own in a zip. Their targets are named from the root of the stream. */
static int make_links(struct extract *x, const struct target_path *p, bool container, struct err *err)
{
	const char *slash = p->bytes.len ? memrchr(p->bytes.data, '/', p->bytes.len) : NULL, *target;
	size_t base = container && slash ? (size_t)((const uint8_t *)slash - p->bytes.data) : p->bytes.len;
	const struct restore_sink sink = { .note = extract_note, .made = extract_made, .arg = x };
	int r = 0;

	while (r == 0 && x->to && (target = restore_next_link(x->to))) {
		CLEANUP_BUF struct buf path = BUF_INIT;

		buf_add(&path, p->bytes.data, base);
		buf_u8(&path, '/');
		buf_str(&path, target);
		r = buf_ok(&path) < 0 ? err_set(err, buf_ok(&path), "path") : open_plain(x, p, &path, err);
		if (r == 0)
			r = restore_link_data(x->to, &x->opt, read_stream, x, &sink, &x->sum, err);
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

	r = target_settle(x->target, x->has_image, err);
	if (r < 0)
		return r;
	r = open_archive(x, p, inner, len, form, err);
	if (r < 0)
		return r;
	archive_stream_want(x->archive, x->filter, x->dry_run);
	x->ended = false;
	x->opt.container = archive_stream_is_container(x->archive);
	x->opt.skip_root = x->form == FORM_TAR || x->form == FORM_ZIP || archive_stream_is_container(x->archive);
	if (x->form == FORM_DIR)
		x->opt.abort = x->stop = cli_signals_defer(-1);
	r = take_stream(x, err);
	x->opt.skip_root = true;
	container = archive_stream_is_container(x->archive);
	archive_stream_close(x->archive);
	x->archive = NULL;
	return r < 0 ? r : make_links(x, p, container, err);
}

static void tell_note(struct extract *x, const struct target_path *p)
{
	size_t len;
	const char *note = target_tell_note(x->client, p, &len);

	if (note)
		run_report_note(&x->machine, (const char *)p->bytes.data, len, note);
}

static int extract_one(struct extract *x, const struct target_path *p, struct err *err)
{
	const struct client_extract how = {
		.format = x->form == FORM_PLAIN ? "plain" : "pxar", .ext = x->form != FORM_PLAIN && x->form != FORM_PXAR,
		.filter = x->filter, .no_data = x->dry_run,
	};
	int fd, r;

	if (p->root)
		return err_text(err, -EINVAL, "'/' cannot be extracted: name an archive and what is in it");
	if (p->archive)
		return extract_archive(x, p, err);
	r = target_connect(x->target, &x->client, &fd, err);
	if (r < 0)
		return r;
	x->ended = false;
	x->opt.container = true;
	if (x->form == FORM_DIR)
		x->opt.abort = x->stop = cli_signals_defer(fd);
	if (x->filter)
		client_set_timeout(x->client, SEARCH_MS);
	r = client_extract_begin(x->client, p->bytes.data, p->bytes.len, &how, err);
	if (r == 0)
		tell_note(x, p);
	if (r == 0)
		r = take_stream(x, err);
	if (r == 0 && !x->ended)
		r = err_text(err, -EPROTO, "the stream ended without its totals");
	if (x->form == FORM_DIR)
		(void)cli_signals_defer(-1);
	client_free(x->client);
	x->client = NULL;
	if (r < 0 && !x->target_error)
		r = target_why(x->target, r, err);
	return r < 0 ? r : make_links(x, p, true, err);
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

/* A VM that ended costs the path it was at; into a directory, the next ones come out of a new VM. */
static int extract_all(struct extract *x, struct err *err)
{
	struct err first = ERR_INIT;
	int r = 0;

	for (size_t i = 0; r == 0 && i < x->nr_paths; i++) {
		r = extract_one(x, &x->path[i], err);
		if (r != -EHOSTDOWN || x->form != FORM_DIR || i + 1 == x->nr_paths)
			continue;
		if (first.code)
			cli_error("%s", err->text);
		else
			first = *err;
		r = 0;
	}
	if (r == 0 && first.code) {
		*err = first;
		r = first.code;
	}
	return r;
}

/* Nothing is made, not even the target directory. */
static int extract_plan(struct extract *x, struct err *err)
{
	const enum restore_form form = x->form == FORM_DIR ? RESTORE_DIR : x->form == FORM_TAR ? RESTORE_TAR : RESTORE_ZIP;
	int r = 0;

	x->out = -1;
	if (form == RESTORE_DIR)
		x->out = open(x->where, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (form == RESTORE_DIR && x->out < 0 && errno != ENOENT) {
		x->target_error = -errno;
		return err_set(err, -errno, "write to '%s'", x->where);
	}
	r = restore_plan_new(form, x->out, &x->to, err);
	if (r == 0)
		r = extract_all(x, err);
	restore_free(x->to);
	if (x->out >= 0)
		(void)close(x->out);
	return r;
}

static int extract_to_dir(struct extract *x, struct err *err)
{
	int r = open_dir(x, err);

	if (r < 0)
		return r;
	x->target->out_dir = &x->out;
	r = restore_dir_new(x->out, &x->to, err);
	if (r == 0)
		r = extract_all(x, err);
	restore_free(x->to);
	(void)close(x->out);
	return r;
}

static int extract_to_stream(struct extract *x, struct err *err)
{
	struct zout *z;
	int r, done;

	r = zout_open(STDOUT_FILENO, x->zstd, &z, &x->out, err);
	if (r < 0)
		return r;
	if (x->form == FORM_TAR)
		r = restore_tar_new(x->out, &x->to, err);
	else if (x->form == FORM_ZIP)
		r = restore_zip_new(x->out, &x->to, err);
	if (r == 0)
		r = extract_all(x, err);
	if (r == 0 && x->to)
		r = restore_finish(x->to, err);
	restore_free(x->to);
	done = zout_close(z, r == 0, r == 0 || r == -EPIPE ? err : NULL);
	if (done < 0) {
		x->target_error = done;
		return done;
	}
	return r;
}

int extract_run(struct extract *x, struct err *err)
{
	if (x->dry_run)
		return extract_plan(x, err);
	return x->form == FORM_DIR ? extract_to_dir(x, err) : extract_to_stream(x, err);
}
