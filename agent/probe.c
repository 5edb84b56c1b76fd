/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/probe.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <blkid/blkid.h>

#include "agent/disk.h"
#include "agent/fstype.h"
#include "common/cleanup.h"
#include "common/cur.h"
#include "common/io.h"

#define SIGNATURES_MAX 32
#define EXT_LOG_SIZE_MAX 6	/* blocks of 64 KiB */

static void free_probe(blkid_probe pr)
{
	blkid_free_probe(pr);
}
CLEANUP_DEFINE(blkid_probe, free_probe)

static void get(blkid_probe pr, const char *name, char *ret, size_t room)
{
	const char *v;
	size_t len;

	ret[0] = 0;
	if (blkid_probe_lookup_value(pr, name, &v, &len) == 0)
		(void)snprintf(ret, room, "%s", v);
}

static void get_all(blkid_probe pr, struct probe *p)
{
	get(pr, "TYPE", p->type, sizeof(p->type));
	get(pr, "VERSION", p->version, sizeof(p->version));
	get(pr, "LABEL", p->label, sizeof(p->label));
	get(pr, "UUID", p->uuid, sizeof(p->uuid));
}

static void probe_ambiguous(blkid_probe pr, struct probe *p)
{
	bool mountable = false;

	p->ambiguous = true;
	blkid_reset_probe(pr);
	for (int i = 0; i < SIGNATURES_MAX && blkid_do_probe(pr) == 0; i++) {
		char type[32];
		size_t n = strlen(p->all);

		get(pr, "TYPE", type, sizeof(type));
		(void)snprintf(p->all + n, sizeof(p->all) - n, "%s%s", n ? ", " : "", type);
		if (p->type[0] && (mountable || !fstype_find(type)))
			continue;
		get_all(pr, p);
		mountable = fstype_find(type);
	}
}

/* Is there a superblock of ext2, ext3 or ext4, of block group @group, with blocks of 1 << (10 + @log_size) bytes? */
static bool is_ext_super(int fd, uint64_t off, uint32_t log_size, unsigned int group)
{
	uint8_t bytes[1024];
	struct cur c = cur_of(bytes, sizeof(bytes));
	uint16_t magic, own_group;
	uint32_t size;

	/* size of blocks at 0x18, signature at 0x38, number of the block group at 0x5a */
	return io_pread_full(fd, bytes, sizeof(bytes), off) == 0 && cur_skip(&c, 0x18) == 0 && cur_u32le(&c, &size) == 0 &&
	       cur_skip(&c, 0x1c) == 0 && cur_u16le(&c, &magic) == 0 && cur_skip(&c, 0x20) == 0 &&
	       cur_u16le(&c, &own_group) == 0 && magic == 0xef53 && own_group == group && size == log_size;
}

uint64_t probe_ext_backup(int fd)
{
	/* groups that have one also with the feature sparse_super; a group has as many blocks as a block has bits */
	static const unsigned int groups[] = { 1, 3, 5, 7, 9, 25, 27 };

	for (size_t i = 0; i < sizeof(groups) / sizeof(*groups); i++) {
		for (uint32_t log_size = 0; log_size <= EXT_LOG_SIZE_MAX; log_size++) {
			const uint64_t block = UINT64_C(1024) << log_size, first = log_size ? 0 : 1;
			const uint64_t off = (groups[i] * 8 * block + first) * block;

			if (is_ext_super(fd, off, log_size, groups[i]))
				return off / 1024;
		}
	}
	return 0;
}

/* Apple's physical volume header: version and type of the block at 8, "CS" at 88. */
static bool is_corestorage(int fd)
{
	uint8_t bytes[512];
	struct cur c = cur_of(bytes, sizeof(bytes));
	uint16_t version, type, magic;

	return io_pread_full(fd, bytes, sizeof(bytes), 0) == 0 && cur_skip(&c, 8) == 0 && cur_u16le(&c, &version) == 0 &&
	       cur_u16le(&c, &type) == 0 && cur_skip(&c, 76) == 0 && cur_u16be(&c, &magic) == 0 && version == 1 &&
	       type == 0x10 && magic == 0x4353;
}

static void probe_backup(int fd, struct probe *p)
{
	p->backup_kib = probe_ext_backup(fd);
	if (p->backup_kib)
		strcpy(p->type, "ext4");
}

int probe_fd(int fd, struct probe *ret)
{
	CLEANUP(free_probep) blkid_probe pr = blkid_new_probe();
	struct probe p = { 0 };
	int r;

	if (!pr)
		return -ENOMEM;
	errno = 0;
	if (blkid_probe_set_device(pr, fd, 0, 0) != 0)
		return errno ? -errno : -EIO;
	(void)blkid_probe_enable_superblocks(pr, 1);
	(void)blkid_probe_set_superblocks_flags(pr, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_LABEL | BLKID_SUBLKS_UUID |
							    BLKID_SUBLKS_VERSION | BLKID_SUBLKS_USAGE);
	r = blkid_do_safeprobe(pr);
	if (r == -2)
		probe_ambiguous(pr, &p);
	else if (r == 0)
		get_all(pr, &p);
	else if (r < 0)
		return errno ? -errno : -EIO;
	else if (is_corestorage(fd))
		strcpy(p.type, FSTYPE_CORESTORAGE);
	else
		probe_backup(fd, &p);
	*ret = p;
	return 0;
}

int probe_device(const char *dev, struct probe *ret)
{
	CLEANUP_CLOSE int fd = disk_open(dev);

	return fd < 0 ? fd : probe_fd(fd, ret);
}
