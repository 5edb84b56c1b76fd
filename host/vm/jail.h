/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_VM_JAIL_H
#define HOST_VM_JAIL_H

/*
 * The jail around QEMU, made by bubblewrap: new user, pid, net, ipc, uts, cgroup and mount namespaces, no capabilities, a root that
 * holds QEMU's binary, the libraries and module it loads and its firmware directories (read-only, nothing else of the host), an empty
 * /tmp of 1 MiB, /proc of its own pid namespace, /dev/null and /dev/urandom. All data comes by descriptor. It dies with
 * the process that started it (host/vm/warden.h). A filter (host/confine) takes system calls away: no new process, socket, namespace or mount.
 * Limits: address space, threads, size of files, no core.
 *
 * The reduced jail, only on request, is for hosts without user namespaces: Landlock shows the same files, the filter and
 * the limits are the same, and QEMU can signal only itself. But it has the names of processes and files, and the network
 * namespace (without a way to make a socket) of the host, and only what Landlock's ABI there knows is refused.
 *
 * bubblewrap that is started by root stays root outside of its namespace, so root becomes an unprivileged user first.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"
#include "host/vm/cgroup.h"
#include "host/vm/qemu.h"
#include "host/vm/scope.h"

#define JAIL_FDS_MAX 96

struct jail {
	const struct qemu *qemu;
	char *const *argv;	/* of QEMU, NULL-terminated; argv[0] is its path */
	const int *fds;		/* what it inherits under the same numbers, borrowed */
	size_t nr_fds;
	int err_fd;		/* its stdout and stderr */
	bool kvm;		/* /dev/kvm is there too */
	bool reduced;		/* without namespaces */
	uint32_t memory_mib;	/* of the guest: part of the address space */
	const struct cgroup *cgroup;	/* it is to be in; NULL */
	const struct scope *scope;	/* of systemd, that it is to be in; NULL. Not for the reduced jail: its filter comes first */
};

/** jail_give() - let the jail's user open the file behind a descriptor of ours anew with @mode (0400 or 0600). Return: 0; negative errno. */
int jail_give(int fd, mode_t mode);

/**
 * jail_start() - call from the main thread
 * @ret_life: the jail ends when the last descriptor of this is closed; -1 where there is no warden, and killing @ret is the way
 * Return: 0 with the pid (a child to be waited for), 1 if it could not be put into @cgroup; -EHOSTDOWN without bubblewrap; negative errno.
 */
int jail_start(const struct jail *j, pid_t *ret, int *ret_life, struct err *err);

/** jail_hint() - what may be done about it if @text (stderr of the jail) says that namespaces are refused; else "". Static string. */
const char *jail_hint(const char *text);

#endif
