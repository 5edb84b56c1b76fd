/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_CLI_KEY_OPTIONS_H
#define HOST_CLI_KEY_OPTIONS_H

/* The encryption key of a snapshot: which one the options mean, and how it is unlocked. */

#include <stdbool.h>
#include <stddef.h>

#include "host/cli/cli.h"
#include "host/source/store/key.h"

/* Rows for a table of options: --keyfile --keyfd --crypt-mode. */
#define KEY_OPTIONS                                                                                                    \
	{ OPT("keyfile", OPT_TEXT, "FILE", "the encryption key (default: the one of the user, if there is one)") },    \
	{ OPT("keyfd", OPT_NUMBER, "FD", "descriptor to read the encryption key from"), .max = 1 << 20 },              \
	{ OPT("crypt-mode", OPT_TEXT, "none|encrypt|sign-only", "none: no key at all; else there must be one") }

enum key_want {
	KEY_AUTO,	/* nothing was said: the default key, if it is there and the snapshot needs one */
	KEY_NONE,
	KEY_WANTED,
};

struct key_options {
	enum key_want want;
	const char *file;	/* --keyfile; NULL: none given. Borrowed */
	int fd;			/* --keyfd; -1 */
	bool sign_only;		/* --crypt-mode sign-only */
};

/** key_options_parse() - the three options and how they go together. Return: 0; -EINVAL. */
int key_options_parse(const struct args *a, struct key_options *ret, struct err *err);

/**
 * key_options_load() - the key that the options mean, unlocked
 * @ret: to be wiped by the caller
 * Return: 1 loaded; 0 there is none (KEY_NONE; KEY_AUTO without a default key); -ENOKEY it is missing, or needs a passphrase
 * and nobody can be asked; -EKEYREJECTED for everything else that is wrong with it; -EINTR.
 */
int key_options_load(const struct key_options *o, struct crypt_key *ret, struct err *err);

/* A small file with a secret in it, in locked memory. */
struct key_text {
	char *data;		/* with a NUL behind it */
	size_t len;
};
/** key_text_read() - all of a descriptor, from its begin if it has one; at most KEY_FILE_MAX bytes. @path: for the error's text. */
int key_text_read(int fd, const char *path, struct key_text *ret, struct err *err);
int key_text_open(const char *path, struct key_text *ret, struct err *err);
void key_text_free(struct key_text *t);

/**
 * key_ask() - call @fn with passphrases until it takes one
 * First with none; if that is -ENOKEY with the one that the environment has (see secret_find()), else with what is typed at the
 * terminal, three times.
 * @fn:   gets a passphrase, NULL for none; -ENOKEY: one is needed; -EKEYREJECTED: it is the wrong one
 * @env:  name of the environment's variables;  @credential: may be NULL
 * @what: for which the terminal is asked ("encryption key")
 * Return: what @fn returned last; -ENOKEY if nobody can be asked.
 */
typedef int key_try_fn(void *arg, const char *pass, size_t len, struct err *err);
int key_ask(key_try_fn *fn, void *arg, const char *env, const char *credential, const char *what, struct err *err);

/** key_unlock() - key_load() with key_ask(). @what: the file, for texts. Return: as key_load(). */
int key_unlock(const struct key_text *t, const char *what, struct crypt_key *ret, struct err *err);

#endif
