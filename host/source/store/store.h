/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_SOURCE_STORE_STORE_H
#define HOST_SOURCE_STORE_STORE_H

/* A local datastore: groups, snapshots, manifests, images. formats: datastore layout, blobs, fixed index. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "host/source/source.h"

#define STORE_BLOB_MAX ((size_t)128 << 20)	/* contents of a small file */

struct buf;
struct chunks;
struct crypt_key;
struct store;
struct snapshot;

/** store_open() - an existing datastore directory. Return: 0; -ENOENT, -EACCES (the text says which user may read it). */
int store_open(const char *path, struct store **ret, struct err *err);
void store_close(struct store *s);

/** store_create() - lay out a new, empty datastore (65536 chunk directories). -EEXIST if the directory is not empty. */
int store_create(const char *path, struct err *err);

/* One snapshot in a listing. */
struct store_snapshot_info {
	const char *type, *id;	/* borrowed */
	int64_t time;
	bool finished;
	bool protected_;
	bool has_size;
	uint64_t size;		/* of all files */
	char comment[256];	/* first line of the notes; foreign text */
	char owner[128];
	char group_comment[256];	/* first line of the group's notes, with its line feed if it has one; foreign text */
	char fingerprint[96];	/* of the key it was made with; "" if there is none */
	const char *verify_state, *verify_upid;	/* of the last verification, foreign text; NULL if there was none */
	const struct store_file *files;
	size_t nr_files;
};

struct store_file {
	const char *name;	/* stored name */
	const char *crypt_mode;	/* "none", "encrypt", "sign-only"; NULL if not in the manifest */
	bool has_size;
	uint64_t size;
	uint8_t csum[32];
	bool has_csum;
};

typedef int store_snapshot_fn(void *arg, const struct store_snapshot_info *i);
/** store_list() - all snapshots of a namespace ("" root), groups and times sorted. A manifest that cannot be read: no size. */
int store_list(struct store *s, const char *ns, store_snapshot_fn *fn, void *arg, struct err *err);

/** store_list_group() - the same of one group. Return: as store_list(); -ENOENT if there is no such group. */
int store_list_group(struct store *s, const char *ns, const char *type, const char *id, store_snapshot_fn *fn,
		     void *arg, struct err *err);

typedef int store_ns_fn(void *arg, const char *ns);
/**
 * store_list_ns() - the namespace @ns and those beneath it, at most @depth levels deeper, parents first, sorted
 * Return: 0; -ENOENT; what @fn gives; negative errno.
 */
int store_list_ns(struct store *s, const char *ns, unsigned int depth, store_ns_fn *fn, void *arg, struct err *err);

enum store_lock {
	STORE_LOCK_AUTO,	/* as far as possible; a warning where it is not */
	STORE_LOCK_REQUIRE,
	STORE_LOCK_NONE,
};

/** store_set_lock() - how snapshots are locked against removal that are opened from now on. */
void store_set_lock(struct store *s, enum store_lock how);

/** snapshot_open() - by "TYPE/ID/TIME"; reads and checks the manifest against it. -ENOENT, -EBADMSG, -EINVAL for bad syntax,
 * -EBUSY while it is being written or removed, -ENOLCK if a lock is required and cannot be had, -ENOKEY if it was made with a key. */
int snapshot_open(struct store *s, const char *ns, const char *name, struct snapshot **ret, struct err *err);

/**
 * snapshot_open_key() - the same with an encryption key
 * @key: NULL if there is none; copied
 * Return: as snapshot_open(); -EKEYREJECTED if the snapshot was made with another key; -EBADMSG for a wrong signature.
 */
int snapshot_open_key(struct store *s, const char *ns, const char *name, const struct crypt_key *key,
		      struct snapshot **ret, struct err *err);

/** snapshot_open_sealed() - the same without any key and without a check of one: what is encrypted stays so. */
int snapshot_open_sealed(struct store *s, const char *ns, const char *name, struct snapshot **ret, struct err *err);
void snapshot_close(struct snapshot *sn);

