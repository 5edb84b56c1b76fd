/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/source/store/digest.h"

#include <errno.h>
#include <openssl/evp.h>

#include "common/hex.h"

void digest_begin(struct digest_sum *d)
{
	d->md = EVP_MD_CTX_new();
	d->error = d->md && EVP_DigestInit_ex(d->md, EVP_sha256(), NULL) == 1 ? 0 : -EIO;
}

void digest_add(struct digest_sum *d, const void *p, size_t n)
{
	if (d->error == 0 && EVP_DigestUpdate(d->md, p, n) != 1)
		d->error = -EIO;
}

int digest_end(struct digest_sum *d, uint8_t ret[static DIGEST_BYTES])
{
	if (d->error == 0 && EVP_DigestFinal_ex(d->md, ret, NULL) != 1)
		d->error = -EIO;
	EVP_MD_CTX_free(d->md);
	d->md = NULL;
	return d->error;
}

int digest_sha256(const void *p, size_t n, const void *p2, size_t n2, uint8_t ret[static DIGEST_BYTES])
{
	struct digest_sum d;

	digest_begin(&d);
	digest_add(&d, p, n);
	if (n2)
		digest_add(&d, p2, n2);
	return digest_end(&d, ret);
}

void digest_to_hex(const uint8_t d[static DIGEST_BYTES], char ret[static DIGEST_HEX + 1])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < DIGEST_BYTES; i++) {
		ret[2 * i] = digits[d[i] >> 4];
		ret[2 * i + 1] = digits[d[i] & 15];
	}
	ret[DIGEST_HEX] = 0;
}

int digest_from_hex(const char *hex, size_t len, uint8_t ret[static DIGEST_BYTES])
{
	uint8_t d[DIGEST_BYTES];

	if (len != DIGEST_HEX)
		return -EBADMSG;
	for (size_t i = 0; i < DIGEST_BYTES; i++) {
		int hi = hex_digit(hex[2 * i]), lo = hex_digit(hex[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return -EBADMSG;
		d[i] = (uint8_t)(hi << 4 | lo);
	}
	for (size_t i = 0; i < DIGEST_BYTES; i++)
		ret[i] = d[i];
	return 0;
}
