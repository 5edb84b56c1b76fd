/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/btrfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>
#include <linux/btrfs.h>
#include <xxhash.h>

#include "agent/disk.h"
#include "agent/dm.h"
#include "agent/loop.h"
#include "agent/part.h"
#include "common/cleanup.h"
#include "common/cur.h"
#include "common/io.h"

#define SUPER_OFF 65536
#define SUPER_SIZE 4096
#define FLAG_SEEDING (UINT64_C(1) << 32)
#define CSUM_SIZE 32
#define FSID_OFF 0x20
#define INCOMPAT_OFF 0xbc
#define CSUM_TYPE_OFF 0xc4
#define METADATA_UUID_OFF 0x23b
#define UUID_SIZE 16
#define INCOMPAT_METADATA_UUID (1 << 10)	/* in the second byte of the flags */

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

/* Another device with a btrfs, beside the one that is asked for. */
struct member {
	const char *dev;
	struct btrfs_super super;
};

typedef void member_fn(void *arg, const struct btrfs_super *own, const struct member *m);

static void look_at_one(const char *dev, const char *own_dev, const struct btrfs_super *own, member_fn *fn, void *arg)
{
	struct member m = { .dev = dev };

	if (!strcmp(dev, own_dev) || read_super(dev, &m.super) < 0)
		return;
	/* with the same number, a clone: the kernel must not take it for ours */
	if (memcmp(m.super.fsid, own->fsid, sizeof(own->fsid)) ? m.super.seed : m.super.devid != own->devid)
		fn(arg, own, &m);
}

/* What may belong to @own, on all disks. */
static void each_member(struct agent *a, const char *dev, const struct btrfs_super *own, member_fn *fn, void *arg)
{
	for (size_t i = 0; i < a->nr_disks; i++) {
		CLEANUP_PARTS struct part_list l = { 0 };

		/* a disk that is this volume as a whole has no members beside it */
		if (disk_locate(&a->disk[i], NULL) < 0 || !strcmp(a->disk[i].dev, dev))
			continue;
		look_at_one(a->disk[i].dev, dev, own, fn, arg);
		if (part_scan(a, a->disk[i].dev, false, &l, NULL) < 0)
			continue;
		for (size_t k = 0; k < l.nr; k++)
			look_at_one(l.v[k].dev, dev, own, fn, arg);
	}
}

static void scan_member(void *arg, const struct btrfs_super *own, const struct member *m)
{
	struct btrfs_ioctl_vol_args vol = { 0 };
	const int *control = arg;

	(void)own;
	(void)snprintf(vol.name, sizeof(vol.name), "/dev/%s", m->dev);
	(void)ioctl(*control, BTRFS_IOC_SCAN_DEV, &vol);
}

void btrfs_scan_members(struct agent *a, const char *dev)
{
	CLEANUP_CLOSE int control = open("/dev/btrfs-control", O_RDWR | O_CLOEXEC);
	struct btrfs_super own;

	if (control >= 0 && read_super(dev, &own) == 0 && own.nr_devices > 1)
		each_member(a, dev, &own, scan_member, &control);
}

/* The numbers of devices seen; a sprout stands on the devices of its seed, which have other ids. */
struct seen {
	uint64_t devid[AGENT_DISKS_MAX];
	size_t nr;
	bool seed;
};

static void see_member(void *arg, const struct btrfs_super *own, const struct member *m)
{
	struct seen *s = arg;

	if (memcmp(m->super.fsid, own->fsid, sizeof(own->fsid)) != 0) {
		s->seed = true;
		return;
	}
	for (size_t i = 0; i < s->nr; i++)
		if (s->devid[i] == m->super.devid)
			return;
	if (s->nr < AGENT_DISKS_MAX)
		s->devid[s->nr++] = m->super.devid;
}

bool btrfs_lacks_devices(struct agent *a, const char *dev)
{
	struct seen s = { .nr = 0 };
	struct btrfs_super own;

	if (read_super(dev, &own) < 0 || own.nr_devices < 2)
		return false;
	each_member(a, dev, &own, see_member, &s);
	return !s.seed && s.nr < AGENT_DISKS_MAX && s.nr + 1 < own.nr_devices;
}

static uint32_t crc32c(const uint8_t *p, size_t len)
{
	uint32_t crc = 0xffffffff;

	for (size_t i = 0; i < len; i++) {
		crc ^= p[i];
		for (int k = 0; k < 8; k++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

static void put_le(uint8_t *p, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

int btrfs_rename_super(uint8_t bytes[static SUPER_SIZE], const uint8_t fsid[static UUID_SIZE])
{
	const unsigned int csum_type = bytes[CSUM_TYPE_OFF] | (unsigned int)bytes[CSUM_TYPE_OFF + 1] << 8;
	uint8_t *flags = bytes + INCOMPAT_OFF + 1;

	if (csum_type > 1)
		return -EOPNOTSUPP;
	if (!(*flags & INCOMPAT_METADATA_UUID >> 8))
		memcpy(bytes + METADATA_UUID_OFF, bytes + FSID_OFF, UUID_SIZE);
	*flags |= INCOMPAT_METADATA_UUID >> 8;
	memcpy(bytes + FSID_OFF, fsid, UUID_SIZE);
	memset(bytes, 0, CSUM_SIZE);
	if (csum_type)
		put_le(bytes, XXH64(bytes + CSUM_SIZE, SUPER_SIZE - CSUM_SIZE, 0), 8);
	else
		put_le(bytes, crc32c(bytes + CSUM_SIZE, SUPER_SIZE - CSUM_SIZE), 4);
	return 0;
}

/* The superblock under another name. Return: a descriptor of a file that holds it; negative errno. */
static int renamed_super(const char *dev)
{
	CLEANUP_CLOSE int fd = disk_open(dev), file = memfd_create("super", MFD_CLOEXEC);
	uint8_t bytes[SUPER_SIZE], fsid[UUID_SIZE];
	struct btrfs_super s;
	int r = fd < 0 ? fd : io_pread_full(fd, bytes, sizeof(bytes), SUPER_OFF);

	if (r < 0)
		return r;
	if (file < 0 || getrandom(fsid, sizeof(fsid), 0) != sizeof(fsid))
		return -errno;
	r = btrfs_parse_super(bytes, &s);
	if (r == 0 && s.nr_devices != 1)
		r = -EOPNOTSUPP;
	if (r == 0)
		r = btrfs_rename_super(bytes, fsid);
	if (r < 0)
		return r;
	return pwrite(file, bytes, sizeof(bytes), 0) == sizeof(bytes) ? TAKE_FD(file) : -EIO;
}

int btrfs_present_clone(const char *dev, char *ret)
{
	const uint64_t super = SUPER_OFF / 512, behind = super + SUPER_SIZE / 512;
	struct dm_piece v[3] = { { .sectors = super }, { .sectors = behind - super }, { .start = behind } };
	CLEANUP_CLOSE int file = -1, loop = -1;
	char name[AGENT_DEV_MAX + 8];
	uint64_t size;
	int r = disk_size(dev, &size);

	if (r < 0)
		return r;
	file = renamed_super(dev);
	if (file < 0)
		return file;
	loop = loop_attach_fd(file, v[1].dev);
	if (loop < 0)
		return loop;
	strcpy(v[0].dev, dev);
	strcpy(v[2].dev, dev);
	v[2].sectors = size / 512 - behind;
	(void)snprintf(name, sizeof(name), "clone-%s", dev);
	return dm_join(name, v, 3, ret);
}
