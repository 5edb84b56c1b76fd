/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_NATIVE_H
#define AGENT_NATIVE_H

/* What a file system has and its driver does not show: read from the device beside the mount. */

#include <stdbool.h>
#include <sys/stat.h>

#include "agent/agent.h"
#include "agent/decmpfs.h"
#include "agent/ntfs.h"

struct native {
	enum { NATIVE_NONE, NATIVE_NTFS, NATIVE_HFSPLUS } kind;
	char dev[AGENT_DEV_MAX];
	struct ntfs *ntfs;		/* opened when it is needed first */
	int error;			/* it could not be */
};

/** native_begin() - for the file system that @root_fd is on. Looks only at its type. */
void native_begin(struct native *n, int root_fd);
void native_end(struct native *n);

/** native_ntfs() - Return: 0 with the volume, borrowed; negative errno. */
int native_ntfs(struct native *n, struct ntfs **ret);

/**
 * native_readlink() - readlinkat(), also of links that the driver cannot read
 * @ino: inode number of the link
 * Return: as readlinkat(), but negative errno.
 */
ssize_t native_readlink(struct native *n, int dirfd, const char *name, uint64_t ino, char *ret, size_t room);

/**
 * native_stat() - mend what the driver says of a file that macOS compressed: it has a size
 * @fd: the entry, open; -1: it is found by @dirfd and @name
 */
void native_stat(const struct native *n, int fd, int dirfd, const char *name, struct statx *st);

/**
 * native_decoder() - for an open file whose contents the driver does not show, though they are there
 * Return: 0, with NULL in @ret if it needs none; -EOPNOTSUPP for a compression that is not known, -EUCLEAN, negative errno, with what
 * that means in @ret_what.
 */
int native_decoder(const struct native *n, int fd, const struct statx *st, struct decmpfs **ret, const char **ret_what);

/** native_open_failed() - a file cannot be opened for @error. Return: what that means, static. */
const char *native_open_failed(int error);

/**
 * native_check_data() - does what the driver gives as this open file's contents stand for them?
 * Return: 0; -EREMOTE with a reason in @ret_what if they are somewhere else; negative errno.
 */
int native_check_data(struct native *n, int fd, const struct statx *st, const char **ret_what);

#endif
