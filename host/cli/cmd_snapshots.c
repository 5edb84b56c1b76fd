/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/jsonw.h"
#include "host/cli/cli.h"
#include "host/cli/size.h"
#include "host/cli/target.h"
#include "host/source/store/names.h"
#include "host/source/store/store.h"

static const struct opt snapshots_opts[] = {
	{ OPT("repository", OPT_TEXT, "DIR", "the datastore (default: PBS_REPOSITORY)") },
	{ OPT("ns", OPT_TEXT, "NAMESPACE", "namespace in the datastore (default: the root)") },
	OPT_END,
};

#define COLUMNS 3

struct printer {
	enum cli_format format;
	const char *group;	/* "TYPE/ID"; NULL for all */
	struct buf out;
	struct jsonw w;
	char **cells;
	size_t nr_cells, room;
};

static void printer_free(struct printer *p)
{
	for (size_t i = 0; i < p->nr_cells; i++)
		free(p->cells[i]);
	free(p->cells);
	buf_free(&p->out);
}

static void print_files(struct jsonw *w, const struct store_snapshot_info *i)
{
	jsonw_key(w, "files");
	jsonw_array_begin(w);
	for (size_t k = 0; k < i->nr_files; k++) {
		jsonw_object_begin(w);
		if (i->files[k].crypt_mode)
			jsonw_key_string(w, "crypt-mode", i->files[k].crypt_mode);
		jsonw_key_string(w, "filename", i->files[k].name);
		if (i->files[k].has_size)
			jsonw_key_u64(w, "size", i->files[k].size);
		jsonw_object_end(w);
	}
	jsonw_array_end(w);
}

static int print_json(struct printer *p, const struct store_snapshot_info *i)
{
	struct jsonw *w = &p->w;

	jsonw_object_begin(w);
	jsonw_key_string(w, "backup-id", i->id);
	jsonw_key_i64(w, "backup-time", i->time);
	jsonw_key_string(w, "backup-type", i->type);
	if (i->comment[0])
		jsonw_key_string(w, "comment", i->comment);
	print_files(w, i);
	if (i->fingerprint[0])
		jsonw_key_string(w, "fingerprint", i->fingerprint);
	if (i->owner[0])
		jsonw_key_string(w, "owner", i->owner);
	jsonw_key_bool(w, "protected", i->protected_);
	if (i->has_size)
		jsonw_key_u64(w, "size", i->size);
	if (i->verify_state && i->verify_upid) {
		jsonw_key(w, "verification");
		jsonw_object_begin(w);
		jsonw_key_string(w, "state", i->verify_state);
		jsonw_key_string(w, "upid", i->verify_upid);
		jsonw_object_end(w);
	}
	jsonw_object_end(w);
	return p->out.len > 65536 ? cli_out_buf(&p->out) : buf_ok(&p->out);
}

/* Takes the text out of @b. */
static int add_cell(struct printer *p, struct buf *b)
{
	const char *text = buf_cstr(b);

	if (p->nr_cells == p->room) {
		size_t room = p->room ? 2 * p->room : 64 * COLUMNS;
		char **cells = realloc(p->cells, room * sizeof(*cells));

		if (!cells)
			return -ENOMEM;
		p->cells = cells;
		p->room = room;
	}
	p->cells[p->nr_cells] = text ? strdup(text) : NULL;
	if (!p->cells[p->nr_cells])
		return -ENOMEM;
	p->nr_cells++;
	buf_reset(b);
	return 0;
}

static int compare_files(const void *a, const void *b)
{
	return strcmp(((const struct store_file *)a)->name, ((const struct store_file *)b)->name);
}

/* Names without the stored suffix, sorted. */
static int add_files_cell(struct printer *p, const struct store_snapshot_info *i, struct buf *b)
{
	CLEANUP_FREE struct store_file *f = calloc(i->nr_files + 1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	if (i->nr_files)
		memcpy(f, i->files, i->nr_files * sizeof(*f));
	qsort(f, i->nr_files, sizeof(*f), compare_files);
	for (size_t k = 0; k < i->nr_files; k++)
		buf_fmt(b, "%s%.*s", k ? " " : "", (int)(strlen(f[k].name) - strlen(".fidx")), f[k].name);
	return add_cell(p, b);
}

static int print_row(struct printer *p, const struct store_snapshot_info *i)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	char time[NAMES_TIME_TEXT] = "?";
	int r;

	(void)names_format_time(i->time, time);
	buf_fmt(&b, "%s/%s/%s", i->type, i->id, time);
	r = add_cell(p, &b);
	if (r < 0)
		return r;
	if (i->has_size)
		cli_size(&b, i->size);
	else
		buf_str(&b, i->finished ? "unreadable" : "unfinished");
	r = add_cell(p, &b);
	return r < 0 ? r : add_files_cell(p, i, &b);
}

static int print_one(void *arg, const struct store_snapshot_info *i)
{
	struct printer *p = arg;
	size_t n = strlen(i->type);

	if (p->group && (strncmp(p->group, i->type, n) || p->group[n] != '/' || strcmp(p->group + n + 1, i->id)))
		return 0;
	return p->format == CLI_TEXT ? print_row(p, i) : print_json(p, i);
}

static int print_all(struct printer *p, const char *repository, const char *ns, struct err *err)
{
	static const struct cli_column columns[COLUMNS] = { { "snapshot", false }, { "size", true }, { "files", false } };
	struct store *s;
	int r;

	r = store_open(repository, &s, err);
	if (r < 0)
		return r;
	p->w = (struct jsonw){ .out = &p->out, .pretty = p->format == CLI_JSON_PRETTY };
	if (p->format != CLI_TEXT)
		jsonw_array_begin(&p->w);
	r = store_list(s, ns, print_one, p, err);
	store_close(s);
	if (r < 0)
		return r;
	if (p->format == CLI_TEXT)
		return cli_table(columns, COLUMNS, (const char *const *)p->cells, p->nr_cells / COLUMNS);
	jsonw_array_end(&p->w);
	buf_u8(&p->out, '\n');
	(void)cli_out_buf(&p->out);
	return 0;
}

static bool is_group(const char *s)
{
	const char *slash = strchr(s, '/');
	char type[5] = "";

	if (!slash || (size_t)(slash - s) >= sizeof(type))
		return false;
	memcpy(type, s, (size_t)(slash - s));
	return names_check_type(type) == 0 && names_check_id(slash + 1, strlen(slash + 1)) == 0;
}

static int run(const struct args *a)
{
	CLEANUP(printer_free) struct printer p = { .group = a->nr_pos ? a->pos[0] : NULL };
	const char *ns = args_text(a, "ns"), *repository;
	struct err e = ERR_INIT;
	int r;

	if (!ns)
		ns = getenv("PBS_NAMESPACE");
	if (!ns)
		ns = "";
	if (p.group && !is_group(p.group))
		return cli_usage(a->cmd, "the group is not TYPE/ID with the type vm, ct or host");
	r = cli_format(a, &p.format, &e);
	if (r == 0)
		r = target_repository(a, &repository, &e);
	if (r == 0)
		r = target_check_ns(ns, &e);
	if (r == 0)
		r = print_all(&p, repository, ns, &e);
	return r < 0 ? cli_fail(&e, r) : cli_out_end(EXIT_OK);
}

const struct command cmd_snapshots = {
	.name = "snapshots",
	.usage = "[TYPE/ID]",
	.help = "list the snapshots of a datastore",
	.more = "An unfinished snapshot, or one whose manifest cannot be read, has no size.",
	.opts = { snapshots_opts, cli_format_opts },
	.max_pos = 1,
	.run = run,
};
