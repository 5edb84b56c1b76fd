/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_TABLE_H
#define AGENT_TABLE_H

/* What stands in the partition table of a disk, true or not: as libblkid reads it, and where it finds none, our lenient reader of GPTs. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TABLE_MAX 256		/* entries; further ones are not seen */

struct table_entry {
	unsigned int nr;
	uint64_t start, size;	/* sectors of 512 bytes; size is not 0, and both together fit 64 bits as bytes */
	bool extended;		/* only a container of logical partitions */
	bool ldm;		/* a piece of a Windows dynamic disk, in an MBR */
	char uuid[40], name[256];	/* empty if not known */
};

struct table {
	struct table_entry *v;
	size_t nr;
	bool dynamic;		/* of a Windows dynamic disk (LDM) */
};

void table_free(struct table *t);
#define CLEANUP_TABLE __attribute__((cleanup(table_free)))

/** table_read() - @fd: the disk. Return: 0, also with nothing found; -ENOMEM. */
int table_read(int fd, struct table *ret);

/** table_find() - the entry of a number; NULL. */
const struct table_entry *table_find(const struct table *t, unsigned int nr);

/** table_clip() - how many sectors of an entry lie on a disk of @sectors. */
uint64_t table_clip(const struct table_entry *e, uint64_t sectors);

#endif
