/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/source/store/blob.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <openssl/evp.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/crc32.h"
#include "common/cur.h"
#include "host/source/store/key.h"

#define BLOB_LEVEL 1

static const uint8_t magics[][8] = {
	[BLOB_PLAIN] = { 0x42, 0xab, 0x38, 0x07, 0xbe, 0x83, 0x70, 0xa1 },
	[BLOB_ZSTD] = { 0x31, 0xb9, 0x58, 0x42, 0x6f, 0xb6, 0xa3, 0x7f },
	[BLOB_CRYPT] = { 0x7b, 0x67, 0x85, 0xbe, 0x22, 0x2d, 0x4c, 0xf0 },
	[BLOB_CRYPT_ZSTD] = { 0xe6, 0x59, 0x1b, 0xbf, 0x0b, 0xbf, 0xd8, 0x0b },
};

struct blob_codec {
	ZSTD_DCtx *d;
	ZSTD_CCtx *c;
	struct buf clear;	/* what was decrypted but is still compressed, or not yet encrypted */
};

struct blob_codec *blob_codec_new(void)
{
	struct blob_codec *c = calloc(1, sizeof(*c));

	if (c)
		c->clear.limit = BLOB_FILE_MAX;
	return c;
}

void blob_codec_free(struct blob_codec *c)
{
	if (!c)
		return;
	(void)ZSTD_freeDCtx(c->d);
	(void)ZSTD_freeCCtx(c->c);
	buf_free(&c->clear);
	free(c);
}

CLEANUP_DEFINE(struct blob_codec *, blob_codec_free)

int blob_kind(const void *p, size_t len)
{
	if (len < BLOB_HEADER)
		return -EBADMSG;
	for (int i = 0; i < (int)(sizeof(magics) / sizeof(*magics)); i++) {
		if (memcmp(p, magics[i], sizeof(magics[i])))
			continue;
		return blob_kind_encrypted(i) && len < BLOB_HEADER_CRYPT ? -EBADMSG : i;
	}
	return -EBADMSG;
}

/* The header parsed: what follows it, and how it is wrapped. */
struct blob_view {
	int kind;
	const uint8_t *iv, *tag;	/* encrypted only */
	struct cur data;
};

static int parse(const void *p, size_t len, struct blob_view *v, struct err *err)
{
	struct cur c = cur_of(p, len);
	uint32_t crc;

	v->kind = blob_kind(p, len);
	if (v->kind < 0)
		return err_text(err, -EBADMSG, len < BLOB_HEADER ? "too short for a data blob" :
				"not a data blob (unknown magic or cut header)");
	if (cur_skip(&c, 8) < 0 || cur_u32le(&c, &crc) < 0)
		return err_text(err, -EBADMSG, "cut header");
	if (blob_kind_encrypted(v->kind) && (cur_bytes(&c, 16, &v->iv) < 0 || cur_bytes(&c, 16, &v->tag) < 0))
		return err_text(err, -EBADMSG, "cut header");
	if (crc32_ieee(c.p, c.left) != crc)
		return err_text(err, -EBADMSG, "wrong CRC");
	v->data = c;
	return 0;
}

int blob_check(const void *p, size_t len, struct err *err)
{
	struct blob_view v;
	int r = parse(p, len, &v, err);

	return r < 0 ? r : v.kind;
}

/* zstd frames to exactly what fits @room. Return: 0; -EMSGSIZE if there is more; -EBADMSG; -ENOMEM. */
static int inflate(struct blob_codec *c, struct cur in, void *out, size_t room, size_t *ret_len, struct err *err)
{
	size_t r;

	if (!c->d)
		c->d = ZSTD_createDCtx();
	if (!c->d)
		return err_set(err, -ENOMEM, "decompress");
	r = ZSTD_decompressDCtx(c->d, out, room, in.p, in.left);
	if (!ZSTD_isError(r)) {
		*ret_len = r;
		return 0;
	}
	if (ZSTD_getErrorCode(r) == ZSTD_error_dstSize_tooSmall)
		return err_text(err, -EMSGSIZE, "more data than expected");
	if (ZSTD_getErrorCode(r) == ZSTD_error_memory_allocation)
		return err_set(err, -ENOMEM, "decompress");
	return err_text(err, -EBADMSG, "zstd: %s", ZSTD_getErrorName(r));
}

/* Removes the encryption, if there is any: on success @v->data is what was encrypted, in @c->clear or @out. */
static int unwrap(struct blob_codec *c, struct blob_view *v, const struct crypt_key *key, struct err *err)
{
	uint8_t *clear;
	int r;

	if (!blob_kind_encrypted(v->kind))
		return 0;
	if (!key)
		return err_text(err, -ENOKEY, "data is encrypted and there is no key");
	buf_reset(&c->clear);
	clear = buf_reserve(&c->clear, v->data.left ? v->data.left : 1);
	if (!clear)
		return err_set(err, buf_ok(&c->clear), "decrypt");
	r = crypt_key_decrypt(key->data, v->iv, v->tag, v->data.p, v->data.left, clear);
	if (r < 0)
		return err_text(err, r, "does not decrypt: damaged, or encrypted with another key");
	v->data = cur_of(clear, v->data.left);
	return 0;
}

