/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/gpt.h"
#include "agent/table.h"
#include "common/crc32.h"
#include "common/cur.h"

#define DISK_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

/* Right checksums for the primary GPT of a disk with blocks of @block bytes, as far as it goes. */
static void seal(uint8_t *disk, size_t len, size_t block)
{
	uint64_t lba;
	uint32_t size, nr, entry;
	struct cur c = cur_of(disk, len);

	if (cur_skip(&c, block + 12) < 0 || cur_u32le(&c, &size) < 0 || cur_skip(&c, 56) < 0 || cur_u64le(&c, &lba) < 0 ||
	    cur_u32le(&c, &nr) < 0 || cur_u32le(&c, &entry) < 0 || cur_skip(&c, 4) < 0)
		return;
	if (lba < len / block && (uint64_t)nr * entry <= len - lba * block)
		put32(disk + block + 88, crc32_ieee(disk + lba * block, (size_t)nr * entry));
	if (size > len - block)
		return;
	put32(disk + block + 16, 0);
	put32(disk + block + 16, crc32_ieee(disk + block, size));
}

/* A disk; its first byte says whether the checksums of a GPT in blocks of 512 or 4096 bytes are made right. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static uint8_t disk[DISK_MAX];
	struct table t = { 0 };
	int fd;

	if (!len || len - 1 > sizeof(disk))
		return 0;
	fd = memfd_create("disk", MFD_CLOEXEC);
	if (fd < 0)
		return 0;
	memcpy(disk, data + 1, len - 1);
	if (data[0] & 1)
		seal(disk, len - 1, data[0] & 2 ? 4096 : 512);
	if (write(fd, disk, len - 1) == (ssize_t)(len - 1) && table_read(fd, &t) == 0)
		for (size_t i = 0; i < t.nr; i++)
			if (!t.v[i].nr || !t.v[i].size || t.v[i].start + t.v[i].size > UINT64_MAX / 512 ||
			    table_clip(&t.v[i], (len - 1) / 512) > (len - 1) / 512)
				abort();
	table_free(&t);
	(void)close(fd);
	return 0;
}
