/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/session/broker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/crypto.h>

#include "common/cleanup.h"
#include "common/jsonw.h"
#include "host/session/control.h"
#include "host/session/room.h"
#include "host/session/spec.h"
#include "host/source/store/key.h"

static void drop(struct caller *c)
{
	struct broker *b = c->b;
	int fd = c->watch.fd;

	for (struct caller **p = &b->callers; *p; p = &(*p)->next) {
		if (*p == c) {
			*p = c->next;
			break;
		}
	}
	b->nr_callers--;
	events_remove(&b->events, &c->watch);
	if (fd >= 0)
		(void)close(fd);
	free(c);
}

static void answer(struct caller *c, int code, const char *text)
{
	(void)control_send(c->watch.fd, code < 0 ? CONTROL_ERROR : CONTROL_OK, code, text, strlen(text), false);
	drop(c);
}

static void answer_reason(struct caller *c)
{
	const struct err *e = &c->b->reason;

	if (e->code)
		answer(c, e->code, e->text);
	else
		answer(c, -ECANCELED, "the session was stopped");
}

static const char *const state_names[] = { "starting", "ready", "failed", "ending" };

static void answer_status(struct caller *c)
{
	struct broker *b = c->b;
	CLEANUP_BUF struct buf out = BUF_INIT;
	struct jsonw w = JSONW(&out);
	int64_t now = broker_now_ms(), left = b->idle_ms;

	if (!b->nr_active && b->state == BROKER_READY)
		left -= now - b->idle_since_ms;
	else if (b->state == BROKER_FAILED)
		left = b->linger_until_ms - now;
	broker_keep_console(b);
	jsonw_object_begin(&w);
	jsonw_key_i64(&w, "pid", b->pid);
	jsonw_key_i64(&w, "uptime", (now - b->start_ms) / 1000);
	jsonw_key_i64(&w, "timeout", left > 0 ? left / 1000 : 0);
	jsonw_key_string(&w, "state", state_names[b->state]);
	if (b->state == BROKER_BOOT)
		jsonw_key_string(&w, "phase", b->phase);
	if (b->state == BROKER_FAILED)
		jsonw_key_string(&w, "reason", b->reason.text);
	jsonw_key_u64(&w, "clients", b->nr_active);
	jsonw_key_string(&w, "jail", b->spec->reduced_jail ? "reduced" : "strict");
	jsonw_key_string(&w, "accel", b->m.kvm ? "kvm" : "tcg");
	if (b->m.vm)
		jsonw_key_string(&w, "limits", vm_limits(b->m.vm));
	jsonw_key_u64(&w, "memory", broker_memory_mib(b));
	jsonw_key_u64(&w, "vms", b->life->nr_vms);
	jsonw_key_u64(&w, "left-out", b->life->nr_left_out);
	if (b->conlog)
		jsonw_key_string(&w, "console", conlog_path(b->conlog));
	spec_tell_disks(b->spec, &w);
	jsonw_object_end(&w);
	answer(c, buf_cstr(&out) ? 0 : -ENOMEM, buf_cstr(&out) ? buf_cstr(&out) : "status");
}

/* The VM lives, but its kernel may have ended what this caller waited for. Nothing but a hint is made of what a guest says. */
static void answer_memory(struct caller *c)
{
	char text[2048], answer_text[600], *at;

	*text = *answer_text = 0;
	if (c->b->m.vm) {
		(void)vm_console_read(c->b->m.vm);
		(void)vm_console_tail(c->b->m.vm, text, sizeof(text));
	}
	at = strstr(text, BROKER_OOM_SIGN);
	if (at) {
		at[strcspn(at, "\n")] = 0;
		(void)snprintf(answer_text, sizeof(answer_text), "the VM has not enough memory: --memory gives a new one more "
			       "(this one has %u MiB); its console says: %.300s", broker_memory_mib(c->b), at);
	}
	answer(c, at ? -EHOSTDOWN : 0, answer_text);
}

static const char *name_of(void *arg, uint32_t disk)
{
	return disks_name(arg, disk);
}

