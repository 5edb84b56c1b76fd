/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/part.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <linux/blkpg.h>
#include <linux/fs.h>
#include <blkid/blkid.h>

#include "agent/disk.h"
#include "agent/gpt.h"
#include "common/cleanup.h"

#define MBR_LDM 0x42
#define GPT_LDM_DATA "af9b60a0-1431-4f62-bc68-3311714a69ad"

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

/* A chain of logical partitions that comes back to itself gives the same ones again under higher numbers. */
static void drop_repeated(struct part_list *l)
{
	size_t to = 0;

	for (size_t i = 0; i < l->nr; i++) {
		bool again = false;

		for (size_t k = 0; k < to && !again; k++)
			again = l->v[k].start == l->v[i].start && l->v[k].size == l->v[i].size;
		if (!again)
			l->v[to++] = l->v[i];
	}
	l->nr = to;
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
	drop_repeated(ret);
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

/* Tell the kernel of a partition, in sectors; what lies beyond the disk's end is cut. */
static void add_part(int fd, uint64_t sectors, unsigned int nr, uint64_t start, uint64_t size)
{
	struct blkpg_partition bp = { .pno = (int)nr };
	struct blkpg_ioctl_arg arg = { .op = BLKPG_ADD_PARTITION, .datalen = sizeof(bp), .data = &bp };

	if (!size || start >= sectors || nr > PART_MAX)
		return;
	if (size > sectors - start)
		size = sectors - start;
	bp.start = (long long)start * 512;
	bp.length = (long long)size * 512;
	(void)ioctl(fd, BLKPG, &arg);	/* overlaps are refused: the first one stays */
}

static int table_size(blkid_partlist table)
{
	return table ? blkid_partlist_numof_partitions(table) : 0;
}

static void add_from_table(int fd, uint64_t sectors, blkid_partlist table)
{
	int n = table_size(table);

	for (int i = 0; i < n && i < PART_MAX; i++) {
		blkid_partition p = blkid_partlist_get_partition(table, i);

		if (p && !blkid_partition_is_extended(p) && blkid_partition_get_start(p) >= 0 &&
		    blkid_partition_get_size(p) > 0)
			add_part(fd, sectors, (unsigned int)blkid_partition_get_partno(p),
				 (uint64_t)blkid_partition_get_start(p), (uint64_t)blkid_partition_get_size(p));
	}
}

static void add_from_gpt(int fd, uint64_t sectors)
{
	struct gpt_part v[PART_MAX];
	uint32_t block;
	long n = gpt_read(fd, v, PART_MAX, &block);

	for (long i = 0; i < n; i++) {
		const uint64_t unit = block / 512, blocks = v[i].last_lba - v[i].first_lba + 1;

		if (v[i].first_lba < sectors && blocks <= UINT64_MAX / unit)
			add_part(fd, sectors, v[i].nr, v[i].first_lba * unit, blocks * unit);
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

static bool has_number(const struct part_list *l, unsigned int nr)
{
	for (size_t i = 0; i < l->nr; i++)
		if (l->v[i].nr == nr)
			return true;
	return false;
}

/* Entries of the table that the kernel did not take. */
static void add_refused(struct part_list *l, blkid_partlist table)
{
	const int n = table_size(table);

	for (int i = 0; i < n && l->nr < PART_MAX; i++) {
		blkid_partition p = blkid_partlist_get_partition(table, i);
		const int nr = p ? blkid_partition_get_partno(p) : 0;
		struct part part = { .nr = (unsigned int)nr, .refused = true };

		if (nr <= 0 || has_number(l, (unsigned int)nr) || blkid_partition_is_extended(p) ||
		    blkid_partition_get_size(p) <= 0 || blkid_partition_get_type(p) == MBR_LDM)
			continue;
		part.start = (uint64_t)blkid_partition_get_start(p) * 512;
		part.size = (uint64_t)blkid_partition_get_size(p) * 512;
		l->v[l->nr++] = part;
	}
	qsort(l->v, l->nr, sizeof(*l->v), by_number);
}

static bool has_table(int fd, blkid_partlist table)
{
	struct gpt_part v[1];
	uint32_t block;

	return table_size(table) > 0 || gpt_read(fd, v, 1, &block) > 0;
}

/* Not the lock of the device: whoever mounts the whole of a disk holds that, and may look for members on others. */
static int lock_table(const struct agent *a, const char *disk_dev, struct err *err)
{
	char name[AGENT_DEV_MAX + 16];

	(void)snprintf(name, sizeof(name), "%s.table", disk_dev);
	return disk_lock(a, name, err);
}

/* Disks come when the kernel has started, so it is told once to look for partitions. To be called with the table locked. */
static void look_once(const struct agent *a, const char *disk_dev, int fd)
{
	CLEANUP_CLOSE int mark = -1;
	char path[512];

	if (snprintf(path, sizeof(path), "%s/%s.seen", a->lock_dir, disk_dev) < (int)sizeof(path))
		mark = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (mark >= 0)
		(void)ioctl(fd, BLKRRPART);
}

static int scan_kernel(const struct agent *a, const char *disk_dev, int fd, struct part_list *ret, struct err *err)
{
	CLEANUP_CLOSE int lock = lock_table(a, disk_dev, err);

	if (lock < 0)
		return lock;
	look_once(a, disk_dev, fd);
	return scan_sysfs(disk_dev, ret);
}

/* The kernel shows nothing: look for a table that it does not read (backup GPT, cut disk). */
static int scan_harder(const struct agent *a, const char *disk_dev, int fd, blkid_partlist table, struct part_list *ret,
		       struct err *err)
{
	CLEANUP_CLOSE int lock = lock_table(a, disk_dev, err);
	uint64_t size;
	int r;

	if (lock < 0)
		return lock;
	r = scan_sysfs(disk_dev, ret);
	if (r < 0 || ret->nr)
		return r;
	if (disk_size(disk_dev, &size) < 0)
		return 0;
	add_from_table(fd, size / 512, table);
	if (table_size(table) <= 0)
		add_from_gpt(fd, size / 512);
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
		r = l.nr ? 0 : scan_kernel(a, disk_dev, fd, &l, err);
		if (r < 0)
			return r;
	}
	if (!l.nr || details) {
		pr = blkid_new_probe();
		table = read_table(pr, fd);
		if (!l.nr && has_table(fd, table))
			r = scan_harder(a, disk_dev, fd, table, &l, err);
		if (r < 0)
			return r;
		if (table && l.nr)
			add_refused(&l, table);
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

bool part_table_is_dynamic(const char *disk_dev)
{
	CLEANUP(free_probep) blkid_probe pr = blkid_new_probe();
	CLEANUP_CLOSE int fd = disk_open(disk_dev);
	blkid_partlist table = fd < 0 ? NULL : read_table(pr, fd);

	for (int i = 0; i < table_size(table); i++) {
		blkid_partition p = blkid_partlist_get_partition(table, i);
		const char *guid = p ? blkid_partition_get_type_string(p) : NULL;

		if (p && (guid ? !strcasecmp(guid, GPT_LDM_DATA) : blkid_partition_get_type(p) == MBR_LDM))
			return true;
	}
	return false;
}
