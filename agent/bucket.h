/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_BUCKET_H
#define AGENT_BUCKET_H

/* The levels above file systems: disks, bucket types, partitions. */

#include "agent/part.h"
#include "agent/probe.h"
#include "agent/resolve.h"

struct bucket_entry {
	char name[WIRE_DISK_NAME_MAX + 1];
	bool has_size;
	uint64_t size;
};

typedef int bucket_fn(void *arg, const struct bucket_entry *e);

/** bucket_list() - what is at a level above the volumes. Return: 0; negative errno; what @fn returned. */
int bucket_list(struct agent *a, const struct target *t, bucket_fn *fn, void *arg, struct err *err);

/**
 * bucket_shows() - is partition @p of a disk shown?
 * Not the container of logical ones, and not one that is the whole disk's file system seen again.
 */
bool bucket_shows(const struct part *p, const struct probe *whole);

#endif
