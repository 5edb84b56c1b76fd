/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/dirty.h"
#include "agent/note.h"

#define VOLUME 262144
#define BLOCK 512
#define LOG 4		/* first block of the log, which has as many as this: */
#define LOG_BLOCKS 64

static uint8_t volume[VOLUME];

static void put_le(size_t at, uint64_t v, unsigned int bytes)
{
	for (unsigned int i = 0; i < bytes; i++)
		volume[at + i] = (uint8_t)(v >> 8 * i);
}

static void put_be(size_t at, uint64_t v, unsigned int bytes)
{
	for (unsigned int i = 0; i < bytes; i++)
		volume[at + i] = (uint8_t)(v >> 8 * (bytes - 1 - i));
}

static int make_fd(void)
{
	int fd = memfd_create("volume", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, volume, sizeof(volume)), sizeof(volume));
	return fd;
}

static const char *look(const char *type)
{
	int fd = make_fd();
	const char *note = dirty_note(fd, type);

	(void)close(fd);
	return note;
}

/* Types whose superblock says it: a clean one is made dirty by a single field. */
static const struct {
	const char *type, *note;
	struct {
		size_t at;
		uint64_t value;
		unsigned int bytes;
	} clean[8];
	size_t at;
	uint64_t value;
} flags[] = {
	{ "ext4", "journal", { { 0 } }, 1024 + 0x60, 4 },
	{ "ext3", "journal", { { 1024 + 0x60, 2, 1 } }, 1024 + 0x60, 6 },
	{ "btrfs", "journal", { { 0 } }, 65536 + 0x60, 1 },
	{ "btrfs", "journal", { { 0 } }, 65536 + 0x67, 1 },
	{ "jfs", "journal", { { 0 } }, 32768 + 0x28, 2 },
	{ "nilfs2", "checkpoint", { { 1024 + 6, 0x3434, 2 }, { 1024 + 0x74, 1, 2 } }, 1024 + 0x74, 0 },
	{ "hfsplus", "journal", { { 1024, 0x2b48, 2 }, { 1024 + 6, 0x21, 1 } }, 1024 + 6, 0x20 },
	/* blocks of 4 KiB, 2 in a segment; checkpoints of 2 blocks at 8 and 10: the newer one says "unmounted" */
	{ "f2fs", "checkpoint",
	  { { 1024 + 0x10, 12, 4 }, { 1024 + 0x14, 1, 4 }, { 1024 + 0x4c, 8, 4 }, { 8 * 4096, 7, 8 }, { 8 * 4096 + 0x88, 1, 4 },
	    { 10 * 4096, 8, 8 }, { 10 * 4096 + 0x84, 0x100000001, 8 } },
	  10 * 4096 + 0x84, 4 },
	/* and the older one does not, but the newer one is not whole any more */
	{ "f2fs", "checkpoint",
	  { { 1024 + 0x10, 12, 4 }, { 1024 + 0x14, 1, 4 }, { 1024 + 0x4c, 8, 4 }, { 8 * 4096, 7, 8 }, { 8 * 4096 + 0x88, 1, 4 },
	    { 10 * 4096, 8, 8 }, { 10 * 4096 + 0x84, 0x100000001, 8 } },
	  10 * 4096 + 0x88, 0 },
	/* clusters of 4 KiB, the MFT at 2; record 3 has another attribute first */
	{ "ntfs", "cleanly",
	  { { 0x0b, 512, 2 }, { 0x0d, 8, 1 }, { 0x30, 2, 8 }, { 0x40, 0xf6, 1 }, { 2 * 4096 + 3072, 0x0038454c4946, 6 },
	    { 2 * 4096 + 3072 + 0x14, 0x38, 2 }, { 2 * 4096 + 3072 + 0x38, 0x1800000010, 8 }, { 2 * 4096 + 3072 + 0x50, 0x2800000070, 8 } },
	  2 * 4096 + 3072 + 0x50 + 0x0a, 1 },
};

static void test_flags(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		const char *note;

		print_message("%s %zu\n", flags[i].type, i);
		memset(volume, 0, sizeof(volume));
		assert_null(look(flags[i].type));
		for (size_t k = 0; k < 8 && flags[i].clean[k].bytes; k++)
			put_le(flags[i].clean[k].at, flags[i].clean[k].value, flags[i].clean[k].bytes);
		assert_null(look(flags[i].type));
		put_le(flags[i].at, flags[i].value, 1);
		note = look(flags[i].type);
		assert_non_null(note);
		assert_non_null(strstr(note, flags[i].note));
		assert_null(look("ext2"));
		assert_null(look("vfat"));
	}
}

