/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_RESTORE_RESTORE_H
#define HOST_RESTORE_RESTORE_H

/*
 * The one extractor: pxar streams from the VM or from file archives become files beneath a target directory, or members of
 * a tar or zip.
 */

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"
#include "common/filter.h"
#include "common/pxar/decode.h"

/* A reader of pxar bytes. Return: more than 0: bytes; 0: the end, and the stream was complete; negative errno. */
typedef ssize_t restore_read_fn(void *arg, void *p, size_t n, struct err *err);

enum restore_overwrite { RESTORE_OVERWRITE_NEVER, RESTORE_OVERWRITE_ALWAYS, RESTORE_OVERWRITE_IF_NEWER };

enum restore_xattrs {
	RESTORE_XATTRS_ALL,	/* ACLs and file capabilities, too */
	RESTORE_XATTRS_USER,	/* user.* alone */
	RESTORE_XATTRS_NONE,
};

struct restore_options {
	enum restore_overwrite overwrite;
	bool devices;		/* create device nodes */
	bool skip_special;	/* to tar and zip: say nothing of what these cannot hold */
	bool keep_partial;	/* a file that could not be read whole stays as NAME.partial */
	bool skip_root;		/* the root entry is a mere container: apply none of its metadata */
	bool container;		/* the root holds just the one thing that was asked for */
	const struct filter *filter;	/* borrowed; of paths beneath it, or beneath the root. NULL: everything */
	bool set_uid, set_gid;	/* all entries get this owner; what depends on theirs (setuid, capabilities) is left away */
	uint32_t uid, gid;
	enum restore_xattrs xattrs;
	bool hash;		/* the sink wants SHA-256 of files */
	const volatile sig_atomic_t *abort;	/* may be NULL; once it is not 0 the call cleans up and fails with -EINTR */
};

struct restore_report {
	uint64_t files, dirs, others;	/* created */
	uint64_t bytes;			/* of file data written */
	uint64_t left_out;		/* entries not created (existing, devices, errors) */
	uint64_t incomplete;		/* files whose data could not be read whole */
	uint64_t meta_failed;		/* pieces of metadata that could not be applied */
	bool target_failed;		/* it ended because nothing more can be written */
};

/** called for every entry left out or changed; @path is foreign bytes: quote before printing */
typedef void restore_note_fn(void *arg, const char *path, size_t path_len, int code, const char *what);

#define RESTORE_SHA256_SIZE 32

/** called for every entry that was made; @sha256: of a file's contents, if wanted, else NULL */
typedef void restore_made_fn(void *arg, const char *path, size_t path_len, const struct pxar_entry *e, bool replaced,
			     const uint8_t *sha256);

struct restore_sink {
	restore_note_fn *note;		/* may be NULL */
	restore_made_fn *made;		/* may be NULL */
	void *arg;
};

/* What becomes of the entries: files in a directory, members of a tar or zip. */
struct restore_target;

/** restore_dir_new() - members of a stream's root appear in @dirfd (borrowed). Nothing is ever made outside of it. */
int restore_dir_new(int dirfd, struct restore_target **ret, struct err *err);

/** restore_tar_new(), restore_zip_new() - written to @fd (borrowed), without a seek. */
int restore_tar_new(int fd, struct restore_target **ret, struct err *err);
int restore_zip_new(int fd, struct restore_target **ret, struct err *err);

enum restore_form { RESTORE_DIR, RESTORE_TAR, RESTORE_ZIP };

/**
 * restore_plan_new() - make nothing: the report and the sink are told what would be made
 * @dirfd: RESTORE_DIR: the target directory, borrowed, may be opened with O_PATH; -1: it does not exist
 */
int restore_plan_new(enum restore_form form, int dirfd, struct restore_target **ret, struct err *err);

/**
 * restore_stream() - make all entries of a pxar stream
 * Errors of single entries are noted, counted, and do not stop it. Files get their final name only when whole.
 * @ret: what is done is added to it
 * Return: 0 when the stream was complete (look at the report); -ENOSPC and the like when the target fails, -EPIPE when
 * the reader of a tar or zip went away; -EBADMSG, -ENODATA when the stream is bad; -EINTR.
 */
int restore_stream(struct restore_target *t, const struct restore_options *o, unsigned int dec_flags,
		   restore_read_fn *read, void *arg, const struct restore_sink *sink, struct restore_report *ret,
		   struct err *err);

/**
 * restore_next_link() - zip has no hard links: the next one that came, to be written as a file of its own
 * Return: path of its target from the root of the stream it came in, until the next call; NULL if there is none left.
 */
const char *restore_next_link(struct restore_target *t);
/** restore_link_data() - write it: @read gives the contents of the target. Return: 0; negative errno, the zip is broken. */
int restore_link_data(struct restore_target *t, const struct restore_options *o, restore_read_fn *read, void *arg,
		      const struct restore_sink *sink, struct restore_report *ret, struct err *err);

/** restore_finish() - the end of a tar or zip: without it the archive is recognisably unfinished. */
int restore_finish(struct restore_target *t, struct err *err);
void restore_free(struct restore_target *t);

#endif
