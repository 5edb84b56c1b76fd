/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_DEV_UPLINK_H
#define HOST_DEV_UPLINK_H

/* Messages to the session: a bounded queue before the link, and the way to end the VM when it was lied to. */

#include "common/err.h"
#include "host/dev/loop.h"
#include "host/link/link.h"

#define UPLINK_QUEUE 4096	/* messages */

struct uplink {
	struct loop *loop;
	int fd;
	struct loop_src out;	/* a second descriptor of the link, watched while the link is full */
	int out_fd;
	struct link_msg *queue;
	size_t head, len;
	bool failed;		/* FATAL was said, or the link is gone */
};

/** uplink_init() - @fd: the link, non-blocking, borrowed. Return: 0; negative errno. */
int uplink_init(struct uplink *u, struct loop *loop, int fd);
void uplink_fini(struct uplink *u);

/** uplink_send() - queue one message. A session that does not read ends the device. */
void uplink_send(struct uplink *u, const struct link_msg *m);

/** uplink_has_room() - may a message that can be left out (IOERR) still be queued? */
bool uplink_has_room(const struct uplink *u);

/** uplink_fatal() - say FATAL with "@what: text" and stop the loop. Only the first counts. */
void uplink_fatal(struct uplink *u, const struct err *err, const char *what);

/** uplink_flush_last() - before the end: send what is queued, for at most a second. */
void uplink_flush_last(struct uplink *u);

#endif
