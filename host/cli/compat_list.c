/* SPDX-License-Identifier: GPL-2.0-or-later */
/* "list" under the other name. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/utf8.h"
#include "host/cli/archive.h"
#include "host/cli/compat.h"
#include "host/cli/entry_out.h"

#define TIMEOUT_TEXT "list not finished in time"
#define TIMEOUT_CODE 503
#define ROWS_MAX_BYTES ((size_t)1 << 30)

struct row {
	char type;
	char *name;		/* and behind it in the same memory: */
	const char *time, *size;
};

struct listing {
	enum cli_format format;
	struct buf base;	/* paths of results begin with this and a slash */
	struct buf out;		/* all of it: an error must not come behind a beginning */
	struct jsonw w;
	struct row *row;
	size_t nr_rows, room;
	bool cut_times;		/* negative times toward zero, as they come of an archive itself */
	bool dirs_only;		/* a path that leads to anything else is an error */
	int code;		/* of a failure: its status in HTTP, 0: none */
};

/* What is no text becomes U+FFFD, and so does what would upset a terminal. */
static void add_text(struct buf *out, const char *name, size_t len)
{
	const uint8_t *p = (const uint8_t *)name;

	while (len) {
		uint32_t cp;
		size_t n = utf8_decode(p, len, &cp);
		size_t used = n ? n : utf8_bad_prefix(p, len);

		if (n && utf8_printable(cp))
			buf_add(out, p, n);
		else
			buf_str(out, "\xef\xbf\xbd");
		p += used;
		len -= used;
	}
}

static int add_row(struct listing *l, const struct client_entry *e, const char *name, size_t len)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	size_t time, size;
	struct row *row;

	if (l->nr_rows == l->room) {
		size_t room = l->room ? l->room * 2 : 64;

		row = room * sizeof(*row) > ROWS_MAX_BYTES ? NULL : reallocarray(l->row, room, sizeof(*row));
		if (!row)
			return -ENOMEM;
		l->row = row;
		l->room = room;
	}
	add_text(&b, name, len);
	buf_u8(&b, 0);
	time = b.len;
	if (e->type == 'f' && e->has_stat)
		buf_fmt(&b, "%lld", (long long)e->mtime_s);
	buf_u8(&b, 0);
	size = b.len;
	if (e->has_size && strchr("fv", e->type))
		buf_fmt(&b, "%llu", (unsigned long long)e->size);
	else if (e->has_size && e->type == 'd' && !e->has_stat)
		buf_fmt(&b, "%llu", (unsigned long long)e->size);
	buf_u8(&b, 0);
	if (buf_ok(&b) < 0)
		return -ENOMEM;
	row = &l->row[l->nr_rows++];
	*row = (struct row){ .type = e->type, .name = (char *)b.data };
	row->time = row->name + time;
	row->size = row->name + size;
	b = BUF_INIT;
	return 0;
}

static void write_entry(struct listing *l, const struct client_entry *e, const char *name, size_t len)
{
	CLEANUP_BUF struct buf path = BUF_INIT;
	const char type[2] = { e->type, 0 };

	buf_add(&path, l->base.data, l->base.len);
	if (e->path_len) {
		buf_u8(&path, '/');
		buf_add(&path, e->path, e->path_len);
	}
	if (buf_ok(&path) < 0)
		l->out.error = buf_ok(&path);
	jsonw_object_begin(&l->w);
	jsonw_key_b64(&l->w, "filepath", path.data, path.len);
	jsonw_key_bool(&l->w, "leaf", e->type != 'd' && e->type != 'v');
	if (e->type == 'f' && e->has_stat)
		jsonw_key_i64(&l->w, "mtime", e->mtime_s);
	if (e->has_size && (e->type == 'f' || e->type == 'v' || (e->type == 'd' && !e->has_stat)))
		jsonw_key_u64(&l->w, "size", e->size);
	jsonw_key_bytes(&l->w, "text", name, len);
	jsonw_key_string(&l->w, "type", type);
	jsonw_object_end(&l->w);
}

/* A client_entry_fn. */
static int on_entry(void *arg, const struct client_entry *e)
{
	struct listing *l = arg;
	struct client_entry cut;
	const char *name;
	size_t len;

	if (e->type == '?')
		return 0;
	if (!e->path_len && l->dirs_only && e->type != 'd')
		return -ENOTDIR;
	if (l->cut_times && e->mtime_s < 0 && e->mtime_ns) {
		cut = *e;
		cut.mtime_s++;
		e = &cut;
	}
	entry_name(e, (const char *)l->base.data, l->base.len, &name, &len);
	if (l->format == CLI_TEXT)
		return add_row(l, e, name, len);
	write_entry(l, e, name, len);
	return buf_ok(&l->out);
}

static bool has_catalog(const struct target *t)
{
	const struct store_file *f;
	size_t nr;

	f = snapshot_files(t->snapshot, &nr);
	for (size_t i = 0; i < nr; i++)
		if (!strcmp(f[i].name, "catalog.pcat1.didx"))
			return true;
	return false;
}

