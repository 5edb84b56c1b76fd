/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_CLI_MOUNT_OPTIONS_H
#define HOST_CLI_MOUNT_OPTIONS_H

/* Where the caller has a say in how the VM mounts volumes. */

#include "host/cli/cli.h"

/* Rows of an option table. */
#define MOUNT_OPTIONS \
	{ OPT("fs-type", OPT_TEXT, "TYPE", "take every volume for this type, whatever its signatures say") }, \
	{ OPT("fs-allow", OPT_TEXT, "TYPE[,TYPE...]", "mount no other types (default: all that are known)") }, \
	{ OPT("superblock", OPT_NUMBER, "N", "ext2, ext3, ext4: use the superblock at N KiB"), .min = 1, \
	  .max = UINT64_MAX / 1024 }, \
	{ OPT("checkpoint", OPT_NUMBER, "N", "nilfs2: show the snapshot with this number"), .min = 1, .max = INT64_MAX }, \
	{ OPT("codepage", OPT_NUMBER, "N", "FAT: of short names (default: 437)"), .min = 1, .max = 65535 }

/**
 * mount_options_text() - as the VM is told (WIRE_FWCFG_MOUNT)
 * @ret: malloc'ed; NULL if nothing was asked for
 * Return: 0; -EINVAL for what cannot be the name of a type; -ENOMEM.
 */
int mount_options_text(const struct args *a, char **ret, struct err *err);

#endif
