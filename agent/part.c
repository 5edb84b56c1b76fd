/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/part.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <linux/blkpg.h>
#include <linux/fs.h>
#include <blkid/blkid.h>

#include "agent/disk.h"
#include "common/cleanup.h"

static void free_probe(blkid_probe pr)
{
	blkid_free_probe(pr);
}
CLEANUP_DEFINE(blkid_probe, free_probe)

void part_list_free(struct part_list *l)
{
	free(l->v);
	*l = (struct part_list){ 0 };
}

static int read_part(const char *dev, struct part *ret)
{
	uint64_t nr, start;
	int r;

	*ret = (struct part){ 0 };
	r = disk_sys_u64(dev, "partition", &nr);
	if (r < 0 || nr > UINT32_MAX)
		return -ENOENT;
	if (disk_sys_u64(dev, "start", &start) < 0 || disk_size(dev, &ret->size) < 0 || start > UINT64_MAX / 512)
		return -ENOENT;
	ret->nr = (unsigned int)nr;
	ret->start = start * 512;
	strcpy(ret->dev, dev);
	return 0;
}

static int by_number(const void *x, const void *y)
{
	const struct part *a = x, *b = y;

	return (a->nr > b->nr) - (a->nr < b->nr);
}

/* What the kernel knows. */
static int scan_sysfs(const char *disk_dev, struct part_list *ret)
{
	CLEANUP_DIR DIR *dir = NULL;
	char path[64];
	struct dirent *e;

	(void)snprintf(path, sizeof(path), "/sys/block/%s", disk_dev);
	dir = opendir(path);
	if (!dir)
		return -errno;
	ret->nr = 0;
	while ((e = readdir(dir)) && ret->nr < PART_MAX) {
		if (strncmp(e->d_name, disk_dev, strlen(disk_dev)) != 0 || strlen(e->d_name) >= AGENT_DEV_MAX)
			continue;
		if (read_part(e->d_name, &ret->v[ret->nr]) == 0)
			ret->nr++;
	}
	qsort(ret->v, ret->nr, sizeof(*ret->v), by_number);
	return 0;
}

/* The table as libblkid reads it, or NULL. */
static blkid_partlist read_table(blkid_probe pr, int fd)
{
	if (!pr || blkid_probe_set_device(pr, fd, 0, 0) != 0)
		return NULL;
	(void)blkid_probe_enable_superblocks(pr, 0);
	(void)blkid_probe_enable_partitions(pr, 1);
	(void)blkid_probe_set_partitions_flags(pr, BLKID_PARTS_FORCE_GPT);
	return blkid_probe_get_partitions(pr);
}

/* Tell the kernel of a partition; what lies beyond the disk's end is cut. */
static void add_part(int fd, uint64_t disk_size_bytes, blkid_partition p)
{
	struct blkpg_partition bp = { 0 };
	struct blkpg_ioctl_arg arg = { .op = BLKPG_ADD_PARTITION, .datalen = sizeof(bp), .data = &bp };
	blkid_loff_t start = blkid_partition_get_start(p), size = blkid_partition_get_size(p);
	const uint64_t sectors = disk_size_bytes / 512;

	if (start < 0 || size <= 0 || (uint64_t)start >= sectors)
		return;
	if ((uint64_t)size > sectors - (uint64_t)start)
		size = (blkid_loff_t)(sectors - (uint64_t)start);
	bp.start = start * 512;
	bp.length = size * 512;
	bp.pno = blkid_partition_get_partno(p);
	(void)ioctl(fd, BLKPG, &arg);	/* overlaps are refused: the first one stays */
}

static void add_missing(const char *disk_dev, int fd, blkid_partlist table)
{
	int n = blkid_partlist_numof_partitions(table);
	uint64_t size;

	if (disk_size(disk_dev, &size) < 0)
		return;
	for (int i = 0; i < n && i < PART_MAX; i++) {
		blkid_partition p = blkid_partlist_get_partition(table, i);

		if (p && !blkid_partition_is_extended(p))
			add_part(fd, size, p);
	}
}

static void add_details(struct part_list *l, blkid_partlist table)
{
	for (size_t i = 0; i < l->nr; i++) {
		blkid_partition p = blkid_partlist_get_partition_by_partno(table, (int)l->v[i].nr);
		const char *s;

		if (!p || (uint64_t)blkid_partition_get_start(p) != l->v[i].start / 512)
			continue;
		l->v[i].extended = blkid_partition_is_extended(p);
		if ((s = blkid_partition_get_uuid(p)))
			(void)snprintf(l->v[i].uuid, sizeof(l->v[i].uuid), "%s", s);
		if ((s = blkid_partition_get_name(p)))
			(void)snprintf(l->v[i].name, sizeof(l->v[i].name), "%s", s);
	}
}

/* The kernel shows nothing: look for a table that it does not read (backup GPT, cut disk), or a disk that came late. */
static int scan_harder(const struct agent *a, const char *disk_dev, int fd, blkid_partlist table, struct part_list *ret,
		       struct err *err)
{
	CLEANUP_CLOSE int lock = disk_lock(a, disk_dev, err);
	int r;

	if (lock < 0)
		return lock;
	r = scan_sysfs(disk_dev, ret);
	if (r < 0 || ret->nr)
		return r;
	(void)ioctl(fd, BLKRRPART);
	r = scan_sysfs(disk_dev, ret);
	if (r < 0 || ret->nr)
		return r;
	add_missing(disk_dev, fd, table);
	return scan_sysfs(disk_dev, ret);
}

int part_scan(const struct agent *a, const char *disk_dev, bool details, struct part_list *ret, struct err *err)
{
	CLEANUP_PARTS struct part_list l = { .v = calloc(PART_MAX, sizeof(*l.v)) };
	CLEANUP(free_probep) blkid_probe pr = NULL;
	CLEANUP_CLOSE int fd = -1;
	blkid_partlist table;
	int r = l.v ? scan_sysfs(disk_dev, &l) : -ENOMEM;

	if (r < 0)
		return err_set(err, r, "partitions of %s", disk_dev);
	if (!l.nr || details) {
		fd = disk_open(disk_dev);
		if (fd < 0)
			return err_set(err, fd, "open %s", disk_dev);
		pr = blkid_new_probe();
		table = read_table(pr, fd);
		if (!l.nr && table && blkid_partlist_numof_partitions(table) > 0)
			r = scan_harder(a, disk_dev, fd, table, &l, err);
		if (r < 0)
			return r;
		if (table)
			add_details(&l, table);
	}
	*ret = l;
	l.v = NULL;
	return 0;
}

int part_find(const struct agent *a, const char *disk_dev, unsigned int nr, struct part *ret, struct err *err)
{
	CLEANUP_PARTS struct part_list l = { 0 };
	int r = part_scan(a, disk_dev, false, &l, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < l.nr; i++) {
		if (l.v[i].nr != nr)
			continue;
		*ret = l.v[i];
		return 0;
	}
	return -ENOENT;
}
