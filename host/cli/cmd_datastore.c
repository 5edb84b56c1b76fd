/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "host/cli/cli.h"
#include "host/source/store/store.h"

static int run(const struct args *a)
{
	struct err e = ERR_INIT;
	int r;

	if (strcmp(a->pos[0], "create"))
		return cli_usage(a->cmd, "unknown action '%s', there is: create", a->pos[0]);
	r = store_create(a->pos[1], &e);
	if (r == -EEXIST) {
		(void)cli_fail(&e, r);
		return EXIT_TARGET;
	}
	return r < 0 ? cli_fail(&e, r) : EXIT_OK;
}

const struct command cmd_datastore = {
	.name = "datastore",
	.usage = "create DIR",
	.help = "make a new, empty datastore",
	.more = "DIR is made if it is missing, and must be empty otherwise.",
	.min_pos = 2,
	.max_pos = 2,
	.run = run,
};
