/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef COMMON_PXAR_DEC_ATTRS_H
#define COMMON_PXAR_DEC_ATTRS_H

/* The attributes of the entry that the decoder is reading, collected item by item. */

#include "common/buf.h"
#include "common/cur.h"
#include "common/pxar/entry.h"

struct dec_span {
	size_t name, name_len, value, value_len;	/* offsets in bytes */
	bool any;
};

struct dec_attrs {
	size_t charged;		/* of PXAR_ATTRS_MAX */
	struct buf bytes;
	struct dec_span *spans;
	struct pxar_xattr *xattrs;
	size_t nr_xattrs, room_xattrs;
	struct pxar_acl_entry *acls;
	size_t nr_acls, room_acls;
	struct pxar_segment *segments;
	size_t room_segments;
	bool has_fcaps;
	size_t fcaps, fcaps_len;
};

/** dec_attrs_reset() - begin another entry; the memory is kept. */
void dec_attrs_reset(struct dec_attrs *a);
void dec_attrs_free(struct dec_attrs *a);

/** dec_attrs_is() - is this an item between ENTRY and what ends it? */
bool dec_attrs_is(uint64_t type, bool ext);

/**
 * dec_attrs_item() - take one attribute
 * @c: the content of the item
 * @e: the entry it belongs to; its plain fields are set at once, its vectors by dec_attrs_finish()
 * Return: 0; -EBADMSG malformed, twice, or too much of it; -ENOMEM.
 */
int dec_attrs_item(struct dec_attrs *a, uint64_t type, struct cur c, struct pxar_entry *e);

/** dec_attrs_finish() - set the vectors of @e, which borrow from @a. Return: 0; -ENOMEM. */
int dec_attrs_finish(struct dec_attrs *a, struct pxar_entry *e);

#endif
