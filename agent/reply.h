/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_REPLY_H
#define AGENT_REPLY_H

/*
 * The answer to one request: whole with a length, or streamed in chunks of up to 256 KiB with the trailer of wire.h.
 * Nothing goes out before the first chunk is full, so that a failure until then is still a proper error answer.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"

#define REPLY_ROOM 262144	/* bytes of one write, framing included */
#define REPLY_ALIGN 4096	/* of direct reads */

struct XXH64_state_s;

struct reply {
	int fd;				/* borrowed */
	uint8_t *mem;			/* room for a chunk line, data, room for CRLF */
	size_t at, len;			/* data bytes waiting: where they begin, how many */
	struct XXH64_state_s *hash;
	const char *type;		/* content type of the stream; NULL: no stream */
	bool head_sent, done;
	bool broken, close;		/* nothing can be sent any more; the connection ends with this answer */
	uint64_t bytes;			/* body bytes, those waiting included */
	uint64_t entries, errors;	/* the caller counts */
	const char *note;		/* of the volume (WIRE_HDR_NOTE), borrowed; NULL or empty: none */
	int exit_status;		/* of a program that was run; -1: none */
	size_t write_max;
};

/** reply_init() - for a connection. Return: 0; -ENOMEM. */
int reply_init(struct reply *r, int fd);
void reply_free(struct reply *r);

/** reply_begin() - start a stream; also makes ready for the next request. */
void reply_begin(struct reply *r, const char *type);

/** reply_write() - body bytes. Return: 0; negative errno of the connection. */
int reply_write(struct reply *r, const void *p, size_t n);

/** reply_space() - where body bytes may be put; @ret_room is at least 4096. NULL: the connection broke. */
uint8_t *reply_space(struct reply *r, size_t *ret_room);

/** reply_space_aligned() - the same; address and @ret_room, which is most of a chunk, are multiples of REPLY_ALIGN. */
uint8_t *reply_space_aligned(struct reply *r, size_t *ret_room);

/** reply_commit() - @n bytes were put there. */
void reply_commit(struct reply *r, size_t n);

/** reply_end() - the last chunk and the trailer. */
int reply_end(struct reply *r);

/** reply_data() - a whole answer. */
int reply_data(struct reply *r, const char *type, const struct buf *body);

/** reply_flush() - send what is there by now, the head first. Return: 0; negative errno. */
int reply_flush(struct reply *r);

/**
 * reply_fail() - the request failed
 * If bytes of a stream are out already the connection will just be closed: no trailer, so not complete.
 */
int reply_fail(struct reply *r, int status, int code, const char *text);

#endif
