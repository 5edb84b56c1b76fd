/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/client/client.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "common/b64.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "common/http.h"
#include "common/log.h"
#include "common/wire.h"
#include "host/client/client_int.h"

#define ROOM 262144
#define ERROR_BODY_MAX 4096
#define TIMEOUT_DEFAULT_MS 120000
#define NSEC_MS 1000000

struct client {
	int fd;
	char ticket[WIRE_TICKET_HEX + 1];
	uint32_t timeout_ms;
	struct timespec since;		/* when something useful came last: a head, or bytes of a body */
	bool busy, broken;		/* an answer is being read; nothing more can be had of this connection */
	bool stream;			/* the answer must end with the trailer of wire.h */
	struct http_head head;		/* points into head_bytes */
	char head_bytes[HTTP_HEAD_MAX];
	struct http_body body;
	char in[ROOM];			/* received, not yet consumed */
	const char *p;
	size_t left;
	const char *run;		/* body bytes that client_read() has yet to hand out, within in[] */
	size_t run_left;
	XXH64_state_t *hash;
	uint64_t body_bytes;
	struct client_totals totals;
	char note[2 * WIRE_NOTE_MAX];	/* of the last answer, made safe */
};

struct client *client_new(int fd, const char *ticket)
{
	struct client *c = calloc(1, sizeof(*c));

	if (c)
		c->hash = XXH64_createState();
	if (!c || !c->hash || strlen(ticket) >= sizeof(c->ticket)) {
		if (c)
			(void)XXH64_freeState(c->hash);
		free(c);
		(void)close(fd);
		return NULL;
	}
	c->fd = fd;
	strcpy(c->ticket, ticket);
	c->timeout_ms = TIMEOUT_DEFAULT_MS;
	return c;
}

void client_free(struct client *c)
{
	if (!c)
		return;
	(void)close(c->fd);
	(void)XXH64_freeState(c->hash);
	explicit_bzero(c->ticket, sizeof(c->ticket));
	free(c);
}

void client_set_timeout(struct client *c, uint32_t timeout_ms)
{
	c->timeout_ms = timeout_ms;
}

const struct client_totals *client_last_totals(const struct client *c)
{
	return &c->totals;
}

const char *client_note(const struct client *c)
{
	return c->note[0] ? c->note : NULL;
}

static int broken(struct client *c, int code)
{
	c->broken = true;
	return code;
}

static int broke_off(struct client *c, struct err *err)
{
	return broken(c, err_text(err, -ENODATA, "the connection to the VM broke off"));
}

static void begin_wait(struct client *c)
{
	(void)clock_gettime(CLOCK_MONOTONIC, &c->since);
}

/* For poll(): what is left of the time-out. Framing that drips byte by byte does not begin it anew. */
static int wait_ms(const struct client *c)
{
	struct timespec now;
	int64_t ms;

	if (!c->timeout_ms)
		return -1;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	ms = (int64_t)c->timeout_ms - (now.tv_sec - c->since.tv_sec) * 1000 - (now.tv_nsec - c->since.tv_nsec) / NSEC_MS;
	return ms < 0 ? 0 : ms > INT_MAX ? INT_MAX : (int)ms;
}

/* More bytes into c->in, which is empty or is kept from its start. */
static int receive(struct client *c, struct err *err)
{
	struct pollfd pfd = { .fd = c->fd, .events = POLLIN };
	ssize_t n;
	int r;

	do
		r = poll(&pfd, 1, wait_ms(c));
	while (r < 0 && errno == EINTR);
	if (r == 0)
		return broken(c, err_text(err, -ETIMEDOUT, "the VM has not answered for %u s", c->timeout_ms / 1000));
	n = r < 0 ? -1 : read(c->fd, c->in, sizeof(c->in));
	if (n == 0 || (n < 0 && errno == ECONNRESET))
		return broke_off(c, err);
	if (n < 0)
		return broken(c, err_set(err, -errno, "read from the VM"));
	c->p = c->in;
	c->left = (size_t)n;
	return 0;
}

static int read_head(struct client *c, struct err *err)
{
	size_t len = 0;

	for (;;) {
		size_t n;
		long end;
		int r;

		if (!c->left) {
			r = receive(c, err);
			if (r < 0)
				return r;
		}
		n = c->left < sizeof(c->head_bytes) - len ? c->left : sizeof(c->head_bytes) - len;
		memcpy(c->head_bytes + len, c->p, n);
		end = http_head_end(c->head_bytes, len + n);
		if (end < 0)
			return broken(c, err_text(err, -EPROTO, "the VM's answer has a malformed or endless head"));
		if (end > 0) {
			c->p += (size_t)end - len;
			c->left -= (size_t)end - len;
			r = http_parse_response(c->head_bytes, (size_t)end, &c->head);
			return r < 0 ? broken(c, err_text(err, -EPROTO, "the VM's answer has a malformed head")) : 0;
		}
		len += n;
		c->p += n;
		c->left -= n;
	}
}