/* What its manifest says of keys. */
enum snapshot_seal {
	SNAPSHOT_OPEN,		/* nothing */
	SNAPSHOT_SIGNED,	/* it has a signature, or names a key */
	SNAPSHOT_ENCRYPTED,	/* files are encrypted */
};

/** snapshot_seal() - a key is needed for all but SNAPSHOT_OPEN. */
enum snapshot_seal snapshot_seal(const struct snapshot *sn);

/** snapshot_verified() - was the manifest's signature checked with the key it was opened with? */
bool snapshot_verified(const struct snapshot *sn);
/** snapshot_fingerprint() - of the key that its manifest names, 32 bytes, borrowed; NULL if it names none. */
const uint8_t *snapshot_fingerprint(const struct snapshot *sn);
const struct store_file *snapshot_files(const struct snapshot *sn, size_t *ret_nr);

/**
 * snapshot_open_image() - a fixed index as a source
 * @file: stored name. Checks the index (form, checksum and size against the manifest). Every chunk's CRC, length and digest are
 * checked on each load; the all-zero chunk is not read. The store and snapshot must stay open as long as the source.
 */
int snapshot_open_image(struct snapshot *sn, const char *file, struct source **ret, struct err *err);

/**
 * snapshot_open_archive() - a dynamic index (file archive or catalog) as chunks
 * @file: stored name. The same checks as those of snapshot_open_image(). The store and snapshot must stay open as long as it.
 */
int snapshot_open_archive(struct snapshot *sn, const char *file, struct chunks **ret, struct err *err);

/** snapshot_open_chunks() - the same of any index, also that of an image. */
int snapshot_open_chunks(struct snapshot *sn, const char *file, struct chunks **ret, struct err *err);

/** snapshot_open_index() - the same for who reads no chunk: the key of encrypted ones may be missing. */
int snapshot_open_index(struct snapshot *sn, const char *file, struct chunks **ret, struct err *err);

/**
 * snapshot_read_blob() - contents of a ".blob" file
 * @file: stored name. Size and checksum are checked against the manifest, and that it is encrypted if and only if the
 * manifest says so. "client.log.blob" is in no manifest and is read as it is; "index.json.blob" is the manifest's text.
 * @out: emptied first; its limit must allow the contents, at most STORE_BLOB_MAX bytes
 * Return: 0; -ENOENT; -EBADMSG; -ENOKEY.
 */
int snapshot_read_blob(struct snapshot *sn, const char *file, struct buf *out, struct err *err);

/* Writing a snapshot. */
struct backup_input {
	const char *name;	/* "drive-scsi0.img" or "qemu-server.conf" */
	int fd;			/* borrowed */
};
struct backup_stats {
	uint64_t bytes, chunks, new_chunks, new_bytes;	/* logical bytes; all; written */
};
/* After each chunk; a negative errno ends the backup with that result. Always called from the caller's thread. */
typedef int backup_progress_fn(void *arg, const char *name, uint64_t done, uint64_t total);

/**
 * store_backup() - a new snapshot from images and small files
 * Written under its final name only when whole: the manifest comes last. -EEXIST if the snapshot is there already.
 * Takes the locks of the format (shared lock on the store, exclusive on group and snapshot: -EBUSY).
 * A failed backup leaves no snapshot; chunks that it wrote stay. The namespace must exist.
 */
int store_backup(struct store *s, const char *ns, const char *type, const char *id, int64_t time,
		 const struct backup_input *in, size_t nr_in, backup_progress_fn *progress, void *arg,
		 struct backup_stats *ret, struct err *err);

/** store_backup_key() - the same, signed with @key (NULL: not), and encrypted unless @sign_only. */
int store_backup_key(struct store *s, const char *ns, const char *type, const char *id, int64_t time,
		     const struct backup_input *in, size_t nr_in, const struct crypt_key *key, bool sign_only,
		     backup_progress_fn *progress, void *arg, struct backup_stats *ret, struct err *err);

#endif
