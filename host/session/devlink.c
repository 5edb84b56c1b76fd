/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/session/broker.h"

/* What the device says is checked field by field: a guest may have taken it over. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"

#define DEVLINK_BATCH 64

/* Sends what is queued, as far as it goes. */
static void flush(struct broker *b)
{
	struct machine *m = &b->m;

	while (m->out) {
		struct outgoing *o = m->out;
		int r = link_send(m->link_fd, &o->m, &o->fd, o->fd >= 0 ? 1 : 0);

		if (r == -EAGAIN)
			break;
		m->out = o->next;
		if (o->fd >= 0)
			(void)close(o->fd);
		free(o);
		if (r < 0 && r != -EPIPE && r != -ECONNRESET)	/* its end is told by the pidfd */
			broker_fail(b, r, "message to the device process: %s", err_name(r));
	}
	if (m->w_link.fd >= 0)
		(void)events_change(&b->events, &m->w_link, EPOLLIN | (m->out ? EPOLLOUT : 0));
}

void devlink_send(struct broker *b, const struct link_msg *msg, int fd)
{
	struct outgoing *o = calloc(1, sizeof(*o));

	if (!o) {
		if (fd >= 0)
			(void)close(fd);
		broker_fail(b, -ENOMEM, "out of memory");
		return;
	}
	o->m = *msg;
	o->fd = fd;
	if (!b->m.out)
		b->m.out_last = &b->m.out;
	*b->m.out_last = o;
	b->m.out_last = &o->next;
	flush(b);
}

void devlink_drop_job(struct fill_job *job)
{
	free(job);
}

/* Return: name of the field that is wrong, or NULL. */
static const char *on_want(struct broker *b, const struct link_msg *msg)
{
	struct machine *m = &b->m;
	struct fill_job *job;
	struct source *s;

	if (msg->slot >= b->disks.nr)
		return "disk slot";
	s = b->disks.sources[msg->slot];
	if (s->raw_fd >= 0)
		return "raw disk";
	if (msg->want.unit >= s->size_bytes / s->unit_bytes + (s->size_bytes % s->unit_bytes != 0))
		return "unit";
	if (msg->want.cache_slot >= m->nr_cache_slots || m->cache_job[msg->want.cache_slot])
		return "cache slot";
	job = calloc(1, sizeof(*job));
	if (!job) {
		broker_fail(b, -ENOMEM, "out of memory");
		return NULL;
	}
	job->source = s;
	job->slot = msg->slot;
	job->unit = msg->want.unit;
	job->cache_slot = msg->want.cache_slot;
	job->prefetch = msg->want.prefetch;
	job->to = m->cache + msg->want.cache_slot * m->cache_slot_bytes;
	job->room = m->cache_slot_bytes;
	m->cache_job[job->cache_slot] = job;
	fill_add(m->fill, job);
	return NULL;
}

/* The answer to what it was urged for may be on its way already. */
static const char *on_urge(struct broker *b, const struct link_msg *msg)
{
	struct machine *m = &b->m;
	struct fill_job *job;

	if (msg->want.cache_slot >= m->nr_cache_slots)
		return "cache slot";
	job = m->cache_job[msg->want.cache_slot];
	if (job && job->slot == msg->slot && job->unit == msg->want.unit)
		fill_urge(m->fill, job);
	return NULL;
}

static const char *on_ioerr(struct broker *b, const struct link_msg *msg)
{
	struct err e = ERR_INIT;

	if (msg->slot >= b->disks.nr || b->disks.sources[msg->slot]->raw_fd < 0)
		return "disk slot";
	if (msg->ioerr.code >= 0 || msg->ioerr.code < -4095)
		return "error code";
	if (msg->ioerr.off > b->disks.sources[msg->slot]->size_bytes)
		return "offset";
	(void)err_set(&e, msg->ioerr.code, "read");
	damage_add(&b->damage, msg->slot, msg->ioerr.off, msg->ioerr.len, e.text);
	return NULL;
}

