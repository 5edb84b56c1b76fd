/* SPDX-License-Identifier: GPL-2.0-or-later */
/* snapshots, groups, namespaces, files: what a datastore holds, without opening any of it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/jsonw.h"
#include "host/cli/cells.h"
#include "host/cli/cli.h"
#include "host/cli/size.h"
#include "host/cli/target.h"
#include "host/source/store/names.h"
#include "host/source/store/store.h"

/* The newest snapshot of the group that is being read. */
struct group {
	struct buf name;
	struct snapshot_name last;
	uint64_t nr;
	struct buf json;	/* its "files" */
	struct cells files;	/* one cell: the same as text */
	char comment[256], owner[128];
};

struct listing {
	enum cli_format format;
	struct store *store;
	const char *ns;
	struct snapshot_name want;	/* a group or a snapshot, if one was named */
	struct buf out;
	struct jsonw w;
	struct cells cells;
	struct group group;
	bool found;
};

static void listing_free(struct listing *l)
{
	cells_free(&l->cells);
	cells_free(&l->group.files);
	buf_free(&l->group.name);
	buf_free(&l->group.json);
	buf_free(&l->out);
	store_close(l->store);
}

static int flush(struct listing *l)
{
	return l->out.len > 65536 ? cli_out_buf(&l->out) : buf_ok(&l->out);
}

static void write_files(struct jsonw *w, const struct store_snapshot_info *i)
{
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

static int snapshot_json(struct listing *l, const struct store_snapshot_info *i)
{
	struct jsonw *w = &l->w;

	jsonw_object_begin(w);
	jsonw_key_string(w, "backup-id", i->id);
	jsonw_key_i64(w, "backup-time", i->time);
	jsonw_key_string(w, "backup-type", i->type);
	if (i->comment[0])
		jsonw_key_string(w, "comment", i->comment);
	jsonw_key(w, "files");
	write_files(w, i);
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
	return flush(l);
}

static int add_name(struct listing *l, const char *type, const char *id, int64_t t)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	char time[NAMES_TIME_TEXT] = "?";

	(void)names_format_time(t, time);
	buf_fmt(&b, "%s/%s/%s", type, id, time);
	return cells_add(&l->cells, &b);
}

static int on_snapshot(void *arg, const struct store_snapshot_info *i)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct listing *l = arg;
	int r;

	if (l->format != CLI_TEXT)
		return snapshot_json(l, i);
	r = add_name(l, i->type, i->id, i->time);
	if (i->has_size)
		cli_size(&b, i->size);
	else
		buf_str(&b, i->finished ? "unreadable" : "unfinished");
	if (r == 0)
		r = cells_add(&l->cells, &b);
	return r < 0 ? r : cells_add_files(&l->cells, i->files, i->nr_files);
}

static int group_json(struct listing *l)
{
	const struct group *g = &l->group;
	struct jsonw *w = &l->w;
	const char *files = buf_cstr(&l->group.json);

	jsonw_object_begin(w);
	jsonw_key_u64(w, "backup-count", g->nr);
	jsonw_key_string(w, "backup-id", g->last.id);
	jsonw_key_string(w, "backup-type", g->last.type);
	if (g->comment[0])
		jsonw_key_string(w, "comment", g->comment);
	jsonw_key(w, "files");
	jsonw_array_begin(w);
	while (files && *files) {
		const size_t n = strcspn(files, "/");

		jsonw_string(w, files, n);
		files += n + (files[n] == '/');
	}
	jsonw_array_end(w);
	jsonw_key_i64(w, "last-backup", g->last.time);
	if (g->owner[0])
		jsonw_key_string(w, "owner", g->owner);
	jsonw_object_end(w);
	return flush(l);
}

/* All snapshots of the group were seen. */
static int end_group(struct listing *l)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct group *g = &l->group;
	int r;

	if (!g->nr)
		return 0;
	if (l->format != CLI_TEXT) {
		r = group_json(l);
		g->nr = 0;
		return r;
	}
	buf_fmt(&b, "%s/%s", g->last.type, g->last.id);
	r = cells_add(&l->cells, &b);
	if (r == 0)
		r = add_name(l, g->last.type, g->last.id, g->last.time);
	buf_fmt(&b, "%llu", (unsigned long long)g->nr);
	if (r == 0)
		r = cells_add(&l->cells, &b);
	buf_str(&b, g->files.nr ? g->files.v[0] : "");
	if (r == 0)
		r = cells_add(&l->cells, &b);
	g->nr = 0;
	return r;
}

