/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_RESTORE_META_H
#define HOST_RESTORE_META_H

/* Metadata of an entry onto what was created for it. */

#include "common/pxar/entry.h"
#include "host/restore/report.h"

/** meta_flags_early() - the flags that must be there before the data: nocow, compression. */
void meta_flags_early(int fd, uint64_t flags);

/**
 * meta_apply() - owner, xattrs, capabilities, ACLs, mode, time; not the flags
 * @fd: the object itself, opened for work or with O_PATH
 * What fails is noted and counted, the rest is applied. Without the owner there is neither setuid nor capabilities.
 */
void meta_apply(int fd, bool o_path, const struct pxar_entry *e, struct report *r);

/** meta_flags() - chattr flags: the last thing, since immutable files can be neither linked nor changed. */
void meta_flags(int fd, const struct pxar_entry *e, struct report *r);

/** meta_copy() - @e with all that a directory keeps until it is left. Return: one block for free(); NULL without memory. */
struct pxar_entry *meta_copy(const struct pxar_entry *e, size_t *ret_size);

#endif
