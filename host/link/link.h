/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_LINK_LINK_H
#define HOST_LINK_LINK_H

/*
 * Session and device: messages of fixed shape over a SOCK_SEQPACKET pair, host byte order, both ends the same binary.
 *
 * The device owns the chunk cache's bookkeeping: it says into which cache slot a unit is to be put, so it alone knows
 * what is in use; the session alone writes the memfd, the device maps it read-only. The session checks every field of what
 * the device sends: a device that a guest has taken over gets units of its own disks and nothing else.
 *
 *   session -> device  SETUP   once, first: sizes, and the descriptors named below
 *                      DISK    a slot gets its disk (before or after the guest runs: config change)
 *                      UNIT    answer to WANT
 *                      CLIENT  a connected stream socket (one fd) to be joined to guest port @port
 *                      PING    is the guest's kernel still there? At most one until its PONG
 *                      STOP    end now
 *   device -> session  READY   set up, serving
 *                      AGENT   the guest's agent has said READY
 *                      WANT    unit @unit of disk @slot into cache slot @cache_slot; prefetch or demand
 *                      URGE    a unit that was wanted as prefetch is waited for now
 *                      IOERR   a raw disk could not be read (for the report)
 *                      CLIENT_FAILED  a handed-over client could not be connected (it was closed); @code
 *                      CLIENT_DONE    a connected client has ended and its socket is closed; each CLIENT gets exactly one of the two
 *                      WORK    the agent begins or ends to work on the volume that @port stands for (common/wire.h)
 *                      PONG    the guest has sent a packet since PING, or nothing is in work
 *                      FATAL   the guest or QEMU broke the protocol: @text names the field; the device ends
 */

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

#define LINK_DISKS_MAX 64
#define LINK_SERIAL_LEN 20
#define LINK_TEXT_MAX 200
#define LINK_SETUP_FDS 3	/* guest RAM, cache memfd (read-only), vsock vhost-user socket; then one blk socket a slot */

enum link_type {
	LINK_SETUP = 1,
	LINK_DISK,
	LINK_UNIT,
	LINK_CLIENT,
	LINK_STOP,
	LINK_PING,
	LINK_READY = 64,
	LINK_AGENT,
	LINK_WANT,
	LINK_IOERR,
	LINK_CLIENT_FAILED,
	LINK_CLIENT_DONE,
	LINK_FATAL,
	LINK_WORK,
	LINK_PONG,
	LINK_URGE,
};

struct link_msg {
	uint32_t type;
	uint32_t slot;			/* DISK, UNIT, WANT, IOERR: disk slot */
	union {
		struct {
			uint64_t ram_bytes;	/* size of the guest RAM memfd */
			uint64_t guest_cid;
			uint32_t nr_slots;	/* blk devices */
			uint32_t nr_cache_slots;
			uint64_t cache_slot_bytes;
		} setup;
		struct {
			uint64_t size_bytes;
			uint32_t unit_bytes;	/* at most cache_slot_bytes */
			uint8_t serial[LINK_SERIAL_LEN];	/* NUL-padded */
			bool raw;		/* one fd comes with the message and the device reads it itself */
		} disk;
		struct {
			uint64_t unit;
			uint32_t cache_slot;
			int32_t code;		/* 0; negative errno: the unit cannot be read */
			bool zero;		/* all zeros: the cache slot was not written */
		} unit;
		struct {
			uint64_t unit;
			uint32_t cache_slot;
			bool prefetch;		/* WANT: may wait behind demand */
		} want;			/* and URGE */
		struct {
			uint32_t port;
			uint32_t id;		/* chosen by the session, comes back in CLIENT_FAILED and CLIENT_DONE */
			int32_t code;
		} client;
		struct {
			uint32_t port;
			bool begins;
		} work;
		struct {
			uint64_t off, len;
			int32_t code;
		} ioerr;
		struct {
			int32_t code;
			char text[LINK_TEXT_MAX];
		} fatal;
	};
};

/** link_send() - one message, with up to IO_FDS_MAX borrowed descriptors. Return: 0; negative errno (-EAGAIN if @fd is non-blocking and full). */
int link_send(int fd, const struct link_msg *m, const int *fds, size_t nr_fds);

/**
 * link_recv() - one message
 * Exactly one whole message is accepted; the number of descriptors must fit the type (SETUP: LINK_SETUP_FDS + nr_slots, raw DISK and
 * CLIENT: 1, others: 0), else all are closed and it fails. Return: 1; 0 at the end; -EPROTO; -EAGAIN; negative errno.
 */
int link_recv(int fd, struct link_msg *ret, int *ret_fds, size_t max_fds, size_t *ret_nr_fds);

#endif
