/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "agent/auth.h"
#include "agent/btrfs.h"
#include "agent/entry.h"
#include "agent/fsmount.h"
#include "agent/fstype.h"
#include "agent/init.h"
#include "agent/ntfs.h"
#include "agent/request.h"
#include "agent/resolve.h"
#include "agent/work.h"
#include "common/http.h"

static void setup(struct agent *a)
{
	*a = (struct agent){ 0 };
	assert_int_equal(init_parse_disks(a, "0000 scsi0\n0002 x.img.fidx\n0007 a b\n", 36), 0);
	assert_int_equal(a->nr_disks, 3);
}

static const struct {
	const char *in;
	int want;
} disk_cases[] = {
	{ "0000 a\n", 0 },	    { "", 0 },			{ "0000 a", -EBADMSG },
	{ "0000 \n", -EBADMSG },    { "000 abc\n", -EBADMSG },	{ "00x0 a\n", -EBADMSG },
	{ "0000 a/b\n", -EBADMSG }, { "0001 a\n0001 b\n", -EBADMSG }, { "0001 a\n0000 b\n", -EBADMSG },
};

static void test_disks(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(disk_cases) / sizeof(*disk_cases); i++) {
		struct agent a = { 0 };

		print_message("%s\n", disk_cases[i].in);
		assert_int_equal(init_parse_disks(&a, disk_cases[i].in, strlen(disk_cases[i].in)), disk_cases[i].want);
	}
}

static const struct {
	const char *in;
	unsigned int want;	/* 0: refused */
} watchdog_cases[] = {
	{ "600", 600 }, { "1", 1 },	  { "999999999", 999999999 }, { "", 0 },     { "0", 0 },
	{ "-1", 0 },	{ "1000000000", 0 }, { "5s", 0 },	      { " 5", 0 }, { "0x10", 0 },
};

static void test_watchdog(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(watchdog_cases) / sizeof(*watchdog_cases); i++) {
		struct agent a = { 0 };
		const char *in = watchdog_cases[i].in;

		print_message("'%s'\n", in);
		assert_int_equal(init_parse_watchdog(&a, in, strlen(in)), watchdog_cases[i].want ? 0 : -EBADMSG);
		assert_int_equal(a.watchdog_s, watchdog_cases[i].want);
	}
}

static const struct {
	const char *in;
	int want;
	size_t nr;
} left_out_cases[] = {
	{ "", 0, 0 },
	{ "80000001\n", 0, 1 },
	{ "8000abcd\nffffffff\n", 0, 2 },
	{ "80000001", -EBADMSG, 0 },
	{ "8000001\n", -EBADMSG, 0 },
	{ "8000000g\n", -EBADMSG, 0 },
	{ "8000000A\n", -EBADMSG, 0 },
	{ "80000001 80000002\n", -EBADMSG, 0 },
};

static void test_left_out(void **state)
{
	char many[9 * (WIRE_LEFT_OUT_MAX + 1) + 1];
	struct agent a = { 0 };
	struct err err = ERR_INIT;
	char line[10];

	(void)state;
	for (size_t i = 0; i < sizeof(left_out_cases) / sizeof(*left_out_cases); i++) {
		a = (struct agent){ 0 };
		print_message("%s\n", left_out_cases[i].in);
		assert_int_equal(work_parse_left_out(&a, left_out_cases[i].in, strlen(left_out_cases[i].in)), left_out_cases[i].want);
		if (!left_out_cases[i].want)
			assert_int_equal(a.nr_left_out, left_out_cases[i].nr);
	}
	for (size_t i = 0; i <= WIRE_LEFT_OUT_MAX; i++)
		memcpy(many + 9 * i, "80000001\n", 10);
	a = (struct agent){ 0 };
	assert_int_equal(work_parse_left_out(&a, many, 9 * WIRE_LEFT_OUT_MAX), 0);
	a = (struct agent){ 0 };
	assert_int_equal(work_parse_left_out(&a, many, 9 * (WIRE_LEFT_OUT_MAX + 1)), -EBADMSG);
	/* a volume, and a disk with all that is on it */
	setup(&a);
	(void)snprintf(line, sizeof(line), "%08x\n", wire_work_port(2, "part/1"));
	assert_int_equal(work_parse_left_out(&a, line, 9), 0);
	(void)snprintf(line, sizeof(line), "%08x\n", wire_work_port(7, ""));
	assert_int_equal(work_parse_left_out(&a, line, 9), 0);
	assert_int_equal(work_begin(&a, &a.disk[1], "part/1", &err), -EUCLEAN);
	assert_int_equal(work_begin(&a, &a.disk[1], "part/2", &err), 0);
	assert_int_equal(work_begin(&a, &a.disk[1], "", &err), 0);
	assert_int_equal(work_begin(&a, &a.disk[0], "part/1", &err), 0);
	assert_int_equal(work_begin(&a, &a.disk[2], "part/1", &err), -EUCLEAN);
	assert_int_equal(work_begin(&a, &a.disk[2], "", &err), -EUCLEAN);
}

