/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/jsonw.h"
#include "common/log.h"
#include "host/cli/cli.h"
#include "host/cli/key_options.h"
#include "host/cli/secret.h"
#include "host/source/store/key_file.h"

#define NEW_PASSPHRASE "PLUCK_NEW_PASSPHRASE"
#define MASTER_PASSPHRASE "PLUCK_MASTER_PASSPHRASE"

static const struct opt key_opts[] = {
	{ OPT("kdf", OPT_TEXT, "scrypt|pbkdf2|none", "how a passphrase protects the key (default: scrypt)") },
	{ OPT("hint", OPT_TEXT, "TEXT", "kept in the file in clear, shown when the passphrase is wrong") },
	{ OPT("subject", OPT_TEXT, "TEXT", "a first line for paper") },
	{ OPT("master-keyfile", OPT_TEXT, "PEM", "RSA private key that opens the encrypted key") },
	{ OPT("encrypted-keyfile", OPT_TEXT, "FILE", "rsa-encrypted.key.blob of a snapshot, or its contents") },
	OPT_END,
};

static enum key_kdf kdf_of(const struct args *a)
{
	const char *s = args_text(a, "kdf");

	if (s && !strcasecmp(s, "none"))
		return KEY_KDF_NONE;
	return s && !strcasecmp(s, "pbkdf2") ? KEY_KDF_PBKDF2 : KEY_KDF_SCRYPT;
}

/* Typed twice, until both are the same and long enough. */
static int ask_new(struct secret *ret, struct err *err)
{
	CLEANUP(secret_wipe) struct secret again;

	for (int i = 0; i < 3; i++) {
		int r = secret_ask("New passphrase: ", ret, err);

		if (r < 0)
			return r;
		if (ret->len < KEY_PASSPHRASE_MIN) {
			cli_error("too short: at least %d bytes", KEY_PASSPHRASE_MIN);
			continue;
		}
		r = secret_ask("The same again: ", &again, err);
		if (r < 0)
			return r;
		if (!strcmp(ret->text, again.text))
			return 0;
		cli_error("these are not the same");
	}
	return err_text(err, -EKEYREJECTED, "no new passphrase");
}

/* The passphrase that a key file is written with. */
static int new_passphrase(const char *env, struct secret *ret, struct err *err)
{
	int r = secret_find(env, NULL, ret, err);

	if (r == 0 && !secret_can_ask())
		return err_text(err, -ENOKEY,
				"no new passphrase: set %s (or _FD, _FILE, _CMD), call from a terminal, or give --kdf none", env);
	return r == 0 ? ask_new(ret, err) : r < 0 ? r : 0;
}

/* Writes @key to @path, protected as the options say. */
static int save(const struct args *a, const char *path, const struct crypt_key *key, const char *env,
		const char *created, bool replace, struct err *err)
{
	CLEANUP(key_buf_free) struct buf text = BUF_INIT;
	CLEANUP(secret_wipe) struct secret pass = { .len = 0 };
	enum key_kdf kdf = kdf_of(a);
	int r = kdf == KEY_KDF_NONE ? 0 : new_passphrase(env, &pass, err);

	if (r == 0)
		r = key_file_format(key, kdf, pass.text, pass.len, created, args_text(a, "hint"), &text, err);
	return r < 0 ? r : key_file_write(path, text.data, text.len, replace, err);
}

static void print_fingerprint(const struct crypt_key *key)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	char fp[KEY_FP_TEXT];

	buf_fmt(&out, "fingerprint: %s\n", key_fp_format(key->fingerprint, fp));
	(void)cli_out_buf(&out);
}

static int create(const struct args *a, const char *path, struct err *err)
{
	CLEANUP(crypt_key_wipe) struct crypt_key key = { .data = { 0 } };
	int r;

	if (access(path, F_OK) == 0)
		return err_set(err, -EEXIST, "write '%s'", path);
	r = key_generate(&key);
	if (r < 0)
		return err_set(err, r, "make a key");
	r = save(a, path, &key, "PBS_ENCRYPTION_PASSWORD", NULL, false, err);
	if (r == 0)
		print_fingerprint(&key);
	return r;
}

