/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/decmpfs.h"
#include "agent/lzfse.h"
#include "agent/lzvn.h"
#include "common/cleanup.h"
#include "common/io.h"

#define END "\x06"

static const struct {
	const char *name, *in;
	size_t len;
	const char *want;
	int code;
} lzvn_cases[] = {
	{ "literals", "\xe3" "abc" END, 5, "abc", 0 },
	{ "without the end's mark", "\xe3" "abc", 4, "abc", 0 },
	{ "many literals", "\xe0\x01" "0123456789abcdefg" END, 20, "0123456789abcdefg", 0 },
	{ "short distance", "\xe3" "abc\x00\x03" END, 7, "abcabc", 0 },
	{ "short distance behind a literal", "\xe3" "abc\x40\x04x" END, 8, "abcxabc", 0 },
	{ "medium distance", "\xe3" "abc\xa0\x0c\x00" END, 8, "abcabc", 0 },
	{ "long distance", "\xe3" "abc\x07\x03\x00" END, 8, "abcabc", 0 },
	{ "overlapping match", "\xe1" "a\x38\x01" END, 5, "aaaaaaaaaaa", 0 },
	{ "distance before", "\xe3" "abc\x00\x03\xf2" END, 8, "abcabcab", 0 },
	{ "distance before, with a literal", "\xe3" "abc\x00\x03\x46" "x" END, 9, "abcabcxbcx", 0 },
	{ "long match", "\xe1" "a\x00\x01\xf0\x00" END, 7, "aaaaaaaaaaaaaaaaaaaa", 0 },
	{ "nothing", "\x0e\x16\xe1" "a" END, 5, "a", 0 },
	{ "no distance before", "\xe1" "a\xf2" END, 4, "aaa", -EUCLEAN },
	{ "distance 0", "\xe1" "a\x00\x00" END, 5, "aaaa", -EUCLEAN },
	{ "before the beginning", "\xe1" "a\x00\x02" END, 5, "aaaa", -EUCLEAN },
	{ "too many", "\xe3" "abc" END, 5, "ab", -EUCLEAN },
	{ "too few", "\xe3" "abc" END, 5, "abcd", -EUCLEAN },
	{ "match too long", "\xe3" "abc\x00\x03" END, 7, "abcab", -EUCLEAN },
	{ "not defined", "\xe1" "a\x70" END, 4, "a", -EUCLEAN },
	{ "not defined either", "\xe1" "a\xd0" END, 4, "a", -EUCLEAN },
	{ "nor this", "\xe1" "a\x1e" END, 4, "a", -EUCLEAN },
	{ "cut literals", "\xe3" "ab", 3, "abc", -EUCLEAN },
	{ "cut distance", "\xe3" "abc\x07\x03", 6, "abcabc", -EUCLEAN },
};

static void test_lzvn(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(lzvn_cases) / sizeof(*lzvn_cases); i++) {
		uint8_t out[64] = { 0 };
		size_t n = strlen(lzvn_cases[i].want);

		print_message("%s\n", lzvn_cases[i].name);
		assert_int_equal(lzvn_decode((const uint8_t *)lzvn_cases[i].in, lzvn_cases[i].len, out, 0, n), lzvn_cases[i].code);
		if (!lzvn_cases[i].code)
			assert_memory_equal(out, lzvn_cases[i].want, n);
	}
}

/* Contents of which another program (Apple's own encoder, by way of pyliblzfse) made the vectors in the fuzz target's corpus. */
static void make_lines(uint8_t *p, size_t len)
{
	char line[64];
	size_t at = 0;

	for (unsigned int i = 0; at < len; i++) {
		size_t n = (size_t)snprintf(line, sizeof(line), "line %u of a text that repeats itself\n", i / 3);

		n = n < len - at ? n : len - at;
		memcpy(p + at, line, n);
		at += n;
	}
}

static uint32_t draw(uint32_t *seed, uint32_t below)
{
	*seed = *seed * 1103515245 + 12345;
	return (*seed >> 8) % below;
}

