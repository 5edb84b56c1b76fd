/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_CLI_SIZE_H
#define HOST_CLI_SIZE_H

#include <stdint.h>

struct buf;

/** cli_size() - append a number of bytes for people: "372 B", "18.458 MiB". */
void cli_size(struct buf *out, uint64_t bytes);

#endif
