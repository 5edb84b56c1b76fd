/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_RESTORE_UNPACK_H
#define HOST_RESTORE_UNPACK_H

/*
 * Between the decoder and what is made of a stream. Here it is decided what comes of an entry, once for all targets: names are
 * checked, data gets its place in the file, what lies in a directory that is left out is left out, errors are told and
 * counted. A target (dir.c, tar.c, zip.c) is a table of functions that make one thing each.
 */

#include "common/pxar/entry.h"
#include "host/restore/links.h"
#include "host/restore/report.h"

/* What a target did with an entry; negative errno: it cannot go on. */
enum unpack_done {
	UNPACK_MADE,
	UNPACK_REPLACED,	/* the same, in place of something */
	UNPACK_SAME,		/* it was there already, as it is to be */
	UNPACK_LEFT_OUT,	/* that was told; what lies in it is left out too */
};

struct unpack {
	const struct restore_options *o;
	bool ext;			/* the stream has private items: link_id says which files have several names */
	struct report rep;
	const struct pxar_error *why;	/* within bad(): what whoever made the stream says; NULL: nothing */
	struct links_made links;	/* files that hard links may refer to */
};

struct target_ops {
	/** root() - the root of the stream. */
	int (*root)(struct restore_target *t, struct unpack *u, const struct pxar_entry *e, struct err *err);
	/** enter() - a directory; the path is still that of what holds it. */
	int (*enter)(struct restore_target *t, struct unpack *u, const struct pxar_entry *e, struct err *err);
	/** leave() - all of it came; the path is that of what holds it. The root is left like any other. NULL: nothing to do. */
	int (*leave)(struct restore_target *t, struct unpack *u, struct err *err);

	/** begin() - a regular file. For empty ones it comes when it is known that they could be read. */
	int (*begin)(struct restore_target *t, struct unpack *u, const struct pxar_entry *e, struct err *err);
	/** data() - its next bytes; @off ascends, what lies between are holes. */
	int (*data)(struct restore_target *t, struct unpack *u, const struct pxar_entry *e, uint64_t off, const uint8_t *p,
		    size_t len, struct err *err);
	/** end() - it came whole. */
	int (*end)(struct restore_target *t, struct unpack *u, const struct pxar_entry *e, struct err *err);
	/** bad() - it did not, and is already counted; tells. @code: why; after broken() the stream is at its end. */
	int (*bad)(struct restore_target *t, struct unpack *u, const struct pxar_entry *e, int code, struct err *err);

	/** link() - another name of a file. */
	int (*link)(struct restore_target *t, struct unpack *u, const struct pxar_entry *e, struct err *err);
	/** special() - a symbolic link, device, FIFO or socket. */
	int (*special)(struct restore_target *t, struct unpack *u, const struct pxar_entry *e, struct err *err);

	/** broken() - the stream failed. NULL: nothing to do. */
	void (*broken)(struct restore_target *t);
	/** over() - behind the last event of a stream, also of a failed one; by then all directories are to be left. */
	void (*over)(struct restore_target *t);
	/** finish() - what belongs behind the last stream. NULL: nothing. */
	int (*finish)(struct restore_target *t, struct err *err);
	/** next_link(), link_data() - restore_next_link(), restore_link_data(). NULL: all links were made. */
	const char *(*next_link)(struct restore_target *t);
	int (*link_data)(struct restore_target *t, restore_read_fn *read, void *arg, struct restore_report *ret,
			 struct err *err);
	/** link_name() - the path that it gets. */
	const char *(*link_name)(const struct restore_target *t, size_t *ret_len);
	void (*free)(struct restore_target *t);
};

/* What formats cannot hold. */
static inline bool tar_holds(const struct pxar_entry *e)
{
	return e->kind != PXAR_KIND_SOCKET;
}

static inline bool zip_holds(const struct pxar_entry *e)
{
	return e->kind == PXAR_KIND_DIR || e->kind == PXAR_KIND_FILE || e->kind == PXAR_KIND_HARDLINK ||
	       e->kind == PXAR_KIND_SYMLINK;
}

#define DIR_MAKES_NOT "devices are restored only on request"
#define TAR_HOLDS_NOT "tar has no sockets"
#define ZIP_HOLDS_NOT "zip has only files, directories and symbolic links"

/* The beginning of every target. */
struct restore_target {
	const struct target_ops *ops;
};

/** unpack_left_out() - count and tell; a code that stands for a target at its end is no entry's fault. Return: UNPACK_LEFT_OUT; @code. */
int unpack_left_out(struct unpack *u, const struct pxar_entry *e, int code, const char *what, struct err *err);

/**
 * unpack_may_take() - may a new object take the entry's name in a directory? A directory is never replaced.
 * Return: UNPACK_MADE: nothing is there; UNPACK_REPLACED; UNPACK_LEFT_OUT, told.
 */
int unpack_may_take(struct unpack *u, int dirfd, const struct pxar_entry *e);

/** unpack_meta_lost() - count and tell of a piece of metadata. */
void unpack_meta_lost(struct unpack *u, const struct pxar_entry *e, int code, const char *what);

/** unpack_bad() - tell of a file that did not come whole, with the reason that the stream has for it. */
void unpack_bad(struct unpack *u, const struct pxar_entry *e, int code, const char *what);

/** unpack_has_links() - may hard links to this file come? */
bool unpack_has_links(const struct unpack *u, const struct pxar_entry *e);

#endif
