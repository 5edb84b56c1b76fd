/* SPDX-License-Identifier: GPL-2.0-or-later */
/* diff: two snapshots of a file archive, or of a disk image. */
#include <errno.h>
#include <string.h>

#include "common/cleanup.h"
#include "host/archive/diff.h"
#include "host/archive/stream.h"
#include "host/cli/archive.h"
#include "host/cli/diff_out.h"
#include "host/cli/size.h"
#include "host/cli/target.h"
#include "host/source/chunks_diff.h"

struct side {
	struct target t;
	struct target_path p;
	struct err why;
	int sealed;		/* 0; why it could not be opened with its key */
	const char *file;	/* stored name */
	bool encrypted;
};

struct diff {
	const struct args *args;
	struct side side[2];
	struct diff_out out;
	struct diff_totals totals;
};

/* Whatever key is missing, the indexes of images can be read. */
static int open_side(struct side *s, const char *path, bool base64, struct err *err)
{
	int r = target_open(&s->t, err);

	if ((r == -ENOKEY || r == -EKEYREJECTED) && !s->t.require_signature) {
		s->sealed = r;
		s->why = *err;
		r = target_open_sealed(&s->t, err);
	}
	if (r == 0)
		r = target_path(&s->t, path, strlen(path), base64, &s->p, err);
	if (r == 0 && s->sealed && s->p.archive) {
		*err = s->why;
		return s->sealed;
	}
	return r < 0 ? err_ctx(err, r, "%s", s->t.spec.snapshot) : 0;
}

static void note_file(struct side *s, struct diff_out_side *ret)
{
	const struct store_file *f;
	size_t nr;

	s->file = s->p.archive ? s->p.archive : target_archive(&s->t, s->p.disk);
	*ret = (struct diff_out_side){ .snapshot = s->t.spec.snapshot, .file = s->file };
	f = snapshot_files(s->t.snapshot, &nr);
	for (size_t i = 0; i < nr; i++) {
		if (strcmp(f[i].name, s->file))
			continue;
		ret->size = f[i].size;
		s->encrypted = f[i].crypt_mode && !strcmp(f[i].crypt_mode, "encrypt");
	}
}

static int open_sides(struct diff *d, size_t pos, struct err *err)
{
	const bool base64 = args_flag(d->args, "base64");
	struct side *s = d->side;
	int r;

	for (int i = 0; i < 2; i++) {
		r = open_side(&s[i], d->args->pos[pos], base64, err);
		if (r < 0)
			return r;
		if (s[i].p.root)
			return err_text(err, -EINVAL, "name one archive: 'pluck list SNAPSHOT /' shows what there is");
		note_file(&s[i], &d->out.side[i]);
		if (i == 0)
			target_share_key(&s[1].t, &s[0].t);
	}
	if (!s[0].p.archive != !s[1].p.archive)
		return err_text(err, -EINVAL, "it is a disk image in one snapshot, and a file archive in the other");
	return target_confine(&s[0].t, err);
}

static int on_entry(void *arg, const struct diff_entry *e)
{
	struct diff *d = arg;

	return diff_out_entry(&d->out, e);
}

static void on_progress(void *arg, const struct diff_totals *t)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	(void)arg;
	if (!cli_shows_progress())
		return;
	cli_size(&b, t->bytes_read + t->bytes_proved);
	cli_progress("%llu members, %s of contents", (unsigned long long)(t->compared + t->added + t->removed),
		     buf_cstr(&b) ? buf_cstr(&b) : "");
}

static int diff_archives(struct diff *d, struct err *err)
{
	const struct diff_options o = { .same_key = d->side[0].encrypted == d->side[1].encrypted,
					.no_contents = args_flag(d->args, "no-contents") };
	const struct diff_sink sink = { on_entry, on_progress, d };
	struct archive_file f[2] = { 0 };
	struct diff_side side[2];
	const char *inner;
	size_t len;
	int r = 0;

	for (int i = 0; r == 0 && i < 2; i++) {
		r = archive_open(d->side[i].t.snapshot, d->side[i].file, &f[i], err);
		if (r < 0)
			r = err_ctx(err, r, "%s", d->side[i].t.spec.snapshot);
		else
			side[i] = (struct diff_side){ f[i].a, archive_data_chunks(&f[i]) };
	}
	inner = target_inner(&d->side[0].p, &len);
	d->out.kind = "archive";
	if (r == 0) {
		diff_out_begin(&d->out);
		r = diff_walk(side, inner, len, &o, &sink, &d->totals, err);
		cli_progress_end();
	}
	if (r == 0)
		diff_out_end(&d->out, &d->totals, NULL);
	archive_close(&f[0]);
	archive_close(&f[1]);
	return r;
}

