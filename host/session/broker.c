/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/session/broker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "host/confine/confine.h"
#include "host/session/control.h"
#include "host/session/spec.h"
#include "host/vm/kvm.h"

#define BROKER_QEMU_END_MS 200		/* QEMU's end may be the cause of the device's */

int64_t broker_now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void broker_fail(struct broker *b, int code, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	if (b->state >= BROKER_FAILED)
		return;
	if (b->state == BROKER_BOOT && b->m.kvm && b->m.vm) {
		b->m.deadline_ms = 0;	/* TCG may do better */
		return;
	}
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	err_text(&b->reason, code, "%s", text);
	b->was_ready = b->state == BROKER_READY;
	b->linger_until_ms = broker_now_ms() + (b->was_ready ? BROKER_LINGER_MS : BROKER_BOOT_LINGER_MS);
	b->state = BROKER_FAILED;
}

uint32_t broker_memory_mib(const struct broker *b)
{
	return b->spec->memory_mib ? b->spec->memory_mib : SPEC_MEMORY_MIB;
}

void broker_set_phase(struct broker *b, const char *phase)
{
	b->phase = phase;
	log_debug("%s", phase);
	callers_phase(b);
}

void broker_agent_ready(struct broker *b)
{
	struct err err = ERR_INIT;

	if (b->state != BROKER_BOOT)
		return;
	/* From here on nothing is started, and disks are mounted. */
	if (machine_insert(b, &err) < 0 || confine_session(&err) < 0) {
		broker_fail(b, err.code, "%s", err.text);
		return;
	}
	b->state = BROKER_READY;
	b->idle_since_ms = broker_now_ms();
	broker_set_phase(b, "agent ready");
	callers_serve(b);
}

static void on_signal(struct watch *w, uint32_t events)
{
	struct broker *b = w->arg;
	struct signalfd_siginfo si;

	(void)events;
	(void)!read(w->fd, &si, sizeof(si));
	b->state = BROKER_END;
}

void broker_keep_console(struct broker *b)
{
	int r = b->conlog && b->m.vm ? conlog_write(b->conlog, vm_console(b->m.vm)) : 0;

	if (r < 0)
		log_warn("%s: %s", conlog_path(b->conlog), strerror(-r));
}

/* Which file has all of the console: the sentence goes in front, since the console's lines may fill what room there is. */
static void tell_console_log(struct broker *b)
{
	struct err e = b->reason;

	if (b->conlog)
		(void)err_text(&b->reason, e.code, "the VM has ended (%.300s has its console): %s", conlog_path(b->conlog), e.text);
}

/* Nothing but a hint is made of what a guest says. */
static void tell_memory(struct broker *b)
{
	struct err e = b->reason;

	if (strstr(e.text, BROKER_OOM_SIGN))
		(void)err_text(&b->reason, e.code,
			"the VM has not enough memory: --memory gives a new one more (this one has %u MiB): %s",
			broker_memory_mib(b), e.text);
}

/* The best story to be had: what the device said, else QEMU's own end, which follows that of the device; the console behind it. */
static void tell_reason(struct broker *b)
{
	struct pollfd pfd = { .events = POLLIN };
	char text[ERR_TEXT_MAX - 64];
	size_t used = strlen(b->reason.text);

	if (!b->m.vm)
		return;
	pfd.fd = vm_exit_fd(b->m.vm);
	if (!b->m.dev_failed && poll(&pfd, 1, BROKER_QEMU_END_MS) == 1) {
		(void)vm_reason(b->m.vm, text, sizeof(text));
		(void)err_text(&b->reason, b->reason.code, "%s", text);
	} else {
		(void)vm_console_read(b->m.vm);
		if (console_signs(vm_console(b->m.vm), text, 600) > 1 || vm_console_tail(b->m.vm, text, 600) > 1) {
			text[strlen(text) - 1] = 0;
			(void)snprintf(b->reason.text + used, sizeof(b->reason.text) - used, "; console of the VM:\n%s", text);
		}
	}
	tell_console_log(b);
	tell_memory(b);
}

