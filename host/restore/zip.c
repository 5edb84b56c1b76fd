/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Members as zip, in one pass: sizes and checksum of a file come behind its data (bit 3), always with 64 bits. Our own
 * writer, since libarchive's names depend on the locale and its times on the time zone.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <zlib.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/utf8.h"
#include "host/restore/links.h"
#include "host/restore/pump.h"

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
#define EXTRA64 1
#define DOS_DIR 0x10
#define BLOCK ((size_t)64 << 10)
#define CENTRAL_MAX ((size_t)2 << 30)

/* A hard link, as a file of its own: to be written when the stream is done. */
struct zip_link {
	struct zip_link *next;
	uint32_t mode;
	int64_t mtime;
	size_t name_len;
	char *target;		/* in the same memory, behind the name */
	char name[];
};

struct restore_zip {
	int fd;			/* borrowed */
	bool broken;		/* it must not get an end */
	struct buf out;		/* heads on their way */
	struct buf central;
	struct zip_link *links, **links_end, *link;	/* link: the one that is being written */
	uint64_t off, nr;	/* bytes written, members */
	z_stream z;
	bool z_ready;
	uint8_t block[BLOCK];
};

/* What the directory at the end says of a member. */
struct member {
	struct buf name;
	uint16_t flags, method, date, time;
	uint32_t crc, mode;
	uint64_t off, packed, size;
};

/* One stream on its way into the zip. */
struct to_zip {
	struct restore_zip *zip;
	const struct restore_options *o;
	struct report rep;
	struct links_made made;
	const struct pxar_entry *entry;	/* the file whose data comes; NULL */
	bool ext;
	bool held;		/* @entry has no data and is not in the zip yet: it may turn out to be unreadable */
	struct member m;	/* the member that is being written */
	size_t segment;		/* of the entry's segments, @segment_seen bytes of it came */
	uint64_t segment_seen;
	const char *last;
};

