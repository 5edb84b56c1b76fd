/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_VM_CGROUP_PLACE_H
#define HOST_VM_CGROUP_PLACE_H

/* Where the control group of this process is, and whether it is ours to divide. */

#include <limits.h>
#include <stdbool.h>

/* The group that a VM's group is to be made in, in the hierarchy of one controller. */
struct cgroup_place {
	int version;		/* 1 or 2 */
	char dir[PATH_MAX];
};

/* Where the processes of our own group go, below it, to let it have others. */
#define CGROUP_OURS "pluck-commands"

/**
 * cgroup_place_parse() - from what the kernel says of a process
 * @groups: text of /proc/PID/cgroup, ended by a NUL
 * @mounts: text of /proc/PID/mountinfo, ended by a NUL
 * @controller: "memory" or "pids"; a hierarchy of version 1 that has it goes before version 2
 * Lines that are not as they should be are passed over. CGROUP_OURS at the end of a path of version 2 is left away.
 * Return: 0; -ENOENT if no group of the process with this controller can be reached by a path.
 */
int cgroup_place_parse(const char *groups, const char *mounts, const char *controller, struct cgroup_place *ret);

/** cgroup_place_find() - the same of this process. Return: 0; -ENOENT; negative errno. */
int cgroup_place_find(const char *controller, struct cgroup_place *ret);

/**
 * cgroup_is_delegated() - may this group be divided?
 * @systemd: does systemd run here? Then every group is its own that it has not marked as delegated: services and scopes with
 *           Delegate=yes, of the system or of a user
 */
bool cgroup_is_delegated(const char *dir, bool systemd);

#endif
