/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_SOURCE_STORE_BLOB_H
#define HOST_SOURCE_STORE_BLOB_H

/*
 * Data blobs: the form of every chunk and small file in a datastore.
 *
 *   plain, zstd:  magic[8] crc32[4] data
 *   encrypted:    magic[8] crc32[4] iv[16] tag[16] data      AES-256-GCM of the data or of its zstd frame
 *
 * The CRC covers the data alone and guards against rot only. The length of the contents is not stored: every decoder
 * here has a limit.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct buf;
struct crypt_key;
struct blob_codec;

#define BLOB_HEADER 12
#define BLOB_HEADER_CRYPT 44
#define BLOB_CHUNK_MAX (16u << 20)	/* contents of a chunk */
#define BLOB_FILE_MAX (BLOB_CHUNK_MAX + BLOB_HEADER_CRYPT)
#define BLOB_MANIFEST_MAX (16u << 20)

enum blob_kind { BLOB_PLAIN, BLOB_ZSTD, BLOB_CRYPT, BLOB_CRYPT_ZSTD };

/** blob_kind() - what the header says. Return: enum blob_kind; -EBADMSG for too few bytes or an unknown magic. */
int blob_kind(const void *p, size_t len);

static inline bool blob_kind_encrypted(int kind)
{
	return kind == BLOB_CRYPT || kind == BLOB_CRYPT_ZSTD;
}

/** blob_check() - header and CRC alone, without a key. Return: enum blob_kind; -EBADMSG. */
int blob_check(const void *p, size_t len, struct err *err);

/* What decoding and encoding need again and again: one per thread. */
struct blob_codec *blob_codec_new(void);
void blob_codec_free(struct blob_codec *c);

/**
 * blob_decode_exact() - contents whose length is known
 * @key: for encrypted blobs; NULL makes them -ENOKEY
 * @out, @n: filled exactly
 * Return: 0; -EBADMSG for anything malformed, a wrong CRC, a wrong tag or another length; -ENOKEY; -ENOMEM.
 */
int blob_decode_exact(struct blob_codec *c, const void *p, size_t len, const struct crypt_key *key, void *out, size_t n,
		      struct err *err);

/** blob_decode() - contents of unknown length, at most @max bytes, into the empty buffer @out. */
int blob_decode(const void *p, size_t len, const struct crypt_key *key, size_t max, struct buf *out, struct err *err);

/**
 * blob_encode() - replace @out by an unencrypted blob of the bytes: zstd level 1, plain where that is not smaller
 * Return: 0; -ENOMEM; -E2BIG past BLOB_CHUNK_MAX or the buffer's limit.
 */
int blob_encode(struct blob_codec *c, const void *p, size_t n, struct buf *out);

/** blob_encode_key() - the same, encrypted; @key NULL: not encrypted. Return: as blob_encode(); -EIO. */
int blob_encode_key(struct blob_codec *c, const struct crypt_key *key, const void *p, size_t n, struct buf *out);

#endif
