/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A zip past the limits of the old format (sizes past 4 GiB: tests/functional/long), read back with Python and, where they are installed, unzip and 7-Zip. */
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
#include <unistd.h>
#include <cmocka.h>

#include "host/restore/zip_writer.h"
#include "tests/lib/shell.h"

#define MANY 70000u

static char dir[] = "/tmp/pluck-zip-XXXXXX";

static struct zip_writer *begin(const char *name, int *ret_fd)
{
	struct zip_writer *z;
	char path[64];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	*ret_fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(*ret_fd >= 0);
	assert_int_equal(zip_writer_new(*ret_fd, &z, NULL), 0);
	return z;
}

static void add(struct zip_writer *z, const char *name, const char *data)
{
	const struct zip_member m = { name, strlen(name), S_IFREG | 0640, 1000, 3000000000u, 1700000001 };

	assert_int_equal(zip_writer_begin(z, &m, NULL), 0);
	assert_int_equal(zip_writer_data(z, data, strlen(data), NULL), 0);
	assert_int_equal(zip_writer_end(z, NULL), 0);
}

static void finish(struct zip_writer *z, int fd)
{
	assert_int_equal(zip_writer_finish(z, NULL), 0);
	zip_writer_free(z);
	close(fd);
}

/* More members than 16 bits count: the ZIP64 end records. */
static void test_many(void **state)
{
	char name[32];
	int fd;
	struct zip_writer *z = begin("many.zip", &fd);

	(void)state;
	for (unsigned int i = 0; i < MANY; i++) {
		(void)snprintf(name, sizeof(name), "d/%u", i);
		add(z, name, i % 1000 ? "" : name);
	}
	finish(z, fd);
	assert_int_equal(shell("cd %s && python3 -c 'import zipfile; z=zipfile.ZipFile(\"many.zip\"); n=z.namelist(); assert len(n)==%u; "
			     "assert z.read(\"d/69000\")==b\"d/69000\"; i=z.getinfo(\"d/69999\"); assert i.external_attr>>16==0o100640'",
			     dir, MANY), 0);
	if (shell("command -v unzip >/dev/null") == 0)
		assert_int_equal(shell("cd %s && [ \"$(unzip -Z1 many.zip | wc -l)\" = %u ] && [ \"$(unzip -p many.zip d/69000)\" = d/69000 ]",
				     dir, MANY), 0);
	if (shell("command -v 7zz >/dev/null") == 0)
		assert_int_equal(shell("cd %s && 7zz t many.zip >/dev/null", dir), 0);
	/* Without its last byte it is no zip. */
	assert_int_equal(shell("cd %s && truncate -s -1 many.zip && ! python3 -m zipfile -l many.zip >/dev/null 2>&1", dir), 0);
}

static void test_bad(void **state)
{
	static char longest[70000];
	struct zip_member m = { longest, sizeof(longest), S_IFREG, 0, 0, 0 };
	int fd;
	struct zip_writer *z = begin("bad.zip", &fd);

	(void)state;
	memset(longest, 'n', sizeof(longest));
	assert_int_equal(zip_writer_begin(z, &m, NULL), -ENAMETOOLONG);
	assert_false(zip_writer_is_broken(z));
	add(z, "good", "g");
	zip_writer_break(z);
	assert_int_equal(zip_writer_finish(z, NULL), -EIO);
	zip_writer_free(z);
	close(fd);
	assert_true(zip_holds_time(INT32_MIN) && zip_holds_time(INT32_MAX));
	assert_false(zip_holds_time(INT64_C(1) << 31) || zip_holds_time(INT64_C(-1) - (INT64_C(1) << 31)));
}

/* A full disk is told, and what is there gets no end. */
static void test_full(void **state)
{
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	const struct zip_member m = { "f", 1, S_IFREG, 0, 0, 0 };
	struct zip_writer *z;

	(void)state;
	assert_int_equal(zip_writer_new(fd, &z, NULL), 0);
	assert_int_equal(zip_writer_begin(z, &m, NULL), -ENOSPC);
	assert_true(zip_writer_is_broken(z));
	assert_int_equal(zip_writer_finish(z, NULL), -EIO);
	zip_writer_free(z);
	close(fd);
}

static int setup(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	return shell("rm -rf %s", dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_many), cmocka_unit_test(test_bad), cmocka_unit_test(test_full) };

	return cmocka_run_group_tests(tests, setup, teardown);
}
