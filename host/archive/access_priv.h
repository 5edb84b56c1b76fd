/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_ARCHIVE_ACCESS_PRIV_H
#define HOST_ARCHIVE_ACCESS_PRIV_H

/* What the files of access share among themselves: one archive, and how one member of it is read. */

#include "common/records.h"
#include "host/archive/access.h"
#include "host/archive/items.h"
#include "host/archive/ref.h"

struct access {
	struct items items;
	struct source *payload;
	bool split;
	uint64_t root_entry;
	uint64_t size;
	uint64_t scanned;	/* items, for want of a table */
	struct records refs;	/* members of the open directories */
};

/**
 * member_name() - the FILENAME at @pos into @m->name
 * Return: 0, and what follows is at *@ret_next; -EBADMSG, the name is "" then; what reading gives.
 */
int member_name(struct access *a, uint64_t pos, uint64_t end, struct access_member *m, uint64_t *ret_next,
		struct err *err);

/** member_read() - the member at @pos, all of whose items end at @end; the root has no FILENAME. Return: as access_dir_member(). */
int member_read(struct access *a, uint64_t pos, uint64_t end, bool root, struct access_member *m, struct err *err);

#endif
