/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/lzfse.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "agent/lzvn.h"
#include "common/cleanup.h"
#include "common/cur.h"

#define LITERALS_MAX 40000u
#define MATCHES_MAX 10000u
#define PACKED_HEAD 32u		/* bytes of bvx2's header before the tables, from its first letter on */
#define LANES 4			/* of literals: four states take turns */

/* Symbols of a table, and states: the sum of its frequencies. */
enum {
	L_SYMBOLS = 20, M_SYMBOLS = 20, D_SYMBOLS = 64, LITERAL_SYMBOLS = 256,
	ALL_SYMBOLS = L_SYMBOLS + M_SYMBOLS + D_SYMBOLS + LITERAL_SYMBOLS,
	L_STATES = 64, M_STATES = 64, D_STATES = 256, LITERAL_STATES = 1024,
};

struct header {
	uint32_t size, literals, matches;	/* what the block gives */
	uint32_t literal_bytes, lmd_bytes;	/* of the two streams */
	unsigned int literal_unused, lmd_unused;	/* highest bits of their last bytes, 0 to 7 */
	uint16_t literal_state[LANES], l_state, m_state, d_state;
	uint16_t freq[ALL_SYMBOLS];		/* L, M, D, literals */
};

/* What a state stands for, and how the next one comes of it. */
struct state {
	uint8_t symbol, bits;	/* bits to read and to add to next */
	uint16_t next;
};

struct lzfse {
	struct header head;
	struct state l[L_STATES], m[M_STATES], d[D_STATES], literal[LITERAL_STATES];
	uint8_t literals[LITERALS_MAX];
};

/* Bits are read from the end: the last ones written come first. */
struct bits {
	const uint8_t *p;
	size_t left;		/* bits */
};

static int bits_open(struct bits *b, const uint8_t *p, size_t len, unsigned int unused)
{
	if (unused && (!len || p[len - 1] >> (8 - unused)))
		return -EUCLEAN;
	*b = (struct bits){ .p = p, .left = 8 * len - unused };
	return 0;
}

static int bits_read(struct bits *b, unsigned int n, uint32_t *ret)
{
	uint32_t v = 0;
	size_t at;

	if (n > b->left)
		return -EUCLEAN;
	b->left -= n;
	at = b->left;
	for (unsigned int have = 0; have < n;) {
		const unsigned int skip = at % 8, step = 8 - skip < n - have ? 8 - skip : n - have;

		v |= (b->p[at / 8] >> skip & ((1u << step) - 1)) << have;
		have += step;
		at += step;
	}
	*ret = v;
	return 0;
}

/*
 * A symbol of frequency f has f states one behind the other; of N states in all, k is the number with N <= f << k < 2N. The first ones read
 * k bits, the others one less, so that together they lead to each of the N states once.
 */
static int fill_table(struct state *table, unsigned int states, const uint16_t *freq, unsigned int symbols)
{
	unsigned int at = 0;

	for (unsigned int s = 0; s < symbols; s++) {
		const unsigned int f = freq[s];
		unsigned int k = 0, wide;

		if (f > states - at)
			return -EUCLEAN;
		while (f && f << k < states)
			k++;
		wide = (2 * states >> k) - f;
		for (unsigned int i = 0; i < f; i++, at++)
			table[at] = i < wide ? (struct state){ (uint8_t)s, (uint8_t)k, (uint16_t)(((f + i) << k) - states) }
					     : (struct state){ (uint8_t)s, (uint8_t)(k - 1), (uint16_t)((i - wide) << (k - 1)) };
	}
	return at == states ? 0 : -EUCLEAN;
}

/* Moves a state on. Return: its symbol; -EUCLEAN. */
static int next_symbol(struct bits *b, const struct state *table, uint16_t *state)
{
	const struct state *s = table + *state;
	uint32_t add;

	if (bits_read(b, s->bits, &add) < 0)
		return -EUCLEAN;
	*state = (uint16_t)(s->next + add);
	return s->symbol;
}

/* Symbols of lengths from 16 on stand for ranges; which value of the range it is, the stream says in bits behind those of the state. */
struct range {
	uint16_t base;
	uint8_t bits;
};

static const struct range l_ranges[] = { { 16, 2 }, { 20, 3 }, { 28, 5 }, { 60, 8 } };
static const struct range m_ranges[] = { { 16, 3 }, { 24, 5 }, { 56, 8 }, { 312, 11 } };

static int next_length(struct bits *b, const struct state *table, uint16_t *state, const struct range *range,
		       uint32_t *ret)
{
	const int symbol = next_symbol(b, table, state);
	uint32_t more = 0;

	if (symbol < 0)
		return -EUCLEAN;
	if (symbol >= 16 && bits_read(b, range[symbol - 16].bits, &more) < 0)
		return -EUCLEAN;
	*ret = symbol < 16 ? (uint32_t)symbol : range[symbol - 16].base + more;
	return 0;
}

