/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/source/store/digest.h"

#include <errno.h>
#include <openssl/evp.h>

#include "common/hex.h"

int digest_sha256(const void *p, size_t n, const void *p2, size_t n2, uint8_t ret[static DIGEST_BYTES])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	int ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) && EVP_DigestUpdate(md, p, n) &&
		 (!n2 || EVP_DigestUpdate(md, p2, n2)) && EVP_DigestFinal_ex(md, ret, NULL);

	EVP_MD_CTX_free(md);
	return ok ? 0 : -EIO;
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
