/* SPDX-License-Identifier: GPL-2.0-or-later */
/* catalog dump: what the catalog of a snapshot says, which may be less than what its archives hold. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/grow.h"
#include "host/archive/catalog.h"
#include "host/archive/stream.h"
#include "host/cli/cli.h"
#include "host/cli/target.h"

#define CATALOG_CACHE ((size_t)16 << 20)

struct row {
	struct catalog_entry e;
	char *name;
};

/* One open directory: its entries, and how many of them were printed. */
struct level {
	struct row *row;
	size_t nr, room, next;
	size_t path_len;	/* of the path outside of it */
};

struct dump {
	const struct catalog *cat;
	struct level *level;
	size_t nr, room;
	struct buf path, out;
	uint64_t budget;	/* entries that a catalog of this size can have */
	struct cli_notes notes;
};

static int on_entry(void *arg, const struct catalog_entry *e)
{
	struct dump *d = arg;
	struct level *l = &d->level[d->nr - 1];

	if (!d->budget--)
		return -ELOOP;
	if (grow(&l->row, &l->room, l->nr, sizeof(*l->row)) < 0)
		return -ENOMEM;
	l->row[l->nr] = (struct row){ *e, strndup(e->name, e->name_len) };
	return l->row[l->nr].name ? (l->nr++, 0) : -ENOMEM;
}

static void leave(struct dump *d)
{
	struct level *l = &d->level[--d->nr];

	for (size_t i = 0; i < l->nr; i++)
		free(l->row[i].name);
	free(l->row);
	d->path.len = l->path_len;
}

static int enter(struct dump *d, uint64_t block, size_t path_len, struct err *err)
{
	int r;

	if (grow(&d->level, &d->room, d->nr, sizeof(*d->level)) < 0)
		return err_set(err, -ENOMEM, "catalog");
	d->level[d->nr++] = (struct level){ .path_len = path_len };
	r = catalog_list(d->cat, block, on_entry, d, err);
	if (r == -ELOOP)
		return err_text(err, -EBADMSG, "catalog: its directories lead to each other");
	return r == -ENOMEM ? err_set(err, r, "catalog") : r;
}

static int print_row(struct dump *d, const struct row *row)
{
	const time_t when = (time_t)row->e.mtime;
	char text[64];
	struct tm tm;

	buf_fmt(&d->out, "%c \"./", row->e.type);
	cli_escape(&d->out, d->path.data, d->path.len);
	buf_u8(&d->out, '"');
	if (row->e.type == 'f') {
		buf_fmt(&d->out, " %llu", (unsigned long long)row->e.size);
		if (gmtime_r(&when, &tm) && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
			buf_fmt(&d->out, " %s", text);
		else
			buf_fmt(&d->out, " @%lld", (long long)row->e.mtime);
	}
	buf_u8(&d->out, '\n');
	return cli_out_buf(&d->out);
}

/* The next entry of the innermost directory. */
static int step(struct dump *d, struct err *err)
{
	struct level *l = &d->level[d->nr - 1];
	const size_t before = d->path.len;
	const struct row *row;
	int r;

	if (l->next == l->nr) {
		leave(d);
		return 0;
	}
	row = &l->row[l->next++];
	if (!*row->name) {
		cli_note(&d->notes, (const char *)d->path.data, before, "a member is missing: its writer could not read it");
		return 0;
	}
	buf_fmt(&d->path, "%s%s", before ? "/" : "", row->name);
	if (buf_ok(&d->path) < 0)
		return err_set(err, buf_ok(&d->path), "catalog");
	r = print_row(d, row);
	if (r == 0 && row->e.type == 'd')
		return enter(d, row->e.block, before, err);
	d->path.len = before;
	return r;
}

static int dump(struct target *t, struct dump *d, struct err *err)
{
	struct source *src = NULL;
	struct catalog cat;
	struct chunks *c;
	int r = target_open(t, err);

	if (r == 0)
		r = target_confine(t, err);
	if (r == 0)
		r = snapshot_open_archive(t->snapshot, CATALOG_NAME, &c, err);
	if (r == 0)
		r = stream_open(c, CATALOG_CACHE, &src, err);
	if (r == 0)
		r = catalog_open(src, &cat, err);
	if (r == 0) {
		d->cat = &cat;
		d->budget = src->size_bytes;
		r = enter(d, cat.root, 0, err);
	}
	while (r == 0 && d->nr)
		r = step(d, err);
	while (d->nr)
		leave(d);
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
	free(d.level);
	buf_free(&d.path);
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