int blob_decode_exact(struct blob_codec *c, const void *p, size_t len, const struct crypt_key *key, void *out, size_t n,
		      struct err *err)
{
	struct blob_view v;
	size_t got = 0;
	int r;

	r = parse(p, len, &v, err);
	if (r == 0)
		r = unwrap(c, &v, key, err);
	if (r < 0)
		return r;
	if (v.kind == BLOB_ZSTD || v.kind == BLOB_CRYPT_ZSTD) {
		r = inflate(c, v.data, out, n, &got, err);
		if (r < 0)
			return r == -EMSGSIZE ? -EBADMSG : r;
	} else {
		got = v.data.left;
		if (got <= n)
			memcpy(out, v.data.p, got);
	}
	if (got != n)
		return err_text(err, -EBADMSG, "holds %zu bytes instead of %zu", got, n);
	return 0;
}

/* Room is guessed and doubled: no more than twice the work, and never more memory than twice the contents. */
static int inflate_growing(struct blob_codec *c, struct cur in, size_t max, struct buf *out, struct err *err)
{
	size_t room = in.left < max / 8 ? in.left * 8 + 4096 : max, got;

	for (;; room *= 2) {
		uint8_t *p;
		int r;

		if (room > max)
			room = max;
		p = buf_reserve(out, room ? room : 1);
		if (!p)
			return err_set(err, buf_ok(out), "decompress");
		r = inflate(c, in, p, room, &got, err);
		if (r == 0)
			out->len += got;
		if (r == -EMSGSIZE && room == max)
			return err_text(err, -EBADMSG, "holds more than %zu bytes", max);
		if (r != -EMSGSIZE)
			return r;
	}
}

int blob_decode(const void *p, size_t len, const struct crypt_key *key, size_t max, struct buf *out, struct err *err)
{
	CLEANUP(blob_codec_freep) struct blob_codec *c = blob_codec_new();
	struct blob_view v;
	int r;

	if (!c)
		return err_set(err, -ENOMEM, "decode blob");
	buf_reset(out);
	r = parse(p, len, &v, err);
	if (r == 0)
		r = unwrap(c, &v, key, err);
	if (r < 0)
		return r;
	if (v.kind == BLOB_ZSTD || v.kind == BLOB_CRYPT_ZSTD)
		return inflate_growing(c, v.data, max, out, err);
	if (v.data.left > max)
		return err_text(err, -EBADMSG, "holds more than %zu bytes", max);
	buf_add(out, v.data.p, v.data.left);
	return buf_ok(out) ? err_set(err, buf_ok(out), "decode blob") : 0;
}

static void put_header(uint8_t *p, enum blob_kind kind, size_t data_len)
{
	uint32_t crc = crc32_ieee(p + (blob_kind_encrypted(kind) ? BLOB_HEADER_CRYPT : BLOB_HEADER), data_len);

	memcpy(p, magics[kind], sizeof(magics[kind]));
	for (int i = 0; i < 4; i++)
		p[8 + i] = (uint8_t)(crc >> 8 * i);
}

int blob_encode(struct blob_codec *c, const void *p, size_t n, struct buf *out)
{
	enum blob_kind kind = BLOB_ZSTD;
	uint8_t *to;
	size_t r;

	buf_reset(out);
	if (n > BLOB_CHUNK_MAX)
		return -E2BIG;
	if (!c->c)
		c->c = ZSTD_createCCtx();
	to = buf_reserve(out, BLOB_HEADER + (n ? n : 1));
	if (!c->c || !to)
		return buf_ok(out) ? buf_ok(out) : -ENOMEM;
	r = n ? ZSTD_compressCCtx(c->c, to + BLOB_HEADER, n, p, n, BLOB_LEVEL) : 0;
	if (!n || ZSTD_isError(r)) {	/* there was room for what is not larger */
		kind = BLOB_PLAIN;
		r = n;
		if (n)
			memcpy(to + BLOB_HEADER, p, n);
	}
	put_header(to, kind, r);
	out->len = BLOB_HEADER + r;
	return 0;
}

int blob_encode_key(struct blob_codec *c, const struct crypt_key *key, const void *p, size_t n, struct buf *out)
{
	uint8_t *to, *iv, *tag;
	size_t len;
	int r;

	if (!key)
		return blob_encode(c, p, n, out);
	r = blob_encode(c, p, n, &c->clear);
	if (r < 0)
		return r;
	buf_reset(out);
	len = c->clear.len - BLOB_HEADER;
	to = buf_reserve(out, BLOB_HEADER_CRYPT + len);
	if (!to)
		return buf_ok(out);
	iv = to + BLOB_HEADER;
	tag = iv + 16;
	if (getrandom(iv, 16, 0) != 16)
		return -EIO;
	r = crypt_key_encrypt(key->data, iv, c->clear.data + BLOB_HEADER, len, to + BLOB_HEADER_CRYPT, tag);
	if (r < 0)
		return r;
	put_header(to, blob_kind(c->clear.data, c->clear.len) == BLOB_ZSTD ? BLOB_CRYPT_ZSTD : BLOB_CRYPT, len);
	out->len = BLOB_HEADER_CRYPT + len;
	return 0;
}
