/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_FSMOUNT_H
#define AGENT_FSMOUNT_H

#include "agent/agent.h"
#include "common/err.h"

/**
 * fsmount_open() - the root directory of the file system on a block device, mounted read-only at the first request
 * Requests for one device wait for each other; a mount that hangs holds up nothing else.
 * @dev: kernel name
 * @ret_note: NOTE_MAX bytes: what is to be known of it
 * Return: an O_PATH descriptor; -ENODEV if no file system that the kernel knows was found; other negative errno.
 */
int fsmount_open(struct agent *a, const char *dev, char *ret_note, struct err *err);

/** fsmount_allows() - may file systems of this type be mounted? */
bool fsmount_allows(const struct agent *a, const char *type);

#endif
