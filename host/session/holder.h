/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_SESSION_HOLDER_H
#define HOST_SESSION_HOLDER_H

/* The process behind HASH.live, for a session that does not understand us. */

#include "common/err.h"

/**
 * holder_open() - the process that HASH.live names
 * It must be ours and must hold the lock on that file: a pid alone may be anybody's by now.
 * Return: a pidfd; -ENOENT there is no such process; -ESRCH it is not the holder; -EPERM it is not ours; negative errno.
 */
int holder_open(int dir, const char *hash);

/** holder_signal() - Return: 0; negative errno. */
int holder_signal(int pidfd, int sig);

#endif
