/* SPDX-License-Identifier: GPL-2.0-or-later */
/* "extract" under the other name: which form is meant, and what is no form of it; the work is that of pluck extract. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/b64.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "host/cli/compat.h"

#define ARGV_MAX 32

struct job {
	const struct args *args;
	struct target target;
	struct target_path path;
	const char *where;
	const char *format;		/* NULL: a directory is the target */
};

static int kind_of(const struct job *j, char *ret, struct err *err)
{
	json_t *o = NULL;
	const char *type;
	int r = target_stat(&j->target, &j->path, &o, err);

	if (r < 0)
		return r;
	type = json_string_value(json_object_get(o, "type"));
	*ret = type ? *type : '?';
	json_decref(o);
	return 0;
}

static int refuse(const struct job *j, const char *why, struct err *err)
{
	return err_text(err, -EINVAL, "%s%s", j->path.archive ? "error extracting archive - " : "", why);
}

/* What goes to standard output. */
static int choose(struct job *j, struct err *err)
{
	const char *format = args_text(j->args, "format");
	char kind, q[300];
	int r = kind_of(j, &kind, err);

	if (r == -ENOENT && !j->path.archive)
		return err_text(err, r, "file or directory '%s' does not exist",
				log_quote(j->path.bytes.data, j->path.bytes.len, q, sizeof(q)));
	if (r < 0)
		return r;
	if (kind == 'v')
		return err_text(err, -EINVAL, "invalid path, cannot restore meta-directory: %s",
				log_quote(j->path.bytes.data, j->path.bytes.len, q, sizeof(q)));
	if (kind == 'f' || kind == 'h') {
		j->format = format ? format : "plain";
		if (j->path.archive && strcasecmp(j->format, "plain") != 0)
			return refuse(j, "cannot extract single files as archive", err);
		return 0;
	}
	j->format = format ? format : "zip";
	if (!strcasecmp(j->format, "plain"))
		return refuse(j, j->path.archive ? "plain file not supported for non-regular files" :
			      "cannot stream dir with format 'plain'", err);
	if (j->path.archive && !strcasecmp(j->format, "pxar"))
		return refuse(j, "pxar target not supported for pxar source", err);
	return 0;
}

struct words {
	char *v[ARGV_MAX];
	int nr;
	struct buf path;
};

static void add(struct words *w, const char *word)
{
	if (w->nr < ARGV_MAX)
		w->v[w->nr++] = (char *)(uintptr_t)word;
}

static void add_option(struct words *w, const struct args *a, const char *name, const char *option)
{
	const char *value = args_text(a, name);

	if (!value)
		return;
	add(w, option);
	add(w, value);
}

/* The same as a command line of pluck. */
static void translate(const struct job *j, struct words *w)
{
	const struct args *a = j->args;

	add_option(w, a, "repository", "--repository");
	add_option(w, a, "ns", "--ns");
	add_option(w, a, "keyfile", "--keyfile");
	add_option(w, a, "keyfd", "--keyfd");
	add_option(w, a, "crypt-mode", "--crypt-mode");
	add_option(w, a, "memory", "--memory");
	add_option(w, a, "idle-timeout", "--idle-timeout");
	if (args_flag(a, "require-signature"))
		add(w, "--require-signature=1");
	add(w, "--quiet=1");
	if (j->format) {
		add(w, "--format");
		add(w, j->format);
		add(w, "--skip-special=1");
		if (args_flag(a, "zstd"))
			add(w, "--zstd=1");
	} else {
		add(w, "--devices=1");
	}
	add(w, "--base64=1");
	b64_encode(&w->path, j->path.bytes.data, j->path.bytes.len);
	add(w, "--");
	add(w, a->pos[0]);
	add(w, buf_cstr(&w->path));
	add(w, j->where);
}

/* What was left out, or broke off on its way, is 1 here; callers of the other program take it for a failure too. */
static int status_of(int status)
{
	switch (status) {
	case EXIT_OK:
	case EXIT_PARTIAL:
	case EXIT_SIGINT:
	case EXIT_SIGTERM:
		return status;
	case EXIT_DAMAGED:
		return 1;
	default:
		return COMPAT_FAILED;
	}
}

static int work(const struct job *j)
{
	struct words w = { .path = BUF_INIT };
	struct err err = ERR_INIT;
	struct args a;
	int r;

	translate(j, &w);
	r = buf_ok(&w.path) < 0 ? err_set(&err, buf_ok(&w.path), "path") : args_parse(&cmd_extract, w.nr, w.v, &a, &err);
	if (r < 0) {
		r = compat_fail(&err);
	} else {
		cli_error_prefix("Error: ");
		r = status_of(cmd_extract.run(&a));
		args_free(&a);
	}
	buf_free(&w.path);
	return r;
}

static int prepare(struct job *j, struct err *err)
{
	CLEANUP(compat_path_free) struct compat_path path = { .bytes = BUF_INIT };
	char q[300];
	int code, r;

	j->where = j->args->nr_pos > 2 ? j->args->pos[2] : ".";
	r = compat_parse(j->args, &j->target, &path, err);
	if (r < 0)
		return r;
	if (path.root)
		return err_text(err, -EINVAL, "cannot extract '%s'",
				log_quote(j->args->pos[1], strlen(j->args->pos[1]), q, sizeof(q)));
	r = compat_open(&j->target, &code, err);
	if (r == 0)
		r = target_path(&j->target, (const char *)path.bytes.data, path.bytes.len, false, &j->path, err);
	return r < 0 || strcmp(j->where, "-") != 0 ? r : choose(j, err);
}

static int run_extract(const struct args *a)
{
	struct job j = { .args = a, .target.key_options.fd = -1 };
	struct err err = ERR_INIT;
	int r;

	cli_progress_init(true);
	r = prepare(&j, &err);
	r = r < 0 ? compat_fail(&err) : work(&j);
	target_path_free(&j.path);
	target_free(&j.target);
	return r;
}

static const struct opt opts[] = {
	{ OPT("format", OPT_TEXT, "plain|pxar|zip|tar", "of standard output (default: plain for a file, else zip)") },
	{ OPT("zstd", OPT_BOOL, NULL, "compress standard output") },
	{ OPT("verbose", OPT_BOOL, NULL, "accepted, without effect") },
	OPT_END,
};

const struct command compat_extract = {
	.name = "extract",
	.usage = "SNAPSHOT PATH [TARGET|-]",
	.help = "get files and directories out",
	.opts = { target_opts, target_vm_opts, target_base64_opts, compat_opts, opts },
	.min_pos = 2,
	.max_pos = 3,
	.run = run_extract,
};
