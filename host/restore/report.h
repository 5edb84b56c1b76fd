/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_RESTORE_REPORT_H
#define HOST_RESTORE_REPORT_H

/* What became of the entries, and the path of the one at hand. */

#include "common/buf.h"
#include "host/restore/restore.h"

struct report {
	struct restore_report *r;
	const struct restore_sink *sink;	/* may be NULL */
	struct buf path;		/* of the current directory: "" or with a slash at the end, none in front */
};

/** report_note() - tell of an entry: the current path plus @name; NULL: of the current directory itself. */
void report_note(struct report *r, const char *name, int code, const char *what);

/** report_push() - the path goes on below @name. */
void report_push(struct report *r, const char *name);

/** report_pop() - back to the parent of the last push. */
void report_pop(struct report *r);

#endif
