/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_DEV_PORT_H
#define HOST_DEV_PORT_H

/* Joins a vhost-user device to the event loop: reads messages from QEMU's socket, watches the kick descriptors. */

#include "host/dev/loop.h"
#include "host/dev/uplink.h"
#include "host/dev/vu/vu.h"

struct port;

/* What a device of some type gives. */
struct port_type {
	uint64_t features;
	unsigned int nr_queues;
	bool slave;
	void (*config)(struct port *p, uint8_t ret[static VU_CONFIG_MAX]);
	/** run() - a queue has begun to run or was kicked. Return: 0; -EPROTO with the field named. */
	int (*run)(struct port *p, unsigned int queue, struct err *err);
	void (*stop)(struct port *p, unsigned int queue);
};

struct port {
	const struct port_type *type;
	char name[16];		/* for messages: "vsock", "disk 3"; set before port_init() */
	int fd;
	struct loop *loop;
	struct uplink *up;
	struct vu vu;
	struct vu_ops ops;
	struct loop_src sock;
	struct port_kick {
		struct loop_src src;
		struct port *port;
		unsigned int queue;
	} kick[VU_QUEUES_MAX];
	uint8_t in[VU_MSG_MAX];	/* the message that is being read */
	size_t have;
	int fds[VU_REGIONS_MAX];
	size_t nr_fds;
};

/**
 * port_init() - serve @fd
 * @fd: vhost-user socket, taken over on success
 * @type, @loop, @up, @ram: borrowed
 * Return: 0; negative errno.
 */
int port_init(struct port *p, const struct port_type *type, struct loop *loop, struct uplink *up,
	      const struct vu_ram *ram, int fd);
void port_fini(struct port *p);

#endif
