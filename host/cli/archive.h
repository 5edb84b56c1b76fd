/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_CLI_ARCHIVE_H
#define HOST_CLI_ARCHIVE_H

/*
 * File archives (pxar) of a snapshot, read here and not in a VM. What comes of them has the form that the client of the
 * agent gives, so that commands print and restore both alike.
 */

#include <stdbool.h>
#include <jansson.h>
#include <sys/types.h>

#include "host/archive/access.h"
#include "host/archive/tree.h"
#include "host/client/client.h"
#include "host/source/store/store.h"

/**
 * archive_resolve() - the archive that a path's first component names
 * X.pxar.didx and X.pxar are the unified archive, or the split one if there is none; X.mpxar, X.ppxar (with .didx or
 * without) the split one; X alone either.
 * Return: the stored name of the archive or metadata stream, borrowed from the snapshot; NULL if there is none.
 */
const char *archive_resolve(const struct snapshot *sn, const char *p, size_t len);

struct archive_file {
	struct source *meta, *payload;
	struct access *a;
};

/** archive_open() - @stored as archive_resolve() gives it. Return: 0; negative errno. Release with archive_close(). */
int archive_open(struct snapshot *sn, const char *stored, struct archive_file *ret, struct err *err);
void archive_close(struct archive_file *f);

/** archive_open_catalog() - of the snapshot. Return: 0; -ENOENT; others. Close the source. */
int archive_open_catalog(struct snapshot *sn, struct source **ret, struct err *err);

/** archive_data_chunks() - of a snapshot's archive: the chunks in which the contents of files lie; NULL without payload stream. */
struct chunks *archive_data_chunks(const struct archive_file *f);

/* An archive that is a file, or two; borrowed. */
struct archive_name {
	const char *meta, *payload;	/* payload: NULL if there is none */
};

/** archive_open_plain() - Return: 0; negative errno. */
int archive_open_plain(const struct archive_name *name, struct archive_file *ret, struct err *err);

/** archive_list_file() - archive_list() of an archive that is open, without a catalog. */
int archive_list_file(const struct archive_file *f, const char *inner, size_t len, bool recursive, client_entry_fn *fn,
		      void *arg, struct err *err);

/**
 * archive_list() - the entries of a directory, or the one that @inner names
 * @stored, @inner: the archive, and the path in it
 * @brief: what the catalog knows is enough, if there is one: kind, size and time of files
 * Entries that cannot be read come with an error.
 * Return: 0; -ENOENT, -ENOTDIR; -EBADMSG; what @fn gives.
 */
int archive_list(struct snapshot *sn, const char *stored, const char *inner, size_t inner_len, bool recursive,
		 bool brief, client_entry_fn *fn, void *arg, struct err *err);

/**
 * archive_list_catalog() - archive_list() out of the snapshot's catalog, which is read twice: first to see that it is whole
 * Return: 0; 1 if the catalog is of no use: there is none, it is damaged, it does not know the archive, or what is
 * wanted is no directory in it; negative errno.
 */
int archive_list_catalog(struct snapshot *sn, const char *stored, const char *inner, size_t len, bool recursive,
			 client_entry_fn *fn, void *arg, struct err *err);

/** archive_type() - the letter that listings give an entry. */
char archive_type(const struct pxar_entry *e);

/** archive_stat() - all metadata of one path as an object, as client_stat() (caller decrefs). Return: 0; negative errno. */
int archive_stat(struct snapshot *sn, const char *stored, const char *inner, size_t inner_len, json_t **ret,
		 struct err *err);

/** archive_stat_file() - the same of an archive that is open. */
int archive_stat_file(const struct archive_file *f, const char *inner, size_t inner_len, json_t **ret, struct err *err);

struct jsonw;
/** archive_write_stat() - all metadata of an entry that is no hard link, as fields of an object. */
void archive_write_stat(struct jsonw *w, const struct pxar_entry *e);

struct archive_stream;

enum archive_form {
	ARCHIVE_PLAIN,		/* the contents of a file */
	ARCHIVE_PXAR,		/* an official archive */
	ARCHIVE_RESTORE,	/* for host/restore, with errors in it */
};

/** archive_stream_open() - begin to read. Return: 0; -EINVAL for the contents of what is no file; others. */
int archive_stream_open(struct snapshot *sn, const char *stored, const char *inner, size_t inner_len,
			enum archive_form form, tree_note_fn *note, void *arg, struct archive_stream **ret,
			struct err *err);

/** archive_stream_of() - the same of an archive that is open; @f is taken over, also on failure. */
int archive_stream_of(struct archive_file *f, const char *inner, size_t inner_len, enum archive_form form,
		      tree_note_fn *note, void *arg, struct archive_stream **ret, struct err *err);

/** archive_stream_want() - tree_want(). */
void archive_stream_want(struct archive_stream *s, const struct filter *f, bool no_data);

/** archive_stream_is_container() - is the root of the stream none of the archive's own? */
bool archive_stream_is_container(const struct archive_stream *s);

/** archive_stream_read() - Return: bytes; 0 at the end of a complete stream; negative errno. */
ssize_t archive_stream_read(struct archive_stream *s, void *p, size_t n, struct err *err);
void archive_stream_close(struct archive_stream *s);

#endif
