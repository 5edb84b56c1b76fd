/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/gpt.h"

#include <stdlib.h>

#include "common/cleanup.h"
#include "common/crc32.h"
#include "common/cur.h"
#include "common/io.h"

#define HEADER_MIN 92
#define BLOCK_MAX 4096
#define ENTRY_SIZE_MIN 128
#define ENTRY_SIZE_MAX 4096

/* The header's checksum is taken with its own field zero. */
static int check_crc(const uint8_t *p, uint32_t size, uint32_t crc)
{
	uint8_t copy[BLOCK_MAX];

	memcpy(copy, p, size);
	memset(copy + 16, 0, 4);
	return crc32_ieee(copy, size) == crc ? 0 : -EBADMSG;
}

int gpt_parse_header(const void *p, size_t len, struct gpt_header *ret)
{
	struct cur c = cur_of(p, len);
	struct gpt_header h;
	const uint8_t *magic;
	uint32_t size, crc;

	/* signature, revision, size, checksum; reserved, own and other position, usable range, disk id; entries */
	if (cur_bytes(&c, 8, &magic) < 0 || memcmp(magic, "EFI PART", 8) != 0 || cur_skip(&c, 4) < 0 ||
	    cur_u32le(&c, &size) < 0 || cur_u32le(&c, &crc) < 0 || cur_skip(&c, 52) < 0 ||
	    cur_u64le(&c, &h.entries_lba) < 0 || cur_u32le(&c, &h.nr_entries) < 0 || cur_u32le(&c, &h.entry_size) < 0 ||
	    cur_u32le(&c, &h.entries_crc) < 0)
		return -EBADMSG;
	if (size < HEADER_MIN || size > len || size > BLOCK_MAX || check_crc(p, size, crc) < 0)
		return -EBADMSG;
	if (!h.nr_entries || h.nr_entries > GPT_ENTRIES_MAX || h.entry_size < ENTRY_SIZE_MIN ||
	    h.entry_size > ENTRY_SIZE_MAX || h.entry_size % 8 || h.entries_lba < 2)
		return -EBADMSG;
	*ret = h;
	return 0;
}

long gpt_parse_entries(const struct gpt_header *h, const void *p, size_t len, struct gpt_part *ret, size_t max)
{
	static const uint8_t unused[16];
	struct cur all = cur_of(p, len);
	size_t nr = 0;

	if (len != (size_t)h->nr_entries * h->entry_size || crc32_ieee(p, len) != h->entries_crc)
		return -EBADMSG;
	for (unsigned int i = 1; i <= h->nr_entries && nr < max; i++) {
		struct gpt_part part = { .nr = i };
		const uint8_t *type;
		struct cur c;

		if (cur_sub(&all, h->entry_size, &c) < 0 || cur_bytes(&c, 16, &type) < 0 || cur_skip(&c, 16) < 0 ||
		    cur_u64le(&c, &part.first_lba) < 0 || cur_u64le(&c, &part.last_lba) < 0)
			return -EBADMSG;
		if (memcmp(type, unused, 16) != 0 && part.first_lba <= part.last_lba)
			ret[nr++] = part;
	}
	return (long)nr;
}

long gpt_read(int fd, struct gpt_part *ret, size_t max, uint32_t *ret_block)
{
	uint8_t block[BLOCK_MAX];

	for (uint32_t size = 512; size <= BLOCK_MAX; size *= 8) {
		CLEANUP_FREE uint8_t *entries = NULL;
		struct gpt_header h;
		uint64_t off;
		size_t len;
		int r = io_pread_full(fd, block, size, size);

		if (r < 0)
			return r;
		if (gpt_parse_header(block, size, &h) < 0 || __builtin_mul_overflow(h.entries_lba, size, &off))
			continue;
		len = (size_t)h.nr_entries * h.entry_size;
		entries = malloc(len);
		if (!entries)
			return -ENOMEM;
		r = io_pread_full(fd, entries, len, off);
		if (r < 0)
			return r;
		*ret_block = size;
		return gpt_parse_entries(&h, entries, len, ret, max);
	}
	return -EBADMSG;
}
