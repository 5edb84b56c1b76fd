/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_SOURCE_STORE_CHUNK_H
#define HOST_SOURCE_STORE_CHUNK_H

/* Chunk files: ".chunks/abcd/abcd...", each one data blob. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "host/source/store/digest.h"

struct blob_codec;
struct crypt_key;

#define CHUNK_PATH (5 + DIGEST_HEX + 1)	/* "abcd/" digest NUL */

/** chunk_path() - path below the chunk directory. Return: @ret. */
char *chunk_path(const uint8_t digest[static DIGEST_BYTES], char ret[static CHUNK_PATH]);

/**
 * chunk_open_file() - a regular file: no symlink, no waiting on what is not a file
 * @max: the largest size accepted
 * Return: the descriptor; -EFBIG; negative errno.
 */
int chunk_open_file(int dirfd, const char *path, size_t max, size_t *ret_len, struct err *err);

/**
 * chunk_read_file() - such a file as a whole
 * @max: the largest size accepted
 * @out: emptied first; its limit must allow @max + 1
 * Return: 0; -EFBIG; negative errno.
 */
int chunk_read_file(int dirfd, const char *path, size_t max, struct buf *out, struct err *err);

/* What loading chunks needs again and again: one per thread. */
struct chunk_loader {
	struct blob_codec *codec;
	struct buf file;
};

/** chunk_loader_init() - Return: 0; -ENOMEM, then there is nothing to free. */
int chunk_loader_init(struct chunk_loader *l);
void chunk_loader_free(struct chunk_loader *l);

/**
 * chunk_load() - the contents of one chunk, every check passed: CRC, kind of encryption, length, digest
 * @chunks_fd: the chunk directory
 * @key:       NULL if the index says that chunks are not encrypted; else chunks must be encrypted
 * @out, @n:   filled exactly
 * Return: 0; -EIO if the chunk is missing or unreadable; -EBADMSG if it is damaged; the text names chunk and file.
 */
int chunk_load(struct chunk_loader *l, int chunks_fd, const uint8_t digest[static DIGEST_BYTES],
	       const struct crypt_key *key, void *out, size_t n, struct err *err);

/**
 * chunk_check_sealed() - what can be said of an encrypted chunk without its key: header, kind and CRC
 * Return: as chunk_load().
 */
int chunk_check_sealed(struct chunk_loader *l, int chunks_fd, const uint8_t digest[static DIGEST_BYTES],
		       struct err *err);

#endif