/* Repeats of all lengths and distances, with noise of all lengths between. */
static void make_pieces(uint8_t *p, size_t len)
{
	static const uint16_t matches[] = { 3, 4, 5, 8, 11, 17, 18, 33, 35, 60, 200, 271, 272, 300, 1000, 2400 },
			      literals[] = { 1, 2, 3, 4, 15, 16, 17, 25, 40, 272, 320 };
	uint32_t seed = 1;

	for (size_t at = 0; at < len;) {
		const uint32_t kind = draw(&seed, 8);
		size_t n = kind ? matches[draw(&seed, 16)] : literals[draw(&seed, 11)], back = 0;

		if (kind && at)
			back = 1 + draw(&seed, (uint32_t)(kind > 4 || at < 3000 ? at : kind > 2 ? 3000 : 16) % 65536);
		for (; n && at < len; n--, at++)
			p[at] = back && back <= at ? p[at - back] : (uint8_t)draw(&seed, 256);
	}
}

/* So many short repeats that LZFSE needs two blocks, and the second refers to the first. */
static void make_many(uint8_t *p, size_t len)
{
	uint32_t seed = 2;

	for (size_t at = 0; at < len;) {
		size_t n = 4 + draw(&seed, 2), back = at > 300 ? 1 + draw(&seed, 300) : 0;

		for (; n && at < len; n--, at++)
			p[at] = back ? p[at - back] : (uint8_t)draw(&seed, 4);
		if (at < len)
			p[at++] = (uint8_t)draw(&seed, 4);
	}
}

static void make_noise(uint8_t *p, size_t len)
{
	uint32_t seed = 3;

	for (size_t at = 0; at < len; at++)
		p[at] = (uint8_t)draw(&seed, 256);
}

static const struct {
	const char *file;
	void (*make)(uint8_t *p, size_t len);
	const char *first;	/* bytes of the block */
} vectors[] = {
	{ "lzvn-lines", make_lines, "\xe0" },
	{ "lzvn-pieces", make_pieces, "\xc8" },
	{ "lzvn-small", make_pieces, "\xc8" },
	{ "lzfse-lines", make_lines, "bvx2" },
	{ "lzfse-pieces", make_pieces, "bvx2" },
	{ "lzfse-many", make_many, "bvx2" },
	{ "lzfse-plain-tables", make_lines, "bvx1" },
	{ "lzfse-lzvn", make_lines, "bvxn" },
	{ "lzfse-noise", make_noise, "bvx-" },
	{ "lzfse-one", make_noise, "bvx-" },
};

static void test_vectors(void **state)
{
	CLEANUP_FREE uint8_t *out = malloc(DECMPFS_BLOCK), *want = malloc(DECMPFS_BLOCK);

	(void)state;
	assert_non_null(out);
	assert_non_null(want);
	for (size_t i = 0; i < sizeof(vectors) / sizeof(*vectors); i++) {
		CLEANUP_FREE char *data = NULL;
		const uint8_t *p;
		size_t len, size;
		char path[128];

		print_message("%s\n", vectors[i].file);
		(void)snprintf(path, sizeof(path), "tests/fuzz/corpus/agent_decmpfs/%s", vectors[i].file);
		assert_int_equal(io_read_file(AT_FDCWD, path, 1 << 20, &data, &len), 0);
		assert_true(len > 3);
		p = (const uint8_t *)data;
		size = p[1] | (size_t)p[2] << 8;
		size = size ? size : DECMPFS_BLOCK;
		assert_memory_equal(p + 3, vectors[i].first, strlen(vectors[i].first));
		vectors[i].make(want, size);
		assert_int_equal(decmpfs_decode(p[0], p + 3, len - 3, out, size), 0);
		assert_memory_equal(out, want, size);
		assert_int_equal(decmpfs_decode(p[0], p + 3, len - 3, out, size - 1), size > 1 ? -EUCLEAN : 0);
	}
}

/*
 * A block bvx1 whose streams have no bits at all, since each table has one symbol alone: literals "a", 4 of them, and then 4 bytes from 1
 * before; twice.
 */
