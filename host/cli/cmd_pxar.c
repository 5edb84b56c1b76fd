/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pxar: archives that are plain files. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/jsonw.h"
#include "host/cli/entry_out.h"
#include "host/cli/extract.h"
#include "host/confine/confine.h"

#define META_SUFFIX ".mpxar"

/* The positional arguments. */
enum { ACTION, ARCHIVE, TARGET, PATTERNS };

struct pxar {
	struct cli_notes notes;
	uint64_t damaged, errors;
	enum cli_format format;
	struct buf out;
};

/* Of "x.mpxar" the payload stream is "x.ppxar" if nothing else is said. @ret_beside: memory behind it. */
static int find_archive(const struct args *a, struct archive_name *ret, char **ret_beside, struct err *err)
{
	const char *meta = a->pos[ARCHIVE];
	const size_t len = strlen(meta), suffix = strlen(META_SUFFIX);

	*ret_beside = NULL;
	*ret = (struct archive_name){ meta, args_text(a, "payload-input") };
	if (ret->payload || len <= suffix || strcmp(meta + len - suffix, META_SUFFIX) != 0)
		return 0;
	*ret_beside = strdup(meta);
	if (!*ret_beside)
		return err_set(err, -ENOMEM, "archive");
	(*ret_beside)[len - suffix + 1] = 'p';
	if (access(*ret_beside, F_OK) == 0)
		ret->payload = *ret_beside;
	return 0;
}

/* Text: a path a line. */
static int on_entry(void *arg, const struct client_entry *e)
{
	struct pxar *p = arg;

	if (e->error_name) {
		p->errors++;
		p->damaged += entry_is_damaged(e);
		cli_note(&p->notes, e->path, e->path_len, "%s", e->error_text);
	}
	if (p->format == CLI_TEXT) {
		cli_escape(&p->out, e->path, e->path_len);
	} else {
		struct jsonw w = JSONW(&p->out);

		entry_write_json(&w, e, "", 0);
	}
	buf_u8(&p->out, '\n');
	return cli_out_buf(&p->out);
}

static int list_entries(struct pxar *p, const struct args *a, struct err *err)
{
	const char *inner = a->nr_pos > TARGET ? a->pos[TARGET] : "";
	CLEANUP_FREE char *beside = NULL;
	struct archive_name name;
	struct archive_file f;
	int r = cli_format(a, &p->format, err);

	if (r == 0)
		r = confine_command(-1, err);
	if (r == 0)
		r = find_archive(a, &name, &beside, err);
	if (r == 0)
		r = archive_open_plain(&name, &f, err);
	if (r < 0)
		return r;
	r = archive_list_file(&f, inner, strlen(inner), true, on_entry, p, err);
	archive_close(&f);
	return r;
}

static int list(const struct args *a)
{
	struct pxar p = { 0 };
	struct err err = ERR_INIT;
	int r, cut;

	if (a->nr_pos > PATTERNS)
		return cli_usage(a->cmd, "too many arguments");
	r = list_entries(&p, a, &err);
	cut = cli_cut_short(NULL, r);
	buf_free(&p.out);
	if (cut >= 0)
		return cut;
	cli_notes_end(&p.notes);
	if (r < 0)
		return cli_fail(&err, r);
	return p.damaged ? EXIT_DAMAGED : p.errors ? EXIT_PARTIAL : EXIT_OK;
}

/* As pxar has it, a pattern that does not begin with a slash is for any depth, also if it has one further behind. */
static int add_pattern(struct extract *x, const char *pattern, struct err *err)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	const char *slash = strchr(pattern, '/');
	int r;

	if (slash && slash != pattern && slash[1])
		buf_str(&b, "**/");
	buf_str(&b, pattern);
	r = buf_cstr(&b) ? extract_pattern(x, buf_cstr(&b), b.len, false, err) : err_set(err, -ENOMEM, "pattern");
	return r < 0 ? err_ctx(err, r, "pattern '%s'", pattern) : 0;
}

static int prepare(struct extract *x, size_t *pos, struct err *err)
{
	const struct args *a = x->args;
	const char *p;
	int r = find_archive(a, &x->plain, &x->plain_memory, err);

	if (r == 0 && access(x->plain.meta, R_OK) < 0)
		r = err_set(err, -errno, "open '%s'", x->plain.meta);
	if (r == 0 && x->plain.payload && access(x->plain.payload, R_OK) < 0)
		r = err_set(err, -errno, "open '%s'", x->plain.payload);
	if (r == 0)
		r = extract_find_paths(x, pos, err);
	for (size_t i = 0; r == 0 && (p = args_list(a, "pattern", i)); i++)
		r = add_pattern(x, p, err);
	for (size_t i = PATTERNS; r == 0 && i < a->nr_pos; i++)
		r = add_pattern(x, a->pos[i], err);
	x->where = a->nr_pos > TARGET ? a->pos[TARGET] : ".";
	*pos = a->nr_pos;
	return r;
}

static int run_pxar(const struct args *a)
{
	const bool is_list = !strcmp(a->pos[ACTION], "list");

	if (!is_list && strcmp(a->pos[ACTION], "extract") != 0)
		return cli_usage(a->cmd, "first argument is list or extract");
	for (size_t i = 0; i < a->nr_values; i++) {
		const char *name = a->value[i].opt->name;

		if (strcmp(name, "payload-input") != 0 && !strcmp(name, "output-format") != is_list)
			return cli_usage(a->cmd, "--%s does not go with %s", name, a->pos[ACTION]);
	}
	return is_list ? list(a) : extract_command(a, prepare);
}

static const struct opt opts[] = {
	{ OPT("payload-input", OPT_TEXT, "FILE", "the payload stream (default: FILE.ppxar beside FILE.mpxar)") },
	{ OPT("pattern", OPT_LIST, "GLOB", "extract only what matches, as further arguments do") },
	OPT_END,
};

const struct command cmd_pxar = {
	.name = "pxar",
	.usage = "list FILE [PATH] | extract FILE [TARGET|- [PATTERN...]]",
	.help = "list and extract archives that are plain files",
	.more = "TARGET: a directory, made if missing (default: the current one); - is standard output. list takes only\n"
		"--payload-input and --output-format; its JSON comes as one object a line.",
	.opts = { opts, extract_opts, target_base64_opts, cli_format_jsonl_opts },
	.min_pos = 2,
	.max_pos = SIZE_MAX,
	.run = run_pxar,
};
