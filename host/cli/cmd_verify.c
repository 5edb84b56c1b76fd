/* SPDX-License-Identifier: GPL-2.0-or-later */
/* verify: read everything, and say what is lost with what cannot be read. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/grow.h"
#include "host/archive/damage.h"
#include "host/cli/archive.h"
#include "host/cli/size.h"
#include "host/cli/stored.h"
#include "host/cli/target.h"
#include "host/cli/verify.h"
#include "host/source/store/names.h"

#define THREADS_MAX 8

struct verify {
	const struct args *args;
	struct store *store;
	struct check *check;
	struct verify_out out;
	struct key_options key_options;
	struct crypt_key key;
	bool has_key, key_tried;
	bool one;			/* a snapshot was named: it must be there, and its key too */
	struct snapshot_name want;
	struct snapshot *sn;		/* being checked */
	const char *name;
	struct err *err;		/* of what ends it */
	char **names;			/* of the namespace being checked */
	size_t nr_names, room;
};

static int add_name(void *arg, const struct store_snapshot_info *i)
{
	struct verify *v = arg;
	struct snapshot_name n = { .time = i->time };
	char text[NAMES_SNAPSHOT_TEXT];

	if (grow(&v->names, &v->room, v->nr_names, sizeof(*v->names)) < 0)
		return -ENOMEM;
	(void)snprintf(n.type, sizeof(n.type), "%s", i->type);
	(void)snprintf(n.id, sizeof(n.id), "%s", i->id);
	v->names[v->nr_names] = strdup(names_format_snapshot(&n, text));
	return v->names[v->nr_names] ? (v->nr_names++, 0) : -ENOMEM;
}

static void forget_names(struct verify *v)
{
	while (v->nr_names)
		free(v->names[--v->nr_names]);
}

static int on_progress(void *arg, const struct check_stats *s)
{
	const struct verify *v = arg;
	CLEANUP_BUF struct buf b = BUF_INIT;

	cli_size(&b, s->bytes);
	cli_progress("%s: %llu chunks, %s, %llu bad", v->name, (unsigned long long)s->chunks, buf_cstr(&b) ? buf_cstr(&b) : "",
		     (unsigned long long)s->bad);
	return 0;
}

static int on_path(void *arg, const char *path, size_t len, const char *why)
{
	return verify_out_path(arg, path, len, why);
}

/*
 * The members of a file archive that are hit. A metadata stream has no data: all that matters there is what cannot be
 * walked; a payload stream is walked by its metadata.
 */
static int walk(struct verify *v, const struct check_file *f, struct err *err)
{
	CLEANUP_FREE struct damage_range *bad = calloc(f->nr_ranges + 1, sizeof(*bad));
	const char *stored = archive_resolve(v->sn, f->name, strlen(f->name));
	const bool has_data = !stored_has_suffix(f->name, ".mpxar.didx");
	struct err why = ERR_INIT;
	struct archive_file a;
	int r;

	if (!bad)
		return err_set(err, -ENOMEM, "verify");
	if (!stored)
		return 0;
	for (size_t i = 0; i < f->nr_ranges; i++)
		bad[i] = (struct damage_range){ f->range[i].off, f->range[i].len };
	r = archive_open(v->sn, stored, &a, &why);
	if (r == -ENOMEM)
		return err_text(err, r, "%s", why.text);
	if (r < 0)
		return verify_out_path(&v->out, "", 0, why.text);
	r = damage_walk(a.a, bad, has_data ? f->nr_ranges : 0, on_path, &v->out, err);
	archive_close(&a);
	return r;
}

static int on_file(void *arg, const struct check_file *f)
{
	struct verify *v = arg;
	int r = verify_out_file(&v->out, f);

	if (r == 0 && f->nr_ranges && !f->sealed && strstr(f->name, "pxar.didx"))
		r = walk(v, f, v->err);
	verify_out_file_end(&v->out);
	return r;
}

