/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/reply.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "common/cleanup.h"
#include "common/http.h"
#include "common/wire.h"

#define FRONT 32		/* a chunk line fits */
#define DATA_ROOM (REPLY_ROOM - FRONT - 2)
#define WRITE_MIN 4096
#define SPACE_MIN 4096
#define MOVE_MAX 32768		/* bytes worth moving rather than sending on their own */
#define NOMEM_TRIES 600		/* of up to 50 ms: half a minute */

int reply_init(struct reply *r, int fd)
{
	*r = (struct reply){ .fd = fd, .write_max = REPLY_ROOM };
	r->mem = aligned_alloc(REPLY_ALIGN, REPLY_ROOM + REPLY_ALIGN);
	r->hash = XXH64_createState();
	return r->mem && r->hash ? 0 : -ENOMEM;
}

void reply_free(struct reply *r)
{
	free(r->mem);
	XXH64_freeState(r->hash);
	r->mem = NULL;
	r->hash = NULL;
}

void reply_begin(struct reply *r, const char *type)
{
	(void)XXH64_reset(r->hash, 0);
	r->type = type;
	r->at = FRONT;
	r->len = 0;
	r->bytes = r->entries = r->errors = 0;
	r->head_sent = r->done = false;
	r->exit_status = -1;
	r->note = NULL;
}

/*
 * The guest's vsock makes each packet one contiguous allocation, which fails under memory pressure; a smaller one
 * succeeds, or the same one a little later.
 */
static int send_all(struct reply *r, const uint8_t *p, size_t n)
{
	unsigned int fails = 0;

	while (n) {
		ssize_t k = write(r->fd, p, n < r->write_max ? n : r->write_max);

		if (k > 0) {
			p += k;
			n -= (size_t)k;
			fails = 0;
			if (r->write_max < REPLY_ROOM)
				r->write_max += r->write_max / 8;
		} else if (k < 0 && (errno == ENOMEM || errno == ENOBUFS) && fails < NOMEM_TRIES) {
			struct timespec ts = { .tv_nsec = (fails < 50 ? fails + 1 : 50) * 1000000L };

			fails++;
			r->write_max = r->write_max / 2 > WRITE_MIN ? r->write_max / 2 : WRITE_MIN;
			(void)nanosleep(&ts, NULL);
		} else if (k == 0 || errno != EINTR) {
			r->broken = r->close = true;
			return k == 0 ? -EIO : -errno;
		}
	}
	return 0;
}

static void add_note(const struct reply *r, struct buf *b)
{
	if (r->note && r->note[0])
		buf_fmt(b, "%s: %s\r\n", WIRE_HDR_NOTE, r->note);
}

static int send_head(struct reply *r)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	buf_fmt(&b, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\nTrailer: %s, %s, %s, %s\r\n",
		r->type, WIRE_TRAILER_ENTRIES, WIRE_TRAILER_BYTES, WIRE_TRAILER_ERRORS, WIRE_TRAILER_XXH64);
	add_note(r, &b);
	buf_str(&b, "\r\n");
	if (buf_ok(&b) < 0)
		return buf_ok(&b);
	r->head_sent = true;
	return send_all(r, b.data, b.len);
}

static int flush_chunk(struct reply *r)
{
	CLEANUP_BUF struct buf line = BUF_INIT;
	size_t n = r->len;
	int ret = r->head_sent ? 0 : send_head(r);
	uint8_t *p;

	if (ret < 0 || !n)
		return ret;
	http_write_chunk_line(&line, n);
	if (buf_ok(&line) < 0 || line.len > FRONT)
		return -ENOMEM;
	p = r->mem + r->at;
	(void)XXH64_update(r->hash, p, n);
	memcpy(p - line.len, line.data, line.len);
	memcpy(p + n, "\r\n", 2);
	r->at = FRONT;
	r->len = 0;
	return send_all(r, p - line.len, line.len + n + 2);
}

int reply_flush(struct reply *r)
{
	return r->broken ? -EPIPE : flush_chunk(r);
}

uint8_t *reply_space(struct reply *r, size_t *ret_room)
{
	if (r->broken || (DATA_ROOM - r->len < SPACE_MIN && flush_chunk(r) < 0))
		return NULL;
	*ret_room = DATA_ROOM - r->len;
	return r->mem + r->at + r->len;
}

uint8_t *reply_space_aligned(struct reply *r, size_t *ret_room)
{
	size_t at;

	if (r->broken || (r->len > MOVE_MAX && flush_chunk(r) < 0))
		return NULL;
	at = FRONT + (-(FRONT + r->len) & (REPLY_ALIGN - 1));
	memmove(r->mem + at, r->mem + r->at, r->len);
	r->at = at;
	*ret_room = (DATA_ROOM - r->len) & ~(size_t)(REPLY_ALIGN - 1);
	return r->mem + r->at + r->len;
}

void reply_commit(struct reply *r, size_t n)
{
	r->len += n;
	r->bytes += n;
}

int reply_write(struct reply *r, const void *p, size_t n)
{
	const uint8_t *from = p;

	while (n) {
		size_t room;
		uint8_t *to = reply_space(r, &room);

		if (!to)
			return -EPIPE;
		if (room > n)
			room = n;
		memcpy(to, from, room);
		reply_commit(r, room);
		from += room;
		n -= room;
	}
	return 0;
}

int reply_end(struct reply *r)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	int ret = flush_chunk(r);

	if (ret < 0)
		return ret;
	buf_fmt(&b, "0\r\n%s: %" PRIu64 "\r\n%s: %" PRIu64 "\r\n%s: %" PRIu64 "\r\n%s: %016" PRIx64 "\r\n",
		WIRE_TRAILER_ENTRIES, r->entries, WIRE_TRAILER_BYTES, r->bytes, WIRE_TRAILER_ERRORS, r->errors,
		WIRE_TRAILER_XXH64, (uint64_t)XXH64_digest(r->hash));
	if (r->exit_status >= 0)
		buf_fmt(&b, "%s: %d\r\n", WIRE_TRAILER_EXIT, r->exit_status);
	buf_str(&b, "\r\n");
	r->done = true;
	return buf_ok(&b) < 0 ? buf_ok(&b) : send_all(r, b.data, b.len);
}

static int send_whole(struct reply *r, int status, const char *type, const char *extra, const void *p, size_t n)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	int ret;

	buf_fmt(&b, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s%s", status,
		status == 200 ? "OK" : "Error", type, n, extra, r->close ? "Connection: close\r\n" : "");
	add_note(r, &b);
	buf_str(&b, "\r\n");
	buf_add(&b, p, n);
	r->done = r->head_sent = true;
	if (buf_ok(&b) < 0)
		return buf_ok(&b);
	ret = send_all(r, b.data, b.len);
	return ret;
}

int reply_data(struct reply *r, const char *type, const struct buf *body)
{
	return send_whole(r, 200, type, "", body->data, body->len);
}

int reply_fail(struct reply *r, int status, int code, const char *text)
{
	char extra[64];

	if (r->head_sent) {
		/* the reason, but no checksum: this never passes for a complete stream */
		(void)snprintf(extra, sizeof(extra), "0\r\n%s: %s\r\n\r\n", WIRE_HDR_ERROR, err_name(code));
		if (!r->done && !r->broken)
			(void)send_all(r, (const uint8_t *)extra, strlen(extra));
		r->close = true;
		return -EIO;
	}
	(void)snprintf(extra, sizeof(extra), "%s: %s\r\n", WIRE_HDR_ERROR, err_name(code));
	return send_whole(r, status, "text/plain", extra, text, strlen(text));
}
