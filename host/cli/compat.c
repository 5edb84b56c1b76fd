/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/cli/compat.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/b64.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/utf8.h"

static const struct command *const table[] = { &compat_list, &compat_extract, &compat_status, &compat_stop, NULL };

const struct opt compat_opts[] = {
	{ OPT("driver", OPT_TEXT, "Qemu|qemu", "how disks are opened") },
	{ OPT("server", OPT_TEXT, "HOST", "not supported") },
	{ OPT("port", OPT_NUMBER, "PORT", "not supported"), .max = 65535 },
	{ OPT("datastore", OPT_TEXT, "NAME", "not supported") },
	{ OPT("auth-id", OPT_TEXT, "ID", "not supported") },
	OPT_END,
};

bool compat_is_called(const char *argv0)
{
	const char *slash = argv0 ? strrchr(argv0, '/') : NULL;

	return argv0 && !strcmp(slash ? slash + 1 : argv0, COMPAT_NAME);
}

int compat_fail(const struct err *e)
{
	cli_error("Error: %s", e->text);
	return COMPAT_FAILED;
}

static void usage(FILE *f)
{
	for (size_t i = 0; table[i]; i++)
		(void)fprintf(f, "%s %s %s [OPTIONS]\n", COMPAT_NAME, table[i]->name, table[i]->usage);
}

static int bad_usage(const struct command *cmd, const struct err *err, int code)
{
	(void)cmd;
	(void)code;
	return compat_fail(err);
}

int compat_main(int argc, char **argv)
{
	char q[128];

	cli_error_prefix("");
	if (argc > 1 && (!strcmp(argv[1], "help") || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		usage(stdout);
		return EXIT_OK;
	}
	for (size_t i = 0; argc > 1 && table[i]; i++)
		if (!strcmp(argv[1], table[i]->name))
			return command_run(table[i], argc - 2, argv + 2, bad_usage);
	if (argc > 1)
		cli_error("Error: no such command '%s'", log_quote(argv[1], strlen(argv[1]), q, sizeof(q)));
	usage(stderr);
	return COMPAT_FAILED;
}

/* The first field of the time that is too large. */
static int check_time(const char *snapshot, struct err *err)
{
	static const struct { size_t at; int max; } fields[] = { { 5, 12 }, { 8, 31 }, { 11, 23 }, { 14, 59 }, { 17, 60 } };
	const char *t = strrchr(snapshot, '/');

	if (!t || strlen(++t) != 20)
		return 0;
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		int v = (t[fields[i].at] - '0') * 10 + t[fields[i].at + 1] - '0';

		if (v > fields[i].max && v < 100)
			return err_text(err, -EINVAL, "failed to parse rfc3339 timestamp (\"%s\") - value too large (%d > %d)", t, v,
					fields[i].max);
	}
	return 0;
}

static bool ends(const char *p, size_t len, const char *suffix)
{
	size_t n = strlen(suffix);

	return len >= n && !memcmp(p + len - n, suffix, n);
}

/* Only names of archives that hold files. */
static bool is_supported(const char *p, size_t len)
{
	static const char *const suffix[] = { ".pxar.didx", ".mpxar.didx", ".ppxar.didx", ".img.fidx" };
	bool found = false;

	for (size_t i = 0; i < sizeof(suffix) / sizeof(*suffix); i++)
		found |= ends(p, len, suffix[i]);
	return found && utf8_valid(p, len);
}

static int parse_path(const struct args *a, const char *text, struct compat_path *ret, struct err *err)
{
	size_t len = strlen(text), lead = 0, first = 0;
	CLEANUP_BUF struct buf raw = BUF_INIT;
	char q[300];

	if (!args_flag(a, "base64"))
		buf_add(&raw, text, len);
	else if (b64_decode(&raw, text, len) < 0)
		return err_text(err, -EINVAL, "Failed base64-decoding path '%s' - error decoding base64 data",
				log_quote(text, len, q, sizeof(q)));
	while (lead < raw.len && raw.data[lead] == '/')
		lead++;
	buf_add(&ret->bytes, raw.data + lead, raw.len - lead);
	if (!buf_cstr(&ret->bytes))
		return err_set(err, -ENOMEM, "path");
	ret->root = lead && !ret->bytes.len;
	while (first < ret->bytes.len && ret->bytes.data[first] != '/')
		first++;
	if (ret->root || is_supported((const char *)ret->bytes.data, first))
		return 0;
	log_quote(ret->bytes.data, first, q, sizeof(q));
	return err_text(err, -EINVAL, "'%s' is not supported for file-restore", q);
}

void compat_path_free(struct compat_path *p)
{
	buf_free(&p->bytes);
}

int compat_parse(const struct args *a, struct target *ret, struct compat_path *ret_path, struct err *err)
{
	static const char *const remote[] = { "server", "port", "datastore", "auth-id" };
	size_t pos = 0;
	int r;

	*ret = (struct target){ .key_options.fd = -1 };
	*ret_path = (struct compat_path){ .bytes = BUF_INIT };
	for (size_t i = 0; i < sizeof(remote) / sizeof(*remote); i++)
		if (args_has(a, remote[i]))
			return err_text(err, -EINVAL, "--%s: only local datastores are supported", remote[i]);
	if (check_time(a->pos[0], err) < 0)
		return -EINVAL;
	r = target_parse(a, &pos, ret, err);
	return r < 0 ? r : parse_path(a, a->pos[1], ret_path, err);
}

/* From here on in the text of an error: what is in front of it is ours. */
static bool cut_to(struct err *err, const char *begin, const char *as)
{
	char text[sizeof(err->text)];
	const char *p = strstr(err->text, begin);

	if (!p)
		return false;
	(void)snprintf(text, sizeof(text), "%s%s", as, p + strlen(begin));
	memcpy(err->text, text, sizeof(text));
	return true;
}

static int no_manifest(const struct target *t, struct err *err)
{
	CLEANUP_BUF struct buf dir = BUF_INIT;
	const char *ns = t->spec.ns;

	buf_str(&dir, t->spec.repository);
	while (*ns) {
		size_t n = strcspn(ns, "/");

		buf_str(&dir, "/ns/");
		buf_add(&dir, ns, n);
		ns += n + (ns[n] == '/');
	}
	if (!buf_cstr(&dir))
		return err_set(err, -ENOMEM, "snapshot");
	return err_text(err, -ENOENT, "open file \"%s/%s/index.json.blob\" failed - not found", buf_cstr(&dir),
			t->spec.snapshot);
}

int compat_open(struct target *t, int *ret_code, struct err *err)
{
	int r = target_open(t, err);

	*ret_code = 0;
	if (r == -ENOENT && t->store && strstr(err->text, "is not finished")) {
		*ret_code = 404;
		return no_manifest(t, err);
	}
	if (r == -ENOENT && t->store) {
		*ret_code = 400;
		return err_text(err, r, "snapshot %s does not exist.", t->spec.snapshot);
	}
	if (r != -ENOKEY && r != -EKEYREJECTED)
		return r;
	if (!cut_to(err, "missing key - ", "missing key - ") &&
	    !cut_to(err, "wrong key - manifest's", "wrong key - unable to verify signature since manifest's"))
		*ret_code = -1;
	return r;
}
