/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/archive/access.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/path.h"
#include "common/pxar/dec_items.h"
#include "common/pxar/siphash.h"
#include "host/archive/access_priv.h"
#include "host/archive/scan.h"

#define ROW ((size_t)24)	/* of a goodbye table */
#define ROWS 256		/* read at once */
#define ROOT_ENTRY_MIN (PXAR_HEADER_SIZE + 32)
#define TREE_STACK 64		/* more than the height of any table */
#define REF_BYTES 16		/* content of a PAYLOAD_REF */

/* A goodbye table, whose rows are in the order of a search tree. */
struct table {
	size_t nr;
	uint64_t first;		/* no member can begin before this */
	uint64_t goodbye;
	bool lost;		/* a row cannot be read */
};

struct row {
	uint64_t hash, back, size;	/* of the name; from the GOODBYE to the member; of the member */
};

CLEANUP_DEFINE(struct access *, access_free)
CLEANUP_DEFINE(struct access_member *, access_member_free)

/* FORMAT_VERSION and PRELUDE, if there are any. */
static int read_start(struct access *a, struct err *err)
{
	uint64_t version = 1;
	struct item it;
	struct cur c;
	int r = items_head(&a->items, 0, a->size, &it, err);

	if (r < 0 || it.type != PXAR_FORMAT_VERSION)
		return r;
	r = items_content(&a->items, &it, &c, err);
	if (r < 0)
		return r;
	if (cur_u64le(&c, &version) < 0 || version < 1 || version > 2)
		return items_bad(err, 0, "unknown format version");
	a->split = version == 2;
	a->root_entry = item_end(&it);
	r = items_head(&a->items, a->root_entry, a->size, &it, err);
	if (r == 0 && it.type == PXAR_PRELUDE)
		a->root_entry = item_end(&it);
	return r;
}

bool access_is_split(const struct access *a)
{
	return a->split;
}

void access_free(struct access *a)
{
	if (!a)
		return;
	items_free(&a->items);
	records_free(&a->refs);
	free(a);
}

/* Did @r come from what cannot be read, and not from what was read? */
static bool is_lost(const struct access *a, int r)
{
	return (r == -EIO || r == -EBADMSG) && a->items.lost;
}

/* A root of which nothing is known but that it is there. */
static void make_root(const struct access *a, struct access_member *ret)
{
	dec_attrs_reset(&ret->attrs);
	ret->name[0] = 0;
	ret->entry = (struct pxar_entry){ .name = ret->name, .kind = PXAR_KIND_DIR, .mode = S_IFDIR | 0700,
					  .pos = a->root_entry };
	ret->entry_pos = a->root_entry;
	ret->body = a->root_entry + ROOT_ENTRY_MIN;
	ret->end = a->size;
	ret->partial = true;
	ret->cut = false;
}

int access_root(struct access *a, struct access_member *ret, struct err *err)
{
	int r = member_read(a, a->root_entry, a->size, true, ret, err);

	if (r < 0 && !ret->partial && is_lost(a, r))
		make_root(a, ret);
	return r;
}

/* The tail of the directory that ends at m->end. */
static int read_tail(struct access *a, const struct access_member *m, struct table *t, struct err *err)
{
	const uint64_t end = m->end;
	uint64_t mark = 0, off = 0, size = 0;
	struct item it;
	struct cur c;
	int r;

	if (end < ROW + PXAR_HEADER_SIZE + m->body)
		return items_bad(err, m->entry_pos, "directory without a table of its members");
	r = items_bytes(&a->items, end - ROW, ROW, &c, err);
	if (r < 0)
		return r;
	if (cur_u64le(&c, &mark) < 0 || cur_u64le(&c, &off) < 0 || cur_u64le(&c, &size) < 0 ||
	    mark != PXAR_GOODBYE_TAIL_MARKER || size < PXAR_HEADER_SIZE + ROW || size > end - m->body ||
	    (size - PXAR_HEADER_SIZE) % ROW)
		return items_bad(err, end - ROW, "bad end of a directory");
	t->goodbye = end - size;
	t->first = m->body;
	r = items_head(&a->items, t->goodbye, end, &it, err);
	if (r < 0)
		return r;
	if (it.type != PXAR_GOODBYE || item_end(&it) != end)
		return items_bad(err, t->goodbye, "no GOODBYE where the end of the directory says");
	if (off > t->goodbye || t->goodbye - off != (m->entry_pos == a->root_entry ? 0 : m->entry_pos))
		return items_bad(err, end - ROW, "the end of a directory belongs to another one");
	if (size / ROW - 1 > ACCESS_MEMBERS_MAX)
		return err_text(err, -E2BIG, "archive, byte %" PRIu64 ": more than %" PRIu64 " members in a directory",
				t->goodbye, ACCESS_MEMBERS_MAX);
	t->nr = (size_t)((size - PXAR_HEADER_SIZE) / ROW) - 1;
	return 0;
}