static const char *on_client_end(struct broker *b, const struct link_msg *msg)
{
	for (size_t i = 0; msg->client.id && i < WIRE_CONN_MAX; i++) {
		if (b->active[i] != msg->client.id)
			continue;
		b->active[i] = 0;
		b->nr_active--;
		b->idle_since_ms = broker_now_ms();
		callers_serve(b);
		return NULL;
	}
	return "client id";
}

static const char *on_work(struct broker *b, const struct link_msg *msg)
{
	if (msg->work.begins) {
		if (b->nr_work == WIRE_CONN_MAX)
			return "more work than connections";
		b->work[b->nr_work++] = msg->work.port;
		b->work_since_ms = broker_now_ms();
		return NULL;
	}
	for (uint32_t i = 0; i < b->nr_work; i++) {
		if (b->work[i] != msg->work.port)
			continue;
		b->work[i] = b->work[--b->nr_work];
		return NULL;
	}
	return "end of work that did not begin";
}

static const char *on_pong(struct broker *b)
{
	if (!b->ping_ms)
		return "answer to no question";
	b->ping_ms = 0;
	return NULL;
}

static const char *on_fatal(struct broker *b, const struct link_msg *msg)
{
	char text[LINK_TEXT_MAX * 4 + 16];

	b->m.dev_failed = true;
	log_quote(msg->fatal.text, strnlen(msg->fatal.text, LINK_TEXT_MAX), text, sizeof(text));
	broker_fail(b, -EHOSTDOWN, "%s: %s", b->m.dev_ready ? "the VM broke the rules" : "no devices for the VM", text);
	return NULL;
}

static const char *handle(struct broker *b, const struct link_msg *msg)
{
	switch (msg->type) {
	case LINK_READY:
		b->m.dev_ready = true;
		return NULL;
	case LINK_AGENT:
		broker_agent_ready(b);
		return NULL;
	case LINK_WANT:
		return on_want(b, msg);
	case LINK_URGE:
		return on_urge(b, msg);
	case LINK_IOERR:
		return on_ioerr(b, msg);
	case LINK_CLIENT_FAILED:
	case LINK_CLIENT_DONE:
		return on_client_end(b, msg);
	case LINK_WORK:
		return on_work(b, msg);
	case LINK_PONG:
		return on_pong(b);
	case LINK_FATAL:
		return on_fatal(b, msg);
	default:
		return "type";
	}
}

void devlink_event(struct watch *w, uint32_t events)
{
	struct broker *b = w->arg;

	if (w->fd < 0)
		return;
	if (events & EPOLLOUT)
		flush(b);
	for (int i = 0; i < DEVLINK_BATCH && b->state < BROKER_FAILED; i++) {
		struct link_msg msg;
		const char *bad;
		size_t nr_fds;
		int r;

		r = link_recv(b->m.link_fd, &msg, NULL, 0, &nr_fds);
		if (r == -EAGAIN)
			return;
		/* It ended with messages of ours unread. This is said once, and before what it said last. */
		if (r == -ECONNRESET)
			continue;
		if (r == 0) {
			events_remove(&b->events, w);
			return;
		}
		bad = r < 0 ? err_name(r) : handle(b, &msg);
		if (bad)
			broker_fail(b, -EPROTO, "bad message from the device process: %s", bad);
	}
}

void devlink_filled(struct watch *w, uint32_t events)
{
	struct broker *b = w->arg;
	struct fill_job *job;

	(void)events;
	while ((job = fill_take(b->m.fill))) {
		struct link_msg msg = { .type = LINK_UNIT, .slot = job->slot };

		msg.unit.unit = job->unit;
		msg.unit.cache_slot = job->cache_slot;
		msg.unit.code = job->code;
		msg.unit.zero = job->zero;
		b->m.cache_job[job->cache_slot] = NULL;
		if (job->code < 0) {
			uint64_t off = job->unit * job->source->unit_bytes, left = job->source->size_bytes - off;

			damage_add(&b->damage, job->slot, off, left < job->source->unit_bytes ? left : job->source->unit_bytes,
				   job->err.text);
		}
		free(job);
		devlink_send(b, &msg, -1);
	}
}