static const struct {
	const char *in;
	size_t len;		/* 0: strlen */
	int want;
	enum target_level level;
	unsigned int slot, part;
	const char *rest;
	const char *text;	/* of the error */
} path_cases[] = {
	{ "", 0, 0, TARGET_ROOT, 0, 0, NULL, NULL },
	{ "/", 0, 0, TARGET_ROOT, 0, 0, NULL, NULL },
	{ "scsi0", 0, 0, TARGET_DISK, 0, 0, NULL, NULL },
	{ "/scsi0.img.fidx", 0, 0, TARGET_DISK, 0, 0, NULL, NULL },
	{ "x.img.fidx", 0, 0, TARGET_DISK, 2, 0, NULL, NULL },
	{ "x.img.fidx.img.fidx/part", 0, 0, TARGET_PARTS, 2, 0, NULL, NULL },
	{ "a b/part/", 0, 0, TARGET_PARTS, 7, 0, NULL, NULL },
	{ "scsi0/part/12", 0, 0, TARGET_VOLUME, 0, 12, "", NULL },
	{ "scsi0/raw//etc///fstab/", 0, 0, TARGET_VOLUME, 0, 0, "etc/fstab", NULL },
	{ "scsi0/part/1/\xff\xfe", 0, 0, TARGET_VOLUME, 0, 1, "\xff\xfe", NULL },
	{ "scsi0/part/1/a/...", 0, 0, TARGET_VOLUME, 0, 1, "a/...", NULL },
	{ "scsi1", 0, -ENOENT, 0, 0, 0, NULL, "given image 'scsi1' not found" },
	{ "\xff", 0, -EINVAL, 0, 0, 0, NULL, "no or invalid image in path" },
	{ "scsi0/\xff", 0, -EINVAL, 0, 0, 0, NULL, "invalid bucket in path" },
	{ "scsi0/lvmx", 0, -ENOENT, 0, 0, 0, NULL, "invalid bucket type for component depth: lvmx" },
	{ "scsi0/part/x", 0, -EINVAL, 0, 0, 0, NULL, "invalid bucket component in path" },
	{ "scsi0/part/01", 0, -EINVAL, 0, 0, 0, NULL, "invalid bucket component in path" },
	{ "scsi0/part/0", 0, -EINVAL, 0, 0, 0, NULL, "invalid bucket component in path" },
	{ "scsi0/part/99999999999", 0, -EINVAL, 0, 0, 0, NULL, "invalid bucket component in path" },
	{ "scsi0/raw/a/../b", 0, -EINVAL, 0, 0, 0, NULL, NULL },
	{ "scsi0/raw/./b", 0, -EINVAL, 0, 0, 0, NULL, NULL },
	{ "scsi0/raw/a\0b", 13, -EINVAL, 0, 0, 0, NULL, NULL },
};

