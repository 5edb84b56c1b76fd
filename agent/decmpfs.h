/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_DECMPFS_H
#define AGENT_DECMPFS_H

/*
 * Files that macOS compressed on HFS+ (decmpfs). Their data fork is empty, and so they look to the kernel's driver; size and form stand in
 * the attribute com.apple.decmpfs, the contents behind that or, in blocks of 64 KiB, in the resource fork.
 * Known are zlib, LZVN, LZFSE, and not compressed at all; not LZBITMAP.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/hfsplus.h"

#define DECMPFS_XATTR "osx.com.apple.decmpfs"
#define DECMPFS_BLOCK 65536
#define DECMPFS_HEAD 16
#define DECMPFS_XATTR_MAX 65536

struct decmpfs_head {
	uint32_t type;
	uint64_t size;		/* of the contents */
};

/** decmpfs_parse() - the attribute's first DECMPFS_HEAD bytes. Return: 0; -EBADMSG. */
int decmpfs_parse(const uint8_t *p, size_t len, struct decmpfs_head *ret);

/**
 * decmpfs_decode() - one block
 * @type: of the file; @want: bytes it must give, at most DECMPFS_BLOCK
 * Return: 0; -EUCLEAN; -EOPNOTSUPP for a type that is not known; -ENOMEM.
 */
int decmpfs_decode(uint32_t type, const uint8_t *p, size_t len, uint8_t *ret, size_t want);

struct decmpfs;

/**
 * decmpfs_open() - @fd: the file, borrowed; @dev_fd: the device, taken over; @id: inode number
 * Return: 0; -EOPNOTSUPP, -EUCLEAN, negative errno.
 */
int decmpfs_open(int fd, int dev_fd, uint32_t id, struct decmpfs **ret);
void decmpfs_close(struct decmpfs *d);
uint64_t decmpfs_size(const struct decmpfs *d);

/** decmpfs_read() - some of the bytes at @off. Return: their number, 0 at the end; negative errno. */
ssize_t decmpfs_read(struct decmpfs *d, uint64_t off, void *p, size_t len);

static inline void decmpfs_closep(struct decmpfs **d)
{
	decmpfs_close(*d);
}

#endif
