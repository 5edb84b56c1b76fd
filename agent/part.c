/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/part.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <linux/blkpg.h>
#include <linux/fs.h>

#include "agent/disk.h"
#include "agent/table.h"
#include "common/cleanup.h"

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

/* Tell the kernel of a partition; what lies beyond the disk's end is cut. */
static void add_part(int fd, uint64_t sectors, const struct table_entry *e)
{
	struct blkpg_partition bp = { .pno = (int)e->nr };
	struct blkpg_ioctl_arg arg = { .op = BLKPG_ADD_PARTITION, .datalen = sizeof(bp), .data = &bp };
	const uint64_t size = table_clip(e, sectors);

	if (!size || e->extended || e->nr > PART_MAX)
		return;
	bp.start = (long long)e->start * 512;
	bp.length = (long long)size * 512;
	(void)ioctl(fd, BLKPG, &arg);	/* overlaps are refused: the first one stays */
}

static void add_details(struct part_list *l, const struct table *t)
{
	for (size_t i = 0; i < l->nr; i++) {
		const struct table_entry *e = table_find(t, l->v[i].nr);

		if (!e || e->start != l->v[i].start / 512)
			continue;
		l->v[i].extended = e->extended;
		strcpy(l->v[i].uuid, e->uuid);
		strcpy(l->v[i].name, e->name);
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
static void add_refused(struct part_list *l, const struct table *t)
{
	for (size_t i = 0; i < t->nr && l->nr < PART_MAX; i++) {
		const struct table_entry *e = &t->v[i];

		if (!has_number(l, e->nr) && !e->extended && !e->ldm)
			l->v[l->nr++] = (struct part){ .nr = e->nr, .refused = true, .start = e->start * 512, .size = e->size * 512 };
	}
	qsort(l->v, l->nr, sizeof(*l->v), by_number);
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
static int scan_harder(const struct agent *a, const char *disk_dev, int fd, const struct table *t,
		       struct part_list *ret, struct err *err)
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
	for (size_t i = 0; i < t->nr; i++)
		add_part(fd, size / 512, &t->v[i]);
	return scan_sysfs(disk_dev, ret);
}

int part_scan(const struct agent *a, const char *disk_dev, bool details, struct part_list *ret, struct err *err)
{
	CLEANUP_PARTS struct part_list l = { .v = calloc(PART_MAX, sizeof(*l.v)) };
	CLEANUP_TABLE struct table t = { 0 };
	CLEANUP_CLOSE int fd = -1;
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
		r = table_read(fd, &t);
		if (r < 0)
			return err_set(err, r, "partitions of %s", disk_dev);
		if (!l.nr && t.nr)
			r = scan_harder(a, disk_dev, fd, &t, &l, err);
		if (r < 0)
			return r;
		if (l.nr)
			add_refused(&l, &t);
		add_details(&l, &t);
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
	CLEANUP_CLOSE int fd = disk_open(disk_dev);
	CLEANUP_TABLE struct table t = { 0 };

	return fd >= 0 && table_read(fd, &t) == 0 && t.dynamic;
}
