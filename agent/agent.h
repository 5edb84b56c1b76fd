/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

/*
 * What every part of the agent is given. Filled once by main, then only read, but for struct agent_shared.
 *
 * PID 1 accepts connections and forks one worker process for each; a worker that a hostile file system kills or hangs takes
 * nothing with it. Workers share no state but agent_shared and the kernel's: what is mounted where and which
 * partitions exist is asked of the kernel each time, under a lock file for each device.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/wire.h"

#define AGENT_DISKS_MAX 64
#define AGENT_DEV_MAX 32	/* a kernel device name with its NUL */

struct agent_disk {
	char name[WIRE_DISK_NAME_MAX + 1];	/* without WIRE_DISK_SUFFIX */
	unsigned int slot;
	char dev[AGENT_DEV_MAX];		/* kernel name ("vda"); empty until disk_locate(), unless it was there from the start */
};

enum agent_load { AGENT_IDLE, AGENT_LISTING, AGENT_EXTRACTING };

/* Memory shared by PID 1 and the workers. */
struct agent_shared {
	_Atomic int64_t start_s, ping_s;	/* CLOCK_BOOTTIME */
	struct {
		_Atomic pid_t pid;		/* 0: free */
		_Atomic int load;		/* enum agent_load; anything but idle holds the watchdog off */
	} worker[WIRE_CONN_MAX];
};

/* What the caller wants of mounts (WIRE_FWCFG_MOUNT); zero and empty: nothing. */
struct agent_mount {
	char fs_type[32];
	char fs_allow[WIRE_MOUNT_MAX];		/* separated by commas */
	uint64_t superblock_kib, checkpoint, codepage;
};

struct agent {
	char ticket[WIRE_TICKET_HEX + 1];
	struct agent_disk disk[AGENT_DISKS_MAX];
	size_t nr_disks;
	struct agent_mount mount;
	const char *lock_dir, *mnt_dir;		/* existing directories */
	bool is_init;				/* PID 1 of the VM: power off at the end */
	struct agent_shared *shared;
	unsigned int watchdog_s;		/* without a request for so long the VM ends */
	size_t worker;				/* index of this worker's slot */
	uint32_t left_out[WIRE_LEFT_OUT_MAX];	/* ports of work (common/wire.h) that ended earlier VMs */
	size_t nr_left_out;
	int work_fd;				/* of this worker: says what is in work; 0: nothing is */
};

/** agent_now() - CLOCK_BOOTTIME in seconds. */
int64_t agent_now(void);

/** agent_ping() - somebody is there: the watchdog starts anew. */
void agent_ping(struct agent *a);

/** agent_set_load() - what this worker does. Return: 0; -EBUSY if too many extract already. */
int agent_set_load(struct agent *a, enum agent_load load);

/** agent_timeout() - seconds until the watchdog ends the VM. */
int64_t agent_timeout(const struct agent *a);

/** agent_stop() - end the VM (or, run by hand, the agent) now. */
void agent_stop(struct agent *a, const char *reason) __attribute__((noreturn));

#endif
