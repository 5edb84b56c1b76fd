/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_SOURCE_STORE_INDEXED_H
#define HOST_SOURCE_STORE_INDEXED_H

/*
 * The contents of an index: its chunks, found and loaded. Nothing is shared between two loads but the index, which never
 * changes, and a short list of loaders.
 */

#include <pthread.h>

#include "host/source/store/digest.h"
#include "host/source/store/index.h"
#include "host/source/store/loaders.h"
#include "host/source/store/priv.h"

struct indexed {
	struct snapshot *sn;
	struct index index;
	const struct crypt_key *key;		/* NULL: chunks are not encrypted */
	bool sealed;				/* they are, and there is no key: nothing can be loaded */
	struct loaders loaders;
	pthread_mutex_t lock;
	bool zero_known;
	uint8_t zero[2][DIGEST_BYTES];		/* fixed: of a full chunk of zeros, and of the last one */
};

/**
 * indexed_open() - an index of the snapshot, by its stored name
 * @sealed_too: one of encrypted chunks is opened also without their key
 * Return: 0, release it with indexed_close(); -ENOENT; -EINVAL if it is no index; -ENOKEY; -EBADMSG.
 */
int indexed_open(struct snapshot *sn, const char *file, bool sealed_too, struct indexed *ret, struct err *err);
void indexed_close(struct indexed *x);

/** indexed_is_zero() - is chunk @i of a fixed index known to be all zeros? Thread safe. */
bool indexed_is_zero(struct indexed *x, size_t i);

/** indexed_load() - the whole of chunk @i with a loader of the list, as chunk_load(); zeros are not read. */
int indexed_load(struct indexed *x, struct loader *l, size_t i, void *p, struct err *err);

#endif
