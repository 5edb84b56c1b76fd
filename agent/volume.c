/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/btrfs.h"
#include "agent/bucket.h"
#include "agent/dirty.h"
#include "agent/disk.h"
#include "agent/dynamic.h"
#include "agent/fsmount.h"
#include "agent/fstype.h"
#include "agent/request.h"
#include "agent/work.h"
#include "common/cleanup.h"
#include "common/jsonw.h"

/* The tree of "disks". Nothing is mounted for it. */

static void text_field(struct jsonw *w, const char *key, const char *value)
{
	if (value[0])
		jsonw_key_string(w, key, value);
}

static void path_field(struct jsonw *w, const char *disk, const char *below)
{
	char path[WIRE_DISK_NAME_MAX + 32];
	int n = snprintf(path, sizeof(path), "%s%s", disk, below);

	jsonw_key_b64(w, "path", path, (size_t)n);
}

/* @whole: nothing stands in the way of reading it. */
static void note_field(struct agent *a, struct jsonw *w, const char *dev, const char *type, bool whole)
{
	char note[NOTE_MAX] = "";

	dirty_add_note(dev, type, note);
	if (whole && !strcmp(type, "btrfs") && btrfs_lacks_devices(a, dev))
		note_add(note, "%s", FSTYPE_DEGRADED);
	if (whole && !strcmp(type, "ntfs") && note_is_hibernated_unmounted(dev))
		note_add(note, "%s", NOTE_HIBERNATED);
	text_field(w, "note", note);
}

/* What is to be said about a volume. Return: whether there is anything, in @ret. */
static bool volume_trouble(const struct agent *a, const struct probe *p, const struct fstype *fs, const char *dev,
			   char *ret, size_t room)
{
	const char *reason = fs ? NULL : fstype_reason(p->type);

	ret[0] = 0;
	if (reason)
		(void)snprintf(ret, room, "%s", reason);
	else if (fs && !fstype_in_kernel(fs->driver))
		(void)snprintf(ret, room, "the VM's kernel cannot read %s", p->type);
	else if (fs && !fsmount_allows(a, fs->type))
		(void)snprintf(ret, room, "%s is not among the allowed types (%s)", fs->type, a->mount.fs_allow);
	else if (fs && dynamic_piece(dev))
		(void)snprintf(ret, room, "%s", DYNAMIC_PIECE_TEXT);
	else if (p->backup_kib)
		(void)snprintf(ret, room, "damaged: the first superblock is bad, the backup at %llu KiB is used",
			       (unsigned long long)p->backup_kib);
	else if (p->ambiguous && !a->mount.fs_type[0])
		(void)snprintf(ret, room, PROBE_AMBIGUOUS_FMT, p->all);
	return ret[0];
}

/* What was found on a volume, and whether it can be opened. */
static void content_fields(struct agent *a, struct jsonw *w, const struct probe *p, const char *dev,
			   const struct agent_disk *d, const char *below)
{
	const struct fstype *fs = fstype_find_version(p->type, p->version);
	char text[WIRE_MOUNT_MAX + 128];
	bool whole = false;

	text_field(w, "label", p->label);
	text_field(w, "uuid", p->uuid);
	if (fs)
		path_field(w, d->name, below);
	if (work_is_left_out(a, d, below + 1)) {
		jsonw_key_string(w, "error", WORK_LEFT_OUT);
		jsonw_key_bool(w, "left-out", true);
	} else if (volume_trouble(a, p, fs, dev, text, sizeof(text))) {
		jsonw_key_string(w, "error", text);
	} else {
		whole = true;
	}
	if (fs && !p->backup_kib)
		note_field(a, w, dev, p->type, whole);
}

static void raw_volume(struct agent *a, struct jsonw *w, const struct agent_disk *d, const struct probe *whole,
		       uint64_t size)
{
	jsonw_object_begin(w);
	jsonw_key_string(w, "name", "raw");
	jsonw_key_string(w, "type", whole->type);
	jsonw_key_u64(w, "size", size);
	content_fields(a, w, whole, d->dev, d, "/raw");
	jsonw_object_end(w);
}

/* @code: what failed with it, negative errno. */
static void error_fields(struct jsonw *w, int code, const char *text)
{
	jsonw_key_string(w, "error", text);
	if (code == -EIO)
		jsonw_key_bool(w, "unreadable", true);
}

