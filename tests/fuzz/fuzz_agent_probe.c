/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/btrfs.h"
#include "agent/dynamic.h"
#include "agent/probe.h"

#define SUPER 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void parse_btrfs(const uint8_t *data, size_t len)
{
	static const uint8_t fsid[16] = "0123456789abcdef";
	uint8_t bytes[SUPER];
	struct btrfs_super s;

	if (len < sizeof(bytes))
		return;
	memcpy(bytes, data, sizeof(bytes));
	if (btrfs_parse_super(bytes, &s) == 0 && btrfs_rename_super(bytes, fsid) == 0)
		(void)btrfs_parse_super(bytes, &s);
}

/* Bytes of a volume: from its begin, where backups of ext superblocks lie, or where other file systems have theirs, as the first one says. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const off_t places[] = { 0, 1024, 32768, 65536, 8193 << 10, 131072 << 10, 24577 << 10 };
	struct probe p;
	int fd;

	if (!len)
		return 0;
	parse_btrfs(data + 1, len - 1);
	fd = memfd_create("volume", MFD_CLOEXEC);
	if (fd < 0)
		return 0;
	if (pwrite(fd, data + 1, len - 1, places[data[0] % (sizeof(places) / sizeof(*places))]) == (ssize_t)(len - 1)) {
		(void)probe_fd(fd, &p);
		(void)dynamic_claimed_size(fd);
	}
	(void)close(fd);
	return 0;
}
