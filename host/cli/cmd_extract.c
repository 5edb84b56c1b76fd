/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/cli/extract.h"

static int prepare(struct extract *x, size_t *pos, struct err *err)
{
	int r = target_parse(x->args, pos, x->target, err);

	if (r == 0)
		r = target_open(x->target, err);
	if (r == 0)
		r = extract_find_paths(x, pos, err);
	if (r < 0)
		return r;
	x->where = *pos < x->args->nr_pos ? x->args->pos[(*pos)++] : ".";
	return 0;
}

static int run_extract(const struct args *a)
{
	return extract_command(a, prepare);
}

const struct command cmd_extract = {
	.name = "extract",
	.usage = "SNAPSHOT PATH [TARGET|-] | --disk FILE PATH [TARGET|-]",
	.help = "get files and directories out",
	.more = "TARGET: a directory, made if missing (default: the current one); - is standard output.",
	.opts = { target_opts, extract_opts, target_base64_opts, target_vm_opts },
	.max_pos = 3,
	.run = run_extract,
};
