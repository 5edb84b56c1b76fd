/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where our control group is, out of good, odd and broken texts of the kernel; and what systemd has delegated. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/cleanup.h"
#include "host/vm/cgroup_place.h"

#define V2 "35 24 0:30 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1 "40 32 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n" \
	   "41 32 0:36 / /sys/fs/cgroup/pids rw shared:7 master:2 - cgroup cgroup rw,pids\n"
#define UNIFIED "42 32 0:37 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
#define OTHERS "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 22 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
#define USER "/user.slice/user-1000.slice/user@1000.service/app.slice/"

#define X10 "xxxxxxxxxx"
#define X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10
#define X1000 X100 X100 X100 X100 X100 X100 X100 X100 X100 X100
#define X4000 X1000 X1000 X1000 X1000

static const struct {
	const char *groups, *mounts;
	int version;		/* 0: -ENOENT */
	const char *dir;
} cases[] = {
	/* version 2 */
	{ "0::/\n", V2, 2, "/sys/fs/cgroup" },
	{ "0::/", OTHERS V2, 2, "/sys/fs/cgroup" },
	{ "0::/system.slice/x.service\n", V2, 2, "/sys/fs/cgroup/system.slice/x.service" },
	{ "0::" USER "pick.service\n", V2, 2, "/sys/fs/cgroup" USER "pick.service" },
	{ "0::" USER "pick.service/pluck-commands\n", V2, 2, "/sys/fs/cgroup" USER "pick.service" },
	{ "0::/pluck-commands\n", V2, 2, "/sys/fs/cgroup" },
	{ "0::/a-pluck-commands\n", V2, 2, "/sys/fs/cgroup/a-pluck-commands" },
	{ "0::/pluck-commands/a\n", V2, 2, "/sys/fs/cgroup/pluck-commands/a" },
	{ "0::/a:b\n", V2, 2, "/sys/fs/cgroup/a:b" },
	{ "0::/a b\\x2dc.scope\n", V2, 2, "/sys/fs/cgroup/a b\\x2dc.scope" },
	{ "0::/memory\n", V2, 2, "/sys/fs/cgroup/memory" },
	{ "0::/..a/b..\n", V2, 2, "/sys/fs/cgroup/..a/b.." },
	{ "0::/\n", "35 24 0:30 / / rw - cgroup2 cgroup2 rw\n", 0, NULL },
	{ "0::/a\n", "35 24 0:30 / / rw - cgroup2 cgroup2 rw\n", 2, "/a" },
	/* in containers: a part of the hierarchy is mounted, or a name space hides what is above */
	{ "0::/box/1\n", "35 24 0:30 /box /sys/fs/cgroup rw - cgroup2 c rw\n", 2, "/sys/fs/cgroup/1" },
	{ "0::/box\n", "35 24 0:30 /box /sys/fs/cgroup rw - cgroup2 c rw\n", 2, "/sys/fs/cgroup" },
	{ "0::/boxes\n", "35 24 0:30 /box /sys/fs/cgroup rw - cgroup2 c rw\n", 0, NULL },
	{ "0::/other\n", "35 24 0:30 /box /sys/fs/cgroup rw - cgroup2 c rw\n", 0, NULL },
	{ "0::/\n", "35 24 0:30 /box /sys/fs/cgroup rw - cgroup2 c rw\n", 0, NULL },
	{ "0::/../other\n", V2, 0, NULL },
	{ "0::/a/..\n", V2, 0, NULL },
	{ "0::/\n", "35 24 0:30 /../.. /sys/fs/cgroup rw - cgroup2 c rw\n", 0, NULL },
	{ "0::/b\\x2dc/d\n", "35 24 0:30 /b\\134x2dc /mnt/with\\040space rw - cgroup2 c rw\n", 2, "/mnt/with space/d" },
	{ "0::/a\n", "35 24 0:30 /box /elsewhere rw - cgroup2 c rw\n" V2, 2, "/sys/fs/cgroup/a" },
	{ "0::/a\n", V2 "36 24 0:30 / /later rw - cgroup2 c rw\n", 2, "/later/a" },
	/* version 1 */
	{ "9:memory:/a\n", V1, 1, "/sys/fs/cgroup/memory/a" },
	{ "9:memory:/a\n0::/b\n", OTHERS V1, 1, "/sys/fs/cgroup/memory/a" },
	{ "4:cpu,memory,pids:/a\n", "40 32 0:31 / /cg rw - cgroup none rw,cpu,memory,pids\n", 1, "/cg/a" },
	{ "9:memory:/pluck-commands\n", V1, 1, "/sys/fs/cgroup/memory/pluck-commands" },
	{ "1:name=systemd:/\n9:pids:/a\n", V1, 0, NULL },
	{ "9:memory:/a\n", "40 32 0:31 / /cg rw - cgroup none rw,cpu\n", 0, NULL },
	{ "9:xmemory,memoryx:/a\n", V1, 0, NULL },
	{ "1:name=memory:/a\n", V1, 0, NULL },
	/* both: whichever has the controller */
	{ "9:memory:/a\n0::/b\n", OTHERS V1 UNIFIED, 1, "/sys/fs/cgroup/memory/a" },
	{ "0::/b\n9:memory:/a\n", OTHERS V1 UNIFIED, 1, "/sys/fs/cgroup/memory/a" },
	{ "9:pids:/a\n0::/b\n", OTHERS V1 UNIFIED, 2, "/sys/fs/cgroup/unified/b" },
	{ "9:memory:/a\n0::/b\n", OTHERS V2, 0, NULL },
	{ "0::/b\n", OTHERS V1, 0, NULL },
	/* nothing, and not what it should be */
	{ "", V2, 0, NULL },
	{ "0::/\n", "", 0, NULL },
	{ "", "", 0, NULL },
	{ "\n\n\n", "\n\n\n", 0, NULL },
	{ "0:/\n", V2, 0, NULL },
	{ "::/a\n", V2, 0, NULL },
	{ "7::/a\n", V2, 0, NULL },
	{ "0::\n", V2, 0, NULL },
	{ "0::a\n", V2, 0, NULL },
	{ "0\n:\n:/\n", V2, 0, NULL },
	{ "0::/a\n0::/b\n", V2, 2, "/sys/fs/cgroup/a" },
	{ ":\n9:memory\nx\n0::/a\n", V2, 2, "/sys/fs/cgroup/a" },
	{ "9:memory:a\n0::/b\n", V2, 2, "/sys/fs/cgroup/b" },
	{ "0::/a\n", "35 24 0:30 / /sys/fs/cgroup rw cgroup2 cgroup2 rw\n", 0, NULL },
	{ "0::/a\n", "35 24 0:30 / /sys/fs/cgroup rw - cgroup2\n", 0, NULL },
	{ "0::/a\n", "35 24 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2\n", 0, NULL },
	{ "0::/a\n", "35 24 0:30 /\n" V2, 2, "/sys/fs/cgroup/a" },
	{ "0::/a\n", "35 24 0:30 / /sys/fs/cgroup rw -", 0, NULL },
	{ "0::/a\n", "35 24 0:30 / sys rw - cgroup2 c rw\n", 0, NULL },
	{ "0::/a\n", "35 24 0:30 box /sys rw - cgroup2 c rw\n", 0, NULL },
	{ "0::/a\n", "35 24 0:30 / /s\\04 rw - cgroup2 c rw\n", 0, NULL },
	{ "0::/a\n", "35 24 0:30 / /s\\ rw - cgroup2 c rw\n", 0, NULL },
	{ "0::/a\n", "35 24 0:30 / /s\\089 rw - cgroup2 c rw\n", 0, NULL },
	{ "0::/a\n", "35 24 0:30 / /s\\000 rw - cgroup2 c rw\n", 0, NULL },
	{ "0::/a\n", "35 24 0:30 / /s\\777 rw - cgroup2 c rw\n", 0, NULL },
	{ "0::/a\n", "35 24 0:30 / /not - cgroup2 c rw\n", 0, NULL },
	{ "0::/a\n", "     - cgroup2 c rw\n", 0, NULL },
	{ "0::/" X4000 "\n", V2, 2, "/sys/fs/cgroup/" X4000 },
	{ "0::/" X4000 X100 "\n", V2, 0, NULL },
	{ "0::/" X4000 "\n", "35 24 0:30 / /" X100 " rw - cgroup2 c rw\n", 0, NULL },
	{ "0::/a\n", "35 24 0:30 / /" X4000 X100 " rw - cgroup2 c rw\n", 0, NULL },
	{ "0::/" X4000 X100 "/a\n", "35 24 0:30 /" X4000 X100 " /cg rw - cgroup2 c rw\n", 0, NULL },
};