/* What was in work when the VM ended by itself is not given to the next one. */
static void learn(struct broker *b)
{
	if (b->m.vm && b->was_ready && !vm_was_killed(b->m.vm) && !machine_device_killed(&b->m))
		b->learnt = life_blame(b->life, b->work, b->nr_work) > 0;
	if (b->life->nr_vms >= LIFE_VMS_MAX)
		b->learnt = false;
	if (b->learnt)
		b->linger_until_ms = broker_now_ms() + b->idle_ms;
	b->life->ended_vm = b->life->nr_vms;
	b->life->reason = b->reason;
}

static int boot(struct broker *b, bool kvm)
{
	struct err err = ERR_INIT;
	int r;

	broker_set_phase(b, kvm ? "start QEMU with KVM" : "start QEMU");
	r = machine_start(b, kvm, &err);
	if (r < 0 && kvm) {
		log_warn("%s: trying without KVM", err.text);
		machine_stop(b);
		return boot(b, false);
	}
	if (r < 0)
		broker_fail(b, r == -ENOENT ? -EHOSTDOWN : r, "%s", err.text);
	else
		broker_set_phase(b, "boot");
	return r;
}

/*
 * A kernel that loops for ever takes the only processor of the VM, and with it every other volume. The clock starts anew with each
 * answer, and when work begins.
 */
static int64_t watch_work(struct broker *b, int64_t now, int64_t due)
{
	struct link_msg ping = { .type = LINK_PING };
	int64_t since, next;

	if (!b->nr_work)
		return due;
	since = b->ping_ms > b->work_since_ms ? b->ping_ms : b->work_since_ms;
	if (b->ping_ms && now - since >= BROKER_HANG_MS) {
		broker_fail(b, -EHOSTDOWN, "the VM's kernel has been stuck for %d s", BROKER_HANG_MS / 1000);
		return now;
	}
	if (!b->ping_ms && now - b->pinged_ms >= BROKER_PING_MS) {
		b->ping_ms = b->pinged_ms = now;
		devlink_send(b, &ping, -1);
		since = now;
	}
	next = b->ping_ms ? since + BROKER_HANG_MS : b->pinged_ms + BROKER_PING_MS;
	return next < due ? next : due;
}

/* What is due now. Return: milliseconds until the next thing is; -1. */
static int run_timers(struct broker *b)
{
	int64_t now = broker_now_ms(), next = callers_expire(b), due = INT64_MAX;

	if (b->state == BROKER_BOOT) {
		due = b->m.deadline_ms;
		if (due <= now && b->m.kvm) {
			log_warn("no sign of life from the VM under KVM: trying without");
			if (b->spec->accel == SESSION_ACCEL_AUTO)
				kvm_distrust();
			machine_stop(b);
			(void)boot(b, false);
			return 0;
		}
		if (due <= now)
			broker_fail(b, -ETIMEDOUT, "the VM's agent did not answer within %d s", BROKER_BOOT_MS / 1000);
	} else if (b->state == BROKER_READY) {
		due = b->nr_active ? INT64_MAX : b->idle_since_ms + b->idle_ms;
		if (due <= now)
			b->state = BROKER_END;
		else
			due = watch_work(b, now, due);
	} else if (b->state == BROKER_FAILED) {
		due = b->linger_until_ms;
		if (due <= now || (!b->was_ready && !b->nr_callers))
			b->state = BROKER_END;
	}
	if (due < next)
		next = due;
	if (next == INT64_MAX)
		return -1;
	return next <= now ? 0 : next - now > 3600000 ? 3600000 : (int)(next - now);
}

static void run(struct broker *b)
{
	bool told = false;

	while (b->state != BROKER_END) {
		int timeout = run_timers(b);

		if (b->state == BROKER_FAILED && !told) {
			tell_reason(b);
			learn(b);
			log_err("%s", b->reason.text);
			callers_fail(b);
			machine_stop(b);
			told = true;
			continue;
		}
		if (b->state != BROKER_END && events_once(&b->events, timeout) < 0)
			b->state = BROKER_END;
	}
}