/* The next run of body bytes. Return: 1 with a run; 0 at the end; negative errno. */
static int next_run(struct client *c, const char **ret, size_t *ret_len, struct err *err)
{
	for (;;) {
		int r;

		r = http_body_next(&c->body, &c->p, &c->left, ret, ret_len);
		if (r < 0)
			return broken(c, err_text(err, -EPROTO, "the VM's answer has malformed framing"));
		if (*ret_len) {
			begin_wait(c);
			return 1;
		}
		if (r == 1)
			return 0;
		if (c->left)
			continue;
		r = receive(c, err);
		if (r < 0)
			return r;
	}
}

/* An error that the agent names. Those that tell of our own end of things must not come from there. */
static int agent_code(const struct http_field *name)
{
	static const int ours[] = { EPIPE, EINTR, EAGAIN, ENOTCONN, ENOSPC, EDQUOT, EHOSTDOWN };
	int code = err_from_name(name->value, name->value_len);

	for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++)
		if (code == -ours[i])
			return -EIO;
	return code;
}

/* An answer that is not 200: its text, escaped, under the errno that the agent names. */
static int error_answer(struct client *c, struct err *err)
{
	const struct http_field *name = http_field(&c->head, WIRE_HDR_ERROR);
	CLEANUP_BUF struct buf text = { .limit = ERROR_BODY_MAX };
	char quoted[ERROR_BODY_MAX / 8];
	int code = name ? agent_code(name) : -EPROTO;
	const char *p;
	size_t n;
	int r;

	while ((r = next_run(c, &p, &n, err)) > 0) {
		buf_add(&text, p, n);
		if (buf_ok(&text) < 0)
			return broken(c, err_text(err, -EPROTO, "the VM's error message is longer than %d bytes", ERROR_BODY_MAX));
	}
	if (r < 0)
		return r;
	c->busy = false;
	if (!text.len)
		return err_text(err, code, "the VM answers with status %d and no reason", c->head.status);
	return err_text(err, code, "%s", log_quote(text.data, text.len, quoted, sizeof(quoted)));
}

static int send_all(int fd, const uint8_t *p, size_t n)
{
	while (n) {
		ssize_t w = send(fd, p, n, MSG_NOSIGNAL);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return -errno;
		p += w;
		n -= (size_t)w;
	}
	return 0;
}

static void take_note(struct client *c)
{
	const struct http_field *note = http_field(&c->head, WIRE_HDR_NOTE);

	if (note)
		(void)log_quote(note->value, note->value_len < WIRE_NOTE_MAX ? note->value_len : WIRE_NOTE_MAX, c->note,
				sizeof(c->note));
}

int client_begin(struct client *c, const struct buf *target, bool stream, struct err *err)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	int r;

	if (c->broken || c->busy)
		return err_text(err, -ENOTCONN, "the connection to the VM is in use or broken");
	if (c->left)
		return broken(c, err_text(err, -EPROTO, "the VM answered before it was asked"));
	buf_str(&b, "GET " WIRE_API "/");
	buf_add(&b, target->data, target->len);
	buf_fmt(&b, " HTTP/1.1\r\nHost: agent\r\nAuthorization: %s\r\n\r\n", c->ticket);
	if (buf_ok(target) < 0 || buf_ok(&b) < 0)
		return err_set(err, -ENOMEM, "request");
	if (b.len > HTTP_HEAD_MAX)
		return err_set(err, -ENAMETOOLONG, "request");
	r = send_all(c->fd, b.data, b.len);
	explicit_bzero(b.data, b.len);
	if (r == -EPIPE || r == -ECONNRESET)
		return broke_off(c, err);
	if (r < 0)
		return broken(c, err_set(err, r, "write to the VM"));
	c->busy = true;
	c->stream = stream;
	c->body_bytes = c->run_left = 0;
	c->note[0] = 0;
	c->totals = (struct client_totals){ .exit_status = -1 };
	(void)XXH64_reset(c->hash, 0);
	begin_wait(c);
	r = read_head(c, err);
	if (r < 0)
		return r;
	begin_wait(c);
	take_note(c);
	if (http_body_init(&c->body, &c->head) < 0 || (stream && c->head.status == 200 && !c->head.chunked))
		return broken(c, err_text(err, -EPROTO, "the VM's answer has no usable length"));
	return c->head.status == 200 ? 0 : error_answer(c, err);
}

