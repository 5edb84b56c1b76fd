/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/api.h"

#include <errno.h>
#include <unistd.h>

#include "agent/auth.h"
#include "agent/request.h"
#include "agent/work.h"
#include "common/jsonw.h"

static int handle_status(struct request *q)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct jsonw w = JSONW(&b);

	if (q->authed && !q->keep_timeout)
		agent_ping(q->a);
	jsonw_object_begin(&w);
	jsonw_key(&w, "data");
	jsonw_object_begin(&w);
	jsonw_key_i64(&w, "uptime", agent_now());
	jsonw_key_i64(&w, "timeout", agent_timeout(q->a));
	jsonw_key_string(&w, "version", PLUCK_VERSION);
	jsonw_object_end(&w);
	jsonw_object_end(&w);
	if (buf_ok(&b) < 0)
		return err_set(q->err, buf_ok(&b), "answer");
	return reply_data(q->reply, "application/json", &b);
}

static int handle_stop(struct request *q)
{
	agent_stop(q->a, "asked to stop");
}

static const struct route {
	const char *path;
	int (*handle)(struct request *q);
	unsigned int params;
	bool open;		/* needs no ticket */
	enum agent_load load;
} routes[] = {
	{ WIRE_API "/status", handle_status, PARAM_KEEP_TIMEOUT, true, AGENT_IDLE },
	{ WIRE_API "/list", list_handle, PARAM_PATH | PARAM_EXT | PARAM_RECURSIVE, false, AGENT_LISTING },
	{ WIRE_API "/stat", stat_handle, PARAM_PATH, false, AGENT_LISTING },
	{ WIRE_API "/map", map_handle, PARAM_PATH, false, AGENT_LISTING },
	{ WIRE_API "/disks", disks_handle, 0, false, AGENT_LISTING },
	{ WIRE_API "/extract", extract_handle,
	  PARAM_PATH | PARAM_FORMAT | PARAM_EXT | PARAM_OFFSET | PARAM_LENGTH | PARAM_FILTER | PARAM_DATA, false,
	  AGENT_EXTRACTING },
	{ WIRE_API "/run", run_handle, PARAM_ARGS, false, AGENT_EXTRACTING },
	{ WIRE_API "/stop", handle_stop, 0, false, AGENT_IDLE },
};

static const struct route *find_route(const struct http_head *h)
{
	for (size_t i = 0; i < sizeof(routes) / sizeof(*routes); i++)
		if (http_target_path(h, routes[i].path))
			return &routes[i];
	return NULL;
}

static int http_status(int code)
{
	switch (code) {
	case -ENOENT:
		return 404;
	case -EIO:
	case -ENOMEM:
		return 500;
	case -ETIMEDOUT:
		return 503;
	default:
		return 400;
	}
}

static void run(struct request *q, const struct route *route)
{
	int r;

	if (agent_set_load(q->a, route->load) < 0) {
		(void)reply_fail(q->reply, 503, -EBUSY,
				 "maximum concurrent download limit reached, please wait for another restore to finish "
				 "before attempting a new one");
		return;
	}
	r = route->handle(q);
	q->reply->note = NULL;		/* it was borrowed */
	work_end(q->a);
	if (r < 0)
		(void)reply_fail(q->reply, http_status(r), r, q->err->text);
	if (route->load != AGENT_IDLE)
		(void)agent_set_load(q->a, AGENT_IDLE);
}

void api_handle(struct agent *a, const struct http_head *h, struct reply *r)
{
	const struct http_field *ticket = http_field(h, "authorization");
	const struct route *route = find_route(h);
	struct err err = ERR_INIT;
	__attribute__((cleanup(request_free))) struct request q = { .a = a, .reply = r, .err = &err };

	reply_begin(r, NULL);
	q.authed = ticket && auth_check(a, ticket->value, ticket->value_len);
	if (!q.authed && !(route && route->open)) {
		(void)sleep(AUTH_DELAY_S);
		(void)reply_fail(r, 401, -EACCES, "authentication failed");
	} else if (!route) {
		(void)reply_fail(r, 404, -ENOENT, "no such request");
	} else if (request_parse(&q, h, route->params, &err) < 0) {
		(void)reply_fail(r, 400, -EINVAL, err.text);
	} else {
		run(&q, route);
	}
}
