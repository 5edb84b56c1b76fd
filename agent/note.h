/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_NOTE_H
#define AGENT_NOTE_H

/* What is to be known of a volume that is read: facts of one line, behind each other. */

#include <stdbool.h>

#include "common/wire.h"

#define NOTE_MAX (WIRE_NOTE_MAX + 1)	/* with its NUL */

#define NOTE_HIBERNATED "Windows is hibernated: what it had not written is not shown"

/** note_add() - one more fact. @note: NOTE_MAX bytes, a string. What has no room is left out. */
void note_add(char *note, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** note_is_hibernated() - has a mounted NTFS what Windows leaves there when it hibernates? */
bool note_is_hibernated(int root_fd);

/** note_is_hibernated_unmounted() - the same of a device, read in a process of its own, which may fail or hang without harm. */
bool note_is_hibernated_unmounted(const char *dev);

#endif
