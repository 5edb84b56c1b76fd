/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_CLI_ARCHIVE_OUT_H
#define HOST_CLI_ARCHIVE_OUT_H

/* A whole file archive of a snapshot, into a directory or as a stream. */

#include <stdbool.h>

#include "host/cli/target.h"

struct archive_out {
	const char *where;	/* a directory, made if missing; "-" is standard output */
	const char *format;	/* there: "tar" or "pxar"; NULL: tar */
	bool overwrite, devices, quiet;
	bool keep_going;	/* what cannot be read is left out and told; without it the first such thing ends it */
};

/**
 * archive_out() - restore archive @stored (as archive_resolve() gives it) of an open target, and report
 * The root of the archive gives the directory its metadata. Files appear under their names when they are whole; with
 * keep_going those that are not stay as NAME.partial.
 * Return: the exit status.
 */
int archive_out(struct target *t, const char *stored, const struct archive_out *how);

#endif
