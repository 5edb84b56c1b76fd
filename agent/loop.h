/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_LOOP_H
#define AGENT_LOOP_H

/**
 * loop_attach() - a read-only loop device over a block device
 * Needed where a disk and one of its partitions hold file systems both: the kernel lets only one of them be mounted directly.
 * The device goes when its last user does.
 * @dev: kernel name;  @ret: AGENT_DEV_MAX bytes, the loop device's kernel name
 * Return: a descriptor that keeps it until it is mounted; negative errno.
 */
int loop_attach(const char *dev, char *ret);

/** loop_attach_fd() - the same over a file. */
int loop_attach_fd(int backing, char *ret);

#endif
