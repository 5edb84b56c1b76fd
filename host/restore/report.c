/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/restore/report.h"

void report_push(struct report *r, const char *name)
{
	buf_str(&r->path, name);
	buf_u8(&r->path, '/');
}

void report_pop(struct report *r)
{
	if (r->path.len)
		r->path.len--;
	while (r->path.len && r->path.data[r->path.len - 1] != '/')
		r->path.len--;
}

void report_note(struct report *r, const char *name, int code, const char *what)
{
	const size_t len = r->path.len;

	if (!r->sink || !r->sink->note)
		return;
	if (name)
		buf_str(&r->path, name);
	else if (len)
		r->path.len--;
	r->sink->note(r->sink->arg, r->path.len ? (const char *)r->path.data : "", r->path.len, code, what);
	r->path.len = len;
}
