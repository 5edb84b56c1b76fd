/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The options that change what is extracted and how, and with what they do not go together. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "host/cli/extract.h"

static bool is_word(const struct args *a, const char *name, const char *word)
{
	const char *s = args_text(a, name);

	return s && !strcasecmp(s, word);
}

int extract_pattern(struct extract *x, const char *pattern, size_t len, bool exclude, struct err *err)
{
	if (!x->filter)
		x->opt.filter = x->filter = filter_new();
	return x->filter ? filter_add(x->filter, exclude, pattern, len, err) : err_set(err, -ENOMEM, "patterns");
}

static int add_patterns(struct extract *x, const char *option, bool exclude, struct err *err)
{
	const char *p;
	int r = 0;

	for (size_t i = 0; r == 0 && (p = args_list(x->args, option, i)); i++)
		r = extract_pattern(x, p, strlen(p), exclude, err);
	return r < 0 ? err_ctx(err, r, "--%s", option) : 0;
}

/* All of it is a decimal number that an id may have. */
static bool parse_id(const char *s, uint32_t *ret)
{
	char *end;
	unsigned long v;

	if (!*s || strspn(s, "0123456789") != strlen(s))
		return false;
	errno = 0;
	v = strtoul(s, &end, 10);
	*ret = (uint32_t)v;
	return !errno && v < UINT32_MAX;
}

static int no_such(const char *what, const char *name, struct err *err)
{
	char q[128];

	return err_text(err, -EINVAL, "--owner: there is no %s '%s'", what, log_quote(name, strlen(name), q, sizeof(q)));
}

/* USER, USER:GROUP, USER: (and the group of that user), :GROUP; numbers or names, as chown(1). */
static int parse_owner(struct extract *x, const char *text, struct err *err)
{
	const char *colon = strchr(text, ':'), *group = colon ? colon + 1 : "";
	CLEANUP_FREE char *user = strndup(text, colon ? (size_t)(colon - text) : strlen(text));
	struct restore_options *o = &x->opt;
	const struct passwd *pw = NULL;
	const struct group *gr;

	if (!user)
		return err_set(err, -ENOMEM, "--owner");
	o->set_uid = *user;
	o->set_gid = colon;
	if (*user && !parse_id(user, &o->uid)) {
		pw = getpwnam(user);
		if (!pw)
			return no_such("user", user, err);
		o->uid = pw->pw_uid;
	}
	if (*group && !parse_id(group, &o->gid)) {
		gr = getgrnam(group);
		if (!gr)
			return no_such("group", group, err);
		o->gid = gr->gr_gid;
	}
	if (*group || !colon)
		return *text ? 0 : err_text(err, -EINVAL, "--owner names nobody");
	if (!*user)
		return err_text(err, -EINVAL, "--owner names nobody");
	pw = pw ? pw : getpwuid(o->uid);
	if (!pw)
		return no_such("user", user, err);
	o->gid = pw->pw_gid;
	return 0;
}

static int parse_owners(struct extract *x, struct err *err)
{
	const char *owner = args_text(x->args, "owner");

	if (!args_flag(x->args, "no-same-owner"))
		return owner ? parse_owner(x, owner, err) : 0;
	if (owner)
		return err_text(err, -EINVAL, "--owner and --no-same-owner exclude each other");
	x->opt.set_uid = x->opt.set_gid = true;
	x->opt.uid = geteuid();
	x->opt.gid = getegid();
	return 0;
}

int extract_options(struct extract *x, struct err *err)
{
	const struct args *a = x->args;
	struct restore_options *o = &x->opt;
	int r;

	o->devices = args_flag(a, "devices");
	o->keep_partial = args_flag(a, "keep-partial");
	o->skip_special = args_flag(a, "skip-special");
	o->skip_root = true;
	o->hash = is_word(a, "hash", "sha256");
	x->dry_run = args_flag(a, "dry-run");
	x->quiet = args_flag(a, "quiet");
	x->zstd = args_flag(a, "zstd");
	if (is_word(a, "overwrite", "always"))
		o->overwrite = RESTORE_OVERWRITE_ALWAYS;
	else if (is_word(a, "overwrite", "if-newer"))
		o->overwrite = RESTORE_OVERWRITE_IF_NEWER;
	if (is_word(a, "xattrs", "user"))
		o->xattrs = RESTORE_XATTRS_USER;
	else if (is_word(a, "xattrs", "none"))
		o->xattrs = RESTORE_XATTRS_NONE;
	if (o->hash && !args_has(a, "report"))
		return err_text(err, -EINVAL, "--hash is for the report: give --report FILE");
	if (o->hash && x->dry_run)
		return err_text(err, -EINVAL, "--dry-run reads no contents: not together with --hash");
	r = parse_owners(x, err);
	if (r == 0)
		r = add_patterns(x, "include", false, err);
	if (r == 0)
		r = add_patterns(x, "exclude", true, err);
	return r;
}

int extract_check_options(const struct extract *x, struct err *err)
{
	static const char *const shaping[] = { "owner", "xattrs", "dry-run" };
	const char *format = x->form == FORM_PXAR ? "a pxar" : "the contents of a file";

	if (x->form != FORM_DIR && args_flag(x->args, "no-same-owner"))
		return err_text(err, -EINVAL, "--no-same-owner is for a directory: an archive takes --owner");
	if (x->form != FORM_PLAIN && x->form != FORM_PXAR)
		return 0;
	if (x->filter)
		return err_text(err, -EINVAL, "patterns do not go with %s: use --format tar or zip, or a directory", format);
	for (size_t i = 0; i < sizeof(shaping) / sizeof(*shaping); i++)
		if (args_has(x->args, shaping[i]))
			return err_text(err, -EINVAL, "--%s does not go with %s: use --format tar or zip, or a directory",
					shaping[i], format);
	if (x->form == FORM_PXAR && x->opt.hash)
		return err_text(err, -EINVAL, "--hash does not go with a pxar: use --format tar or zip, or a directory");
	return 0;
}
