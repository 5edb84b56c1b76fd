/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_CONFINE_CONFINE_H
#define HOST_CONFINE_CONFINE_H

/*
 * What our processes give up before they meet bytes of a guest: system calls (seccomp) and paths (Landlock). The device process has
 * a filter of its own (host/dev/sandbox.h), an allow-list. These here are deny-lists, for processes that need much:
 *
 *   command  once it speaks to an agent: no exec, no fork, no sockets but unix, nothing that reaches other processes or the kernel's
 *            rarely used sides; writes only beneath the directory it extracts to
 *   session  once the VM runs: the same calls. Both QEMU and the device process are started before, as the filter would be theirs too
 *   jail     QEMU: the same and more, as an error (EPERM) and not as the end, since QEMU and its libraries may try and do without
 *
 * A command or session that makes such a call ends with SIGSYS and a line on stderr that has the call's number.
 *
 * With sanitizers there are no filters: at the end they fork a tracer. Landlock is there.
 */

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

/**
 * confine_command() - for the rest of this process; all its threads get the filter, this one and what it starts the paths
 * @out_dir: writing stays possible beneath this directory, borrowed; -1: nowhere (open descriptors may be written in any case)
 * A kernel without Landlock, or with one that forbids hard links across directories (ABI 1), is noted at debug level.
 * Return: 0; negative errno.
 */
int confine_command(int out_dir, struct err *err);

/** confine_session() - the same filter for all threads of the session; no paths. Return: 0; negative errno. */
int confine_session(struct err *err);

/** confine_jail_program() - QEMU's filter as a BPF program in a memfd, at its begin. Return: the descriptor; negative errno. */
int confine_jail_program(struct err *err);

/** confine_jail_enter() - QEMU's filter for this process, which then can signal itself alone; it sets no_new_privs. Return: 0; negative errno. */
int confine_jail_enter(void);

/**
 * confine_paths_new() - a Landlock rule set that allows nothing: no path, no TCP, no abstract unix socket or process outside,
 * as far as this kernel's ABI goes
 * Return: the descriptor; -ENOSYS, -EOPNOTSUPP without Landlock; negative errno.
 */
int confine_paths_new(void);

/** confine_paths_allow() - reading and executing, and writing to files that exist, of a file or beneath a directory. Return: 0; negative errno. */
int confine_paths_allow(int set, int fd, bool write);

/** confine_paths_enter() - for this thread and what it starts; sets no_new_privs. Safe between fork and exec. Return: 0; negative errno. */
int confine_paths_enter(int set);

#endif