/* Snapshots come sorted by time: the last one of a group is the newest. */
static int on_group(void *arg, const struct store_snapshot_info *i)
{
	struct listing *l = arg;
	struct group *g = &l->group;
	int r = 0;

	if (g->nr && (strcmp(g->last.type, i->type) || strcmp(g->last.id, i->id)))
		r = end_group(l);
	if (r < 0)
		return r;
	(void)snprintf(g->last.type, sizeof(g->last.type), "%s", i->type);
	(void)snprintf(g->last.id, sizeof(g->last.id), "%s", i->id);
	g->last.time = i->time;
	g->nr++;
	memcpy(g->comment, i->group_comment, sizeof(g->comment));
	memcpy(g->owner, i->owner, sizeof(g->owner));
	buf_reset(&g->json);
	for (size_t k = 0; k < i->nr_files; k++)
		buf_fmt(&g->json, "%s/", i->files[k].name);
	cells_free(&g->files);
	return cells_add_files(&g->files, i->files, i->nr_files);
}

static int on_files(void *arg, const struct store_snapshot_info *i)
{
	struct listing *l = arg;
	CLEANUP_FREE struct store_file *f = NULL;
	CLEANUP_BUF struct buf b = BUF_INIT;
	int r = 0;

	if (i->time != l->want.time)
		return 0;
	l->found = true;
	if (l->format != CLI_TEXT) {
		write_files(&l->w, i);
		return buf_ok(&l->out);
	}
	for (size_t k = 0; k < i->nr_files && r == 0; k++) {
		buf_str(&b, i->files[k].name);
		r = cells_add(&l->cells, &b);
		buf_str(&b, i->files[k].crypt_mode ? i->files[k].crypt_mode : "");
		if (r == 0)
			r = cells_add(&l->cells, &b);
		if (i->files[k].has_size)
			buf_fmt(&b, "%llu", (unsigned long long)i->files[k].size);
		if (r == 0)
			r = cells_add(&l->cells, &b);
	}
	return r;
}

static int on_ns(void *arg, const char *ns)
{
	struct listing *l = arg;

	if (l->format == CLI_TEXT) {
		if (*ns)
			buf_fmt(&l->out, "%s\n", ns);
		return flush(l);
	}
	jsonw_object_begin(&l->w);
	jsonw_key_string(&l->w, "ns", ns);
	jsonw_object_end(&l->w);
	return flush(l);
}

static int parse_group(const char *s, struct snapshot_name *ret, struct err *err)
{
	if (names_parse_group(s, ret) < 0)
		return err_text(err, -EINVAL, "the group is not TYPE/ID with the type vm, ct or host");
	return 0;
}

static int begin(const struct args *a, struct listing *l, struct err *err)
{
	const char *repository;
	int r = cli_format(a, &l->format, err);

	if (r == 0)
		r = target_store(a, &repository, &l->ns, err);
	if (r == 0)
		r = store_open(repository, &l->store, err);
	l->w = (struct jsonw){ .out = &l->out, .pretty = l->format == CLI_JSON_PRETTY };
	return r;
}

/* Of the group that was named, else of all. */
static int list(struct listing *l, store_snapshot_fn *fn, struct err *err)
{
	if (l->want.type[0])
		return store_list_group(l->store, l->ns, l->want.type, l->want.id, fn, l, err);
	return store_list(l->store, l->ns, fn, l, err);
}

static int end(struct listing *l, int r, const struct err *err)
{
	if (r < 0)
		return cli_fail(err, r);
	if (l->format != CLI_TEXT)
		buf_u8(&l->out, '\n');
	(void)cli_out_buf(&l->out);
	return EXIT_OK;
}

static int run_snapshots(const struct args *a)
{
	static const struct cli_column columns[] = { { "snapshot", false }, { "size", true }, { "files", false } };
	CLEANUP(listing_free) struct listing l = { 0 };
	struct err e = ERR_INIT;
	int r = a->nr_pos ? parse_group(a->pos[0], &l.want, &e) : 0;

	if (r == 0)
		r = begin(a, &l, &e);
	if (r == 0 && l.format != CLI_TEXT)
		jsonw_array_begin(&l.w);
	if (r == 0)
		r = list(&l, on_snapshot, &e);
	if (r == 0 && l.format != CLI_TEXT)
		jsonw_array_end(&l.w);
	if (r == 0)
		(void)cells_print(&l.cells, columns, 3);
	return end(&l, r, &e);
}

