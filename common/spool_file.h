/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef COMMON_SPOOL_FILE_H
#define COMMON_SPOOL_FILE_H

/*
 * The one temporary file of the process, in $TMPDIR or /var/tmp, without a name and gone with the process. Whoever needs room in it takes a
 * part that nobody else has; what was taken is not given back. For spools and areas (common/spool.h, common/spool_area.h).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPOOL_BLOCK ((size_t)256 << 10)

/**
 * spool_file_prepare() - opens the temporary file, in $TMPDIR or /var/tmp, if it is not open yet
 * For a process that may open nothing later on; others need not call it. Without the file, spools stay in memory.
 */
void spool_file_prepare(void);

/** spool_file_has() - is there one? It is opened now, unless spool_file_prepare() was called. */
bool spool_file_has(void);

/** spool_file_take() - Return: where a part of @len bytes begins, a multiple of SPOOL_BLOCK. */
uint64_t spool_file_take(uint64_t len);

/** spool_file_write() - Return: 0; -ENOSPC and the like. */
int spool_file_write(uint64_t off, const uint8_t *p, size_t len);

/** spool_file_read() - what was never written is zeros. Return: 0; -EIO and the like. */
int spool_file_read(uint64_t off, uint8_t *p, size_t len);

/** spool_file_map() - to be read; unmap it with munmap(). Return: NULL if it cannot be. */
const void *spool_file_map(uint64_t off, size_t len);

#endif
