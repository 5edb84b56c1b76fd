/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

#include "common/log.h"
#include "common/utf8.h"
#include "host/cli/cli.h"

static const char *prefix = "pluck: ";
static int out_failed;	/* negative errno of the first write to stdout that failed */

void cli_error_prefix(const char *text)
{
	prefix = text;
}

void cli_escape(struct buf *out, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	while (len) {
		uint32_t cp;
		size_t n = utf8_decode(p, len, &cp);

		if (n && cp == '\\') {
			buf_str(out, "\\\\");
		} else if (n && utf8_printable(cp)) {
			buf_add(out, p, n);
		} else {
			n = 1;
			buf_fmt(out, "\\x%02x", *p);
		}
		p += n;
		len -= n;
	}
}

/* As cli_escape(), for our own sentences: backslashes stay (quoted parts are escaped already), lines go on indented. */
static void sentence(struct buf *out, const char *text)
{
	const uint8_t *p = (const uint8_t *)text;
	size_t len = strlen(text);

	while (len && p[len - 1] == '\n')
		len--;
	while (len) {
		uint32_t cp;
		size_t n = utf8_decode(p, len, &cp);

		if (n && cp == '\n') {
			buf_str(out, "\n  ");
		} else if (n && utf8_printable(cp)) {
			buf_add(out, p, n);
		} else {
			n = 1;
			buf_fmt(out, "\\x%02x", *p);
		}
		p += n;
		len -= n;
	}
}

static void verror(const char *fmt, va_list ap)
{
	CLEANUP_BUF struct buf line = BUF_INIT;
	char text[4096];

	cli_progress_end();
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		return;
	buf_str(&line, prefix);
	sentence(&line, text);
	buf_u8(&line, '\n');
	(void)fwrite(line.data, 1, line.len, stderr);
}

void cli_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	verror(fmt, ap);
	va_end(ap);
}

int cli_fail(const struct err *e, int code)
{
	cli_error("%s", e->text[0] ? e->text : strerror(-code));
	return (int)exit_from_errno(code);
}

int cli_usage(const struct command *cmd, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	verror(fmt, ap);
	va_end(ap);
	if (cmd)
		cli_error("see 'pluck help %s'", cmd->name);
	else
		cli_error("see 'pluck help'");
	return EXIT_USAGE;
}

int cli_out(const void *p, size_t len)
{
	if (out_failed)
		return out_failed;
	errno = EIO;
	if (fwrite(p, 1, len, stdout) != len)
		out_failed = -errno;
	return out_failed;
}

int cli_out_buf(struct buf *b)
{
	int r = buf_ok(b);

	if (r == 0)
		r = cli_out(b->data, b->len);
	else if (!out_failed)
		out_failed = r;
	buf_reset(b);
	return r;
}

void cli_json(struct buf *out, const char *json)
{
	for (const uint8_t *p = (const uint8_t *)json; *p; p++) {
		if (*p == 0x7f)
			buf_str(out, "\\u007f");
		else if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)
			buf_fmt(out, "\\u%04x", *++p);
		else
			buf_u8(out, *p);
	}
	buf_u8(out, '\n');
}

int cli_out_end(int status)
{
	cli_progress_end();
	errno = EIO;
	if (fflush(stdout) != 0 && !out_failed)
		out_failed = -errno;
	if (!out_failed && ferror(stdout))
		out_failed = -EIO;
	if (!out_failed)
		return status;
	if (out_failed == -EPIPE)
		return status > EXIT_PARTIAL ? status : EXIT_PARTIAL;
	cli_error("write to standard output: %s", strerror(-out_failed));
	return EXIT_TARGET;
}

/* Columns of a terminal. */
static size_t text_width(const char *s)
{
	const uint8_t *p = (const uint8_t *)s;
	size_t len = strlen(s), width = 0;

	while (len) {
		uint32_t cp;
		size_t n = utf8_decode(p, len, &cp);
		int w = n ? wcwidth((wchar_t)cp) : 1;

		n = n ? n : 1;
		width += w < 0 ? 1 : (size_t)w;
		p += n;
		len -= n;
	}
	return width;
}

