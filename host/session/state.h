/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_SESSION_STATE_H
#define HOST_SESSION_STATE_H

/*
 * The state directory: locks and sockets. A lock is held on the inode that its name leads to; whoever lets a start lock go
 * removes its name first, so that nothing stays behind, and whoever gets a lock looks whether the name still leads there.
 */

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

#define STATE_HASH_LEN 32
#define STATE_NAME_MAX (STATE_HASH_LEN + 8)
#define STATE_LIVE_MAX 65536	/* bytes of a .live file */
#define STATE_CONNECT_S 3	/* for a session to take a call that the kernel cannot keep waiting */

/**
 * state_open_dir() - the directory, made if it is not there
 * $XDG_RUNTIME_DIR/pluck if that directory is ours, else /run/pluck/UID, else (no right to make that one) /tmp/pluck-UID. One that
 * is not ours, or that others may write to, is refused.
 * Return: the descriptor; negative errno.
 */
int state_open_dir(struct err *err);

/** state_open_own() - a directory that is ours alone; @what it is, for messages. Return: the descriptor; -EPERM; negative errno. */
int state_open_own(const char *path, const char *what, struct err *err);

/** state_check_dir() - owner and mode of an open directory. Return: 0; -EPERM. */
int state_check_dir(int dir);

/**
 * state_lock() - HASH.@what, made if it is not there
 * @wait: else -EWOULDBLOCK when another holds it
 * Return: the descriptor that holds it; negative errno.
 */
int state_lock(int dir, const char *hash, const char *what, bool wait);

/** state_unlock() - remove the name and let go. */
void state_unlock(int dir, const char *hash, const char *what, int fd);

/** state_alive() - does a living session hold HASH.live? Return: 1, 0, negative errno. */
int state_alive(int dir, const char *hash);

/** state_remove_socket() - the same for HASH.sock alone; the caller holds HASH.live. */
void state_remove_socket(int dir, const char *hash);

/** state_remove_stale() - remove what a dead session left. The caller holds the start lock. */
void state_remove_stale(int dir, const char *hash);

/** state_listen() - HASH.sock, 0600, non-blocking. Return: the descriptor; negative errno. */
int state_listen(int dir, const char *hash, struct err *err);

/** state_connect() - to HASH.sock of a session of ours. Return: the descriptor; -ECONNREFUSED, -ENOENT, -EPERM another's,
 * -ETIMEDOUT it takes no calls. */
int state_connect(int dir, const char *hash);

/** state_check_peer() - is the other end of a socket of our uid? Return: 0; -EPERM. */
int state_check_peer(int fd);

/** state_is_hash() - does @name consist of STATE_HASH_LEN hex digits and @suffix? */
bool state_is_hash(const char *name, const char *suffix);

#endif