/* How a failure in a file archive is told, with a catalog and without. */
static int archive_failed(const struct target *t, const struct compat_path *path, int r, struct err *err)
{
	const char *p = (const char *)path->bytes.data, *inner = memchr(p, '/', path->bytes.len);
	char q[600];

	log_quote(p, path->bytes.len, q, sizeof(q));
	if (has_catalog(t))
		return r == -ENOTDIR ? err_text(err, r, "parent is not a directory - internal error") :
				       err_text(err, r, "path \"%s\" not found in catalog", q);
	if (r == -ENOTDIR)
		return err_text(err, r, "expected directory entry, got another kind of entry");
	if (!inner)
		return err_text(err, r, "archive not found in manifest");
	inner += strspn(inner, "/") - 1;
	return err_text(err, r, "lookup failed - error opening '\"%s\"'",
			log_quote(inner, path->bytes.len - (size_t)(inner - p), q, sizeof(q)));
}

/* The catalog knows no empty components. */
static bool is_strict(const struct compat_path *path)
{
	const char *p = (const char *)path->bytes.data;

	return !memmem(p, path->bytes.len, "//", 2) && (!path->bytes.len || p[path->bytes.len - 1] != '/');
}

static int list_archive(const struct target *t, struct listing *l, const struct compat_path *path,
			const struct target_path *p, struct err *err)
{
	size_t len;
	const char *inner = target_inner(p, &len);
	int r;

	if (len && has_catalog(t) && !is_strict(path))
		return archive_failed(t, path, -ENOENT, err);
	l->dirs_only = true;
	l->cut_times = !has_catalog(t);
	r = archive_list(t->snapshot, p->archive, inner, len, false, true, on_entry, l, err);
	return r == -ENOENT || r == -ENOTDIR ? archive_failed(t, path, r, err) : r;
}

static bool is_image(const struct compat_path *path)
{
	const char *p = (const char *)path->bytes.data, *slash = memchr(p, '/', path->bytes.len);
	size_t len = slash ? (size_t)(slash - p) : path->bytes.len;

	return len > 9 && !memcmp(p + len - 9, ".img.fidx", 9);
}

static int list_archives(const struct target *t, struct listing *l)
{
	const struct store_file *f;
	size_t nr;
	int r = 0;

	f = snapshot_files(t->snapshot, &nr);
	for (size_t i = 0; r == 0 && i < nr; i++) {
		size_t len = strlen(f[i].name);
		bool image = len > 9 && !strcmp(f[i].name + len - 9, ".img.fidx");
		bool dir = (len > 10 && !strcmp(f[i].name + len - 10, ".pxar.didx")) ||
			   (len > 11 && !strcmp(f[i].name + len - 11, ".mpxar.didx"));
		const struct client_entry e = {
			.path = f[i].name, .path_len = len, .type = image ? 'v' : 'd',
			.has_size = f[i].has_size, .size = f[i].size,
		};

		if (image || dir)
			r = on_entry(l, &e);
	}
	return r;
}

static int list_in_vm(const struct target *t, struct listing *l, struct err *err)
{
	struct client *c = NULL;
	int r = target_connect(t, &c, NULL, err);

	if (r < 0)
		return r;
	r = client_list_plain(c, l->base.data, l->base.len, on_entry, l, err);
	client_free(c);
	if (r == -ENOENT || r == -EINVAL || r == -ENOTDIR || r == -ELOOP)
		l->code = 400;
	return r;
}

static int list_inner(const struct target *t, struct listing *l, const struct compat_path *path, struct err *err)
{
	struct target_path p;
	int r = target_path(t, (const char *)path->bytes.data, path->bytes.len, false, &p, err);

	if (r == -ENOENT && !is_image(path))
		return archive_failed(t, path, r, err);
	if (r < 0) {
		l->code = r == -ENOENT ? 400 : 0;
		return r;
	}
	buf_add(&l->base, p.bytes.data, p.bytes.len);
	r = p.archive ? list_archive(t, l, path, &p, err) : list_in_vm(t, l, err);
	target_path_free(&p);
	return r;
}

static int by_type_and_name(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	return x->type != y->type ? (x->type < y->type ? -1 : 1) : strcmp(x->name, y->name);
}

static int print_rows(struct listing *l)
{
	static const struct cli_column col[] = {
		{ "type", false }, { "name", false }, { "last modified", true }, { "size", true },
	};
	CLEANUP_FREE const char **cells = calloc(l->nr_rows * 4 + 1, sizeof(*cells));
	CLEANUP_FREE char *types = calloc(l->nr_rows + 1, 2);

	if (!cells || !types)
		return -ENOMEM;
	if (l->nr_rows)
		qsort(l->row, l->nr_rows, sizeof(*l->row), by_type_and_name);
	for (size_t i = 0; i < l->nr_rows; i++) {
		types[i * 2] = l->row[i].type;
		cells[i * 4] = types + i * 2;
		cells[i * 4 + 1] = l->row[i].name;
		cells[i * 4 + 2] = l->row[i].time;
		cells[i * 4 + 3] = l->row[i].size;
	}
	return cli_table_ruled(col, 4, cells, l->nr_rows);
}

