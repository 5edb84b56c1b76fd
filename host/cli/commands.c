/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/cli/cli.h"

/* In the order help shows them. */
const struct command *const commands[] = {
	&cmd_list, &cmd_extract, &cmd_restore, &cmd_cat, &cmd_diff, &cmd_stat, &cmd_disks, &cmd_run, &cmd_status, &cmd_stop,
	&cmd_backup, &cmd_snapshots, &cmd_groups, &cmd_namespaces, &cmd_files, &cmd_verify,
	&cmd_datastore, &cmd_catalog, &cmd_pxar, &cmd_key,
	&cmd_version, &cmd_help,
	NULL,
};

int command_run(const struct command *cmd, int argc, char **argv, command_usage_fn *bad_usage)
{
	struct err err = ERR_INIT;
	struct args a;
	int r;

	r = args_parse(cmd, argc, argv, &a, &err);
	if (a.help) {
		cli_help(stdout, cmd);
		r = EXIT_OK;
	} else {
		r = r < 0 ? bad_usage(cmd, &err, r) : cmd->run(&a);
	}
	args_free(&a);
	return cli_out_end(r);
}
