/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef COMMON_PXAR_ENCODE_H
#define COMMON_PXAR_ENCODE_H

/*
 * Sequential pxar encoder (unified archives): entries in, bytes out to a struct buf that the caller drains. It keeps
 * for each open directory what its table will say of the members (in common/records.h, so memory does not grow with
 * it; nothing with PXAR_ENC_NO_TABLES). Payload bytes do not pass through it: the caller sends exactly as many as it
 * announced and tells the encoder how many.
 */

#include <stdint.h>

#include "common/buf.h"
#include "common/pxar/entry.h"

#define PXAR_ENC_EXT 1u		/* may write the private items (else they are silently left out) */
#define PXAR_ENC_NO_TABLES 2u	/* for who only reads on and on: directories end without the tables of their members */

struct pxar_enc;

/** pxar_enc_new() - encoder that appends to @out (borrowed). */
struct pxar_enc *pxar_enc_new(struct buf *out, unsigned int flags);
void pxar_enc_free(struct pxar_enc *e);

/**
 * pxar_enc_entry() - the head of a member: FILENAME, ENTRY, attributes, and what ends it
 * A directory stays open until pxar_enc_dir_end(). For a file the PAYLOAD header of
 * @entry->payload_size bytes is written; the caller then sends these bytes and calls pxar_enc_payload().
 * For a hard link @entry->link_pos is a value of pxar_enc_pos() taken before the target's entry.
 * Return: 0; -ENOMEM; -EINVAL for an entry the format cannot hold; as spool_add().
 */
int pxar_enc_entry(struct pxar_enc *e, const struct pxar_entry *entry);

/** pxar_enc_payload() - @n bytes of payload went out behind what is in the buffer. */
void pxar_enc_payload(struct pxar_enc *e, uint64_t n);

/** pxar_enc_error() - error of the file that came last, or of an open directory without any (only with PXAR_ENC_EXT). */
int pxar_enc_error(struct pxar_enc *e, const struct pxar_error *error);

/** pxar_enc_dir_error() - error of the innermost directory, whose end is next (only with PXAR_ENC_EXT). */
int pxar_enc_dir_error(struct pxar_enc *e, const struct pxar_error *error);

/**
 * pxar_enc_dir_end() - GOODBYE of the innermost directory, in parts of some 64 KiB
 * Return: 0; 1 if there is more of it: drain the buffer and call again; -ENOMEM; -EINVAL without an open directory;
 * as spool_add().
 */
int pxar_enc_dir_end(struct pxar_enc *e);

/** pxar_enc_pos() - position in the stream where the next item begins. */
uint64_t pxar_enc_pos(const struct pxar_enc *e);

#endif
