/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_SOURCE_STORE_DIGEST_H
#define HOST_SOURCE_STORE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#define DIGEST_BYTES 32
#define DIGEST_HEX (2 * DIGEST_BYTES)

/** digest_sha256() - of two byte runs behind each other (@n2 may be 0). Return: 0; -EIO if the library fails. */
int digest_sha256(const void *p, size_t n, const void *p2, size_t n2, uint8_t ret[static DIGEST_BYTES]);

/* The digest of bytes that come one run after another. */
struct digest_sum {
	void *md;
	int error;
};

/** digest_begin() - end with digest_end(), which tells of errors. */
void digest_begin(struct digest_sum *d);
void digest_add(struct digest_sum *d, const void *p, size_t n);

/** digest_end() - Return: 0; -EIO if the library failed. */
int digest_end(struct digest_sum *d, uint8_t ret[static DIGEST_BYTES]);

/** digest_to_hex() - lower-case digits and a NUL. */
void digest_to_hex(const uint8_t d[static DIGEST_BYTES], char ret[static DIGEST_HEX + 1]);

/** digest_from_hex() - exactly 64 hex digits of any case. Return: 0; -EBADMSG. */
int digest_from_hex(const char *hex, size_t len, uint8_t ret[static DIGEST_BYTES]);

#endif