static void part_volume(struct agent *a, struct jsonw *w, const struct agent_disk *d, bool dynamic,
			const struct part *part)
{
	char name[32], below[40];
	struct probe p = { 0 };
	struct err err = ERR_INIT;
	int r = probe_device(part->dev, &p);

	(void)snprintf(name, sizeof(name), "part/%u", part->nr);
	(void)snprintf(below, sizeof(below), "/%s", name);
	jsonw_object_begin(w);
	jsonw_key_string(w, "name", name);
	jsonw_key_string(w, "type", p.type[0] ? p.type : "part");
	jsonw_key_u64(w, "size", part->size);
	text_field(w, "part-uuid", part->uuid);
	text_field(w, "part-name", part->name);
	if (r < 0) {
		err_set(&err, r, "cannot read the partition");
		error_fields(w, r, err.text);
	} else {
		content_fields(a, w, &p, part->dev, d, below);
		if (dynamic && !p.type[0])
			jsonw_key_string(w, "error", DYNAMIC_PIECE_TEXT);
	}
	jsonw_object_end(w);
}

static void refused_part(struct jsonw *w, const struct part *part)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "part/%u", part->nr);
	jsonw_object_begin(w);
	jsonw_key_string(w, "name", name);
	jsonw_key_string(w, "type", "part");
	jsonw_key_u64(w, "size", part->size);
	text_field(w, "part-uuid", part->uuid);
	text_field(w, "part-name", part->name);
	jsonw_key_string(w, "error", "left out: it repeats or overlaps another partition, or lies beyond the disk's end");
	jsonw_object_end(w);
}

static int children(struct request *q, struct jsonw *w, const struct agent_disk *d, uint64_t size, struct err *err)
{
	CLEANUP_PARTS struct part_list l = { 0 };
	const bool dynamic = part_table_is_dynamic(d->dev);
	struct probe whole = { 0 };
	int r = part_scan(q->a, d->dev, true, &l, err), bad;

	if (r < 0)
		return r;
	/* A part of it that cannot be read, be it the second table at its end, takes no partition away. */
	bad = probe_device(d->dev, &whole);
	if (bad < 0)
		(void)err_set(err, bad, "cannot read the disk");
	if (bad < 0 && !l.nr)
		return bad;
	if (!l.nr && !whole.type[0])
		return err_text(err, -ENODEV, "no partition table and no known file system");
	jsonw_key(w, "children");
	jsonw_array_begin(w);
	/* beside partitions only a file system counts: other signatures may be left over */
	if (whole.type[0] && (!l.nr || fstype_find(whole.type)))
		raw_volume(q->a, w, d, &whole, size);
	for (size_t i = 0; i < l.nr; i++)
		if (l.v[i].refused)
			refused_part(w, &l.v[i]);
		else if (bucket_shows(&l.v[i], &whole))
			part_volume(q->a, w, d, dynamic, &l.v[i]);
	jsonw_array_end(w);
	return bad;
}

static void disk_volume(struct request *q, struct jsonw *w, struct agent_disk *d)
{
	struct err err = ERR_INIT;
	uint64_t size = 0;
	int r;

	jsonw_object_begin(w);
	jsonw_key_string(w, "name", d->name);
	jsonw_key_string(w, "type", "disk");
	r = work_begin(q->a, d, "", &err);
	if (r == 0)
		r = disk_locate(d, &err);
	if (r == 0 && (r = disk_size(d->dev, &size)) < 0)
		err_set(&err, r, "size");
	if (r == 0) {
		jsonw_key_u64(w, "size", size);
		path_field(w, d->name, "");
		r = size ? children(q, w, d, size, &err) : 0;
	}
	if (r < 0)
		error_fields(w, r, err.text);
	if (work_is_left_out(q->a, d, ""))
		jsonw_key_bool(w, "left-out", true);
	jsonw_object_end(w);
}

int disks_handle(struct request *q)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct jsonw w = JSONW(&b);

	jsonw_object_begin(&w);
	jsonw_key(&w, "data");
	jsonw_array_begin(&w);
	for (size_t i = 0; i < q->a->nr_disks; i++)
		disk_volume(q, &w, &q->a->disk[i]);
	jsonw_array_end(&w);
	jsonw_object_end(&w);
	if (buf_ok(&b) < 0)
		return err_set(q->err, buf_ok(&b), "answer");
	return reply_data(q->reply, "application/json", &b);
}
