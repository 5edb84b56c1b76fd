/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "agent/auth.h"
#include "agent/fstype.h"
#include "agent/init.h"
#include "agent/request.h"
#include "agent/resolve.h"
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

static void test_fstypes(void **state)
{
	(void)state;
	assert_string_equal(fstype_find("ext3")->driver, "ext4");
	assert_non_null(strstr(fstype_find("ext4")->options[0], "noload,errors=continue"));
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
		cmocka_unit_test(test_disks), cmocka_unit_test(test_paths),   cmocka_unit_test(test_queries),
		cmocka_unit_test(test_auth),  cmocka_unit_test(test_fstypes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
