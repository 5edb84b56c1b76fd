/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/fsmount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <linux/fs.h>

#include "agent/btrfs.h"
#include "agent/disk.h"
#include "agent/fstype.h"
#include "agent/kmsg.h"
#include "agent/loop.h"
#include "agent/probe.h"
#include "common/cleanup.h"

#define FLAGS (MS_RDONLY | MS_NODEV | MS_NOSUID | MS_NOEXEC | MS_NOATIME)
#define AT_MAX 512

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

/* Each set of options in turn. Return: 0; the first failure: the plainest attempt has the most telling reason. */
static int try_options(const struct fstype *fs, const char *dev, const char *at)
{
	char source[AGENT_DEV_MAX + 8];
	int r = -EINVAL;

	(void)snprintf(source, sizeof(source), "/dev/%s", dev);
	for (size_t i = 0; i < FSTYPE_ATTEMPTS && fs->options[i]; i++) {
		if (!mount(source, at, fs->driver, FLAGS, fs->options[i]))
			return 0;
		if (!i)
			r = -errno;
	}
	return r;
}

static int try_all(const struct fstype *fs, const char *dev, const char *at, struct err *err)
{
	char why[KMSG_MAX], loop_dev[AGENT_DEV_MAX];
	CLEANUP_CLOSE int log = kmsg_open(), loop = -1;
	int r = try_options(fs, dev, at);

	if (r == -EBUSY && (loop = loop_attach(dev, loop_dev)) >= 0)
		r = try_options(fs, loop_dev, at);
	if (r == 0)
		return 0;
	/* The file system's EINVAL speaks of its superblock, not of what the caller asked. */
	if (r == -EINVAL)
		r = -EUCLEAN;
	kmsg_read(log, why, sizeof(why));
	if (fs->hint)
		return err_set(err, r, "cannot mount %s (%s)%s%s", fs->type, fs->hint, why[0] ? ": " : "", why);
	return err_set(err, r, "cannot mount %s%s%s", fs->type, why[0] ? ": " : "", why);
}

static int mount_device(struct agent *a, const char *dev, const char *at, struct err *err)
{
	const struct fstype *fs;
	struct probe p;
	int r = probe_device(dev, &p);

	if (r < 0)
		return err_set(err, r, "cannot read the volume");
	if (!p.type[0])
		return err_text(err, -ENODEV, "no known file system found");
	fs = fstype_find_version(p.type, p.version);
	if (!fs)
		return err_text(err, -ENODEV, "%s is not a file system", p.type);
	if (!fstype_in_kernel(fs->driver))
		return err_text(err, -ENODEV, "the VM's kernel cannot read %s", p.type);
	if (a->is_init)		/* run by hand on loop devices, it would stick to them */
		set_read_only(dev);
	if (!strcmp(fs->type, "btrfs"))
		btrfs_scan_members(a, dev);
	if (mkdir(at, 0700) < 0 && errno != EEXIST)
		return err_set(err, -errno, "make a mount point");
	return try_all(fs, dev, at, err);
}

int fsmount_open(struct agent *a, const char *dev, struct err *err)
{
	CLEANUP_CLOSE int lock = -1;
	char at[AT_MAX];
	int fd, r;

	if (snprintf(at, sizeof(at), "%s/%s", a->mnt_dir, dev) >= (int)sizeof(at))
		return err_set(err, -ENAMETOOLONG, "mount point");
	fd = open_mounted(at);
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
