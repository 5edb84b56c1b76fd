/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/hfsplus.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A volume; the resource fork of its file 16 is read, as far as 4096 bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	int fd = memfd_create("volume", MFD_CLOEXEC);
	uint8_t out[4096];
	struct hfsplus_fork f;
	struct hfsplus h;

	if (fd < 0)
		return 0;
	if (write(fd, data, len) == (ssize_t)len && hfsplus_open(fd, &h) == 0 && hfsplus_resource(&h, 16, &f) == 0)
		(void)hfsplus_read(&h, &f, 0, out, f.size < sizeof(out) ? (size_t)f.size : sizeof(out));
	(void)close(fd);
	return 0;
}
