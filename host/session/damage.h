/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_SESSION_DAMAGE_H
#define HOST_SESSION_DAMAGE_H

/*
 * What of the sources could not be read, for the report: the first DAMAGE_LISTED ranges with the reason of each; of further ones how many
 * there are, and their bytes. No byte is counted twice, however often it is read.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DAMAGE_LISTED 4096
#define DAMAGE_EXTENTS 65536		/* apart from each other; beyond that what is new is not known any more */
#define DAMAGE_TEXT 320
#define DAMAGE_PAGE 64			/* ranges in one answer */

struct damage {
	struct damage_range {
		uint32_t disk;
		uint64_t off, len;
		char text[DAMAGE_TEXT];
	} *ranges;
	size_t nr, room;
	struct damage_extent {
		uint32_t disk;
		uint64_t off, end;
	} *extents;			/* ascending, apart: all of it, listed or not */
	size_t nr_extents, room_extents;
	uint64_t unlisted, unlisted_bytes;
	bool uncounted;			/* and there is more */
};

/** damage_add() - a range with no byte that is new is nothing new. */
void damage_add(struct damage *d, uint32_t disk, uint64_t off, uint64_t len, const char *text);
void damage_free(struct damage *d);

/**
 * damage_json() - ranges from number @first on, as many as one answer holds, and the counts
 * Return: malloc'ed {"ranges":[{"disk","offset","length","error"}..],"listed","unlisted","unlisted-bytes","uncounted"}; NULL without memory.
 */
char *damage_json(const struct damage *d, size_t first, const char *(*disk_name)(void *arg, uint32_t disk), void *arg);

#endif
