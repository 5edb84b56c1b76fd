/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/pxar/decode.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/cur.h"
#include "common/grow.h"
#include "common/pxar/dec_attrs.h"
#include "common/pxar/dec_items.h"
#include "common/pxar/format.h"

/*
 * Theory of operation. An item is taken when all of it is there (from the caller's bytes, or joined in `part`), but
 * for PAYLOAD and GOODBYE, whose content streams by. What ends an entry may be the item that follows, so a header is
 * looked at first (`head`) and taken later. `state` says what may come.
 */
enum state {
	AT_START,	/* FORMAT_VERSION or the root's ENTRY */
	AT_PRELUDE,	/* behind FORMAT_VERSION: PRELUDE or ENTRY */
	AT_ROOT,	/* the root's ENTRY */
	AT_ATTRS,	/* behind an ENTRY */
	AT_MEMBER,	/* in a directory: FILENAME, DIR_ERROR or GOODBYE */
	AT_NAME,	/* behind FILENAME: ENTRY or HARDLINK */
	AT_DATA,	/* in a PAYLOAD */
	AT_FILE_END,	/* behind it: perhaps ERROR */
	AT_DIR_ERROR,	/* behind DIR_ERROR: GOODBYE */
	AT_GOODBYE,	/* in a GOODBYE */
	AT_END,
	AT_OVER,	/* PXAR_EV_END was given */
};

#define AGAIN 2

struct pxar_dec {
	unsigned int flags;
	enum state state;
	int failed;
	char failed_text[160];
	struct cur in;		/* the caller's bytes */
	bool eof;
	struct buf part;	/* the beginning of what is cut by the end of @in */
	uint64_t pos;		/* of the first byte not taken */
	bool have_head;
	uint64_t type, left;	/* of the head; content bytes not taken */
	uint64_t name_pos;
	struct pxar_entry entry;
	struct dec_attrs attrs;
	struct pxar_error error;
	char name[PXAR_NAME_MAX + 1];
	char target[PXAR_TARGET_MAX + 1];
	size_t *levels;		/* name lengths of the open directories */
	size_t depth, room, path_len;
};

struct pxar_dec *pxar_dec_new(unsigned int flags)
{
	struct pxar_dec *d = calloc(1, sizeof(*d));

	if (d) {
		d->flags = flags;
		d->in = cur_of("", 0);
	}
	return d;
}

void pxar_dec_free(struct pxar_dec *d)
{
	if (!d)
		return;
	buf_free(&d->part);
	dec_attrs_free(&d->attrs);
	free(d->levels);
	free(d);
}

void pxar_dec_feed(struct pxar_dec *d, const void *p, size_t len)
{
	d->in = cur_of(len ? p : "", len);
}

void pxar_dec_eof(struct pxar_dec *d)
{
	d->eof = true;
}

size_t pxar_dec_depth(const struct pxar_dec *d)
{
	return d->depth;
}

uint64_t pxar_dec_pos(const struct pxar_dec *d)
{
	return d->pos;
}

static bool ext(const struct pxar_dec *d)
{
	return d->flags & PXAR_DEC_EXT;
}

static int bad(struct pxar_dec *d, const char *what)
{
	(void)snprintf(d->failed_text, sizeof(d->failed_text), "archive, byte %" PRIu64 ": %s", d->pos, what);
	return d->failed = -EBADMSG;
}

static int no_memory(struct pxar_dec *d)
{
	(void)snprintf(d->failed_text, sizeof(d->failed_text), "archive, byte %" PRIu64, d->pos);
	return d->failed = -ENOMEM;
}

/* What a parser returned, as a failure of the decoder. */
static int fail(struct pxar_dec *d, int r, const char *what)
{
	return r == -ENOMEM ? no_memory(d) : bad(d, what);
}

/* More bytes are needed. */
static int starve(struct pxar_dec *d)
{
	if (!d->eof)
		return 0;
	(void)snprintf(d->failed_text, sizeof(d->failed_text), "archive, byte %" PRIu64 ": ends early", d->pos);
	return d->failed = -ENODATA;
}