static int change_passphrase(const struct args *a, const char *path, struct err *err)
{
	CLEANUP(crypt_key_wipe) struct crypt_key key = { .data = { 0 } };
	CLEANUP(key_text_free) struct key_text text = { 0 };
	struct key_info info;
	int r = key_text_open(path, &text, err);

	if (r == 0)
		r = key_file_info(text.data, text.len, &info, err);
	if (r == 0)
		r = key_unlock(&text, path, &key, err);
	return r < 0 ? r : save(a, path, &key, NEW_PASSPHRASE, info.created[0] ? info.created : NULL, true, err);
}

static void info_json(const char *path, const struct key_info *i, bool pretty, struct buf *out)
{
	struct jsonw w = { .out = out, .pretty = pretty };
	char fp[KEY_FP_TEXT];
	int64_t t;

	jsonw_object_begin(&w);
	if (key_time_parse(i->created, &t) == 0)
		jsonw_key_i64(&w, "created", t);
	if (i->has_fingerprint)
		jsonw_key_string(&w, "fingerprint", key_fp_format(i->fingerprint, fp));
	if (i->hint[0])
		jsonw_key_string(&w, "hint", i->hint);
	jsonw_key_string(&w, "kdf", key_kdf_name(i->kdf));
	if (key_time_parse(i->modified, &t) == 0)
		jsonw_key_i64(&w, "modified", t);
	jsonw_key_string(&w, "path", path);
	jsonw_object_end(&w);
	buf_u8(out, '\n');
}

static void line(struct buf *out, const char *name, const char *value)
{
	if (!*value)
		return;
	buf_fmt(out, "%-12s ", name);
	cli_escape(out, value, strlen(value));
	buf_u8(out, '\n');
}

static void info_text(const char *path, const struct key_info *i, struct buf *out)
{
	char fp[KEY_FP_TEXT] = "";

	if (i->has_fingerprint)
		(void)key_fp_format(i->fingerprint, fp);
	line(out, "path", path);
	line(out, "kdf", key_kdf_name(i->kdf));
	line(out, "created", i->created);
	line(out, "modified", i->modified);
	line(out, "fingerprint", fp);
	line(out, "hint", i->hint);
}

static int info(const struct args *a, const char *path, struct err *err)
{
	CLEANUP(key_text_free) struct key_text text = { 0 };
	CLEANUP_BUF struct buf out = BUF_INIT;
	enum cli_format format;
	struct key_info i;
	int r = cli_format(a, &format, err);

	if (r == 0)
		r = key_text_open(path, &text, err);
	if (r == 0)
		r = key_file_info(text.data, text.len, &i, err);
	if (r < 0)
		return r;
	if (format == CLI_TEXT)
		info_text(path, &i, &out);
	else
		info_json(path, &i, format == CLI_JSON_PRETTY, &out);
	(void)cli_out_buf(&out);
	return 0;
}

static int paper(const struct args *a, const char *path, struct err *err)
{
	CLEANUP(key_text_free) struct key_text text = { 0 };
	CLEANUP(key_buf_free) struct buf out = BUF_INIT;
	int r = key_text_open(path, &text, err);

	if (r == 0)
		r = key_file_paper(text.data, text.len, args_text(a, "subject"), &out, err);
	if (r == 0)
		(void)cli_out(out.data, out.len);
	return r;
}

struct unwrap {
	const struct key_text *pem, *wrapped;
	struct buf *out;
};

static int try_unwrap(void *arg, const char *pass, size_t len, struct err *err)
{
	const struct unwrap *u = arg;

	(void)len;
	return key_rsa_unwrap(u->pem->data, u->pem->len, pass, u->wrapped->data, u->wrapped->len, u->out, err);
}

static int import_key(const struct args *a, const char *path, struct err *err)
{
	CLEANUP(key_text_free) struct key_text pem = { 0 }, wrapped = { 0 };
	CLEANUP(crypt_key_wipe) struct crypt_key key = { .data = { 0 } };
	CLEANUP(key_buf_free) struct buf json = BUF_INIT;
	struct unwrap u = { .pem = &pem, .wrapped = &wrapped, .out = &json };
	struct key_info i;
	int r;

	if (access(path, F_OK) == 0)
		return err_set(err, -EEXIST, "write '%s'", path);
	r = key_text_open(args_text(a, "master-keyfile"), &pem, err);
	if (r == 0)
		r = key_text_open(args_text(a, "encrypted-keyfile"), &wrapped, err);
	if (r == 0)
		r = key_ask(try_unwrap, &u, MASTER_PASSPHRASE, NULL, "master key", err);
	if (r == 0)
		r = key_file_info((const char *)json.data, json.len, &i, err);
	if (r == 0)
		r = key_load((const char *)json.data, json.len, NULL, 0, &key, err);
	if (r == 0)
		r = save(a, path, &key, NEW_PASSPHRASE, i.created[0] ? i.created : NULL, false, err);
	if (r == 0)
		print_fingerprint(&key);
	return r;
}

