/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "host/restore/pump.h"

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

void report_item_end(struct report *r, const char *last, const struct pxar_event *ev)
{
	const bool dir = ev->type == PXAR_EV_DIR_END;

	if (ev->error.code && dir)
		r->r->incomplete++;
	else if (ev->error.code)
		r->r->meta_failed++;
	if (ev->error.code)
		report_note(r, dir ? NULL : last, ev->error.code, dir ? "directory not read whole" : "metadata not read whole");
	if (dir)
		report_pop(r);
}
