/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_CONN_H
#define AGENT_CONN_H

#include "agent/agent.h"

/** conn_serve() - answer the requests of one connection until it ends. */
void conn_serve(struct agent *a, int fd);

#endif