static int make_ticket(struct broker *b, struct err *err)
{
	uint8_t raw[WIRE_TICKET_HEX / 2];

	if (getrandom(raw, sizeof(raw), 0) != (ssize_t)sizeof(raw))
		return err_set(err, -EIO, "random bytes");
	for (size_t i = 0; i < sizeof(raw); i++)
		(void)sprintf(b->ticket + 2 * i, "%02x", raw[i]);
	explicit_bzero(raw, sizeof(raw));
	return 0;
}

static int watch_signals(struct broker *b)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_SETMASK, &set, NULL) < 0)
		return -errno;
	b->w_signal = (struct watch){ .fn = on_signal, .arg = b };
	b->w_signal.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return b->w_signal.fd < 0 ? -errno : events_add(&b->events, &b->w_signal, EPOLLIN);
}

static int prepare(struct broker *b, struct err *err)
{
	int r = vm_find_libdir(&b->lib_dir, err);

	if (r < 0)
		return -EHOSTDOWN;
	r = disks_open(&b->disks, b->spec, b->lib_dir, err);
	return r < 0 ? r : make_ticket(b, err);
}

static int open_loop(struct broker *b, const struct broker_start *s)
{
	int r = events_init(&b->events);

	if (r == 0)
		r = watch_signals(b);
	b->w_listen = (struct watch){ .fd = s->listen_fd, .fn = callers_accept, .arg = b };
	return r < 0 ? r : events_add(&b->events, &b->w_listen, EPOLLIN);
}

static void release(struct broker *b)
{
	callers_fail(b);
	callers_drop_all(b);
	machine_stop(b);
	disks_close(&b->disks);
	damage_free(&b->damage);
	conlog_close(b->conlog);
	if (b->w_signal.fd >= 0)
		(void)close(b->w_signal.fd);
	explicit_bzero(b->ticket, sizeof(b->ticket));
	events_done(&b->events);
	free(b->lib_dir);
}

static bool want_kvm(const struct session_spec *spec)
{
	const char *env = getenv("PLUCK_ACCEL");

	if (spec->accel != SESSION_ACCEL_AUTO)
		return spec->accel == SESSION_ACCEL_KVM;
	return env && *env && strcmp(env, "auto") != 0 ? !strcmp(env, "kvm") : kvm_usable();
}

static void open_console_log(struct broker *b)
{
	struct err err = ERR_INIT;

	if (conlog_open(b->name, &b->conlog, &err) < 0)
		log_warn("%s", err.text);
}

static int64_t idle_ms(const struct session_spec *spec)
{
	if (spec->idle_timeout_s == SESSION_IDLE_NONE)
		return BROKER_GRACE_MS;
	return (int64_t)(spec->idle_timeout_s ? spec->idle_timeout_s : SPEC_IDLE_S) * 1000;
}

/* One thread yet: all that forks runs before the fill threads are there, but for a second start after KVM failed. */
void broker_run(const struct broker_start *s)
{
	struct broker b = {
		.spec = s->spec,
		.name = s->name,
		.pid = s->pid,
		.life = s->life,
		.events.epfd = -1,
		.w_listen.fd = -1,
		.w_signal.fd = -1,
		.phase = "open disks",
		.start_ms = s->start_ms,
		.idle_ms = idle_ms(s->spec),
	};
	struct err err = ERR_INIT;
	int r;

	machine_clear(&b.m);
	r = open_loop(&b, s);
	if (r < 0) {
		log_err("session: %s", strerror(-r));
		(void)control_send(s->first_fd, CONTROL_ERROR, r, strerror(-r), strlen(strerror(-r)), false);
		release(&b);
		return;
	}
	if (s->first_fd >= 0)
		callers_add(&b, s->first_fd);
	open_console_log(&b);
	r = prepare(&b, &err);
	if (r < 0)
		broker_fail(&b, r, "%s", err.text);
	else
		(void)boot(&b, want_kvm(s->spec));
	run(&b);
	release(&b);
}
