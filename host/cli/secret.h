/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_CLI_SECRET_H
#define HOST_CLI_SECRET_H

/* Passphrases: out of the environment's sources, or from the terminal. */

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

#define SECRET_MAX 1024

struct secret {
	char text[SECRET_MAX + 1];	/* with a NUL behind it */
	size_t len;
};

/** secret_wipe() - overwrite it. */
void secret_wipe(struct secret *s);

/**
 * secret_find() - from the environment: NAME, NAME_FD, NAME_FILE, NAME_CMD, else a credential file
 * The first that is set and not empty counts, and of its contents the first line. NAME_FD is a descriptor to be read, NAME_FILE
 * a file, NAME_CMD a command line of words in shell quoting (no shell runs) whose output is read.
 * @credential: a file of this name in $CREDENTIALS_DIRECTORY, taken whole; NULL: none
 * Return: 1 found; 0 nothing is set; negative errno.
 */
int secret_find(const char *name, const char *credential, struct secret *ret, struct err *err);

/** secret_can_ask() - is there a terminal? */
bool secret_can_ask(void);

/** secret_ask() - on the terminal, without echo. Return: 0; -ENODATA for its end (^D); negative errno. */
int secret_ask(const char *prompt, struct secret *ret, struct err *err);

/**
 * secret_split() - words of a command line: blanks separate; '...', "..." and backslash quote
 * @words: malloc'ed, NULL behind the last; they point into @text, which is changed
 * Return: number of words, at least 1; -EINVAL for none and for a quote without end; -ENOMEM.
 */
int secret_split(char *text, char ***words);

#endif
