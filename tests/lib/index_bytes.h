/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_LIB_INDEX_BYTES_H
#define TESTS_LIB_INDEX_BYTES_H

/* An index whose file is in memory as a whole, put together as host/source/store/index.c does piece by piece. */

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#include "host/source/store/digest.h"
#include "host/source/store/index_dynamic.h"
#include "host/source/store/index_fixed.h"

/** index_fixed_parse() - Return: 0; -EBADMSG (the text says what is wrong). */
static inline int index_fixed_parse(const void *p, size_t len, struct index_fixed *ret, struct err *err)
{
	struct index_fixed x;
	int r;

	if (len < INDEX_HEADER)
		return err_text(err, -EBADMSG, "fixed index: shorter than its header");
	r = index_fixed_head(p, len, &x, err);
	if (r < 0)
		return r;
	x.digests = (const uint8_t *)p + INDEX_HEADER;
	if (digest_sha256(x.digests, len - INDEX_HEADER, NULL, 0, x.csum) < 0)
		return err_set(err, -EIO, "fixed index: checksum");
	*ret = x;
	return 0;
}

/** index_dynamic_parse() - Return: 0; -EBADMSG (the text says what is wrong). */
static inline int index_dynamic_parse(const void *p, size_t len, struct index_dynamic *ret, struct err *err)
{
	struct index_dynamic x;
	int r;

	if (len < INDEX_HEADER)
		return err_text(err, -EBADMSG, "dynamic index: shorter than its header");
	r = index_dynamic_head(p, len, &x, err);
	if (r < 0)
		return r;
	x.entries = (const uint8_t *)p + INDEX_HEADER;
	r = index_dynamic_check(&x, x.entries, 0, x.nr_chunks, err);
	if (r == 0 && digest_sha256(x.entries, len - INDEX_HEADER, NULL, 0, x.csum) < 0)
		r = err_set(err, -EIO, "dynamic index: checksum");
	if (r == 0)
		*ret = x;
	return r;
}

#endif
