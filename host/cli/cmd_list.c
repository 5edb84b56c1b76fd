/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "host/cli/archive.h"
#include "host/cli/entry_out.h"
#include "host/cli/entry_table.h"
#include "host/cli/target.h"

#define TIMEOUT_TEXT "list not finished in time"

struct listing {
	enum cli_format format;
	bool recursive;
	const char *base;	/* the requested path; "" for the list of archives, whose paths begin with '/' */
	size_t base_len;
	struct buf out;
	struct jsonw w;
	struct entry_table table;
	struct cli_notes errors;
	bool unreadable;	/* one of them tells of damage, of the disk or the archive */
	bool in_archive;
};

static int add_row(struct listing *l, const struct client_entry *e)
{
	struct buf *row = entry_table_begin(&l->table, e->type);
	const char *p = e->path;
	size_t len = e->path_len;

	if (!l->recursive || !len)
		entry_name(e, l->base, l->base_len, &p, &len);
	cli_escape(row, p, len);
	if (e->target) {
		buf_str(row, " -> ");
		cli_escape(row, e->target, e->target_len);
	}
	buf_u8(row, 0);
	if (e->has_stat)
		cli_time(row, e->mtime_s);
	buf_u8(row, 0);
	if (e->has_size && (e->type == 'f' || e->type == 'h' || !e->has_stat))
		buf_fmt(row, "%llu", (unsigned long long)e->size);
	buf_u8(row, 0);
	return entry_table_end(&l->table);
}

static int on_entry(void *arg, const struct client_entry *e)
{
	struct listing *l = arg;
	const char *name;
	size_t len;

	if (e->error_name) {
		l->unreadable |= entry_is_damaged(e);
		entry_name(e, l->base, l->base_len, &name, &len);
		if (e->path_len)
			cli_note(&l->errors, e->path, e->path_len, "%s (%s)", e->error_text, e->error_name);
		else
			cli_note(&l->errors, name, len, "%s (%s)", e->error_text, e->error_name);
	}
	if (l->format == CLI_TEXT)
		return add_row(l, e);
	if (l->format == CLI_JSONL)
		l->w = JSONW(&l->out);
	entry_write_json(&l->w, e, l->base, l->base_len);
	if (l->format == CLI_JSONL)
		buf_u8(&l->out, '\n');
	return cli_out_buf(&l->out);
}

static void listing_begin(struct listing *l)
{
	l->w = (struct jsonw){ .out = &l->out, .pretty = l->format == CLI_JSON_PRETTY };
	if (l->format == CLI_JSON || l->format == CLI_JSON_PRETTY)
		jsonw_array_begin(&l->w);
}

/* Only after a complete listing: what breaks off must not look whole. */
static int listing_end(struct listing *l)
{
	static const struct cli_column col[ENTRY_TABLE_COLS] = {
		{ "type", false }, { "name", false }, { "last modified", false }, { "size", true },
	};
	int r = 0;

	if (l->format == CLI_TEXT) {
		r = entry_table_print(&l->table, col, false);
	} else if (l->format != CLI_JSONL) {
		jsonw_array_end(&l->w);
		buf_u8(&l->out, '\n');
		r = cli_out_buf(&l->out);
	}
	return r;
}

static void listing_free(struct listing *l)
{
	entry_table_free(&l->table);
	buf_free(&l->out);
}

static uint64_t disk_size(const char *file)
{
	CLEANUP_CLOSE int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	off_t end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);

	return end < 0 ? 0 : (uint64_t)end;
}

static int list_archives(const struct target *t, struct listing *l)
{
	const struct store_file *f;
	size_t nr;
	int r = 0;

	if (!t->snapshot) {
		for (size_t i = 0; r == 0 && i < t->nr_disks; i++) {
			const struct client_entry e = {
				.path = t->disks[i].name, .path_len = strlen(t->disks[i].name), .type = 'v',
				.has_size = true, .size = disk_size(t->disks[i].file),
			};

			r = on_entry(l, &e);
		}
		return r;
	}
	f = snapshot_files(t->snapshot, &nr);
	for (size_t i = 0; r == 0 && i < nr; i++) {
		const char *dot = strrchr(f[i].name, '.');
		bool image = dot && !strcmp(dot, ".fidx"), dir = dot && !strcmp(dot, ".didx") && strstr(f[i].name, "pxar.");
		const struct client_entry e = {
			.path = f[i].name, .path_len = strlen(f[i].name), .type = image ? 'v' : 'd',
			.has_size = f[i].has_size, .size = f[i].size,
		};

		if (image || (dir && !strstr(f[i].name, ".ppxar.")))
			r = on_entry(l, &e);
	}
	return r;
}

