/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/pxar/siphash.h"

#include "common/cur.h"
#include "common/pxar/format.h"

struct sip {
	uint64_t v0, v1, v2, v3;
};

static uint64_t rotl(uint64_t x, int n)
{
	return x << n | x >> (64 - n);
}

static void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v2 += s->v3;
	s->v1 = rotl(s->v1, 13) ^ s->v0;
	s->v3 = rotl(s->v3, 16) ^ s->v2;
	s->v0 = rotl(s->v0, 32);
	s->v2 += s->v1;
	s->v0 += s->v3;
	s->v1 = rotl(s->v1, 17) ^ s->v2;
	s->v3 = rotl(s->v3, 21) ^ s->v0;
	s->v2 = rotl(s->v2, 32);
}

static void sip_word(struct sip *s, uint64_t m)
{
	s->v3 ^= m;
	sip_round(s);
	sip_round(s);
	s->v0 ^= m;
}

uint64_t pxar_hash(const void *p, size_t len)
{
	struct cur c = cur_of(p, len);
	struct sip s = {
		PXAR_SIPHASH_K0 ^ UINT64_C(0x736f6d6570736575),
		PXAR_SIPHASH_K1 ^ UINT64_C(0x646f72616e646f6d),
		PXAR_SIPHASH_K0 ^ UINT64_C(0x6c7967656e657261),
		PXAR_SIPHASH_K1 ^ UINT64_C(0x7465646279746573),
	};
	uint64_t m, last = (uint64_t)len << 56;
	uint8_t b;

	while (cur_u64le(&c, &m) == 0)
		sip_word(&s, m);
	for (int shift = 0; cur_u8(&c, &b) == 0; shift += 8)
		last |= (uint64_t)b << shift;
	sip_word(&s, last);
	s.v2 ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