int restore_zip_new(int fd, struct restore_zip **ret, struct err *err)
{
	CLEANUP_FREE struct restore_zip *z = calloc(1, sizeof(*z));

	if (!z || deflateInit2(&z->z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return err_set(err, -ENOMEM, "zip");
	z->fd = fd;
	z->z_ready = true;
	z->links_end = &z->links;
	z->central.limit = CENTRAL_MAX;
	*ret = TAKE_PTR(z);
	return 0;
}

void restore_zip_free(struct restore_zip *z)
{
	if (!z)
		return;
	if (z->z_ready)
		(void)deflateEnd(&z->z);
	free(z->link);
	for (struct zip_link *l = z->links, *next; l; l = next) {
		next = l->next;
		free(l);
	}
	buf_free(&z->out);
	buf_free(&z->central);
	free(z);
}

static int write_out(struct restore_zip *z, const void *p, size_t len, struct err *err)
{
	int r = io_write_full(z->fd, p, len);

	z->off += len;
	if (r < 0)
		z->broken = true;
	return r < 0 ? err_set(err, r, "write zip") : 0;
}

static int flush(struct restore_zip *z, struct err *err)
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
	buf_u16le(b, behind ? 20 : 0);
	buf_add(b, m->name.data, m->name.len);
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
	buf_u16le(b, big ? 28 : 0);
	buf_u16le(b, 0);		/* comment */
	buf_u16le(b, 0);		/* disk */
	buf_u16le(b, 0);
	buf_u32le(b, m->mode << 16 | (S_ISDIR(m->mode) ? DOS_DIR : 0));
	buf_u32le(b, big ? UINT32_MAX : (uint32_t)m->off);
	buf_add(b, m->name.data, m->name.len);
	if (!big)
		return;
	buf_u16le(b, EXTRA64);
	buf_u16le(b, 24);
	buf_u64le(b, m->size);
	buf_u64le(b, m->packed);
	buf_u64le(b, m->off);
}

/* Compress; the block goes out as often as it is full. */
static int pack(struct restore_zip *z, struct member *m, const void *p, size_t len, int how, struct err *err)
{
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

static int put_zeros(struct to_zip *t, uint64_t len, struct err *err)
{
	static const uint8_t zeros[BLOCK];
	int r = 0;

	for (; r == 0 && len; len -= len < BLOCK ? len : BLOCK)
		r = pack(t->zip, &t->m, zeros, len < BLOCK ? (size_t)len : BLOCK, Z_NO_FLUSH, err);
	return r;
}

/* m->name is there. Return: 0; 1 the name is too long. */
static int begin_member(struct restore_zip *z, struct member *m, uint32_t mode, int64_t mtime, struct err *err)
{
	const bool dir = S_ISDIR(mode);

	if (buf_ok(&m->name) < 0)
		return err_set(err, -ENOMEM, "zip");
	if (m->name.len > UINT16_MAX)
		return 1;
	m->flags = (uint16_t)((dir ? 0 : FLAG_BEHIND) | (utf8_valid(m->name.data, m->name.len) ? FLAG_UTF8 : 0));
	m->method = dir ? 0 : DEFLATE;
	m->mode = mode & 0xffff;
	m->crc = 0;
	m->size = m->packed = 0;
	m->off = z->off;
	dos_time(mtime, &m->date, &m->time);
	put_local(&z->out, m);
	(void)deflateReset(&z->z);
	return flush(z, err);
}

static int end_member(struct restore_zip *z, struct member *m, struct err *err)
{
	int r = 0;

	if (m->flags & FLAG_BEHIND) {
		r = pack(z, m, "", 0, Z_FINISH, err);
		buf_u32le(&z->out, SIG_DATA);
		buf_u32le(&z->out, m->crc);
		buf_u64le(&z->out, m->packed);
		buf_u64le(&z->out, m->size);
	}
	put_central(&z->central, m);
	z->nr++;
	if (r == 0 && buf_ok(&z->central) < 0)
		r = err_set(err, buf_ok(&z->central), "directory of the zip");
	return r < 0 ? r : flush(z, err);
}

static void add_name(struct buf *b, const struct to_zip *t, const struct pxar_entry *e)
{
	buf_add(b, t->rep.path.data, t->rep.path.len);
	buf_add(b, e->name, e->name_len);
}

static int begin(struct to_zip *t, const struct pxar_entry *e, struct err *err)
{
	buf_reset(&t->m.name);
	add_name(&t->m.name, t, e);
	if (e->kind == PXAR_KIND_DIR)
		buf_u8(&t->m.name, '/');
	return begin_member(t->zip, &t->m, (uint32_t)e->mode, e->mtime_s, err);
}

static int end(struct to_zip *t, struct err *err)
{
	return end_member(t->zip, &t->m, err);
}

static int left_out(struct to_zip *t, const struct pxar_entry *e, int code, const char *what)
{
	t->rep.r->left_out++;
	report_note(&t->rep, e->name, code, what);
	return 0;
}

static int put_dir(struct to_zip *t, const struct pxar_entry *e, struct err *err)
{
	int r = 0;

	if (e->name_len) {
		r = begin(t, e, err);
		r = r == 1 ? left_out(t, e, -ENAMETOOLONG, "directory") : r < 0 ? r : end(t, err);
		t->rep.r->dirs++;
		report_push(&t->rep, e->name);
	}
	return r;
}

static int put_link(struct to_zip *t, const struct pxar_entry *e, struct err *err)
{
	int r = begin(t, e, err);

	if (r)
		return r == 1 ? left_out(t, e, -ENAMETOOLONG, "link") : r;
	t->rep.r->others++;
	r = pack(t->zip, &t->m, e->target, e->target_len, Z_NO_FLUSH, err);
	return r < 0 ? r : end(t, err);
}

static int begin_file(struct to_zip *t, struct err *err)
{
	const struct pxar_entry *e = t->entry;
	int r = begin(t, e, err);

	t->held = false;
	if (r == 1) {
		t->entry = NULL;
		r = left_out(t, e, -ENAMETOOLONG, "file");
	}
	return r;
}

static int put_file(struct to_zip *t, const struct pxar_entry *e, struct err *err)
{
	if (e->payload_ref)
		return left_out(t, e, -EOPNOTSUPP, "its data is in another stream");
	t->entry = e;
	t->segment = 0;
	t->segment_seen = 0;
	t->held = !e->payload_size;
	return t->held ? 0 : begin_file(t, err);
}

static int keep_link(struct to_zip *t, const struct pxar_entry *e, struct err *err)
{
	CLEANUP_BUF struct buf name = BUF_INIT;
	struct pxar_entry link = *e;
	struct zip_link *l;

	if (!links_made_noted(&t->made, &link))
		return left_out(t, e, -ENOENT, "target of the hard link is not in the archive");
	add_name(&name, t, e);
	l = buf_ok(&name) < 0 ? NULL : malloc(sizeof(*l) + name.len + e->target_len + 1);
	if (!l)
		return err_set(err, -ENOMEM, "hard links of the zip");
	*l = (struct zip_link){ .mode = (uint32_t)link.mode, .mtime = link.mtime_s, .name_len = name.len };
	memcpy(l->name, name.data, name.len);
	l->target = l->name + name.len;
	memcpy(l->target, e->target, e->target_len + 1);
	*t->zip->links_end = l;
	t->zip->links_end = &l->next;
	return 0;
}

static int on_entry(struct to_zip *t, const struct pxar_entry *e, struct err *err)
{
	t->last = e->name;
	switch (e->kind) {
	case PXAR_KIND_DIR:
		return put_dir(t, e, err);
	case PXAR_KIND_FILE:
		return put_file(t, e, err);
	case PXAR_KIND_SYMLINK:
		return put_link(t, e, err);
	case PXAR_KIND_HARDLINK:
		return keep_link(t, e, err);
	default:
		return t->o->skip_special ? 0 : left_out(t, e, -EOPNOTSUPP, "zip has only files, directories and symbolic links");
	}
}

/* Zeros up to byte @off of the file: holes. */
static int fill(struct to_zip *t, uint64_t off, struct err *err)
{
	return off > t->m.size ? put_zeros(t, off - t->m.size, err) : 0;
}

static int sparse_data(struct to_zip *t, const uint8_t *p, size_t len, struct err *err)
{
	const struct pxar_entry *e = t->entry;
	int r = 0;

	while (r == 0 && len) {
		const struct pxar_segment *s = &e->segments[t->segment];
		size_t n = len;

		if (t->segment >= e->nr_segments)
			return err_set(err, -EBADMSG, "zip");
		if (n > s->len - t->segment_seen)
			n = (size_t)(s->len - t->segment_seen);
		r = fill(t, s->off + t->segment_seen, err);
		if (r == 0)
			r = pack(t->zip, &t->m, p, n, Z_NO_FLUSH, err);
		t->segment_seen += n;
		if (t->segment_seen == s->len) {
			t->segment++;
			t->segment_seen = 0;
		}
		p += n;
		len -= n;
	}
	return r;
}

static int on_data(struct to_zip *t, const uint8_t *p, size_t len, struct err *err)
{
	if (!t->entry)
		return 0;
	t->rep.r->bytes += len;
	return t->entry->has_segments ? sparse_data(t, p, len, err) : pack(t->zip, &t->m, p, len, Z_NO_FLUSH, err);
}

static int end_file(struct to_zip *t, const struct pxar_error *error, struct err *err)
{
	const struct pxar_entry *e = t->entry;
	int r = 0;

	if (!e)
		return 0;
	if (t->held && error->code) {
		t->entry = NULL;
		return left_out(t, e, error->code, "not readable");
	}
	if (t->held)
		r = begin_file(t, err);
	if (r < 0 || !t->entry)
		return r;
	t->entry = NULL;
	if (error->code) {
		t->rep.r->incomplete++;
		report_note(&t->rep, e->name, error->code, "not read whole; it ends early in the zip");
	} else {
		t->rep.r->files++;
		r = fill(t, e->size, err);
		if (r == 0 && (!t->ext || e->link_id) && links_made_note(&t->made, e) == -ENOMEM)
			r = err_set(err, -ENOMEM, "table of hard links");
	}
	return r < 0 ? r : end(t, err);
}

static int on_event(void *arg, const struct pxar_event *ev, struct err *err)
{
	struct to_zip *t = arg;

	switch (ev->type) {
	case PXAR_EV_ENTRY:
		return on_entry(t, ev->entry, err);
	case PXAR_EV_DATA:
		return on_data(t, ev->data, ev->data_len, err);
	case PXAR_EV_FILE_END:
		return end_file(t, &ev->error, err);
	case PXAR_EV_DIR_END:
	case PXAR_EV_ITEM_ERROR:
		report_item_end(&t->rep, t->last, ev);
		break;
	case PXAR_EV_END:
		break;
	}
	return 0;
}

static void on_broken(void *arg, int code)
{
	struct to_zip *t = arg;

	t->zip->broken = true;
	if (!t->entry)
		return;
	t->rep.r->incomplete++;
	report_note(&t->rep, t->entry->name, code, "not read whole");
}

static void to_zip_free(struct to_zip *t)
{
	links_made_free(&t->made);
	buf_free(&t->m.name);
	buf_free(&t->rep.path);
}

int restore_to_zip(struct restore_zip *zip, const struct restore_options *o, unsigned int dec_flags,
		   restore_read_fn *read, void *arg, const struct restore_sink *sink, struct restore_report *ret,
		   struct err *err)
{
	CLEANUP(to_zip_free) struct to_zip t = { .zip = zip, .o = o, .ext = dec_flags & PXAR_DEC_EXT,
						 .rep = { .r = ret, .sink = sink } };
	const struct pump p = { read, arg, dec_flags, o->abort, on_event, on_broken, &t };

	return pump_run(&p, err);
}

const char *restore_zip_link(struct restore_zip *z)
{
	free(z->link);
	z->link = z->links;
	if (!z->link)
		return NULL;
	z->links = z->link->next;
	if (!z->links)
		z->links_end = &z->links;
	return z->link->target;
}

int restore_zip_link_data(struct restore_zip *z, restore_read_fn *read, void *arg, struct restore_report *ret,
			  struct err *err)
{
	struct member m = { .name = BUF_INIT };
	CLEANUP_FREE uint8_t *bytes = malloc(BLOCK);
	ssize_t n = 0;
	int r;

	buf_add(&m.name, z->link->name, z->link->name_len);
	r = bytes ? begin_member(z, &m, z->link->mode, z->link->mtime, err) : err_set(err, -ENOMEM, "zip");
	while (r == 0 && (n = read(arg, bytes, BLOCK, err)) > 0)
		r = pack(z, &m, bytes, (size_t)n, Z_NO_FLUSH, err);
	if (r == 0 && n < 0)
		r = (int)n;
	if (r == 0)
		r = end_member(z, &m, err);
	ret->files++;
	ret->bytes += m.size;
	buf_free(&m.name);
	if (r == 1)
		r = err_set(err, -ENAMETOOLONG, "hard link");
	z->broken |= r < 0;
	return r;
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

int restore_zip_finish(struct restore_zip *z, struct err *err)
{
	const uint64_t off = z->off, len = z->central.len;
	const bool big = z->nr >= UINT16_MAX || off >= UINT32_MAX || len >= UINT32_MAX;
	int r;

	if (z->broken)
		return err_text(err, -EIO, "the zip is not complete");
	r = len ? write_out(z, z->central.data, len, err) : 0;
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
