/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/restore/pax.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/pxar/format.h"
#include "common/utf8.h"

#define OCTAL_ID_MAX 07777777u
#define OCTAL_SIZE_MAX UINT64_C(077777777777)
#define NAME_FIELD 100

/* The fields of a ustar header. */
struct ustar {
	char name[NAME_FIELD], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[NAME_FIELD], magic[6];
	char version[2], uname[32], gname[32], major[8], minor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct ustar) == PAX_BLOCK, "a ustar header is one block");

void pax_pad(struct buf *out, uint64_t size)
{
	static const uint8_t zeros[PAX_BLOCK];

	buf_add(out, zeros, (size_t)(-size % PAX_BLOCK));
}

/* "LENGTH KEY=VALUE\n", where LENGTH counts itself. */
static void record(struct buf *b, const char *key, const void *value, size_t len)
{
	const size_t rest = strlen(key) + len + 3;
	size_t total = rest + 1;
	char number[24];

	for (size_t digits = 1;; digits++) {
		total = rest + digits;
		if ((size_t)snprintf(number, sizeof(number), "%zu", total) == digits)
			break;
	}
	buf_fmt(b, "%s %s=", number, key);
	buf_add(b, value, len);
	buf_u8(b, '\n');
}

static void record_text(struct buf *b, const char *key, const char *text)
{
	record(b, key, text, strlen(text));
}

static void record_u64(struct buf *b, const char *key, uint64_t v)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRIu64, v);
	record_text(b, key, text);
}

/* Our times are floor and a fraction forward; here it is a sign and a magnitude. */
static void record_time(struct buf *b, int64_t s, uint32_t ns)
{
	const bool negative = s < 0;
	uint64_t whole = negative ? (uint64_t)-(s + 1) + 1 : (uint64_t)s;
	char text[48];

	if (negative && ns) {
		whole--;
		ns = 1000000000 - ns;
	}
	if (ns)
		(void)snprintf(text, sizeof(text), "%s%" PRIu64 ".%09" PRIu32, negative ? "-" : "", whole, ns);
	else
		(void)snprintf(text, sizeof(text), "%s%" PRIu64, negative ? "-" : "", whole);
	record_text(b, "mtime", text);
}

/* A key cannot hold "=": it and what looks like its code are coded as GNU tar does. */
static void record_xattr(struct buf *b, const char *name, const void *value, size_t len)
{
	char key[16 + 3 * PXAR_XATTR_NAME_MAX] = "SCHILY.xattr.";
	size_t n = strlen(key);

	for (const char *p = name; *p && n + 4 < sizeof(key); p++) {
		const bool code = *p == '=' || (*p == '%' && (!strncmp(p, "%3D", 3) || !strncmp(p, "%25", 3)));

		if (code)
			n += (size_t)sprintf(key + n, "%s", *p == '=' ? "%3D" : "%25");
		else
			key[n++] = *p;
	}
	key[n] = 0;
	record(b, key, value, len);
}

static void acl_line(struct buf *b, const char *tag, const char *id, uint64_t perm)
{
	buf_fmt(b, "%s%s:%s:%c%c%c", b->len ? "," : "", tag, id, perm & 4 ? 'r' : '-', perm & 2 ? 'w' : '-',
		perm & 1 ? 'x' : '-');
}

static uint64_t acl_named(struct buf *b, const struct pxar_entry *e, uint64_t type, const char *tag, bool *ret_any)
{
	uint64_t all = 0;
	char id[24];

	for (size_t i = 0; i < e->nr_acls; i++) {
		if (e->acls[i].type != type)
			continue;
		(void)snprintf(id, sizeof(id), "%" PRIu64, e->acls[i].id);
		acl_line(b, tag, id, e->acls[i].perm);
		all |= e->acls[i].perm;
		*ret_any = true;
	}
	return all;
}

