/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_DIRTY_H
#define AGENT_DIRTY_H

/*
 * Was a file system left without being unmounted? Then its journal, its log, or what came behind its last checkpoint holds more than
 * is shown, since nothing is replayed. Told by the superblock where it says so, by the log itself of XFS.
 */

/**
 * dirty_note() - what is to be said of it
 * @fd:   the volume; @type: as blkid names it
 * Return: static text; NULL if it was unmounted, if its type has no such thing, or if that cannot be read.
 */
const char *dirty_note(int fd, const char *type);

/** dirty_add_note() - the same of a device (its kernel name). @note: as note_add() has it. */
void dirty_add_note(const char *dev, const char *type, char *note);

#endif
