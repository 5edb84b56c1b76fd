/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_TOOLS_H
#define AGENT_TOOLS_H

/*
 * The on-demand tools image: a read-only root of its own (programs with their libraries), just another disk of
 * the VM. It is mounted when first needed; programs run in it by chroot and see the volumes below /mnt.
 */

#include <stddef.h>
#include <sys/types.h>

#include "agent/agent.h"
#include "common/err.h"

#define TOOLS_ROOT "/tools"
#define TOOLS_ARGS_MAX 64		/* words of a command */
#define TOOLS_ARGS_BYTES_MAX 8192

/** tools_mount() - mount the image if it is not mounted yet. Return: 0; -ENODEV if the VM has none; negative errno. */
int tools_mount(const struct agent *a, struct err *err);

/* A program that runs in the image. */
struct tools_proc {
	pid_t pid;
	int out;	/* read end of its stdout and stderr, close-on-exec */
};

/**
 * tools_start() - run a program of the image
 * @args: NUL-separated words, the first is the program (looked up in its PATH), @len bytes with or without a last NUL
 * stdin is /dev/null. Return: 0; -EINVAL for no or too many words; what tools_mount() gives; negative errno.
 */
int tools_start(const struct agent *a, const char *args, size_t len, struct tools_proc *ret, struct err *err);

/** tools_kill() - end it by SIGKILL; tools_wait() is to follow. */
void tools_kill(const struct tools_proc *p);

/**
 * tools_wait() - wait for its end (it may go on after closing its output), end what it left in the background
 * Return: exit status 0 to 255, 128 + N for signal N.
 */
int tools_wait(struct tools_proc *p);

#endif
