/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_DEV_BLK_BLK_H
#define HOST_DEV_BLK_BLK_H

/*
 * virtio-blk, one disk slot: read-only, empty until its disk comes. Requests complete in any order; no disk waits for
 * another. A raw disk is read straight into guest memory; units of a chunked one are copied there out of the cache.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/dev/blk/cache.h"
#include "host/dev/blk/pool.h"
#include "host/dev/port.h"
#include "host/link/link.h"

#define BLK_SECTOR 512
#define BLK_SEG_MAX 126			/* with head and status at most 128 descriptors: the ring of a PCI device */
#define BLK_REQUEST_MAX (64u << 20)	/* bytes of one read */
#define BLK_UNITS_MAX (UINT64_C(1) << 32)

/* What the disks of a VM share; borrowed by them. */
struct blk_shared {
	struct loop *loop;
	struct uplink *up;
	struct cache *cache;
};

struct blk_req;

struct blk {
	struct port port;
	const struct blk_shared *sh;
	struct pool *pool;
	uint32_t slot;
	bool present, raw, no_nowait;
	uint64_t size_bytes;		/* of the source; the capacity is rounded up to sectors */
	uint8_t serial[LINK_SERIAL_LEN];
	int fd;				/* raw */
	uint32_t unit_bytes;		/* chunked */
	uint8_t *zero;			/* chunked: bitmap of the units known to be zero */
	uint64_t next_off;		/* where a sequential reader goes on */
	uint64_t streak_bytes;		/* read in sequence so far */
	struct blk_req *reqs;		/* all in flight */
};

/**
 * blk_init() - an empty slot served on @fd, which is taken over on success
 * @pool: threads of its own, borrowed. Return: 0; negative errno.
 */
int blk_init(struct blk *b, const struct blk_shared *sh, struct pool *pool, uint32_t slot,
	const struct vu_ram *ram, int fd);
void blk_fini(struct blk *b);

/** blk_insert() - the slot's disk. @fd: raw source, taken over in every case, or -1. Return: 0; -EPROTO, -ENOMEM with the reason. */
int blk_insert(struct blk *b, const struct link_msg *m, int fd, struct err *err);

/** blk_unit() - the answer to a WANT. Return: 0; -EPROTO. */
int blk_unit(struct blk *b, const struct link_msg *m, struct err *err);

/* between blk.c, raw.c and chunked.c */

struct blk_req {
	struct blk *b;
	struct blk_req *next, **link;	/* in b->reqs */
	struct cache_waiter waiter;
	struct pool_job job;
	uint16_t head;
	uint64_t off;			/* byte of the disk */
	size_t len, done;		/* bytes of data, and how many of them are in place */
	int code;			/* result, for a job in the pool */
	size_t nr_iov;
	struct iovec iov[];		/* what the guest wants filled: data and one byte of status */
};

/** blk_complete() - give the request back and free it; @status is VIRTIO_BLK_S_*. */
void blk_complete(struct blk_req *q, uint8_t status);

void blk_raw_read(struct blk_req *q);
void blk_chunked_read(struct blk_req *q);

#endif
