/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_XATTRS_H
#define AGENT_XATTRS_H

/* Extended attributes of any kind of entry, links themselves included. */

#include "agent/native.h"
#include "common/buf.h"
#include "common/pxar/entry.h"

#define XATTRS_MAX 4096		/* attributes of one entry */

struct xattrs {
	struct pxar_xattr *v;	/* names are NUL-terminated; borrow from the rest of this struct */
	size_t nr, room;
	struct buf names, values;
	int error;		/* the first failure: negative errno */
	char what[256];		/* what failed, with a stream's name if it was one */
};

void xattrs_free(struct xattrs *x);

/**
 * xattrs_read() - all that can be read; on NTFS also what the driver does not list, and streams as "user.NAME"
 * @native: of the file system
 * @fd: the entry, open, or -1: then it is found by its name
 * @x: zeroed, or from an earlier call, whose results are dropped
 * Return: 0, also where there can be none; the first error of a list or value, which @x tells of and has the others; -E2BIG over the
 * limits of the archive format; -ENOMEM.
 */
int xattrs_read(struct native *native, int fd, int dirfd, const char *name, struct xattrs *x);

#endif
