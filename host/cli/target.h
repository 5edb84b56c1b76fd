/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_CLI_TARGET_H
#define HOST_CLI_TARGET_H

/*
 * What a command works on: a snapshot of a datastore (--repository, SNAPSHOT) or plain disks (--disk), and paths in it.
 *
 *	[/]ARCHIVE[/BUCKET[/COMPONENT...]][/path in the file system]
 *	[/]FILE-ARCHIVE[/path]
 *
 * ARCHIVE: of a store the stored name (drive-scsi0.img.fidx; drive-scsi0.img and drive-scsi0 are accepted); with --disk the
 * disk's name (".img.fidx" behind it is accepted). "/" alone: all archives.
 */

#include <stdbool.h>

#include "common/buf.h"
#include "host/cli/cli.h"
#include "host/cli/key_options.h"
#include "host/client/client.h"
#include "host/session/session.h"
#include "host/source/store/store.h"

/* --repository --ns --disk; and what only commands need that open it: the key, --lock, --memory --idle-timeout. */
extern const struct opt target_opts[], target_vm_opts[], target_base64_opts[];
/* The same for commands that need no VM: --repository --ns; the key, --lock. */
extern const struct opt target_store_opts[], target_snapshot_opts[];

struct target {
	struct session_spec spec;	/* disks of a store: only after target_open() */
	struct session_disk disks[SESSION_DISKS_MAX];
	char *name[SESSION_DISKS_MAX], *file[SESSION_DISKS_MAX];	/* memory behind disks[] */
	size_t nr_disks;
	struct store *store;		/* NULL with --disk */
	struct snapshot *snapshot;
	const int *out_dir;		/* where the command makes files, borrowed; NULL: nowhere */
	struct key_options key_options;
	char *mount;			/* memory behind spec.mount */
	bool require_signature;
	bool strict_jail;		/* asked for by name: a session with the other one will not do */
	struct crypt_key key;		/* wiped by target_free() */
	bool has_key;
};

/**
 * target_store() - --repository or PBS_REPOSITORY, and --ns or PBS_NAMESPACE ("" is the root), checked
 * Return: 0; -EINVAL; -EHOSTUNREACH for a server.
 */
int target_store(const struct args *a, const char **ret_repository, const char **ret_ns, struct err *err);

/** target_lock() - --lock. */
enum store_lock target_lock(const struct args *a);

/** target_is_snapshot() - does it have the form TYPE/ID/YYYY-MM-DDTHH:MM:SSZ? */
bool target_is_snapshot(const char *s);

/**
 * target_parse() - from options and, without --disk, the positional argument SNAPSHOT
 * @pos: index of the next positional argument, moved on
 * Strings stay borrowed from @a. Release with target_free(), also after a failure.
 */
int target_parse(const struct args *a, size_t *pos, struct target *ret, struct err *err);

/**
 * target_open() - open the snapshot, with its key if it needs one, and find its disks; plain disks: are they there?
 * May ask for a passphrase. Warns of a snapshot without a signature where a key was to be used.
 * Return: 0; -ENOENT; -ENOKEY, -EKEYREJECTED; others.
 */
int target_open(struct target *t, struct err *err);

/** target_open_sealed() - after that failed for want of the right key: what is encrypted stays so, and nothing is verified. */
int target_open_sealed(struct target *t, struct err *err);

/** target_share_key() - if @from has loaded a key, @to need not load it again. Between both target_open(). */
void target_share_key(struct target *to, const struct target *from);
void target_free(struct target *t);

struct target_path {
	bool root;		/* "/" alone */
	const char *archive;	/* stored name of a file archive, read without a VM; NULL: a disk */
	size_t disk;		/* index in disks[] */
	struct buf bytes;	/* canonical: ARCHIVE[/inner], single slashes, none at the ends */
	size_t archive_len;
};

/**
 * target_path() - parse a path argument; after target_open()
 * @len:    bytes at @text
 * @base64: @text is base64 of the path
 * Return: 0; -EINVAL bad syntax; -ENOENT no such archive. Release with target_path_free().
 */
int target_path(const struct target *t, const char *text, size_t len, bool base64, struct target_path *ret,
		struct err *err);

/** target_path_within() - a path in a file archive, which is all of it; "" and "/" are its root. @archive: stays borrowed. */
int target_path_within(const char *archive, const char *text, size_t len, bool base64, struct target_path *ret,
		       struct err *err);
void target_path_free(struct target_path *p);

/** target_inner() - what is behind the archive's name in a path, without a leading slash. Borrowed; "" if nothing. */
const char *target_inner(const struct target_path *p, size_t *ret_len);

/** target_archive() - how paths name a disk. Borrowed. */
const char *target_archive(const struct target *t, size_t disk);

/**
 * target_confine() - give up what reading a foreign stream does not need (host/confine); once a process
 * target_connect() does so by itself. Afterwards no session can be started.
 */
int target_confine(const struct target *t, struct err *err);

/** target_settle() - target_confine() before a foreign stream is read; @vm: a session is wanted, too, which is started before. */
int target_settle(const struct target *t, bool vm, struct err *err);

/** target_connect() - a client of the agent of this target's session. @ret_fd: its stream, borrowed; may be NULL. */
int target_connect(const struct target *t, struct client **ret, int *ret_fd, struct err *err);

/**
 * target_tell_note() - what the agent's last answer says of the volume that @path leads into, on standard error, once for each volume
 * @ret_len: how many bytes of @path name the volume; may be NULL
 * Return: the note, borrowed from @c; NULL if there is none, or it was told before.
 */
const char *target_tell_note(const struct client *c, const struct target_path *path, size_t *ret_len);

/** target_stat() - all metadata of what a path names, as client_stat() gives it (caller decrefs). Return: 0; negative errno. */
int target_stat(const struct target *t, const struct target_path *p, json_t **ret, struct err *err);

/**
 * target_why() - the client's answer broke off with @code: was it the VM's end?
 * Return: -EHOSTDOWN with the reason, if so; @code and @err as they are.
 */
int target_why(const struct target *t, int code, struct err *err);

/** target_ran_out() - has the VM's kernel ended a program for want of memory? To be asked at once. Return: true with the sentence in @err. */
bool target_ran_out(const struct target *t, struct err *err);

/** target_sessions() - all of this user's sessions, as session_status_json() gives them (caller decrefs). Return: 0; negative errno. */
int target_sessions(json_t **ret, struct err *err);

/**
 * target_report_damage() - name the ranges of the disks that could not be read
 * @ret_json: all of them as session_damage() gives them, malloc'ed, where there are any; may be NULL
 * Return: how many; 0 also if unknown, which is said.
 */
int target_report_damage(const struct target *t, char **ret_json);

#endif
