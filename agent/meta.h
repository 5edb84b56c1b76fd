/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_META_H
#define AGENT_META_H

/* An entry's metadata in the form the archive takes. */

#include <sys/stat.h>

#include "agent/xattrs.h"

struct meta {
	struct native *native;		/* of the file system, borrowed */
	struct xattrs all;		/* as read */
	struct pxar_xattr *keep;	/* those that go out */
	size_t keep_room;
	struct pxar_acl_entry *acls;
	size_t acls_room;
	int error;			/* first failure: negative errno */
	const char *what;
};

void meta_free(struct meta *m);

/** meta_stat() - kind, mode, owner, time, size, device numbers. */
void meta_stat(const struct statx *st, struct pxar_entry *ret);

/**
 * meta_attrs() - xattrs, ACLs, capabilities
 * @fd: the entry, open, or -1: then it is found by its name
 * @ext: also those that official archives leave out
 * @ret: has its mode; borrows from @m until the next call. Failures stand in @m, the rest is filled in all the same.
 */
void meta_attrs(struct meta *m, int fd, int dirfd, const char *name, bool ext, struct pxar_entry *ret);

/** meta_flags() - attribute flags and project id of an open file or directory. */
void meta_flags(int fd, struct pxar_entry *ret);

#endif
