/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/exit.h"

#include <errno.h>

enum exit_code exit_from_errno(int code)
{
	switch (code < 0 ? -code : code) {
	case 0:
		return EXIT_OK;
	case ENOENT:
	case ENOTDIR:
	case ENODEV:
		return EXIT_NOT_FOUND;
	case EACCES:
	case EPERM:
	case ENOKEY:
	case EKEYREJECTED:
		return EXIT_ACCESS;
	case EBADMSG:
	case EPROTO:
	case ENODATA:
	case EIO:
	case EUCLEAN:
		return EXIT_DAMAGED;
	case ENOSPC:
	case EDQUOT:
	case EROFS:
		return EXIT_TARGET;
	case ETIMEDOUT:
		return EXIT_TIMEOUT;
	case EHOSTDOWN:
		return EXIT_VM;
	case ECONNREFUSED:
	case ECONNRESET:
	case ECONNABORTED:
	case EHOSTUNREACH:
		return EXIT_NETWORK;
	case EINVAL:
	case EISDIR:
		return EXIT_USAGE;
	default:
		return EXIT_PARTIAL;
	}
}
