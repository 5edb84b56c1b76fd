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

/* A backup superblock of block group 1 with this size of blocks (0: 1 KiB, 2: 4 KiB)? */
static bool is_ext_backup(int fd, uint64_t off, uint32_t block_size)
{
	uint8_t bytes[1024];
	struct cur c = cur_of(bytes, sizeof(bytes));
	uint16_t magic, group;
	uint32_t log_size;

	/* block size at 0x18, signature at 0x38, number of the block group at 0x5a */
	return io_pread_full(fd, bytes, sizeof(bytes), off) == 0 && cur_skip(&c, 0x18) == 0 &&
	       cur_u32le(&c, &log_size) == 0 && cur_skip(&c, 0x1c) == 0 && cur_u16le(&c, &magic) == 0 &&
	       cur_skip(&c, 0x20) == 0 && cur_u16le(&c, &group) == 0 && magic == 0xef53 && group == 1 &&
	       log_size == block_size;
}

static void probe_backup(int fd, struct probe *p)
{
	const char *version = is_ext_backup(fd, UINT64_C(8193) * 1024, 0)   ? FSTYPE_BACKUP_1K :
			      is_ext_backup(fd, UINT64_C(32768) * 4096, 2) ? FSTYPE_BACKUP_4K :
									     NULL;

	if (!version)
		return;
	strcpy(p->type, "ext4");
	(void)snprintf(p->version, sizeof(p->version), "%s", version);
	p->damaged = true;
}

int probe_device(const char *dev, struct probe *ret)
{
	CLEANUP(free_probep) blkid_probe pr = blkid_new_probe();
	CLEANUP_CLOSE int fd = disk_open(dev);
	struct probe p = { 0 };
	int r;

	if (fd < 0)
		return fd;
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
	else
		probe_backup(fd, &p);
	*ret = p;
	return 0;
}