static int table_open(struct access *a, const struct access_member *m, struct table *t, struct err *err)
{
	if (m->entry.kind != PXAR_KIND_DIR)
		return err_text(err, -ENOTDIR, "not a directory");
	if (m->cut)
		return err_text(err, -EIO, "the table of its members is lost");
	return read_tail(a, m, t, err);
}

static struct row row_of(const uint8_t *p)
{
	struct cur c = cur_of(p, ROW);
	struct row row = { 0 };

	(void)cur_u64le(&c, &row.hash);
	(void)cur_u64le(&c, &row.back);
	(void)cur_u64le(&c, &row.size);
	return row;
}

/* @n rows from number @i on, as bytes. */
static int read_rows(struct access *a, struct table *t, size_t i, size_t n, uint8_t *ret, struct err *err)
{
	int r = source_read_at(a->items.src, ret, n * ROW, t->goodbye + PXAR_HEADER_SIZE + (uint64_t)i * ROW, err);

	a->items.lost = t->lost = r < 0;
	return r;
}

/* Return: 0; -ENOENT if its member was never written; -EBADMSG. */
static int row_ref(const struct table *t, const struct row *row, struct ref *ret, struct err *err)
{
	if (!row->size)
		return -ENOENT;
	if (row->back > t->goodbye || t->goodbye - row->back < t->first || !row->back)
		return items_bad(err, t->goodbye, "a member lies outside of its directory");
	*ret = (struct ref){ t->goodbye - row->back, row->size };
	return 0;
}

int access_open(struct source *meta, struct source *payload, struct access **ret, struct err *err)
{
	CLEANUP(access_freep) struct access *a = calloc(1, sizeof(*a));
	CLEANUP(access_member_freep) struct access_member *m = access_member_new();
	struct table t = { 0 };
	bool start_lost, root_lost;
	int r;

	if (!a || !m || items_init(&a->items, meta) < 0)
		return err_set(err, -ENOMEM, "open archive");
	a->refs.size = sizeof(struct ref);
	a->payload = payload;
	a->size = meta->size_bytes;
	if (a->size)
		source_expect(meta, a->size - 1);	/* the end of the root, its table of members */
	r = read_start(a, err);
	start_lost = is_lost(a, r);
	if (start_lost)
		a->split = payload;
	if (r == 0 || start_lost)
		r = access_root(a, m, err);
	root_lost = r < 0 && m->partial;
	if (r == 0 || root_lost)
		r = read_tail(a, m, &t, err);
	/* One of both ends leads to the rest. */
	if (is_lost(a, r) && !root_lost)
		r = 0;
	if (r < 0)
		return r;
	*ret = TAKE_PTR(a);
	return 0;
}

/* @r: what reading the table said. Can the directory be read forwards instead? */
static bool has_no_table(const struct access *a, const struct access_member *m, int r)
{
	return r != -ENOTDIR && !m->partial && (m->cut || is_lost(a, r));
}

static int by_pos(const void *x, const void *y)
{
	const struct ref *a = x, *b = y;

	return a->pos < b->pos ? -1 : a->pos > b->pos;
}

static int no_refs(int r, struct err *err)
{
	if (r == -ENOMEM)
		return err_set(err, r, "directory of the archive");
	return err_text(err, -ENOSPC, "directory of the archive (temporary file): %s", strerror(-r));
}

/* Adds a member to the directory that is being opened. */
static int add_ref(struct access *a, struct access_dir *d, struct ref ref, struct err *err)
{
	int r;

	if (records_nr(&a->refs) >= ACCESS_OPEN_MAX)
		return err_text(err, -E2BIG, "too many members in the directories above");
	r = records_add(&a->refs, &ref);
	d->nr += r == 0;
	return r < 0 ? no_refs(r, err) : 0;
}