#define PLAIN_HEAD 772

static void set(uint8_t *p, size_t off, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[off + i] = (uint8_t)(v >> 8 * i);
}

enum {
	SIZE = 4, LITERALS = 12, MATCHES = 16, LITERAL_BYTES = 20, LMD_BYTES = 24, LITERAL_BITS = 28, LITERAL_STATE = 32, LMD_BITS = 40,
	L_STATE = 44, M_STATE = 46, D_STATE = 48, L_FREQ = 50, M_FREQ = L_FREQ + 40, D_FREQ = M_FREQ + 40, LITERAL_FREQ = D_FREQ + 128,
};

static void make_plain(uint8_t p[static PLAIN_HEAD])
{
	memset(p, 0, PLAIN_HEAD);
	memcpy(p, "bvx1", 4);
	set(p, SIZE, 16, 4);
	set(p, LITERALS, 8, 4);
	set(p, MATCHES, 2, 4);
	set(p, L_FREQ + 2 * 4, 64, 2);
	set(p, M_FREQ + 2 * 4, 64, 2);
	set(p, D_FREQ + 2 * 1, 256, 2);
	set(p, LITERAL_FREQ + 2 * 'a', 1024, 2);
}

static const struct {
	const char *name;
	struct {
		size_t off, n;
		uint64_t v;
	} field[3];
	int code;
} lzfse_cases[] = {
	{ "as it is", { { 0 } }, 0 },
	{ "size too large for the room", { { SIZE, 4, 17 } }, -EUCLEAN },
	{ "size too small", { { SIZE, 4, 15 } }, -EUCLEAN },
	{ "huge size", { { SIZE, 4, UINT32_MAX } }, -EUCLEAN },
	{ "too few literals", { { LITERALS, 4, 4 } }, -EUCLEAN },
	{ "more literals than fit", { { LITERALS, 4, 20 } }, -EUCLEAN },
	{ "literals up to a multiple of four", { { LITERALS, 4, 16 } }, 0 },
	{ "literals not in fours", { { LITERALS, 4, 9 } }, -EUCLEAN },
	{ "too many literals", { { LITERALS, 4, 40004 } }, -EUCLEAN },
	{ "too few matches", { { MATCHES, 4, 1 } }, -EUCLEAN },
	{ "too many matches", { { MATCHES, 4, 3 } }, -EUCLEAN },
	{ "more matches than may be", { { MATCHES, 4, 10001 } }, -EUCLEAN },
	{ "literals that are not there", { { LITERAL_BYTES, 4, 1 } }, -EUCLEAN },
	{ "matches that are not there", { { LMD_BYTES, 4, UINT32_MAX } }, -EUCLEAN },
	{ "bits of no byte", { { LITERAL_BITS, 4, UINT32_MAX } }, -EUCLEAN },
	{ "bits of no byte, matches", { { LMD_BITS, 4, UINT32_MAX } }, -EUCLEAN },
	{ "more bits than a byte has", { { LITERAL_BITS, 4, (uint32_t)-8 } }, -EUCLEAN },
	{ "a positive number of bits", { { LMD_BITS, 4, 1 } }, -EUCLEAN },
	{ "state of literals", { { LITERAL_STATE + 6, 2, 1024 } }, -EUCLEAN },
	{ "last state of literals", { { LITERAL_STATE + 6, 2, 1023 } }, 0 },
	{ "state of L", { { L_STATE, 2, 64 } }, -EUCLEAN },
	{ "state of M", { { M_STATE, 2, 64 } }, -EUCLEAN },
	{ "state of D", { { D_STATE, 2, 256 } }, -EUCLEAN },
	{ "frequencies too small in all", { { L_FREQ + 8, 2, 63 } }, -EUCLEAN },
	{ "frequencies too large in all", { { M_FREQ, 2, 1 } }, -EUCLEAN },
	{ "a huge frequency", { { LITERAL_FREQ, 2, 65535 } }, -EUCLEAN },
	{ "no frequencies", { { D_FREQ + 2, 2, 0 } }, -EUCLEAN },
	{ "bits that are not there", { { D_FREQ + 2, 2, 255 }, { D_FREQ + 4, 2, 1 } }, -EUCLEAN },
	{ "no distance before", { { D_FREQ + 2, 2, 0 }, { D_FREQ, 2, 256 } }, -EUCLEAN },
	{ "distance before the beginning", { { D_FREQ + 2, 2, 0 }, { D_FREQ + 2 * 20, 2, 256 }, { L_STATE, 2, 0 } }, -EUCLEAN },
	{ "another kind", { { 3, 1, '3' } }, -EUCLEAN },
	{ "kind of the packed header", { { 3, 1, '2' } }, -EUCLEAN },
};

