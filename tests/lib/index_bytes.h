/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_LIB_INDEX_BYTES_H
#define TESTS_LIB_INDEX_BYTES_H

/* An index out of memory, read as from any file. */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/source/store/index.h"

/** index_of_bytes() - Return: as index_read(); -ENOMEM when there is no file in memory. */
static inline int index_of_bytes(const void *p, size_t len, bool is_fixed, struct index *ret, struct err *err)
{
	const int fd = memfd_create("index", MFD_CLOEXEC);
	int r = -ENOMEM;

	if (fd >= 0 && pwrite(fd, p, len, 0) == (ssize_t)len)
		r = index_read(fd, len, is_fixed, ret, err);
	if (fd >= 0)
		(void)close(fd);
	return r;
}

#endif
