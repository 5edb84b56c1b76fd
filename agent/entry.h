/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_ENTRY_H
#define AGENT_ENTRY_H

#include <sys/stat.h>

#include "agent/native.h"
#include "common/jsonw.h"

/** entry_type() - the letter of wire.h for a mode. */
char entry_type(unsigned int mode);

/**
 * entry_fields() - the members of ENTRY for one entry, without braces
 * @native: of its file system
 * @dirfd, @name: where a symbolic link is read
 * @st:    NULL if it could not be examined
 * @error: negative errno, or 0; @what: what failed
 * Return: whether the entry carries an error.
 */
bool entry_fields(struct native *native, struct jsonw *w, const char *path, size_t path_len, int dirfd,
		  const char *name, const struct statx *st, int error, const char *what);

/** entry_mtime() - floor of seconds, and nanoseconds. ntfs3 gives negative ones before 1970. */
void entry_mtime(const struct statx *st, int64_t *ret_s, uint32_t *ret_ns);

/** entry_error() - "error":{"name","text"} */
void entry_error(struct jsonw *w, int error, const char *what);

#endif