/* Return: 1 there is a key now; 0; negative errno. */
static int find_key(struct verify *v, struct err *err)
{
	int r;

	if (v->key_tried)
		return 0;
	v->key_tried = true;
	r = key_options_load(&v->key_options, &v->key, err);
	v->has_key = r > 0;
	return r;
}

static int open_with(struct verify *v, const char *ns, const char *name, struct err *err)
{
	return snapshot_open_key(v->store, ns, name, v->has_key ? &v->key : NULL, &v->sn, err);
}

/* With its key if there is one. */
static int open_snapshot(struct verify *v, const char *ns, const char *name, struct err *err)
{
	int r = open_with(v, ns, name, err);

	if ((r == 0 && !v->has_key && snapshot_seal(v->sn) != SNAPSHOT_OPEN) || (r == -ENOKEY && !v->has_key)) {
		struct err none = ERR_INIT;
		const int k = find_key(v, &none);

		if (k < 0) {
			*err = none;
			return k;
		}
		if (k > 0) {
			snapshot_close(TAKE_PTR(v->sn));
			r = open_with(v, ns, name, err);
		}
	}
	/* One that was named must have its key, unless there is to be none. */
	if ((r == -ENOKEY || r == -EKEYREJECTED) && (!v->one || v->key_options.want == KEY_NONE))
		r = snapshot_open_sealed(v->store, ns, name, &v->sn, err);
	return r;
}

static const char *signature_of(const struct verify *v)
{
	if (snapshot_verified(v->sn))
		return "valid";
	return snapshot_seal(v->sn) == SNAPSHOT_OPEN ? "none" : "unchecked";
}

/* Return: VERIFY_OK, _SEALED or _REFUSED, with what to say of it. */
static enum verify_state judge(struct verify *v, const char **ret_why)
{
	const bool verified = snapshot_verified(v->sn);

	if (!verified && args_flag(v->args, "require-signature")) {
		*ret_why = "the manifest is not signed, or there is no key to check it with";
		return VERIFY_REFUSED;
	}
	if (!verified && v->has_key && snapshot_seal(v->sn) == SNAPSHOT_OPEN)
		cli_error("WARNING: snapshot %s is NOT SIGNED, although a key is given", v->name);
	return verified || snapshot_seal(v->sn) == SNAPSHOT_OPEN ? VERIFY_OK : VERIFY_SEALED;
}

/* A snapshot that cannot be opened. */
static int tell_closed(struct verify *v, const char *ns, const char *name, int code, struct err *err)
{
	const bool damaged = code == -EBADMSG || code == -EIO || code == -ENODATA || code == -EFBIG;

	if (v->one && !damaged)
		return code;
	if (code == -ENOMEM || (!damaged && code != -ENOENT && code != -EBUSY))
		return code;
	verify_out_snapshot(&v->out, ns, name, "unchecked");
	return verify_out_snapshot_end(&v->out, ns, name, damaged ? VERIFY_DAMAGED : VERIFY_SKIPPED, err->text);
}

static int verify_one(struct verify *v, const char *ns, const char *name, struct err *err)
{
	const struct check_sink sink = { on_progress, on_file, v };
	const char *why = NULL;
	enum verify_state state;
	int r;

	v->name = name;
	v->err = err;
	r = open_snapshot(v, ns, name, err);
	if (r < 0)
		return tell_closed(v, ns, name, r, err);
	state = judge(v, &why);
	verify_out_snapshot(&v->out, ns, name, signature_of(v));
	r = check_snapshot(v->check, v->sn, &sink, err);
	snapshot_close(TAKE_PTR(v->sn));
	if (r == 0)
		r = verify_out_snapshot_end(&v->out, ns, name, state, why);
	return r < 0 && r != -EPIPE && !err->code ? err_set(err, r, "verify") : r;
}

