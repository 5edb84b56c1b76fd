/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/dev/vu/proto.h"

#include <errno.h>

#include "common/cur.h"

_Static_assert(VU_PAYLOAD_MAX >= 12 + VU_CONFIG_MAX, "configuration space fits");

#define FLAG_VERSION_MASK 3u
#define FLAG_VERSION 1u
#define FLAG_REPLY 4u
#define FLAG_NEED_REPLY 8u

enum shape { SHAPE_NONE, SHAPE_U64, SHAPE_STATE, SHAPE_ADDR, SHAPE_MEM, SHAPE_CONFIG };

static const struct {
	const char *name;
	enum shape shape;
	uint8_t max_fds;
} requests[] = {
	[VU_GET_FEATURES] = { "GET_FEATURES", SHAPE_NONE, 0 },
	[VU_SET_FEATURES] = { "SET_FEATURES", SHAPE_U64, 0 },
	[VU_SET_OWNER] = { "SET_OWNER", SHAPE_NONE, 0 },
	[VU_RESET_OWNER] = { "RESET_OWNER", SHAPE_NONE, 0 },
	[VU_SET_MEM_TABLE] = { "SET_MEM_TABLE", SHAPE_MEM, VU_REGIONS_MAX },
	[VU_SET_VRING_NUM] = { "SET_VRING_NUM", SHAPE_STATE, 0 },
	[VU_SET_VRING_ADDR] = { "SET_VRING_ADDR", SHAPE_ADDR, 0 },
	[VU_SET_VRING_BASE] = { "SET_VRING_BASE", SHAPE_STATE, 0 },
	[VU_GET_VRING_BASE] = { "GET_VRING_BASE", SHAPE_STATE, 0 },
	[VU_SET_VRING_KICK] = { "SET_VRING_KICK", SHAPE_U64, 1 },
	[VU_SET_VRING_CALL] = { "SET_VRING_CALL", SHAPE_U64, 1 },
	[VU_SET_VRING_ERR] = { "SET_VRING_ERR", SHAPE_U64, 1 },
	[VU_GET_PROTOCOL_FEATURES] = { "GET_PROTOCOL_FEATURES", SHAPE_NONE, 0 },
	[VU_SET_PROTOCOL_FEATURES] = { "SET_PROTOCOL_FEATURES", SHAPE_U64, 0 },
	[VU_GET_QUEUE_NUM] = { "GET_QUEUE_NUM", SHAPE_NONE, 0 },
	[VU_SET_VRING_ENABLE] = { "SET_VRING_ENABLE", SHAPE_STATE, 0 },
	[VU_SET_SLAVE_REQ_FD] = { "SET_SLAVE_REQ_FD", SHAPE_NONE, 1 },
	[VU_GET_CONFIG] = { "GET_CONFIG", SHAPE_CONFIG, 0 },
	[VU_SET_CONFIG] = { "SET_CONFIG", SHAPE_CONFIG, 0 },
};

const char *vu_msg_name(uint32_t request)
{
	return request < sizeof(requests) / sizeof(*requests) ? requests[request].name : NULL;
}

int vu_msg_size(const uint8_t header[static VU_HEADER_BYTES], size_t *ret, struct err *err)
{
	struct cur c = cur_of(header, VU_HEADER_BYTES);
	uint32_t request = 0, flags = 0, size = 0;

	(void)cur_u32le(&c, &request);
	(void)cur_u32le(&c, &flags);
	(void)cur_u32le(&c, &size);
	if (!vu_msg_name(request))
		return err_text(err, -EPROTO, "vhost-user: request %u", request);
	if ((flags & FLAG_VERSION_MASK) != FLAG_VERSION || flags & FLAG_REPLY || flags & ~15u)
		return err_text(err, -EPROTO, "vhost-user: %s: flags %#x", vu_msg_name(request), flags);
	if (size > VU_PAYLOAD_MAX)
		return err_text(err, -EPROTO, "vhost-user: %s: size %u", vu_msg_name(request), size);
	*ret = size;
	return 0;
}

