/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_ARCHIVE_ACCESS_H
#define HOST_ARCHIVE_ACCESS_H

/*
 * Random access to a pxar archive: a unified stream, or a metadata stream with its payload stream. Directories are found by
 * their goodbye tables. Every position comes from the archive and is checked: items lie within the range of their member,
 * members within that of their directory and behind its entry, so no chain of positions can lead back. No recursion. Not
 * thread safe. Directories are closed in the opposite order of opening.
 *
 * What is malformed is refused. What cannot be read (a lost chunk) costs no more than it must: without the beginning the
 * tables still lead to everything behind it, and without its table a directory is read forwards.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/pxar/dec_attrs.h"
#include "common/pxar/entry.h"
#include "common/pxar/format.h"
#include "host/source/source.h"

#define ACCESS_MEMBERS_MAX ((uint64_t)4 << 20)	/* of one directory */
#define ACCESS_OPEN_MAX ((uint64_t)8 << 20)	/* of all open directories */

struct access;

/* Is it no fault of the archive: memory, descriptors, or (-ENOSPC, whatever failed) the temporary file? Then there is no going on. */
static inline bool access_is_fatal(int r)
{
	return r == -ENOMEM || r == -EMFILE || r == -ENFILE || r == -ENOSPC;
}

/* One member, read and checked. Vectors and strings of the entry live until it is read into again. */
struct access_member {
	struct pxar_entry entry;
	uint64_t entry_pos;	/* of its ENTRY item */
	uint64_t body;		/* behind its last item but members and GOODBYE; a file's data in a unified archive */
	uint64_t end;		/* of its range */
	bool data_checked;
	uint64_t data_there;	/* bytes of data that a payload stream has which ends too early, after access_check_data() failed */
	bool cut;		/* of a directory without a table: where it ends is not known */
	bool partial;		/* after a failure: a directory whose metadata is not whole, or the root, of which nothing may be
				 * known; it can be opened nevertheless */
	struct dec_attrs attrs;
	char name[PXAR_NAME_MAX + 1];
	char target[PXAR_TARGET_MAX + 1];
};

/** access_member_new() - Return: room for a member; NULL without memory. */
struct access_member *access_member_new(void);
void access_member_free(struct access_member *m);

/* The members of one open directory, in the order of the archive. */
struct access_dir {
	struct access *of;	/* NULL: not open */
	uint64_t base;		/* number of the first one among those of all open directories */
	size_t nr;
	int lost;		/* why its table cannot be read, 0: it can. Then the members are those that its items tell of, up to */
	struct err lost_why;	/* the end or to what cannot be read */
	bool cut;		/* the latter: the last one may not be whole */
	size_t nr_unreadable;	/* members that the writer could not read and only left a trace of */
	uint64_t goodbye;	/* its position: members end here */
	uint64_t first;		/* no member begins before this */
	size_t nr_rows;		/* of its table */
};

/**
 * access_open() - check the beginning and the root directory, as far as they can be read
 * @meta:    the unified archive or the metadata stream, borrowed
 * @payload: NULL if there is none (contents of files in split archives are then -ENODATA), borrowed
 * Return: 0; -EBADMSG; what reading gives; -ENOMEM.
 */
int access_open(struct source *meta, struct source *payload, struct access **ret, struct err *err);
void access_free(struct access *a);

/** access_is_split() - are the contents of files in a stream of their own? */
bool access_is_split(const struct access *a);

/** access_root() - the root directory. Return: 0; negative errno. */
int access_root(struct access *a, struct access_member *ret, struct err *err);

/**
 * access_find() - look a path up; symlinks are not followed
 * @path: components separated by slashes; leading, double and trailing slashes and "." are ignored; "" is the root
 * Return: 0; -ENOENT; -ENOTDIR; -EINVAL for ".."; -EBADMSG.
 */
int access_find(struct access *a, const char *path, size_t len, struct access_member *ret, struct err *err);

/**
 * access_dir_open() - the members of directory @m
 * Memory does not grow with them; above some thousands they lie in a temporary file.
 * Return: 0, release it with access_dir_close(), the last one first; -ENOTDIR; -EBADMSG; -E2BIG if ACCESS_OPEN_MAX members would
 * be open; what access_is_fatal() knows.
 */
int access_dir_open(struct access *a, const struct access_member *m, struct access_dir *ret, struct err *err);

/** access_dir_alone() - the same for a directory that is not in the archive: @m is its only member. */
int access_dir_alone(struct access *a, const struct access_member *m, struct access_dir *ret, struct err *err);

/** access_dir_close() - of what is not open: nothing. */
void access_dir_close(struct access_dir *d);

/** access_dir_check() - are all its members known? Return: 0; negative errno and why not. */
int access_dir_check(const struct access_dir *d, struct err *err);

/**
 * access_dir_member() - read member @i
 * Return: 0; negative errno. A name that could be read is in @ret->name then, which else is "".
 */
int access_dir_member(struct access *a, const struct access_dir *d, size_t i, struct access_member *ret,
		      struct err *err);

/**
 * access_dir_find() - look a name up by the directory's table
 * Return: 0; -ENOENT; what the table said that cannot be read; other negative errno.
 */
int access_dir_find(struct access *a, struct access_dir *d, const char *name, size_t len, struct access_member *ret,
		    struct err *err);

/** access_follow() - the file that hard link @m refers to. Return: 0; -EBADMSG if that is no regular file of that name before it. */
int access_follow(struct access *a, const struct access_member *m, struct access_member *ret, struct err *err);

/**
 * access_check_data() - is the file's data where the archive says?
 * Return: 0; -EBADMSG; -EIO if the payload stream ends within it; -ENODATA without payload stream; what reading gives.
 */
int access_check_data(struct access *a, struct access_member *m, struct err *err);

/** access_data_pos() - where the file's data begins in the payload stream, or in the archive if there is none. */
uint64_t access_data_pos(const struct access *a, const struct access_member *m);

/** access_read() - exactly @n bytes of a file at @off, within its size and what is there. Return: 0; negative errno. */
int access_read(struct access *a, struct access_member *m, void *p, size_t n, uint64_t off, struct err *err);

#endif
