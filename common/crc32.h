/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef COMMON_CRC32_H
#define COMMON_CRC32_H

#include <stddef.h>
#include <stdint.h>

/** crc32_ieee() - CRC-32 of IEEE 802.3 (reflected, all ones in and out), as zlib and gzip have it. */
uint32_t crc32_ieee(const void *p, size_t len);

#endif