static int add_row(struct access *a, const struct table *t, const uint8_t *p, struct access_dir *d, struct err *err)
{
	const struct row row = row_of(p);
	struct ref ref;
	int r = row_ref(t, &row, &ref, err);

	if (r == -ENOENT) {
		d->nr_unreadable++;
		return 0;
	}
	return r < 0 ? r : add_ref(a, d, ref, err);
}

/* All members that the table has. */
static int open_by_table(struct access *a, const struct access_member *m, struct access_dir *d, struct err *err)
{
	uint8_t piece[ROWS * ROW];
	struct table t = { 0 };
	int r = table_open(a, m, &t, err);

	for (size_t i = 0; i < t.nr && r == 0; i += ROWS) {
		const size_t n = t.nr - i < ROWS ? t.nr - i : ROWS;

		r = read_rows(a, &t, i, n, piece, err);
		for (size_t k = 0; k < n && r == 0; k++)
			r = add_row(a, &t, piece + k * ROW, d, err);
	}
	d->goodbye = t.goodbye;
	d->first = t.first;
	d->nr_rows = t.nr;
	if (r < 0)
		return r;
	r = records_sort(&a->refs, d->base, by_pos);
	return r < 0 ? no_refs(r, err) : 0;
}

int access_dir_open(struct access *a, const struct access_member *m, struct access_dir *ret, struct err *err)
{
	CLEANUP(access_dir_close) struct access_dir d = { .of = a, .base = records_nr(&a->refs) };
	struct err why = ERR_INIT;
	int r = open_by_table(a, m, &d, &why);

	if (has_no_table(a, m, r)) {
		const int lost = r;
		const uint64_t base = d.base;

		(void)records_cut(&a->refs, base);
		r = scan_members(&a->items, m->body, m->end, &a->scanned, &a->refs, &d);
		d.of = a;
		d.base = base;
		d.lost = lost;
		d.lost_why = why;
		if (r < 0)
			return no_refs(r, err);
	}
	if (r < 0)
		return err_text(err, r, "%s", why.text);
	*ret = d;
	d.of = NULL;
	return 0;
}

int access_dir_alone(struct access *a, const struct access_member *m, struct access_dir *ret, struct err *err)
{
	struct access_dir d = { .of = a, .base = records_nr(&a->refs), .goodbye = m->end };
	int r = add_ref(a, &d, (struct ref){ m->entry.pos, m->end - m->entry.pos }, err);

	if (r == 0)
		*ret = d;
	return r;
}

void access_dir_close(struct access_dir *d)
{
	if (d->of)
		(void)records_cut(&d->of->refs, d->base);
	*d = (struct access_dir){ 0 };
}

int access_dir_check(const struct access_dir *d, struct err *err)
{
	if (d->lost)
		return err_text(err, d->lost, "%s", d->lost_why.text);
	return d->nr_unreadable ? err_text(err, -EIO, "%zu members are not in the backup: its writer could not read them",
					   d->nr_unreadable) : 0;
}

/* Where a member ends, @limit at the latest: in split archives the size of a file may count data that is elsewhere. */
static uint64_t range_end(const struct ref *ref, uint64_t limit)
{
	return ref->size < limit - ref->pos ? ref->pos + ref->size : limit;
}

/* Do its items fill the range of the member? (A directory's end is checked when it is opened.) */
static bool fills(const struct access *a, const struct access_member *m)
{
	if (m->cut)
		return true;
	switch (m->entry.kind) {
	case PXAR_KIND_DIR:
		return true;
	case PXAR_KIND_FILE:
		return a->split || m->entry.size == m->end - m->body;
	default:
		return m->body == m->end;
	}
}

/* Reads a member and checks that its range is its own. */
static int read_ref(struct access *a, const struct ref *ref, uint64_t limit, bool cut, struct access_member *ret,
		    struct err *err)
{
	int r = member_read(a, ref->pos, range_end(ref, limit), false, ret, err);

	ret->cut = cut;
	if (r < 0)
		return r;
	if (ref->size > limit - ref->pos && !(a->split && ret->entry.kind == PXAR_KIND_FILE))
		return items_bad(err, ref->pos, "member goes past the end of its directory, or into the next one");
	if (!fills(a, ret))
		return items_bad(err, ret->body, "bytes between members");
	return 0;
}

/* Member @i, and where the next one begins; *limit is left as it is behind the last one. */
static int dir_ref(struct access *a, const struct access_dir *d, size_t i, struct ref *ret, uint64_t *limit,
		   struct err *err)
{
	struct ref next;
	int r = records_get(&a->refs, d->base + i, ret);

