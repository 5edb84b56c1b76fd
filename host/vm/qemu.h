/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_VM_QEMU_H
#define HOST_VM_QEMU_H

/* Which QEMU, whether it will do, and which files it needs to run. */

#include <stddef.h>

#include "common/err.h"

#define QEMU_FILES_MAX 256

struct qemu {
	char *path;			/* the binary, no symlink */
	char *files[QEMU_FILES_MAX];	/* libraries, loader, modules, firmware directories: absolute paths */
	size_t nr_files;
};

/**
 * qemu_find() - the QEMU to use, checked
 * $PLUCK_QEMU, else qemu-system-x86_64 in PATH. The checks cost some tenths of a second, so that their result is kept by
 * the identity of the binary (device, inode, size, time of change).
 * Return: 0; -EHOSTDOWN with what is missing and the package it comes from.
 */
int qemu_find(struct qemu **ret, struct err *err);
void qemu_free(struct qemu *q);

/** qemu_forget() - drop what was kept: QEMU did not start, perhaps its libraries changed. */
void qemu_forget(void);

/** qemu_find_program() - @name in PATH, else in the usual directories. Return: 0 with malloc'ed path; -ENOENT. */
int qemu_find_program(const char *name, char **ret);

static inline void qemu_freep(struct qemu **q)
{
	qemu_free(*q);
}

#endif