/* The next @n bytes in one piece, borrowed until the next call. Return: 1; 0 or an error if they are not there. */
static int take(struct pxar_dec *d, size_t n, struct cur *ret)
{
	size_t some = d->in.left;

	if (!d->part.len && n <= some) {
		(void)cur_sub(&d->in, n, ret);
		d->pos += n;
		return 1;
	}
	if (some > n - d->part.len)
		some = n - d->part.len;
	buf_add(&d->part, d->in.p, some);
	if (buf_ok(&d->part) < 0)
		return no_memory(d);
	(void)cur_skip(&d->in, some);
	if (d->part.len < n)
		return starve(d);
	*ret = cur_of(d->part.data, n);
	d->part.len = 0;
	d->pos += n;
	return 1;
}

/* Looks at the next header. Return: 1 if it is known; 0 or an error. */
static int look(struct pxar_dec *d)
{
	uint64_t size;
	struct cur c;
	int r;

	if (d->have_head)
		return 1;
	r = take(d, PXAR_HEADER_SIZE, &c);
	if (r <= 0)
		return r;
	if (cur_u64le(&c, &d->type) < 0 || cur_u64le(&c, &size) < 0 || size < PXAR_HEADER_SIZE)
		return bad(d, "item smaller than its header");
	d->left = size - PXAR_HEADER_SIZE;
	if (!dec_item_fits(d->type, d->left))
		return bad(d, "unknown item, or of a wrong size");
	if (d->left > (uint64_t)INT64_MAX - d->pos)
		return bad(d, "item beyond all sizes");
	d->have_head = true;
	return 1;
}

/* The content of the item whose header was looked at. */
static int content(struct pxar_dec *d, struct cur *ret)
{
	int r = take(d, (size_t)d->left, ret);

	if (r > 0)
		d->have_head = false;
	return r;
}

/* Takes the content of an item in the middle of other bytes. Return: AGAIN; 0 or an error. */
static int skip(struct pxar_dec *d)
{
	size_t n = d->in.left < d->left ? d->in.left : (size_t)d->left;

	(void)cur_skip(&d->in, n);
	d->pos += n;
	d->left -= n;
	return d->left ? starve(d) : AGAIN;
}

static int enter(struct pxar_dec *d)
{
	if (d->depth >= PXAR_DEPTH_MAX || d->entry.name_len + 1 > PXAR_PATH_MAX - d->path_len)
		return bad(d, "directories too deep");
	if (grow(&d->levels, &d->room, d->depth, sizeof(*d->levels)) < 0)
		return no_memory(d);
	d->levels[d->depth++] = d->entry.name_len;
	d->path_len += d->entry.name_len + 1;
	return 0;
}

/* The entry is complete; what is left of it comes in @next. */
static int give_entry(struct pxar_dec *d, enum state next, struct pxar_event *ev)
{
	int r = dec_attrs_finish(&d->attrs, &d->entry);

	if (r < 0)
		return fail(d, r, "attributes");
	if (d->entry.kind == PXAR_KIND_DIR) {
		r = enter(d);
		if (r < 0)
			return r;
	}
	d->state = next;
	ev->type = PXAR_EV_ENTRY;
	ev->entry = &d->entry;
	return 1;
}

static int on_version(struct pxar_dec *d)
{
	uint64_t version;
	struct cur c;
	int r = content(d, &c);

	if (r <= 0)
		return r;
	if (cur_u64le(&c, &version) < 0 || version < 1 || version > 2)
		return bad(d, "unknown format version");
	d->state = AT_PRELUDE;
	return AGAIN;
}

static int on_prelude(struct pxar_dec *d)
{
	int r = skip(d);

	if (r == AGAIN) {
		d->have_head = false;
		d->state = AT_ROOT;
	}
	return r;
}

static int on_entry(struct pxar_dec *d)
{
	const bool root = !d->depth;
	const uint64_t pos = root ? d->pos - PXAR_HEADER_SIZE : d->name_pos;
	struct cur c;
	int r = content(d, &c), kind;

	if (r <= 0)
		return r;
	d->entry = (struct pxar_entry){ .name = d->name, .name_len = root ? 0 : strlen(d->name), .pos = pos };
	r = d->type == PXAR_ENTRY ? dec_item_entry(c, &d->entry) : dec_item_entry_v1(c, &d->entry);
	kind = pxar_kind_of_mode(d->entry.mode);
	if (r < 0 || kind < 0)
		return bad(d, "bad ENTRY");
	if (root && kind != PXAR_KIND_DIR)
		return bad(d, "the root is not a directory");
	d->entry.kind = (enum pxar_kind)kind;
	dec_attrs_reset(&d->attrs);
	d->state = AT_ATTRS;
	return AGAIN;
}

