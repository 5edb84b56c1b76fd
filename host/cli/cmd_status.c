/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "host/cli/target.h"

/* The name of the session that options and arguments mean; NULL in *ret for all. */
static int session_of(const struct args *a, size_t *pos, char **ret, struct err *err)
{
	struct target t = { 0 };
	int r;

	*ret = NULL;
	if (!args_has(a, "disk") && *pos >= a->nr_pos)
		return 0;
	r = target_parse(a, pos, &t, err);
	if (r == 0) {
		*ret = session_name(&t.spec);
		r = *ret ? 0 : err_set(err, -ENOMEM, "session");
	}
	target_free(&t);
	return r;
}

static int print_status(json_t *all, const char *only, enum cli_format format)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	CLEANUP_FREE char *text = NULL;
	const char *name;
	json_t *o;
	void *next;

	json_object_foreach_safe(all, next, name, o) {
		if (only && strcmp(only, name) != 0)
			(void)json_object_del(all, name);
	}
	if (format != CLI_TEXT) {
		text = json_dumps(all, JSON_SORT_KEYS | (format == CLI_JSON_PRETTY ? JSON_INDENT(2) : JSON_COMPACT));
		if (!text)
			return -ENOMEM;
		cli_json(&out, text);
		return cli_out_buf(&out);
	}
	if (!json_object_size(all))
		buf_str(&out, "no sessions\n");
	json_object_foreach(all, name, o) {
		CLEANUP_FREE char *line = json_dumps(o, JSON_SORT_KEYS | JSON_COMPACT);

		cli_escape(&out, name, strlen(name));
		buf_fmt(&out, " (%s)\n", line ? line : "");
	}
	return cli_out_buf(&out);
}

static int run_status(const struct args *a)
{
	CLEANUP_FREE char *only = NULL;
	struct err err = ERR_INIT;
	enum cli_format format;
	json_t *all = NULL;
	size_t pos = 0;
	int r;

	r = cli_format(a, &format, &err);
	if (r == 0)
		r = session_of(a, &pos, &only, &err);
	if (r == 0)
		r = target_sessions(&all, &err);
	if (r < 0)
		return cli_fail(&err, r);
	r = print_status(all, only, format);
	json_decref(all);
	return r < 0 ? EXIT_PARTIAL : EXIT_OK;
}

static int stop_all(struct err *err)
{
	const char *name;
	json_t *all, *o;
	int r = target_sessions(&all, err);

	if (r < 0)
		return r;
	json_object_foreach(all, name, o) {
		int one = session_stop(name, err);

		if (one < 0 && one != -ENOENT)
			r = one;
	}
	json_decref(all);
	return r;
}

static int stop_one(const struct args *a, struct err *err)
{
	CLEANUP_FREE char *name = NULL;
	size_t pos = 0;
	int r;

	if (!args_has(a, "disk") && a->nr_pos == 1 && !target_is_snapshot(a->pos[0]))
		return session_stop(a->pos[0], err);
	r = session_of(a, &pos, &name, err);
	if (r == 0 && (!name || pos != a->nr_pos))
		r = err_text(err, -EINVAL, "give one of NAME, SNAPSHOT, --disk FILE or --all");
	return r < 0 ? r : session_stop(name, err);
}

static int run_stop(const struct args *a)
{
	struct err err = ERR_INIT;
	int r;

	if (args_flag(a, "all") && (a->nr_pos || args_has(a, "disk")))
		return cli_usage(a->cmd, "--all goes with nothing else");
	r = args_flag(a, "all") ? stop_all(&err) : stop_one(a, &err);
	return r < 0 ? cli_fail(&err, r) : EXIT_OK;
}

static const struct opt stop_opts[] = {
	{ OPT("all", OPT_BOOL, NULL, "every session of this user") },
	OPT_END,
};

const struct command cmd_status = {
	.name = "status",
	.usage = "[SNAPSHOT]",
	.help = "running restore sessions",
	.opts = { target_opts, cli_format_opts },
	.max_pos = 1,
	.run = run_status,
};

const struct command cmd_stop = {
	.name = "stop",
	.usage = "NAME | SNAPSHOT | --disk FILE | --all",
	.help = "end restore sessions",
	.opts = { target_opts, stop_opts },
	.max_pos = 1,
	.run = run_stop,
};