static void test_places(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct cgroup_place p;
		int r = cgroup_place_parse(cases[i].groups, cases[i].mounts, "memory", &p);

		print_message("%zu %.60s\n", i, cases[i].groups);
		assert_int_equal(r, cases[i].version ? 0 : -ENOENT);
		if (r == 0) {
			assert_int_equal(p.version, cases[i].version);
			assert_string_equal(p.dir, cases[i].dir);
		}
	}
}

/* Cut at every byte, nothing is read behind the end (sanitizers see it), and what is found is a path. */
static void test_cut(void **state)
{
	static const char groups[] = "9:pids:/x\n0::" USER "pick.service\n", mounts[] = OTHERS V1 V2;

	(void)state;
	for (size_t i = 0; i < sizeof(groups); i++)
		for (size_t k = 0; k < sizeof(mounts); k++) {
			CLEANUP_FREE char *g = strndup(groups, i), *m = strndup(mounts, k);
			struct cgroup_place p;

			assert_true(g && m);
			if (cgroup_place_parse(g, m, "pids", &p) == 0)
				assert_true(*p.dir == '/');
		}
}

/* The real one of this process, whatever this machine has. */
static void test_own(void **state)
{
	struct cgroup_place p;
	int r = cgroup_place_find("memory", &p);

	(void)state;
	assert_true(r == 0 || r == -ENOENT);
	if (r == 0)
		assert_int_equal(access(p.dir, F_OK), 0);
}

static void test_delegated(void **state)
{
	static const struct {
		const char *mark;
		bool want;
	} marks[] = { { "1", true }, { "0", false }, { "", false }, { "11", false }, { "yes", false }, { NULL, false } };
	char dir[] = "/tmp/pluck-test-cgroup-XXXXXX";
	bool can = true;

	(void)state;
	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; can && i < sizeof(marks) / sizeof(*marks); i++) {
		(void)removexattr(dir, "user.delegate");
		can = !marks[i].mark || setxattr(dir, "user.delegate", marks[i].mark, strlen(marks[i].mark), 0) == 0;
		if (!can)
			continue;
		print_message("%s\n", marks[i].mark ? marks[i].mark : "no mark");
		assert_int_equal(cgroup_is_delegated(dir, true), marks[i].want);
		assert_true(cgroup_is_delegated(dir, false));
	}
	(void)rmdir(dir);
	assert_false(cgroup_is_delegated(dir, true));
	if (!can) {
		print_message("no extended attributes of users here\n");
		skip();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_own),
		cmocka_unit_test(test_delegated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
