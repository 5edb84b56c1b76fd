/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_VM_CACHEFILE_H
#define HOST_VM_CACHEFILE_H

/* Small facts about this machine that are dear to find out, kept in ${XDG_CACHE_HOME:-~/.cache}/pluck. Losing them costs time only. */

#include <stddef.h>

#define CACHEFILE_MAX 65536

/**
 * cachefile_read() - what was kept under @name
 * @ret: malloc'ed text
 * Return: 0; -ENOENT and other negative errno; a file of another user is -EPERM.
 */
int cachefile_read(const char *name, char **ret);

/** cachefile_write() - replace it, atomically. Return: 0; negative errno, which callers may ignore. */
int cachefile_write(const char *name, const char *text);

/** cachefile_remove() - forget it. */
void cachefile_remove(const char *name);

/** cachefile_boot_id() - 36 characters and a NUL; differs after each boot of the host. Return: 0; negative errno. */
int cachefile_boot_id(char ret[static 37]);

#endif
