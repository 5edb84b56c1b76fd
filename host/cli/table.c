/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "common/cleanup.h"
#include "common/utf8.h"
#include "host/cli/cli.h"

/* Columns of a terminal. */
static size_t text_width(const char *s)
{
	const uint8_t *p = (const uint8_t *)s;
	size_t len = strlen(s), width = 0;

	while (len) {
		uint32_t cp;
		size_t n;
		int w;

		if (*p >= 0x20 && *p < 0x7f) {
			width++;
			p++;
			len--;
			continue;
		}
		n = utf8_decode(p, len, &cp);
		w = n ? wcwidth((wchar_t)cp) : 1;
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

#define OUT_BYTES ((size_t)64 << 10)	/* written at once */

void cli_table_measure(struct cli_table *t, const char *const *cells)
{
	for (size_t c = 0; c < t->nr_cols; c++) {
		const size_t w = cells[c] ? text_width(cells[c]) : 0;

		if (w > t->width[c])
			t->width[c] = w;
	}
}

static void table_begin(struct cli_table *t)
{
	static const char *const top[] = { "┌", "─", "┬", "┐" }, *const head[] = { "╞", "═", "╪", "╡" };
	const bool header = !env_set("PROXMOX_OUTPUT_NO_HEADER");

	t->begun = true;
	t->border = !env_set("PROXMOX_OUTPUT_NO_BORDER");
	for (size_t c = 0; c < t->nr_cols && header; c++) {
		const size_t w = text_width(t->col[c].title);

		if (w > t->width[c])
			t->width[c] = w;
	}
	if (t->border)
		put_rule(&t->out, t->width, t->nr_cols, top);
	if (header)
		put_row(&t->out, t->col, t->width, t->nr_cols, NULL, t->border);
	if (header && t->border)
		put_rule(&t->out, t->width, t->nr_cols, head);
}

int cli_table_row(struct cli_table *t, const char *const *cells)
{
	static const char *const between[] = { "├", "─", "┼", "┤" };

	if (!t->begun)
		table_begin(t);
	else if (t->ruled && t->border)
		put_rule(&t->out, t->width, t->nr_cols, between);
	put_row(&t->out, t->col, t->width, t->nr_cols, cells, t->border);
	return t->out.len >= OUT_BYTES ? cli_out_buf(&t->out) : buf_ok(&t->out);
}

int cli_table_end(struct cli_table *t)
{
	static const char *const bottom[] = { "└", "─", "┴", "┘" };

	if (!t->begun)
		table_begin(t);
	if (t->border)
		put_rule(&t->out, t->width, t->nr_cols, bottom);
	return cli_out_buf(&t->out);
}

void cli_table_free(struct cli_table *t)
{
	buf_free(&t->out);
}

static int table(const struct cli_column *col, size_t nr_cols, const char *const *cells, size_t nr_rows, bool ruled)
{
	CLEANUP(cli_table_free) struct cli_table t = { .col = col, .nr_cols = nr_cols, .ruled = ruled };
	int r = 0;

	for (size_t i = 0; i < nr_rows; i++)
		cli_table_measure(&t, cells + i * nr_cols);
	for (size_t i = 0; i < nr_rows && r == 0; i++)
		r = cli_table_row(&t, cells + i * nr_cols);
	return r < 0 ? r : cli_table_end(&t);
}

int cli_table(const struct cli_column *col, size_t nr_cols, const char *const *cells, size_t nr_rows)
{
	return table(col, nr_cols, cells, nr_rows, false);
}

int cli_table_ruled(const struct cli_column *col, size_t nr_cols, const char *const *cells, size_t nr_rows)
{
	return table(col, nr_cols, cells, nr_rows, true);
}