	if (r == 0 && i + 1 < d->nr) {
		r = records_get(&a->refs, d->base + i + 1, &next);
		*limit = next.pos;
	}
	return r < 0 ? no_refs(r, err) : 0;
}

int access_dir_member(struct access *a, const struct access_dir *d, size_t i, struct access_member *ret,
		      struct err *err)
{
	const bool last = i + 1 == d->nr;
	uint64_t limit = d->goodbye;
	struct ref ref;
	int r = dir_ref(a, d, i, &ref, &limit, err);

	if (r < 0) {
		ret->name[0] = 0;
		ret->partial = false;
		return r;
	}
	r = read_ref(a, &ref, limit, last && d->cut, ret, err);

	/* The table does not tell where a file of a split archive ends, but what comes behind it does. */
	if (r == 0 && a->split && !ret->cut && ret->entry.kind == PXAR_KIND_FILE && limit - ret->body != REF_BYTES)
		return items_bad(err, ret->body + REF_BYTES, "bytes between members");
	return r;
}

static bool name_is(const struct access_member *m, const char *name, size_t len)
{
	return m->entry.name_len == len && !memcmp(m->name, name, len);
}

/* A row with the right hash: is it the member? @dir: it should be a directory. Return: 1; 0; negative errno. */
static int try_row(struct access *a, const struct table *t, const struct row *row, const char *name, size_t len,
		   bool dir, struct access_member *ret, struct err *err)
{
	struct ref ref = { 0 };
	uint64_t next;
	int r = row_ref(t, row, &ref, err);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (dir)
		source_expect(a->items.src, range_end(&ref, t->goodbye) - 1);	/* its table */
	r = member_name(a, ref.pos, range_end(&ref, t->goodbye), ret, &next, err);
	if (r < 0 || !name_is(ret, name, len))
		return r;
	r = read_ref(a, &ref, t->goodbye, false, ret, err);
	return r < 0 ? r : 1;
}

/* Return: 0; -ENOENT; negative errno. */
static int table_find(struct access *a, struct table *t, const char *name, size_t len, bool dir,
		      struct access_member *ret, struct err *err)
{
	const uint64_t hash = pxar_hash(name, len);
	size_t stack[TREE_STACK], depth = 1;

	stack[0] = 0;
	while (depth) {
		const size_t i = stack[--depth];
		uint8_t bytes[ROW];
		struct row row;
		int r;

		if (i >= t->nr)
			continue;
		r = read_rows(a, t, i, 1, bytes, err);
		if (r < 0)
			return r;
		row = row_of(bytes);
		if (hash >= row.hash)
			stack[depth++] = 2 * i + 2;
		if (hash <= row.hash)
			stack[depth++] = 2 * i + 1;
		if (row.hash != hash)
			continue;
		r = try_row(a, t, &row, name, len, dir, ret, err);
		if (r)
			return r < 0 ? r : 0;
	}
	return -ENOENT;
}

int access_dir_find(struct access *a, struct access_dir *d, const char *name, size_t len, struct access_member *ret,
		    struct err *err)
{
	struct table t = { .nr = d->nr_rows, .first = d->first, .goodbye = d->goodbye };

	if (d->lost)
		return err_text(err, d->lost, "%s", d->lost_why.text);
	return table_find(a, &t, name, len, false, ret, err);
}

/* The same without a table: what is not found may be in what is lost. */
static int scan_find(struct access *a, const char *name, size_t len, struct access_member *m, struct err *err)
{
	CLEANUP(access_dir_close) struct access_dir d = { 0 };
	struct ref ref;
	uint64_t next;
	int r = access_dir_open(a, m, &d, err);

	for (size_t i = 0; i < d.nr && r == 0; i++) {
		r = records_get(&a->refs, d.base + i, &ref);
		if (r < 0)
			return no_refs(r, err);
		if (member_name(a, ref.pos, range_end(&ref, d.goodbye), m, &next, NULL) == 0 && name_is(m, name, len))
			return access_dir_member(a, &d, i, m, err);
	}
	return r < 0 ? r : err_text(err, d.lost, "%s", d.lost_why.text);
}

/* One step down from the directory in @m. @dir: into another one. */
static int find_in(struct access *a, const char *name, size_t len, bool dir, struct access_member *m,
		   struct err *err)
{
	const bool whole = !m->partial;
	struct err why = ERR_INIT;
	struct table t = { 0 };
	char q[300];
	int r = table_open(a, m, &t, &why);

