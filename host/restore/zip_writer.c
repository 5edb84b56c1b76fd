/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/restore/zip_writer.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include <zlib.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "common/spool.h"
#include "common/utf8.h"

#define SIG_LOCAL 0x04034b50u
#define SIG_DATA 0x08074b50u
#define SIG_CENTRAL 0x02014b50u
#define SIG_END64 0x06064b50u
#define SIG_LOCATOR64 0x07064b50u
#define SIG_END 0x06054b50u
#define VERSION 45		/* ZIP64 */
#define MADE_BY 0x032d		/* unix */
#define FLAG_BEHIND 0x0008	/* sizes and CRC come behind the data */
#define FLAG_UTF8 0x0800
#define DEFLATE 8
/* Extra fields: sizes of 64 bits; time in UTC; owner */
#define EXTRA64 1
#define EXTRA_TIME 0x5455
#define EXTRA_TIME_SIZE 9
#define EXTRA_OWNER 0x7875
#define EXTRA_OWNER_SIZE 15
#define DOS_DIR 0x10
#define BLOCK ((size_t)64 << 10)

/* The member that is being written: what the directory at the end says of it. */
struct member {
	struct buf name;
	uint16_t flags, method, date, time;
	uint32_t crc, mode, uid, gid;
	int64_t mtime;
	uint64_t off, packed, size;
};

struct zip_writer {
	int fd;			/* borrowed */
	bool broken;		/* it must not get an end */
	struct buf out;		/* heads on their way */
	struct buf entry;	/* the last one of the directory */
	struct spool central;
	struct member m;
	uint64_t off, nr;	/* bytes written, members */
	z_stream z;
	bool z_ready;
	uint8_t block[BLOCK];
};

void zip_writer_free(struct zip_writer *z)
{
	if (!z)
		return;
	if (z->z_ready)
		(void)deflateEnd(&z->z);
	buf_free(&z->out);
	buf_free(&z->entry);
	spool_free(&z->central);
	buf_free(&z->m.name);
	free(z);
}

