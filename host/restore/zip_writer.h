/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_RESTORE_ZIP_WRITER_H
#define HOST_RESTORE_ZIP_WRITER_H

/*
 * A zip in one pass: sizes and checksum of a file come behind its data (bit 3), always with 64 bits. Our own writer,
 * since libarchive's names depend on the locale and its times on the time zone.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct zip_member {
	const void *name;	/* path; of a directory with a slash at the end */
	size_t name_len;
	uint32_t mode;		/* all of st_mode; a directory has no data */
	uint32_t uid, gid;
	int64_t mtime_s;
};

struct zip_writer;

/** zip_writer_new() - @fd is borrowed. Return: 0; -ENOMEM. */
int zip_writer_new(int fd, struct zip_writer **ret, struct err *err);
void zip_writer_free(struct zip_writer *z);

/**
 * zip_writer_begin() - a member
 * Return: 0; -ENAMETOOLONG without anything written or said; negative errno: the zip is broken, as after any other failure.
 */
int zip_writer_begin(struct zip_writer *z, const struct zip_member *what, struct err *err);
/** zip_writer_data() - the next bytes of it. */
int zip_writer_data(struct zip_writer *z, const void *p, size_t len, struct err *err);
/** zip_writer_upto() - zeros up to byte @off of it. */
int zip_writer_upto(struct zip_writer *z, uint64_t off, struct err *err);
int zip_writer_end(struct zip_writer *z, struct err *err);

/** zip_writer_break() - it is to get no end. */
void zip_writer_break(struct zip_writer *z);
bool zip_writer_is_broken(const struct zip_writer *z);

/** zip_writer_finish() - the central directory. Return: 0; -EIO if it is broken; negative errno. */
int zip_writer_finish(struct zip_writer *z, struct err *err);

/** zip_holds_time() - 32 bits of seconds is what there is. */
bool zip_holds_time(int64_t mtime_s);

#endif
