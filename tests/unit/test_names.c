/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/buf.h"
#include "host/source/store/lock.h"
#include "host/source/store/names.h"

static const struct {
	const char *name;
	int want;
} ids[] = {
	{ "100", 0 }, { "_x", 0 }, { "a.b-c_d", 0 }, { "A", 0 }, { "a..b", 0 },
	{ "", -EINVAL }, { ".", -EINVAL }, { "..", -EINVAL }, { ".x", -EINVAL }, { "-x", -EINVAL }, { "a/b", -EINVAL },
	{ "a b", -EINVAL }, { "\xc3\xa4", -EINVAL }, { "a\n", -EINVAL }, { "a:b", -EINVAL },
};

static void test_ids(void **state)
{
	char longest[NAMES_ID_MAX + 2];

	(void)state;
	for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++) {
		print_message("'%s'\n", ids[i].name);
		assert_int_equal(names_check_id(ids[i].name, strlen(ids[i].name)), ids[i].want);
	}
	memset(longest, 'x', sizeof(longest));
	assert_int_equal(names_check_id(longest, NAMES_ID_MAX), 0);
	assert_int_equal(names_check_id(longest, NAMES_ID_MAX + 1), -EINVAL);
	assert_int_equal(names_check_id("a\0b", 3), -EINVAL);
}

static const struct {
	const char *text;
	int want;
	int64_t time;
} times[] = {
	{ "2024-01-01T00:00:00Z", 0, 1704067200 },
	{ "1970-01-01T00:00:00Z", 0, 0 },
	{ "1969-12-31T23:59:59Z", 0, -1 },
	{ "2020-06-26T13:56:05Z", 0, 1593179765 },
	{ "2024-02-29T23:59:59Z", 0, 1709251199 },
	{ "0000-01-01T00:00:00Z", 0, -62167219200 },
	{ "9999-12-31T23:59:59Z", 0, 253402300799 },
	{ "2026-02-03T12:00:00+01:00", 0, 1770116400 },
	{ "2026-02-03T12:00:00-00:30", 0, 1770121800 },
	{ "2023-02-29T00:00:00Z", -EINVAL, 0 },
	{ "2024-13-01T00:00:00Z", -EINVAL, 0 },
	{ "2024-00-01T00:00:00Z", -EINVAL, 0 },
	{ "2024-01-00T00:00:00Z", -EINVAL, 0 },
	{ "2024-01-01T24:00:00Z", -EINVAL, 0 },
	{ "2024-01-01T00:60:00Z", -EINVAL, 0 },
	{ "2024-01-01T00:00:60Z", -EINVAL, 0 },
	{ "2024-01-01t00:00:00Z", -EINVAL, 0 },
	{ "2024-01-01T00:00:00z", -EINVAL, 0 },
	{ "2024-01-01 00:00:00Z", -EINVAL, 0 },
	{ "2024-01-01T00:00:00", -EINVAL, 0 },
	{ "2024-01-01T00:00:00.5Z", -EINVAL, 0 },
	{ "2024-01-01T00:00:00+0100", -EINVAL, 0 },
	{ "2024-01-01T00:00:00+24:00", -EINVAL, 0 },
	{ "+024-01-01T00:00:00Z", -EINVAL, 0 },
	{ "", -EINVAL, 0 },
};

static void test_times(void **state)
{
	char back[NAMES_TIME_TEXT];
	int64_t t;

	(void)state;
	for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++) {
		print_message("'%s'\n", times[i].text);
		assert_int_equal(names_parse_time(times[i].text, strlen(times[i].text), &t), times[i].want);
		if (times[i].want)
			continue;
		assert_true(t == times[i].time);
		assert_int_equal(names_format_time(t, back), 0);
		if (strlen(times[i].text) == 20)
			assert_string_equal(back, times[i].text);
	}
	assert_int_equal(names_format_time(INT64_C(253402300800), back), -ERANGE);
	assert_int_equal(names_format_time(INT64_MIN, back), -ERANGE);
}

static const struct {
	const char *text;
	int want;
} snapshots[] = {
	{ "vm/100/2024-01-01T00:00:00Z", 0 },
	{ "host/a.b/2024-01-01T00:00:00Z", 0 },
	{ "vm/100/2024-01-01T00:00:00+00:00", -EINVAL },
	{ "vm/100/2024-01-01T00:00:00Z/", -EINVAL },
	{ "vm/100", -EINVAL },
	{ "vm/100/", -EINVAL },
	{ "/vm/100/2024-01-01T00:00:00Z", -EINVAL },
	{ "vms/100/2024-01-01T00:00:00Z", -EINVAL },
	{ "hosts/100/2024-01-01T00:00:00Z", -EINVAL },
	{ "VM/100/2024-01-01T00:00:00Z", -EINVAL },
	{ "vm/../2024-01-01T00:00:00Z", -EINVAL },
	{ "vm//2024-01-01T00:00:00Z", -EINVAL },
	{ "", -EINVAL },
};

static void test_snapshots(void **state)
{
	char back[NAMES_SNAPSHOT_TEXT];
	struct snapshot_name n;

	(void)state;
	for (size_t i = 0; i < sizeof(snapshots) / sizeof(*snapshots); i++) {
		print_message("'%s'\n", snapshots[i].text);
		assert_int_equal(names_parse_snapshot(snapshots[i].text, &n), snapshots[i].want);
		if (!snapshots[i].want)
			assert_string_equal(names_format_snapshot(&n, back), snapshots[i].text);
	}
}

