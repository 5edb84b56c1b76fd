/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/bucket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/disk.h"
#include "agent/fstype.h"
#include "agent/work.h"

bool bucket_shows(const struct part *p, const struct probe *whole)
{
	if (p->extended || p->refused)
		return false;
	return p->start || !fstype_find(whole->type);
}

static int list_disks(struct agent *a, bucket_fn *fn, void *arg)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < a->nr_disks; i++) {
		struct bucket_entry e = { 0 };

		strcpy(e.name, a->disk[i].name);
		e.has_size = !disk_locate(&a->disk[i], NULL) && !disk_size(a->disk[i].dev, &e.size);
		r = fn(arg, &e);
	}
	return r;
}

static int list_types(const struct probe *whole, const struct part_list *l, uint64_t size, bucket_fn *fn, void *arg)
{
	struct bucket_entry raw = { .name = "raw", .has_size = true, .size = size }, part = { .name = "part" };
	int r = fstype_find(whole->type) ? fn(arg, &raw) : 0;

	for (size_t i = 0; r >= 0 && i < l->nr; i++)
		if (bucket_shows(&l->v[i], whole))
			return fn(arg, &part);
	return r;
}

static int list_parts(const struct probe *whole, const struct part_list *l, bucket_fn *fn, void *arg)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < l->nr; i++) {
		struct bucket_entry e = { .has_size = true, .size = l->v[i].size };

		if (!bucket_shows(&l->v[i], whole))
			continue;
		(void)snprintf(e.name, sizeof(e.name), "%u", l->v[i].nr);
		r = fn(arg, &e);
	}
	return r;
}

int bucket_list(struct agent *a, const struct target *t, bucket_fn *fn, void *arg, struct err *err)
{
	CLEANUP_PARTS struct part_list l = { 0 };
	struct probe whole;
	uint64_t size;
	int r;

	if (t->level == TARGET_ROOT)
		return list_disks(a, fn, arg);
	r = work_begin(a, t->disk, "", err);
	if (r == 0)
		r = disk_locate(t->disk, err);
	if (r < 0)
		return r;
	r = disk_size(t->disk->dev, &size);
	if (r < 0)
		return err_set(err, r, "size of disk '%s'", t->disk->name);
	if (!size)
		return 0;
	r = part_scan(a, t->disk->dev, true, &l, err);
	if (r < 0)
		return r;
	r = probe_device(t->disk->dev, &whole);
	if (r < 0)
		return err_set(err, r, "read disk '%s'", t->disk->name);
	return t->level == TARGET_DISK ? list_types(&whole, &l, size, fn, arg) : list_parts(&whole, &l, fn, arg);
}
