/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef COMMON_SPOOL_H
#define COMMON_SPOOL_H

/*
 * Bytes that are appended one after another and read again at random, in memory that does not grow with them: the
 * first SPOOL_MEMORY stay there, the rest goes to the temporary file of the process (common/spool_file.h).
 */

#include <stddef.h>
#include <stdint.h>

#define SPOOL_MEMORY ((size_t)4 << 20)

struct spool_block;

struct spool {
	uint64_t len;			/* bytes in it */
	struct spool_block *block;
	size_t nr_blocks, nr_made, room;	/* blocks in use; ever made: their places in the file are used again */
};

/** spool_add() - append. Return: 0; -ENOMEM; -ENOSPC and the like from the temporary file; the spool is of no use then. */
int spool_add(struct spool *s, const void *p, size_t n);

/** spool_cut() - forget all behind the first @len bytes. Return: 0; as spool_read(), then the spool is of no use. */
int spool_cut(struct spool *s, uint64_t len);

/** spool_read() - @n bytes from byte @off on. Return: 0; -ERANGE beyond the end; -EIO and the like from the temporary file. */
int spool_read(const struct spool *s, uint64_t off, void *p, size_t n);

/**
 * spool_find() - in a spool of records that begin with a number (uint64_t) and ascend by it
 * @record: the one found, @size bytes as each is
 * Return: 1; 0 if there is none; as spool_read().
 */
int spool_find(const struct spool *s, uint64_t key, void *record, size_t size);

/** spool_free() - the spool is empty and usable again; the file's room comes back at the end of the process. */
void spool_free(struct spool *s);

#endif
