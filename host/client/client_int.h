/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_CLIENT_CLIENT_INT_H
#define HOST_CLIENT_CLIENT_INT_H

/* Between the files of host/client/: one request and the runs of its body. */

#include <stdbool.h>

#include "common/buf.h"
#include "host/client/client.h"

/** client_target() - append "ROUTE?path=..." */
void client_target(struct buf *ret, const char *route, const void *path, size_t path_len);

/**
 * client_begin() - send a request, take the answer's head
 * @target: route and query. @stream: the answer must be chunked and end with the trailer.
 * Return: 0 for a good answer, to be read to its end with client_next(); what the agent reports; -EPROTO, -ENODATA, ...
 */
int client_begin(struct client *c, const struct buf *target, bool stream, struct err *err);

/** client_next() - a run of body bytes, borrowed until the next call. Return: 1; 0 complete (trailer checked); negative errno. */
int client_next(struct client *c, const char **ret, size_t *ret_len, struct err *err);

/** client_abandon() - the rest of the answer is not wanted: the connection is of no further use. */
void client_abandon(struct client *c);

#endif
