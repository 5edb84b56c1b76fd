/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_LZVN_H
#define AGENT_LZVN_H

/* Apple's LZVN, a byte-wise LZ77: an operation is literals, a match, or both; its first byte says which form it has. */

#include <stddef.h>
#include <stdint.h>

/**
 * lzvn_decode() - one whole stream
 * @ret: room for @want bytes, which it must fill exactly; the first @have are there, and matches may refer to them
 * Return: 0; -EUCLEAN.
 */
int lzvn_decode(const uint8_t *p, size_t len, uint8_t *ret, size_t have, size_t want);

#endif
