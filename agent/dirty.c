/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/dirty.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "agent/disk.h"
#include "agent/note.h"
#include "common/cleanup.h"
#include "common/cur.h"
#include "common/io.h"

#define XLOG_BLOCK 512
#define XLOG_BLOCKS_MAX (UINT32_C(1) << 22)	/* 2 GiB, the format's own limit */
#define XLOG_MAGIC 0xfeedbabe
#define XLOG_RECORD_MAX 528			/* blocks: 256 KiB and headers */
#define XLOG_HEADER_DATA 32768			/* bytes of data that one header block stands for */
#define XLOG_UNMOUNT 0x20

#define NTFS_RECORD_MAX 4096
#define NTFS_VOLUME_INFORMATION 0x70
#define NTFS_END 0xffffffff

static bool load(int fd, uint64_t off, uint8_t *p, size_t n, struct cur *ret)
{
	*ret = cur_of(p, n);
	return io_pread_full(fd, p, n, off) == 0;
}

/* A field of 16 or 32 bits by its place; 0 where it cannot be read. */
static uint32_t field(int fd, uint64_t off, bool wide)
{
	uint32_t value = 0;
	uint16_t narrow = 0;
	uint8_t p[4];
	struct cur c;

	if (!load(fd, off, p, wide ? 4 : 2, &c) || (wide ? cur_u32le(&c, &value) : cur_u16le(&c, &narrow)) < 0)
		return 0;
	return wide ? value : narrow;
}

/* ext3, ext4: "needs recovery", an incompatible feature. */
static bool ext_is_dirty(int fd)
{
	return field(fd, 1024 + 0x60, true) & 4;
}

/* btrfs: the address of a log tree. */
static bool btrfs_is_dirty(int fd)
{
	return field(fd, 65536 + 0x60, true) || field(fd, 65536 + 0x64, true);
}

/* JFS: the state of the aggregate, 0 when it is clean. */
static bool jfs_is_dirty(int fd)
{
	return field(fd, 32768 + 0x28, true);
}

/* NILFS2: the state, whose lowest bit says that it is valid. */
static bool nilfs_is_dirty(int fd)
{
	return field(fd, 1024 + 6, false) == 0x3434 && !(field(fd, 1024 + 0x74, false) & 1);
}

/* HFS+: attributes of the volume, big-endian, of which bit 8 says that it was unmounted and bit 13 that it has a journal. */
static bool hfsplus_is_dirty(int fd)
{
	const uint32_t magic = field(fd, 1024, false);

	/* "H+", "HX"; else it lies in an HFS */
	return (magic == 0x2b48 || magic == 0x5848) && (field(fd, 1024 + 6, false) & 0x21) == 0x20;
}

/* One of the two checkpoints of F2FS: its version, 0 if it is not whole, and its flags. */
static uint64_t f2fs_checkpoint(int fd, uint64_t at, uint32_t block, uint32_t *ret_flags)
{
	uint8_t p[0x8c];
	uint64_t version, last;
	uint32_t blocks;
	struct cur c;

	/* version; flags at 0x84, blocks in all behind them; the last block begins with the version, too */
	if (!load(fd, at, p, sizeof(p), &c) || cur_u64le(&c, &version) < 0 || cur_skip(&c, 0x7c) < 0 ||
	    cur_u32le(&c, ret_flags) < 0 || cur_u32le(&c, &blocks) < 0 || !blocks || blocks > 0x10000 ||
	    !load(fd, at + (uint64_t)(blocks - 1) * block, p, 8, &c) || cur_u64le(&c, &last) < 0)
		return 0;
	return version == last ? version : 0;
}

/* F2FS: the flag "unmounted" of the newer checkpoint. */
static bool f2fs_is_dirty(int fd)
{
	const uint32_t block_bits = field(fd, 1024 + 0x10, true), segment_bits = field(fd, 1024 + 0x14, true);
	const uint64_t first = field(fd, 1024 + 0x4c, true);
	uint32_t flags[2] = { 0 };
	uint64_t version[2];

	if (block_bits < 9 || block_bits > 16 || segment_bits > 16)
		return false;
	for (unsigned int i = 0; i < 2; i++)
		version[i] = f2fs_checkpoint(fd, (first + ((uint64_t)i << segment_bits)) << block_bits, 1u << block_bits, &flags[i]);
	return (version[0] || version[1]) && !(flags[version[1] > version[0]] & 1);
}

