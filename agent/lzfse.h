/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_LZFSE_H
#define AGENT_LZFSE_H

/*
 * Apple's LZFSE: blocks of an LZ77 whose literals, and whose lengths and distances, are two streams of finite state entropy coding.
 * A block begins with four letters: bvx2 (tables of frequencies packed), bvx1 (not packed), bvxn (LZVN), bvx- (not compressed); bvx$ ends.
 */

#include <stddef.h>
#include <stdint.h>

/**
 * lzfse_decode() - one whole stream
 * @ret: room for @want bytes, which it must give exactly; what stands behind the end's mark is not looked at
 * Return: 0; -EUCLEAN; -ENOMEM. Works in 50 KiB, in time that goes by @len and @want.
 */
int lzfse_decode(const uint8_t *p, size_t len, uint8_t *ret, size_t want);

#endif
