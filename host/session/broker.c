/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/session/broker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/jsonw.h"
#include "common/log.h"
#include "host/confine/confine.h"
#include "host/session/control.h"
#include "host/session/spec.h"
#include "host/source/store/key.h"
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
	if (confine_session(&err) < 0) {
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

/* The best story to be had: QEMU's own end, else what the device said with the console behind it. */
static void tell_reason(struct broker *b)
{
	struct pollfd pfd = { .events = POLLIN };
	char text[ERR_TEXT_MAX - 64];
	size_t used = strlen(b->reason.text);

	if (!b->m.vm)
		return;
	pfd.fd = vm_exit_fd(b->m.vm);
	if (poll(&pfd, 1, BROKER_QEMU_END_MS) == 1) {
		(void)vm_reason(b->m.vm, text, sizeof(text));
		(void)err_text(&b->reason, b->reason.code, "%s", text);
		return;
	}
	(void)vm_console_read(b->m.vm);
	if (vm_console_tail(b->m.vm, text, 600) > 1) {
		text[strlen(text) - 1] = 0;
		(void)snprintf(b->reason.text + used, sizeof(b->reason.text) - used, "; console of the VM:\n%s", text);
	}
}

static int boot(struct broker *b, bool kvm)
{
	struct err err = ERR_INIT;
	int r;

	broker_set_phase(b, "start QEMU");
	r = machine_start(b, kvm, &err);
	if (r < 0)
		broker_fail(b, r == -ENOENT ? -EHOSTDOWN : r, "%s", err.text);
	else
		broker_set_phase(b, "boot");
	return r;
}

/* What is due now. Return: milliseconds until the next thing is; -1. */
static int run_timers(struct broker *b)
{
	int64_t now = broker_now_ms(), next = callers_expire(b), due = INT64_MAX;

	if (b->state == BROKER_BOOT) {
		due = b->m.deadline_ms;
		if (due <= now && b->m.kvm) {
			machine_stop(b);
			(void)boot(b, false);
			return 0;
		}
		if (due <= now)
			broker_fail(b, -ETIMEDOUT, "the VM's agent did not answer within %d s", BROKER_BOOT_MS / 1000);
	} else if (b->state == BROKER_READY && !b->nr_active) {
		due = b->idle_since_ms + (int64_t)b->idle_s * 1000;
		if (due <= now)
			b->state = BROKER_END;
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

/* What others may know about us while the lock is held. */
static int write_live(struct broker *b, struct err *err)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	struct jsonw w = JSONW(&out);
	int r;

	jsonw_object_begin(&w);
	jsonw_key_string(&w, "name", b->name);
	jsonw_key_i64(&w, "pid", getpid());
	jsonw_key_i64(&w, "created", (int64_t)time(NULL));
	jsonw_key(&w, "disks");
	jsonw_array_begin(&w);
	for (size_t i = 0; i < b->spec->nr_disks; i++)
		jsonw_string(&w, b->spec->disks[i].name, strlen(b->spec->disks[i].name));
	jsonw_array_end(&w);
	jsonw_object_end(&w);
	r = buf_ok(&out);
	if (r == 0 && ftruncate(b->live_fd, 0) < 0)
		r = -errno;
	if (r == 0)
		r = io_write_full(b->live_fd, out.data, out.len);
	return r < 0 ? err_set(err, r, "state file") : 0;
}

static int listen_here(struct broker *b, struct err *err)
{
	int r;

	b->dir = state_open_dir(err);
	if (b->dir < 0)
		return b->dir;
	r = spec_hash(b->spec, b->hash, err);
	if (r < 0)
		return r;
	b->live_fd = state_lock(b->dir, b->hash, "live", false);
	if (b->live_fd < 0)
		return err_set(err, b->live_fd, "another session for the same disks");
	/* A socket that one of our kind left when it was killed. */
	state_remove_socket(b->dir, b->hash);
	r = write_live(b, err);
	if (r < 0)
		return r;
	b->w_listen = (struct watch){ .fn = callers_accept, .arg = b };
	b->w_listen.fd = state_listen(b->dir, b->hash, err);
	if (b->w_listen.fd < 0)
		return b->w_listen.fd;
	return events_add(&b->events, &b->w_listen, EPOLLIN);
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
	int r;

	b->name = session_name(b->spec);
	r = b->name ? events_init(&b->events) : -ENOMEM;
	if (r == 0)
		r = watch_signals(b);
	if (r < 0)
		return err_set(err, r, "session");
	r = listen_here(b, err);
	if (r < 0)
		return r;
	if (vm_find_libdir(&b->lib_dir, err) < 0)
		return -EHOSTDOWN;
	r = disks_open(&b->disks, b->spec, b->lib_dir, err);
	return r < 0 ? r : make_ticket(b, err);
}

/* The names go while the lock is still held, and the lock goes last. */
static void release(struct broker *b)
{
	int listen_fd = b->w_listen.fd;

	if (listen_fd >= 0) {
		events_remove(&b->events, &b->w_listen);
		(void)close(listen_fd);
	}
	callers_fail(b);
	callers_drop_all(b);
	machine_stop(b);
	disks_close(&b->disks);
	damage_free(&b->damage);
	if (b->live_fd >= 0) {
		state_remove_stale(b->dir, b->hash);
		(void)close(b->live_fd);
	}
	if (b->w_signal.fd >= 0)
		(void)close(b->w_signal.fd);
	if (b->dir >= 0)
		(void)close(b->dir);
	explicit_bzero(b->ticket, sizeof(b->ticket));
	events_done(&b->events);
	free(b->name);
	free(b->lib_dir);
}

static bool want_kvm(const struct session_spec *spec)
{
	const char *env = getenv("PLUCK_ACCEL");

	if (spec->accel != SESSION_ACCEL_AUTO)
		return spec->accel == SESSION_ACCEL_KVM;
	return env && *env && strcmp(env, "auto") != 0 ? !strcmp(env, "kvm") : kvm_usable();
}

/* One thread yet: all that forks runs before the fill threads are there, but for a second start after KVM failed. */
static int serve(const struct session_spec *spec, int first_fd)
{
	struct broker b = {
		.spec = spec,
		.dir = -1,
		.live_fd = -1,
		.events.epfd = -1,
		.w_listen.fd = -1,
		.w_signal.fd = -1,
		.phase = "open disks",
		.start_ms = broker_now_ms(),
		.idle_s = spec->idle_timeout_s ? spec->idle_timeout_s : SPEC_IDLE_S,
	};
	struct err err = ERR_INIT;
	int r;

	b.m = (struct machine){
		.ram_fd = -1,
		.cache_fd = -1,
		.dev_pidfd = -1,
		.link_fd = -1,
		.w_link.fd = -1,
		.w_dev_exit.fd = -1,
		.w_dev_err.fd = -1,
		.w_console.fd = -1,
		.w_vm_exit.fd = -1,
		.w_fill.fd = -1,
	};
	r = prepare(&b, &err);
	if (r < 0) {
		log_err("%s", err.text);
		(void)control_send(first_fd, CONTROL_ERROR, r, err.text, strlen(err.text), false);
		(void)close(first_fd);
	} else {
		callers_add(&b, first_fd);
		(void)boot(&b, want_kvm(spec));
		run(&b);
	}
	release(&b);
	return r < 0 ? 1 : 0;
}

static int read_spec(int fd, struct spec_copy **ret, struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	size_t len, size;
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0 || st.st_size <= 0 || st.st_size > SPEC_JSON_MAX)
		return err_set(err, -EBADMSG, "spec of the session");
	size = (size_t)st.st_size;
	text = malloc(size);
	if (!text)
		return err_set(err, -ENOMEM, "spec of the session");
	(void)mlock(text, size);
	r = io_pread_full(fd, text, size, 0);
	if (r < 0)
		return err_set(err, r, "spec of the session");
	len = strnlen(text, size);
	r = len == size || size - len - 1 == KEY_BYTES ? spec_from_json(text, len, ret, err)
						       : err_set(err, -EBADMSG, "spec of the session");
	if (r == 0 && len < size)
		r = spec_copy_set_key(*ret, text + len + 1, err);
	explicit_bzero(text, size);
	/* Whoever else has the memfd finds nothing in it any more. */
	if (pwrite(fd, text, size, 0) < 0 || ftruncate(fd, 0) < 0)
		log_debug("spec of the session: %s", strerror(errno));
	return r;
}

int session_main(int spec_fd, int ready_fd)
{
	CLEANUP(spec_copy_freep) struct spec_copy *spec = NULL;
	const struct rlimit none = { 0 };
	struct err err = ERR_INIT;
	int r;

	log_open(STDERR_FILENO, "pluck session: ");
	(void)prctl(PR_SET_DUMPABLE, 0);
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	(void)setrlimit(RLIMIT_CORE, &none);
	(void)umask(077);
	(void)signal(SIGPIPE, SIG_IGN);
	r = read_spec(spec_fd, &spec, &err);
	(void)close(spec_fd);
	if (r < 0) {
		log_err("%s", err.text);
		(void)control_send(ready_fd, CONTROL_ERROR, r, err.text, strlen(err.text), false);
		return 1;
	}
	if (spec_copy_get(spec)->debug)
		log_set_level(LOG_LEVEL_DEBUG);
	return serve(spec_copy_get(spec), ready_fd);
}
