/* SPDX-License-Identifier: GPL-2.0-or-later */
/* catalog dump: what the catalog of a snapshot says, which may be less than what its archives hold. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "common/buf.h"
#include "host/archive/catalog_walk.h"
#include "host/cli/archive.h"
#include "host/cli/target.h"

struct dump {
	struct buf out;
	struct cli_notes notes;
};

static int on_entry(void *arg, const char *path, size_t path_len, const struct catalog_entry *e)
{
	const time_t when = (time_t)e->mtime;
	struct dump *d = arg;
	char text[64];
	struct tm tm;

	if (!e->name_len) {
		cli_note(&d->notes, path, path_len, "a member is missing: its writer could not read it");
		return 0;
	}
	buf_fmt(&d->out, "%c \"./", e->type);
	cli_escape(&d->out, path, path_len);
	buf_u8(&d->out, '"');
	if (e->type == 'f') {
		buf_fmt(&d->out, " %llu", (unsigned long long)e->size);
		if (gmtime_r(&when, &tm) && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
			buf_fmt(&d->out, " %s", text);
		else
			buf_fmt(&d->out, " @%lld", (long long)e->mtime);
	}
	buf_u8(&d->out, '\n');
	return cli_out_buf(&d->out);
}

static int dump(struct target *t, struct dump *d, struct err *err)
{
	struct source *src = NULL;
	struct catalog cat;
	int r = target_open(t, err);

	if (r == 0)
		r = target_confine(t, err);
	if (r == 0)
		r = archive_open_catalog(t->snapshot, &src, err);
	if (r == 0)
		r = catalog_open(src, &cat, err);
	if (r == 0)
		r = catalog_walk(&cat, cat.root, true, on_entry, d, err);
	source_close(src);
	return r;
}

static int run(const struct args *a)
{
	struct target t = { 0 };
	struct err err = ERR_INIT;
	struct dump d = { 0 };
	size_t pos = 1;
	int r;

	if (strcmp(a->pos[0], "dump"))
		return cli_usage(a->cmd, "unknown action '%s', there is: dump", a->pos[0]);
	r = target_parse(a, &pos, &t, &err);
	if (r == 0)
		r = dump(&t, &d, &err);
	cli_notes_end(&d.notes);
	buf_free(&d.out);
	target_free(&t);
	if (r == -EPIPE)
		return EXIT_PARTIAL;
	if (r < 0)
		return cli_fail(&err, r);
	return d.notes.nr ? EXIT_DAMAGED : EXIT_OK;
}

const struct command cmd_catalog = {
	.name = "catalog",
	.usage = "dump SNAPSHOT",
	.help = "print the catalog of a snapshot's file archives",
	.more = "Snapshots with split archives have no catalog; 'list' reads the archives themselves.",
	.opts = { target_store_opts, target_snapshot_opts },
	.min_pos = 2,
	.max_pos = 2,
	.run = run,
};
