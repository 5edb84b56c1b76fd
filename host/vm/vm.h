/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_VM_VM_H
#define HOST_VM_VM_H

/* QEMU: found, checked, jailed, started, watched. Knows nothing of disks' contents. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"
#include "common/wire.h"

#define VM_MMIO_SLOTS 22		/* virtio-mmio has 24 slots: one is vsock's, and a disk in the last one never answers (QEMU 7.2) */
#define VM_SLOTS_MAX 52		/* the rest is on PCI */
#define VM_SLACK_MIB 1280		/* memory of QEMU besides the guest's: TCG keeps up to 1 GiB of translated code */
#define VM_TASKS 64			/* threads of QEMU, processes of the jail */

struct vm_config {
	const char *lib_dir;	/* holds vmlinux, initramfs.cpio, tools.img */
	uint32_t memory_mib;
	uint32_t nr_slots;
	int ram_fd;		/* sealed memfd of memory_mib, borrowed */
	int vsock_fd;		/* vhost-user socket ends for QEMU, borrowed */
	const int *blk_fds;
	const char *disks;	/* text of WIRE_FWCFG_DISKS */
	const char *mount;	/* text of WIRE_FWCFG_MOUNT; NULL: none */
	uint32_t watchdog_s;	/* of the agent */
	const char *left_out;	/* text of WIRE_FWCFG_LEFT_OUT */
	const char *ticket;
	const char *accel;	/* "tcg" or "kvm" */
	bool reduced_jail;	/* without namespaces (host/vm/jail.h) */
};

struct vm;
struct console;

/** vm_find_libdir() - PLUCK_LIBDIR, else beside the program, else PREFIX/lib/pluck. Return: 0 with malloc'ed path; -ENOENT naming what is missing. */
int vm_find_libdir(char **ret, struct err *err);

/** vm_check_qemu() - is there a QEMU that will do (version, microvm, devices)? The answer is cached by the binary's identity. */
int vm_check_qemu(struct err *err);

/** vm_make_ram() - memfd of @mib MiB, sealed against shrinking, growing and more seals. Return: the descriptor or negative errno. */
int vm_make_ram(uint32_t mib, struct err *err);

/** vm_jail_user() - whom QEMU runs as: ourselves, or for root the user "pluck", else nobody (65534). */
void vm_jail_user(uid_t *ret_uid, gid_t *ret_gid);

/** vm_start() - start QEMU in its jail. Call from the main thread. Return: 0; -EHOSTDOWN or others with the reason. */
int vm_start(const struct vm_config *c, struct vm **ret, struct err *err);

/** vm_console_fd() - readable when there is console output or it ended; then call vm_console_read(). */
int vm_console_fd(const struct vm *vm);
/** vm_console_read() - take what is there into the ring of 256 KiB. Return: 1 more may come; 0 at the end. */
int vm_console_read(struct vm *vm);
/** vm_console() - all that is kept of it. Borrowed. */
const struct console *vm_console(const struct vm *vm);
/** vm_console_tail() - the last lines, escaped for a terminal; at most @room bytes with the NUL. Return: length. */
size_t vm_console_tail(const struct vm *vm, char *ret, size_t room);

/**
 * vm_reason() - why it ended, as far as can be told: exit status, last lines of QEMU and of the console, escaped
 * Takes what is left on the console first. Return: length in @ret.
 */
size_t vm_reason(struct vm *vm, char *ret, size_t room);

/** vm_limits() - what limits QEMU's memory and tasks from outside, besides its own limits: a control group, a scope of systemd, or why none. Borrowed. */
const char *vm_limits(const struct vm *vm);

/** vm_was_killed() - did somebody else end it (SIGKILL, SIGTERM), and not for its want of memory? After vm_reason(). */
bool vm_was_killed(const struct vm *vm);

/** vm_exit_fd() - pidfd: readable when QEMU's jail has ended. */
int vm_exit_fd(const struct vm *vm);

/** vm_free() - kill it if it runs, reap it, release everything. */
void vm_free(struct vm *vm);

#endif
