/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

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

#define TABLE_COLS_MAX 16
#define OUT_BYTES ((size_t)64 << 10)	/* written at once */

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
		r = b.len >= OUT_BYTES ? cli_out_buf(&b) : buf_ok(&b);
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
