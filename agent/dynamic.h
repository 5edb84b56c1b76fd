/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_DYNAMIC_H
#define AGENT_DYNAMIC_H

/*
 * Windows dynamic disks (LDM). The kernel shows the pieces of their volumes as partitions. A simple volume is one piece, and
 * each half of a mirror is one; of a spanned, striped or RAID-5 volume the first piece has the signature of a file system
 * that is larger than it is, and reading it would give wrong data.
 */

#include <stdbool.h>
#include <stdint.h>

#define DYNAMIC_PIECE_TEXT "one of several pieces of a Windows dynamic volume, which is not assembled"

/** dynamic_piece() - is this partition (kernel name) such a piece? */
bool dynamic_piece(const char *dev);

/** dynamic_claimed_size() - bytes that the NTFS or FAT on an open device claims; 0: neither. */
uint64_t dynamic_claimed_size(int fd);

#endif
