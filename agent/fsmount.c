/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/fsmount.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <linux/fs.h>

#include "agent/btrfs.h"
#include "agent/dirty.h"
#include "agent/disk.h"
#include "agent/dynamic.h"
#include "agent/fstype.h"
#include "agent/kmsg.h"
#include "agent/loop.h"
#include "agent/probe.h"
#include "common/cleanup.h"
#include "common/io.h"

#define FLAGS (MS_RDONLY | MS_NODEV | MS_NOSUID | MS_NOEXEC | MS_NOATIME)
#define AT_MAX 512
#define OPTIONS_MAX 256

/* The mount point's root if something is mounted there. Return: a descriptor; -ENOENT; other negative errno. */
static int open_mounted(const char *at)
{
	CLEANUP_CLOSE int fd = open(at, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct statx st;

	if (fd < 0)
		return -errno;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_MODE, &st) < 0)
		return -errno;
	if (!(st.stx_attributes & STATX_ATTR_MOUNT_ROOT))
		return -ENOENT;
	return TAKE_FD(fd);
}

static void set_read_only(const char *dev)
{
	CLEANUP_CLOSE int fd = disk_open(dev);
	int on = 1;

	if (fd >= 0)
		(void)ioctl(fd, BLKROSET, &on);
}

bool fsmount_allows(const struct agent *a, const char *type)
{
	const size_t n = strlen(type);

	for (const char *p = a->mount.fs_allow; *p; p += strcspn(p, ","), p += *p == ',')
		if (strcspn(p, ",") == n && !memcmp(p, type, n))
			return true;
	return !a->mount.fs_allow[0];
}

/* What the caller wants, or a bad superblock asks for, on top of the usual options. */
static void extra_options(const struct agent *a, const struct probe *p, const struct fstype *fs, char *ret, size_t room)
{
	const uint64_t super = a->mount.superblock_kib ? a->mount.superblock_kib : p->backup_kib;

	ret[0] = 0;
	if (super && !strcmp(fs->driver, "ext4"))
		(void)snprintf(ret, room, "sb=%" PRIu64, super);
	else if (a->mount.checkpoint && !strcmp(fs->driver, "nilfs2"))
		(void)snprintf(ret, room, "cp=%" PRIu64, a->mount.checkpoint);
	else if (a->mount.codepage && !strcmp(fs->driver, "vfat"))
		(void)snprintf(ret, room, "codepage=%" PRIu64, a->mount.codepage);
}

/* The file beside a mount point that keeps the note for those who find the volume mounted. */
static bool note_path(const char *at, char ret[static AT_MAX + 8])
{
	return snprintf(ret, AT_MAX + 8, "%s.note", at) < AT_MAX + 8;
}

static void read_note(const char *at, char *ret)
{
	CLEANUP_FREE char *text = NULL;
	char path[AT_MAX + 8];
	size_t len;

	ret[0] = 0;
	if (note_path(at, path) && io_read_file(AT_FDCWD, path, WIRE_NOTE_MAX, &text, &len) == 0)
		note_add(ret, "%s", text);
}

/* Before the mount, since after it others find the volume. */
static int write_note(const char *at, const char *note, const char *options)
{
	char path[AT_MAX + 8], all[NOTE_MAX];
	CLEANUP_CLOSE int fd = -1;

	strcpy(all, note);
	fstype_option_notes(options, all);
	fd = note_path(at, path) ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600) : -1;
	return fd < 0 ? -EIO : io_write_full(fd, all, strlen(all));
}

/* A volume on its way to a mount point. */
struct mounting {
	const struct fstype *fs;
	const char *at;
	char extra[64];		/* options on top */
	char note[NOTE_MAX];
};

/* Each set of options in turn. Return: 0; the first failure: the plainest attempt has the most telling reason. */
static int try_options(const struct mounting *m, const char *dev)
{
	char source[AGENT_DEV_MAX + 8], options[OPTIONS_MAX];
	int r = -EINVAL;

	(void)snprintf(source, sizeof(source), "/dev/%s", dev);
	for (size_t i = 0; i < FSTYPE_ATTEMPTS && m->fs->options[i]; i++) {
		(void)snprintf(options, sizeof(options), "%s%s%s", m->fs->options[i],
			       m->fs->options[i][0] && m->extra[0] ? "," : "", m->extra);
		if (write_note(m->at, m->note, options) < 0)
			return -EIO;
		if (!mount(source, m->at, m->fs->driver, FLAGS, options))
			return 0;
		if (!i)
			r = -errno;
	}
	return r;
}

/* What stands in the way of a mount where another is in use: the same device, or another with the same identity. */
static int try_in_the_way(const struct mounting *m, const char *dev, int r)
{
	CLEANUP_CLOSE int loop = -1;
	char other[AGENT_DEV_MAX];

	/* what the kernel says to a device of a file system that is open already depends on how much they have in common */
	if (!strcmp(m->fs->driver, "btrfs") && (r == -EEXIST || r == -EBUSY || r == -EACCES)) {
		if (btrfs_present_clone(dev, other) == 0)
			return try_options(m, other);
		if (r == -EACCES)
			return -EEXIST;
	}
	if (r == -EBUSY && (loop = loop_attach(dev, other)) >= 0)
		return try_options(m, other);
	return r;
}