static int on_range(void *arg, const struct chunks_diff_range *r)
{
	struct diff *d = arg;

	return diff_out_range(&d->out, r);
}

/* Were the digests of both made alike? */
static int check_keys(const struct diff *d, struct err *err)
{
	const struct side *s = d->side;
	const uint8_t *a = snapshot_fingerprint(s[0].t.snapshot), *b = snapshot_fingerprint(s[1].t.snapshot);

	if (s[0].encrypted != s[1].encrypted)
		return err_text(err, -EOPNOTSUPP,
				"one image is encrypted and the other is not, so their indexes do not tell what changed");
	if (!s[0].encrypted)
		return 0;
	if (a && b ? !memcmp(a, b, 32) : !s[0].sealed && !s[1].sealed)
		return 0;
	return err_text(err, -EOPNOTSUPP,
			"the images are encrypted with different keys%s, so their indexes do not tell what changed",
			a && b ? "" : ", or it cannot be told with which");
}

static int diff_images(struct diff *d, struct err *err)
{
	struct chunks_diff_totals totals;
	struct chunks *c[2] = { NULL, NULL };
	int r = 0;

	if (d->side[0].p.bytes.len != d->side[0].p.archive_len)
		return err_text(err, -EINVAL, "disk images are compared as a whole");
	r = check_keys(d, err);
	for (int i = 0; r == 0 && i < 2; i++) {
		if (d->side[i].sealed)
			cli_error("warning: %s: its signature was not checked: %s", d->side[i].t.spec.snapshot, d->side[i].why.text);
		r = snapshot_open_index(d->side[i].t.snapshot, d->side[i].file, &c[i], err);
	}
	d->out.kind = "image";
	if (r == 0) {
		diff_out_begin(&d->out);
		r = chunks_diff(c[0], c[1], on_range, d, &totals, err);
	}
	if (r == 0)
		diff_out_end(&d->out, NULL, &totals);
	chunks_close(c[0]);
	chunks_close(c[1]);
	return r;
}

static int diff(struct diff *d, struct err *err)
{
	size_t pos = 0;
	int r = cli_format(d->args, &d->out.format, err);

	for (int i = 0; r == 0 && i < 2; i++)
		r = target_parse(d->args, &pos, &d->side[i].t, err);
	if (r == 0)
		r = open_sides(d, pos, err);
	if (r < 0)
		return r;
	return d->side[0].p.archive ? diff_archives(d, err) : diff_images(d, err);
}

static int run(const struct args *a)
{
	struct diff d = { .args = a, .out = { .quiet = args_flag(a, "quiet") } };
	struct err err = ERR_INIT;
	int r;

	cli_progress_init(args_flag(a, "quiet"));
	r = diff(&d, &err);
	buf_free(&d.out.out);
	for (int i = 0; i < 2; i++) {
		target_path_free(&d.side[i].p);
		target_free(&d.side[i].t);
	}
	if (r == -EPIPE)
		return EXIT_PARTIAL;
	if (r < 0)
		return cli_fail(&err, r);
	return d.out.damaged ? EXIT_DAMAGED : d.out.untold ? EXIT_PARTIAL : EXIT_OK;
}

static const struct opt opts[] = {
	{ OPT("no-contents", OPT_BOOL, NULL, "read no contents: files of the same size and time are the same") },
	{ OPT("quiet", OPT_BOOL, NULL, "no progress, and no totals behind the text") },
	OPT_END,
};

const struct command cmd_diff = {
	.name = "diff",
	.usage = "SNAPSHOT SNAPSHOT ARCHIVE[/PATH]",
	.help = "what differs between two snapshots of a file archive or disk image",
	.more = "The older one first. Of images, changed ranges, from the indexes alone. Exit status 0 whatever differs.",
	.opts = { target_store_opts, opts, target_snapshot_opts, target_base64_opts, cli_format_jsonl_opts },
	.min_pos = 3,
	.max_pos = 3,
	.run = run,
};