/* Four ranges of each number of bits, 0 to 15. */
static int next_distance(struct bits *b, const struct state *table, uint16_t *state, uint32_t *ret)
{
	const int symbol = next_symbol(b, table, state);
	uint32_t bits, more;

	if (symbol < 0)
		return -EUCLEAN;
	bits = (uint32_t)symbol / 4;
	if (bits_read(b, bits, &more) < 0)
		return -EUCLEAN;
	*ret = ((((uint32_t)symbol & 3) + 4) << bits) - 4 + more;
	return 0;
}

/* A packed frequency, as its lowest bits say: 00 is 0, 10 is 1, x01 are 2 and 3; xx011 are 4 to 7, 0111 below 4 bits 8 to 23, 1111 below 10 bits the rest. */
static unsigned int unpack(uint32_t v, unsigned int *ret_bits)
{
	switch (v & 15) {
	case 7:
		*ret_bits = 8;
		return 8 + (v >> 4 & 15);
	case 15:
		*ret_bits = 14;
		return 24 + (v >> 4 & 1023);
	case 3:
	case 11:
		*ret_bits = 5;
		return 4 + (v >> 3 & 3);
	default:
		*ret_bits = v & 1 ? 3 : 2;
		return v & 1 ? 2 + (v >> 2 & 1) : v >> 1 & 1;
	}
}

static int read_tables(struct cur c, uint16_t freq[static ALL_SYMBOLS])
{
	unsigned int have = 0, bits;
	uint32_t v = 0;
	uint8_t b;

	for (unsigned int i = 0; i < ALL_SYMBOLS; i++) {
		while (have < 14 && cur_u8(&c, &b) == 0) {
			v |= (uint32_t)b << have;
			have += 8;
		}
		freq[i] = (uint16_t)unpack(v, &bits);
		if (bits > have)
			return -EUCLEAN;
		v >>= bits;
		have -= bits;
	}
	return have < 8 && !c.left ? 0 : -EUCLEAN;
}

static uint32_t field(uint64_t v, unsigned int at, unsigned int bits)
{
	return (uint32_t)(v >> at & ((1u << bits) - 1));
}

static int read_packed(struct cur *c, struct header *h)
{
	struct cur tables;
	uint64_t a, b, d;
	uint32_t size;

	if (cur_u32le(c, &h->size) < 0 || cur_u64le(c, &a) < 0 || cur_u64le(c, &b) < 0 || cur_u64le(c, &d) < 0)
		return -EUCLEAN;
	size = (uint32_t)d;
	if (size < PACKED_HEAD || cur_sub(c, size - PACKED_HEAD, &tables) < 0)
		return -EUCLEAN;
	h->literals = field(a, 0, 20);
	h->literal_bytes = field(a, 20, 20);
	h->matches = field(a, 40, 20);
	h->literal_unused = 7 - field(a, 60, 3);
	for (unsigned int i = 0; i < LANES; i++)
		h->literal_state[i] = (uint16_t)field(b, 10 * i, 10);
	h->lmd_bytes = field(b, 40, 20);
	h->lmd_unused = 7 - field(b, 60, 3);
	h->l_state = (uint16_t)field(d, 32, 10);
	h->m_state = (uint16_t)field(d, 42, 10);
	h->d_state = (uint16_t)field(d, 52, 10);
	return read_tables(tables, h->freq);
}

/* A number from -7 to 0. */
static int read_unused(struct cur *c, unsigned int *ret)
{
	uint32_t v;

	if (cur_u32le(c, &v) < 0 || -v > 7)
		return -EUCLEAN;
	*ret = -v;
	return 0;
}

static int read_plain(struct cur *c, struct header *h)
{
	uint32_t payload;
	int r = cur_u32le(c, &h->size);

	r |= cur_u32le(c, &payload);
	r |= cur_u32le(c, &h->literals);
	r |= cur_u32le(c, &h->matches);
	r |= cur_u32le(c, &h->literal_bytes);
	r |= cur_u32le(c, &h->lmd_bytes);
	r |= read_unused(c, &h->literal_unused);
	for (unsigned int i = 0; i < LANES; i++)
		r |= cur_u16le(c, &h->literal_state[i]);
	r |= read_unused(c, &h->lmd_unused);
	r |= cur_u16le(c, &h->l_state);
	r |= cur_u16le(c, &h->m_state);
	r |= cur_u16le(c, &h->d_state);
	for (unsigned int i = 0; i < ALL_SYMBOLS; i++)
		r |= cur_u16le(c, &h->freq[i]);
	r |= cur_skip(c, 2);	/* to a multiple of four */
	return r ? -EUCLEAN : 0;
}

static int check_header(const struct header *h, size_t room)
{
	for (unsigned int i = 0; i < LANES; i++) {
		if (h->literal_state[i] >= LITERAL_STATES)
			return -EUCLEAN;
	}
	if (h->size > room || h->literals > LITERALS_MAX || h->literals % LANES || h->literals >= (uint64_t)h->size + LANES)
		return -EUCLEAN;
	if (h->matches > MATCHES_MAX || h->l_state >= L_STATES || h->m_state >= M_STATES || h->d_state >= D_STATES)
		return -EUCLEAN;
	return 0;
}