static int list_in_vm(const struct target *t, struct listing *l, const struct target_path *p, struct err *err)
{
	struct client_totals totals;
	struct client *c = NULL;
	int r = target_connect(t, &c, NULL, err);

	if (r < 0)
		return r;
	r = client_list(c, l->base, l->base_len, l->recursive, on_entry, l, &totals, err);
	(void)target_tell_note(c, p, NULL);
	client_free(c);
	return target_why(t, r, err);
}

/* Text shows no more than the catalog of a snapshot knows. */
static int list_in_archive(const struct target *t, struct listing *l, const struct target_path *p, struct err *err)
{
	size_t len;
	const char *inner = target_inner(p, &len);
	int r = target_confine(t, err);

	if (r < 0)
		return r;
	return archive_list(t->snapshot, p->archive, inner, len, l->recursive, l->format == CLI_TEXT, on_entry, l, err);
}

static int list_path(const struct args *a, struct target *t, struct listing *l, const char *text, struct err *err)
{
	struct target_path p;
	int r = target_open(t, err);

	if (r == 0)
		r = target_path(t, text, strlen(text), args_flag(a, "base64"), &p, err);
	if (r < 0)
		return r;
	l->base = p.root ? "" : (const char *)p.bytes.data;
	l->base_len = p.bytes.len;
	l->in_archive = p.archive;
	listing_begin(l);
	if (p.root)
		r = list_archives(t, l);
	else
		r = p.archive ? list_in_archive(t, l, &p, err) : list_in_vm(t, l, &p, err);
	if (r == 0)
		r = listing_end(l);
	r = entry_table_why(&l->table, r, err);
	l->base = NULL;
	target_path_free(&p);
	return r;
}

/* The damage of disks that a session has seen may be older: it counts where something could not be read. */
static int verdict(const struct listing *l, const struct target *t, int r, const struct err *err)
{
	int status = EXIT_OK;

	if (r < 0 && r != -EPIPE)
		status = cli_fail(err, err->code ? r : -ENOMEM);
	else if (r < 0 || l->errors.nr)
		status = EXIT_PARTIAL;
	if (status == EXIT_PARTIAL && l->unreadable && l->in_archive)
		status = EXIT_DAMAGED;
	if ((status == EXIT_DAMAGED || l->unreadable) && !l->in_archive && t->nr_disks && target_report_damage(t, NULL) > 0)
		status = EXIT_DAMAGED;
	return status;
}

static int run_list(const struct args *a)
{
	struct listing l = { .recursive = args_flag(a, "recursive") };
	struct err err = ERR_INIT;
	struct target t;
	size_t pos = 0;
	int r;

	cli_progress_init(args_flag(a, "quiet"));
	cli_alarm((unsigned int)args_number(a, "timeout", 0), TIMEOUT_TEXT);
	r = cli_format(a, &l.format, &err);
	if (r < 0)
		return cli_fail(&err, r);
	r = target_parse(a, &pos, &t, &err);
	if (r == 0 && pos + 1 != a->nr_pos)
		r = err_text(&err, -EINVAL, "%s", pos < a->nr_pos ?
			     "too many arguments: with --disk there is no SNAPSHOT" : "PATH is missing");
	if (r == 0)
		r = list_path(a, &t, &l, a->pos[pos], &err);
	cli_notes_end(&l.errors);
	r = verdict(&l, &t, r, &err);
	listing_free(&l);
	target_free(&t);
	return r;
}

static const struct opt opts[] = {
	{ OPT("recursive", OPT_BOOL, NULL, "with all that lies beneath") },
	{ OPT("timeout", OPT_NUMBER, "SECONDS", "give up after so long; the VM goes on starting"), .min = 1, .max = 1000000 },
	{ OPT("quiet", OPT_BOOL, NULL, "no progress on the terminal") },
	OPT_END,
};

const struct command cmd_list = {
	.name = "list",
	.usage = "SNAPSHOT PATH | --disk FILE PATH",
	.help = "what is in a snapshot or disk image",
	.more = "PATH: / lists the archives; ARCHIVE, ARCHIVE/part, ARCHIVE/part/1/etc what is in there.",
	.opts = { target_opts, opts, cli_format_jsonl_opts, target_base64_opts, target_vm_opts },
	.min_pos = 1,
	.max_pos = 2,
	.run = run_list,
};
