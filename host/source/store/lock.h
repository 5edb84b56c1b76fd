/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_SOURCE_STORE_LOCK_H
#define HOST_SOURCE_STORE_LOCK_H

/*
 * Locks of a datastore that a server may use at the same time. Two schemes exist: flock on the directory itself (older
 * servers, and pluck among themselves), and flock on a file below /run/proxmox-backup/locks/STORE. The first is always
 * taken; the second too where that directory exists, the server's configuration names our directory, and the file can be
 * opened.
 */

#include <stdbool.h>

#include "common/err.h"

struct buf;

struct lock {
	int dir_fd, file_fd;	/* -1: not held */
	bool weak;		/* the lock that others here look at could not be had */
};
#define LOCK_INIT ((struct lock){ -1, -1, false })

/** lock_release() - NULL-safe and repeatable. */
void lock_release(struct lock *l);

/**
 * lock_take() - lock a group or a snapshot, at once or not at all
 * @base:      real path of the datastore
 * @ns:        namespace
 * @relpath:   "vm/100" or "vm/100/2022-05-02T08:11:33Z"
 * @dir_fd:    the open directory, borrowed (a duplicate is kept)
 * Return: 0, and @ret->weak where the directory cannot be locked or a server that may use it has a lock that we cannot take;
 * -EBUSY if somebody holds it.
 */
int lock_take(const char *base, const char *ns, const char *relpath, int dir_fd, bool exclusive, struct lock *ret,
	      struct err *err);

/**
 * lock_take_store() - the shared lock of a writer on the whole store
 * @base_fd: the datastore's directory
 * @ret_fd:  to be closed when the writer is done
 * Return: 0; -EBUSY while garbage collection runs.
 */
int lock_take_store(int base_fd, int *ret_fd, struct err *err);

/** lock_file_name() - append the escaped name of a lock file for a path such as "vm/100". */
void lock_file_name(const char *relpath, struct buf *out);

#endif
