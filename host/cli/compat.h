/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_CLI_COMPAT_H
#define HOST_CLI_COMPAT_H

/*
 * The command under its other name, proxmox-file-restore: the options, results and endings that callers of that program
 * know, made of the same parts. Errors: "Error: TEXT" and 255. Only "list" with JSON reports what fails at run time as an
 * object on standard output, and ends with 0.
 */

#include "host/cli/target.h"

#define COMPAT_NAME "proxmox-file-restore"
#define COMPAT_FAILED 255

extern const struct command compat_list, compat_extract, compat_status, compat_stop;

/** compat_is_called() - is that the last component of argv[0]? */
bool compat_is_called(const char *argv0);
int compat_main(int argc, char **argv);

/** compat_fail() - report an error. Return: COMPAT_FAILED. */
int compat_fail(const struct err *e);

/* What list and extract both take. */
extern const struct opt compat_opts[];

struct compat_path {
	struct buf bytes;	/* decoded, without leading slashes */
	bool root;
};
void compat_path_free(struct compat_path *p);

/**
 * compat_parse() - the arguments SNAPSHOT and PATH, and the options for repository and key
 * The error of a malformed time is worded as callers know it. Release @ret and @ret_path also after a failure.
 */
int compat_parse(const struct args *a, struct target *ret, struct compat_path *ret_path, struct err *err);

/**
 * compat_open() - target_open()
 * @ret_code: of a failure that is told in JSON: the status it had in HTTP, 0 if none; -1: it is one of the options or keys
 */
int compat_open(struct target *t, int *ret_code, struct err *err);

#endif
