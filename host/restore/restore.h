/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_RESTORE_RESTORE_H
#define HOST_RESTORE_RESTORE_H

/*
 * The one extractor: decoder events become files beneath a target directory, or members of a tar. Fed with
 * pxar events from the VM or from file archives.
 */

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"
#include "common/pxar/decode.h"

/* A reader of pxar bytes. Return: more than 0: bytes; 0: the end, and the stream was complete; negative errno. */
typedef ssize_t restore_read_fn(void *arg, void *p, size_t n, struct err *err);

enum restore_overwrite { RESTORE_OVERWRITE_NEVER, RESTORE_OVERWRITE_ALWAYS, RESTORE_OVERWRITE_IF_NEWER };

struct restore_options {
	enum restore_overwrite overwrite;
	bool devices;		/* create device nodes */
	bool skip_special;	/* to tar and zip: say nothing of sockets and devices that these cannot hold */
	bool keep_partial;	/* a file that could not be read whole stays as NAME.partial */
	bool skip_root;		/* the root entry is a mere container: apply none of its metadata */
	const volatile sig_atomic_t *abort;	/* may be NULL; once it is not 0 the call cleans up and fails with -EINTR */
};

struct restore_report {
	uint64_t files, dirs, others;	/* created */
	uint64_t bytes;			/* of file data written */
	uint64_t left_out;		/* entries not created (existing, devices, errors) */
	uint64_t incomplete;		/* files whose data could not be read whole */
	uint64_t meta_failed;		/* pieces of metadata that could not be applied */
};

/** called for every entry left out or changed; @path is foreign bytes: quote before printing */
typedef void restore_note_fn(void *arg, const char *path, size_t path_len, int code, const char *what);

struct restore_sink {
	restore_note_fn *note;		/* may be NULL */
	void *arg;
};

/**
 * restore_to_dir() - extract a pxar stream beneath a directory
 * @dirfd: the target directory, borrowed. Members of the root appear in it.
 * Errors of single entries are noted, counted, and do not stop it. Files get their final name only when whole.
 * Return: 0 when the stream was complete (look at the report); -ENOSPC and the like when the target fails;
 * -EBADMSG, -ENODATA when the stream is bad. Nothing is ever created outside @dirfd.
 */
int restore_to_dir(int dirfd, const struct restore_options *o, unsigned int dec_flags, restore_read_fn *read, void *arg,
		   const struct restore_sink *sink, struct restore_report *ret, struct err *err);

/**
 * restore_to_tar() - write the members as PAX tar
 * @fd: output, borrowed. Without a good end of the stream no end-of-archive blocks are written.
 * Return: as restore_to_dir(); -EPIPE when the reader went away.
 */
struct restore_tar;
int restore_tar_new(int fd, struct restore_tar **ret, struct err *err);
int restore_to_tar(struct restore_tar *t, const struct restore_options *o, unsigned int dec_flags,
		   restore_read_fn *read, void *arg,
		   const struct restore_sink *sink, struct restore_report *ret, struct err *err);
int restore_tar_finish(struct restore_tar *t, struct err *err);
void restore_tar_free(struct restore_tar *t);

/* The same for zip: directories, regular files and symbolic links; what else there is counts as left out. */
struct restore_zip;
int restore_zip_new(int fd, struct restore_zip **ret, struct err *err);
int restore_to_zip(struct restore_zip *z, const struct restore_options *o, unsigned int dec_flags,
		   restore_read_fn *read, void *arg, const struct restore_sink *sink, struct restore_report *ret,
		   struct err *err);

/**
 * restore_zip_link() - zip has no hard links: the next one that came, to be written as a file of its own
 * Return: path of its target from the root of the stream it came in, until the next call; NULL if there is none left.
 */
const char *restore_zip_link(struct restore_zip *z);
/** restore_zip_link_data() - write it: @read gives the contents of the target. Return: 0; negative errno, the zip is broken. */
int restore_zip_link_data(struct restore_zip *z, restore_read_fn *read, void *arg, struct restore_report *ret,
			  struct err *err);

/** restore_zip_finish() - the central directory: without it the archive is recognisably unfinished. */
int restore_zip_finish(struct restore_zip *z, struct err *err);
void restore_zip_free(struct restore_zip *z);

#endif