/* Where MFT record 3 lies, and its size. */
static bool ntfs_volume_record(int fd, uint64_t *ret_at, size_t *ret_size)
{
	const uint64_t sector = field(fd, 0x0b, false), mft = field(fd, 0x30, true) | (uint64_t)field(fd, 0x34, true) << 32;
	const int cluster_code = (int8_t)field(fd, 0x0d, false), record_code = (int8_t)field(fd, 0x40, false);
	uint64_t cluster, record;

	/* negative: powers of two, of sectors but for -128, and of bytes */
	if ((cluster_code < -12 && cluster_code != -128) || record_code < -12)
		return false;
	cluster = cluster_code == -128 ? sector * 128 :
		  cluster_code < 0     ? sector << -cluster_code :
					 sector * (unsigned int)cluster_code;
	record = record_code < 0 ? UINT64_C(1) << -record_code : cluster * (unsigned int)record_code;
	*ret_size = (size_t)record;
	return record >= 512 && record <= NTFS_RECORD_MAX && !__builtin_mul_overflow(mft, cluster, ret_at) &&
	       !__builtin_add_overflow(*ret_at, 3 * record, ret_at);
}

/* NTFS: the flags in the attribute $VOLUME_INFORMATION of that record, of which the lowest says "dirty". */
static bool ntfs_is_dirty(int fd)
{
	uint8_t p[NTFS_RECORD_MAX];
	uint16_t off, flags;
	struct cur c, attr, body;
	uint32_t type, len;
	uint64_t at;
	size_t size;

	/* its attributes begin where 0x14 says */
	if (!ntfs_volume_record(fd, &at, &size) || !load(fd, at, p, size, &c) || memcmp(p, "FILE", 4) != 0 ||
	    cur_skip(&c, 0x14) < 0 || cur_u16le(&c, &off) < 0 || off < 0x16 || cur_skip(&c, off - 0x16u) < 0)
		return false;
	do {
		attr = c;
		if (cur_u32le(&attr, &type) < 0 || type == NTFS_END || cur_u32le(&attr, &len) < 0 || len < 16 ||
		    cur_sub(&c, len, &body) < 0)
			return false;
	} while (type != NTFS_VOLUME_INFORMATION);
	attr = body;
	/* resident: where its value begins at 0x14; there the flags at 0x0a */
	return cur_skip(&attr, 0x14) == 0 && cur_u16le(&attr, &off) == 0 && cur_skip(&body, off) == 0 &&
	       cur_skip(&body, 0x0a) == 0 && cur_u16le(&body, &flags) == 0 && flags & 1;
}

/* The log of an XFS, in blocks of 512 bytes. */
struct xlog {
	int fd;
	uint64_t start;		/* bytes */
	uint32_t blocks;
};

static bool xlog_find(int fd, struct xlog *ret)
{
	uint64_t log_start, block;
	uint32_t ag_blocks, log_blocks;
	uint8_t p[0x80], block_bits, ag_bits;
	struct cur c;

	/* where the log begins at 0x30, size of a group 0x54, of the log 0x60; logarithms of a block 0x78 and of a group 0x7c */
	if (!load(fd, 0, p, sizeof(p), &c) || cur_skip(&c, 0x30) < 0 || cur_u64be(&c, &log_start) < 0 ||
	    cur_skip(&c, 0x1c) < 0 || cur_u32be(&c, &ag_blocks) < 0 || cur_skip(&c, 8) < 0 ||
	    cur_u32be(&c, &log_blocks) < 0 || cur_skip(&c, 0x14) < 0 ||
	    cur_u8(&c, &block_bits) < 0 || cur_skip(&c, 3) < 0 || cur_u8(&c, &ag_bits) < 0)
		return false;
	/* 0: on another device */
	if (!log_start || block_bits < 9 || block_bits > 16 || ag_bits > 31 || !log_blocks ||
	    log_blocks > XLOG_BLOCKS_MAX >> (block_bits - 9) ||
	    __builtin_mul_overflow(log_start >> ag_bits, (uint64_t)ag_blocks, &block) ||
	    __builtin_add_overflow(block, log_start & ((UINT64_C(1) << ag_bits) - 1), &block) ||
	    block > UINT64_MAX >> block_bits)
		return false;
	*ret = (struct xlog){ .fd = fd, .start = block << block_bits, .blocks = log_blocks << (block_bits - 9) };
	return true;
}

static bool xlog_load(const struct xlog *l, uint32_t block, uint8_t *p, size_t n, struct cur *ret)
{
	return load(l->fd, l->start + (uint64_t)block * XLOG_BLOCK, p, n, ret);
}