int zip_writer_new(int fd, struct zip_writer **ret, struct err *err)
{
	struct zip_writer *z = calloc(1, sizeof(*z));

	if (!z || deflateInit2(&z->z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
		free(z);
		return err_set(err, -ENOMEM, "zip");
	}
	z->fd = fd;
	z->z_ready = true;
	*ret = z;
	return 0;
}

static int write_out(struct zip_writer *z, const void *p, size_t len, struct err *err)
{
	int r = io_write_full(z->fd, p, len);

	z->off += len;
	if (r < 0)
		z->broken = true;
	return r < 0 ? err_set(err, r, "write zip") : 0;
}

static int flush(struct zip_writer *z, struct err *err)
{
	int r = buf_ok(&z->out);

	if (r < 0) {
		z->broken = true;
		return err_set(err, r, "zip");
	}
	r = z->out.len ? write_out(z, z->out.data, z->out.len, err) : 0;
	buf_reset(&z->out);
	return r;
}

/* In UTC; 0 where the calendar of DOS ends. */
static void dos_time(int64_t t, uint16_t *ret_date, uint16_t *ret_time)
{
	time_t when = (time_t)t;
	struct tm tm;

	*ret_date = *ret_time = 0;
	if (!gmtime_r(&when, &tm) || tm.tm_year < 80 || tm.tm_year > 207)
		return;
	*ret_date = (uint16_t)((tm.tm_year - 80) << 9 | (tm.tm_mon + 1) << 5 | tm.tm_mday);
	*ret_time = (uint16_t)(tm.tm_hour << 11 | tm.tm_min << 5 | tm.tm_sec / 2);
}

/* What both heads have, in front of what is theirs. */
static void put_extra(struct buf *b, const struct member *m)
{
	if (zip_holds_time(m->mtime)) {
		buf_u16le(b, EXTRA_TIME);
		buf_u16le(b, EXTRA_TIME_SIZE - 4);
		buf_u8(b, 1);			/* only the time of modification */
		buf_u32le(b, (uint32_t)m->mtime);
	}
	buf_u16le(b, EXTRA_OWNER);
	buf_u16le(b, EXTRA_OWNER_SIZE - 4);
	buf_u8(b, 1);				/* version */
	buf_u8(b, 4);
	buf_u32le(b, m->uid);
	buf_u8(b, 4);
	buf_u32le(b, m->gid);
}

static uint16_t extra_size(const struct member *m)
{
	return (uint16_t)(EXTRA_OWNER_SIZE + (zip_holds_time(m->mtime) ? EXTRA_TIME_SIZE : 0));
}

static void put_local(struct buf *b, const struct member *m)
{
	const bool behind = m->flags & FLAG_BEHIND;

	buf_u32le(b, SIG_LOCAL);
	buf_u16le(b, VERSION);
	buf_u16le(b, m->flags);
	buf_u16le(b, m->method);
	buf_u16le(b, m->time);
	buf_u16le(b, m->date);
	buf_u32le(b, 0);
	buf_u32le(b, behind ? UINT32_MAX : 0);
	buf_u32le(b, behind ? UINT32_MAX : 0);
	buf_u16le(b, (uint16_t)m->name.len);
	buf_u16le(b, (uint16_t)(extra_size(m) + (behind ? 20 : 0)));
	buf_add(b, m->name.data, m->name.len);
	put_extra(b, m);
	if (!behind)
		return;
	buf_u16le(b, EXTRA64);
	buf_u16le(b, 16);
	buf_u64le(b, 0);
	buf_u64le(b, 0);
}

static void put_central(struct buf *b, const struct member *m)
{
	const bool big = m->size >= UINT32_MAX || m->packed >= UINT32_MAX || m->off >= UINT32_MAX;

	buf_u32le(b, SIG_CENTRAL);
	buf_u16le(b, MADE_BY);
	buf_u16le(b, VERSION);
	buf_u16le(b, m->flags);
	buf_u16le(b, m->method);
	buf_u16le(b, m->time);
	buf_u16le(b, m->date);
	buf_u32le(b, m->crc);
	buf_u32le(b, big ? UINT32_MAX : (uint32_t)m->packed);
	buf_u32le(b, big ? UINT32_MAX : (uint32_t)m->size);
	buf_u16le(b, (uint16_t)m->name.len);
	buf_u16le(b, (uint16_t)(extra_size(m) + (big ? 28 : 0)));
	buf_u16le(b, 0);		/* comment */
	buf_u16le(b, 0);		/* disk */
	buf_u16le(b, 0);
	buf_u32le(b, m->mode << 16 | (S_ISDIR(m->mode) ? DOS_DIR : 0));
	buf_u32le(b, big ? UINT32_MAX : (uint32_t)m->off);
	buf_add(b, m->name.data, m->name.len);
	put_extra(b, m);
	if (!big)
		return;
	buf_u16le(b, EXTRA64);
	buf_u16le(b, 24);
	buf_u64le(b, m->size);
	buf_u64le(b, m->packed);
	buf_u64le(b, m->off);
}

/* Compress; the block goes out as often as it is full. */
static int pack(struct zip_writer *z, const void *p, size_t len, int how, struct err *err)
{
	struct member *m = &z->m;
	int r;

	m->crc = (uint32_t)crc32_z(m->crc, p, len);
	m->size += len;
	z->z.next_in = (Bytef *)(uintptr_t)p;
	z->z.avail_in = (uInt)len;
	do {
		z->z.next_out = z->block;
		z->z.avail_out = BLOCK;
		(void)deflate(&z->z, how);
		r = write_out(z, z->block, BLOCK - z->z.avail_out, err);
		m->packed += BLOCK - z->z.avail_out;
	} while (r == 0 && !z->z.avail_out);
	return r;
}

int zip_writer_data(struct zip_writer *z, const void *p, size_t len, struct err *err)
{
	return pack(z, p, len, Z_NO_FLUSH, err);
}

int zip_writer_upto(struct zip_writer *z, uint64_t off, struct err *err)
{
	static const uint8_t zeros[BLOCK];
	int r = 0;

	while (r == 0 && z->m.size < off) {
		const uint64_t left = off - z->m.size;

		r = pack(z, zeros, left < BLOCK ? (size_t)left : BLOCK, Z_NO_FLUSH, err);
	}
	return r;
}

int zip_writer_begin(struct zip_writer *z, const struct zip_member *what, struct err *err)
{
	struct member *m = &z->m;
	const bool dir = S_ISDIR(what->mode);

	if (what->name_len > UINT16_MAX)
		return -ENAMETOOLONG;
	buf_reset(&m->name);
	buf_add(&m->name, what->name, what->name_len);
	if (buf_ok(&m->name) < 0)
		return err_set(err, -ENOMEM, "zip");
	m->flags = (uint16_t)((dir ? 0 : FLAG_BEHIND) | (utf8_valid(what->name, what->name_len) ? FLAG_UTF8 : 0));
	m->method = dir ? 0 : DEFLATE;
	m->mode = what->mode & 0xffff;
	m->uid = what->uid;
	m->gid = what->gid;
	m->mtime = what->mtime_s;
	m->crc = 0;
	m->size = m->packed = 0;
	m->off = z->off;
	dos_time(m->mtime, &m->date, &m->time);
	put_local(&z->out, m);
	(void)deflateReset(&z->z);
	return flush(z, err);
}

static int add_central(struct zip_writer *z, struct err *err)
{
	int r;

	buf_reset(&z->entry);
	put_central(&z->entry, &z->m);
	r = buf_ok(&z->entry);
	if (r == 0)
		r = spool_add(&z->central, z->entry.data, z->entry.len);
	z->nr++;
	if (r < 0)
		z->broken = true;
	return r < 0 ? err_set(err, r, "directory of the zip (temporary file)") : 0;
}

int zip_writer_end(struct zip_writer *z, struct err *err)
{
	struct member *m = &z->m;
	int r = 0;

	if (m->flags & FLAG_BEHIND) {
		r = pack(z, "", 0, Z_FINISH, err);
		buf_u32le(&z->out, SIG_DATA);
		buf_u32le(&z->out, m->crc);
		buf_u64le(&z->out, m->packed);
		buf_u64le(&z->out, m->size);
	}
	if (r == 0)
		r = add_central(z, err);
	return r < 0 ? r : flush(z, err);
}

void zip_writer_break(struct zip_writer *z)
{
	z->broken = true;
}

bool zip_writer_is_broken(const struct zip_writer *z)
{
	return z->broken;
}

bool zip_holds_time(int64_t mtime_s)
{
	return mtime_s >= INT32_MIN && mtime_s <= INT32_MAX;
}

static void put_end64(struct buf *b, uint64_t nr, uint64_t off, uint64_t len)
{
	buf_u32le(b, SIG_END64);
	buf_u64le(b, 44);
	buf_u16le(b, MADE_BY);
	buf_u16le(b, VERSION);
	buf_u32le(b, 0);
	buf_u32le(b, 0);
	buf_u64le(b, nr);
	buf_u64le(b, nr);
	buf_u64le(b, len);
	buf_u64le(b, off);
	buf_u32le(b, SIG_LOCATOR64);
	buf_u32le(b, 0);
	buf_u64le(b, off + len);
	buf_u32le(b, 1);
}

static int write_central(struct zip_writer *z, struct err *err)
{
	int r = 0;

	for (uint64_t at = 0; r == 0 && at < z->central.len; at += BLOCK) {
		const uint64_t left = z->central.len - at;
		const size_t n = left < BLOCK ? (size_t)left : BLOCK;

		r = spool_read(&z->central, at, z->block, n);
		if (r < 0)
			z->broken = true;
		r = r < 0 ? err_set(err, r, "directory of the zip (temporary file)") : write_out(z, z->block, n, err);
	}
	return r;
}

int zip_writer_finish(struct zip_writer *z, struct err *err)
{
	const uint64_t off = z->off, len = z->central.len;
	const bool big = z->nr >= UINT16_MAX || off >= UINT32_MAX || len >= UINT32_MAX;
	int r;

	if (z->broken)
		return err_text(err, -EIO, "the zip is not complete");
	r = write_central(z, err);
	if (r < 0)
		return r;
	if (big)
		put_end64(&z->out, z->nr, off, len);
	buf_u32le(&z->out, SIG_END);
	buf_u32le(&z->out, 0);		/* disks */
	buf_u16le(&z->out, big ? UINT16_MAX : (uint16_t)z->nr);
	buf_u16le(&z->out, big ? UINT16_MAX : (uint16_t)z->nr);
	buf_u32le(&z->out, big ? UINT32_MAX : (uint32_t)len);
	buf_u32le(&z->out, big ? UINT32_MAX : (uint32_t)off);
	buf_u16le(&z->out, 0);
	return flush(z, err);
}
