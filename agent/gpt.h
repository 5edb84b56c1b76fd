/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_GPT_H
#define AGENT_GPT_H

/*
 * A lenient reader of primary GPTs, for disks that were cut short: the kernel and libblkid refuse a table whose last
 * usable block is beyond the disk's end. Checksums must be right all the same.
 */

#include <stddef.h>
#include <stdint.h>

#define GPT_ENTRIES_MAX 1024

struct gpt_header {
	uint64_t entries_lba;
	uint32_t nr_entries, entry_size, entries_crc;
};

struct gpt_part {
	unsigned int nr;
	uint64_t first_lba, last_lba;	/* last: inclusive */
};

/** gpt_parse_header() - Return: 0; -EBADMSG. */
int gpt_parse_header(const void *p, size_t len, struct gpt_header *ret);

/**
 * gpt_parse_entries() - the used entries
 * @p, @len: all entries, nr_entries * entry_size bytes
 * @ret, @max: room; Return: how many; -EBADMSG.
 */
long gpt_parse_entries(const struct gpt_header *h, const void *p, size_t len, struct gpt_part *ret, size_t max);

/** gpt_read() - the table of a disk. @ret_block: bytes of a block. Return: number of partitions; negative errno. */
long gpt_read(int fd, struct gpt_part *ret, size_t max, uint32_t *ret_block);

#endif
