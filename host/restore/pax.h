/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_RESTORE_PAX_H
#define HOST_RESTORE_PAX_H

/*
 * Heads of tar members in PAX form. Our own, since libarchive 3.6.2 writes negative fractional times wrong (-0.25 s as
 * -1.75 s) and its own attribute names URL-encoded, which others do not read; and since names here are any bytes.
 */

#include "common/buf.h"
#include "common/pxar/entry.h"

#define PAX_BLOCK 512

struct pax_member {
	const struct pxar_entry *e;
	const char *path;		/* any bytes, NUL-terminated; directories with a slash at the end */
	const char *link;		/* hard and symbolic links */
};

/** pax_head() - header blocks of a member, and the map in front of the data of a sparse file. Look at buf_ok(). */
void pax_head(struct buf *out, const struct pax_member *m);

/** pax_pad() - zeros up to the next block behind @size bytes. */
void pax_pad(struct buf *out, uint64_t size);

#endif
