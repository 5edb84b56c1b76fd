/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_FSTYPE_H
#define AGENT_FSTYPE_H

/*
 * Which file system driver mounts what libblkid found, and with which options: never replay a journal, never trust
 * the superblock's error policy, names as UTF-8.
 */

#include <stdbool.h>
#include <stddef.h>

#include "agent/note.h"

#define FSTYPE_DEGRADED "a device of it is missing: what lies there alone cannot be read"

#define FSTYPE_ATTEMPTS 5

#define FSTYPE_CORESTORAGE "CoreStorage"	/* blkid does not know it */

struct fstype {
	const char *type;		/* blkid's name */
	const char *version;		/* only with this version; NULL: any */
	const char *driver;		/* the kernel's name */
	const char *options[FSTYPE_ATTEMPTS];	/* tried in order; NULL ends them */
	const char *hint;		/* shown when all fail; NULL: none */
};

/** fstype_find() - Return: the first row of the type; NULL if it is nothing that we mount. */
const struct fstype *fstype_find(const char *type);

/** fstype_find_version() - the row for a type and version. */
const struct fstype *fstype_find_version(const char *type, const char *version);

/**
 * fstype_reason() - why a volume of a type that is no file system is not opened
 * Return: static text; NULL where the type says it all (swap), or nothing is known of it.
 */
const char *fstype_reason(const char *type);

/** fstype_option_notes() - what follows for the reader from options that a mount succeeded with. @note: as note_add() has it. */
void fstype_option_notes(const char *options, char *note);

/** fstype_in_kernel() - does the running kernel have the driver? */
bool fstype_in_kernel(const char *driver);

#endif
