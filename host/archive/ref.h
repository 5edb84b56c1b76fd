/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_ARCHIVE_REF_H
#define HOST_ARCHIVE_REF_H

#include <stdint.h>

/* Where a member lies. The records of struct access: those of all open directories, of the one opened last on top. */
struct ref {
	uint64_t pos;		/* of its FILENAME */
	uint64_t size;		/* as the table of its directory says, not 0 */
};

#endif
