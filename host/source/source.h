/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_SOURCE_SOURCE_H
#define HOST_SOURCE_SOURCE_H

/*
 * A disk image as the host sees it: bytes at offsets. Chunk stores, raw files and filters (cache, overlay) all
 * have this shape; nothing above knows which it is.
 */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct source;

struct source_ops {
	/**
	 * read_at() - exactly @n bytes at @off, within the size; thread safe
	 * Return: 0; -EIO or -EBADMSG when the data is missing or damaged (@err names the chunk and the file); nothing is
	 * said about the buffer then.
	 */
	int (*read_at)(struct source *s, void *p, size_t n, uint64_t off, struct err *err);
	/** is_zero() - is unit @unit known to be all zeros without reading? May be NULL: never. */
	bool (*is_zero)(struct source *s, uint64_t unit);
	/** expect() - byte @off, within the size, is read soon: it may be fetched meanwhile. May be NULL. */
	void (*expect)(struct source *s, uint64_t off);
	void (*close)(struct source *s);
};

struct source {
	const struct source_ops *ops;
	uint64_t size_bytes;
	uint32_t unit_bytes;	/* what one read costs: the chunk size, a power of two, 64 KiB to 16 MiB; raw files 1 MiB */
	int raw_fd;		/* a read-only descriptor of the very bytes, for the device to read itself; -1 if there is none */
};

static inline int source_read_at(struct source *s, void *p, size_t n, uint64_t off, struct err *err)
{
	if (off > s->size_bytes || n > s->size_bytes - off)
		return err_set(err, -ERANGE, "read at %llu", (unsigned long long)off);
	return s->ops->read_at(s, p, n, off, err);
}

static inline bool source_is_zero(struct source *s, uint64_t unit)
{
	return s->ops->is_zero && s->ops->is_zero(s, unit);
}

static inline void source_expect(struct source *s, uint64_t off)
{
	if (s->ops->expect && off < s->size_bytes)
		s->ops->expect(s, off);
}

static inline void source_close(struct source *s)
{
	if (s)
		s->ops->close(s);
}

/**
 * source_open_raw() - a plain file or block device, read-only
 * @fd: taken over, also on failure
 * A length that is no multiple of 512 is kept as it is.
 * Return: 0; negative errno (-EISDIR, -EINVAL for what is neither file nor block device).
 */
int source_open_raw(int fd, struct source **ret, struct err *err);

#endif
