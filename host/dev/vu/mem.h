/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_DEV_VU_MEM_H
#define HOST_DEV_VU_MEM_H

/*
 * Where guest memory lies for us. Guest RAM is one memfd that the session made and that we mapped once; QEMU's memory
 * table only says which part of it stands at which guest physical address and at which address in QEMU. Nothing that
 * QEMU sends is ever mapped.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "common/err.h"

#define VU_REGIONS_MAX 8

struct vu_region {
	uint64_t gpa;		/* guest physical address */
	uint64_t size_bytes;
	uint64_t uva;		/* address in QEMU: ring addresses are given so */
	uint64_t off;		/* offset in the RAM memfd */
};

/* Guest RAM as a whole: shared by all devices of a VM. */
struct vu_ram {
	uint8_t *base;
	uint64_t size_bytes;
	uint64_t dev, ino;	/* identity of the memfd */
};

struct vu_mem {
	const struct vu_ram *ram;	/* borrowed */
	struct vu_region region[VU_REGIONS_MAX];
	size_t nr_regions;
};

/** vu_mem_set() - replace the table; nothing changes on failure. Return: 0; -EPROTO with the field named. */
int vu_mem_set(struct vu_mem *m, const struct vu_region *regions, size_t nr, struct err *err);

/** vu_mem_check_fd() - is @fd the guest RAM memfd? Return: 0; -EPROTO. */
int vu_mem_check_fd(const struct vu_mem *m, int fd, struct err *err);

/** vu_mem_gpa() - guest physical range, which must lie in one region. Return: NULL if it does not. */
void *vu_mem_gpa(const struct vu_mem *m, uint64_t gpa, uint64_t len);

/** vu_mem_uva() - the same for an address in QEMU. */
void *vu_mem_uva(const struct vu_mem *m, uint64_t uva, uint64_t len);

/** vu_iov_get() - copy out of a list of ranges, from byte @off on. Return: bytes copied (less than @len at the end). */
size_t vu_iov_get(const struct iovec *iov, size_t nr, size_t off, void *ret, size_t len);

/** vu_iov_put() - copy into a list of ranges. Return: bytes copied. */
size_t vu_iov_put(const struct iovec *iov, size_t nr, size_t off, const void *p, size_t len);

/** vu_iov_zero() - fill with zeros. Return: bytes filled. */
size_t vu_iov_zero(const struct iovec *iov, size_t nr, size_t off, size_t len);

/** vu_iov_slice() - the part [@off, @off + @len) as a list of its own; @ret has room for @nr. Return: its ranges. */
size_t vu_iov_slice(const struct iovec *iov, size_t nr, size_t off, size_t len, struct iovec *ret);

#endif
