/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_DATA_H
#define AGENT_DATA_H

/*
 * The bytes of a file into an answer. Where file system and file allow it they are read past the guest's page cache, by the
 * disk straight into the answer's buffer: a copy costs more than everything else under TCG.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/decmpfs.h"
#include "agent/ntfs.h"
#include "agent/reply.h"

struct data {
	int fd;			/* borrowed */
	bool wants_direct;	/* while it works */
	bool is_direct;		/* O_DIRECT is set */
	/* what the driver does not give, one of them, borrowed; both NULL: it does */
	struct decmpfs *decoder;
	struct ntfs_stream *stream;
};

/** data_begin() - for a file of @size_bytes that was opened for reading. */
void data_begin(struct data *d, int fd, uint64_t size_bytes);

/**
 * data_readable() - can the byte at @off, which the file should have, be read?
 * Return: 0; the negative errno of the read; -ENODATA at the end.
 */
int data_readable(const struct data *d, uint64_t off);

/**
 * data_send() - some of the bytes @off to @end, which is above @off
 * Return: their number; 0 with the reason in @ret_error if they cannot be read (-ENODATA: the file ends); -EPIPE if they
 * cannot be sent.
 */
ssize_t data_send(struct data *d, struct reply *r, uint64_t off, uint64_t end, int *ret_error);

#endif
