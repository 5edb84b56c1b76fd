/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef COMMON_BUF_H
#define COMMON_BUF_H

/*
 * Growable writer with a hard limit. After a failure it is "broken": later writes
 * do nothing, and buf_ok() tells once at the end, so that writers need no check
 * per call.
 */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t *data;
	size_t len;
	size_t room;		/* bytes allocated */
	size_t limit;		/* 0: BUF_LIMIT_DEFAULT */
	int error;		/* 0; -ENOMEM; -E2BIG when over the limit */
};

#define BUF_LIMIT_DEFAULT ((size_t)64 << 20)
#define BUF_INIT ((struct buf){ 0 })

/** buf_free() - release the memory; the buffer is empty and usable again. */
void buf_free(struct buf *b);

/** buf_reset() - empty it, keep the memory, forget an error. */
void buf_reset(struct buf *b);

/** buf_reserve() - room for @n more bytes at the end. Return: where to write, or NULL; add to len yourself. */
uint8_t *buf_reserve(struct buf *b, size_t n);

/** buf_add() - append bytes. */
void buf_add(struct buf *b, const void *p, size_t n);

/** buf_str() - append a string without its NUL. */
void buf_str(struct buf *b, const char *s);

/** buf_fmt() - append formatted text (any length). */
void buf_fmt(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** buf_dec() - append a decimal number; a tenth of what buf_fmt() costs. */
void buf_dec(struct buf *b, uint64_t v);

void buf_u8(struct buf *b, uint8_t v);
void buf_u16le(struct buf *b, uint16_t v);
void buf_u32le(struct buf *b, uint32_t v);
void buf_u64le(struct buf *b, uint64_t v);

/** buf_cstr() - the contents as a C string; valid until the next write. Return: NULL if broken. */
const char *buf_cstr(struct buf *b);

/** buf_ok() - did all writes succeed? Return: 0; -ENOMEM; -E2BIG. */
static inline int buf_ok(const struct buf *b)
{
	return b->error;
}

#define CLEANUP_BUF __attribute__((cleanup(buf_free)))

#endif
