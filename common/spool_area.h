/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef COMMON_SPOOL_AREA_H
#define COMMON_SPOOL_AREA_H

/* Bytes in one piece of which there may be many: in the temporary file (common/spool_file.h), where it has room for them. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Bytes that are written from the first to the last and are memory then: if they are many, a mapping of the temporary
 * file, whose pages the kernel can take back. Where there is none, or no room in it, it is memory of our own.
 */
struct spool_area {
	uint8_t *p;
	size_t len, done;	/* bytes; those written */
	uint64_t at;		/* of the file */
	bool mapped;
};

/** spool_area_new() - @len bytes, not 0. Return: 0, give it back with spool_area_free(); -ENOMEM. */
int spool_area_new(size_t len, struct spool_area *ret);

/** spool_area_add() - the next @n of them. Return: 0; -ERANGE beyond the end; -ENOMEM. */
int spool_area_add(struct spool_area *a, const void *p, size_t n);

/** spool_area_free() - the file's room comes back at the end of the process. */
void spool_area_free(struct spool_area *a);

/* Bytes that are read and written in any order, zeros at first: more than SPOOL_SPACE_MEMORY in the temporary file, where it takes them. */
#define SPOOL_SPACE_MEMORY ((size_t)16 << 20)

struct spool_space {
	uint8_t *memory;	/* NULL: in the file */
	uint64_t len, at;	/* bytes; where they begin in the file */
};

/** spool_space_new() - Return: 0, give it back with spool_space_free(); -ENOMEM. */
int spool_space_new(uint64_t len, struct spool_space *ret);

/** spool_space_read() - Return: 0; -ERANGE beyond the end; -EIO and the like from the temporary file. */
int spool_space_read(const struct spool_space *s, uint64_t off, void *p, size_t n);

/** spool_space_write() - Return: 0; -ERANGE beyond the end; -ENOMEM when neither file nor memory take it; as spool_space_read(). */
int spool_space_write(struct spool_space *s, uint64_t off, const void *p, size_t n);

/** spool_space_free() - the file's room comes back at the end of the process. */
void spool_space_free(struct spool_space *s);

#endif
