/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_HFSPLUS_H
#define AGENT_HFSPLUS_H

/*
 * Resource forks of HFS+, which the kernel's driver does not show: catalog and extents trees read from the device.
 * Everything is big-endian and bounded; a damaged tree is -EUCLEAN.
 */

#include <stddef.h>
#include <stdint.h>

struct hfsplus_extent {
	uint32_t start, count;		/* allocation blocks */
};

struct hfsplus_fork {
	uint64_t size;			/* bytes */
	uint32_t id;			/* of the file */
	uint8_t type;			/* 0: data, 0xff: resource */
	struct hfsplus_extent extent[8];	/* the first ones; further ones are in the extents tree */
};

struct hfsplus {
	int fd;				/* the device, borrowed */
	uint64_t base;			/* of the volume, if it is wrapped in an HFS one */
	uint32_t block_size;
	struct hfsplus_fork extents, catalog;
};

/** hfsplus_open() - Return: 0; -EUCLEAN if there is no HFS+; negative errno. */
int hfsplus_open(int fd, struct hfsplus *ret);

/** hfsplus_resource() - the resource fork of a file. @id: its catalog node id, the driver's inode number. Return: 0; -ENOENT; -EUCLEAN. */
int hfsplus_resource(const struct hfsplus *h, uint32_t id, struct hfsplus_fork *ret);

/** hfsplus_read() - bytes of a fork. Return: 0; -ERANGE beyond its end; -EUCLEAN; negative errno. */
int hfsplus_read(const struct hfsplus *h, const struct hfsplus_fork *f, uint64_t off, void *p, size_t len);

#endif