static void test_paths(void **state)
{
	struct agent a;

	(void)state;
	setup(&a);
	for (size_t i = 0; i < sizeof(path_cases) / sizeof(*path_cases); i++) {
		size_t len = path_cases[i].len ? path_cases[i].len : strlen(path_cases[i].in);
		CLEANUP_TARGET struct target t = { 0 };
		struct err err = ERR_INIT;

		print_message("%s\n", path_cases[i].in);
		assert_int_equal(target_parse(&a, path_cases[i].in, len, &t, &err), path_cases[i].want);
		if (path_cases[i].text)
			assert_string_equal(err.text, path_cases[i].text);
		if (path_cases[i].want)
			continue;
		assert_int_equal(t.level, path_cases[i].level);
		assert_int_equal(t.part, path_cases[i].part);
		if (t.level != TARGET_ROOT)
			assert_int_equal(t.disk->slot, path_cases[i].slot);
		if (path_cases[i].rest)
			assert_string_equal(t.rest, path_cases[i].rest);
	}
}

static const struct {
	const char *query;
	unsigned int allowed;
	int want;
	const char *text;
} query_cases[] = {
	{ "?path=L2E", PARAM_PATH, -EINVAL, "parameter 'path' is not valid" },
	{ "?path=L2Ev", PARAM_PATH, 0, NULL },
	{ "?path=L2Ev&ext=1", PARAM_PATH | PARAM_EXT, 0, NULL },
	{ "?path=L2Ev&ext=maybe", PARAM_PATH | PARAM_EXT, -EINVAL, "parameter 'ext' is not valid" },
	{ "?path=L2Ev&ext=1&ext=1", PARAM_PATH | PARAM_EXT, -EINVAL, "parameter 'ext' is not valid" },
	{ "?ext=1", PARAM_PATH | PARAM_EXT, -EINVAL, "parameter 'path' is missing" },
	{ "", PARAM_PATH, -EINVAL, "parameter 'path' is missing" },
	{ "?path=L2Ev&zstd=1", PARAM_PATH, -EINVAL, "parameter 'zstd' is not known here" },
	{ "?path=L2Ev&offset=5&length=0", PARAM_PATH | PARAM_OFFSET | PARAM_LENGTH, 0, NULL },
	{ "?path=L2Ev&offset=-5", PARAM_PATH | PARAM_OFFSET, -EINVAL, "parameter 'offset' is not valid" },
	{ "?path=L2Ev&length=18446744073709551616", PARAM_PATH | PARAM_LENGTH, -EINVAL, "parameter 'length' is not valid" },
	{ "?path=L2Ev&format=pxar", PARAM_PATH | PARAM_FORMAT, 0, NULL },
	{ "?path=L2Ev&format=zip", PARAM_PATH | PARAM_FORMAT, -EINVAL, "parameter 'format' is not valid" },
};

static void test_queries(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(query_cases) / sizeof(*query_cases); i++) {
		__attribute__((cleanup(request_free))) struct request q = { 0 };
		struct http_head h = { 0 };
		struct err err = ERR_INIT;
		char target[256];

		print_message("%s\n", query_cases[i].query);
		snprintf(target, sizeof(target), "/api2/json/list%s", query_cases[i].query);
		h.target = target;
		h.target_len = strlen(target);
		assert_int_equal(request_parse(&q, &h, query_cases[i].allowed, &err), query_cases[i].want);
		if (query_cases[i].text)
			assert_string_equal(err.text, query_cases[i].text);
		else
			assert_memory_equal(q.path.data, "/a", q.path.len);
	}
}

static void test_auth(void **state)
{
	struct agent a = { 0 };
	char given[WIRE_TICKET_HEX];

	(void)state;
	memset(a.ticket, '7', WIRE_TICKET_HEX);
	memset(given, '7', sizeof(given));
	assert_true(auth_check(&a, given, sizeof(given)));
	assert_false(auth_check(&a, given, sizeof(given) - 1));
	given[63] = '8';
	assert_false(auth_check(&a, given, sizeof(given)));
}

