/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_API_H
#define AGENT_API_H

#include "agent/agent.h"
#include "agent/reply.h"
#include "common/http.h"

/** api_handle() - answer one request; @r tells whether the connection can go on. */
void api_handle(struct agent *a, const struct http_head *h, struct reply *r);

#endif
