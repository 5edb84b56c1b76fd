/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef COMMON_CUR_H
#define COMMON_CUR_H

/*
 * Bounded reader over untrusted bytes. Reads fail, they never overrun; a failed
 * read leaves the cursor and the result untouched. All integers little-endian
 * unless the name says be.
 */

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct cur {
	const uint8_t *p;	/* a view; owns nothing */
	size_t left;
};

static inline struct cur cur_of(const void *p, size_t len)
{
	return (struct cur){ .p = p, .left = len };
}

/** cur_bytes() - borrow the next @n bytes. Return: 0; -EBADMSG if fewer are left. */
static inline int cur_bytes(struct cur *c, size_t n, const uint8_t **ret)
{
	if (n > c->left)
		return -EBADMSG;
	*ret = c->p;
	c->p += n;
	c->left -= n;
	return 0;
}

static inline int cur_skip(struct cur *c, size_t n)
{
	const uint8_t *p;

	return cur_bytes(c, n, &p);
}

static inline int cur_copy(struct cur *c, void *ret, size_t n)
{
	const uint8_t *p;

	if (cur_bytes(c, n, &p) < 0)
		return -EBADMSG;
	memcpy(ret, p, n);
	return 0;
}

/** cur_sub() - a cursor over the next @n bytes, which are consumed. */
static inline int cur_sub(struct cur *c, size_t n, struct cur *ret)
{
	const uint8_t *p;

	if (cur_bytes(c, n, &p) < 0)
		return -EBADMSG;
	*ret = cur_of(p, n);
	return 0;
}

static inline int cur_u8(struct cur *c, uint8_t *ret)
{
	return cur_copy(c, ret, 1);
}

#define CUR_DEFINE_INT(bits)                                                                       \
	static inline int cur_u##bits##le(struct cur *c, uint##bits##_t *ret)                      \
	{                                                                                          \
		const uint8_t *p;                                                                  \
		uint##bits##_t v = 0;                                                              \
                                                                                                   \
		if (cur_bytes(c, (bits) / 8, &p) < 0)                                              \
			return -EBADMSG;                                                           \
		for (int i = (bits) / 8 - 1; i >= 0; i--)                                          \
			v = (uint##bits##_t)(v << 8 | p[i]);                                       \
		*ret = v;                                                                          \
		return 0;                                                                          \
	}                                                                                          \
	static inline int cur_u##bits##be(struct cur *c, uint##bits##_t *ret)                      \
	{                                                                                          \
		const uint8_t *p;                                                                  \
		uint##bits##_t v = 0;                                                              \
                                                                                                   \
		if (cur_bytes(c, (bits) / 8, &p) < 0)                                              \
			return -EBADMSG;                                                           \
		for (int i = 0; i < (bits) / 8; i++)                                               \
			v = (uint##bits##_t)(v << 8 | p[i]);                                       \
		*ret = v;                                                                          \
		return 0;                                                                          \
	}
CUR_DEFINE_INT(16)
CUR_DEFINE_INT(32)
CUR_DEFINE_INT(64)

/** cur_end() - trailing bytes are an error. Return: 0 at the end; -EBADMSG. */
static inline int cur_end(const struct cur *c)
{
	return c->left ? -EBADMSG : 0;
}

#endif
