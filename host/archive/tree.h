/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_ARCHIVE_TREE_H
#define HOST_ARCHIVE_TREE_H

/*
 * A part of an archive as one unified pxar stream, with the private items for host/restore: the same stream that the agent
 * gives for a disk image. The root of the archive comes as it is; any other member comes as the only one of a root
 * that is a mere container.
 *
 * A member that cannot be read is in the stream with its error, and the stream goes on. Hard links whose target is in
 * the stream stay hard links; of others the first becomes the file, and further ones links to it.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"
#include "common/filter.h"
#include "host/archive/access.h"

struct tree;

/** Called for each member that is not whole; @path (in the stream) and @text are foreign bytes. */
typedef void tree_note_fn(void *arg, const char *path, size_t path_len, int code, const char *text);

/**
 * tree_open() - begin a stream
 * @a:    borrowed as long as the stream
 * @path: as access_find()
 * @ext:  for the extractor: with the private items, without tables of members; else the first member that cannot be
 *        read ends the stream
 * @note: may be NULL
 * Return: 0; what access_find() gives.
 */
int tree_open(struct access *a, const char *path, size_t len, bool ext, tree_note_fn *note, void *arg,
	      struct tree **ret, struct err *err);
void tree_free(struct tree *t);

/**
 * tree_want() - leave out what is not wanted; before the first tree_read()
 * @f:       borrowed as long as the stream; paths begin beneath the directory that was asked for. NULL: everything
 * @no_data: files come without their data (with @ext)
 */
void tree_want(struct tree *t, const struct filter *f, bool no_data);

/** tree_is_container() - is the root of the stream none of the archive's own? */
bool tree_is_container(const struct tree *t);

/** tree_read() - the next bytes: a restore_read_fn with a struct tree. Return: bytes; 0 at the end; negative errno. */
ssize_t tree_read(void *tree, void *p, size_t n, struct err *err);

#endif
