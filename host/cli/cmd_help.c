/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "common/log.h"
#include "host/cli/cli.h"

#define HELP_COLUMN 32

static void help_all(FILE *f)
{
	(void)fprintf(f, "usage: pluck COMMAND [OPTIONS] [ARGUMENTS]\n\nPick single files out of VM image backups.\n\n");
	for (size_t i = 0; commands[i]; i++)
		(void)fprintf(f, "  %-12s %s\n", commands[i]->name, commands[i]->help);
	(void)fprintf(f, "\n'pluck help COMMAND' shows the options of a command; the manual page has the rest.\n");
}

static void help_opt(FILE *f, const struct opt *o)
{
	char left[128];
	int n;

	n = snprintf(left, sizeof(left), "%c%c%s--%s%s%s",
		     o->brief ? '-' : ' ', o->brief ? o->brief : ' ', o->brief ? ", " : "  ",
		     o->name, o->kind == OPT_BOOL ? "" : " ", o->kind == OPT_BOOL ? "" : o->arg);
	if (n >= HELP_COLUMN - 1)	/* two blanks at least: completions read this */
		(void)fprintf(f, "  %s\n  %*s %s", left, HELP_COLUMN, "", o->help);
	else
		(void)fprintf(f, "  %-*s %s", HELP_COLUMN, left, o->help);
	(void)fprintf(f, "%s\n", o->kind == OPT_LIST ? " (repeatable)" : "");
}

void cli_help(FILE *f, const struct command *cmd)
{
	bool any = false;

	if (!cmd) {
		help_all(f);
		return;
	}
	(void)fprintf(f, "usage: pluck %s [OPTIONS]%s%s\n\n%s\n", cmd->name, *cmd->usage ? " " : "", cmd->usage, cmd->help);
	if (cmd->more)
		(void)fprintf(f, "\n%s\n", cmd->more);
	for (size_t t = 0; t < COMMAND_OPTS_MAX && cmd->opts[t]; t++) {
		for (const struct opt *o = cmd->opts[t]; o->name; o++) {
			if (!any)
				(void)fprintf(f, "\n");
			any = true;
			help_opt(f, o);
		}
	}
}

static int run_help(const struct args *a)
{
	const struct command *cmd = a->nr_pos ? command_find(a->pos[0]) : NULL;
	char q[128];

	if (a->nr_pos && !cmd)
		return cli_usage(NULL, "unknown command '%s'", log_quote(a->pos[0], strlen(a->pos[0]), q, sizeof(q)));
	cli_help(stdout, cmd);
	return EXIT_OK;
}

const struct command cmd_help = {
	.name = "help",
	.usage = "[COMMAND]",
	.help = "what there is and how to use it",
	.max_pos = 1,
	.run = run_help,
};
