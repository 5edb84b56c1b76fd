/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Superblocks: where a backup is found and where not, types that libblkid does not know, sizes that a file system claims. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/btrfs.h"
#include "agent/dynamic.h"
#include "agent/fstype.h"
#include "agent/probe.h"

static int fd;

static int begin(void **state)
{
	(void)state;
	fd = memfd_create("volume", MFD_CLOEXEC);
	return fd < 0 ? -1 : 0;
}

static int end(void **state)
{
	(void)state;
	return close(fd);
}

static void put(uint64_t at, uint64_t v, size_t n)
{
	uint8_t p[8];

	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> 8 * i);
	assert_int_equal(pwrite(fd, p, n, (off_t)at), n);
}

/* As much of a superblock as is looked at; the file ends with it. */
static void put_super(uint64_t at, uint32_t log_size, unsigned int group, uint16_t magic)
{
	assert_int_equal(ftruncate(fd, (off_t)at + 1024), 0);
	put(at + 0x18, log_size, 4);
	put(at + 0x38, magic, 2);
	put(at + 0x5a, group, 2);
}

#define KIB UINT64_C(1024)

static const struct {
	const char *name;
	uint64_t at, cut;	/* bytes; cut: missing at the end */
	uint32_t log_size;
	unsigned int group;
	uint16_t magic;
	uint64_t want_kib;
} backups[] = {
	{ "1 KiB, group 1", 8193 * KIB, 0, 0, 1, 0xef53, 8193 },
	{ "1 KiB, group 3", 24577 * KIB, 0, 0, 3, 0xef53, 24577 },
	{ "4 KiB, group 1", 32768 * 4 * KIB, 0, 2, 1, 0xef53, 131072 },
	{ "4 KiB, group 27", 27 * 32768 * 4 * KIB, 0, 2, 27, 0xef53, 27 * 131072 },
	{ "64 KiB, group 1", 524288 * 64 * KIB, 0, 6, 1, 0xef53, 524288 * 64 },
	{ "a group without one", 2 * 32768 * 4 * KIB, 0, 2, 2, 0xef53, 0 },
	{ "of another group", 32768 * 4 * KIB, 0, 2, 3, 0xef53, 0 },
	{ "of blocks of another size", 32768 * 4 * KIB, 0, 1, 1, 0xef53, 0 },
	{ "of too large blocks", 32768 * 4 * KIB, 0, 7, 1, 0xef53, 0 },
	{ "without its signature", 32768 * 4 * KIB, 0, 2, 1, 0xef54, 0 },
	{ "cut", 32768 * 4 * KIB, 1, 2, 1, 0xef53, 0 },
	{ "the first, which is none", 1024, 0, 0, 0, 0xef53, 0 },
};

static void test_backup(void **state)
{
	for (size_t i = 0; i < sizeof(backups) / sizeof(*backups); i++) {
		assert_int_equal(begin(state), 0);
		put_super(backups[i].at, backups[i].log_size, backups[i].group, backups[i].magic);
		assert_int_equal(ftruncate(fd, (off_t)(backups[i].at + 1024 - backups[i].cut)), 0);
		if (probe_ext_backup(fd) != backups[i].want_kib)
			fail_msg("%s", backups[i].name);
		assert_int_equal(end(state), 0);
	}
}

static void test_found_by_backup(void **state)
{
	struct probe p;

	assert_int_equal(begin(state), 0);
	put_super(131072 * KIB, 2, 1, 0xef53);
	assert_int_equal(probe_fd(fd, &p), 0);
	assert_string_equal(p.type, "ext4");
	assert_int_equal(p.backup_kib, 131072);
	put(1080, 0xef53, 2);		/* a signature in its place, and nothing behind it: still no superblock that anybody knows */
	assert_int_equal(probe_fd(fd, &p), 0);
	assert_true(!p.ambiguous);
	assert_int_equal(end(state), 0);
}

static const struct {
	const char *name;
	uint16_t version, type, magic;	/* the last in the order of its bytes */
	bool want;
} physical[] = {
	{ "whole", 1, 0x10, 0x5343, true },	{ "other version", 2, 0x10, 0x5343, false }, { "other type", 1, 0x11, 0x5343, false },
	{ "bytes the other way", 1, 0x10, 0x4353, false },
};

