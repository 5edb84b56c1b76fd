/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef COMMON_HTTP_H
#define COMMON_HTTP_H

/*
 * HTTP/1.1 messages between host and agent: bytes in, fields out; no I/O. A security
 * boundary on both sides, so it is strict: GET only, no folding, no bare LF, no
 * Transfer-Encoding but chunked, never both lengths, hard limits on everything.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

#define HTTP_HEAD_MAX 16384	/* request or status line and header fields, final CRLF CRLF included */
#define HTTP_FIELDS_MAX 32	/* header fields, and trailer fields */
#define HTTP_TRAILER_MAX 4096
#define HTTP_CHUNK_LINE_MAX 18	/* 16 hex digits, CRLF; no extensions */

struct http_field {
	const char *name, *value;	/* borrowed from the bytes parsed, not NUL-terminated */
	size_t name_len, value_len;	/* the value without white space around it */
};

struct http_head {
	int status;			/* response: 100 to 599 */
	const char *target;		/* request: as sent, begins with '/' */
	size_t target_len;
	struct http_field field[HTTP_FIELDS_MAX];
	size_t nr_fields;
	bool has_length, chunked, close;	/* Content-Length; Transfer-Encoding; Connection: close */
	uint64_t length;
};

/** http_head_end() - how many of the @len bytes form a whole head? Return: bytes up to and with CRLF CRLF; 0 if not yet whole; -EBADMSG past HTTP_HEAD_MAX. */
long http_head_end(const void *p, size_t len);

/**
 * http_parse_request() - a whole head as http_head_end() measured it
 * Refused besides bad syntax: a field name twice, a body, bytes outside ASCII.
 * Return: 0; -EBADMSG; -EOPNOTSUPP for a method but GET.
 */
int http_parse_request(const void *p, size_t len, struct http_head *ret);
int http_parse_response(const void *p, size_t len, struct http_head *ret);

/** http_field() - value of a header field (name without case). Return: NULL if absent. */
const struct http_field *http_field(const struct http_head *h, const char *name);

/**
 * http_query() - one parameter of the target's query, percent-decoded, '+' is a space
 * @ret: the decoded bytes are appended
 * Return: 1 if present; 0 if absent; -EBADMSG on a bad escape or a parameter given twice.
 */
int http_query(const struct http_head *h, const char *name, struct buf *ret);

/** http_target_path() - is the target's path (without query) exactly @path? */
bool http_target_path(const struct http_head *h, const char *path);

/** http_escape() - append @p percent-encoded for a query value (only A-Z a-z 0-9 - _ . ~ stay). */
void http_escape(struct buf *out, const void *p, size_t len);

/*
 * Body reader: a state machine over the bytes behind the head.
 */
struct http_body {
	int state;			/* private */
	uint64_t left;			/* private: bytes to the end of the chunk or body */
	uint64_t total;			/* data bytes handed out so far */
	char line[HTTP_TRAILER_MAX];	/* private: chunk line; at the end the trailer bytes */
	size_t line_len;
	struct http_field trailer[HTTP_FIELDS_MAX];
	size_t nr_trailers;
};

/** http_body_init() - Return: 0; -EBADMSG if the head has neither a length nor chunked coding. */
int http_body_init(struct http_body *b, const struct http_head *h);

/**
 * http_body_next() - consume bytes
 * @p, @len:  input, moved on
 * @ret, @ret_len: a run of data bytes within the input; length 0 when only framing was consumed
 * Return: 1 when the body is complete (trailers parsed), with *ret_len 0; 0 to go on: with the same input, or with more when
 * both @len and *ret_len are 0; -EBADMSG, also on every later call.
 */
int http_body_next(struct http_body *b, const char **p, size_t *len, const char **ret, size_t *ret_len);

/** http_trailer() - value of a trailer field, after http_body_next() returned 1. Return: NULL if absent. */
const struct http_field *http_trailer(const struct http_body *b, const char *name);

/** http_write_chunk() - chunk framing for @len data bytes: the line in front goes to @out; CRLF behind is the caller's. */
void http_write_chunk_line(struct buf *out, size_t len);

/** http_field_u64() - a decimal number that is the whole value. Return: 0; -EBADMSG. */
int http_field_u64(const struct http_field *f, uint64_t *ret);

#endif
