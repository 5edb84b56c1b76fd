/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_DEV_SANDBOX_H
#define HOST_DEV_SANDBOX_H

#include <stdint.h>

#include "common/err.h"

#define SANDBOX_SLACK_BYTES (UINT64_C(1) << 30)	/* program, stacks, allocator, buffers, bitmaps of zero units */

/** sandbox_early() - before anything is received: no core dumps, no ptrace, no new privileges, no descriptor but 0, 1, 2 and @link_fd. */
int sandbox_early(int link_fd, struct err *err);

/**
 * sandbox_enter() - a limit of address space, and the allow-list of system calls for all threads
 * @mapped: bytes of guest memory and cache; SANDBOX_SLACK_BYTES come on top. Not with sanitizers.
 * No open, no exec, no fork, no socket, no connect, no ptrace; anything that is not allowed kills the process.
 */
int sandbox_enter(uint64_t mapped, struct err *err);

#endif
