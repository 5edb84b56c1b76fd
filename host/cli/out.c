/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/jsonw.h"
#include "common/log.h"
#include "common/utf8.h"
#include "host/cli/cli.h"

static const char *prefix = "pluck: ";
static int out_failed;	/* negative errno of the first write to stdout that failed */

void cli_error_prefix(const char *text)
{
	prefix = text;
}

/* What a terminal shows as it is stays, the rest becomes \xHH. In sentences lines go on indented, and backslashes stay. */
static void escape(struct buf *out, const uint8_t *p, size_t len, bool in_sentence)
{
	while (len) {
		uint32_t cp;
		size_t n = utf8_decode(p, len, &cp);

		if (n && cp == '\\' && !in_sentence) {
			buf_str(out, "\\\\");
		} else if (n && cp == '\n' && in_sentence) {
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

void cli_escape(struct buf *out, const void *bytes, size_t len)
{
	escape(out, bytes, len, false);
}

/* Our own text: quoted parts are escaped already. */
static void add_sentence(struct buf *out, const char *text)
{
	size_t len = strlen(text);

	while (len && text[len - 1] == '\n')
		len--;
	escape(out, (const uint8_t *)text, len, true);
}

static bool json_lines;

void cli_json_lines(void)
{
	json_lines = true;
}

bool cli_has_json_lines(void)
{
	return json_lines;
}

void cli_json_line(struct buf *line)
{
	buf_u8(line, '\n');
	if (buf_ok(line) == 0)
		(void)fwrite(line->data, 1, line->len, stderr);
	buf_reset(line);
}

void cli_json_text(const char *type, const char *text)
{
	CLEANUP_BUF struct buf line = BUF_INIT;
	struct jsonw w = JSONW(&line);

	jsonw_object_begin(&w);
	jsonw_key_string(&w, "type", type);
	jsonw_key_bytes(&w, "text", text, strlen(text));
	jsonw_object_end(&w);
	cli_json_line(&line);
}

static void verror(const char *fmt, va_list ap)
{
	CLEANUP_BUF struct buf line = BUF_INIT;
	char text[4096];

	cli_progress_end();
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		return;
	if (json_lines) {
		cli_json_text("message", text);
		return;
	}
	buf_str(&line, prefix);
	add_sentence(&line, text);
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
	if (len && fwrite(p, 1, len, stdout) != len)	/* an empty buffer has no bytes to point at */
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

int cli_out_flush(void)
{
	errno = EIO;
	if (fflush(stdout) != 0 && !out_failed)
		out_failed = -errno;
	return out_failed;
}

int cli_out_end(int status)
{
	cli_progress_end();
	(void)cli_out_flush();
	if (!out_failed && ferror(stdout))
		out_failed = -EIO;
	if (!out_failed)
		return status;
	if (out_failed == -EPIPE)
		return status > EXIT_PARTIAL ? status : EXIT_PARTIAL;
	cli_error("write to standard output: %s", strerror(-out_failed));
	return EXIT_TARGET;
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

static void json_problem(const char *path, size_t path_len, const char *what)
{
	CLEANUP_BUF struct buf line = BUF_INIT;
	struct jsonw w = JSONW(&line);

	jsonw_object_begin(&w);
	jsonw_key_string(&w, "type", "problem");
	jsonw_key_b64(&w, "path", path, path_len);
	jsonw_key_bytes(&w, "text", path, path_len);
	jsonw_key_string(&w, "what", what);
	jsonw_object_end(&w);
	cli_json_line(&line);
}

void cli_note(struct cli_notes *n, const char *path, size_t path_len, const char *fmt, ...)
{
	char q[1024], text[1024];
	va_list ap;

	if (n->nr++ >= CLI_NOTES_MAX && !json_lines)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (json_lines) {
		json_problem(path, path_len, text);
		return;
	}
	cli_error("'%s': %s", log_quote(path, path_len, q, sizeof(q)), text);
}

void cli_notes_end(const struct cli_notes *n)
{
	if (n->nr > CLI_NOTES_MAX && !json_lines)
		cli_error("and %" PRIu64 " more like these", n->nr - CLI_NOTES_MAX);
}
