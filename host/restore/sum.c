/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/restore/sum.h"

#include <errno.h>

#include <openssl/evp.h>

#define ZEROS ((size_t)64 << 10)

int sum_new(struct sum *ret, bool wanted, struct err *err)
{
	*ret = (struct sum){ .md = wanted ? EVP_MD_CTX_new() : NULL };
	return wanted && !ret->md ? err_set(err, -ENOMEM, "SHA-256") : 0;
}

void sum_free(struct sum *s)
{
	EVP_MD_CTX_free(s->md);
}

void sum_begin(struct sum *s)
{
	s->off = 0;
	s->error = s->md && EVP_DigestInit_ex(s->md, EVP_sha256(), NULL) != 1 ? -EIO : 0;
}

void sum_add(struct sum *s, const void *p, size_t len)
{
	if (s->md && EVP_DigestUpdate(s->md, p, len) != 1)
		s->error = -EIO;
	s->off += len;
}

int sum_upto(struct sum *s, uint64_t off, const volatile sig_atomic_t *abort, struct err *err)
{
	static const uint8_t zeros[ZEROS];

	while (s->md && s->off < off) {
		if (abort && *abort)
			return err_set(err, -EINTR, "SHA-256");
		sum_add(s, zeros, off - s->off < ZEROS ? (size_t)(off - s->off) : ZEROS);
	}
	return 0;
}

int sum_end(struct sum *s, uint64_t size, const volatile sig_atomic_t *abort, const uint8_t **ret, struct err *err)
{
	int r = sum_upto(s, size, abort, err);

	if (r < 0 || !s->md)
		return r;
	if (s->error || EVP_DigestFinal_ex(s->md, s->value, NULL) != 1)
		return err_set(err, -EIO, "SHA-256");
	*ret = s->value;
	return 0;
}