static const struct {
	const char *text;
	int want;
} groups[] = {
	{ "vm/100", 0 },	{ "host/a.b", 0 },	{ "ct/_", 0 },		{ "vm", -EINVAL },	{ "vm/", -EINVAL },
	{ "", -EINVAL },	{ "/", -EINVAL },	{ "/100", -EINVAL },	{ "vm/1/2", -EINVAL },	{ "vm/..", -EINVAL },
	{ "hosts/1", -EINVAL },	{ "v/1", -EINVAL },	{ "vm/1/2024-01-01T00:00:00Z", -EINVAL },
};

static void test_groups(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(groups) / sizeof(*groups); i++) {
		const char *id = strchr(groups[i].text, '/');
		struct snapshot_name n = { .time = 5 };

		print_message("'%s'\n", groups[i].text);
		assert_int_equal(names_parse_group(groups[i].text, &n), groups[i].want);
		assert_int_equal(n.time, groups[i].want ? 5 : 0);
		if (!groups[i].want)
			assert_string_equal(n.id, id + 1);
	}
}

static const struct {
	const char *in, *out;	/* NULL: refused */
} stored[] = {
	{ "drive-scsi0.img", "drive-scsi0.img.fidx" },	{ "a.pxar", "a.pxar.didx" },	  { "a.mpxar", "a.mpxar.didx" },
	{ "a.ppxar", "a.ppxar.didx" },			{ "catalog.pcat1", "catalog.pcat1.didx" },
	{ "fw.conf", "fw.conf.blob" },			{ "client.log", "client.log.blob" },
	{ "index.json", "index.json.blob" },		{ "rsa-encrypted.key", "rsa-encrypted.key.blob" },
	{ "x.img.fidx", "x.img.fidx" },			{ "x.didx", "x.didx" },
	{ "x", NULL },					{ ".img", NULL },		  { "../x.img", NULL },
	{ "x.img/y.img", NULL },			{ "x.tar", NULL },
}, spaces[] = {
	{ "", "." },	{ "a", "ns/a" }, { "a/b-1/c.d", "ns/a/ns/b-1/ns/c.d" }, { "1/2/3/4/5/6/7", "ns/1/ns/2/ns/3/ns/4/ns/5/ns/6/ns/7" },
	{ "1/2/3/4/5/6/7/8", NULL }, { "/a", NULL }, { "a/", NULL }, { "a//b", NULL }, { "..", NULL }, { "a/../b", NULL },
}, locks[] = {
	{ "vm/100", "vm-100" },
	{ "vm/100/2022-05-02T08:11:33Z", "vm-100-2022\\x2d05\\x2d02T08\\x3a11\\x3a33Z" },
	{ "vm/100/2022-05-02T08:11:33Z/.index.json.lck", "vm-100-2022\\x2d05\\x2d02T08\\x3a11\\x3a33Z-.index.json.lck" },
	{ "/.x", "\\x2ex" },
};

static void test_mappings(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(stored) / sizeof(*stored); i++) {
		CLEANUP_BUF struct buf b = BUF_INIT;

		print_message("'%s'\n", stored[i].in);
		assert_int_equal(names_stored(stored[i].in, &b), stored[i].out ? 0 : -EINVAL);
		if (stored[i].out)
			assert_string_equal(buf_cstr(&b), stored[i].out);
	}
	for (size_t i = 0; i < sizeof(spaces) / sizeof(*spaces); i++) {
		CLEANUP_BUF struct buf b = BUF_INIT;

		print_message("'%s'\n", spaces[i].in);
		assert_int_equal(names_ns_path(spaces[i].in, &b), spaces[i].out ? 0 : -EINVAL);
		assert_int_equal(names_check_ns(spaces[i].in), spaces[i].out ? 0 : -EINVAL);
		if (spaces[i].out)
			assert_string_equal(buf_cstr(&b), spaces[i].out);
	}
	for (size_t i = 0; i < sizeof(locks) / sizeof(*locks); i++) {
		CLEANUP_BUF struct buf b = BUF_INIT;

		lock_file_name(locks[i].in, &b);
		assert_string_equal(buf_cstr(&b), locks[i].out);
	}
}

static void test_kinds(void **state)
{
	(void)state;
	assert_int_equal(names_file_kind("x.img.fidx", 10), NAMES_FIDX);
	assert_int_equal(names_file_kind("x.didx", 6), NAMES_DIDX);
	assert_int_equal(names_file_kind("x.blob", 6), NAMES_BLOB);
	assert_int_equal(names_file_kind(".blob", 5), -EINVAL);
	assert_int_equal(names_file_kind("x.tmp_fidx", 10), -EINVAL);
	assert_int_equal(names_file_kind("x.blob.", 7), -EINVAL);
}

static int compare(const void *a, const void *b)
{
	return names_compare_ids(*(const char *const *)a, *(const char *const *)b);
}

static void test_order(void **state)
{
	const char *in[] = { "text-id", "1000", "9", "a", "099", "100", "99" };
	static const char *const out[] = { "9", "099", "99", "100", "1000", "a", "text-id" };

	(void)state;
	qsort(in, 7, sizeof(*in), compare);
	for (size_t i = 0; i < 7; i++)
		assert_string_equal(in[i], out[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ids),	 cmocka_unit_test(test_times), cmocka_unit_test(test_snapshots),
		cmocka_unit_test(test_mappings), cmocka_unit_test(test_kinds), cmocka_unit_test(test_order),
		cmocka_unit_test(test_groups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
