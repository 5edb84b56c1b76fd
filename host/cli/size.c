/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/cli/size.h"

#include "common/buf.h"

void cli_size(struct buf *out, uint64_t bytes)
{
	static const char units[][4] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double v = (double)bytes;
	unsigned int unit = 0;

	if (bytes < 1024) {
		buf_fmt(out, "%u B", (unsigned int)bytes);
		return;
	}
	while (v >= 1024 && unit < 6) {
		v /= 1024;
		unit++;
	}
	buf_fmt(out, "%.3f", v);
	while (out->len && !buf_ok(out) && out->data[out->len - 1] == '0')
		out->len--;
	if (out->len && out->data[out->len - 1] == '.')
		out->len--;
	buf_fmt(out, " %s", units[unit]);
}
