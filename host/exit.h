/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_EXIT_H
#define HOST_EXIT_H

/* Exit codes of pluck: scripts trust them. */

#include "common/err.h"

enum exit_code {
	EXIT_OK = 0,		/* complete */
	EXIT_PARTIAL = 1,	/* done, but something was left out; stderr says what */
	EXIT_USAGE = 2,
	EXIT_NOT_FOUND = 3,	/* no such snapshot, archive, path, session */
	EXIT_ACCESS = 4,	/* credentials, key, permission */
	EXIT_DAMAGED = 5,	/* data that is malformed or fails its checks */
	EXIT_VM = 6,		/* the VM could not start or died */
	EXIT_TARGET = 7,	/* the target cannot be written */
	EXIT_TIMEOUT = 8,
	EXIT_NETWORK = 9,	/* server or network */
	EXIT_SIGINT = 130,
	EXIT_SIGTERM = 143,
};

/**
 * exit_from_errno() - exit code of an error when nothing more is known
 * ENOENT ENOTDIR ENODEV -> 3; EACCES EPERM ENOKEY EKEYREJECTED -> 4; EBADMSG EPROTO ENODATA EIO EUCLEAN -> 5;
 * ENOSPC EDQUOT EROFS -> 7; ETIMEDOUT -> 8; ECONN* EHOST* -> 9; EHOSTDOWN (the VM) -> 6; EINVAL -> 2; else 1.
 */
enum exit_code exit_from_errno(int code);

#endif
