/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "host/cli/extract.h"

/* A file goes to standard output as it is, anything else as tar. */
static int choose_form(struct extract *x, const struct target_path *p, struct err *err)
{
	json_t *o = NULL;
	const char *type;
	int r = target_stat(&x->target, p, &o, err);

	if (r < 0)
		return r;
	type = json_string_value(json_object_get(o, "type"));
	x->form = type && (*type == 'f' || *type == 'h') ? FORM_PLAIN : FORM_TAR;
	json_decref(o);
	return 0;
}

/* What the options mean together. */
static int find_form(struct extract *x, struct err *err)
{
	static const char *const names[] = { "", "plain", "tar", "pxar", "zip" };
	const char *format = args_text(x->args, "format");
	bool to_stdout = !strcmp(x->where, "-");

	if (!to_stdout && (format || args_flag(x->args, "zstd")))
		return err_text(err, -EINVAL, "--format and --zstd are for standard output: give - as TARGET");
	for (size_t i = 1; format && i < sizeof(names) / sizeof(*names); i++)
		if (!strcasecmp(format, names[i]))
			x->form = (enum form)i;
	if (!to_stdout)
		return 0;
	if (x->nr_paths > 1 && format && x->form != FORM_TAR && x->form != FORM_ZIP)
		return err_text(err, -EINVAL, "several paths go into a directory, a tar or a zip");
	if (format)
		return 0;
	x->form = FORM_TAR;
	return x->nr_paths == 1 && !x->path[0].root ? choose_form(x, &x->path[0], err) : 0;
}

static int prepare(struct extract *x, struct err *err)
{
	const struct args *a = x->args;
	size_t pos = 0;
	int r = target_parse(a, &pos, &x->target, err);

	if (r == 0)
		r = target_open(&x->target, err);
	if (r == 0)
		r = extract_find_paths(x, &pos, err);
	if (r < 0)
		return r;
	x->where = pos < a->nr_pos ? a->pos[pos++] : ".";
	if (pos < a->nr_pos)
		return err_text(err, -EINVAL, "too many arguments");
	return find_form(x, err);
}

static int run_extract(const struct args *a)
{
	const char *over = args_text(a, "overwrite");
	struct extract x = {
		.args = a,
		.opt = { .devices = args_flag(a, "devices"), .keep_partial = args_flag(a, "keep-partial"),
			 .skip_special = args_flag(a, "skip-special"), .skip_root = true },
	};
	struct err err = ERR_INIT;
	int r;

	if (over && !strcasecmp(over, "always"))
		x.opt.overwrite = RESTORE_OVERWRITE_ALWAYS;
	else if (over && !strcasecmp(over, "if-newer"))
		x.opt.overwrite = RESTORE_OVERWRITE_IF_NEWER;
	cli_progress_init(args_flag(a, "quiet"));
	(void)clock_gettime(CLOCK_MONOTONIC, &x.start);
	r = run_report_open(&x.machine, args_text(a, "report"), &err);
	if (r < 0) {
		(void)cli_fail(&err, r);
		return EXIT_TARGET;
	}
	r = prepare(&x, &err);
	if (r == 0) {
		run_report_begin(&x.machine, &x.target, x.path, x.nr_paths, x.where);
		r = extract_verdict(&x, extract_run(&x, &err), &err);
	} else {
		r = cli_fail(&err, r);
	}
	r = run_report_end(&x.machine, &x.sum, r, &err);
	extract_paths_free(&x);
	target_free(&x.target);
	return r;
}

static const struct opt opts[] = {
	{ OPT("path", OPT_LIST, "PATH", "what to extract, in place of the argument PATH") },
	{ OPT("paths-from", OPT_TEXT, "FILE", "the same, one a line; - is standard input") },
	{ OPT("null", OPT_BOOL, NULL, "--paths-from is separated by NUL bytes"), .brief = '0' },
	{ OPT("format", OPT_TEXT, "plain|tar|zip|pxar", "of standard output (default: plain for a file, else tar)") },
	{ OPT("zstd", OPT_BOOL, NULL, "compress standard output") },
	{ OPT("overwrite", OPT_TEXT, "never|always|if-newer", "what to do with files that exist (default: never)") },
	{ OPT("devices", OPT_BOOL, NULL, "create device nodes") },
	{ OPT("skip-special", OPT_BOOL, NULL, "sockets, and in a zip devices and FIFOs, are no loss") },
	{ OPT("keep-partial", OPT_BOOL, NULL, "keep files that could not be read whole as NAME.partial") },
	{ OPT("report", OPT_TEXT, "FILE", "write what was done, and what was not, as JSON") },
	{ OPT("quiet", OPT_BOOL, NULL, "no progress, no totals") },
	OPT_END,
};

const struct command cmd_extract = {
	.name = "extract",
	.usage = "SNAPSHOT PATH [TARGET|-] | --disk FILE PATH [TARGET|-]",
	.help = "get files and directories out",
	.more = "TARGET: a directory, made if missing (default: the current one); - is standard output.",
	.opts = { target_opts, opts, target_base64_opts, target_vm_opts },
	.max_pos = 3,
	.run = run_extract,
};