static int at_start(struct pxar_dec *d)
{
	if (d->state == AT_START && d->type == PXAR_FORMAT_VERSION)
		return on_version(d);
	if (d->state == AT_PRELUDE && d->type == PXAR_PRELUDE)
		return on_prelude(d);
	if (d->type != PXAR_ENTRY && d->type != PXAR_ENTRY_V1)
		return bad(d, "no archive, or an item out of place");
	if (d->state == AT_START && d->flags & PXAR_DEC_SPLIT)
		return bad(d, "metadata stream without a format version");
	return on_entry(d);
}

static int on_attr(struct pxar_dec *d)
{
	struct cur c;
	int r = content(d, &c);

	if (r <= 0)
		return r;
	r = dec_attrs_item(&d->attrs, d->type, c, &d->entry);
	return r < 0 ? fail(d, r, "bad attribute") : AGAIN;
}

static int end_file(struct pxar_dec *d, struct pxar_event *ev)
{
	struct cur c;
	int r;

	if (d->entry.kind != PXAR_KIND_FILE)
		return bad(d, "data of something that is no file");
	if (d->type == PXAR_PAYLOAD && !(d->flags & PXAR_DEC_SPLIT)) {
		if (d->entry.has_segments && d->entry.payload_size != d->left)
			return bad(d, "data and holes do not make the file");
		if (!d->entry.has_segments)
			d->entry.size = d->entry.payload_size = d->left;
		return give_entry(d, AT_DATA, ev);
	}
	if (d->type != PXAR_PAYLOAD_REF || !(d->flags & PXAR_DEC_SPLIT) || d->entry.has_segments)
		return bad(d, "data in the wrong stream");
	r = content(d, &c);
	if (r <= 0)
		return r;
	if (dec_item_payload_ref(c, &d->entry) < 0)
		return bad(d, "bad PAYLOAD_REF");
	return give_entry(d, AT_FILE_END, ev);
}

static int end_symlink(struct pxar_dec *d, struct pxar_event *ev)
{
	struct cur c;
	int r;

	if (d->entry.kind != PXAR_KIND_SYMLINK)
		return bad(d, "target of something that is no symlink");
	r = content(d, &c);
	if (r <= 0)
		return r;
	if (dec_item_text(c, true, d->target, &d->entry.target_len) < 0)
		return bad(d, "bad SYMLINK");
	d->entry.target = d->target;
	return give_entry(d, AT_MEMBER, ev);
}

static int end_device(struct pxar_dec *d, struct pxar_event *ev)
{
	struct cur c;
	int r;

	if (d->entry.kind != PXAR_KIND_DEVICE)
		return bad(d, "numbers of something that is no device");
	r = content(d, &c);
	if (r <= 0)
		return r;
	if (dec_item_device(c, &d->entry) < 0)
		return bad(d, "bad DEVICE");
	return give_entry(d, AT_MEMBER, ev);
}

static int at_attrs(struct pxar_dec *d, struct pxar_event *ev)
{
	if (dec_attrs_is(d->type, ext(d)))
		return on_attr(d);
	switch (d->type) {
	case PXAR_PAYLOAD:
	case PXAR_PAYLOAD_REF:
		return end_file(d, ev);
	case PXAR_SYMLINK:
		return end_symlink(d, ev);
	case PXAR_DEVICE:
		return end_device(d, ev);
	}
	if (d->entry.kind == PXAR_KIND_DIR || d->entry.kind == PXAR_KIND_FIFO || d->entry.kind == PXAR_KIND_SOCKET)
		return give_entry(d, AT_MEMBER, ev);
	return bad(d, "entry without its content");
}

static int on_hardlink(struct pxar_dec *d, struct pxar_event *ev)
{
	struct cur c;
	int r = content(d, &c);

	if (r <= 0)
		return r;
	d->entry = (struct pxar_entry){ .name = d->name, .name_len = strlen(d->name), .pos = d->name_pos,
					.kind = PXAR_KIND_HARDLINK, .target = d->target };
	dec_attrs_reset(&d->attrs);
	if (dec_item_hardlink(c, d->name_pos, d->target, &d->entry) < 0)
		return bad(d, "bad HARDLINK");
	return give_entry(d, AT_MEMBER, ev);
}

static int on_name(struct pxar_dec *d)
{
	const uint64_t pos = d->pos - PXAR_HEADER_SIZE;
	size_t len;
	struct cur c;
	int r = content(d, &c);

	if (r <= 0)
		return r;
	if (dec_item_text(c, false, d->name, &len) < 0)
		return bad(d, "bad FILENAME");
	d->name_pos = pos;
	d->state = AT_NAME;
	return AGAIN;
}

