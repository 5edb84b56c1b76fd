/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_DEV_SANDBOX_H
#define HOST_DEV_SANDBOX_H

#include "common/err.h"

/** sandbox_early() - before anything is received: no core dumps, no ptrace, no new privileges, no descriptor but 0, 1, 2 and @link_fd. */
int sandbox_early(int link_fd, struct err *err);

/**
 * sandbox_enter() - the allow-list of system calls, for all threads
 * No open, no exec, no fork, no socket, no connect, no ptrace; anything that is not allowed kills the process.
 */
int sandbox_enter(struct err *err);

#endif
