/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_PART_H
#define AGENT_PART_H

/* Partitions: the kernel's, or those that libblkid finds where the kernel's parsers find none. */

#include "agent/agent.h"
#include "common/err.h"

#define PART_MAX 256		/* of a disk; further ones are not shown */

struct part {
	unsigned int nr;
	uint64_t start, size;	/* bytes */
	char dev[AGENT_DEV_MAX];
	bool extended;		/* only a container of logical partitions */
	bool refused;		/* stands in the table, but overlaps others or lies elsewhere: no device */
	char uuid[40], name[256];	/* from the table; empty if not known */
};

struct part_list {
	struct part *v;		/* ascending by number */
	size_t nr;
};

void part_list_free(struct part_list *l);
#define CLEANUP_PARTS __attribute__((cleanup(part_list_free)))

/**
 * part_scan() - the partitions of a disk
 * @details: also names and UUIDs, and entries that were refused (reads the table itself)
 */
int part_scan(const struct agent *a, const char *disk_dev, bool details, struct part_list *ret, struct err *err);

/** part_table_is_dynamic() - is it the table of a Windows dynamic disk (LDM)? */
bool part_table_is_dynamic(const char *disk_dev);

/** part_find() - one partition by number, without details. Return: 0; -ENOENT (no text set) and others. */
int part_find(const struct agent *a, const char *disk_dev, unsigned int nr, struct part *ret, struct err *err);

#endif
