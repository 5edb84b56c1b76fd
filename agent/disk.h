/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_DISK_H
#define AGENT_DISK_H

/* The VM's disks: names from the host, devices found by the serial. */

#include "agent/agent.h"
#include "common/err.h"

/**
 * disk_find() - the disk of a name
 * @name: @len bytes, with or without WIRE_DISK_SUFFIX
 * Return: the disk, or NULL.
 */
struct agent_disk *disk_find(struct agent *a, const char *name, size_t len);

/** disk_locate_early() - note the kernel names of disks that are there already, whatever their size; to be called before the host hears of us. */
void disk_locate_early(struct agent *a);

/**
 * disk_locate() - fill in the disk's kernel name
 * Disks come once the host has heard that the agent runs, so this waits for a while. Looks at no other disk if the slots are in order.
 */
int disk_locate(struct agent_disk *d, struct err *err);

/** disk_size() - bytes of a disk or partition (@dev: its kernel name). */
int disk_size(const char *dev, uint64_t *ret);

/** disk_sys_u64() - a decimal number below /sys/class/block. */
int disk_sys_u64(const char *dev, const char *attr, uint64_t *ret);

/** disk_open() - the block device, for reading only. Return: a descriptor; negative errno. */
int disk_open(const char *dev);

/** disk_lock() - one lock file for each device; close it to unlock. Gives up after LOCK_WAIT_S. */
int disk_lock(const struct agent *a, const char *dev, struct err *err);

#define LOCK_WAIT_S 60

#endif
