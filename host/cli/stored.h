/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_CLI_STORED_H
#define HOST_CLI_STORED_H

/* Files of a snapshot by the names that users give them. */

#include "common/buf.h"
#include "common/err.h"
#include "host/source/store/store.h"

/**
 * stored_find() - the stored name of what @arg names
 * That is the stored name itself, or one without ".fidx", ".didx", ".blob" or ".img.fidx"; X.pxar may be a split archive, of
 * which the metadata stream is given. The manifest and the client's log have names too.
 * @ret: appended to
 * Return: 0; -ENOENT; -ENOMEM.
 */
int stored_find(const struct snapshot *sn, const char *arg, struct buf *ret, struct err *err);

/** stored_without() - Return: length of the name (@len bytes) without @suffix, if it ends so with something before it; else @len. */
size_t stored_without(const char *name, size_t len, const char *suffix);

/** stored_has_suffix() - does the name end so, with something before it? */
bool stored_has_suffix(const char *name, const char *suffix);

/** stored_is_archive() - is it a file archive, or the metadata stream of one? */
bool stored_is_archive(const char *name);

#endif
