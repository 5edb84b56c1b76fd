/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_CLI_VERSIONS_H
#define HOST_CLI_VERSIONS_H

#include "common/buf.h"

/** version_kernel() - append the version of the VM's kernel; nothing if it is not found. */
void version_kernel(struct buf *ret);

/** version_qemu() - the same of QEMU, which is run for it. */
void version_qemu(struct buf *ret);

#endif