static const struct {
	const char *in;
	int want;
} mount_cases[] = {
	{ "", 0 },			  { "fs-type ext4\n", 0 },	{ "fs-allow ext4,xfs\nsuperblock 8193\n", 0 },
	{ "checkpoint 2\ncodepage 850\n", 0 }, { "fs-type ext4", -EBADMSG }, { "fs-type\n", -EBADMSG },
	{ "fs-type \n", -EBADMSG },	  { "fs-typ ext4\n", -EBADMSG }, { "superblock 0\n", -EBADMSG },
	{ "superblock -1\n", -EBADMSG },  { "superblock 1x\n", -EBADMSG }, { "superblock 99999999999999999999\n", -EBADMSG },
	{ "\n", -EBADMSG },		  { "fs-type 12345678901234567890123456789012\n", -EBADMSG },
};

static void test_mount_options(void **state)
{
	struct agent_mount m = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(mount_cases) / sizeof(*mount_cases); i++) {
		m = (struct agent_mount){ 0 };
		print_message("%s\n", mount_cases[i].in);
		assert_int_equal(init_parse_mount(&m, mount_cases[i].in, strlen(mount_cases[i].in)), mount_cases[i].want);
	}
	assert_int_equal(init_parse_mount(&m, "a\0b\n", 4), -EBADMSG);
	m = (struct agent_mount){ 0 };
	assert_int_equal(init_parse_mount(&m, "fs-allow xfs,ext4\nsuperblock 8193\nfs-type ntfs\n", 47), 0);
	assert_string_equal(m.fs_type, "ntfs");
	assert_string_equal(m.fs_allow, "xfs,ext4");
	assert_int_equal(m.superblock_kib, 8193);
}

static void test_allow(void **state)
{
	struct agent a = { 0 };

	(void)state;
	assert_true(fsmount_allows(&a, "ext4"));
	strcpy(a.mount.fs_allow, "xfs,ext4");
	assert_true(fsmount_allows(&a, "ext4"));
	assert_true(fsmount_allows(&a, "xfs"));
	assert_false(fsmount_allows(&a, "ext"));
	assert_false(fsmount_allows(&a, "ext44"));
	assert_false(fsmount_allows(&a, "ntfs"));
	assert_false(fsmount_allows(&a, ""));
}

/* One that mkfs.btrfs made has this checksum when it has this content: checked by the kernel in filesystems.t. */
static void test_rename_super(void **state)
{
	uint8_t bytes[4096] = { 0 }, fsid[16] = "another file sys", old[16] = "first file syste";
	struct btrfs_super s;

	(void)state;
	assert_int_equal(btrfs_parse_super(bytes, &s), -EBADMSG);
	memcpy(bytes + 0x20, old, 16);
	memcpy(bytes + 0x40, "_BHRfS_M", 8);
	assert_int_equal(btrfs_rename_super(bytes, fsid), 0);
	assert_int_equal(btrfs_parse_super(bytes, &s), 0);
	assert_memory_equal(s.fsid, fsid, 16);
	assert_memory_equal(bytes + 0x23b, old, 16);
	assert_int_equal(bytes[0xbd] & 4, 4);
	assert_int_equal(btrfs_rename_super(bytes, old), 0);	/* once more: the trees still have their first id */
	assert_memory_equal(bytes + 0x23b, old, 16);
	bytes[0xc4] = 2;	/* SHA-256 */
	assert_int_equal(btrfs_rename_super(bytes, fsid), -EOPNOTSUPP);
}

static void test_reasons(void **state)
{
	(void)state;
	assert_non_null(fstype_reason("LVM2_member"));
	assert_non_null(fstype_reason("linux_raid_member"));
	assert_non_null(fstype_reason("isw_raid_member"));
	assert_non_null(fstype_reason(FSTYPE_CORESTORAGE));
	assert_null(fstype_reason("raid_member"));
	assert_null(fstype_reason("swap"));
	assert_null(fstype_reason("ext4"));
}