static int print_error(struct listing *l, const struct err *e)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	struct jsonw w = { .out = &out, .pretty = l->format == CLI_JSON_PRETTY };

	if (l->format == CLI_TEXT)
		return compat_fail(e);
	jsonw_object_begin(&w);
	if (l->code > 0)
		jsonw_key_i64(&w, "code", l->code);
	jsonw_key_string(&w, "message", e->text);
	jsonw_object_end(&w);
	buf_u8(&out, '\n');
	(void)cli_out_buf(&out);
	return EXIT_OK;
}

static int print_listing(struct listing *l)
{
	if (l->format == CLI_TEXT)
		return print_rows(l);
	jsonw_array_end(&l->w);
	buf_u8(&l->out, '\n');
	return cli_out_buf(&l->out);
}

/* What ends the program when it takes too long; the VM goes on starting. */
static void set_timeout(const struct args *a, enum cli_format format)
{
	static const char *const lines[] = {
		[CLI_TEXT] = "Error: " TIMEOUT_TEXT "\n",
		[CLI_JSON] = "{\"code\":503,\"message\":\"" TIMEOUT_TEXT "\"}\n",
		[CLI_JSON_PRETTY] = "{\n  \"code\": 503,\n  \"message\": \"" TIMEOUT_TEXT "\"\n}\n",
	};
	unsigned int seconds = (unsigned int)args_number(a, "timeout", 0);

	if (format == CLI_TEXT)
		cli_alarm_exit(seconds, STDERR_FILENO, lines[format], COMPAT_FAILED);
	else
		cli_alarm_exit(seconds, STDOUT_FILENO, lines[format], EXIT_OK);
}

static int list(struct target *t, const struct compat_path *path, struct listing *l)
{
	struct err err = ERR_INIT;
	int r = compat_open(t, &l->code, &err);

	if (r < 0 && l->code < 0)
		return compat_fail(&err);
	l->w = (struct jsonw){ .out = &l->out, .pretty = l->format == CLI_JSON_PRETTY };
	if (l->format != CLI_TEXT)
		jsonw_array_begin(&l->w);
	if (r == 0)
		r = path->root ? list_archives(t, l) : list_inner(t, l, path, &err);
	cli_alarm_exit(0, -1, NULL, 0);
	if (r == -ETIMEDOUT)
		l->code = TIMEOUT_CODE;
	if (r < 0 && !err.code)
		(void)err_set(&err, r, "list");
	return r < 0 ? print_error(l, &err) : print_listing(l) < 0 ? COMPAT_FAILED : EXIT_OK;
}

static void listing_free(struct listing *l)
{
	for (size_t i = 0; i < l->nr_rows; i++)
		free(l->row[i].name);
	free(l->row);
	buf_free(&l->base);
	buf_free(&l->out);
}

static int run_list(const struct args *a)
{
	struct listing l = { .out = { .limit = ROWS_MAX_BYTES } };
	struct compat_path path = { .bytes = BUF_INIT };
	struct err err = ERR_INIT;
	struct target t = { .key_options.fd = -1 };
	size_t pos = 0;
	int r;

	cli_progress_init(true);
	r = cli_format(a, &l.format, &err);
	if (r == 0)
		r = compat_parse(a, &pos, &t, &err);
	if (r == 0)
		r = compat_path(a, a->pos[1], &path, &err);
	if (r == 0) {
		set_timeout(a, l.format);
		r = list(&t, &path, &l);
	} else {
		r = compat_fail(&err);
	}
	listing_free(&l);
	buf_free(&path.bytes);
	target_free(&t);
	return r;
}

static const struct opt opts[] = {
	{ OPT("timeout", OPT_NUMBER, "SECONDS", "give up after so long"), .min = 1, .max = 1000000 },
	{ OPT("driver", OPT_TEXT, "Qemu|qemu", "how disks are opened") },
	{ OPT("server", OPT_TEXT, "HOST", "not supported") },
	{ OPT("port", OPT_NUMBER, "PORT", "not supported"), .max = 65535 },
	{ OPT("datastore", OPT_TEXT, "NAME", "not supported") },
	{ OPT("auth-id", OPT_TEXT, "ID", "not supported") },
	OPT_END,
};

const struct command compat_list = {
	.name = "list",
	.usage = "SNAPSHOT PATH",
	.help = "what is in a snapshot",
	.opts = { target_opts, target_vm_opts, target_base64_opts, opts, cli_format_opts },
	.min_pos = 2,
	.max_pos = 2,
	.run = run_list,
};
