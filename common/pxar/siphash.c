/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/pxar/siphash.h"

#include "common/cur.h"
#include "common/pxar/format.h"

struct sip {
	uint64_t v0, v1, v2, v3;
};

static uint64_t rotl(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

static void rounds(struct sip *s, int n)
{
	while (n--) {
		s->v0 += s->v1;
		s->v1 = rotl(s->v1, 13) ^ s->v0;
		s->v0 = rotl(s->v0, 32);
		s->v2 += s->v3;
		s->v3 = rotl(s->v3, 16) ^ s->v2;
		s->v0 += s->v3;
		s->v3 = rotl(s->v3, 21) ^ s->v0;
		s->v2 += s->v1;
		s->v1 = rotl(s->v1, 17) ^ s->v2;
		s->v2 = rotl(s->v2, 32);
	}
}

static void absorb(struct sip *s, uint64_t word)
{
	s->v3 ^= word;
	rounds(s, 2);
	s->v0 ^= word;
}

uint64_t pxar_hash(const void *p, size_t len)
{
	struct sip s = {
		.v0 = PXAR_SIPHASH_K0 ^ UINT64_C(0x736f6d6570736575),
		.v1 = PXAR_SIPHASH_K1 ^ UINT64_C(0x646f72616e646f6d),
		.v2 = PXAR_SIPHASH_K0 ^ UINT64_C(0x6c7967656e657261),
		.v3 = PXAR_SIPHASH_K1 ^ UINT64_C(0x7465646279746573),
	};
	struct cur c = cur_of(p, len);
	uint64_t word, last = (uint64_t)len << 56;

	while (cur_u64le(&c, &word) == 0)
		absorb(&s, word);
	for (size_t i = 0; i < c.left; i++)
		last |= (uint64_t)c.p[i] << 8 * i;
	absorb(&s, last);
	s.v2 ^= 0xff;
	rounds(&s, 4);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