static void test_link_targets(void **state)
{
	static const uint8_t lx[] = "\2\0\0\0/etc/hostname";
	/* offset 0 and length 28 of the substitute name, offset and length of the print name; "\??\Volume{ab}" in UTF-16 */
	static const uint8_t mount[] = "\0\0\34\0\0\0\0\0\\\0?\0?\0\\\0V\0o\0l\0u\0m\0e\0{\0a\0b\0}\0";
	char to[64];

	(void)state;
	assert_int_equal(ntfs_link_target(0xa000001d, lx, sizeof(lx) - 1, to, sizeof(to)), 13);
	assert_string_equal(to, "/etc/hostname");
	assert_int_equal(ntfs_link_target(0xa000001d, lx, 4, to, sizeof(to)), -EUCLEAN);
	assert_int_equal(ntfs_link_target(0xa000001d, lx, sizeof(lx) - 1, to, 13), -EUCLEAN);
	assert_int_equal(ntfs_link_target(0xa000001d, lx, sizeof(lx), to, sizeof(to)), -EUCLEAN);
	assert_int_equal(ntfs_link_target(0xa0000003, mount, 36, to, sizeof(to)), 10);
	assert_string_equal(to, "Volume{ab}");
	for (size_t n = 0; n < 36; n++)
		assert_int_equal(ntfs_link_target(0xa0000003, mount, n, to, sizeof(to)), -EUCLEAN);
	assert_int_equal(ntfs_link_target(0x80000013, mount, 36, to, sizeof(to)), -EINVAL);
}

/* An MFT record with attributes of these types, sizes and lengths of names, behind each other. */
static const struct {
	const char *name;
	struct {
		uint32_t type, size;
		uint8_t name_len;
	} attr[4];
	size_t cut;		/* bytes missing at the end; the record has 256 */
	uint16_t first;		/* where the attributes begin, if not 0 */
	enum { NEITHER, STREAMS, DESCRIPTOR, EITHER } want;	/* what there may be */
} records[] = {
	{ "one stream without a name", { { 0x10, 48, 0 }, { 0x80, 32, 0 }, { UINT32_MAX, 0, 0 } }, 0, 0, NEITHER },
	{ "nothing", { { UINT32_MAX, 0, 0 } }, 0, 0, NEITHER },
	{ "a named stream", { { 0x80, 32, 0 }, { 0x80, 32, 5 }, { UINT32_MAX, 0, 0 } }, 0, 0, STREAMS },
	{ "a descriptor", { { 0x10, 48, 0 }, { 0x50, 32, 0 }, { UINT32_MAX, 0, 0 } }, 0, 0, DESCRIPTOR },
	{ "a descriptor with a name", { { 0x50, 32, 1 }, { UINT32_MAX, 0, 0 } }, 0, 0, NEITHER },
	{ "a named index", { { 0x90, 32, 4 }, { UINT32_MAX, 0, 0 } }, 0, 0, NEITHER },
	{ "further records", { { 0x10, 48, 0 }, { 0x20, 32, 0 }, { UINT32_MAX, 0, 0 } }, 0, 0, EITHER },
	{ "no end", { { 0x10, 48, 0 }, { 0x80, 152, 0 } }, 0, 0, EITHER },
	{ "an attribute of no size", { { 0x10, 0, 0 }, { UINT32_MAX, 0, 0 } }, 0, 0, EITHER },
	{ "an attribute too short for itself", { { 0x10, 8, 0 }, { UINT32_MAX, 0, 0 } }, 0, 0, EITHER },
	{ "an attribute beyond the end", { { 0x10, 201, 0 }, { UINT32_MAX, 0, 0 } }, 0, 0, EITHER },
	{ "an attribute without end", { { 0x10, UINT32_MAX, 0 }, { UINT32_MAX, 0, 0 } }, 0, 0, EITHER },
	{ "attributes in the head", { { UINT32_MAX, 0, 0 } }, 0, 0x10, EITHER },
	{ "attributes beyond the end", { { UINT32_MAX, 0, 0 } }, 0, 0xfff0, EITHER },
	{ "the end cut", { { UINT32_MAX, 0, 0 } }, 256 - 0x38 - 3, 0, EITHER },
	{ "no head", { { UINT32_MAX, 0, 0 } }, 256 - 0x15, 0, EITHER },
	{ "no record", { { UINT32_MAX, 0, 0 } }, 256, 0, EITHER },
};

