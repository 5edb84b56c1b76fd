/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/source/store/index_dynamic.h"

#include <string.h>

#include "common/cur.h"
#include "host/source/store/blob.h"
#include "host/source/store/digest.h"
#include "host/source/store/index_fixed.h"

static const uint8_t magic[8] = { 0x1c, 0x91, 0x4e, 0xa5, 0x19, 0xba, 0xb3, 0xcd };

uint64_t index_dynamic_end(const struct index_dynamic *x, size_t i)
{
	struct cur c = cur_of(x->entries + i * INDEX_DYNAMIC_ENTRY, INDEX_DYNAMIC_ENTRY);
	uint64_t end = 0;

	(void)cur_u64le(&c, &end);
	return end;
}

static int check_ends(const struct index_dynamic *x, struct err *err)
{
	uint64_t start = 0;

	for (size_t i = 0; i < x->nr_chunks; i++) {
		uint64_t end = index_dynamic_end(x, i);

		if (end <= start || end - start > BLOB_CHUNK_MAX)
			return err_text(err, -EBADMSG, "dynamic index: chunk %zu goes from %llu to %llu", i,
					(unsigned long long)start, (unsigned long long)end);
		start = end;
	}
	return 0;
}

int index_dynamic_parse(const void *p, size_t len, struct index_dynamic *ret, struct err *err)
{
	struct index_dynamic x = { 0 };
	const uint8_t *bytes = p;
	int r;

	if (len < INDEX_HEADER)
		return err_text(err, -EBADMSG, "dynamic index: shorter than its header");
	if (memcmp(bytes, magic, sizeof(magic)))
		return err_text(err, -EBADMSG, "not a dynamic index (wrong magic)");
	if ((len - INDEX_HEADER) % INDEX_DYNAMIC_ENTRY || len == INDEX_HEADER)
		return err_text(err, -EBADMSG, "dynamic index: %zu bytes of entries", len - INDEX_HEADER);
	x.nr_chunks = (len - INDEX_HEADER) / INDEX_DYNAMIC_ENTRY;
	x.entries = bytes + INDEX_HEADER;
	r = check_ends(&x, err);
	if (r < 0)
		return r;
	x.size_bytes = index_dynamic_end(&x, x.nr_chunks - 1);
	if (digest_sha256(x.entries, len - INDEX_HEADER, NULL, 0, x.csum) < 0)
		return err_set(err, -EIO, "dynamic index: checksum");
	*ret = x;
	return 0;
}

int index_dynamic_find(const struct index_dynamic *x, uint64_t off, size_t *ret)
{
	size_t lo = 0, hi = x->nr_chunks;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (index_dynamic_end(x, mid) > off)
			hi = mid;
		else
			lo = mid + 1;
	}
	if (lo == x->nr_chunks)
		return -ERANGE;
	*ret = lo;
	return 0;
}
