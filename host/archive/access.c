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
#include "host/archive/items.h"
#include "host/archive/scan.h"

#define ROW 24			/* of a goodbye table */
#define ROOT_ENTRY_MIN (PXAR_HEADER_SIZE + 32)
#define TREE_STACK 64		/* more than the height of any table */
#define REF_BYTES 16		/* content of a PAYLOAD_REF */

struct access {
	struct items items;
	struct source *payload;
	bool split;
	uint64_t root_entry;
	uint64_t size;
	uint64_t scanned;	/* items, for want of a table */
};

/* A goodbye table in the order of the archive's search tree. */
struct table {
	uint8_t *rows;
	size_t nr;
	uint64_t first;		/* no member can begin before this */
	uint64_t goodbye;
};

CLEANUP_DEFINE(struct access *, access_free)
CLEANUP_DEFINE(struct access_member *, access_member_free)

static void table_free(struct table *t)
{
	free(t->rows);
	t->rows = NULL;
}

struct access_member *access_member_new(void)
{
	return calloc(1, sizeof(struct access_member));
}

void access_member_free(struct access_member *m)
{
	if (!m)
		return;
	dec_attrs_free(&m->attrs);
	free(m);
}

static int content(struct access *a, const struct item *it, struct cur *ret, struct err *err)
{
	return items_content(&a->items, it, ret, err);
}

static int read_name(struct access *a, uint64_t pos, uint64_t end, struct access_member *m, uint64_t *ret_next,
		     struct err *err)
{
	struct item it;
	struct cur c;
	int r = items_head(&a->items, pos, end, &it, err);

	if (r < 0)
		return r;
	if (it.type != PXAR_FILENAME)
		return items_bad(err, pos, "no FILENAME where a member begins");
	r = content(a, &it, &c, err);
	if (r < 0)
		return r;
	if (dec_item_text(c, false, m->name, &m->entry.name_len) < 0) {
		m->name[0] = 0;
		return items_bad(err, pos, "bad FILENAME");
	}
	*ret_next = item_end(&it);
	return 0;
}

static int read_stat(struct access *a, const struct item *it, struct access_member *m, struct err *err)
{
	struct cur c;
	int r = content(a, it, &c, err), kind;

	if (r < 0)
		return r;
	r = it->type == PXAR_ENTRY ? dec_item_entry(c, &m->entry) : dec_item_entry_v1(c, &m->entry);
	kind = pxar_kind_of_mode(m->entry.mode);
	if (r < 0 || kind < 0)
		return items_bad(err, it->pos, "bad ENTRY");
	m->entry.kind = (enum pxar_kind)kind;
	m->entry_pos = it->pos;
	return 0;
}

static int read_hardlink(struct access *a, const struct item *it, struct access_member *m, struct err *err)
{
	struct cur c;
	int r = content(a, it, &c, err);

	if (r < 0)
		return r;
	m->entry.kind = PXAR_KIND_HARDLINK;
	m->entry.target = m->target;
	if (dec_item_hardlink(c, m->entry.pos, m->target, &m->entry) < 0)
		return items_bad(err, it->pos, "bad HARDLINK");
	m->body = item_end(it);
	return 0;
}

/* The item that ends the entry of a file. */
static int read_file(struct access *a, const struct item *it, struct access_member *m, struct err *err)
{
	struct cur c;
	int r;

	if (m->entry.kind != PXAR_KIND_FILE || it->type != (a->split ? PXAR_PAYLOAD_REF : PXAR_PAYLOAD))
		return items_bad(err, it->pos, "data in the wrong place");
	m->body = it->pos + PXAR_HEADER_SIZE;
	if (!a->split) {
		m->entry.size = m->entry.payload_size = it->content;
		return 0;
	}
	r = content(a, it, &c, err);
	if (r < 0)
		return r;
	return dec_item_payload_ref(c, &m->entry) < 0 ? items_bad(err, it->pos, "bad PAYLOAD_REF") : 0;
}

