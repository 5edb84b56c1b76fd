/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_SOURCE_STORE_PUT_H
#define HOST_SOURCE_STORE_PUT_H

/* Writing into a datastore: files appear whole, under their final name. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"
#include "host/source/store/digest.h"

struct blob_codec;
struct crypt_key;
struct buf;
struct store;

/** put_dir() - make a directory (0755) if it is missing. @ret_new: was it made? May be NULL. Return: 0; negative errno. */
int put_dir(const struct store *s, int dirfd, const char *name, bool *ret_new, struct err *err);

/**
 * put_file() - a file with these contents
 * @tmp: name of the temporary file beside it
 * Return: 0; negative errno, then nothing is left.
 */
int put_file(const struct store *s, int dirfd, const char *name, const char *tmp, const void *p, size_t n,
	     struct err *err);

/**
 * put_chunk() - make sure that a chunk is in the store
 * @key:       to encrypt it with; NULL: it is not
 * @digest:    with the key, if there is one
 * @p, @n:    contents, 1 byte to 16 MiB
 * @codec, @room: what encoding needs, one per thread
 * @ret_new_bytes: bytes written; 0 if the chunk was there already (its access time is set then, which keeps it from
 *            being collected)
 * An existing file that is empty, or no blob of the right kind (encrypted or not), is replaced.
 * Return: 0; negative errno.
 */
int put_chunk(const struct store *s, struct blob_codec *codec, struct buf *room, const struct crypt_key *key,
	      const uint8_t digest[static DIGEST_BYTES], const void *p, size_t n, uint64_t *ret_new_bytes, struct err *err);

#endif
