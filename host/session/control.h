/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_SESSION_CONTROL_H
#define HOST_SESSION_CONTROL_H

/*
 * What is spoken on a session's socket. The caller sends one request of fixed size. The session answers with frames: a header of fixed
 * size and @length bytes behind it. After the OK of CONNECT (payload: struct control_ready) the stream belongs to the
 * agent: neither end has read or sent a byte too much. Host byte order; both ends belong to the same user. They
 * may be of different versions, while an old session lives on: whatever here changes, the magic changes with it, a session hangs up on
 * another magic, and 'pluck stop' ends the session by a signal then.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/wire.h"

#define CONTROL_MAGIC 0x34434c50u	/* "PLC4": the digit is the version */
#define CONTROL_PAYLOAD_MAX (1u << 20)

enum control_op { CONTROL_CONNECT = 1, CONTROL_STATUS, CONTROL_STOP, CONTROL_DAMAGE, CONTROL_WHY };
enum control_kind { CONTROL_PROGRESS = 1, CONTROL_OK, CONTROL_ERROR };

/* A caller shows its key by the fingerprint: CONNECT is refused unless it is that of the session, or neither has a key. */
struct control_request {
	uint32_t magic;
	uint32_t op;
	uint32_t has_key;	/* 0 or 1 */
	uint8_t fingerprint[32];	/* zero without a key */
	uint32_t number;	/* WHY: of the VM, as CONNECT told; DAMAGE: of the first range that is wanted */
};

/* The session that is there: what it was started with may be other than what this caller asks for. */
struct control_ready {
	uint8_t ticket[WIRE_TICKET_HEX];
	uint32_t memory_mib, idle_s;
	uint32_t reduced_jail, kvm;	/* 0 or 1 */
	uint32_t vm;		/* of this session the first, second, ... */
};

struct control_header {
	uint32_t magic;
	uint32_t kind;
	int32_t code;		/* ERROR: negative errno */
	uint32_t length;
};

/** control_check_request() - Return: 0; -EPROTO. */
int control_check_request(const struct control_request *rq);
/** control_check_header() - Return: 0; -EPROTO. */
int control_check_header(const struct control_header *h);

/** control_send_request() - blocking. @fingerprint: of the key; NULL if there is none. Return: 0; negative errno. */
int control_send_request(int fd, enum control_op op, const uint8_t *fingerprint);
/** control_send_question() - the same for what needs no key. @number: for WHY and DAMAGE. */
int control_send_question(int fd, enum control_op op, uint32_t number);

/**
 * control_send() - one frame, without waiting unless @wait
 * Return: 0; -EAGAIN if it did not fit as a whole (the stream is spoilt then); negative errno.
 */
int control_send(int fd, enum control_kind kind, int code, const void *p, size_t n, bool wait);

/**
 * control_recv() - one frame; waits @timeout_ms for each part
 * @ret_payload: malloc'ed, with a NUL behind it
 * Return: 0; -ENODATA the session ended; -ETIMEDOUT; -EPROTO; negative errno.
 */
int control_recv(int fd, int timeout_ms, struct control_header *ret, char **ret_payload);

#endif