static void test_lzfse(void **state)
{
	uint8_t block[PLAIN_HEAD + 4], out[16];

	(void)state;
	for (size_t i = 0; i < sizeof(lzfse_cases) / sizeof(*lzfse_cases); i++) {
		print_message("%s\n", lzfse_cases[i].name);
		make_plain(block);
		memcpy(block + PLAIN_HEAD, "bvx$", 4);
		for (size_t j = 0; j < 3; j++)
			set(block, lzfse_cases[i].field[j].off, lzfse_cases[i].field[j].v, lzfse_cases[i].field[j].n);
		assert_int_equal(lzfse_decode(block, sizeof(block), out, 16), lzfse_cases[i].code);
		if (!lzfse_cases[i].code)
			assert_memory_equal(out, "aaaaaaaaaaaaaaaa", 16);
	}
	make_plain(block);
	for (size_t n = 0; n < sizeof(block); n++)	/* the end's mark need not be there */
		assert_int_equal(lzfse_decode(block, n, out, 16), n == PLAIN_HEAD ? 0 : -EUCLEAN);
	assert_int_equal(lzfse_decode(block, 0, out, 0), 0);
}

static const struct {
	const char *name, *in;
	size_t len;
	const char *want;
	int code;
} stream_cases[] = {
	{ "stored", "bvx-\3\0\0\0abcbvx$", 15, "abc", 0 },
	{ "without the end's mark", "bvx-\3\0\0\0abc", 11, "abc", 0 },
	{ "two blocks", "bvx-\1\0\0\0abvx-\2\0\0\0bcbvx$", 23, "abc", 0 },
	{ "LZVN refers to the block before", "bvx-\3\0\0\0abcbvxn\3\0\0\0\3\0\0\0\x00\x03\x06" "bvx$", 30, "abcabc", 0 },
	{ "LZVN before the beginning", "bvx-\3\0\0\0abcbvxn\3\0\0\0\3\0\0\0\x00\x04\x06" "bvx$", 30, "abcabc", -EUCLEAN },
	{ "LZVN longer than what is there", "bvxn\3\0\0\0\6\0\0\0\xe3" "abc\x06", 17, "abc", -EUCLEAN },
	{ "LZVN with another size", "bvxn\2\0\0\0\5\0\0\0\xe3" "abc\x06" "bvx$", 21, "abc", -EUCLEAN },
	{ "LZVN too large", "bvxn\4\0\0\0\5\0\0\0\xe3" "abc\x06" "bvx$", 21, "abc", -EUCLEAN },
	{ "behind the end's mark", "bvx-\3\0\0\0abcbvx$more", 19, "abc", 0 },
	{ "too early an end", "bvx-\2\0\0\0abbvx$", 14, "abc", -EUCLEAN },
	{ "stored, too large", "bvx-\4\0\0\0abcdbvx$", 16, "abc", -EUCLEAN },
	{ "stored, cut", "bvx-\3\0\0\0ab", 10, "abc", -EUCLEAN },
	{ "nothing behind a block", "bvx-\3\0\0\0abcb", 12, "abc", -EUCLEAN },
	{ "no kind", "bvx0\3\0\0\0abc", 11, "abc", -EUCLEAN },
	{ "packed header too short", "bvx2\3\0\0\0" "\0\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0" "\x1f\0\0\0\0\0\0\0", 32, "abc", -EUCLEAN },
	{ "packed header without tables", "bvx2\3\0\0\0" "\0\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0" "\x20\0\0\0\0\0\0\0", 32, "abc", -EUCLEAN },
	{ "packed header too long", "bvx2\3\0\0\0" "\0\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0" "\xff\xff\xff\xff\0\0\0\0", 32, "abc", -EUCLEAN },
};

