/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/cli/versions.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "host/vm/vm.h"

static const char linux_banner[] = "Linux version ";

/* The word behind "Linux version " in an uncompressed kernel, whose format string of the same beginning is passed over. */
static void find_banner(const char *p, size_t len, struct buf *ret)
{
	const char *end = p + len;

	while (p && p < end && !ret->len) {
		p = memmem(p, (size_t)(end - p), linux_banner, sizeof(linux_banner) - 1);
		if (!p)
			break;
		p += sizeof(linux_banner) - 1;
		for (const char *c = p; c < end && *c > ' ' && *c <= '~' && *c != '%' && *p >= '0' && *p <= '9'; c++)
			buf_u8(ret, (uint8_t)*c);
	}
}

void version_kernel(struct buf *ret)
{
	CLEANUP_FREE char *dir = NULL;
	CLEANUP_CLOSE int fd = -1;
	CLEANUP_BUF struct buf path = BUF_INIT;
	struct stat st;
	char *map;

	if (vm_find_libdir(&dir, NULL) < 0)
		return;
	buf_fmt(&path, "%s/vmlinux", dir);
	fd = buf_cstr(&path) ? open(buf_cstr(&path), O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size <= 0)
		return;
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return;
	find_banner(map, (size_t)st.st_size, ret);
	(void)munmap(map, (size_t)st.st_size);
}

void version_qemu(struct buf *ret)
{
	static const char before[] = "QEMU emulator version ";
	FILE *f = popen("qemu-system-x86_64 --version 2>/dev/null", "re");
	char line[256];

	if (!f)
		return;
	if (fgets(line, sizeof(line), f) && !strncmp(line, before, sizeof(before) - 1)) {
		char *v = line + sizeof(before) - 1;

		buf_add(ret, v, strcspn(v, " \n"));
	}
	(void)pclose(f);
}
