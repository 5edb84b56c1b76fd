/* SPDX-License-Identifier: GPL-2.0-or-later */
/* "status" and "stop" under the other name. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "host/cli/compat.h"

#define GUEST_CID 3	/* of each VM: it reaches nobody but its own session */

/* "REPO:NS/SNAPSHOT" as "qemu_REPO:NS/SNAPSHOT"; without a namespace there is a slash in place of the colon. */
static char *name_of(const char *session)
{
	const char *p = session + strlen(session);
	char *ret = NULL;

	for (int slashes = 0; p > session && slashes < 3; p--)
		if (p[-1] == ':' && slashes == 2)
			break;
		else
			slashes += p[-1] == '/';
	if (asprintf(&ret, "qemu_%s", session) < 0)
		return NULL;
	if (p > session && p[-1] == ':' && strncmp(session, "disk:", 5) != 0)
		ret[5 + (p - session) - 1] = '/';
	return ret;
}

/* Only what callers know. */
static json_t *brief(const json_t *o)
{
	const json_t *error = json_object_get(o, "error");

	if (error)
		return json_pack("{s:O}", "error", error);
	return json_pack("{s:i,s:O?,s:O?,s:O?}", "cid", GUEST_CID, "pid", json_object_get(o, "pid"), "timeout",
			 json_object_get(o, "timeout"), "uptime", json_object_get(o, "uptime"));
}

static int collect(json_t *all, json_t *ids)
{
	const char *session;
	json_t *o;

	json_object_foreach(all, session, o) {
		CLEANUP_FREE char *name = name_of(session);

		if (!name || json_object_set_new(ids, name, brief(o)) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int print_text(json_t *ids)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	const char *name;
	json_t *o;

	buf_str(&out, json_object_size(ids) ? "Qemu:\n" : "Qemu: no mappings\n");
	json_object_foreach(ids, name, o) {
		CLEANUP_FREE char *line = json_dumps(o, JSON_SORT_KEYS | JSON_COMPACT);

		cli_escape(&out, name, strlen(name));
		buf_fmt(&out, " \t(%s)\n", line ? line : "");
	}
	return cli_out_buf(&out);
}

static int print_json(json_t *ids, bool pretty)
{
	json_t *all = json_object_size(ids) ? json_pack("{s:{s:O}}", "Qemu", "ids", ids) : json_pack("{s:{}}", "Qemu");
	CLEANUP_FREE char *text = json_dumps(all, JSON_SORT_KEYS | (pretty ? JSON_INDENT(2) : JSON_COMPACT));
	CLEANUP_BUF struct buf out = BUF_INIT;

	json_decref(all);
	if (!text)
		return -ENOMEM;
	cli_json(&out, text);
	return cli_out_buf(&out);
}

static int run_status(const struct args *a)
{
	json_t *all = NULL, *ids = json_object();
	struct err err = ERR_INIT;
	enum cli_format format;
	int r;

	r = cli_format(a, &format, &err);
	if (r == 0)
		r = target_sessions(&all, &err);
	if (r == 0 && collect(all, ids) < 0)
		r = err_set(&err, -ENOMEM, "status");
	if (r == 0)
		(void)(format == CLI_TEXT ? print_text(ids) : print_json(ids, format == CLI_JSON_PRETTY));
	json_decref(all);
	json_decref(ids);
	return r < 0 ? compat_fail(&err) : EXIT_OK;
}

/* Return: the session's own name, malloc'ed; NULL if none is called so. */
static char *session_called(json_t *all, const char *wanted)
{
	const char *session;
	json_t *o;

	json_object_foreach(all, session, o) {
		CLEANUP_FREE char *name = name_of(session);

		if (name && !strcmp(name, wanted))
			return strdup(session);
	}
	return NULL;
}

static int run_stop(const struct args *a)
{
	CLEANUP_FREE char *session = NULL;
	struct err err = ERR_INIT;
	json_t *all = NULL;
	char q[600];
	int r = target_sessions(&all, &err);

	if (r == 0)
		session = session_called(all, a->pos[0]);
	json_decref(all);
	if (r == 0)
		r = session ? session_stop(session, &err) : -ENOENT;
	if (r == -ENOENT)
		(void)err_text(&err, r, "no mapping with name '%s' found", log_quote(a->pos[0], strlen(a->pos[0]), q, sizeof(q)));
	return r < 0 ? compat_fail(&err) : EXIT_OK;
}

static const struct opt opts[] = {
	{ OPT("driver", OPT_TEXT, "Qemu|qemu", "which VMs") },
	OPT_END,
};

const struct command compat_status = {
	.name = "status",
	.usage = "",
	.help = "running VMs",
	.opts = { opts, cli_format_opts },
	.run = run_status,
};

const struct command compat_stop = {
	.name = "stop",
	.usage = "NAME",
	.help = "end a VM",
	.min_pos = 1,
	.max_pos = 1,
	.run = run_stop,
};
