/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_WALK_H
#define AGENT_WALK_H

/*
 * A directory tree, depth first, in the order the file system gives, without recursion: descriptors and buffers are
 * kept for the innermost directories only; one further out is opened again through ".." and must be the same as
 * before. A directory that is already being walked (a loop made by a hostile file system) is an error of its entry.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

struct walk_entry {
	int dirfd;			/* the directory that it is in, borrowed */
	const char *name;
	const char *path;		/* beneath the directory walked */
	size_t path_len;
	const struct statx *st;		/* NULL if it could not be examined */
	int fd;				/* of a directory that will be entered, borrowed; else -1 */
	int error;			/* negative errno: no st, or the directory will not be entered */
};

#define WALK_SKIP 1

struct walk_ops {
	/** entry() - each entry. Return: 0 to go on; WALK_SKIP not to enter it; negative ends the walk with it. */
	int (*entry)(void *arg, const struct walk_entry *e);
	/** leave() - after each directory entered, the first one (path "") included. @error: reading it broke off. */
	int (*leave)(void *arg, const char *path, size_t path_len, int error);
};

/**
 * walk_tree() - walk
 * @fd: directory opened for reading; taken over
 * Return: 0; -ENOMEM; what a callback returned. Errors of the file system go to the callbacks.
 */
int walk_tree(int fd, bool recursive, const struct walk_ops *ops, void *arg);

#endif
