/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef COMMON_PXAR_DECODE_H
#define COMMON_PXAR_DECODE_H

/*
 * Sequential pxar decoder: bytes in, events out, no I/O, no recursion, memory bounded by one entry's attributes plus
 * a fixed amount for each open directory. Strict: mode and item kind agree, NULs where they belong, nothing behind
 * the root's GOODBYE, hard link distances within the stream.
 *
 *	for (;;) {
 *		r = pxar_dec_next(d, &ev, err);
 *		if (r == 0) { get more bytes; pxar_dec_feed(d, p, n) or pxar_dec_eof(d); continue; }
 *		if (r < 0) fail;
 *		switch (ev.type) ...
 *	}
 */

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/pxar/entry.h"

enum pxar_event_type {
	PXAR_EV_ENTRY,		/* entry is complete but for data or members; the root comes first */
	PXAR_EV_DATA,		/* data, data_len: the next bytes of the current file's payload */
	PXAR_EV_FILE_END,	/* after the last data of a PXAR_KIND_FILE entry; error if the writer reported one */
	PXAR_EV_DIR_END,	/* leaves the current directory; error likewise */
	PXAR_EV_END,		/* the archive is complete; every later call gives this again */
};

struct pxar_event {
	enum pxar_event_type type;
	const struct pxar_entry *entry;	/* ENTRY: borrowed until the next ENTRY event */
	const uint8_t *data;		/* DATA: borrowed until the next call */
	size_t data_len;
	struct pxar_error error;
};

#define PXAR_DEC_EXT 1u		/* accept the private items */
#define PXAR_DEC_SPLIT 2u	/* a metadata stream: PAYLOAD_REF instead of PAYLOAD */

struct pxar_dec;

/** pxar_dec_new() - Return: a decoder for one stream, or NULL without memory. */
struct pxar_dec *pxar_dec_new(unsigned int flags);
void pxar_dec_free(struct pxar_dec *d);

/**
 * pxar_dec_feed() - give the next bytes of the stream
 * Only after pxar_dec_next() returned 0 (or first). The bytes stay borrowed until it returns 0 again.
 */
void pxar_dec_feed(struct pxar_dec *d, const void *p, size_t len);

/** pxar_dec_eof() - the stream has ended. */
void pxar_dec_eof(struct pxar_dec *d);

/**
 * pxar_dec_next() - the next event
 * Return: 1 with *ret set; 0 if more bytes are needed; -EBADMSG malformed; -ENODATA the stream ended early; -ENOMEM.
 * After a failure every call fails the same way.
 */
int pxar_dec_next(struct pxar_dec *d, struct pxar_event *ret, struct err *err);

/** pxar_dec_depth() - open directories, the root included. */
size_t pxar_dec_depth(const struct pxar_dec *d);

/** pxar_dec_pos() - bytes of the stream consumed. */
uint64_t pxar_dec_pos(const struct pxar_dec *d);

#endif
