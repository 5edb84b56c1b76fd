/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_DEV_VU_VIRTQ_H
#define HOST_DEV_VU_VIRTQ_H

/*
 * Split virtqueues, device side. Everything in the rings may change while we look: each descriptor is copied once, the
 * copy is checked and only the copy is used. Indirect tables are accepted as the head of a chain only, as all drivers
 * use them.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "common/err.h"
#include "host/dev/vu/mem.h"

#define VIRTQ_SIZE_MAX 1024
#define VIRTQ_CHAIN_MAX 256	/* descriptors in one chain */

struct virtq {
	const struct vu_mem *mem;	/* borrowed */
	uint16_t size;		/* entries, a power of two */
	bool event_idx, indirect;	/* negotiated */
	uint8_t *desc, *avail, *used;	/* NULL while stopped */
	uint16_t last_avail;	/* next entry to take */
	uint16_t used_idx;	/* next entry to give */
	uint16_t signalled;	/* used_idx when the guest was last notified */
	bool signalled_valid;
	uint16_t in_flight;	/* taken, not given back */
};

struct virtq_chain {
	uint16_t head;
	size_t nr_out, nr_in;	/* ranges that we read, and behind them those that we write */
	size_t out_bytes, in_bytes;
	struct iovec iov[VIRTQ_CHAIN_MAX];
};

/**
 * virtq_start() - resolve the rings; @q->mem, size, last_avail and features are set before
 * @desc, @avail, @used: addresses in QEMU
 * Return: 0; -EPROTO with the field named.
 */
int virtq_start(struct virtq *q, uint64_t desc, uint64_t avail, uint64_t used, struct err *err);

/** virtq_stop() - forget the rings. What is in flight is never given back. */
void virtq_stop(struct virtq *q);

static inline bool virtq_running(const struct virtq *q)
{
	return q->desc != NULL;
}

/** virtq_pop() - take the next chain. Return: 1; 0 if there is none; -EPROTO with the field named. */
int virtq_pop(struct virtq *q, struct virtq_chain *ret, struct err *err);

/** virtq_unpop() - undo the last virtq_pop(), when nothing was given back since. */
void virtq_unpop(struct virtq *q);

/** virtq_push() - give a chain back with @len bytes written. */
void virtq_push(struct virtq *q, uint16_t head, uint32_t len);

/** virtq_must_notify() - does the guest want an interrupt for what was given back since the last call that said so? */
bool virtq_must_notify(struct virtq *q);

/** virtq_kicks_off() - the guest need not notify us of new chains for now (a hint). */
void virtq_kicks_off(struct virtq *q);

/** virtq_kicks_on() - ask for a notification of the next chain. Return: true if there is one already. */
bool virtq_kicks_on(struct virtq *q);

#endif