static int fill_tables(struct lzfse *z)
{
	const uint16_t *freq = z->head.freq;

	if (fill_table(z->l, L_STATES, freq, L_SYMBOLS) < 0 || fill_table(z->m, M_STATES, freq + L_SYMBOLS, M_SYMBOLS) < 0 ||
	    fill_table(z->d, D_STATES, freq + L_SYMBOLS + M_SYMBOLS, D_SYMBOLS) < 0)
		return -EUCLEAN;
	return fill_table(z->literal, LITERAL_STATES, freq + L_SYMBOLS + M_SYMBOLS + D_SYMBOLS, LITERAL_SYMBOLS);
}

static int read_literals(struct lzfse *z, struct cur *c)
{
	const uint8_t *p;
	struct bits b;

	if (cur_bytes(c, z->head.literal_bytes, &p) < 0 || bits_open(&b, p, z->head.literal_bytes, z->head.literal_unused) < 0)
		return -EUCLEAN;
	for (uint32_t i = 0; i < z->head.literals; i++) {
		const int symbol = next_symbol(&b, z->literal, &z->head.literal_state[i % LANES]);

		if (symbol < 0)
			return -EUCLEAN;
		z->literals[i] = (uint8_t)symbol;
	}
	return 0;
}

/* Literals and matches in turn; distance 0 is the one before. */
static int run_matches(struct lzfse *z, struct cur *c, uint8_t *ret, size_t at, size_t end)
{
	struct cur literals = cur_of(z->literals, z->head.literals);
	struct header *h = &z->head;
	uint32_t l, m, d, distance = 0;
	const uint8_t *p;
	struct bits b;

	if (cur_bytes(c, h->lmd_bytes, &p) < 0 || bits_open(&b, p, h->lmd_bytes, h->lmd_unused) < 0)
		return -EUCLEAN;
	for (uint32_t n = 0; n < h->matches; n++) {
		if (next_length(&b, z->l, &h->l_state, l_ranges, &l) < 0 || next_length(&b, z->m, &h->m_state, m_ranges, &m) < 0 ||
		    next_distance(&b, z->d, &h->d_state, &d) < 0)
			return -EUCLEAN;
		if (d)
			distance = d;
		if (l > end - at || cur_copy(&literals, ret + at, l) < 0)
			return -EUCLEAN;
		at += l;
		if (m > end - at || (m && (!distance || distance > at)))
			return -EUCLEAN;
		for (uint32_t i = 0; i < m; i++, at++)
			ret[at] = ret[at - distance];
	}
	return at == end ? 0 : -EUCLEAN;
}

static int run_compressed(struct lzfse *z, struct cur *c, bool packed, uint8_t *ret, size_t *at, size_t want)
{
	const size_t begin = *at;

	if ((packed ? read_packed(c, &z->head) : read_plain(c, &z->head)) < 0 || check_header(&z->head, want - begin) < 0 ||
	    fill_tables(z) < 0 || read_literals(z, c) < 0)
		return -EUCLEAN;
	*at += z->head.size;
	return run_matches(z, c, ret, begin, *at);
}

static int run_lzvn(struct cur *c, uint8_t *ret, size_t *at, size_t want)
{
	const size_t begin = *at;
	uint32_t size, len;
	const uint8_t *p;

	if (cur_u32le(c, &size) < 0 || cur_u32le(c, &len) < 0 || cur_bytes(c, len, &p) < 0 || size > want - begin)
		return -EUCLEAN;
	*at += size;
	return lzvn_decode(p, len, ret, begin, *at);
}

static int run_stored(struct cur *c, uint8_t *ret, size_t *at, size_t want)
{
	uint32_t size;

	if (cur_u32le(c, &size) < 0 || size > want - *at || cur_copy(c, ret + *at, size) < 0)
		return -EUCLEAN;
	*at += size;
	return 0;
}

int lzfse_decode(const uint8_t *p, size_t len, uint8_t *ret, size_t want)
{
	CLEANUP_FREE struct lzfse *z = malloc(sizeof(*z));
	struct cur c = cur_of(p, len);
	size_t at = 0;
	uint32_t kind;
	int r = 0;

	if (!z)
		return -ENOMEM;
	while (r == 0 && c.left) {
		if (cur_u32be(&c, &kind) < 0)
			return -EUCLEAN;
		switch (kind) {
		case 0x62767832:	/* bvx2 */
		case 0x62767831:
			r = run_compressed(z, &c, kind == 0x62767832, ret, &at, want);
			break;
		case 0x6276786e:	/* bvxn */
			r = run_lzvn(&c, ret, &at, want);
			break;
		case 0x6276782d:	/* bvx- */
			r = run_stored(&c, ret, &at, want);
			break;
		case 0x62767824:	/* bvx$ */
			return at == want ? 0 : -EUCLEAN;
		default:
			return -EUCLEAN;
		}
	}
	return r == 0 && at == want ? 0 : -EUCLEAN;	/* the end's mark is not always there */
}
