/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef COMMON_UTF8_H
#define COMMON_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * utf8_decode() - one code point
 * @ret_cp: the code point; 0xfffd when there is none
 * Return: its length in bytes, 1 to 4; 0 if the bytes are not strict UTF-8 (overlong,
 * surrogate, past U+10FFFF, cut).
 */
size_t utf8_decode(const uint8_t *p, size_t len, uint32_t *ret_cp);

/** utf8_valid() - are all bytes strict UTF-8? */
bool utf8_valid(const void *p, size_t len);

/** utf8_bad_prefix() - length of the bad sequence at @p that one U+FFFD stands for (1 to 3; maximal subpart rule). */
size_t utf8_bad_prefix(const uint8_t *p, size_t len);

/** utf8_printable() - may it go to a terminal: no controls, no bidi overrides, no line separators. */
bool utf8_printable(uint32_t cp);

#endif