static void test_streams(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(stream_cases) / sizeof(*stream_cases); i++) {
		const size_t want = strlen(stream_cases[i].want);
		uint8_t out[16];

		print_message("%s\n", stream_cases[i].name);
		assert_int_equal(lzfse_decode((const uint8_t *)stream_cases[i].in, stream_cases[i].len, out, want), stream_cases[i].code);
		if (!stream_cases[i].code)
			assert_memory_equal(out, stream_cases[i].want, want);
	}
}

static void test_head(void **state)
{
	static const uint8_t head[] = "fpmc\4\0\0\0\0\0\1\0\0\0\0";	/* the string's NUL is the last byte */
	uint8_t huge[16];
	struct decmpfs_head h;

	(void)state;
	assert_int_equal(decmpfs_parse(head, 16, &h), 0);
	assert_int_equal(h.type, 4);
	assert_int_equal(h.size, 65536);
	for (size_t n = 0; n < 16; n++)
		assert_int_equal(decmpfs_parse(head, n, &h), -EBADMSG);
	memcpy(huge, head, 16);
	huge[15] = 0x80;
	assert_int_equal(decmpfs_parse(huge, 16, &h), -EBADMSG);
	huge[0] = 'g';
	assert_int_equal(decmpfs_parse(huge, 16, &h), -EBADMSG);
}

static void test_blocks(void **state)
{
	uint8_t out[8];

	(void)state;
	assert_int_equal(decmpfs_decode(3, (const uint8_t *)"\xff" "abc", 4, out, 3), 0);
	assert_memory_equal(out, "abc", 3);
	assert_int_equal(decmpfs_decode(4, (const uint8_t *)"\xff" "abc", 4, out, 4), -EUCLEAN);
	assert_int_equal(decmpfs_decode(4, (const uint8_t *)"x", 1, out, 4), -EUCLEAN);
	assert_int_equal(decmpfs_decode(8, (const uint8_t *)"\x06" "abc", 4, out, 3), 0);
	assert_int_equal(decmpfs_decode(9, (const uint8_t *)"\xcc" "abc", 4, out, 3), 0);
	assert_memory_equal(out, "abc", 3);
	assert_int_equal(decmpfs_decode(1, (const uint8_t *)"abc", 3, out, 3), 0);
	assert_int_equal(decmpfs_decode(7, NULL, 0, out, 3), -EUCLEAN);
	assert_int_equal(decmpfs_decode(7, NULL, 0, out, 0), 0);
	assert_int_equal(decmpfs_decode(11, (const uint8_t *)"\xff" "abc", 4, out, 3), 0);
	assert_memory_equal(out, "abc", 3);
	assert_int_equal(decmpfs_decode(12, (const uint8_t *)"bvx-\3\0\0\0abcbvx$", 15, out, 3), 0);
	assert_int_equal(decmpfs_decode(12, (const uint8_t *)"bvx2", 4, out, 3), -EUCLEAN);
	assert_int_equal(decmpfs_decode(13, (const uint8_t *)"ZBM\x09", 4, out, 3), -EOPNOTSUPP);
	assert_int_equal(decmpfs_decode(3, (const uint8_t *)"\xff", 1, out, DECMPFS_BLOCK + 1), -EUCLEAN);
}

/* A volume of 16 blocks of 512 bytes: header in block 2, catalog in blocks 4 and 5, resource fork of file 16 in block 8. */
#define VOLUME (16 * 512)

static void put(uint8_t *p, size_t off, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[off + i] = (uint8_t)(v >> 8 * (n - 1 - i));
}