static const struct action {
	const char *name;
	int (*run)(const struct args *a, const char *path, struct err *err);
	const char *opts;	/* those that it knows */
} actions[] = {
	{ "create", create, " kdf hint " },
	{ "info", info, " output-format " },
	{ "change-passphrase", change_passphrase, " kdf hint " },
	{ "paper", paper, " subject " },
	{ "import-with-master-key", import_key, " kdf hint master-keyfile encrypted-keyfile " },
};

static int check(const struct args *a, const struct action *act, struct err *err)
{
	const char *hint = args_text(a, "hint"), *subject = args_text(a, "subject");
	char word[64];

	for (size_t i = 0; i < a->nr_values; i++) {
		(void)snprintf(word, sizeof(word), " %s ", a->value[i].opt->name);
		if (!strstr(act->opts, word))
			return err_text(err, -EINVAL, "--%s does not go with key %s", a->value[i].opt->name, act->name);
	}
	if (act->run == import_key && (!args_has(a, "master-keyfile") || !args_has(a, "encrypted-keyfile")))
		return err_text(err, -EINVAL, "--master-keyfile PEM and --encrypted-keyfile FILE are needed");
	if (hint && kdf_of(a) == KEY_KDF_NONE)
		return err_text(err, -EINVAL, "--hint goes with a passphrase, not with --kdf none");
	if (hint && key_hint_check(hint) < 0)
		return err_text(err, -EINVAL, "--hint: 1 to %d printable characters", KEY_HINT_MAX);
	if (subject && strpbrk(subject, "\r\n"))
		return err_text(err, -EINVAL, "--subject: one line");
	return 0;
}

static int run(const struct args *a)
{
	const struct action *act = NULL;
	struct err e = ERR_INIT;
	char q[128];
	int r;

	for (size_t i = 0; i < sizeof(actions) / sizeof(*actions); i++)
		if (!strcmp(actions[i].name, a->pos[0]))
			act = &actions[i];
	if (!act)
		return cli_usage(a->cmd, "unknown action '%s'", log_quote(a->pos[0], strlen(a->pos[0]), q, sizeof(q)));
	r = check(a, act, &e);
	if (r < 0)
		return cli_usage(a->cmd, "%s", e.text);
	crypt_key_wipe_json();
	r = act->run(a, a->pos[1], &e);
	if (r == 0)
		return cli_out_end(EXIT_OK);
	(void)cli_fail(&e, r);
	if (r == -EEXIST || r == -ENOSPC || r == -EDQUOT || r == -EROFS)
		return EXIT_TARGET;
	return EXIT_ACCESS;
}

const struct command cmd_key = {
	.name = "key",
	.usage = "create|info|change-passphrase|paper|import-with-master-key FILE",
	.help = "make and look after encryption keys",
	.more = "create                  a new key in a new file FILE (mode 0600)\n"
		"info                    what the file says without its passphrase\n"
		"change-passphrase       write the file again with another passphrase; a hint is kept only if it is given again\n"
		"paper                   text to print and lock away\n"
		"import-with-master-key  the key of a snapshot, out of its rsa-encrypted.key, into a new file FILE\n"
		"\n"
		"Passphrases come from PBS_ENCRYPTION_PASSWORD (of an existing file, and of one that create makes),\n"
		NEW_PASSPHRASE " (of what change-passphrase and import-with-master-key write) and\n"
		MASTER_PASSPHRASE ", or the same with _FD, _FILE, _CMD behind; else they are asked for on the terminal.",
	.opts = { key_opts, cli_format_opts },
	.min_pos = 2,
	.max_pos = 2,
	.run = run,
};
