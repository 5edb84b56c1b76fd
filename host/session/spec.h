/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_SESSION_SPEC_H
#define HOST_SESSION_SPEC_H

/* The spec of a session: checked, hashed, and carried to the session process as JSON. */

#include <stddef.h>

#include "common/err.h"
#include "common/jsonw.h"
#include "host/session/session.h"
#include "host/session/state.h"

#define SPEC_JSON_MAX (1u << 20)
#define SPEC_MEMORY_MIB 128
#define SPEC_MEMORY_MIN_MIB 64
#define SPEC_MEMORY_MAX_MIB 65536
#define SPEC_IDLE_S 600

/** spec_check() - names, number of disks, memory. Return: 0; -EINVAL, -E2BIG with the reason. */
int spec_check(const struct session_spec *spec, struct err *err);

/**
 * spec_hash() - under which files the session for @spec is found
 * Over the repository's real path, the snapshot directory's identity and the archives; or over name, device, inode, size and time of
 * change of the plain files, in any order. And over the options for mounts.
 * Return: 0; -ENOENT and others when a file or the repository is not there.
 */
int spec_hash(const struct session_spec *spec, char ret[static STATE_HASH_LEN + 1], struct err *err);

/** spec_open_state() - the state directory, and the hash under which the session for a checked spec is there. Return: the descriptor; negative errno. */
int spec_open_state(const struct session_spec *spec, char ret_hash[static STATE_HASH_LEN + 1], struct err *err);

/** spec_to_json() - malloc'ed text with absolute paths, without the key. NULL without memory. */
char *spec_to_json(const struct session_spec *spec);

/** spec_tell_disks() - "disks":[NAME...] into an open JSON object. */
void spec_tell_disks(const struct session_spec *spec, struct jsonw *w);

struct spec_copy;
/** spec_from_json() - the reverse. Return: 0; -EBADMSG, -EINVAL. */
int spec_from_json(const char *text, size_t len, struct spec_copy **ret, struct err *err);
/** spec_copy_set_key() - a data key of KEY_BYTES, copied to locked memory and wiped by spec_copy_free(). Return: 0; -EIO. */
int spec_copy_set_key(struct spec_copy *c, const void *data, struct err *err);
/** spec_copy_get() - borrowed until spec_copy_free(). */
const struct session_spec *spec_copy_get(const struct spec_copy *c);
void spec_copy_free(struct spec_copy *c);

static inline void spec_copy_freep(struct spec_copy **c)
{
	spec_copy_free(*c);
}

#endif
