/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_RESTORE_BYTES_H
#define HOST_RESTORE_BYTES_H

/*
 * One run of bytes, an image or a small file, to where it belongs:
 *
 *   a file           under its name only when whole; with holes where there are zeros
 *   a block device   written in place, zeros too
 *   anything else    a pipe, a terminal, /dev/null: written as it comes
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct bytes_out;

/**
 * bytes_open() - begin
 * @path:       "-" is standard output
 * @size_bytes: how many will come: a block device must have room for them
 * @overwrite:  replace a file that exists, or write to a block device
 * Return: 0; -EEXIST without @overwrite; -EISDIR; -EFBIG for a block device that is too small; -EBUSY for one in use;
 * negative errno.
 */
int bytes_open(const char *path, uint64_t size_bytes, bool overwrite, struct bytes_out **ret, struct err *err);

/** bytes_dir() - the directory in which a file will appear, borrowed; -1 if no file will. */
int bytes_dir(const struct bytes_out *o);

/** bytes_data() - the next bytes. Return: 0; -EPIPE; negative errno. */
int bytes_data(struct bytes_out *o, const void *p, size_t n, struct err *err);

/** bytes_zeros() - the next @n bytes are zeros. Return: as bytes_data(). */
int bytes_zeros(struct bytes_out *o, uint64_t n, struct err *err);

/** bytes_finish() - all of it came: a file gets its name. Return: 0; negative errno. */
int bytes_finish(struct bytes_out *o, struct err *err);

/** bytes_free() - a file that was not finished is gone. */
void bytes_free(struct bytes_out *o);

#endif
