/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/dev/vu/vu.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"

#define BIT(n) (UINT64_C(1) << (n))
#define F_PROTOCOL_FEATURES 30
#define RING_FEATURES                                                                              \
	(BIT(VIRTIO_F_VERSION_1) | BIT(F_PROTOCOL_FEATURES) | BIT(VIRTIO_RING_F_INDIRECT_DESC) | BIT(VIRTIO_RING_F_EVENT_IDX))

static uint64_t offered(const struct vu *v)
{
	return v->ops->features | RING_FEATURES;
}

static uint64_t proto_offered(const struct vu *v)
{
	return VU_PF_MQ | VU_PF_REPLY_ACK | VU_PF_CONFIG | (v->ops->slave ? VU_PF_SLAVE_REQ | VU_PF_SLAVE_SEND_FD : 0);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

void vu_init(struct vu *v, const struct vu_ops *ops, void *arg, const struct vu_ram *ram)
{
	*v = (struct vu){ .ops = ops, .arg = arg, .mem = { .ram = ram }, .slave_fd = -1 };
	for (unsigned int i = 0; i < VU_QUEUES_MAX; i++) {
		v->queue[i].q.mem = &v->mem;
		v->queue[i].kick_fd = v->queue[i].call_fd = -1;
	}
}

static void drop_kick(struct vu *v, unsigned int i)
{
	if (v->queue[i].kick_fd < 0)
		return;
	(void)v->ops->kick_fd(v->arg, i, -1, NULL);
	close_fd(&v->queue[i].kick_fd);
}

static void stop_queue(struct vu *v, unsigned int i)
{
	if (virtq_running(&v->queue[i].q))
		v->ops->stop(v->arg, i);
	virtq_stop(&v->queue[i].q);
	drop_kick(v, i);
}

void vu_fini(struct vu *v)
{
	for (unsigned int i = 0; i < VU_QUEUES_MAX; i++) {
		stop_queue(v, i);
		close_fd(&v->queue[i].call_fd);
	}
	close_fd(&v->slave_fd);
}

/* NULL, with the error set, if there is no such queue */
static struct vu_queue *get_queue(struct vu *v, uint64_t index, struct err *err)
{
	if (index < v->ops->nr_queues)
		return &v->queue[index];
	(void)err_text(err, -EPROTO, "vhost-user: queue %llu", (unsigned long long)index);
	return NULL;
}

static struct vu_queue *get_stopped(struct vu *v, uint64_t index, struct err *err)
{
	struct vu_queue *k = get_queue(v, index, err);

	if (!k || !virtq_running(&k->q))
		return k;
	(void)err_text(err, -EPROTO, "vhost-user: queue %llu changed while it runs", (unsigned long long)index);
	return NULL;
}

static int run_queue(struct vu *v, unsigned int i, struct err *err)
{
	if (!vu_runs(v, i))
		return 0;
	if (v->config_dirty)
		vu_config_changed(v);
	return v->ops->run(v->arg, i, err);
}

static int start_queue(struct vu *v, unsigned int i, struct err *err)
{
	struct vu_queue *k = &v->queue[i];
	int r;

	if (!(v->features & BIT(VIRTIO_F_VERSION_1)))
		return err_text(err, -EPROTO, "vhost-user: queue %u started without VERSION_1", i);
	if (!k->have_addr)
		return err_text(err, -EPROTO, "vhost-user: queue %u started without addresses", i);
	k->q.event_idx = v->features & BIT(VIRTIO_RING_F_EVENT_IDX);
	k->q.indirect = v->features & BIT(VIRTIO_RING_F_INDIRECT_DESC);
	r = virtq_start(&k->q, k->desc, k->avail, k->used, err);
	return r < 0 ? r : run_queue(v, i, err);
}

static int set_features(struct vu *v, uint64_t features, struct err *err)
{
	if (features & ~offered(v))
		return err_text(err, -EPROTO, "vhost-user: SET_FEATURES: %#llx was not offered",
				(unsigned long long)(features & ~offered(v)));
	v->features = features;
	/* Without the protocol features there is no SET_VRING_ENABLE: queues are enabled from the start. */
	if (!(features & BIT(F_PROTOCOL_FEATURES)))
		for (unsigned int i = 0; i < v->ops->nr_queues; i++)
			v->queue[i].enabled = true;
	return 0;
}

static int set_mem_table(struct vu *v, const struct vu_msg *m, const int *fds, size_t nr_fds, struct err *err)
{
	int r;

	for (size_t i = 0; i < nr_fds; i++) {
		r = vu_mem_check_fd(&v->mem, fds[i], err);
		if (r < 0)
			return r;
	}
	r = vu_mem_set(&v->mem, m->mem.region, m->mem.nr, err);
	for (unsigned int i = 0; r == 0 && i < v->ops->nr_queues; i++) {
		struct vu_queue *k = &v->queue[i];

		if (virtq_running(&k->q))
			r = virtq_start(&k->q, k->desc, k->avail, k->used, err);
	}
	return r;
}

static int set_addr(struct vu *v, const struct vu_msg *m, struct err *err)
{
	struct vu_queue *k = get_stopped(v, m->addr.queue, err);

	if (!k)
		return -EPROTO;
	if (m->addr.flags)
		return err_text(err, -EPROTO, "vhost-user: SET_VRING_ADDR: flags %#x", m->addr.flags);
	k->desc = m->addr.desc;
	k->avail = m->addr.avail;
	k->used = m->addr.used;
	k->have_addr = true;
	return 0;
}

/* NUM and BASE */
static int set_state(struct vu *v, const struct vu_msg *m, struct err *err)
{
	struct vu_queue *k = get_stopped(v, m->state.queue, err);

	if (!k)
		return -EPROTO;
	if (m->request == VU_SET_VRING_NUM) {
		if (!m->state.num || m->state.num > VIRTQ_SIZE_MAX || m->state.num & (m->state.num - 1))
			return err_text(err, -EPROTO, "vhost-user: SET_VRING_NUM: size %u", m->state.num);
		k->q.size = (uint16_t)m->state.num;
		return 0;
	}
	if (m->state.num > UINT16_MAX)
		return err_text(err, -EPROTO, "vhost-user: SET_VRING_BASE: index %u", m->state.num);
	k->q.last_avail = (uint16_t)m->state.num;
	return 0;
}

static int get_base(struct vu *v, const struct vu_msg *m, struct buf *out, struct err *err)
{
	uint32_t answer[2] = { m->state.queue };
	struct vu_queue *k = get_queue(v, m->state.queue, err);

	if (!k)
		return -EPROTO;
	stop_queue(v, m->state.queue);
	answer[1] = k->q.last_avail;
	vu_msg_write(out, m->request, true, answer, sizeof(answer));
	return 0;
}

static int set_kick(struct vu *v, uint64_t value, int *fd, struct err *err)
{
	unsigned int i = value & 0xff;
	struct vu_queue *k;
	int r;

	if (value & ~(VU_NO_FD | 0xff) || *fd < 0)
		return err_text(err, -EPROTO, "vhost-user: SET_VRING_KICK without descriptor");
	k = get_queue(v, i, err);
	if (!k)
		return -EPROTO;
	drop_kick(v, i);
	k->kick_fd = TAKE_FD(*fd);
	r = v->ops->kick_fd(v->arg, i, k->kick_fd, err);
	if (r < 0)
		return r;
	return virtq_running(&k->q) ? 0 : start_queue(v, i, err);
}

static int set_call(struct vu *v, uint64_t value, int *fd, struct err *err)
{
	struct vu_queue *k = get_queue(v, value & ~VU_NO_FD, err);
	int r;

	if (!k)
		return -EPROTO;
	close_fd(&k->call_fd);
	if (*fd < 0)
		return 0;
	r = io_set_nonblock(*fd);
	if (r < 0)
		return err_set(err, r, "vhost-user: SET_VRING_CALL");
	k->call_fd = TAKE_FD(*fd);
	/* The guest may have missed an interrupt while the old descriptor was there. */
	k->q.signalled_valid = false;
	vu_notify(v, (unsigned int)(value & 0xff));
	return 0;
}

static int set_enable(struct vu *v, const struct vu_msg *m, struct err *err)
{
	struct vu_queue *k = get_queue(v, m->state.queue, err);

	if (!k)
		return -EPROTO;
	if (m->state.num > 1)
		return err_text(err, -EPROTO, "vhost-user: SET_VRING_ENABLE: %u", m->state.num);
	k->enabled = m->state.num;
	return run_queue(v, m->state.queue, err);
}

static int set_slave(struct vu *v, int *fd, struct err *err)
{
	int type;
	socklen_t len = sizeof(type);

	if (!v->ops->slave || getsockopt(*fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_STREAM)
		return err_text(err, -EPROTO, "vhost-user: SET_SLAVE_REQ_FD: not a stream socket");
	close_fd(&v->slave_fd);
	v->slave_fd = TAKE_FD(*fd);
	return 0;
}

static void get_config(struct vu *v, const struct vu_msg *m, struct buf *out)
{
	uint8_t answer[12 + VU_CONFIG_MAX] = { 0 }, space[VU_CONFIG_MAX] = { 0 };

	v->ops->config(v->arg, space);
	memcpy(answer, &m->config.off, 4);
	memcpy(answer + 4, &m->config.size, 4);
	memcpy(answer + 12, space + m->config.off, m->config.size);
	vu_msg_write(out, m->request, true, answer, 12 + m->config.size);
	v->config_dirty = false;
}

static int reset_owner(struct vu *v)
{
	for (unsigned int i = 0; i < v->ops->nr_queues; i++) {
		stop_queue(v, i);
		v->queue[i].enabled = false;
	}
	v->owned = false;
	return 0;
}

static void answer_u64(struct buf *out, const struct vu_msg *m, uint64_t value)
{
	vu_msg_write(out, m->request, true, &value, sizeof(value));
}

static int handle(struct vu *v, const struct vu_msg *m, const int *fds, size_t nr_fds, int *fd, struct buf *out,
		  struct err *err)
{
	switch (m->request) {
	case VU_GET_FEATURES:
		answer_u64(out, m, offered(v));
		return 0;
	case VU_GET_PROTOCOL_FEATURES:
		answer_u64(out, m, proto_offered(v));
		return 0;
	case VU_GET_QUEUE_NUM:
		answer_u64(out, m, v->ops->nr_queues);
		return 0;
	case VU_SET_FEATURES:
		return set_features(v, m->u64, err);
	case VU_SET_PROTOCOL_FEATURES:
		if (m->u64 & ~proto_offered(v))
			return err_text(err, -EPROTO, "vhost-user: SET_PROTOCOL_FEATURES: %#llx", (unsigned long long)m->u64);
		v->proto_features = m->u64;
		return 0;
	case VU_SET_OWNER:
		v->owned = true;
		return 0;
	case VU_RESET_OWNER:
		return reset_owner(v);
	case VU_SET_MEM_TABLE:
		return set_mem_table(v, m, fds, nr_fds, err);
	case VU_SET_VRING_NUM:
	case VU_SET_VRING_BASE:
		return set_state(v, m, err);
	case VU_SET_VRING_ADDR:
		return set_addr(v, m, err);
	case VU_GET_VRING_BASE:
		return get_base(v, m, out, err);
	case VU_SET_VRING_KICK:
		return set_kick(v, m->u64, fd, err);
	case VU_SET_VRING_CALL:
		return set_call(v, m->u64, fd, err);
	case VU_SET_VRING_ERR:	/* we report errors to the session, not to QEMU */
		return 0;
	case VU_SET_VRING_ENABLE:
		return set_enable(v, m, err);
	case VU_SET_SLAVE_REQ_FD:
		return set_slave(v, fd, err);
	case VU_GET_CONFIG:
		get_config(v, m, out);
		return 0;
	case VU_SET_CONFIG:	/* nothing in it can be changed by the guest */
		return 0;
	}
	return err_text(err, -EPROTO, "vhost-user: request %u", m->request);
}

int vu_handle(struct vu *v, const struct vu_msg *m, const int *fds, size_t nr_fds, struct buf *out, struct err *err)
{
	int fd = nr_fds ? fds[0] : -1;
	size_t before = out->len;
	int r = handle(v, m, fds, nr_fds, &fd, out, err);

	if (nr_fds && fd >= 0)
		(void)close(fd);
	for (size_t i = 1; i < nr_fds; i++)
		(void)close(fds[i]);
	if (r < 0)
		return r;
	if (m->need_reply && out->len == before && v->proto_features & VU_PF_REPLY_ACK)
		answer_u64(out, m, 0);
	return 0;
}

void vu_notify(struct vu *v, unsigned int queue)
{
	struct vu_queue *k = &v->queue[queue];
	uint64_t one = 1;

	if (k->call_fd < 0 || !virtq_must_notify(&k->q))
		return;
	/* Full or broken: QEMU's own doing, and the guest's loss. */
	if (write(k->call_fd, &one, sizeof(one)) < 0)
		return;
}

void vu_config_changed(struct vu *v)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	v->config_dirty = true;
	if (v->slave_fd < 0)
		return;
	vu_msg_write(&b, VU_SLAVE_CONFIG_CHANGE, false, NULL, 0);
	if (buf_ok(&b) == 0)
		(void)send(v->slave_fd, b.data, b.len, MSG_DONTWAIT | MSG_NOSIGNAL);
}
