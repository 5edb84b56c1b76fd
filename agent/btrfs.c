/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/btrfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <linux/btrfs.h>

#include "agent/disk.h"
#include "agent/part.h"
#include "common/cleanup.h"
#include "common/cur.h"
#include "common/io.h"

#define SUPER_OFF 65536
#define SUPER_SIZE 4096
#define FLAG_SEEDING (UINT64_C(1) << 32)

int btrfs_parse_super(const uint8_t bytes[static SUPER_SIZE], struct btrfs_super *ret)
{
	struct cur c = cur_of(bytes, SUPER_SIZE);
	struct btrfs_super s = { 0 };
	const uint8_t *magic;
	uint64_t flags;

	/* checksum; fsid; own position; flags; magic; seven u64; number of devices; 57 bytes; device id */
	if (cur_skip(&c, 32) < 0 || cur_copy(&c, s.fsid, 16) < 0 || cur_skip(&c, 8) < 0 || cur_u64le(&c, &flags) < 0 ||
	    cur_bytes(&c, 8, &magic) < 0 || cur_skip(&c, 64) < 0 || cur_u64le(&c, &s.nr_devices) < 0 ||
	    cur_skip(&c, 57) < 0 || cur_u64le(&c, &s.devid) < 0)
		return -EBADMSG;
	if (memcmp(magic, "_BHRfS_M", 8) != 0)
		return -EBADMSG;
	s.seed = flags & FLAG_SEEDING;
	*ret = s;
	return 0;
}

static int read_super(const char *dev, struct btrfs_super *ret)
{
	CLEANUP_CLOSE int fd = disk_open(dev);
	uint8_t bytes[SUPER_SIZE];
	int r = fd < 0 ? fd : io_pread_full(fd, bytes, sizeof(bytes), SUPER_OFF);

	return r < 0 ? r : btrfs_parse_super(bytes, ret);
}

static void scan_one(int control, const char *dev, const char *own_dev, const struct btrfs_super *own)
{
	struct btrfs_ioctl_vol_args arg = { 0 };
	struct btrfs_super s;

	if (!strcmp(dev, own_dev) || read_super(dev, &s) < 0)
		return;
	if (memcmp(s.fsid, own->fsid, sizeof(s.fsid)) != 0 && !s.seed)
		return;
	if (!memcmp(s.fsid, own->fsid, sizeof(s.fsid)) && s.devid == own->devid)
		return;		/* a clone: the kernel must not take it for ours */
	(void)snprintf(arg.name, sizeof(arg.name), "/dev/%s", dev);
	(void)ioctl(control, BTRFS_IOC_SCAN_DEV, &arg);
}

void btrfs_scan_members(struct agent *a, const char *dev)
{
	CLEANUP_CLOSE int control = open("/dev/btrfs-control", O_RDWR | O_CLOEXEC);
	struct btrfs_super own;

	if (control < 0 || read_super(dev, &own) < 0 || own.nr_devices < 2)
		return;
	for (size_t i = 0; i < a->nr_disks; i++) {
		CLEANUP_PARTS struct part_list l = { 0 };

		if (disk_locate(&a->disk[i], NULL) < 0)
			continue;
		scan_one(control, a->disk[i].dev, dev, &own);
		if (part_scan(a, a->disk[i].dev, false, &l, NULL) < 0)
			continue;
		for (size_t k = 0; k < l.nr; k++)
			scan_one(control, l.v[k].dev, dev, &own);
	}
}
