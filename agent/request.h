/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_REQUEST_H
#define AGENT_REQUEST_H

/* One request, its parameters checked, and where its answer goes. */

#include "agent/agent.h"
#include "agent/reply.h"
#include "common/buf.h"
#include "common/err.h"

#define PARAM_PATH 1u
#define PARAM_EXT 2u
#define PARAM_RECURSIVE 4u
#define PARAM_FORMAT 8u
#define PARAM_OFFSET 16u
#define PARAM_LENGTH 32u
#define PARAM_KEEP_TIMEOUT 64u
#define PARAM_ARGS 128u
#define PARAM_FILTER 256u
#define PARAM_DATA 512u

struct http_head;
struct filter;

struct request {
	struct agent *a;
	struct reply *reply;
	struct err *err;
	struct buf path;	/* decoded */
	struct buf args;	/* decoded: NUL-separated words */
	unsigned int given;	/* PARAM_* */
	struct filter *filter;	/* NULL: everything */
	bool ext, recursive, keep_timeout, pxar, authed;
	bool no_data;		/* of files only what is known without reading them */
	uint64_t off, len;
};

void request_free(struct request *q);

/**
 * request_parse() - the parameters of a query
 * @allowed: PARAM_* of the route; any other parameter is refused. PARAM_PATH is required if allowed.
 */
int request_parse(struct request *q, const struct http_head *h, unsigned int allowed, struct err *err);

/* The handlers. Return: 0 once the answer is sent; negative errno with q->err set if it has yet to be told. */
int list_handle(struct request *q);
int stat_handle(struct request *q);
int map_handle(struct request *q);
int disks_handle(struct request *q);
int extract_handle(struct request *q);
int run_handle(struct request *q);

#endif
