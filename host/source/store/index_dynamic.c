/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/source/store/index_dynamic.h"

#include <string.h>

#include "common/cur.h"
#include "host/source/store/blob.h"

static const uint8_t magic[8] = { 0x1c, 0x91, 0x4e, 0xa5, 0x19, 0xba, 0xb3, 0xcd };

uint64_t index_dynamic_end(const struct index_dynamic *x, size_t i)
{
	struct cur c = cur_of(x->entries + i * INDEX_DYNAMIC_ENTRY, INDEX_DYNAMIC_ENTRY);
	uint64_t end = 0;

	(void)cur_u64le(&c, &end);
	return end;
}

int index_dynamic_head(const uint8_t head[static INDEX_HEADER], size_t len, struct index_dynamic *ret, struct err *err)
{
	if (memcmp(head, magic, sizeof(magic)))
		return err_text(err, -EBADMSG, "not a dynamic index (wrong magic)");
	if (len <= INDEX_HEADER || (len - INDEX_HEADER) % INDEX_DYNAMIC_ENTRY)
		return err_text(err, -EBADMSG, "dynamic index: %zu bytes of entries", len - INDEX_HEADER);
	*ret = (struct index_dynamic){ .nr_chunks = (len - INDEX_HEADER) / INDEX_DYNAMIC_ENTRY };
	return 0;
}

int index_dynamic_check(struct index_dynamic *x, const uint8_t *entries, size_t first, size_t nr, struct err *err)
{
	const struct index_dynamic part = { .entries = entries };
	uint64_t start = x->size_bytes;

	for (size_t i = 0; i < nr; i++) {
		const uint64_t end = index_dynamic_end(&part, i);

		if (end <= start || end - start > BLOB_CHUNK_MAX)
			return err_text(err, -EBADMSG, "dynamic index: chunk %zu goes from %llu to %llu", first + i,
					(unsigned long long)start, (unsigned long long)end);
		start = end;
	}
	x->size_bytes = start;
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
