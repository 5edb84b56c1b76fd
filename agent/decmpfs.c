/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/decmpfs.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <zlib.h>

#include "agent/lzfse.h"
#include "agent/lzvn.h"
#include "common/cleanup.h"
#include "common/cur.h"

#define MAGIC 0x636d7066		/* "fpmc" */
#define STORED_MAX (DECMPFS_BLOCK + 4096)	/* bytes of a compressed block; incompressible ones grow by one */
#define BLOCKS_MAX (1u << 20)	/* 64 GiB */

/* Even types are in the resource fork. */
enum {
	PLAIN = 1, ZLIB = 3, ZLIB_FORK = 4, LZVN = 7, LZVN_FORK = 8, RAW = 9, RAW_FORK = 10, LZFSE = 11, LZFSE_FORK = 12,
};

struct decmpfs {
	struct decmpfs_head head;
	int dev_fd;
	struct hfsplus volume;
	struct hfsplus_fork fork;
	uint64_t table, base;		/* in the fork: of the table of blocks, and what its offsets count from */
	bool pairs;			/* the table has offsets and sizes, else offsets alone */
	uint8_t *inline_data;		/* the attribute, for odd types */
	size_t inline_len;
	uint8_t block[DECMPFS_BLOCK], stored[STORED_MAX];
	uint64_t have;			/* number of the block that is there; UINT64_MAX: none */
};

int decmpfs_parse(const uint8_t *p, size_t len, struct decmpfs_head *ret)
{
	struct cur c = cur_of(p, len);
	struct decmpfs_head h;
	uint32_t magic;

	if (cur_u32le(&c, &magic) < 0 || magic != MAGIC || cur_u32le(&c, &h.type) < 0 || cur_u64le(&c, &h.size) < 0 ||
	    h.size > INT64_MAX)
		return -EBADMSG;
	*ret = h;
	return 0;
}

static int copy(const uint8_t *p, size_t len, uint8_t *ret, size_t want)
{
	if (len < want)
		return -EUCLEAN;
	memcpy(ret, p, want);
	return 0;
}

static int inflate_block(const uint8_t *p, size_t len, uint8_t *ret, size_t want)
{
	uLongf n = want;

	return uncompress(ret, &n, p, len) == Z_OK && n == want ? 0 : -EUCLEAN;
}

int decmpfs_decode(uint32_t type, const uint8_t *p, size_t len, uint8_t *ret, size_t want)
{
	if (!want)
		return 0;
	if (!len || want > DECMPFS_BLOCK)
		return -EUCLEAN;
	switch (type) {
	case ZLIB:
	case ZLIB_FORK:
		return (p[0] & 15) == 15 ? copy(p + 1, len - 1, ret, want) : inflate_block(p, len, ret, want);
	case LZVN:
	case LZVN_FORK:
		return p[0] == 6 ? copy(p + 1, len - 1, ret, want) : lzvn_decode(p, len, ret, 0, want);
	case LZFSE:
	case LZFSE_FORK:
		return p[0] != 'b' ? copy(p + 1, len - 1, ret, want) : lzfse_decode(p, len, ret, want);
	case PLAIN:
		return copy(p, len, ret, want);
	case RAW:
	case RAW_FORK:
		return copy(p + 1, len - 1, ret, want);
	default:
		return -EOPNOTSUPP;
	}
}

static int fork_u32(const struct decmpfs *d, uint64_t off, bool be, uint32_t *ret)
{
	uint8_t bytes[4];
	struct cur c = cur_of(bytes, sizeof(bytes));
	int r = hfsplus_read(&d->volume, &d->fork, off, bytes, sizeof(bytes));

	if (r < 0)
		return r == -ERANGE ? -EUCLEAN : r;
	return be ? cur_u32be(&c, ret) : cur_u32le(&c, ret);
}

/*
 * zlib: the classic resource fork, whose first resource is a size, a number of blocks, and for each its offset and size. LZVN and LZFSE: where
 * each block begins and the last one ends; the first offset is the table's size. Blocks that are not compressed may come either way.
 */
static int find_table(struct decmpfs *d)
{
	const uint64_t blocks = d->head.size / DECMPFS_BLOCK + !!(d->head.size % DECMPFS_BLOCK);
	uint32_t data = 0, first = 0;
	int r = d->head.type == RAW_FORK ? fork_u32(d, 0, false, &first) : 0;

	d->pairs = d->head.type == ZLIB_FORK || (d->head.type == RAW_FORK && first != 4 * (blocks + 1));
	if (r == 0 && d->pairs) {
		r = fork_u32(d, 0, true, &data);
		d->base = (uint64_t)data + 4;
		d->table = d->base + 4;
	}
	return r;
}