static void put_fork(uint8_t *p, size_t off, uint64_t size, uint32_t start, uint32_t count)
{
	put(p, off, size, 8);
	put(p, off + 12, count, 4);
	put(p, off + 16, start, 4);
	put(p, off + 20, count, 4);
}

static void make_volume(uint8_t v[static VOLUME])
{
	uint8_t *head = v + 1024, *tree = v + 4 * 512, *leaf = tree + 512;
	const size_t thread = 14 + 2 + 8 + 248;

	memset(v, 0, VOLUME);
	put(head, 0, 0x482b, 2);
	put(head, 40, 512, 4);
	put_fork(head, 192, 0, 0, 0);
	put_fork(head, 272, 1024, 4, 2);
	put(tree, 14, 1, 2);		/* depth */
	put(tree, 16, 1, 4);		/* root */
	put(tree, 32, 512, 2);		/* size of a node */
	put(leaf, 8, 0xff, 1);
	put(leaf, 10, 2, 2);
	put(leaf, 14, 8, 2);		/* key: folder 2, name "a" */
	put(leaf, 16, 2, 4);
	put(leaf, 20, 1, 2);
	put(leaf, 22, 'a', 2);
	put(leaf, 24, 2, 2);		/* a file: id 16, resource fork */
	put(leaf, 24 + 8, 16, 4);
	put_fork(leaf, 24 + 168, 300, 8, 1);
	put(leaf, thread, 6, 2);	/* key: 16, no name; its folder is 2 */
	put(leaf, thread + 2, 16, 4);
	put(leaf, thread + 8, 4, 2);
	put(leaf, thread + 12, 2, 4);
	put(leaf, 510, 14, 2);
	put(leaf, 508, thread, 2);
	put(leaf, 506, thread + 18, 2);
	memset(v + 8 * 512, 'r', 300);
}

static int read_fork(int fd, uint8_t *ret)
{
	struct hfsplus_fork f;
	struct hfsplus h;
	int r = hfsplus_open(fd, &h);

	if (r == 0)
		r = hfsplus_resource(&h, 16, &f);
	return r < 0 ? r : hfsplus_read(&h, &f, 0, ret, 300);
}

static void test_hfsplus(void **state)
{
	uint8_t v[VOLUME], out[300], want[300];
	int fd = memfd_create("volume", MFD_CLOEXEC), good = 0;
	struct hfsplus_fork f;
	struct hfsplus h;

	(void)state;
	memset(want, 'r', sizeof(want));
	make_volume(v);
	assert_int_equal(pwrite(fd, v, VOLUME, 0), VOLUME);
	assert_int_equal(read_fork(fd, out), 0);
	assert_memory_equal(out, want, 300);
	assert_int_equal(hfsplus_open(fd, &h), 0);
	assert_int_equal(hfsplus_resource(&h, 17, &f), -ENOENT);
	assert_int_equal(hfsplus_resource(&h, 2, &f), -ENOENT);
	assert_int_equal(hfsplus_resource(&h, 16, &f), 0);
	assert_int_equal(hfsplus_read(&h, &f, 1, out, 300), -ERANGE);
	/* Whatever a single byte says, it ends, within bounds, and with an answer. */
	for (size_t i = 1024; i < 6 * 512; i++) {
		for (unsigned int bit = 0; bit < 8; bit++) {
			uint8_t bad = v[i] ^ (uint8_t)(1 << bit);

			assert_int_equal(pwrite(fd, &bad, 1, (off_t)i), 1);
			good += read_fork(fd, out) == 0;
		}
		assert_int_equal(pwrite(fd, &v[i], 1, (off_t)i), 1);
	}
	assert_true(good > 0);
	for (off_t size = VOLUME; size > 0; size -= 500) {
		assert_int_equal(ftruncate(fd, size), 0);
		(void)read_fork(fd, out);
	}
	(void)close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lzvn),    cmocka_unit_test(test_vectors), cmocka_unit_test(test_lzfse), cmocka_unit_test(test_streams),
		cmocka_unit_test(test_head),    cmocka_unit_test(test_blocks),  cmocka_unit_test(test_hfsplus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