static int read_special(struct access *a, const struct item *it, struct access_member *m, struct err *err)
{
	const bool link = it->type == PXAR_SYMLINK;
	struct cur c;
	int r;

	if (m->entry.kind != (link ? PXAR_KIND_SYMLINK : PXAR_KIND_DEVICE))
		return items_bad(err, it->pos, "item against the mode of its entry");
	r = content(a, it, &c, err);
	if (r < 0)
		return r;
	m->body = item_end(it);
	if (!link)
		return dec_item_device(c, &m->entry) < 0 ? items_bad(err, it->pos, "bad DEVICE") : 0;
	if (dec_item_text(c, true, m->target, &m->entry.target_len) < 0)
		return items_bad(err, it->pos, "bad SYMLINK");
	m->entry.target = m->target;
	return 0;
}

/* What ends an entry; *it is invalid (type 0) if the range of the member ends first. */
static int read_last(struct access *a, const struct item *it, uint64_t pos, struct access_member *m, struct err *err)
{
	m->body = pos;
	switch (it->type) {
	case PXAR_PAYLOAD:
	case PXAR_PAYLOAD_REF:
		return read_file(a, it, m, err);
	case PXAR_SYMLINK:
	case PXAR_DEVICE:
		return read_special(a, it, m, err);
	case PXAR_FILENAME:
	case PXAR_GOODBYE:
		if (m->entry.kind == PXAR_KIND_DIR)
			return 0;
		/* fall through */
	case 0:
		if (m->entry.kind == PXAR_KIND_FIFO || m->entry.kind == PXAR_KIND_SOCKET)
			return 0;
		return items_bad(err, pos, "entry without its content");
	}
	return items_bad(err, pos, "item out of place");
}

/* Takes attributes from *pos on; *it is what follows. */
static int take_attrs(struct access *a, uint64_t *pos, struct item *it, struct access_member *m, struct err *err)
{
	struct cur c;
	int r;

	while (*pos < m->end) {
		r = items_head(&a->items, *pos, m->end, it, err);
		if (r < 0)
			return r;
		if (!dec_attrs_is(it->type, false))
			break;
		r = content(a, it, &c, err);
		if (r < 0)
			return r;
		r = dec_attrs_item(&m->attrs, it->type, c, &m->entry);
		if (r < 0)
			return r == -ENOMEM ? err_set(err, r, "attributes") : items_bad(err, *pos, "bad attribute");
		*pos = item_end(it);
		it->type = 0;
	}
	return 0;
}

static int read_attrs(struct access *a, uint64_t pos, struct access_member *m, struct err *err)
{
	struct item it = { 0 };
	int r = take_attrs(a, &pos, &it, m, err);

	if (r == 0)
		r = read_last(a, &it, pos, m, err);
	m->partial = r < 0 && r != -ENOMEM && m->entry.kind == PXAR_KIND_DIR;
	if (m->partial)
		m->body = pos;
	if ((r == 0 || m->partial) && dec_attrs_finish(&m->attrs, &m->entry) < 0)
		return err_set(err, -ENOMEM, "attributes");
	return r;
}

/* The member at @pos, all of whose items end at @end; the root has no FILENAME. */
static int read_member(struct access *a, uint64_t pos, uint64_t end, bool root, struct access_member *m,
		       struct err *err)
{
	uint64_t next = pos;
	struct item it;
	int r = 0;

