/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_SESSION_DISKS_H
#define HOST_SESSION_DISKS_H

/* The sources of a session, opened, in slot order; the tools image is one more behind them. */

#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "host/session/session.h"
#include "host/source/source.h"
#include "host/source/store/store.h"

struct disks {
	const struct session_spec *spec;	/* borrowed */
	struct store *store;
	struct snapshot *snapshot;
	struct source *sources[SESSION_DISKS_MAX + 1];
	uint32_t nr;		/* with the tools image */
	bool has_tools;
	uint32_t unit_max;	/* largest unit of a source that is not raw; 0 if there is none */
};

/** disks_open() - all or none; the error is what opening gave. */
int disks_open(struct disks *d, const struct session_spec *spec, const char *lib_dir, struct err *err);
void disks_close(struct disks *d);

/** disks_name() - as the user calls it. */
const char *disks_name(const struct disks *d, uint32_t slot);

/** disks_fwcfg() - text of WIRE_FWCFG_DISKS. */
void disks_fwcfg(const struct disks *d, struct buf *ret);

#endif