static void test_corestorage(void **state)
{
	struct probe p;

	for (size_t i = 0; i < sizeof(physical) / sizeof(*physical); i++) {
		assert_int_equal(begin(state), 0);
		assert_int_equal(ftruncate(fd, 1 << 20), 0);
		put(8, physical[i].version, 2);
		put(10, physical[i].type, 2);
		put(88, physical[i].magic, 2);
		assert_int_equal(probe_fd(fd, &p), 0);
		if (!strcmp(p.type, FSTYPE_CORESTORAGE) != physical[i].want)
			fail_msg("%s: %s", physical[i].name, p.type);
		assert_int_equal(end(state), 0);
	}
}

/* Volumes too small for anything. */
static void test_short(void **state)
{
	struct probe p;

	for (size_t n = 0; n < 2048; n += 53) {
		assert_int_equal(begin(state), 0);
		assert_int_equal(ftruncate(fd, (off_t)n), 0);
		p.type[0] = 'x';
		if (probe_fd(fd, &p) == 0)
			assert_string_equal(p.type, "");
		assert_int_equal(dynamic_claimed_size(fd), 0);
		assert_int_equal(end(state), 0);
	}
}

static const struct {
	const char *name, *system;
	uint16_t sector, small;
	uint32_t large;
	uint64_t ntfs;
	bool mark;
	uint64_t want;
} claims[] = {
	{ "NTFS", "NTFS    ", 512, 0, 0, 1000, true, 512000 },
	{ "NTFS without the mark", "NTFS    ", 4096, 9, 9, 1, false, 4096 },
	{ "NTFS of nothing", "NTFS    ", 0, 0, 0, 1000, true, 0 },
	{ "the largest NTFS", "NTFS    ", 65535, 0, 0, UINT64_MAX / 65536, true, UINT64_MAX / 65536 * 65535 },
	{ "an NTFS larger than numbers", "NTFS    ", 1, 0, 0, UINT64_MAX / 65536 + 1, true, UINT64_MAX },
	{ "FAT", "MSDOS5.0", 512, 100, 7, 0, true, 51200 },
	{ "large FAT", "MSDOS5.0", 512, 0, UINT32_MAX, 0, true, UINT64_C(512) * UINT32_MAX },
	{ "FAT without the mark", "MSDOS5.0", 512, 100, 0, 0, false, 0 },
};

static void test_claims(void **state)
{
	for (size_t i = 0; i < sizeof(claims) / sizeof(*claims); i++) {
		assert_int_equal(begin(state), 0);
		assert_int_equal(ftruncate(fd, 512), 0);
		assert_int_equal(pwrite(fd, claims[i].system, 8, 3), 8);
		put(11, claims[i].sector, 2);
		put(19, claims[i].small, 2);
		put(32, claims[i].large, 4);
		put(40, claims[i].ntfs, 8);
		put(510, claims[i].mark ? 0xaa55 : 0, 2);
		if (dynamic_claimed_size(fd) != claims[i].want)
			fail_msg("%s", claims[i].name);
		assert_int_equal(end(state), 0);
	}
}

static void test_btrfs(void **state)
{
	static uint8_t bytes[4096];
	struct btrfs_super s;

	(void)state;
	assert_int_equal(btrfs_parse_super(bytes, &s), -EBADMSG);
	memcpy(bytes + 0x40, "_BHRfS_M", 8);
	memcpy(bytes + 0x20, "0123456789abcdef", 16);
	bytes[0x88] = 2;
	bytes[0xc9] = 7;
	bytes[0x3c] = 1;		/* bit 32 of the flags */
	assert_int_equal(btrfs_parse_super(bytes, &s), 0);
	assert_memory_equal(s.fsid, "0123456789abcdef", 16);
	assert_true(s.nr_devices == 2 && s.devid == 7 && s.seed);
	for (size_t bit = 0; bit < 64; bit++) {
		bytes[0x40 + bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(btrfs_parse_super(bytes, &s), -EBADMSG);
		bytes[0x40 + bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_backup), cmocka_unit_test(test_found_by_backup), cmocka_unit_test(test_corestorage),
		cmocka_unit_test(test_short), cmocka_unit_test(test_claims), cmocka_unit_test(test_btrfs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
