/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_SESSION_CONLOG_H
#define HOST_SESSION_CONLOG_H

/*
 * The files that keep what VMs said on their consoles: console.0.log to console.15.log in $XDG_STATE_HOME/pluck (else
 * ~/.local/state/pluck), 0600, of at most CONLOG_BYTES each, escaped. A VM takes the one that was written longest ago and that no
 * other VM has, which its lock tells.
 */

#include <stddef.h>

#include "common/err.h"
#include "host/vm/console.h"

#define CONLOG_FILES 16
#define CONLOG_BYTES 262144

struct conlog;

/**
 * conlog_open() - take a file and begin it with a line that has @title, escaped
 * Return: 0; -ENOENT without a home; -EBUSY all are in use; -EPERM the directory is not ours alone; negative errno.
 */
int conlog_open(const char *title, struct conlog **ret, struct err *err);

/** conlog_path() - absolute. Borrowed. */
const char *conlog_path(const struct conlog *l);

/** conlog_write() - what the console has now takes the place of what is in the file. Return: 0; negative errno. */
int conlog_write(struct conlog *l, const struct console *c);

void conlog_close(struct conlog *l);

#endif
