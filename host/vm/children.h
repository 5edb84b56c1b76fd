/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_VM_CHILDREN_H
#define HOST_VM_CHILDREN_H

/*
 * The end of processes that became our children without our doing: a subreaper gets those whose parent was killed. The parent may have died before they asked
 * the kernel to die with it, so nobody else ends them.
 */

#include <sys/types.h>

/**
 * children_end() - kill and reap every child of ours
 * @ms: at most so long; -1: until there are none
 * @pid, @ret_status: if this one is among them, its status; @ret_status may be NULL
 */
void children_end(int ms, pid_t pid, int *ret_status);

#endif
