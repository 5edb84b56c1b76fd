/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_SOURCE_STORE_BACKUP_IMAGE_H
#define HOST_SOURCE_STORE_BACKUP_IMAGE_H

#include <stdint.h>

#include "host/source/store/store.h"

#define BACKUP_CHUNK_BYTES (4u << 20)

/**
 * backup_image() - store the chunks of a disk image
 * @key:      the chunks are encrypted with it; NULL: they are not
 * @progress: called from the caller's thread; may be NULL
 * @stats:    added to
 * @ret_digests: malloc'ed, 32 bytes per chunk;  @ret_size: of the image
 * Return: 0; -EINVAL for an empty image and for what is no file; -EIO if its size changed meanwhile; negative errno.
 */
int backup_image(const struct store *s, const struct backup_input *in, const struct crypt_key *key,
		 backup_progress_fn *progress, void *arg, struct backup_stats *stats, uint8_t **ret_digests,
		 uint64_t *ret_size, struct err *err);

#endif
