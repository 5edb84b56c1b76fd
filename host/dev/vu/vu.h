/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_DEV_VU_VU_H
#define HOST_DEV_VU_VU_H

/*
 * One vhost-user device: the state behind the messages. Knows nothing of what the device is, and does no I/O but closing
 * descriptors, looking at their identity and writing to the guest's interrupt descriptors.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "host/dev/vu/mem.h"
#include "host/dev/vu/proto.h"
#include "host/dev/vu/virtq.h"

#define VU_QUEUES_MAX 2

/* What kind of device it is. */
struct vu_ops {
	uint64_t features;	/* of the device type; those of the rings are added */
	unsigned int nr_queues;
	bool slave;		/* wants to announce changes of its configuration */
	/** config() - fill the configuration space (zeroed before) */
	void (*config)(void *arg, uint8_t ret[static VU_CONFIG_MAX]);
	/** kick_fd() - a queue's kick descriptor came (@fd, borrowed until the next call) or goes (-1) */
	int (*kick_fd)(void *arg, unsigned int queue, int fd, struct err *err);
	/** run() - a queue began to run: look at it */
	int (*run)(void *arg, unsigned int queue, struct err *err);
	/** stop() - a queue is about to stop: what is in flight is lost, guest memory must not be written afterwards */
	void (*stop)(void *arg, unsigned int queue);
};

struct vu_queue {
	struct virtq q;
	uint64_t desc, avail, used;
	bool have_addr, enabled;
	int kick_fd, call_fd;
};

struct vu {
	const struct vu_ops *ops;
	void *arg;
	struct vu_mem mem;
	struct vu_queue queue[VU_QUEUES_MAX];
	uint64_t features, proto_features;	/* negotiated */
	bool owned;
	int slave_fd;
	bool config_dirty;		/* changed since QEMU last read it */
};

/** vu_init() - @ram and @ops are borrowed. */
void vu_init(struct vu *v, const struct vu_ops *ops, void *arg, const struct vu_ram *ram);

/** vu_fini() - close all descriptors. */
void vu_fini(struct vu *v);

/**
 * vu_handle() - one message
 * @fds: its descriptors, which are taken over in every case
 * @out: the answer is appended, if there is one
 * Return: 0; -EPROTO with the field named; what ops return.
 */
int vu_handle(struct vu *v, const struct vu_msg *m, const int *fds, size_t nr_fds, struct buf *out, struct err *err);

/** vu_notify() - interrupt the guest for @queue if it wants that. */
void vu_notify(struct vu *v, unsigned int queue);

/** vu_config_changed() - tell QEMU, now and again when the device starts if it has not asked by then. */
void vu_config_changed(struct vu *v);

static inline struct virtq *vu_virtq(struct vu *v, unsigned int queue)
{
	return &v->queue[queue].q;
}

/** vu_runs() - is the queue started and enabled? */
static inline bool vu_runs(const struct vu *v, unsigned int queue)
{
	return virtq_running(&v->queue[queue].q) && v->queue[queue].enabled;
}

#endif
