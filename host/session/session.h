/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_SESSION_SESSION_H
#define HOST_SESSION_SESSION_H

/*
 * A session: its keeper, and a broker with a device process and a VM. One per snapshot or set of disks and user; made on first use,
 * found again by later calls. State directory (mode 0700): $XDG_RUNTIME_DIR/pluck, else /run/pluck/UID, else /tmp/pluck-UID.
 *
 *   HASH.start   flock'ed by whoever looks a session up or starts it
 *   HASH.live    flock'ed by the session as long as it lives; JSON, 0600: {"name","pid","created","disks":[...]}
 *   HASH.sock    its socket, 0600; both ends check the peer's uid
 *
 * HASH: first 32 hex digits of SHA-256 over the key. Whether a session lives is told by the lock, never by the pid.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/wire.h"

#define SESSION_DISKS_MAX 60
#define SESSION_IDLE_NONE UINT32_MAX

struct crypt_key;

enum session_accel { SESSION_ACCEL_AUTO, SESSION_ACCEL_KVM, SESSION_ACCEL_TCG };	/* auto: PLUCK_ACCEL, else KVM if it works */

struct session_disk {
	const char *name;	/* what paths begin with, without ".img.fidx" */
	const char *file;	/* --disk: the raw file */
	const char *archive;	/* store: stored name ("drive-scsi0.img.fidx") */
};

/* What a session serves; strings borrowed. */
struct session_spec {
	const char *repository;	/* absolute directory of a local datastore; NULL: plain disks */
	const char *ns;		/* namespace, "" for the root */
	const char *snapshot;	/* TYPE/ID/TIME */
	const struct crypt_key *key;	/* the snapshot is opened with it; NULL: none. Not part of the HASH */
	const struct session_disk *disks;
	size_t nr_disks;
	uint32_t memory_mib;	/* 0: default */
	uint32_t idle_timeout_s;	/* 0: default 600; SESSION_IDLE_NONE: it ends when nobody uses it */
	const char *mount;	/* text of WIRE_FWCFG_MOUNT; NULL or "": nothing asked. Each has a session of its own */
	/* What follows is for a session that is started; one that runs stays as it is. */
	enum session_accel accel;
	bool reduced_jail;	/* QEMU without namespaces (host/vm/jail.h) */
	unsigned int lock;	/* enum store_lock */
	bool debug;		/* the session logs at debug level */
	bool no_start;		/* -EHOSTDOWN in place of a start: the caller can start no program any more */
};

struct session_conn {
	int fd;			/* connected stream: HTTP to the agent */
	char ticket[WIRE_TICKET_HEX + 1];
	/* what the session was started with; its idle time-out is 0 for SESSION_IDLE_NONE */
	uint32_t memory_mib, idle_timeout_s;
	bool reduced_jail, kvm;
	uint32_t vm;		/* for session_why() */
};

/** called while a session starts: "start QEMU", "boot", "agent ready"; may be NULL */
typedef void session_progress_fn(void *arg, const char *phase);

/**
 * session_connect() - a connection to the agent of the session for @spec; starts the session if there is none
 * Blocks until the agent listens. Return: 0; -EHOSTDOWN the VM failed (text has the reason); -ETIMEDOUT; what opening
 * the sources gives; -EKEYREJECTED the session that runs has another key, or none; negative errno.
 */
int session_connect(const struct session_spec *spec, session_progress_fn *progress, void *arg, struct session_conn *ret,
	struct err *err);

/** session_name() - "REPO:NS/SNAPSHOT" or "disk:NAME=FILE,...", sorted, in malloc'ed memory; NULL without memory. */
char *session_name(const struct session_spec *spec);

/**
 * session_damage() - ranges of sources that could not be read since the session began
 * @ret_json: malloc'ed JSON object {"ranges": [{"disk","offset","length","error"}..], "unlisted", "unlisted-bytes", "uncounted"}, if there
 *            are any: the ranges that are listed, how many are not and their bytes, and whether there are even more than these
 * Return: number of ranges; 0 also if there is no session; negative errno.
 */
int session_damage(const struct session_spec *spec, char **ret_json, struct err *err);

/**
 * session_why() - why did a VM of the session of @spec end? To be asked at once when a stream broke off; takes up to 1.5 s, and 5 s more
 * if the session does not answer.
 * @vm: of the connection
 * Return: -EHOSTDOWN or others with the reason in @err; 0 if the session lives or nothing is known.
 */
int session_why(const struct session_spec *spec, uint32_t vm, struct err *err);

/**
 * session_status_json() - malloc'ed JSON object {"NAME": {"pid","uptime","timeout","state","phase","reason","clients","memory","jail",
 * "accel","limits","vms","left-out","console","disks":[..]} | {"error"}} of all of this user's sessions
 */
int session_status_json(char **ret_json, struct err *err);

/** session_stop() - all of a name as status shows it. Waits until they are gone. Return: 0; -ENOENT. */
int session_stop(const char *name, struct err *err);

/** session_main() - the session process (exec'ed by session_connect()). Return: exit status. */
int session_main(int spec_fd, int ready_fd);

#endif
