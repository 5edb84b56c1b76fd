/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/source/store/index_fixed.h"

#include <string.h>

#include "common/buf.h"
#include "common/cur.h"
#include "host/source/store/digest.h"

static const uint8_t magic[8] = { 0x2f, 0x7f, 0x41, 0xed, 0x91, 0xfd, 0x0f, 0xcd };

static uint64_t count_chunks(uint64_t size, uint64_t chunk)
{
	return size / chunk + (size % chunk != 0);
}

int index_fixed_head(const uint8_t head[static INDEX_HEADER], size_t len, struct index_fixed *ret, struct err *err)
{
	const size_t entries = len - INDEX_HEADER;
	struct cur c = cur_of(head, INDEX_HEADER);
	struct index_fixed x = { 0 };
	const uint8_t *m;
	uint64_t chunk, count;

	if (cur_bytes(&c, 8, &m) < 0 || memcmp(m, magic, sizeof(magic)))
		return err_text(err, -EBADMSG, "not a fixed index (wrong magic)");
	if (cur_skip(&c, 16 + 8 + 32) < 0 || cur_u64le(&c, &x.size_bytes) < 0 || cur_u64le(&c, &chunk) < 0)
		return err_text(err, -EBADMSG, "fixed index: cut header");
	if (chunk < INDEX_FIXED_CHUNK_MIN || chunk > INDEX_FIXED_CHUNK_MAX || chunk & (chunk - 1))
		return err_text(err, -EBADMSG, "fixed index: chunk size %llu", (unsigned long long)chunk);
	count = count_chunks(x.size_bytes, chunk);
	if (!count)
		return err_text(err, -EBADMSG, "fixed index: the image is empty");
	if (count != entries / INDEX_FIXED_ENTRY || entries % INDEX_FIXED_ENTRY)
		return err_text(err, -EBADMSG, "fixed index: %zu bytes of digests for %llu chunks", entries,
				(unsigned long long)count);
	x.chunk_bytes = (uint32_t)chunk;
	x.nr_chunks = (size_t)count;
	*ret = x;
	return 0;
}

int index_fixed_write(uint64_t size_bytes, uint32_t chunk_bytes, const uint8_t *digests, const uint8_t uuid[static 16],
		      int64_t ctime, struct buf *out, uint8_t ret_csum[static 32])
{
	static const uint8_t zeros[INDEX_HEADER];
	uint64_t count = count_chunks(size_bytes, chunk_bytes);
	size_t start = out->len;

	if (count > (INDEX_FILE_MAX - INDEX_HEADER) / 32)
		return -E2BIG;
	if (digest_sha256(digests, (size_t)count * 32, NULL, 0, ret_csum) < 0)
		return -EIO;
	buf_add(out, magic, sizeof(magic));
	buf_add(out, uuid, 16);
	buf_u64le(out, (uint64_t)ctime);
	buf_add(out, ret_csum, 32);
	buf_u64le(out, size_bytes);
	buf_u64le(out, chunk_bytes);
	buf_add(out, zeros, INDEX_HEADER - (buf_ok(out) ? INDEX_HEADER : out->len - start));
	buf_add(out, digests, (size_t)count * 32);
	return buf_ok(out);
}