static void record_acl(struct buf *out, const struct pxar_entry *e, bool is_default)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	const uint64_t bits = e->mode >> 3 & 7;
	uint64_t group = e->has_acl_group_obj ? e->acl_group_obj : bits, mask = bits, all;
	bool any = is_default ? e->has_acl_default : e->has_acl_group_obj;
	bool named = false;

	if (is_default) {
		group = e->acl_default.group_obj;
		mask = e->acl_default.mask;
	}
	all = group;
	acl_line(&b, "user", "", is_default ? e->acl_default.user_obj : e->mode >> 6 & 7);
	all |= acl_named(&b, e, is_default ? PXAR_ACL_DEFAULT_USER : PXAR_ACL_USER, "user", &named);
	acl_line(&b, "group", "", group);
	all |= acl_named(&b, e, is_default ? PXAR_ACL_DEFAULT_GROUP : PXAR_ACL_GROUP, "group", &named);
	if (mask != PXAR_ACL_NO_MASK || named)
		acl_line(&b, "mask", "", mask != PXAR_ACL_NO_MASK ? mask : all);
	acl_line(&b, "other", "", is_default ? e->acl_default.other : e->mode & 7);
	if (buf_ok(&b) < 0)
		out->error = buf_ok(&b);
	else if (any || named)
		record(out, is_default ? "SCHILY.acl.default" : "SCHILY.acl.access", b.data, b.len);
}

static void records_meta(struct buf *b, const struct pxar_entry *e)
{
	if (e->mtime_ns || e->mtime_s < 0 || (uint64_t)e->mtime_s > OCTAL_SIZE_MAX)
		record_time(b, e->mtime_s, e->mtime_ns);
	if (e->uid > OCTAL_ID_MAX)
		record_u64(b, "uid", e->uid);
	if (e->gid > OCTAL_ID_MAX)
		record_u64(b, "gid", e->gid);
	if (e->kind == PXAR_KIND_DEVICE && (e->dev_major > OCTAL_ID_MAX || e->dev_minor > OCTAL_ID_MAX)) {
		record_u64(b, "SCHILY.devmajor", e->dev_major);
		record_u64(b, "SCHILY.devminor", e->dev_minor);
	}
	for (size_t i = 0; i < e->nr_xattrs; i++)
		record_xattr(b, e->xattrs[i].name, e->xattrs[i].value, e->xattrs[i].value_len);
	if (e->fcaps)
		record_xattr(b, "security.capability", e->fcaps, e->fcaps_len);
	record_acl(b, e, false);
	record_acl(b, e, true);
}

static void records_names(struct buf *b, const struct pax_member *m, bool sparse)
{
	const size_t path = strlen(m->path), link = m->link ? strlen(m->link) : 0;
	const bool long_path = sparse || path > NAME_FIELD, long_link = link > NAME_FIELD;

	if ((long_path && !utf8_valid(m->path, path)) || (long_link && !utf8_valid(m->link, link)))
		record_text(b, "hdrcharset", "BINARY");
	if (sparse) {
		record_text(b, "GNU.sparse.major", "1");
		record_text(b, "GNU.sparse.minor", "0");
		record(b, "GNU.sparse.name", m->path, path);
		record_u64(b, "GNU.sparse.realsize", m->e->size);
	} else if (long_path) {
		record(b, "path", m->path, path);
	}
	if (long_link)
		record(b, "linkpath", m->link, link);
}

static void octal(char *field, size_t size, uint64_t v)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%0*" PRIo64, (int)size - 1, v);
	memcpy(field, text + strlen(text) - (size - 1), size - 1);
}

static void field(char *to, size_t room, const char *from)
{
	memcpy(to, from, strnlen(from, room));
}

