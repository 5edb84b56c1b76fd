/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_SESSION_DAMAGE_H
#define HOST_SESSION_DAMAGE_H

/* What of the sources could not be read, for the report: at most DAMAGE_MAX ranges, each once. */

#include <stddef.h>
#include <stdint.h>

#define DAMAGE_MAX 1000
#define DAMAGE_TEXT 320

struct damage {
	struct damage_range {
		uint32_t disk;
		uint64_t off, len;
		char text[DAMAGE_TEXT];
	} *ranges;
	size_t nr, room;
	uint64_t lost;		/* ranges beyond DAMAGE_MAX */
};

/** damage_add() - a range that is known already (same disk and offset) is not taken twice. */
void damage_add(struct damage *d, uint32_t disk, uint64_t off, uint64_t len, const char *text);
void damage_free(struct damage *d);

/** damage_json() - malloc'ed array of {"disk","offset","length","error"}; NULL without memory. */
char *damage_json(const struct damage *d, const char *(*disk_name)(void *arg, uint32_t disk), void *arg);

#endif
