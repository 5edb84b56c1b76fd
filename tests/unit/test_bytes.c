/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A run of bytes to a file, a device or a pipe: what is there before, while and after it is written. */
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

#include "common/cleanup.h"
#include "common/io.h"
#include "host/restore/bytes.h"
#include "tests/lib/shell.h"

#define MIB ((uint64_t)1 << 20)

static char dir[] = "/tmp/pluck-bytes-XXXXXX";

static const char *in_dir(const char *name)
{
	static char path[4][128];
	static unsigned int at;

	at = (at + 1) % 4;
	(void)snprintf(path[at], sizeof(path[at]), "%s/%s", dir, name);
	return path[at];
}

static void put(const char *name, const char *text)
{
	FILE *f = fopen(in_dir(name), "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void assert_text(const char *name, const char *want)
{
	CLEANUP_FREE char *text = NULL;
	size_t len;

	assert_int_equal(io_read_file(AT_FDCWD, in_dir(name), 4096, &text, &len), 0);
	assert_string_equal(text, want);
}

static unsigned int nr_names(void)
{
	return (unsigned int)WEXITSTATUS(shell("exit $(ls -A %s | wc -l)", dir));
}

static int write_text(const char *path, bool overwrite, const char *text, struct err *err)
{
	struct bytes_out *o;
	int r = bytes_open(path, strlen(text), overwrite, &o, err);

	if (r < 0)
		return r;
	r = bytes_data(o, text, strlen(text), err);
	if (r == 0)
		r = bytes_finish(o, err);
	bytes_free(o);
	return r;
}

/* Zeros are holes, and the name comes last. */
static void test_file(void **state)
{
	const mode_t mask = umask(027);
	struct bytes_out *o;
	struct stat st;
	char tail[5];
	int fd;

	(void)state;
	assert_int_equal(bytes_open(in_dir("disk"), 64 * MIB + 4, false, &o, NULL), 0);
	assert_true(bytes_dir(o) >= 0);
	assert_int_equal(bytes_data(o, "head", 4, NULL), 0);
	assert_int_equal(bytes_zeros(o, 64 * MIB - 4, NULL), 0);
	assert_int_equal(bytes_data(o, "tail", 4, NULL), 0);
	assert_int_equal(access(in_dir("disk"), F_OK), -1);
	assert_int_equal(bytes_finish(o, NULL), 0);
	bytes_free(o);
	(void)umask(mask);
	assert_int_equal(stat(in_dir("disk"), &st), 0);
	assert_int_equal(st.st_size, 64 * MIB + 4);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_true(st.st_blocks * 512 < 1 << 20);
	fd = open(in_dir("disk"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(io_pread_full(fd, tail, 4, 64 * MIB), 0);
	(void)close(fd);
	assert_memory_equal(tail, "tail", 4);
	assert_int_equal(unlink(in_dir("disk")), 0);
	assert_int_equal(nr_names(), 0);
}

/* All zeros, and what ends with them, has its size; nothing at all is an empty file. */
static void test_sizes(void **state)
{
	static const struct { uint64_t data, zeros; } rows[] = { { 0, 0 }, { 0, 1 }, { 1, 0 }, { 1, 3 * MIB }, { 0, 5 * MIB + 1 } };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct bytes_out *o;
		struct stat st;

		assert_int_equal(bytes_open(in_dir("f"), rows[i].data + rows[i].zeros, true, &o, NULL), 0);
		if (rows[i].data)
			assert_int_equal(bytes_data(o, "x", rows[i].data, NULL), 0);
		assert_int_equal(bytes_zeros(o, rows[i].zeros, NULL), 0);
		assert_int_equal(bytes_finish(o, NULL), 0);
		bytes_free(o);
		assert_int_equal(stat(in_dir("f"), &st), 0);
		assert_int_equal(st.st_size, rows[i].data + rows[i].zeros);
	}
	assert_int_equal(unlink(in_dir("f")), 0);
}

/* Unfinished: there is nothing, and what was there stays. */
static void test_unfinished(void **state)
{
	struct bytes_out *o;

	(void)state;
	put("old", "old");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(bytes_open(in_dir(i ? "old" : "new"), 100, true, &o, NULL), 0);
		assert_int_equal(bytes_data(o, "half", 4, NULL), 0);
		bytes_free(o);
	}
	assert_text("old", "old");
	assert_int_equal(nr_names(), 1);
	assert_int_equal(unlink(in_dir("old")), 0);
}

/* What exists is replaced only if that is wanted, and then as a name: neither another name of it nor the target of a link is touched. */
static void test_existing(void **state)
{
	struct err err = ERR_INIT;
	struct stat st;

	(void)state;
	put("a", "old");
	assert_int_equal(link(in_dir("a"), in_dir("b")), 0);
	assert_int_equal(symlink("a", in_dir("link")), 0);
	assert_int_equal(symlink("nowhere", in_dir("broken")), 0);
	assert_int_equal(write_text(in_dir("a"), false, "new", &err), -EEXIST);
	assert_non_null(strstr(err.text, "--overwrite"));
	assert_int_equal(write_text(in_dir("link"), false, "new", NULL), -EEXIST);
	assert_int_equal(write_text(in_dir("broken"), false, "new", NULL), -EEXIST);
	assert_text("a", "old");
	assert_int_equal(write_text(in_dir("a"), true, "new", NULL), 0);
	assert_text("a", "new");
	assert_text("b", "old");
	assert_int_equal(write_text(in_dir("link"), true, "newer", NULL), 0);
	assert_int_equal(lstat(in_dir("link"), &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_text("a", "new");
	assert_int_equal(write_text(in_dir("broken"), true, "whole", NULL), 0);
	assert_text("broken", "whole");
	assert_int_equal(access(in_dir("nowhere"), F_OK), -1);
	assert_int_equal(nr_names(), 4);
	(void)shell("rm %s/*", dir);
}

static void test_bad(void **state)
{
	static const struct { const char *path; int want; const char *text; } rows[] = {
		{ "", -EISDIR, "is a directory" },
		{ "none/f", -ENOENT, "none/f" },
		{ "file/f", -ENOTDIR, "file/f" },
		{ "x/", -EISDIR, "x/" },
	};

	(void)state;
	put("file", "");
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct err err = ERR_INIT;

		assert_int_equal(write_text(in_dir(rows[i].path), true, "x", &err), rows[i].want);
		assert_non_null(strstr(err.text, rows[i].text));
	}
	assert_int_equal(nr_names(), 1);
	(void)shell("rm %s/*", dir);
}

/* Written as it comes, and without a name to wait for. */
static void test_streams(void **state)
{
	struct err err = ERR_INIT;
	struct bytes_out *o;
	char got[8] = "";
	int fd;

	(void)state;
	assert_int_equal(write_text("/dev/null", false, "x", NULL), 0);
	assert_int_equal(write_text("/dev/full", false, "x", &err), -ENOSPC);
	assert_non_null(strstr(err.text, "/dev/full"));
	assert_int_equal(mkfifo(in_dir("pipe"), 0600), 0);
	fd = open(in_dir("pipe"), O_RDWR | O_CLOEXEC);
	assert_int_equal(bytes_open(in_dir("pipe"), 6, false, &o, NULL), 0);
	assert_int_equal(bytes_dir(o), -1);
	assert_int_equal(bytes_data(o, "ab", 2, NULL), 0);
	assert_int_equal(bytes_zeros(o, 2, NULL), 0);
	assert_int_equal(bytes_data(o, "cd", 2, NULL), 0);
	assert_int_equal(bytes_finish(o, NULL), 0);
	bytes_free(o);
	assert_int_equal(io_read_full(fd, got, 6), 0);
	assert_memory_equal(got, "ab\0\0cd", 6);
	(void)close(fd);
	assert_int_equal(unlink(in_dir("pipe")), 0);
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
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file), cmocka_unit_test(test_sizes), cmocka_unit_test(test_unfinished),
		cmocka_unit_test(test_existing), cmocka_unit_test(test_bad), cmocka_unit_test(test_streams),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