static void put_block(struct buf *out, struct ustar *u, uint64_t size, char type)
{
	unsigned int sum = 0;
	uint8_t bytes[PAX_BLOCK];

	u->type = type;
	octal(u->size, sizeof(u->size), size <= OCTAL_SIZE_MAX ? size : 0);
	memcpy(u->magic, "ustar", 6);
	memcpy(u->version, "00", 2);
	memset(u->sum, ' ', sizeof(u->sum));
	memcpy(bytes, u, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		sum += bytes[i];
	octal(u->sum, sizeof(u->sum) - 1, sum);
	u->sum[6] = 0;
	buf_add(out, u, sizeof(*u));
}

static char type_of(const struct pxar_entry *e)
{
	switch (e->kind) {
	case PXAR_KIND_DIR:
		return '5';
	case PXAR_KIND_SYMLINK:
		return '2';
	case PXAR_KIND_HARDLINK:
		return '1';
	case PXAR_KIND_DEVICE:
		return S_ISBLK(e->mode) ? '4' : '3';
	case PXAR_KIND_FIFO:
		return '6';
	default:
		return '0';
	}
}

static void put_ustar(struct buf *out, const struct pax_member *m, uint64_t size, const char *name)
{
	const struct pxar_entry *e = m->e;
	struct ustar u = { 0 };

	field(u.name, sizeof(u.name), name);
	field(u.link, sizeof(u.link), m->link ? m->link : "");
	octal(u.mode, sizeof(u.mode), e->mode & 07777);
	octal(u.uid, sizeof(u.uid), e->uid <= OCTAL_ID_MAX ? e->uid : 0);
	octal(u.gid, sizeof(u.gid), e->gid <= OCTAL_ID_MAX ? e->gid : 0);
	octal(u.mtime, sizeof(u.mtime), e->mtime_s < 0 || (uint64_t)e->mtime_s > OCTAL_SIZE_MAX ? 0 : (uint64_t)e->mtime_s);
	if (e->kind == PXAR_KIND_DEVICE) {
		octal(u.major, sizeof(u.major), e->dev_major <= OCTAL_ID_MAX ? e->dev_major : 0);
		octal(u.minor, sizeof(u.minor), e->dev_minor <= OCTAL_ID_MAX ? e->dev_minor : 0);
	}
	put_block(out, &u, size, type_of(e));
}

static void put_records(struct buf *out, const struct buf *records)
{
	struct ustar u = { 0 };

	field(u.name, sizeof(u.name), "PaxHeaders/member");
	octal(u.mode, sizeof(u.mode), 0644);
	octal(u.uid, sizeof(u.uid), 0);
	octal(u.gid, sizeof(u.gid), 0);
	octal(u.mtime, sizeof(u.mtime), 0);
	put_block(out, &u, records->len, 'x');
	buf_add(out, records->data, records->len);
	pax_pad(out, records->len);
}

/* The map of GNU's sparse format 1.0: decimal numbers, one a line, in whole blocks; the end of the file closes it. */
static void sparse_map(struct buf *map, const struct pxar_entry *e)
{
	const struct pxar_segment *last = e->nr_segments ? &e->segments[e->nr_segments - 1] : NULL;
	const bool tail = !last || last->off + last->len < e->size;

	buf_fmt(map, "%zu\n", e->nr_segments + tail);
	for (size_t i = 0; i < e->nr_segments; i++)
		buf_fmt(map, "%" PRIu64 "\n%" PRIu64 "\n", e->segments[i].off, e->segments[i].len);
	if (tail)
		buf_fmt(map, "%" PRIu64 "\n0\n", e->size);
	pax_pad(map, map->len);
}

void pax_head(struct buf *out, const struct pax_member *m)
{
	CLEANUP_BUF struct buf records = BUF_INIT;
	CLEANUP_BUF struct buf map = BUF_INIT;
	const struct pxar_entry *e = m->e;
	const bool sparse = e->kind == PXAR_KIND_FILE && e->has_segments;
	uint64_t size = e->kind == PXAR_KIND_FILE ? e->payload_size : 0;

	if (sparse) {
		sparse_map(&map, e);
		size += map.len;
	}
	records_names(&records, m, sparse);
	if (size > OCTAL_SIZE_MAX)
		record_u64(&records, "size", size);
	records_meta(&records, e);
	if (buf_ok(&records) < 0 || buf_ok(&map) < 0) {
		out->error = buf_ok(&records) ? buf_ok(&records) : buf_ok(&map);
		return;
	}
	if (records.len)
		put_records(out, &records);
	put_ustar(out, m, size, sparse ? "GNUSparseFile.0/file" : m->path);
	buf_add(out, map.data, map.len);
}