static void put_cell(struct buf *b, const char *text, size_t width, bool right, bool last)
{
	size_t used = text_width(text), pad = width > used ? width - used : 0;

	if (right)
		for (; pad; pad--)
			buf_u8(b, ' ');
	buf_str(b, text);
	if (!last)
		for (; pad; pad--)
			buf_u8(b, ' ');
}

static void put_rule(struct buf *b, const size_t *width, size_t nr, const char *const s[4])
{
	for (size_t c = 0; c < nr; c++) {
		buf_str(b, c ? s[2] : s[0]);
		for (size_t i = 0; i < width[c] + 2; i++)
			buf_str(b, s[1]);
	}
	buf_str(b, s[3]);
	buf_u8(b, '\n');
}

static void put_row(struct buf *b, const struct cli_column *col, const size_t *width, size_t nr,
		    const char *const *cells, bool border)
{
	for (size_t c = 0; c < nr; c++) {
		const char *text = cells ? cells[c] : col[c].title;

		buf_str(b, border ? (c ? " │ " : "│ ") : (c ? " " : ""));
		put_cell(b, text ? text : "", width[c], col[c].right, !border && c == nr - 1);
	}
	buf_str(b, border ? " │\n" : "\n");
}

static bool env_set(const char *name)
{
	const char *v = getenv(name);

	return v && *v;
}

#define TABLE_COLS_MAX 16

static int table(const struct cli_column *col, size_t nr_cols, const char *const *cells, size_t nr_rows, bool ruled)
{
	static const char *const top[] = { "┌", "─", "┬", "┐" }, *const head[] = { "╞", "═", "╪", "╡" },
			  *const between[] = { "├", "─", "┼", "┤" }, *const bottom[] = { "└", "─", "┴", "┘" };
	bool border = !env_set("PROXMOX_OUTPUT_NO_BORDER"), header = !env_set("PROXMOX_OUTPUT_NO_HEADER");
	CLEANUP_BUF struct buf b = BUF_INIT;
	size_t width[TABLE_COLS_MAX] = { 0 };
	int r = 0;

	for (size_t c = 0; c < nr_cols; c++)
		width[c] = header ? text_width(col[c].title) : 0;
	for (size_t i = 0; i < nr_rows * nr_cols; i++) {
		size_t w = cells[i] ? text_width(cells[i]) : 0;

		if (w > width[i % nr_cols])
			width[i % nr_cols] = w;
	}
	if (border)
		put_rule(&b, width, nr_cols, top);
	if (header)
		put_row(&b, col, width, nr_cols, NULL, border);
	if (header && border)
		put_rule(&b, width, nr_cols, head);
	for (size_t i = 0; i < nr_rows && r == 0; i++) {
		if (i && ruled && border)
			put_rule(&b, width, nr_cols, between);
		put_row(&b, col, width, nr_cols, cells + i * nr_cols, border);
		r = cli_out_buf(&b);
	}
	if (border)
		put_rule(&b, width, nr_cols, bottom);
	return r < 0 ? r : cli_out_buf(&b);
}

int cli_table(const struct cli_column *col, size_t nr_cols, const char *const *cells, size_t nr_rows)
{
	return table(col, nr_cols, cells, nr_rows, false);
}

int cli_table_ruled(const struct cli_column *col, size_t nr_cols, const char *const *cells, size_t nr_rows)
{
	return table(col, nr_cols, cells, nr_rows, true);
}

void cli_time(struct buf *out, int64_t t)
{
	time_t when = (time_t)t;
	char text[64];
	struct tm tm;

	if (when != t || !localtime_r(&when, &tm) || tm.tm_year > 9999 - 1900 || tm.tm_year < -1900 ||
	    !strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm))
		buf_fmt(out, "@%" PRId64, t);
	else
		buf_str(out, text);
}

void cli_note(struct cli_notes *n, const char *path, size_t path_len, const char *fmt, ...)
{
	char q[1024], text[1024];
	va_list ap;

	if (n->nr++ >= CLI_NOTES_MAX)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	cli_error("'%s': %s", log_quote(path, path_len, q, sizeof(q)), text);
}

void cli_notes_end(const struct cli_notes *n)
{
	if (n->nr > CLI_NOTES_MAX)
		cli_error("and %" PRIu64 " more like these", n->nr - CLI_NOTES_MAX);
}
