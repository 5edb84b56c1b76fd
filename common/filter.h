/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef COMMON_FILTER_H
#define COMMON_FILTER_H

/*
 * Which entries of a tree are wanted. Patterns are those of gitignore(5), without its "!":
 *
 *	*.txt		any entry of such a name, at any depth
 *	docs/x*.txt	a slash at the begin or in the middle: the whole path from the top; * and ? never match a slash
 *	**		as a component: any number of directories
 *	tmp/		a slash at the end: only directories
 *	[a-z] [!0-9] \*	one character of a set; a backslash takes what follows as it is
 *
 * What a pattern matches stands for all that lies beneath it. An entry is wanted if it is included, or nothing has to be, and
 * not excluded: of both, exclude counts. A directory that is not wanted is a way to what is, unless every pattern names its whole path and none can
 * match beneath: it is left out then, and need not be read. Names are compared byte for byte; of valid UTF-8 ? and sets take whole characters.
 *
 * Agent and host use the same code: the agent need not send what nobody wants, the host believes no agent.
 */

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"
#include "common/err.h"

#define FILTER_BYTES_MAX 8192	/* of all patterns: they travel in a request's head */

struct filter;

/** filter_new() - one that wants everything. Return: NULL without memory. */
struct filter *filter_new(void);
void filter_free(struct filter *f);

/** filter_add() - Return: 0; -EINVAL for what is no pattern; -E2BIG; -ENOMEM. */
int filter_add(struct filter *f, bool exclude, const char *pattern, size_t len, struct err *err);

/** filter_write() - append all patterns as text without NULs; filter_parse() reads it. */
void filter_write(const struct filter *f, struct buf *out);
/** filter_parse() - Return: 0; -EINVAL; -E2BIG; -ENOMEM. */
int filter_parse(struct filter *f, const void *p, size_t len, struct err *err);

enum filter_verdict {
	FILTER_TAKE,
	FILTER_PASS,	/* a directory that is wanted only for what may be in it */
	FILTER_LEAVE,
};

/* Where a walk is: begin with zeros. */
struct filter_pos {
	size_t depth;	/* directories entered */
	size_t taken;	/* the depth from which all is included, 0: not yet */
};

/** filter_look() - what of an entry in the current directory? @path: from the top, without slashes at its ends. @f may be NULL. */
enum filter_verdict filter_look(const struct filter *f, const struct filter_pos *at, const char *path, size_t len,
				bool dir);

/** filter_enter(), filter_leave() - into a directory of which filter_look() said @v, and out of it again. */
void filter_enter(struct filter_pos *at, enum filter_verdict v);
void filter_leave(struct filter_pos *at);

/** filter_match() - does a pattern's body (no slash at its ends, no syntax errors) match all of @path? */
bool filter_match(const char *pattern, size_t pattern_len, const char *path, size_t len);

#endif