/* Each block begins with the number of the round that wrote it; in the header of a record it comes behind the signature. */
static bool xlog_round(const struct xlog *l, uint32_t block, uint32_t *ret, bool *ret_header)
{
	uint8_t p[8];
	struct cur c;

	if (!xlog_load(l, block, p, sizeof(p), &c) || cur_u32be(&c, ret) < 0)
		return false;
	*ret_header = *ret == XLOG_MAGIC;
	return !*ret_header || cur_u32be(&c, ret) == 0;
}

/* Where the next record would go: the first block that is of the same round as the last one of the log. */
static bool xlog_head(const struct xlog *l, uint32_t *ret)
{
	uint32_t first, last, low = 0, high = l->blocks - 1, round;
	bool header;

	if (!xlog_round(l, 0, &first, &header) || !xlog_round(l, high, &last, &header))
		return false;
	while (first != last && high - low > 1) {
		const uint32_t middle = low + (high - low) / 2;

		if (!xlog_round(l, middle, &round, &header))
			return false;
		if (round == last)
			high = middle;
		else
			low = middle;
	}
	*ret = first == last ? 0 : high;
	return true;
}

/* Is the record that begins at @block, and should end at @head, the one that an unmount leaves? */
static bool xlog_is_unmount(const struct xlog *l, uint32_t block, uint32_t head)
{
	uint32_t version, len, operations, size, headers = 1;
	uint8_t p[0x144], flags;
	struct cur c;

	/* version at 0x08, bytes of data, operations at 0x28, of version 2: size of buffers at 0x140 */
	if (!xlog_load(l, block, p, sizeof(p), &c) || cur_skip(&c, 8) < 0 || cur_u32be(&c, &version) < 0 ||
	    cur_u32be(&c, &len) < 0 || cur_skip(&c, 0x18) < 0 || cur_u32be(&c, &operations) < 0 ||
	    cur_skip(&c, 0x114) < 0 || cur_u32be(&c, &size) < 0 || len > XLOG_RECORD_MAX * XLOG_BLOCK)
		return false;
	if (version & 2 && size > XLOG_HEADER_DATA && size <= XLOG_RECORD_MAX * XLOG_BLOCK)
		headers = (size + XLOG_HEADER_DATA - 1) / XLOG_HEADER_DATA;
	if (operations != 1 || (block + headers + (len + XLOG_BLOCK - 1) / XLOG_BLOCK) % l->blocks != head)
		return false;
	/* its only operation: flags at 0x09 */
	block = (block + headers) % l->blocks;
	return xlog_load(l, block, p, 16, &c) && cur_skip(&c, 9) == 0 && cur_u8(&c, &flags) == 0 &&
	       flags & XLOG_UNMOUNT;
}

static bool xfs_is_dirty(int fd)
{
	uint32_t head, round;
	struct xlog l;

	if (!xlog_find(fd, &l) || !xlog_head(&l, &head))
		return false;
	for (uint32_t back = 1; back <= XLOG_RECORD_MAX && back <= l.blocks; back++) {
		const uint32_t block = (head + l.blocks - back) % l.blocks;
		bool header;

		if (!xlog_round(&l, block, &round, &header))
			return false;
		if (header)
			return !xlog_is_unmount(&l, block, head);
	}
	return false;
}

#define JOURNAL "not unmounted cleanly: its journal is not replayed"
#define CHECKPOINT "not unmounted cleanly: what was written after its last checkpoint is not shown"
#define FLAG "not unmounted cleanly"

static const struct {
	const char *type;
	bool (*is_dirty)(int fd);
	const char *note;
} types[] = {
	{ "ext3", ext_is_dirty, JOURNAL },	   { "ext4", ext_is_dirty, JOURNAL },	   { "xfs", xfs_is_dirty, JOURNAL },
	{ "btrfs", btrfs_is_dirty, JOURNAL },	   { "jfs", jfs_is_dirty, JOURNAL },	   { "hfsplus", hfsplus_is_dirty, JOURNAL },
	{ "f2fs", f2fs_is_dirty, CHECKPOINT },	   { "nilfs2", nilfs_is_dirty, CHECKPOINT }, { "ntfs", ntfs_is_dirty, FLAG },
};

const char *dirty_note(int fd, const char *type)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (!strcmp(types[i].type, type))
			return types[i].is_dirty(fd) ? types[i].note : NULL;
	return NULL;
}

void dirty_add_note(const char *dev, const char *type, char *note)
{
	CLEANUP_CLOSE int fd = disk_open(dev);
	const char *text = fd < 0 ? NULL : dirty_note(fd, type);

	if (text)
		note_add(note, "%s", text);
}
