/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_CLI_ZOUT_H
#define HOST_CLI_ZOUT_H

#include <stdbool.h>

#include "common/err.h"

/* An output descriptor, compressed with zstd (level 3) by a thread if asked. */
struct zout;

/** zout_open() - @fd is borrowed. @ret_fd: where to write, borrowed; @fd itself without compression. */
int zout_open(int fd, bool compress, struct zout **ret, int *ret_fd, struct err *err);

/** zout_close() - @whole: the stream is complete; else the frame gets no end, so that it cannot be taken for whole. Return: 0; negative errno of writing. */
int zout_close(struct zout *z, bool whole, struct err *err);

#endif
