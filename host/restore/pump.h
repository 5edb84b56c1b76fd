/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_RESTORE_PUMP_H
#define HOST_RESTORE_PUMP_H

/* What extraction into directories and into tar have in common: bytes to events, the report, the current path. */

#include "common/buf.h"
#include "host/restore/restore.h"

struct report {
	struct restore_report *r;
	const struct restore_sink *sink;	/* may be NULL */
	struct buf path;		/* of the current entry, without a leading slash */
};

typedef int pump_event_fn(void *arg, const struct pxar_event *ev, struct err *err);

struct pump {
	restore_read_fn *read;
	void *read_arg;
	unsigned int dec_flags;
	const volatile sig_atomic_t *abort;
	pump_event_fn *event;
	void (*broken)(void *arg, int code);	/* may be NULL; the stream failed: the last entry is valid once more */
	void *arg;
};

/** pump_run() - decode the stream to its end. Return: 0 when it was complete; negative errno, also of the event. */
int pump_run(const struct pump *p, struct err *err);

/** report_note() - tell of an entry: the current path plus @name (may be NULL). */
void report_note(struct report *r, const char *name, int code, const char *what);

/** report_push() - the path goes on below @name. */
void report_push(struct report *r, const char *name);

/** report_pop() - back to the parent of the last push. */
void report_pop(struct report *r);

/** report_item_end() - count and tell the error of a DIR_END (which is left) or of the item @last (ITEM_ERROR). */
void report_item_end(struct report *r, const char *last, const struct pxar_event *ev);

#endif
