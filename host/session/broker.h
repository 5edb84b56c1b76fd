/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_SESSION_BROKER_H
#define HOST_SESSION_BROKER_H

/*
 * The session, inside. The keeper (keeper.c) holds the name, the lock and the socket, and starts a broker for each VM, one after the
 * other. In a broker one thread runs the loop; fill threads decode. machine.c: VM and device process, from start to end;
 * devlink.c: what the device says; callers.c: the control socket; life.c: what is left to the next VM; broker.c: life and death.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"
#include "common/wire.h"
#include "host/link/link.h"
#include "host/session/conlog.h"
#include "host/session/control.h"
#include "host/session/damage.h"
#include "host/session/disks.h"
#include "host/session/fill.h"
#include "host/session/events.h"
#include "host/session/life.h"
#include "host/session/state.h"
#include "host/vm/console.h"
#include "host/vm/vm.h"

#define BROKER_CALLERS_MAX 128
#define BROKER_REQUEST_MS 5000		/* a caller that says nothing */
#define BROKER_ACCEPT_MS 100		/* until the next look whether there are descriptors again */
#define BROKER_NEWS_MS 30000		/* to a caller that waits, which has a time-out of its own */
#define BROKER_BOOT_MS 60000		/* TCG on a busy host */
#define BROKER_KVM_MS 8000		/* then TCG */
#define BROKER_LINGER_MS 3000		/* after a failure, to say why */
#define BROKER_GRACE_MS 5000		/* between two calls of one command, without an idle time-out */
#define BROKER_PING_MS 5000		/* while something is in work */
#define BROKER_HANG_MS 30000		/* without an answer: the guest's kernel is stuck */
#define BROKER_BOOT_LINGER_MS 500	/* to a caller whose request is still under way */
#define BROKER_CACHE_BYTES (256u << 20)
#define BROKER_CACHE_SLOTS_MIN 16
#define BROKER_THREADS 3
#define BROKER_CID 3
#define BROKER_OOM_SIGN "Out of memory: "	/* a guest's kernel says so on its console */

enum broker_state { BROKER_BOOT, BROKER_READY, BROKER_FAILED, BROKER_END };

struct broker;

struct caller {
	struct watch watch;
	struct broker *b;
	uint8_t request[sizeof(struct control_request)];
	size_t got;
	bool waiting;		/* CONNECT, for the agent */
	int64_t deadline_ms;	/* for its request; waiting: of the next news */
	struct caller *next;
};

struct outgoing {
	struct link_msg m;
	int fd;			/* -1: none; owned */
	struct outgoing *next;
};

/* The VM and its device process; made anew when KVM turns out to be broken. */
struct machine {
	bool kvm;
	int ram_fd, cache_fd;
	uint8_t *cache;
	uint64_t cache_slot_bytes;
	uint32_t nr_cache_slots;
	struct fill_job **cache_job;	/* which writes there, by cache slot */
	pid_t dev_pid;
	int dev_pidfd, link_fd;
	struct console *dev_err;
	bool dev_ready, dev_failed;	/* the device process has told so; of a failure it said why */
	struct outgoing *out, **out_last;
	struct vm *vm;
	struct fill *fill;
	struct watch w_link, w_dev_exit, w_dev_err, w_console, w_vm_exit, w_fill;
	int64_t deadline_ms;	/* for the agent's READY */
};

struct broker {
	struct events events;
	const struct session_spec *spec;
	const char *name;
	pid_t pid;		/* of the session: its keeper */
	struct life *life;
	char *lib_dir;
	char ticket[WIRE_TICKET_HEX + 1];
	enum broker_state state;
	bool was_ready;		/* failed after the agent had answered */
	bool learnt;		/* why it failed is of use to a next VM */
	const char *phase;
	struct err reason;	/* why it failed */
	int64_t start_ms, idle_since_ms, idle_ms, linger_until_ms;
	struct watch w_listen, w_signal;
	int64_t listen_at_ms;	/* when callers are accepted again; 0: now */
	struct conlog *conlog;	/* NULL: none could be had */
	uint32_t work[WIRE_CONN_MAX];	/* ports of what the agent works on; one may be there several times */
	uint32_t nr_work;
	int64_t work_since_ms, ping_ms, pinged_ms;	/* ping_ms: the one that has no answer yet; 0: none */
	struct disks disks;
	struct damage damage;
	struct machine m;
	struct caller *callers;
	size_t nr_callers;
	uint32_t active[WIRE_CONN_MAX];	/* ids of clients at the device, 0: free */
	uint32_t nr_active, max_active, last_id;
};

/** broker_start() - the keeper's part, for one VM. Borrowed while it lasts. */
struct broker_start {
	const struct session_spec *spec;
	const char *name;
	struct life *life;
	pid_t pid;
	int64_t start_ms;
	int listen_fd;
	int first_fd;		/* a caller that is connected already, taken over; -1 */
};

/** broker_run() - one VM, from its start to its end. Never twice in a process. */
void broker_run(const struct broker_start *s);

/** broker_now_ms() - CLOCK_MONOTONIC in milliseconds. */
int64_t broker_now_ms(void);

/** broker_fail() - the first reason counts; the loop tears down. */
void broker_fail(struct broker *b, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/** broker_keep_console() - what the VM has said so far goes to its file. */
void broker_keep_console(struct broker *b);
void broker_set_phase(struct broker *b, const char *phase);
/** broker_memory_mib() - of its VM. */
uint32_t broker_memory_mib(const struct broker *b);
/** broker_agent_ready() - callers may be handed on. */
void broker_agent_ready(struct broker *b);

/* machine.c */
/** machine_clear() - nothing there. */
void machine_clear(struct machine *m);
int machine_start(struct broker *b, bool kvm, struct err *err);
void machine_stop(struct broker *b);
/** machine_device_killed() - has somebody else ended the device process (SIGKILL, SIGTERM)? */
bool machine_device_killed(const struct machine *m);

/** machine_insert() - the slots get their disks, once the agent runs: while the kernel starts, one that does not answer would stop it. */
int machine_insert(struct broker *b, struct err *err);

/* devlink.c */
/** devlink_send() - queue a message; @fd is taken over. */
void devlink_send(struct broker *b, const struct link_msg *m, int fd);
void devlink_event(struct watch *w, uint32_t events);
void devlink_filled(struct watch *w, uint32_t events);
void devlink_drop_job(struct fill_job *job);

/* callers.c */
void callers_accept(struct watch *w, uint32_t events);
/** callers_add() - a connected socket, taken over. */
void callers_add(struct broker *b, int fd);
/** callers_phase() - tell those that wait. */
void callers_phase(struct broker *b);
/** callers_serve() - hand those that wait to the agent, as far as there is room. */
void callers_serve(struct broker *b);
/** callers_fail() - give the reason to all that wait. */
void callers_fail(struct broker *b);
/** callers_expire() - drop those that said nothing, give news to those that wait. Return: when the next is due; INT64_MAX. */
int64_t callers_expire(struct broker *b);
void callers_drop_all(struct broker *b);

#endif