static int open_fork(struct decmpfs *d, uint32_t id)
{
	int r = hfsplus_open(d->dev_fd, &d->volume);

	if (r == 0)
		r = hfsplus_resource(&d->volume, id, &d->fork);
	return r < 0 ? r : find_table(d);
}

static bool is_known(uint32_t type)
{
	return type == PLAIN || type == ZLIB || type == ZLIB_FORK || (type >= LZVN && type <= LZFSE_FORK);
}

int decmpfs_open(int fd, int dev_fd, uint32_t id, struct decmpfs **ret)
{
	CLEANUP_CLOSE int own = dev_fd;
	CLEANUP_FREE uint8_t *attr = malloc(DECMPFS_XATTR_MAX);
	struct decmpfs *d;
	ssize_t n;
	int r;

	if (!attr)
		return -ENOMEM;
	n = fgetxattr(fd, DECMPFS_XATTR, attr, DECMPFS_XATTR_MAX);
	if (n < 0)
		return -errno;
	d = malloc(sizeof(*d));
	if (!d)
		return -ENOMEM;
	memset(d, 0, offsetof(struct decmpfs, block));
	d->have = UINT64_MAX;
	d->dev_fd = TAKE_FD(own);
	d->inline_data = TAKE_PTR(attr);
	d->inline_len = (size_t)n;
	r = decmpfs_parse(d->inline_data, d->inline_len, &d->head);
	if (r == 0 && !is_known(d->head.type))
		r = -EOPNOTSUPP;
	if (r == 0 && d->head.type % 2 && d->head.size > DECMPFS_BLOCK)
		r = -EUCLEAN;
	if (r == 0 && !(d->head.type % 2))
		r = open_fork(d, id);
	if (r < 0) {
		decmpfs_close(d);
		return r == -EBADMSG ? -EUCLEAN : r;
	}
	*ret = d;
	return 0;
}

void decmpfs_close(struct decmpfs *d)
{
	if (!d)
		return;
	(void)close(d->dev_fd);
	free(d->inline_data);
	free(d);
}

uint64_t decmpfs_size(const struct decmpfs *d)
{
	return d->head.size;
}

/* Where a block lies in the fork: for zlib its offset and size, for the others offsets of this one and the next. */
static int locate(const struct decmpfs *d, uint64_t number, uint64_t *ret_off, uint32_t *ret_len)
{
	const uint64_t entry = d->table + number * (d->pairs ? 8 : 4);
	uint32_t off, end;
	int r = number < BLOCKS_MAX ? fork_u32(d, entry, false, &off) : -EUCLEAN;

	if (r == 0)
		r = fork_u32(d, entry + 4, false, &end);
	if (r < 0)
		return r;
	if (!d->pairs && end < off)
		return -EUCLEAN;
	*ret_off = d->base + off;
	*ret_len = d->pairs ? end : end - off;
	return *ret_len <= STORED_MAX ? 0 : -EUCLEAN;
}

static int load(struct decmpfs *d, uint64_t number, size_t want)
{
	uint64_t off;
	uint32_t len;
	int r;

	if (d->head.type % 2)
		return decmpfs_decode(d->head.type, d->inline_data + DECMPFS_HEAD, d->inline_len - DECMPFS_HEAD, d->block, want);
	r = locate(d, number, &off, &len);
	if (r == 0)
		r = hfsplus_read(&d->volume, &d->fork, off, d->stored, len);
	if (r < 0)
		return r == -ERANGE ? -EUCLEAN : r;
	return decmpfs_decode(d->head.type, d->stored, len, d->block, want);
}

ssize_t decmpfs_read(struct decmpfs *d, uint64_t off, void *p, size_t len)
{
	const uint64_t number = off / DECMPFS_BLOCK, begin = number * DECMPFS_BLOCK;
	size_t have;

	if (off >= d->head.size)
		return 0;
	have = d->head.size - begin < DECMPFS_BLOCK ? (size_t)(d->head.size - begin) : DECMPFS_BLOCK;
	if (d->have != number) {
		int r = load(d, number, have);

		d->have = r < 0 ? UINT64_MAX : number;
		if (r < 0)
			return r;
	}
	if (len > have - (size_t)(off - begin))
		len = have - (size_t)(off - begin);
	memcpy(p, d->block + (off - begin), len);
	return (ssize_t)len;
}
