/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_ARCHIVE_SCAN_H
#define HOST_ARCHIVE_SCAN_H

/* Members of a directory whose table is lost, found by reading its items one after the other. */

#include "common/records.h"
#include "host/archive/access.h"
#include "host/archive/items.h"

#define SCAN_ITEMS_MAX ((uint64_t)64 << 20)	/* of one archive, over all scans: some bytes are scanned once a level */

/**
 * scan_members() - walk from @first, where the first member begins, to the directory's end
 * @limit: nothing of the directory lies behind this
 * @items: items read so far, added to; SCAN_ITEMS_MAX at most
 * @refs:  what was found up to the end, or up to what cannot be read, is added; the last member may not be whole
 * @ret:   how many, where they end, and whether that is all
 * Return: 0; -ENOMEM; as records_add().
 */
int scan_members(struct items *s, uint64_t first, uint64_t limit, uint64_t *items, struct records *refs,
		 struct access_dir *ret);

#endif