static int trailer_u64(const struct client *c, const char *name, uint64_t *ret)
{
	const struct http_field *f = http_trailer(&c->body, name);

	return f ? http_field_u64(f, ret) : -EBADMSG;
}

static int trailer_hash(const struct client *c, uint64_t *ret)
{
	const struct http_field *f = http_trailer(&c->body, WIRE_TRAILER_XXH64);
	char text[17], *end;

	if (!f || f->value_len != 16)
		return -EBADMSG;
	memcpy(text, f->value, 16);
	text[16] = 0;
	if (strspn(text, "0123456789abcdef") != 16)
		return -EBADMSG;
	*ret = strtoull(text, &end, 16);
	return 0;
}

/* The stream is over: is it what the agent says it sent? */
static int check_trailer(struct client *c, struct err *err)
{
	const struct http_field *gave_up = http_trailer(&c->body, WIRE_HDR_ERROR);
	struct client_totals t = { .exit_status = -1 };
	uint64_t hash, status;

	if (gave_up)
		return err_set(err, agent_code(gave_up), "the agent had to give up");
	if (trailer_u64(c, WIRE_TRAILER_ENTRIES, &t.entries) < 0 || trailer_u64(c, WIRE_TRAILER_BYTES, &t.bytes) < 0 ||
	    trailer_u64(c, WIRE_TRAILER_ERRORS, &t.errors) < 0 || trailer_hash(c, &hash) < 0)
		return broken(c, err_text(err, -EPROTO, "the stream has no good trailer: it is incomplete"));
	if (t.bytes != c->body_bytes || hash != XXH64_digest(c->hash))
		return broken(c, err_text(err, -EPROTO, "the stream is not what its trailer says: it was changed or cut"));
	if (http_trailer(&c->body, WIRE_TRAILER_EXIT)) {
		if (trailer_u64(c, WIRE_TRAILER_EXIT, &status) < 0 || status > 255)
			return broken(c, err_text(err, -EPROTO, "the stream's trailer has no valid exit status"));
		t.exit_status = (int)status;
	}
	c->totals = t;
	return 0;
}

int client_next(struct client *c, const char **ret, size_t *ret_len, struct err *err)
{
	int r;

	if (!c->busy || c->broken)
		return err_text(err, -ENOTCONN, "no answer is being read");
	r = next_run(c, ret, ret_len, err);
	if (r > 0) {
		c->body_bytes += *ret_len;
		(void)XXH64_update(c->hash, *ret, *ret_len);
		return 1;
	}
	if (r == 0) {
		c->busy = false;
		if (c->head.close)
			c->broken = true;
	}
	return r == 0 && c->stream ? check_trailer(c, err) : r;
}

void client_abandon(struct client *c)
{
	c->broken = true;
}

ssize_t client_read(struct client *c, void *p, size_t n, struct err *err)
{
	const char *run;
	size_t len;
	int r;

	if (c->run_left) {
		run = c->run;
		len = c->run_left;
		r = 1;
	} else {
		r = client_next(c, &run, &len, err);
	}
	if (r <= 0)
		return r;
	if (n > len)
		n = len;
	memcpy(p, run, n);
	c->run = run + n;
	c->run_left = len - n;
	return (ssize_t)n;
}

static void add_path(struct buf *b, const char *name, const void *path, size_t len)
{
	CLEANUP_BUF struct buf b64 = BUF_INIT;

	b64_encode(&b64, path, len);
	buf_str(b, name);
	http_escape(b, b64.data, b64.len);
	if (buf_ok(&b64) < 0)
		b->error = buf_ok(&b64);
}

void client_target(struct buf *ret, const char *route, const void *path, size_t path_len)
{
	buf_str(ret, route);
	add_path(ret, "?path=", path, path_len);
}

int client_extract_begin(struct client *c, const void *path, size_t path_len, const struct client_extract *x,
			 struct err *err)
{
	CLEANUP_BUF struct buf b = BUF_INIT, filter = BUF_INIT;

	client_target(&b, "extract", path, path_len);
	buf_fmt(&b, "&format=%s%s%s", x->format, x->ext ? "&ext=1" : "", x->no_data ? "&data=0" : "");
	if (x->filter) {
		filter_write(x->filter, &filter);
		if (buf_ok(&filter) < 0)
			return err_set(err, -ENOMEM, "patterns");
		add_path(&b, "&filter=", filter.data, filter.len);
	}
	if (x->has_range)
		buf_fmt(&b, "&offset=%llu&length=%llu", (unsigned long long)x->off, (unsigned long long)x->len);
	return client_begin(c, &b, true, err);
}

int client_run_begin(struct client *c, const void *words, size_t len, struct err *err)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	buf_str(&b, "run");
	add_path(&b, "?args=", words, len);
	return client_begin(c, &b, true, err);
}