static void answer_damage(struct caller *c, uint32_t first)
{
	CLEANUP_FREE char *text = damage_json(&c->b->damage, first, name_of, &c->b->disks);

	answer(c, text ? 0 : -ENOMEM, text ? text : "damage");
}

/* What it waits for; without news it would take us for dead. */
static void tell_waiting(struct caller *c)
{
	const char *text = c->b->state == BROKER_READY ? "wait until one of the calls that are served ends" : c->b->phase;

	(void)control_send(c->watch.fd, CONTROL_PROGRESS, 0, text, strlen(text), false);
	c->deadline_ms = broker_now_ms() + BROKER_NEWS_MS;
}

static void begin_wait(struct caller *c)
{
	struct broker *b = c->b;

	/* A new call wants a new VM, not the story of the old one: it comes again when we are gone. */
	if (b->state == BROKER_FAILED && !b->was_ready) {
		answer_reason(c);
		return;
	}
	if (b->state >= BROKER_FAILED) {
		b->life->again = b->life->again || (b->state == BROKER_FAILED && b->learnt);
		b->state = BROKER_END;
		drop(c);
		return;
	}
	c->waiting = true;
	(void)events_change(&b->events, &c->watch, EPOLLRDHUP);
	if (b->state == BROKER_READY && b->nr_active < b->max_active)
		callers_serve(b);
	else
		tell_waiting(c);
}

/* May this caller see what our key opens? */
static bool shows_our_key(const struct caller *c, const struct control_request *rq)
{
	const struct crypt_key *key = c->b->spec->key;

	if (!key || !rq->has_key)
		return !key && !rq->has_key;
	return !CRYPTO_memcmp(key->fingerprint, rq->fingerprint, sizeof(rq->fingerprint));
}

static void refuse_key(struct caller *c, bool shown)
{
	if (!c->b->spec->key)
		answer(c, -EKEYREJECTED,
			"the running session has opened the snapshot without a key; stop it first ('pluck stop "
			"SNAPSHOT')");
	else if (shown)
		answer(c, -EKEYREJECTED, "wrong key: the running session has opened the snapshot with another one");
	else
		answer(c, -EKEYREJECTED, "no key: the running session has opened the snapshot with one");
}

/* Of a stream that broke off: this VM's end, or that of the one before it. */
static void answer_why(struct caller *c, uint32_t vm)
{
	const struct life *l = c->b->life;

	if (vm < l->nr_vms && vm == l->ended_vm)
		answer(c, l->reason.code, l->reason.text);
	else if (c->b->state == BROKER_FAILED)
		answer_reason(c);
	else
		answer_memory(c);
}

static void serve_request(struct caller *c)
{
	struct broker *b = c->b;
	struct control_request rq;

	memcpy(&rq, c->request, sizeof(rq));
	if (control_check_request(&rq) < 0) {
		drop(c);
		return;
	}
	switch ((enum control_op)rq.op) {
	case CONTROL_CONNECT:
		if (shows_our_key(c, &rq))
			begin_wait(c);
		else
			refuse_key(c, rq.has_key);
		break;
	case CONTROL_STATUS:
		answer_status(c);
		break;
	case CONTROL_DAMAGE:
		answer_damage(c, rq.number);
		break;
	case CONTROL_WHY:
		answer_why(c, rq.number);
		break;
	case CONTROL_STOP:
		b->state = BROKER_END;
		answer(c, 0, "");
		break;
	}
}

static void on_caller(struct watch *w, uint32_t events)
{
	struct caller *c = w->arg;
	ssize_t n;

	if (c->waiting) {
		drop(c);
		return;
	}
	/* Not one byte more: what follows is not ours. */
	n = recv(w->fd, c->request + c->got, sizeof(c->request) - c->got, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR) && !(events & (EPOLLHUP | EPOLLERR)))
		return;
	if (n <= 0) {
		drop(c);
		return;
	}
	c->got += (size_t)n;
	if (c->got == sizeof(c->request))
		serve_request(c);
}

