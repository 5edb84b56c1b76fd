/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <blkid/blkid.h>

#include "agent/gpt.h"
#include "common/cleanup.h"

#define MBR_LDM 0x42
#define GPT_LDM_DATA "af9b60a0-1431-4f62-bc68-3311714a69ad"
#define SECTORS_MAX (UINT64_MAX / 512)

static void free_probe(blkid_probe pr)
{
	blkid_free_probe(pr);
}
CLEANUP_DEFINE(blkid_probe, free_probe)

void table_free(struct table *t)
{
	free(t->v);
	*t = (struct table){ 0 };
}

static bool has_sane_place(const struct table_entry *e)
{
	return e->size && e->start <= SECTORS_MAX && e->size <= SECTORS_MAX - e->start;
}

static void copy_text(char *ret, size_t room, const char *text)
{
	(void)snprintf(ret, room, "%s", text ? text : "");
}

static void add_blkid(struct table *t, blkid_partition p)
{
	const char *guid = blkid_partition_get_type_string(p);
	struct table_entry e = {
		.nr = (unsigned int)blkid_partition_get_partno(p), .start = (uint64_t)blkid_partition_get_start(p),
		.size = (uint64_t)blkid_partition_get_size(p), .extended = blkid_partition_is_extended(p),
		.ldm = blkid_partition_get_type(p) == MBR_LDM,
	};

	t->dynamic |= guid ? !strcasecmp(guid, GPT_LDM_DATA) : e.ldm;
	copy_text(e.uuid, sizeof(e.uuid), blkid_partition_get_uuid(p));
	copy_text(e.name, sizeof(e.name), blkid_partition_get_name(p));
	if (blkid_partition_get_partno(p) > 0 && has_sane_place(&e))
		t->v[t->nr++] = e;
}

/* Return: has it a table? */
static bool read_blkid(int fd, struct table *t)
{
	CLEANUP(free_probep) blkid_probe pr = blkid_new_probe();
	blkid_partlist list;
	int n;

	if (!pr || blkid_probe_set_device(pr, fd, 0, 0) != 0)
		return false;
	(void)blkid_probe_enable_superblocks(pr, 0);
	(void)blkid_probe_enable_partitions(pr, 1);
	(void)blkid_probe_set_partitions_flags(pr, BLKID_PARTS_FORCE_GPT);
	list = blkid_probe_get_partitions(pr);
	n = list ? blkid_partlist_numof_partitions(list) : 0;
	for (int i = 0; i < n && t->nr < TABLE_MAX; i++) {
		blkid_partition p = blkid_partlist_get_partition(list, i);

		if (p)
			add_blkid(t, p);
	}
	return n > 0;
}

static void read_gpt(int fd, struct table *t)
{
	struct gpt_part v[TABLE_MAX];
	uint32_t block;
	const long n = gpt_read(fd, v, TABLE_MAX, &block);

	for (long i = 0; i < n; i++) {
		const uint64_t unit = block / 512, last = SECTORS_MAX / unit - 1;
		struct table_entry e = { .nr = v[i].nr };

		if (v[i].first_lba > last || v[i].last_lba > last)
			continue;
		e.start = v[i].first_lba * unit;
		e.size = (v[i].last_lba - v[i].first_lba + 1) * unit;
		if (has_sane_place(&e))
			t->v[t->nr++] = e;
	}
}

int table_read(int fd, struct table *ret)
{
	struct table t = { .v = calloc(TABLE_MAX, sizeof(*t.v)) };

	if (!t.v)
		return -ENOMEM;
	if (!read_blkid(fd, &t))
		read_gpt(fd, &t);
	*ret = t;
	return 0;
}

const struct table_entry *table_find(const struct table *t, unsigned int nr)
{
	for (size_t i = 0; i < t->nr; i++)
		if (t->v[i].nr == nr)
			return &t->v[i];
	return NULL;
}

uint64_t table_clip(const struct table_entry *e, uint64_t sectors)
{
	if (e->start >= sectors)
		return 0;
	return e->size < sectors - e->start ? e->size : sectors - e->start;
}
