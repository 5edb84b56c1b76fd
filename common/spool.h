/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef COMMON_SPOOL_H
#define COMMON_SPOOL_H

/*
 * Bytes that are appended one after another and read again at random, in memory that does not grow with them: the
 * first SPOOL_MEMORY stay there, the rest goes to one temporary file of the process. It has no name and is gone with the process.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPOOL_MEMORY ((size_t)4 << 20)

struct spool_block;

struct spool {
	uint64_t len;			/* bytes in it */
	struct spool_block *block;
	size_t nr_blocks, nr_made, room;	/* blocks in use; ever made: their places in the file are used again */
};

/**
 * spool_prepare() - opens the temporary file, in $TMPDIR or /var/tmp, if it is not open yet
 * For a process that may open nothing later on; others need not call it. Without the file, spools stay in memory.
 */
void spool_prepare(void);

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

/** spool_free() - the spool is empty and usable again; the file's room comes back at the end of the process. */
void spool_free(struct spool *s);

#endif
