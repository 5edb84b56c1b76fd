/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_DEV_VU_PROTO_H
#define HOST_DEV_VU_PROTO_H

/*
 * vhost-user messages: bytes to fields and back, no I/O. A message is a header {request u32, flags u32, size u32} and
 * size bytes of payload, little-endian (as the host: QEMU sends its own byte order, and pluck runs on little-endian only).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "host/dev/vu/mem.h"

#define VU_HEADER_BYTES 12
#define VU_CONFIG_MAX 256	/* device configuration space */
#define VU_PAYLOAD_MAX (8 + 32 * VU_REGIONS_MAX + 16)
#define VU_MSG_MAX (VU_HEADER_BYTES + VU_PAYLOAD_MAX)

enum vu_request {
	VU_GET_FEATURES = 1,
	VU_SET_FEATURES = 2,
	VU_SET_OWNER = 3,
	VU_RESET_OWNER = 4,
	VU_SET_MEM_TABLE = 5,
	VU_SET_VRING_NUM = 8,
	VU_SET_VRING_ADDR = 9,
	VU_SET_VRING_BASE = 10,
	VU_GET_VRING_BASE = 11,
	VU_SET_VRING_KICK = 12,
	VU_SET_VRING_CALL = 13,
	VU_SET_VRING_ERR = 14,
	VU_GET_PROTOCOL_FEATURES = 15,
	VU_SET_PROTOCOL_FEATURES = 16,
	VU_GET_QUEUE_NUM = 17,
	VU_SET_VRING_ENABLE = 18,
	VU_SET_SLAVE_REQ_FD = 21,
	VU_GET_CONFIG = 24,
	VU_SET_CONFIG = 25,
};

#define VU_SLAVE_CONFIG_CHANGE 2	/* request number on the slave channel */

/* protocol features, as bits */
#define VU_PF_MQ (UINT64_C(1) << 0)
#define VU_PF_REPLY_ACK (UINT64_C(1) << 3)
#define VU_PF_SLAVE_REQ (UINT64_C(1) << 5)
#define VU_PF_CONFIG (UINT64_C(1) << 9)
#define VU_PF_SLAVE_SEND_FD (UINT64_C(1) << 10)

struct vu_msg {
	uint32_t request;
	bool need_reply;
	union {
		uint64_t u64;		/* features; queue number of KICK, CALL, ERR with VU_NO_FD */
		struct {
			uint32_t queue, num;
		} state;		/* NUM, BASE, ENABLE */
		struct {
			uint32_t queue, flags;
			uint64_t desc, used, avail;
		} addr;
		struct {
			uint32_t nr;
			struct vu_region region[VU_REGIONS_MAX];
		} mem;
		struct {
			uint32_t off, size;
		} config;
	};
};

#define VU_NO_FD UINT64_C(0x100)

/** vu_msg_name() - name of a request for messages; NULL if we do not know it. */
const char *vu_msg_name(uint32_t request);

/** vu_msg_size() - payload bytes that follow a header. Return: 0; -EPROTO with the field named. */
int vu_msg_size(const uint8_t header[static VU_HEADER_BYTES], size_t *ret, struct err *err);

/** vu_msg_parse() - a whole message with @nr_fds descriptors. Return: 0; -EPROTO with the field named. */
int vu_msg_parse(const uint8_t *p, size_t len, size_t nr_fds, struct vu_msg *ret, struct err *err);

/** vu_msg_write() - append a reply (or, with @reply false, a request of ours). */
void vu_msg_write(struct buf *out, uint32_t request, bool reply, const void *payload, size_t len);

#endif