	m->entry = (struct pxar_entry){ .name = m->name, .pos = pos };
	m->name[0] = m->target[0] = 0;
	m->end = end;
	m->data_checked = m->partial = m->cut = false;
	dec_attrs_reset(&m->attrs);
	if (!root)
		r = read_name(a, pos, end, m, &next, err);
	if (r == 0)
		r = items_head(&a->items, next, end, &it, err);
	if (r < 0)
		return r;
	if (it.type == PXAR_HARDLINK && !root)
		return read_hardlink(a, &it, m, err);
	if (it.type != PXAR_ENTRY && it.type != PXAR_ENTRY_V1)
		return items_bad(err, next, "no ENTRY where one must be");
	r = read_stat(a, &it, m, err);
	if (r == 0 && root && m->entry.kind != PXAR_KIND_DIR)
		r = items_bad(err, next, "the root is not a directory");
	return r < 0 ? r : read_attrs(a, item_end(&it), m, err);
}

/* FORMAT_VERSION and PRELUDE, if there are any. */
static int read_start(struct access *a, struct err *err)
{
	uint64_t version = 1;
	struct item it;
	struct cur c;
	int r = items_head(&a->items, 0, a->size, &it, err);

	if (r < 0 || it.type != PXAR_FORMAT_VERSION)
		return r;
	r = content(a, &it, &c, err);
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
	int r = read_member(a, a->root_entry, a->size, true, ret, err);

	if (r < 0 && !ret->partial && is_lost(a, r))
		make_root(a, ret);
	return r;
}