void callers_add(struct broker *b, int fd)
{
	struct caller *c = state_check_peer(fd) == 0 && b->nr_callers < BROKER_CALLERS_MAX ? calloc(1, sizeof(*c)) : NULL;

	if (!c) {
		(void)close(fd);
		return;
	}
	c->b = b;
	c->watch = (struct watch){ .fd = fd, .fn = on_caller, .arg = c };
	c->deadline_ms = broker_now_ms() + BROKER_REQUEST_MS;
	c->next = b->callers;
	b->callers = c;
	b->nr_callers++;
	if (events_add(&b->events, &c->watch, EPOLLIN) < 0)
		drop(c);
}

/* Those that come wait where the kernel keeps them. Nobody tells us when there are descriptors again, ours or the host's. */
static void pause_listening(struct broker *b)
{
	b->listen_at_ms = broker_now_ms() + BROKER_ACCEPT_MS;
	(void)events_change(&b->events, &b->w_listen, 0);
}

void callers_accept(struct watch *w, uint32_t events)
{
	int fd = -1;

	(void)events;
	errno = EMFILE;
	if (room_for_caller(w->fd))
		fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		callers_add(w->arg, fd);
	else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
		pause_listening(w->arg);
}

void callers_phase(struct broker *b)
{
	for (struct caller *c = b->callers; c; c = c->next)
		if (c->waiting)
			(void)control_send(c->watch.fd, CONTROL_PROGRESS, 0, b->phase, strlen(b->phase), false);
}

/* The stream is the agent's from here on. */
static void hand_on(struct caller *c)
{
	struct broker *b = c->b;
	struct link_msg msg = { .type = LINK_CLIENT };
	struct control_ready ready = {
		.memory_mib = broker_memory_mib(b),
		.idle_s = b->spec->idle_timeout_s == SESSION_IDLE_NONE ? 0 : (uint32_t)(b->idle_ms / 1000),
		.reduced_jail = b->spec->reduced_jail, .kvm = b->m.kvm, .vm = b->life->nr_vms,
	};
	int fd = c->watch.fd, r;

	events_remove(&b->events, &c->watch);
	memcpy(ready.ticket, b->ticket, sizeof(ready.ticket));
	r = control_send(fd, CONTROL_OK, 0, &ready, sizeof(ready), false);
	explicit_bzero(&ready, sizeof(ready));
	if (r < 0) {
		(void)close(fd);
		drop(c);
		return;
	}
	if (++b->last_id == 0)
		b->last_id = 1;
	for (size_t i = 0; i < WIRE_CONN_MAX; i++) {
		if (!b->active[i]) {
			b->active[i] = b->last_id;
			break;
		}
	}
	b->nr_active++;
	msg.client.port = WIRE_PORT;
	msg.client.id = b->last_id;
	devlink_send(b, &msg, fd);
	drop(c);
}

void callers_serve(struct broker *b)
{
	struct caller *c = b->callers;

	while (b->state == BROKER_READY && b->nr_active < b->max_active && c) {
		struct caller *next = c->next;

		if (c->waiting)
			hand_on(c);
		c = next;
	}
}

void callers_fail(struct broker *b)
{
	struct caller *c = b->callers;

	while (c) {
		struct caller *next = c->next;

		if (c->waiting)
			answer_reason(c);
		c = next;
	}
}

int64_t callers_expire(struct broker *b)
{
	int64_t now = broker_now_ms(), next_ms = INT64_MAX;
	struct caller *c = b->callers;

	if (b->listen_at_ms && b->listen_at_ms <= now) {
		b->listen_at_ms = 0;
		(void)events_change(&b->events, &b->w_listen, EPOLLIN);
	}
	if (b->listen_at_ms)
		next_ms = b->listen_at_ms;

	while (c) {
		struct caller *next = c->next;

		if (c->deadline_ms <= now && !c->waiting) {
			drop(c);
		} else {
			if (c->deadline_ms <= now)
				tell_waiting(c);
			if (c->deadline_ms < next_ms)
				next_ms = c->deadline_ms;
		}
		c = next;
	}
	return next_ms;
}

void callers_drop_all(struct broker *b)
{
	while (b->callers)
		drop(b->callers);
}
