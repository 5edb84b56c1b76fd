/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/lzvn.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/cur.h"

struct op {
	size_t literals, match, distance;	/* distance 0: as before */
	bool end;
};

/*
 * Forms of an operation, L literals, M bytes of match, D distance:
 *   LLMMMDDD DDDDDDDD            short distance
 *   LLMMM111 DDDDDDDD DDDDDDDD   long distance (little-endian)
 *   LLMMM110                     the distance before; with LL = 0: 06 ends, 0e and 16 do nothing
 *   101LLMMM DDDDDDMM DDDDDDDD   medium distance
 *   1110LLLL, 11100000 L-16      literals alone;  1111MMMM, 11110000 M-16: match alone, the distance before
 * 7x and dx are not defined.
 */
static int read_pair(struct cur *c, uint8_t b, struct op *op)
{
	uint16_t far;
	uint8_t near;

	op->literals = b >> 6;
	op->match = (b >> 3 & 7) + 3u;
	if ((b & 7) == 6) {
		if (op->literals)
			return 0;
		op->end = b == 0x06;
		op->match = 0;
		return b == 0x06 || b == 0x0e || b == 0x16 ? 0 : -EUCLEAN;
	}
	if ((b & 7) == 7) {
		if (cur_u16le(c, &far) < 0)
			return -EUCLEAN;
		op->distance = far;
	} else {
		if (cur_u8(c, &near) < 0)
			return -EUCLEAN;
		op->distance = (size_t)(b & 7) << 8 | near;
	}
	return op->distance ? 0 : -EUCLEAN;
}

static int read_op(struct cur *c, struct op *op)
{
	uint16_t pair;
	uint8_t b, more = 0;

	*op = (struct op){ 0 };
	if (cur_u8(c, &b) < 0)
		return -EUCLEAN;
	if (b >> 4 == 0x7 || b >> 4 == 0xd)
		return -EUCLEAN;
	if (b >> 5 == 5) {
		if (cur_u16le(c, &pair) < 0)
			return -EUCLEAN;
		op->literals = b >> 3 & 3;
		op->match = ((b & 7u) << 2 | (pair & 3u)) + 3;
		op->distance = pair >> 2;
		return op->distance ? 0 : -EUCLEAN;
	}
	if (b < 0xe0)
		return read_pair(c, b, op);
	if (!(b & 15) && cur_u8(c, &more) < 0)
		return -EUCLEAN;
	*(b < 0xf0 ? &op->literals : &op->match) = b & 15 ? b & 15u : more + 16u;
	return 0;
}

int lzvn_decode(const uint8_t *p, size_t len, uint8_t *ret, size_t have, size_t want)
{
	struct cur c = cur_of(p, len);
	size_t at = have, distance = 0;

	for (;;) {
		struct op op;

		if (!c.left)		/* the end's mark is not always there */
			return at == want ? 0 : -EUCLEAN;
		if (read_op(&c, &op) < 0)
			return -EUCLEAN;
		if (op.end)
			return at == want ? 0 : -EUCLEAN;
		if (op.distance)
			distance = op.distance;
		if (op.literals > want - at || cur_copy(&c, ret + at, op.literals) < 0)
			return -EUCLEAN;
		at += op.literals;
		if (op.match > want - at || (op.match && (!distance || distance > at)))
			return -EUCLEAN;
		for (size_t i = 0; i < op.match; i++, at++)
			ret[at] = ret[at - distance];
	}
}
