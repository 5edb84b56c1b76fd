/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/cli/extract.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int stat_plain(struct extract *x, const struct target_path *p, json_t **ret, struct err *err)
{
	struct archive_file f;
	size_t len;
	const char *inner = target_inner(p, &len);
	int r = target_confine(x->target, err);

	if (r < 0)
		return r;
	r = archive_open_plain(&x->plain, &f, err);
	if (r == 0) {
		r = archive_stat_file(&f, inner, len, ret, err);
		archive_close(&f);
	}
	return r < 0 ? err_ctx(err, r, "archive '%s'", x->plain.meta) : 0;
}

/* A file goes to standard output as it is, anything else as tar. */
static int choose_form(struct extract *x, const struct target_path *p, struct err *err)
{
	json_t *o = NULL;
	const char *type;
	int r = x->plain.meta ? stat_plain(x, p, &o, err) : target_stat(x->target, p, &o, err);

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

	if (!to_stdout && (format || x->zstd))
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

static int get_ready(struct extract *x, extract_prepare_fn *prepare, struct err *err)
{
	size_t pos = 0;
	int r = prepare(x, &pos, err);

	if (r < 0)
		return r;
	if (pos < x->args->nr_pos)
		return err_text(err, -EINVAL, "too many arguments");
	r = find_form(x, err);
	return r < 0 ? r : extract_check_options(x, err);
}

static void finish(struct extract *x)
{
	extract_paths_free(x);
	filter_free(x->filter);
	free(x->plain_memory);
	target_free(x->target);
}

int extract_command(const struct args *a, extract_prepare_fn *prepare)
{
	const char *progress = args_text(a, "progress");
	struct target target = { .key_options.fd = -1 };
	struct extract x = { .args = a, .target = &target };
	struct err err = ERR_INIT;
	int r;

	if (progress && !strcasecmp(progress, "json"))
		cli_json_lines();
	cli_progress_init(args_flag(a, "quiet") || (progress && !strcasecmp(progress, "none")));
	(void)clock_gettime(CLOCK_MONOTONIC, &x.start);
	r = extract_options(&x, &err);
	if (r < 0) {
		r = cli_fail(&err, r);
		finish(&x);
		return r;
	}
	r = run_report_open(&x.machine, args_text(a, "report"), &err);
	if (r < 0) {
		(void)cli_fail(&err, r);
		finish(&x);
		return EXIT_TARGET;
	}
	r = get_ready(&x, prepare, &err);
	if (r == 0) {
		run_report_begin(&x.machine, x.target, x.plain.meta, x.path, x.nr_paths, x.where, x.opt.hash, x.dry_run);
		r = extract_verdict(&x, extract_run(&x, &err), &err);
	} else {
		r = cli_fail(&err, r);
		if (r == EXIT_DAMAGED && x.has_image)
			(void)target_report_damage(x.target, &x.machine.unreadable);
	}
	r = run_report_end(&x.machine, &x.sum, r, &err);
	if (cli_has_json_lines())
		extract_result(&x, r);
	finish(&x);
	return r;
}

const struct opt extract_opts[] = {
	{ OPT("path", OPT_LIST, "PATH", "what to extract, in place of the argument PATH") },
	{ OPT("paths-from", OPT_TEXT, "FILE", "the same, one a line; - is standard input") },
	{ OPT("null", OPT_BOOL, NULL, "--paths-from is separated by NUL bytes"), .brief = '0' },
	{ OPT("format", OPT_TEXT, "plain|tar|zip|pxar", "of standard output (default: plain for a file, else tar)") },
	{ OPT("zstd", OPT_BOOL, NULL, "compress standard output") },
	{ OPT("include", OPT_LIST, "GLOB", "only what matches, and what lies beneath it") },
	{ OPT("exclude", OPT_LIST, "GLOB", "not what matches, nor what lies beneath it") },
	{ OPT("owner", OPT_TEXT, "USER[:GROUP]", "whom everything is to belong to (numbers or names)") },
	{ OPT("no-same-owner", OPT_BOOL, NULL, "everything is to belong to who extracts it") },
	{ OPT("xattrs", OPT_TEXT, "all|user|none", "all: with ACLs and capabilities, the default; user: user.* alone") },
	{ OPT("dry-run", OPT_BOOL, NULL, "say what would be made, replaced and left out; write nothing") },
	{ OPT("overwrite", OPT_TEXT, "never|always|if-newer", "what to do with files that exist (default: never)") },
	{ OPT("devices", OPT_BOOL, NULL, "create device nodes") },
	{ OPT("skip-special", OPT_BOOL, NULL, "what a tar or zip cannot hold is no loss") },
	{ OPT("keep-partial", OPT_BOOL, NULL, "keep files that could not be read whole as NAME.partial") },
	{ OPT("report", OPT_TEXT, "FILE", "write what was done, and what was not, as JSON") },
	{ OPT("hash", OPT_TEXT, "sha256|none", "of each file, into the report (default: none)") },
	{ OPT("progress", OPT_TEXT, "auto|json|none", "json: standard error is one object a line (default: on a terminal)") },
	{ OPT("quiet", OPT_BOOL, NULL, "no progress, no totals") },
	OPT_END,
};
