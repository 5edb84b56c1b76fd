/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/crc32.h"

#include <pthread.h>
#include <stdbool.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

/* table[k][b]: the CRC of byte b followed by k zero bytes; eight bytes are folded in at once. */
static uint32_t table[8][256];
static bool can_fold;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_table(void)
{
#ifdef __x86_64__
	can_fold = __builtin_cpu_supports("pclmul");
#endif
	for (uint32_t b = 0; b < 256; b++) {
		uint32_t c = b;

		for (int bit = 0; bit < 8; bit++)
			c = c & 1 ? c >> 1 ^ UINT32_C(0xedb88320) : c >> 1;
		table[0][b] = c;
	}
	for (int k = 1; k < 8; k++)
		for (int b = 0; b < 256; b++)
			table[k][b] = table[k - 1][b] >> 8 ^ table[0][table[k - 1][b] & 0xff];
}

static uint32_t get_le32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* The CRC register after @len more bytes. */
static uint32_t update(uint32_t c, const uint8_t *p, size_t len)
{
	for (; len >= 8; p += 8, len -= 8) {
		uint32_t a = c ^ get_le32(p), b = get_le32(p + 4);

		c = table[7][a & 0xff] ^ table[6][a >> 8 & 0xff] ^ table[5][a >> 16 & 0xff] ^ table[4][a >> 24] ^
		    table[3][b & 0xff] ^ table[2][b >> 8 & 0xff] ^ table[1][b >> 16 & 0xff] ^ table[0][b >> 24];
	}
	for (; len; p++, len--)
		c = c >> 8 ^ table[0][(c ^ *p) & 0xff];
	return c;
}

#ifdef __x86_64__
#define FOLD_MIN 64

/*
 * Multiplies the 128 bits of @x, a polynomial over GF(2), by the power of x that moves them over the bytes up to @next:
 * each half by the remainder of its power, in @k. What comes out is congruent to the bytes it stands for.
 */
__attribute__((target("pclmul"))) static __m128i fold(__m128i x, __m128i k, __m128i next)
{
	return _mm_xor_si128(_mm_xor_si128(_mm_clmulepi64_si128(x, k, 0x00), _mm_clmulepi64_si128(x, k, 0x11)), next);
}

__attribute__((target("pclmul"))) static __m128i load(const uint8_t *p)
{
	return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* As update(), for a multiple of 64 bytes: four lanes of 16 bytes, folded into one at the end. */
__attribute__((target("pclmul"))) static uint32_t update_folding(uint32_t c, const uint8_t *p, size_t len)
{
	const __m128i over_64 = _mm_set_epi64x(0x01c6e41596, 0x0154442bd4);	/* x^(512-32), x^(512+32) */
	const __m128i over_16 = _mm_set_epi64x(0x00ccaa009e, 0x01751997d0);	/* x^(128-32), x^(128+32) */
	__m128i lane[4];
	uint8_t rest[16];

	for (int i = 0; i < 4; i++)
		lane[i] = load(p + 16 * i);
	lane[0] = _mm_xor_si128(lane[0], _mm_cvtsi32_si128((int)c));
	for (p += 64, len -= 64; len; p += 64, len -= 64)
		for (int i = 0; i < 4; i++)
			lane[i] = fold(lane[i], over_64, load(p + 16 * i));
	for (int i = 1; i < 4; i++)
		lane[i] = fold(lane[i - 1], over_16, lane[i]);
	_mm_storeu_si128((__m128i *)(void *)rest, lane[3]);
	return update(0, rest, sizeof(rest));
}
#endif

uint32_t crc32_ieee(const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	uint32_t c = UINT32_MAX;

	(void)pthread_once(&once, make_table);
#ifdef __x86_64__
	if (can_fold && len >= FOLD_MIN) {
		size_t n = len & ~(size_t)(FOLD_MIN - 1);

		c = update_folding(c, p, n);
		p += n;
		len -= n;
	}
#endif
	return ~update(c, p, len);
}
