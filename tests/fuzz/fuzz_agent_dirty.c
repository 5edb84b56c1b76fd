/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/dirty.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* The first byte chooses a type, the rest is the volume. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const types[] = { "xfs", "ntfs", "f2fs", "ext4", "btrfs", "jfs", "hfsplus", "nilfs2" };
	int fd;

	if (!len)
		return 0;
	fd = memfd_create("volume", MFD_CLOEXEC);
	if (fd < 0)
		return 0;
	if (write(fd, data + 1, len - 1) == (ssize_t)(len - 1))
		(void)dirty_note(fd, types[data[0] % (sizeof(types) / sizeof(*types))]);
	(void)close(fd);
	return 0;
}
