/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_VM_SCOPE_H
#define HOST_VM_SCOPE_H

/*
 * A scope unit of systemd around a program: systemd-run asks the manager (of the user; root: of the system) to put it into a control
 * group with the limits, becomes the user asked for and then the program, in the same process.
 */

#include <stddef.h>
#include <sys/types.h>

#include "common/err.h"
#include "host/vm/cgroup.h"

#define SCOPE_WORDS 12

struct scope {
	char *words[SCOPE_WORDS + 1];	/* to go before the program's own; NULL-terminated. The first is the path of systemd-run */
	char *env[2];			/* all the environment that it needs */
	char text[96];			/* "systemd: memory 1408 MiB, 64 tasks" */
};

/**
 * scope_new() - words for a scope with these limits, tried out with true(1)
 * @uid, @gid: whom the program is to run as, if we are root; groups stay as they are
 * Return: 0; -EOPNOTSUPP with the reason where there is no systemd that makes one; -ENOMEM.
 */
int scope_new(const struct cgroup_limits *l, uid_t uid, gid_t gid, struct scope **ret, struct err *err);
void scope_free(struct scope *s);

static inline void scope_freep(struct scope **s)
{
	scope_free(*s);
}

#endif
