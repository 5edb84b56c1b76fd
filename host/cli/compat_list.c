/* SPDX-License-Identifier: GPL-2.0-or-later */
/* "list" under the other name. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/utf8.h"
#include "host/cli/archive.h"
#include "host/cli/compat.h"
#include "host/cli/entry_out.h"
#include "host/cli/entry_table.h"

#define TIMEOUT_TEXT "list not finished in time"
#define TIMEOUT_CODE 503
#define OUT_BYTES_MAX ((size_t)1 << 30)

struct listing {
	enum cli_format format;
	struct buf base;	/* paths of results begin with this and a slash */
	struct buf out;		/* all of it: an error must not come behind a beginning */
	struct jsonw w;
	struct entry_table table;
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

/* Directories have a size where they are archives or buckets. */
static bool shows_size(const struct client_entry *e)
{
	return e->has_size && (strchr("fv", e->type) || (e->type == 'd' && !e->has_stat));
}

static int add_row(struct listing *l, const struct client_entry *e, const char *name, size_t len)
{
	struct buf *row = entry_table_begin(&l->table, e->type);

	add_text(row, name, len);
	buf_u8(row, 0);
	if (e->type == 'f' && e->has_stat)
		buf_fmt(row, "%lld", (long long)e->mtime_s);
	buf_u8(row, 0);
	if (shows_size(e))
		buf_fmt(row, "%llu", (unsigned long long)e->size);
	buf_u8(row, 0);
	return entry_table_end(&l->table);
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
	if (shows_size(e))
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
	r = target_confine(t, err);
	if (r < 0)
		return r;
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
	r = target_why(t, client_list_plain(c, l->base.data, l->base.len, on_entry, l, err), err);
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
	static const struct cli_column col[ENTRY_TABLE_COLS] = {
		{ "type", false }, { "name", false }, { "last modified", true }, { "size", true },
	};

	if (l->format == CLI_TEXT)
		return l->table.nr ? entry_table_print(&l->table, col, true) : 0;
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
	if (r == 0 && (r = print_listing(l)) < 0 && !l->table.error)
		return COMPAT_FAILED;
	r = entry_table_why(&l->table, r, &err);
	if (r < 0 && !err.code)
		(void)err_set(&err, r, "list");
	return r < 0 ? print_error(l, &err) : EXIT_OK;
}

static void listing_free(struct listing *l)
{
	entry_table_free(&l->table);
	buf_free(&l->base);
	buf_free(&l->out);
}

static int run_list(const struct args *a)
{
	struct listing l = { .out = { .limit = OUT_BYTES_MAX } };
	struct compat_path path = { .bytes = BUF_INIT };
	struct err err = ERR_INIT;
	struct target t = { .key_options.fd = -1 };
	int r;

	cli_progress_init(true);
	r = cli_format(a, &l.format, &err);
	if (r == 0)
		r = compat_parse(a, &t, &path, &err);
	if (r == 0) {
		set_timeout(a, l.format);
		r = list(&t, &path, &l);
	} else {
		r = compat_fail(&err);
	}
	listing_free(&l);
	compat_path_free(&path);
	target_free(&t);
	return r;
}

static const struct opt opts[] = {
	{ OPT("timeout", OPT_NUMBER, "SECONDS", "give up after so long"), .min = 1, .max = 1000000 },
	OPT_END,
};

const struct command compat_list = {
	.name = "list",
	.usage = "SNAPSHOT PATH",
	.help = "what is in a snapshot",
	.opts = { target_opts, target_vm_opts, target_base64_opts, compat_opts, opts, cli_format_opts },
	.min_pos = 2,
	.max_pos = 2,
	.run = run_list,
};