static int run_groups(const struct args *a)
{
	static const struct cli_column columns[] = { { "group", false }, { "last snapshot", false },
						     { "backup-count", true }, { "files", false } };
	CLEANUP(listing_free) struct listing l = { 0 };
	struct err e = ERR_INIT;
	int r = begin(a, &l, &e);

	if (r == 0 && l.format != CLI_TEXT)
		jsonw_array_begin(&l.w);
	if (r == 0)
		r = list(&l, on_group, &e);
	if (r == 0)
		r = end_group(&l);
	if (r == 0 && l.format != CLI_TEXT)
		jsonw_array_end(&l.w);
	if (r == 0)
		(void)cells_print(&l.cells, columns, 4);
	return end(&l, r, &e);
}

static int compare_rows(const void *a, const void *b)
{
	return strcmp(((char *const *)a)[0], ((char *const *)b)[0]);
}

static int run_files(const struct args *a)
{
	static const struct cli_column columns[] = { { "filename", false }, { "crypt-mode", false }, { "size", true } };
	CLEANUP(listing_free) struct listing l = { 0 };
	struct err e = ERR_INIT;
	int r = 0;

	if (names_parse_snapshot(a->pos[0], &l.want) < 0)
		r = err_text(&e, -EINVAL, "the snapshot is not TYPE/ID/YYYY-MM-DDTHH:MM:SSZ");
	if (r == 0)
		r = begin(a, &l, &e);
	if (r == 0)
		r = list(&l, on_files, &e);
	if (r == -ENOENT || (r == 0 && !l.found))
		r = err_text(&e, -ENOENT, "snapshot %s does not exist", a->pos[0]);
	if (r == 0 && l.cells.nr)
		qsort(l.cells.v, l.cells.nr / 3, 3 * sizeof(*l.cells.v), compare_rows);
	if (r == 0)
		(void)cells_print(&l.cells, columns, 3);
	return end(&l, r, &e);
}

static int run_namespaces(const struct args *a)
{
	CLEANUP(listing_free) struct listing l = { 0 };
	struct err e = ERR_INIT;
	int r = begin(a, &l, &e);

	if (r == 0 && l.format != CLI_TEXT) {
		jsonw_object_begin(&l.w);
		jsonw_key(&l.w, "data");
		jsonw_array_begin(&l.w);
	}
	if (r == 0)
		r = store_list_ns(l.store, l.ns, (unsigned int)args_number(a, "max-depth", NAMES_NS_DEPTH_MAX), on_ns, &l, &e);
	if (r == 0 && l.format != CLI_TEXT) {
		jsonw_array_end(&l.w);
		jsonw_object_end(&l.w);
	}
	return end(&l, r, &e);
}

static const struct opt depth_opts[] = {
	{ OPT("max-depth", OPT_NUMBER, "N", "levels below the namespace (default: 7, which are all)"),
	  .max = NAMES_NS_DEPTH_MAX },
	OPT_END,
};

const struct command cmd_snapshots = {
	.name = "snapshots",
	.usage = "[TYPE/ID]",
	.help = "list the snapshots of a datastore",
	.more = "An unfinished snapshot, or one whose manifest cannot be read, has no size.",
	.opts = { target_store_opts, cli_format_opts },
	.max_pos = 1,
	.run = run_snapshots,
};

const struct command cmd_groups = {
	.name = "groups",
	.usage = "",
	.help = "list the groups of a datastore",
	.more = "Files are those of the newest snapshot, finished or not.",
	.opts = { target_store_opts, cli_format_opts },
	.run = run_groups,
};

const struct command cmd_namespaces = {
	.name = "namespaces",
	.usage = "",
	.help = "list the namespaces of a datastore",
	.more = "With --ns that namespace and those beneath it. The root has no name: only JSON shows it.",
	.opts = { target_store_opts, depth_opts, cli_format_opts },
	.run = run_namespaces,
};

const struct command cmd_files = {
	.name = "files",
	.usage = "SNAPSHOT",
	.help = "list the files of a snapshot",
	.more = "Files that the manifest does not name have no size. No key is needed.",
	.opts = { target_store_opts, cli_format_opts },
	.min_pos = 1,
	.max_pos = 1,
	.run = run_files,
};
