/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_SERVER_H
#define AGENT_SERVER_H

#include "agent/agent.h"
#include "common/err.h"

/** server_listen_vsock() - listen on WIRE_PORT. Return: a descriptor; negative errno. */
int server_listen_vsock(struct err *err);

/** server_listen_unix() - for an agent run by hand. */
int server_listen_unix(const char *path, struct err *err);

/** server_say_ready() - connect out to the host and say that we listen. */
int server_say_ready(struct err *err);

/**
 * server_run() - accept, fork workers, reap them, until the watchdog expires
 * Return: 0 when the watchdog expired; negative errno. In a worker it never returns.
 */
int server_run(struct agent *a, int listen_fd, struct err *err);

#endif
