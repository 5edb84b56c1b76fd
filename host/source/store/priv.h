/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_SOURCE_STORE_PRIV_H
#define HOST_SOURCE_STORE_PRIV_H

/* What the files of the datastore share among themselves. */

#include "host/source/store/key.h"
#include "host/source/store/lock.h"
#include "host/source/store/manifest.h"
#include "host/source/store/names.h"
#include "host/source/store/store.h"

struct store {
	char *path;		/* real path */
	int fd, chunks_fd;
	uid_t uid;		/* owner of the directory */
	gid_t gid;
	enum store_lock lock;
};

struct snapshot {
	struct store *store;
	struct snapshot_name name;
	struct lock lock;
	struct manifest *manifest;
	int fd;
	bool sealed;		/* opened without regard to keys */
	bool has_key;
	struct crypt_key key;
};

/**
 * store_open_dir() - a directory beneath the datastore
 * @ns:      namespace, checked here
 * @relpath: "vm", "vm/100", ...: made of checked names
 * Return: descriptor; -EINVAL for a bad namespace; -ENOENT.
 */
int store_open_dir(const struct store *s, const char *ns, const char *relpath, struct err *err);

/** store_denied() - err_set(), and for -EACCES who may read the store. Return: @code. */
int store_denied(const struct store *s, int code, const char *what, struct err *err);

#endif
