/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One member of an archive, read item by item. */
#include "host/archive/access_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "common/pxar/dec_items.h"

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

int member_name(struct access *a, uint64_t pos, uint64_t end, struct access_member *m, uint64_t *ret_next,
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

int member_read(struct access *a, uint64_t pos, uint64_t end, bool root, struct access_member *m,
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
		r = member_name(a, pos, end, m, &next, err);
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