static uint64_t row_u64(const uint8_t *p)
{
	struct cur c = cur_of(p, 8);
	uint64_t v = 0;

	(void)cur_u64le(&c, &v);
	return v;
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

static int table_load(struct access *a, const struct access_member *m, struct table *t, struct err *err)
{
	int r;

	if (m->entry.kind != PXAR_KIND_DIR)
		return err_text(err, -ENOTDIR, "not a directory");
	if (m->cut)
		return err_text(err, -EIO, "the table of its members is lost");
	r = read_tail(a, m, t, err);
	if (r < 0 || !t->nr)
		return r;
	t->rows = malloc(t->nr * ROW);
	if (!t->rows)
		return err_set(err, -ENOMEM, "directory of the archive");
	r = source_read_at(a->items.src, t->rows, t->nr * ROW, t->goodbye + PXAR_HEADER_SIZE, err);
	a->items.lost = r < 0;
	return r;
}

/* Row @i. Return: 0; -ENOENT if its member was never written; -EBADMSG. */
static int table_ref(const struct table *t, size_t i, struct access_ref *ret, struct err *err)
{
	const uint8_t *row = t->rows + i * ROW;
	const uint64_t off = row_u64(row + 8), size = row_u64(row + 16);

	if (!size)
		return -ENOENT;
	if (off > t->goodbye || t->goodbye - off < t->first || !off)
		return items_bad(err, t->goodbye, "a member lies outside of its directory");
	*ret = (struct access_ref){ t->goodbye - off, size };
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
	a->payload = payload;
	a->size = meta->size_bytes;
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

static int by_pos(const void *x, const void *y)
{
	const struct access_ref *a = x, *b = y;

	return a->pos < b->pos ? -1 : a->pos > b->pos;
}

/* @r: what table_load() said of it. Can the directory be read forwards instead? */
static bool has_no_table(const struct access *a, const struct access_member *m, int r)
{
	return r != -ENOTDIR && !m->partial && (m->cut || is_lost(a, r));
}

int access_dir_open(struct access *a, const struct access_member *m, struct access_dir *ret, struct err *err)
{
	CLEANUP(table_free) struct table t = { 0 };
	struct access_dir d = { 0 };
	struct err why = ERR_INIT;
	int r = table_load(a, m, &t, &why);

	if (has_no_table(a, m, r)) {
		const int lost = r;

		r = scan_members(&a->items, m->body, m->end, &a->scanned, ret);
		ret->lost = lost;
		ret->lost_why = why;
		return r < 0 ? err_set(err, r, "directory of the archive") : 0;
	}
	if (r < 0)
		return err_text(err, r, "%s", why.text);
	d.goodbye = t.goodbye;
	d.first = t.first;
	d.nr_rows = t.nr;
	d.ref = malloc((t.nr ? t.nr : 1) * sizeof(*d.ref));
	if (!d.ref)
		return err_set(err, -ENOMEM, "directory of the archive");
	for (size_t i = 0; i < t.nr; i++) {
		r = table_ref(&t, i, &d.ref[d.nr], err);
		if (r == 0) {
			d.nr++;
		} else if (r == -ENOENT) {
			d.nr_unreadable++;
		} else {
			free(d.ref);
			return r;
		}
	}
	qsort(d.ref, d.nr, sizeof(*d.ref), by_pos);
	*ret = d;
	return 0;
}

void access_dir_close(struct access_dir *d)
{
	free(d->ref);
	free(d->rows);
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
static uint64_t range_end(const struct access_ref *ref, uint64_t limit)
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
static int read_ref(struct access *a, const struct access_ref *ref, uint64_t limit, bool cut, struct access_member *ret,
		    struct err *err)
{
	int r = read_member(a, ref->pos, range_end(ref, limit), false, ret, err);

	ret->cut = cut;
	if (r < 0)
		return r;
	if (ref->size > limit - ref->pos && !(a->split && ret->entry.kind == PXAR_KIND_FILE))
		return items_bad(err, ref->pos, "member goes past the end of its directory, or into the next one");
	if (!fills(a, ret))
		return items_bad(err, ret->body, "bytes between members");
	return 0;
}

int access_dir_member(struct access *a, const struct access_dir *d, size_t i, struct access_member *ret,
		      struct err *err)
{
	const bool last = i + 1 == d->nr;
	const uint64_t limit = last ? d->goodbye : d->ref[i + 1].pos;
	int r = read_ref(a, &d->ref[i], limit, last && d->cut, ret, err);

	/* The table does not tell where a file of a split archive ends, but what comes behind it does. */
	if (r == 0 && a->split && !ret->cut && ret->entry.kind == PXAR_KIND_FILE && limit - ret->body != REF_BYTES)
		return items_bad(err, ret->body + REF_BYTES, "bytes between members");
	return r;
}

static bool name_is(const struct access_member *m, const char *name, size_t len)
{
	return m->entry.name_len == len && !memcmp(m->name, name, len);
}

/* A row with the right hash: is it the member? Return: 1; 0; negative errno. */
static int try_row(struct access *a, const struct table *t, size_t i, const char *name, size_t len,
		   struct access_member *ret, struct err *err)
{
	struct access_ref ref;
	uint64_t next;
	int r = table_ref(t, i, &ref, err);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = read_name(a, ref.pos, range_end(&ref, t->goodbye), ret, &next, err);
	if (r < 0 || !name_is(ret, name, len))
		return r;
	r = read_ref(a, &ref, t->goodbye, false, ret, err);
	return r < 0 ? r : 1;
}

/* Return: 0; -ENOENT; negative errno. */
static int table_find(struct access *a, const struct table *t, const char *name, size_t len, struct access_member *ret,
		      struct err *err)
{
	const uint64_t hash = pxar_hash(name, len);
	size_t stack[TREE_STACK], depth = 1;

	stack[0] = 0;
	while (depth) {
		const size_t i = stack[--depth];
		uint64_t h;
		int r;

		if (i >= t->nr)
			continue;
		h = row_u64(t->rows + i * ROW);
		if (hash >= h)
			stack[depth++] = 2 * i + 2;
		if (hash <= h)
			stack[depth++] = 2 * i + 1;
		if (h != hash)
			continue;
		r = try_row(a, t, i, name, len, ret, err);
		if (r)
			return r < 0 ? r : 0;
	}
	return -ENOENT;
}

static int load_rows(struct access *a, struct access_dir *d, struct err *err)
{
	uint8_t *rows = malloc(d->nr_rows * ROW);
	int r;

	if (!rows)
		return err_set(err, -ENOMEM, "directory of the archive");
	r = source_read_at(a->items.src, rows, d->nr_rows * ROW, d->goodbye + PXAR_HEADER_SIZE, err);
	if (r < 0) {
		free(rows);
		return r;
	}
	d->rows = rows;
	return 0;
}

int access_dir_find(struct access *a, struct access_dir *d, const char *name, size_t len, struct access_member *ret,
		    struct err *err)
{
	struct table t = { .nr = d->nr_rows, .first = d->first, .goodbye = d->goodbye };
	int r = 0;

	if (d->lost)
		return err_text(err, d->lost, "%s", d->lost_why.text);
	if (d->nr_rows && !d->rows)
		r = load_rows(a, d, err);
	if (r < 0)
		return r;
	t.rows = d->rows;
	return table_find(a, &t, name, len, ret, err);
}

/* The same without a table: what is not found may be in what is lost. */
static int scan_find(struct access *a, const char *name, size_t len, struct access_member *m, struct err *err)
{
	CLEANUP(access_dir_close) struct access_dir d = { 0 };
	uint64_t next;
	int r = access_dir_open(a, m, &d, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < d.nr; i++)
		if (read_name(a, d.ref[i].pos, range_end(&d.ref[i], d.goodbye), m, &next, NULL) == 0 && name_is(m, name, len))
			return access_dir_member(a, &d, i, m, err);
	return err_text(err, d.lost, "%s", d.lost_why.text);
}

/* One step down from the directory in @m. */
static int find_in(struct access *a, const char *name, size_t len, struct access_member *m, struct err *err)
{
	CLEANUP(table_free) struct table t = { 0 };
	struct err why = ERR_INIT;
	char q[300];
	int r = table_load(a, m, &t, &why);

	if (has_no_table(a, m, r))
		return scan_find(a, name, len, m, err);
	m->partial = false;
	if (r < 0)
		return err_text(err, r, "%s", why.text);
	r = table_find(a, &t, name, len, m, err);
	return r == -ENOENT ? err_text(err, r, "no '%s' in this directory", log_quote(name, len, q, sizeof(q))) : r;
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
		r = find_in(a, name, n, ret, err);
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
	r = read_member(a, m->entry.link_pos, a->split ? a->size : m->entry.pos, false, ret, err);
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
	int r;

	if (e->kind != PXAR_KIND_FILE)
		return err_text(err, -EINVAL, "not a regular file");
	if (!a->split || m->data_checked)
		return 0;
	if (!a->payload)
		return err_text(err, -ENODATA, "the archive's payload stream is not there");
	if (e->payload_off > a->payload->size_bytes ||
	    PXAR_HEADER_SIZE + e->size > a->payload->size_bytes - e->payload_off)
		return items_bad(err, e->pos, "data past the end of the payload stream");
	r = source_read_at(a->payload, head, sizeof(head), e->payload_off, err);
	if (r < 0)
		return r;
	(void)cur_u64le(&c, &type);
	(void)cur_u64le(&c, &size);
	if (type != PXAR_PAYLOAD || size - PXAR_HEADER_SIZE != e->size)
		return err_text(err, -EBADMSG, "payload stream, byte %" PRIu64 ": not the data of this file",
				e->payload_off);
	m->data_checked = true;
	return 0;
}

uint64_t access_data_pos(const struct access *a, const struct access_member *m)
{
	return a->split ? m->entry.payload_off + PXAR_HEADER_SIZE : m->body;
}

int access_read(struct access *a, struct access_member *m, void *p, size_t n, uint64_t off, struct err *err)
{
	int r = access_check_data(a, m, err);

	if (r < 0)
		return r;
	if (off > m->entry.size || n > m->entry.size - off)
		return err_set(err, -ERANGE, "read at %" PRIu64, off);
	return source_read_at(a->split ? a->payload : a->items.src, p, n, access_data_pos(a, m) + off, err);
}
