/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/dynamic.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/disk.h"
#include "agent/part.h"
#include "common/cleanup.h"
#include "common/cur.h"
#include "common/io.h"

uint64_t dynamic_claimed_size(int fd)
{
	uint8_t bytes[512];
	struct cur c = cur_of(bytes, sizeof(bytes));
	const uint8_t *name;
	uint16_t sector, small;
	uint32_t large;
	uint64_t ntfs;

	/* name at 3, bytes of a sector at 11, FAT's sectors at 19 or 32, NTFS's at 40 */
	if (io_pread_full(fd, bytes, sizeof(bytes), 0) < 0 || cur_skip(&c, 3) < 0 || cur_bytes(&c, 8, &name) < 0 ||
	    cur_u16le(&c, &sector) < 0 || cur_skip(&c, 6) < 0 || cur_u16le(&c, &small) < 0 || cur_skip(&c, 11) < 0 ||
	    cur_u32le(&c, &large) < 0 || cur_skip(&c, 4) < 0 || cur_u64le(&c, &ntfs) < 0)
		return 0;
	if (!memcmp(name, "NTFS    ", 8))
		return ntfs <= UINT64_MAX / 65536 ? ntfs * sector : UINT64_MAX;
	return bytes[510] == 0x55 && bytes[511] == 0xaa ? (uint64_t)(small ? small : large) * sector : 0;
}

/* The disk that a partition is on. */
static int parent(const char *dev, char ret[static AGENT_DEV_MAX])
{
	char path[64], target[512], *slash;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/sys/class/block/%s", dev);
	n = readlink(path, target, sizeof(target) - 1);
	if (n <= 0)
		return -ENOENT;
	target[n] = 0;
	slash = strrchr(target, '/');
	if (!slash)
		return -ENOENT;
	*slash = 0;
	slash = strrchr(target, '/');
	if (!slash || strlen(slash + 1) >= AGENT_DEV_MAX)
		return -ENOENT;
	strcpy(ret, slash + 1);
	return 0;
}

bool dynamic_piece(const char *dev)
{
	CLEANUP_CLOSE int fd = -1;
	char disk[AGENT_DEV_MAX];
	uint64_t nr, size;

	if (disk_sys_u64(dev, "partition", &nr) < 0 || parent(dev, disk) < 0 || !part_table_is_dynamic(disk))
		return false;
	fd = disk_open(dev);
	return fd >= 0 && disk_size(dev, &size) == 0 && dynamic_claimed_size(fd) > size;
}