static int verify_ns(void *arg, const char *ns)
{
	struct verify *v = arg;
	struct err err = ERR_INIT;
	int r;

	if (v->want.type[0])
		r = store_list_group(v->store, ns, v->want.type, v->want.id, add_name, v, &err);
	else
		r = store_list(v->store, ns, add_name, v, &err);
	for (size_t i = 0; r == 0 && i < v->nr_names; i++)
		r = verify_one(v, ns, v->names[i], &err);
	forget_names(v);
	if (r < 0 && r != -EPIPE)
		cli_error("%s", err.text[0] ? err.text : strerror(-r));
	return r;
}

static int prepare(struct verify *v, const char **ret_ns, struct err *err)
{
	const struct args *a = v->args;
	const char *arg = a->nr_pos ? a->pos[0] : NULL, *repository;
	const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	int r = cli_format(a, &v->out.format, err);

	v->one = arg && target_is_snapshot(arg);
	if (r == 0 && arg && !v->one && names_parse_group(arg, &v->want) < 0)
		return err_text(err, -EINVAL, "not a snapshot, TYPE/ID/TIME, nor a group, TYPE/ID");
	if (r == 0)
		r = key_options_parse(a, &v->key_options, err);
	if (r == 0)
		r = target_store(a, &repository, ret_ns, err);
	if (r == 0)
		r = store_open(repository, &v->store, err);
	if (r == 0 && v->key_options.want == KEY_WANTED)
		r = find_key(v, err);
	if (r >= 0)
		r = check_new(v->store, cpus > THREADS_MAX ? THREADS_MAX : cpus > 0 ? (unsigned int)cpus : 1, &v->check, err);
	return r;
}

static int verdict(struct verify *v)
{
	const struct check_stats s = check_stats(v->check);
	const uint64_t *nr = v->out.nr;

	cli_progress_end();
	verify_out_end(&v->out, &s);
	if (nr[VERIFY_DAMAGED])
		return EXIT_DAMAGED;
	if (nr[VERIFY_REFUSED])
		return EXIT_ACCESS;
	return nr[VERIFY_SEALED] ? EXIT_PARTIAL : EXIT_OK;
}

static int verify(struct verify *v)
{
	struct err err = ERR_INIT;
	const char *ns;
	int r = prepare(v, &ns, &err);

	if (r < 0)
		return cli_fail(&err, r);
	store_set_lock(v->store, target_lock(v->args));
	verify_out_begin(&v->out);
	if (v->one) {
		r = verify_one(v, ns, v->args->pos[0], &err);
		if (r < 0 && r != -EPIPE)
			return cli_fail(&err, r);
	} else {
		const unsigned int depth = v->want.type[0] ? 0 : (unsigned int)args_number(v->args, "max-depth", NAMES_NS_DEPTH_MAX);

		r = store_list_ns(v->store, ns, depth, verify_ns, v, &err);
		if (r == -ENOENT && err.text[0])
			return cli_fail(&err, r);
		if (r < 0 && r != -EPIPE)
			return (int)exit_from_errno(r);
	}
	return r == -EPIPE ? EXIT_PARTIAL : verdict(v);
}

static int run(const struct args *a)
{
	struct verify v = { .args = a, .out = { .quiet = args_flag(a, "quiet") } };
	int r;

	cli_progress_init(args_flag(a, "quiet"));
	r = verify(&v);
	forget_names(&v);
	free(v.names);
	verify_out_free(&v.out);
	check_free(v.check);
	store_close(v.store);
	crypt_key_wipe(&v.key);
	return r;
}

static const struct opt opts[] = {
	{ OPT("max-depth", OPT_NUMBER, "N", "levels below the namespace (default: 7, which are all)"),
	  .max = NAMES_NS_DEPTH_MAX },
	{ OPT("quiet", OPT_BOOL, NULL, "no progress, and nothing of what is good") },
	OPT_END,
};

const struct command cmd_verify = {
	.name = "verify",
	.usage = "[SNAPSHOT | TYPE/ID]",
	.help = "read and check all chunks; name what is damaged",
	.more = "Without an argument: the namespace and those beneath it. Each chunk is read once. Nothing is changed.",
	.opts = { target_store_opts, opts, target_snapshot_opts, cli_format_jsonl_opts },
	.max_pos = 1,
	.run = run,
};