static void xfs_super(uint64_t log_start)
{
	memset(volume, 0, sizeof(volume));
	put_be(0x30, log_start, 8);
	put_be(0x54, 1024, 4);
	put_be(0x60, LOG_BLOCKS, 4);
	volume[0x78] = 9;
	volume[0x7c] = 10;
}

/* A record of @blocks behind its header, at @at of the log in round @round. Return: where the next one goes. */
static uint32_t record(uint32_t at, uint32_t round, uint32_t blocks, uint32_t operations, uint8_t op_flags)
{
	for (uint32_t i = 0; i <= blocks; i++) {
		const size_t off = (LOG + (at + i) % LOG_BLOCKS) * (size_t)BLOCK;
		const uint32_t own = round + (at + i >= LOG_BLOCKS);

		put_be(off, own, 4);
		if (i) {
			if (i == 1)
				volume[off + 9] = op_flags;
			continue;
		}
		put_be(off, 0xfeedbabe, 4);
		put_be(off + 4, own, 4);
		put_be(off + 8, 2, 4);
		put_be(off + 12, blocks * BLOCK, 4);
		put_be(off + 0x28, operations, 4);
		put_be(off + 0x140, 32768, 4);
	}
	return (at + blocks + 1) % LOG_BLOCKS;
}

static void test_xfs_log(void **state)
{
	uint32_t at;

	(void)state;
	xfs_super(LOG);
	assert_null(look("xfs"));		/* never used */
	at = record(0, 1, 1, 1, 0x20);
	assert_null(look("xfs"));		/* as mkfs leaves it */
	at = record(at, 1, 9, 5, 0);
	assert_non_null(look("xfs"));
	at = record(at, 1, 1, 1, 0x20);
	assert_null(look("xfs"));
	at = record(at, 1, 1, 1, 0x01);		/* one operation, but another one */
	assert_non_null(look("xfs"));
	at = record(at, 1, 30, 1, 0x20);	/* padded to the stripe of the disks below */
	assert_null(look("xfs"));
	at = record(at, 1, 13, 9, 0);		/* to the last block but one */
	assert_int_equal(at, 61);
	assert_non_null(look("xfs"));
	at = record(at, 1, 1, 1, 0x20);
	assert_int_equal(at, 63);
	assert_null(look("xfs"));
	at = record(at, 1, 1, 1, 0x20);		/* goes on at the beginning */
	assert_int_equal(at, 1);
	assert_null(look("xfs"));
	at = record(at, 2, 20, 2, 0);
	assert_non_null(look("xfs"));
	at = record(at, 2, 41, 3, 0);
	assert_int_equal(at, 0);
	assert_non_null(look("xfs"));		/* all blocks are of one round */
}

/* Headers of several blocks, and what cannot be told. */
static void test_xfs_odd(void **state)
{
	(void)state;
	for (uint32_t size = 32768; size <= 131072; size += 16384) {
		/* buffers of more than 32 KiB have more headers; three of them and one block end where this does */
		xfs_super(LOG);
		(void)record(0, 1, 3, 1, 0);
		put_be(LOG * BLOCK + 12, BLOCK, 4);
		put_be(LOG * BLOCK + 0x140, size, 4);
		volume[(LOG + 3) * BLOCK + 9] = 0x20;
		assert_int_equal(look("xfs") == NULL, size > 65536 && size <= 98304);
	}
	xfs_super(0);				/* the log is on another device */
	(void)record(0, 1, 9, 5, 0);
	assert_null(look("xfs"));
	xfs_super(LOG);
	(void)record(0, 1, 9, 5, 0);
	put_be(0x60, VOLUME / BLOCK, 4);	/* beyond the end */
	assert_null(look("xfs"));
	put_be(0x60, 0xffffffff, 4);
	assert_null(look("xfs"));
	put_be(0x60, LOG_BLOCKS, 4);
	assert_non_null(look("xfs"));
	for (unsigned int v = 0; v < 256; v++) {
		volume[0x78] = (uint8_t)v;
		(void)look("xfs");
		volume[0x78] = 9;
		volume[0x7c] = (uint8_t)v;
		(void)look("xfs");
		volume[0x7c] = 10;
	}
}

/* Facts one behind the other, as long as there is room. */
static void test_notes(void **state)
{
	char note[NOTE_MAX] = "";

	(void)state;
	note_add(note, "%s", "one");
	assert_string_equal(note, "one");
	note_add(note, "%d facts", 2);
	assert_string_equal(note, "one; 2 facts");
	for (size_t i = 0; i < NOTE_MAX; i++)
		note_add(note, "%s", "x");
	assert_int_equal(strlen(note), NOTE_MAX - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flags), cmocka_unit_test(test_xfs_log), cmocka_unit_test(test_xfs_odd),
		cmocka_unit_test(test_notes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
