/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_RESOLVE_H
#define AGENT_RESOLVE_H

/*
 * From the path of a request to a disk, a volume, and an entry in it.
 *
 *   path := [/] DISK [ /raw | /part [ /N ] [ / path in the file system ] ]
 *
 * On NTFS the last component may name an alternate data stream, NAME:STREAM, with or without ":$DATA" behind it; ":STREAM" is one of
 * the directory it stands in. An entry with just this name goes first.
 */

#include <sys/stat.h>

#include "agent/agent.h"
#include "agent/native.h"
#include "agent/note.h"
#include "common/err.h"

#define RESOLVE_NAME_MAX 4095

enum target_level {
	TARGET_ROOT,		/* the list of disks */
	TARGET_DISK,		/* the list of bucket types */
	TARGET_PARTS,		/* the list of partitions */
	TARGET_VOLUME,		/* a file system, or something in it */
};

struct target {
	enum target_level level;
	struct agent_disk *disk;
	unsigned int part;		/* 0: raw */
	bool raw;
	char *rest;			/* path in the file system, components joined by single slashes; empty: its root */
	size_t rest_len;
	char shown[64];			/* "raw" or "part/N" */
};

void target_free(struct target *t);
#define CLEANUP_TARGET __attribute__((cleanup(target_free)))

/** target_parse() - syntax alone: no disk is looked at. */
int target_parse(struct agent *a, const char *path, size_t len, struct target *ret, struct err *err);

/** target_device() - the block device of a volume. @ret: AGENT_DEV_MAX bytes. */
int target_device(struct agent *a, const struct target *t, char *ret, struct err *err);

/* An entry of a mounted file system. */
struct item {
	int root_fd;			/* the volume's root (O_PATH) */
	int parent_fd;			/* directory that holds it; -1 for the root itself */
	char name[RESOLVE_NAME_MAX + 1];	/* "." for the root */
	struct statx st;
	struct native native;		/* of the volume */
	char note[NOTE_MAX];		/* what is to be known of the volume */
	struct ntfs_stream *stream;	/* what @name is: no entry, but a stream of one; @st is made up of both. Else NULL */
};

void item_close(struct item *i);
#define CLEANUP_ITEM __attribute__((cleanup(item_close)))
#define ITEM_INIT ((struct item){ .root_fd = -1, .parent_fd = -1 })

/** item_open() - mount the volume if need be, and find the entry. Symbolic links are followed but for the last component. */
int item_open(struct agent *a, const struct target *t, struct item *ret, struct err *err);

/** item_dirfd() - the directory that @name of the item is relative to, borrowed. */
static inline int item_dirfd(const struct item *i)
{
	return i->parent_fd >= 0 ? i->parent_fd : i->root_fd;
}

/** resolve_open() - open one name in a directory without following anything. Return: a descriptor; negative errno. */
int resolve_open(int dirfd, const char *name, uint64_t flags);

/** resolve_stat() - statx() without following. Return: 0; -EUCLEAN for an impossible size; negative errno. */
int resolve_stat(int dirfd, const char *name, struct statx *ret);

#endif
