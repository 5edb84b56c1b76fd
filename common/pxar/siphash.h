/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef COMMON_PXAR_SIPHASH_H
#define COMMON_PXAR_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

/** pxar_hash() - SipHash-2-4 of a name under the key of the format; goodbye tables are ordered by it. */
uint64_t pxar_hash(const void *p, size_t len);

#endif
