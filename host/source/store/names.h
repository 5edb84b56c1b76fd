/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_SOURCE_STORE_NAMES_H
#define HOST_SOURCE_STORE_NAMES_H

/*
 * Names in a datastore. Nothing touches a path before it was checked here: a safe id is
 * [A-Za-z0-9_][A-Za-z0-9._-]*, so it never begins with '.' and never holds '/'.
 */

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct buf;

#define NAMES_ID_MAX 255		/* bytes */
#define NAMES_TIME_TEXT 21		/* "YYYY-MM-DDTHH:MM:SSZ" and NUL */
#define NAMES_NS_MAX 256
#define NAMES_NS_DEPTH_MAX 7
#define NAMES_SNAPSHOT_TEXT (4 + 1 + NAMES_ID_MAX + 1 + NAMES_TIME_TEXT)

struct snapshot_name {
	char type[5];			/* "vm", "ct", "host" */
	char id[NAMES_ID_MAX + 1];
	int64_t time;			/* Unix seconds */
};

enum names_kind { NAMES_FIDX, NAMES_DIDX, NAMES_BLOB };

/** names_check_id() - a safe id? Return: 0; -EINVAL. */
int names_check_id(const char *s, size_t len);

/** names_check_type() - "vm", "ct" or "host"? Return: 0; -EINVAL. */
int names_check_type(const char *s);

/** names_file_kind() - a stored file name: safe id with a known suffix. Return: enum names_kind; -EINVAL. */
int names_file_kind(const char *s, size_t len);

/** names_stored() - append the stored name of what a user calls an archive ("x.img" is "x.img.fidx"). Return: 0; -EINVAL. */
int names_stored(const char *user, struct buf *out);

/**
 * names_parse_time() - RFC 3339 without fractions: 20 bytes with 'Z' or 25 with an offset
 * Return: 0; -EINVAL, also for days and hours that do not exist.
 */
int names_parse_time(const char *s, size_t len, int64_t *ret);

/** names_format_time() - UTC with 'Z'. Return: 0; -ERANGE outside the years 0 to 9999. */
int names_format_time(int64_t t, char ret[static NAMES_TIME_TEXT]);

/** names_parse_group() - "TYPE/ID"; the time is 0. Return: 0; -EINVAL. */
int names_parse_group(const char *s, struct snapshot_name *ret);

/** names_parse_snapshot() - "TYPE/ID/TIME", time in UTC with 'Z'. Return: 0; -EINVAL. */
int names_parse_snapshot(const char *s, struct snapshot_name *ret);

/** names_format_snapshot() - the same backwards. Return: @ret; the time is "?" where it has no text. */
char *names_format_snapshot(const struct snapshot_name *n, char ret[static NAMES_SNAPSHOT_TEXT]);

/** names_check_ns() - names with slashes between, or "" for the root? Return: 0; -EINVAL. */
int names_check_ns(const char *ns);

/** names_ns_path() - append the path of a namespace ("a/b" is "ns/a/ns/b", "" is "."). Return: 0; -EINVAL. */
int names_ns_path(const char *ns, struct buf *out);

/** names_compare_ids() - order of listings: numbers by value before all others. */
int names_compare_ids(const char *a, const char *b);

/** names_escape_unit() - append a path escaped as systemd escapes unit names (the locks are named so). */
void names_escape_unit(const char *path, struct buf *out);

#endif
