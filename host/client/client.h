/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_CLIENT_CLIENT_H
#define HOST_CLIENT_CLIENT_H

/* HTTP to the agent over a connected stream. Every answer is hostile: bounded, checked, nothing believed. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>
#include <sys/types.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/filter.h"

struct client;

/** client_new() - @fd is taken over, also on failure; @ticket is copied. */
struct client *client_new(int fd, const char *ticket);
void client_free(struct client *c);

/** An entry of list?ext=1, checked. Pointers are borrowed until the callback returns. */
struct client_entry {
	const char *path;	/* beneath the requested one, no leading slash; "" is the requested one itself */
	size_t path_len;
	char type;		/* d f l b c p s v ? */
	bool has_stat, has_size;
	uint32_t mode, uid, gid;
	uint64_t size, links, inode;
	int64_t mtime_s;
	uint32_t mtime_ns;
	const char *target;	/* NULL if none */
	size_t target_len;
	bool has_rdev;
	uint32_t rdev_major, rdev_minor;
	const char *error_name;	/* NULL if none; checked: letters and digits */
	const char *error_text;	/* foreign text */
};

/** Return: 0 to go on; negative errno ends the listing with it. */
typedef int client_entry_fn(void *arg, const struct client_entry *e);

/* Totals of the trailer of a complete stream. */
struct client_totals {
	uint64_t entries, bytes, errors;
	int exit_status;	/* of client_run_begin(): 0 to 255; -1 for other streams */
};

/**
 * client_list() - stream the entries of a directory or bucket level
 * Return: 0 complete; -ENOENT and others as the agent reports; -EPROTO a lie or no good trailer; -ENODATA it broke off.
 */
int client_list(struct client *c, const void *path, size_t path_len, bool recursive, client_entry_fn *fn, void *arg,
		struct client_totals *ret, struct err *err);

/**
 * client_list_plain() - the same as the reference's daemon has it: only directories and regular files, symbolic links as what
 * they point to. Of a file has_stat means its mtime_s alone.
 */
int client_list_plain(struct client *c, const void *path, size_t path_len, client_entry_fn *fn, void *arg,
		      struct err *err);

/** client_stat() - all metadata of one path as a JSON object (caller decrefs). */
int client_stat(struct client *c, const void *path, size_t path_len, json_t **ret, struct err *err);

/**
 * client_stat_entry() - what client_stat() gave, checked and as list gives it
 * @o: borrowed by @ret, as is @target, where the target of a symbolic link goes
 * Return: 0; -EPROTO.
 */
int client_stat_entry(const json_t *o, struct buf *target, struct client_entry *ret, struct err *err);

/** client_disks() - the layer tree as a JSON array (caller decrefs). */
int client_disks(struct client *c, json_t **ret, struct err *err);

/* A byte stream out of the agent. */
struct client_extract {
	const char *format;	/* "plain" or "pxar" */
	bool ext;
	bool has_range;
	uint64_t off, len;
	const struct filter *filter;	/* pxar: NULL for everything */
	bool no_data;			/* pxar with ext: no file data */
};

/** client_extract_begin() - ask for a stream; read it with client_read() to its end before anything else. */
int client_extract_begin(struct client *c, const void *path, size_t path_len, const struct client_extract *x,
			 struct err *err);

/**
 * client_note() - what the agent says is to be known of the volume that the last answer was of
 * Return: a line that may be printed; NULL if there is nothing. Until the next request.
 */
const char *client_note(const struct client *c);

#define CLIENT_RUN_MAX 8192	/* bytes of a command */

/**
 * client_run_begin() - run a program of the tools image; what it writes is read with client_read()
 * @words: NUL-terminated words, @len bytes in all. Its exit status is in client_last_totals() then.
 * It may be silent for as long as it likes: client_set_timeout() for who will not wait.
 */
int client_run_begin(struct client *c, const void *words, size_t len, struct err *err);

/**
 * client_read() - the next bytes of the stream
 * Return: more than 0: bytes; 0: complete, and the trailer was good; -EPROTO, -ENODATA otherwise.
 */
ssize_t client_read(struct client *c, void *p, size_t n, struct err *err);

/** client_last_totals() - totals of the stream that client_read() ended with 0. */
const struct client_totals *client_last_totals(const struct client *c);

/** client_set_timeout() - give up when neither a head nor bytes of a body arrive for so long; 0: never. Default 120 s. */
void client_set_timeout(struct client *c, uint32_t timeout_ms);

#endif
