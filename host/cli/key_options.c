/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/cli/key_options.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "host/cli/secret.h"

#define KEY_TRIES 3
#define KEY_DEFAULT "proxmox-backup/encryption-key.json"

int key_options_parse(const struct args *a, struct key_options *ret, struct err *err)
{
	const char *mode = args_text(a, "crypt-mode");
	bool given;

	*ret = (struct key_options){ .want = KEY_AUTO, .file = args_text(a, "keyfile"), .fd = -1 };
	if (args_has(a, "keyfd"))
		ret->fd = (int)args_number(a, "keyfd", 0);
	if (ret->file && ret->fd >= 0)
		return err_text(err, -EINVAL, "--keyfile and --keyfd are mutually exclusive");
	given = ret->file || ret->fd >= 0;
	if (mode && !strcasecmp(mode, "none")) {
		if (given)
			return err_text(err, -EINVAL, "--keyfile/--keyfd and --crypt-mode=none are mutually exclusive");
		ret->want = KEY_NONE;
	} else if (given || mode) {
		ret->want = KEY_WANTED;
		ret->sign_only = mode && !strcasecmp(mode, "sign-only");
	}
	return 0;
}

void key_text_free(struct key_text *t)
{
	if (!t->data)
		return;
	explicit_bzero(t->data, KEY_FILE_MAX + 1);
	free(t->data);
	*t = (struct key_text){ 0 };
}

static int read_all(int fd, char *to, size_t *ret_len)
{
	bool seeks = lseek(fd, 0, SEEK_CUR) >= 0;
	size_t len = 0;

	for (;;) {
		ssize_t n = seeks ? pread(fd, to + len, KEY_FILE_MAX + 1 - len, (off_t)len) :
				    read(fd, to + len, KEY_FILE_MAX + 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
		if (len > KEY_FILE_MAX)
			return -EFBIG;
	}
	to[len] = 0;
	*ret_len = len;
	return 0;
}

int key_text_read(int fd, const char *path, struct key_text *ret, struct err *err)
{
	struct key_text t = { .data = calloc(1, KEY_FILE_MAX + 1) };
	char q[300];
	int r;

	if (!t.data)
		return err_set(err, -ENOMEM, "read a key");
	(void)mlock(t.data, KEY_FILE_MAX + 1);
	(void)prctl(PR_SET_DUMPABLE, 0);	/* no core dump has it */
	r = read_all(fd, t.data, &t.len);
	if (r < 0) {
		key_text_free(&t);
		return err_set(err, r, "read '%s'", log_quote(path, strlen(path), q, sizeof(q)));
	}
	*ret = t;
	return 0;
}

int key_text_open(const char *path, struct key_text *ret, struct err *err)
{
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	char q[300];

	if (fd < 0)
		return err_set(err, -errno, "open '%s'", log_quote(path, strlen(path), q, sizeof(q)));
	return key_text_read(fd, path, ret, err);
}

static int ask_terminal(key_try_fn *fn, void *arg, const char *what, struct err *err)
{
	struct secret s;
	char prompt[400];
	int r = -ENOKEY;

	(void)snprintf(prompt, sizeof(prompt), "Passphrase of the %s: ", what);
	for (int i = 0; i < KEY_TRIES; i++) {
		r = secret_ask(prompt, &s, err);
		if (r == 0)
			r = fn(arg, s.text, s.len, err);
		secret_wipe(&s);
		if (r != -EKEYREJECTED)
			break;
		if (i + 1 < KEY_TRIES)
			cli_error("%s", err->text);
	}
	return r;
}

int key_ask(key_try_fn *fn, void *arg, const char *env, const char *credential, const char *what, struct err *err)
{
	struct secret s;
	int r = fn(arg, NULL, 0, err);

	if (r != -ENOKEY)
		return r;
	r = secret_find(env, credential, &s, err);
	if (r > 0) {
		r = fn(arg, s.text, s.len, err);
		secret_wipe(&s);
		return r;
	}
	if (r < 0)
		return r;
	if (!secret_can_ask())
		return err_text(err, -ENOKEY,
				"the %s is protected by a passphrase: set %s (or _FD, _FILE, _CMD), or call from a terminal", what,
				env);
	return ask_terminal(fn, arg, what, err);
}

struct unlock {
	const struct key_text *text;
	struct crypt_key *key;
};

static int try_unlock(void *arg, const char *pass, size_t len, struct err *err)
{
	const struct unlock *u = arg;

	return key_load(u->text->data, u->text->len, pass, len, u->key, err);
}

int key_unlock(const struct key_text *t, const char *what, struct crypt_key *ret, struct err *err)
{
	struct unlock u = { .text = t, .key = ret };
	char text[360], q[300];

	(void)mlock(ret, sizeof(*ret));
	(void)snprintf(text, sizeof(text), "encryption key '%s'", log_quote(what, strlen(what), q, sizeof(q)));
	return key_ask(try_unlock, &u, "PBS_ENCRYPTION_PASSWORD", "proxmox-backup-client.encryption-password", text, err);
}

/* Opens the default key in one of its two places. Return: 1; 0 there is none; negative errno. */
static int open_default(struct key_text *ret, char **ret_path, struct err *err)
{
	static const char *const places[][2] = { { "XDG_CONFIG_HOME", "" }, { "HOME", "/.config" } };

	for (size_t i = 0; i < 2; i++) {
		const char *dir = getenv(places[i][0]);
		CLEANUP_FREE char *path = NULL;
		int r;

		if (!dir || *dir != '/')
			continue;
		if (asprintf(&path, "%s%s/" KEY_DEFAULT, dir, places[i][1]) < 0) {
			path = NULL;
			return err_set(err, -ENOMEM, "default key");
		}
		r = key_text_open(path, ret, err);
		if (r == -ENOENT || r == -ENOTDIR)
			continue;
		*ret_path = TAKE_PTR(path);
		return r < 0 ? r : 1;
	}
	return 0;
}

static int open_key(const struct key_options *o, struct key_text *ret, char **ret_path, struct err *err)
{
	int r;

	if (!o->file && o->fd < 0) {
		r = open_default(ret, ret_path, err);
		if (r == 0 && o->want == KEY_WANTED)
			return err_text(err, -ENOKEY, "--crypt-mode without --keyfile and no default key file available");
		return r;
	}
	if (o->file)
		*ret_path = strdup(o->file);
	else if (asprintf(ret_path, "descriptor %d", o->fd) < 0)
		*ret_path = NULL;
	if (!*ret_path)
		return err_set(err, -ENOMEM, "key");
	r = o->file ? key_text_open(o->file, ret, err) : key_text_read(o->fd, *ret_path, ret, err);
	return r < 0 ? r : 1;
}

int key_options_load(const struct key_options *o, struct crypt_key *ret, struct err *err)
{
	CLEANUP(key_text_free) struct key_text text = { 0 };
	CLEANUP_FREE char *path = NULL;
	struct err none;
	int r;

	if (!err)
		err = &none;
	if (o->want == KEY_NONE)
		return 0;
	r = open_key(o, &text, &path, err);
	if (r <= 0)
		return r == -ENOMEM || r == -ENOKEY || r == 0 ? r : err_ctx(err, -EKEYREJECTED, "encryption key");
	r = key_unlock(&text, path, ret, err);
	if (r == 0)
		return 1;
	crypt_key_wipe(ret);
	if (r == -ENOMEM || r == -ENOKEY || r == -EINTR)
		return r;
	return err_ctx(err, -EKEYREJECTED, "encryption key '%s'", path);
}