	m->partial = false;
	t.lost = r < 0;
	if (r == 0)
		r = table_find(a, &t, name, len, dir, m, &why);
	if (t.lost && whole && has_no_table(a, m, r))
		return scan_find(a, name, len, m, err);
	if (r == -ENOENT)
		return err_text(err, r, "no '%s' in this directory", log_quote(name, len, q, sizeof(q)));
	return r < 0 ? err_text(err, r, "%s", why.text) : 0;
}

int access_find(struct access *a, const char *path, size_t len, struct access_member *ret, struct err *err)
{
	const char *p = path, *name;
	size_t left = len, n;
	char q[300];
	int r = access_root(a, ret, err);

	/* A directory that is not whole can be passed through. */
	while ((r == 0 || ret->partial) && path_next(&p, &left, &name, &n)) {
		if (n == 1 && *name == '.')
			continue;
		if (n == 2 && !memcmp(name, "..", 2))
			return err_text(err, -EINVAL, "'..' is not possible in a path");
		r = find_in(a, name, n, left > 0, ret, err);
	}
	return r < 0 ? err_ctx(err, r, "'%s'", log_quote(path, len, q, sizeof(q))) : 0;
}

int access_follow(struct access *a, const struct access_member *m, struct access_member *ret, struct err *err)
{
	const char *slash, *name = m->target;
	int r;

	if (m->entry.kind != PXAR_KIND_HARDLINK)
		return err_text(err, -EINVAL, "not a hard link");
	if (m->entry.link_pos <= a->root_entry)
		return items_bad(err, m->entry.pos, "hard link to nothing");
	r = member_read(a, m->entry.link_pos, a->split ? a->size : m->entry.pos, false, ret, err);
	if (r < 0)
		return err_ctx(err, r, "target of a hard link");
	slash = strrchr(name, '/');
	name = slash ? slash + 1 : name;
	if (ret->entry.kind != PXAR_KIND_FILE || !name_is(ret, name, strlen(name)))
		return items_bad(err, m->entry.pos, "hard link to what is not the file it names");
	return 0;
}

int access_check_data(struct access *a, struct access_member *m, struct err *err)
{
	const struct pxar_entry *e = &m->entry;
	uint64_t type = 0, size = 0;
	uint8_t head[PXAR_HEADER_SIZE];
	struct cur c = cur_of(head, sizeof(head));
	uint64_t there;
	int r;

	m->data_there = 0;
	if (e->kind != PXAR_KIND_FILE)
		return err_text(err, -EINVAL, "not a regular file");
	if (!a->split || m->data_checked)
		return 0;
	if (!a->payload)
		return err_text(err, -ENODATA, "the archive's payload stream is not there");
	if (e->payload_off > a->payload->size_bytes || PXAR_HEADER_SIZE > a->payload->size_bytes - e->payload_off)
		return items_bad(err, e->pos, "data past the end of the payload stream");
	there = a->payload->size_bytes - e->payload_off - PXAR_HEADER_SIZE;
	r = source_read_at(a->payload, head, sizeof(head), e->payload_off, err);
	if (r < 0)
		return r;
	(void)cur_u64le(&c, &type);
	(void)cur_u64le(&c, &size);
	if (type != PXAR_PAYLOAD || size - PXAR_HEADER_SIZE != e->size)
		return err_text(err, -EBADMSG, "payload stream, byte %" PRIu64 ": not the data of this file",
				e->payload_off);
	if (there < e->size) {
		m->data_there = there;
		return err_text(err, -EIO, "the payload stream ends at byte %" PRIu64 " of the data of this file", there);
	}
	m->data_checked = true;
	return 0;
}

uint64_t access_data_pos(const struct access *a, const struct access_member *m)
{
	return a->split ? m->entry.payload_off + PXAR_HEADER_SIZE : m->body;
}

int access_read(struct access *a, struct access_member *m, void *p, size_t n, uint64_t off, struct err *err)
{
	struct err why = ERR_INIT;
	int r = access_check_data(a, m, &why);

	if (r < 0 && (off > m->data_there || n > m->data_there - off))
		return err_text(err, r, "%s", why.text);
	if (off > m->entry.size || n > m->entry.size - off)
		return err_set(err, -ERANGE, "read at %" PRIu64, off);
	return source_read_at(a->split ? a->payload : a->items.src, p, n, access_data_pos(a, m) + off, err);
}