/* Where a backup superblock might help. */
static void hint_of(const struct fstype *fs, const char *extra, const char *dev, char *ret, size_t room)
{
	uint64_t backup = 0;

	if (!strcmp(fs->driver, "ext4") && !extra[0]) {
		CLEANUP_CLOSE int fd = disk_open(dev);

		backup = fd < 0 ? 0 : probe_ext_backup(fd);
	}
	ret[0] = 0;
	if (backup)
		(void)snprintf(ret, room, " (there is a backup superblock: --superblock %" PRIu64 ")", backup);
	else if (fs->hint)
		(void)snprintf(ret, room, " (%s)", fs->hint);
}

static int try_all(const struct mounting *m, const char *dev, struct err *err)
{
	char why[KMSG_MAX], hint[256];
	CLEANUP_CLOSE int log = kmsg_open();
	int r = try_options(m, dev);

	if (r < 0)
		r = try_in_the_way(m, dev, r);
	if (r == 0)
		return 0;
	if (r == -EEXIST)
		return err_set(err, r, "another %s with the same UUID is open: ask for this one without that disk", m->fs->type);
	/* The file system's EINVAL speaks of its superblock, not of what the caller asked. */
	if (r == -EINVAL)
		r = -EUCLEAN;
	kmsg_read(log, why, sizeof(why));
	hint_of(m->fs, m->extra, dev, hint, sizeof(hint));
	return err_set(err, r, "cannot mount %s%s%s%s", m->fs->type, hint, why[0] ? ": " : "", why);
}

/* By signature, unless the caller said what it is. */
static int choose_type(const struct agent *a, const struct probe *p, const struct fstype **ret, struct err *err)
{
	const char *type = a->mount.fs_type[0] ? a->mount.fs_type : p->type;
	const struct fstype *fs;

	if (!type[0] && a->mount.superblock_kib)
		type = "ext4";
	if (!type[0])
		return err_text(err, -ENODEV, "no known file system found");
	if (p->ambiguous && !a->mount.fs_type[0])
		return err_text(err, -EUCLEAN, PROBE_AMBIGUOUS_FMT, p->all);
	fs = fstype_find_version(type, strcmp(type, p->type) ? NULL : p->version);
	if (!fs && a->mount.fs_type[0])
		return err_text(err, -EINVAL, "'%s' is no type of file system that is known here", type);
	if (!fs)
		return err_text(err, -ENODEV, "%s is not a file system%s%s", type, fstype_reason(type) ? ": " : "",
				fstype_reason(type) ? fstype_reason(type) : "");
	if (!fsmount_allows(a, fs->type))
		return err_text(err, -EPERM, "%s is not among the allowed types (%s)", fs->type, a->mount.fs_allow);
	if (!fstype_in_kernel(fs->driver))
		return err_text(err, -ENODEV, "the VM's kernel cannot read %s", type);
	*ret = fs;
	return 0;
}

/* What is known before the mount. */
static void mount_note(const struct agent *a, const struct probe *p, const char *type, const char *dev, char *note)
{
	if (p->backup_kib && !a->mount.superblock_kib)
		note_add(note, "the first superblock is bad, the backup at %" PRIu64 " KiB is used", p->backup_kib);
	else
		dirty_add_note(dev, type, note);
}

static int mount_device(struct agent *a, const char *dev, const char *at, struct err *err)
{
	struct mounting m = { .at = at };
	struct probe p;
	int r = probe_device(dev, &p);

	if (r < 0)
		return err_set(err, r, "cannot read the volume");
	r = choose_type(a, &p, &m.fs, err);
	if (r < 0)
		return r;
	if (dynamic_piece(dev))
		return err_text(err, -ENODEV, DYNAMIC_PIECE_TEXT);
	if (a->is_init)		/* run by hand on loop devices, it would stick to them */
		set_read_only(dev);
	if (!strcmp(m.fs->driver, "btrfs"))
		btrfs_scan_members(a, dev);
	if (mkdir(at, 0700) < 0 && errno != EEXIST)
		return err_set(err, -errno, "make a mount point");
	extra_options(a, &p, m.fs, m.extra, sizeof(m.extra));
	mount_note(a, &p, m.fs->type, dev, m.note);
	return try_all(&m, dev, err);
}

static int open_or_mount(struct agent *a, const char *dev, const char *at, struct err *err)
{
	CLEANUP_CLOSE int lock = -1;
	int fd = open_mounted(at), r;

	if (fd != -ENOENT)
		return fd < 0 ? err_set(err, fd, "open the volume's root") : fd;
	lock = disk_lock(a, dev, err);
	if (lock < 0)
		return lock;
	fd = open_mounted(at);
	if (fd == -ENOENT) {
		r = mount_device(a, dev, at, err);
		if (r < 0)
			return r;
		fd = open_mounted(at);
	}
	return fd < 0 ? err_set(err, fd, "open the volume's root") : fd;
}

int fsmount_open(struct agent *a, const char *dev, char *ret_note, struct err *err)
{
	char at[AT_MAX];
	int fd;

	if (snprintf(at, sizeof(at), "%s/%s", a->mnt_dir, dev) >= (int)sizeof(at))
		return err_set(err, -ENAMETOOLONG, "mount point");
	fd = open_or_mount(a, dev, at, err);
	if (fd >= 0)
		read_note(at, ret_note);
	return fd;
}