static int parse_mem(struct cur *c, struct vu_msg *m)
{
	uint32_t pad;

	if (cur_u32le(c, &m->mem.nr) < 0 || cur_u32le(c, &pad) < 0 || m->mem.nr > VU_REGIONS_MAX)
		return -EPROTO;
	for (uint32_t i = 0; i < m->mem.nr; i++) {
		struct vu_region *r = &m->mem.region[i];

		if (cur_u64le(c, &r->gpa) < 0 || cur_u64le(c, &r->size_bytes) < 0 || cur_u64le(c, &r->uva) < 0 ||
		    cur_u64le(c, &r->off) < 0)
			return -EPROTO;
	}
	return 0;
}

static int parse_addr(struct cur *c, struct vu_msg *m)
{
	uint64_t log;

	return cur_u32le(c, &m->addr.queue) < 0 || cur_u32le(c, &m->addr.flags) < 0 || cur_u64le(c, &m->addr.desc) < 0 ||
			       cur_u64le(c, &m->addr.used) < 0 || cur_u64le(c, &m->addr.avail) < 0 || cur_u64le(c, &log) < 0 ?
		       -EPROTO :
		       0;
}

static int parse_config(struct cur *c, struct vu_msg *m)
{
	uint32_t flags;

	if (cur_u32le(c, &m->config.off) < 0 || cur_u32le(c, &m->config.size) < 0 || cur_u32le(c, &flags) < 0)
		return -EPROTO;
	if (m->config.size > VU_CONFIG_MAX || m->config.off > VU_CONFIG_MAX - m->config.size)
		return -EPROTO;
	return cur_skip(c, m->config.size);
}

static int parse_payload(struct cur *c, struct vu_msg *m)
{
	switch (requests[m->request].shape) {
	case SHAPE_NONE:
		return 0;
	case SHAPE_U64:
		return cur_u64le(c, &m->u64);
	case SHAPE_STATE:
		return cur_u32le(c, &m->state.queue) < 0 || cur_u32le(c, &m->state.num) < 0 ? -EPROTO : 0;
	case SHAPE_ADDR:
		return parse_addr(c, m);
	case SHAPE_MEM:
		return parse_mem(c, m);
	case SHAPE_CONFIG:
		return parse_config(c, m);
	}
	return -EPROTO;
}

/* Descriptors that must come: one a region; one unless the message says that there is none. */
static size_t want_fds(const struct vu_msg *m)
{
	switch (m->request) {
	case VU_SET_MEM_TABLE:
		return m->mem.nr;
	case VU_SET_VRING_KICK:
	case VU_SET_VRING_CALL:
	case VU_SET_VRING_ERR:
		return !(m->u64 & VU_NO_FD);
	}
	return requests[m->request].max_fds;
}

int vu_msg_parse(const uint8_t *p, size_t len, size_t nr_fds, struct vu_msg *ret, struct err *err)
{
	struct cur c = cur_of(p, len);
	struct vu_msg m = { 0 };
	const uint8_t *header;
	uint32_t flags = 0;
	size_t size;
	int r;

	if (cur_bytes(&c, VU_HEADER_BYTES, &header) < 0)
		return err_text(err, -EPROTO, "vhost-user: short header");
	r = vu_msg_size(header, &size, err);
	if (r < 0)
		return r;
	c = cur_of(header, VU_HEADER_BYTES);
	(void)cur_u32le(&c, &m.request);
	(void)cur_u32le(&c, &flags);
	m.need_reply = flags & FLAG_NEED_REPLY;
	c = cur_of(p + VU_HEADER_BYTES, len - VU_HEADER_BYTES);
	if (c.left != size || parse_payload(&c, &m) < 0 || cur_end(&c) < 0)
		return err_text(err, -EPROTO, "vhost-user: %s: payload", vu_msg_name(m.request));
	if (nr_fds != want_fds(&m))
		return err_text(err, -EPROTO, "vhost-user: %s: %zu descriptors", vu_msg_name(m.request), nr_fds);
	*ret = m;
	return 0;
}

void vu_msg_write(struct buf *out, uint32_t request, bool reply, const void *payload, size_t len)
{
	buf_u32le(out, request);
	buf_u32le(out, FLAG_VERSION | (reply ? FLAG_REPLY : 0));
	buf_u32le(out, (uint32_t)len);
	buf_add(out, payload, len);
}
