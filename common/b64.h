/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef COMMON_B64_H
#define COMMON_B64_H

#include <stddef.h>
#include <stdint.h>

struct buf;

/** b64_encode() - append standard base64 with padding to @out. */
void b64_encode(struct buf *out, const void *p, size_t len);

/**
 * b64_decode() - append the decoded bytes to @out
 * Strict: standard alphabet, padded, no white space, unused bits zero.
 * Return: 0; -EBADMSG; what buf_ok() says.
 */
int b64_decode(struct buf *out, const char *s, size_t len);

#endif
