/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/cli/cli.h"

/* In the order help shows them. */
const struct command *const commands[] = {
	&cmd_list, &cmd_extract, &cmd_stat, &cmd_disks, &cmd_run, &cmd_status, &cmd_stop,
	&cmd_backup, &cmd_snapshots, &cmd_datastore, &cmd_catalog, &cmd_pxar, &cmd_key,
	&cmd_version, &cmd_help,
	NULL,
};