static void test_records(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(records) / sizeof(*records); i++) {
		const uint16_t first = records[i].first ? records[i].first : 0x38;
		uint8_t p[256] = "FILE";
		size_t at = 0x38;

		p[0x14] = (uint8_t)first;
		p[0x15] = (uint8_t)(first >> 8);
		for (size_t k = 0; k < 4 && at + 10 <= sizeof(p); k++) {
			for (int b = 0; b < 4; b++) {
				p[at + (size_t)b] = (uint8_t)(records[i].attr[k].type >> 8 * b);
				p[at + 4 + (size_t)b] = (uint8_t)(records[i].attr[k].size >> 8 * b);
			}
			p[at + 9] = records[i].attr[k].name_len;
			at += records[i].attr[k].size > sizeof(p) ? sizeof(p) : records[i].attr[k].size < 16 ? 16 : records[i].attr[k].size;
			if (records[i].attr[k].type == UINT32_MAX)
				break;
		}
		if (ntfs_record_has_streams(p, sizeof(p) - records[i].cut) != !!(records[i].want & STREAMS))
			fail_msg("%s", records[i].name);
		if (ntfs_record_has_descriptor(p, sizeof(p) - records[i].cut) != !!(records[i].want & DESCRIPTOR))
			fail_msg("%s, descriptor", records[i].name);
	}
	assert_true(ntfs_record_has_streams((const uint8_t *)"BAAD", 4));
}

static void test_mtime(void **state)
{
	struct statx st = { .stx_mtime = { .tv_sec = -86399, .tv_nsec = (uint32_t)-876543300 } };
	int64_t s;
	uint32_t ns;

	(void)state;
	entry_mtime(&st, &s, &ns);
	assert_int_equal(s, -86400);
	assert_int_equal(ns, 123456700);
	st.stx_mtime.tv_nsec = 999999999;
	entry_mtime(&st, &s, &ns);
	assert_int_equal(s, -86399);
	assert_int_equal(ns, 999999999);
	st.stx_mtime.tv_nsec = 1000000000;
	entry_mtime(&st, &s, &ns);
	assert_int_equal(ns, 0);
}

static void test_fstypes(void **state)
{
	(void)state;
	assert_string_equal(fstype_find("ext3")->driver, "ext4");
	assert_non_null(strstr(fstype_find("ext4")->options[0], "noload,noblock_validity,errors=continue"));
	assert_string_equal(fstype_find("xfs")->options[0], "norecovery,nouuid");
	assert_non_null(strstr(fstype_find("btrfs")->options[0], "subvolid=5"));
	assert_string_equal(fstype_find_version("ufs", "2")->options[0], "ufstype=ufs2");
	assert_string_equal(fstype_find_version("ufs", "1")->options[0], "ufstype=44bsd");
	assert_null(fstype_find("swap"));
	assert_null(fstype_find(""));
	assert_true(fstype_in_kernel("proc"));
	assert_false(fstype_in_kernel("pro"));
	assert_false(fstype_in_kernel("procx"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_disks), cmocka_unit_test(test_left_out), cmocka_unit_test(test_watchdog),
		 cmocka_unit_test(test_paths),   cmocka_unit_test(test_queries),
		cmocka_unit_test(test_auth),  cmocka_unit_test(test_fstypes),
		cmocka_unit_test(test_mount_options), cmocka_unit_test(test_allow), cmocka_unit_test(test_rename_super),
		cmocka_unit_test(test_reasons), cmocka_unit_test(test_link_targets), cmocka_unit_test(test_records), cmocka_unit_test(test_mtime),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
