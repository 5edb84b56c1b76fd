/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_VM_CGROUP_H
#define HOST_VM_CGROUP_H

/*
 * A control group for one VM, below the one that we are in ourselves, where that may be done: version 2 if our own was delegated to us,
 * version 1 if its directories may be written. Each controller is taken where it is; one may be missing.
 *
 * Version 2 lets a group have either processes or groups with controllers. So the processes of our own group go into one
 * below it first, if all of them are ours: commands and sessions of this very program. Those of others stay where they are, and there
 * is no group for the VM then.
 *
 * A group is named pluck-XXXXXXXXXXXXXXXX. Whoever made one holds a lock on its directory; one without a lock was left by a session that was
 * killed, and is removed by the next that makes one there.
 *
 * On a host that runs systemd a group that was not delegated is systemd's own, also when root could write to it: see host/vm/scope.h.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"

struct cgroup_limits {
	uint64_t memory_bytes;	/* resident, of all its processes together; none of it is swapped out */
	uint32_t tasks;		/* processes and threads */
};

struct cgroup;

/** cgroup_new() - make one. Return: 0; -EOPNOTSUPP with the reason where there can be none; -ENOMEM. */
int cgroup_new(const struct cgroup_limits *l, struct cgroup **ret, struct err *err);

/** cgroup_add() - move a process of one thread there. Return: 0; negative errno, when some limit does not apply to it. */
int cgroup_add(const struct cgroup *g, pid_t pid);

/** cgroup_text() - "cgroup v2: memory 1408 MiB, 64 tasks". Borrowed. */
const char *cgroup_text(const struct cgroup *g);

/** cgroup_ran_out() - has the kernel ended a process of it that wanted more than its memory? */
bool cgroup_ran_out(const struct cgroup *g);

/** cgroup_free() - remove it; its processes must be ending, which is waited for, for a second at most. */
void cgroup_free(struct cgroup *g);

/** cgroup_sweep() - remove what killed sessions left below our own. */
void cgroup_sweep(void);

static inline void cgroup_freep(struct cgroup **g)
{
	cgroup_free(*g);
}

#endif