static int on_error(struct pxar_dec *d)
{
	struct cur c;
	int r = content(d, &c);

	if (r <= 0)
		return r;
	return dec_item_error(c, &d->error) < 0 ? bad(d, "bad ERROR") : AGAIN;
}

static int at_member(struct pxar_dec *d)
{
	int r;

	if (d->type == PXAR_FILENAME && d->state == AT_MEMBER)
		return on_name(d);
	if (d->type == PXAR_EXT_DIR_ERROR && ext(d) && d->state == AT_MEMBER) {
		r = on_error(d);
		if (r == AGAIN)
			d->state = AT_DIR_ERROR;
		return r;
	}
	if (d->type != PXAR_GOODBYE)
		return bad(d, "item out of place in a directory");
	if (d->state == AT_MEMBER)
		d->error = (struct pxar_error){ 0 };
	d->state = AT_GOODBYE;
	return AGAIN;
}

static int at_name(struct pxar_dec *d, struct pxar_event *ev)
{
	if (d->type == PXAR_HARDLINK)
		return on_hardlink(d, ev);
	if (d->type == PXAR_ENTRY || d->type == PXAR_ENTRY_V1)
		return on_entry(d);
	return bad(d, "name without an entry");
}

static int at_data(struct pxar_dec *d, struct pxar_event *ev)
{
	size_t n = d->in.left < d->left ? d->in.left : (size_t)d->left;

	if (!d->left) {
		d->have_head = false;
		d->state = AT_FILE_END;
		return AGAIN;
	}
	if (!n)
		return starve(d);
	ev->type = PXAR_EV_DATA;
	ev->data_len = n;
	(void)cur_bytes(&d->in, n, &ev->data);
	d->pos += n;
	d->left -= n;
	return 1;
}

/* Behind a file: the error of it, if one comes. */
static int at_file_end(struct pxar_dec *d, struct pxar_event *ev)
{
	bool error = false;
	int r;

	if (ext(d)) {
		r = look(d);
		if (r <= 0)
			return r;
		error = d->type == PXAR_EXT_ERROR;
		r = error ? on_error(d) : AGAIN;
		if (r != AGAIN)
			return r;
	}
	d->state = AT_MEMBER;
	ev->type = PXAR_EV_FILE_END;
	if (error)
		ev->error = d->error;
	return 1;
}

static int at_goodbye(struct pxar_dec *d, struct pxar_event *ev)
{
	int r = skip(d);

	if (r != AGAIN)
		return r;
	d->have_head = false;
	d->depth--;
	d->path_len -= d->levels[d->depth] + 1;
	d->state = d->depth ? AT_MEMBER : AT_END;
	ev->type = PXAR_EV_DIR_END;
	ev->error = d->error;
	return 1;
}

static int at_end(struct pxar_dec *d, struct pxar_event *ev)
{
	if (d->in.left)
		return bad(d, "bytes behind the end");
	if (!d->eof)
		return 0;
	d->state = AT_OVER;
	ev->type = PXAR_EV_END;
	return 1;
}

static int step(struct pxar_dec *d, struct pxar_event *ev)
{
	int r;

	switch (d->state) {
	case AT_DATA:
		return at_data(d, ev);
	case AT_GOODBYE:
		return at_goodbye(d, ev);
	case AT_FILE_END:
		return at_file_end(d, ev);
	case AT_END:
	case AT_OVER:
		return at_end(d, ev);
	default:
		break;
	}
	r = look(d);
	if (r <= 0)
		return r;
	switch (d->state) {
	case AT_ATTRS:
		return at_attrs(d, ev);
	case AT_NAME:
		return at_name(d, ev);
	case AT_MEMBER:
	case AT_DIR_ERROR:
		return at_member(d);
	default:
		return at_start(d);
	}
}

int pxar_dec_next(struct pxar_dec *d, struct pxar_event *ret, struct err *err)
{
	struct pxar_event ev = { 0 };
	int r;

	if (d->failed)
		return err_text(err, d->failed, "%s", d->failed_text);
	do
		r = step(d, &ev);
	while (r == AGAIN);
	if (r < 0)
		return err_text(err, r, "%s", d->failed_text);
	if (r > 0)
		*ret = ev;
	return r;
}
