/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Listings of a store: namespaces, groups and snapshots, and what else may lie in these directories. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "host/source/store/store.h"

#define NOBODY 65534

static char dir[] = "/tmp/pluck-list-XXXXXX";
static struct store *store;

static char *path_of(const char *name)
{
	static char path[1024];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

/* With all directories above it. */
static void make_dir(const char *name)
{
	char path[1024];

	(void)snprintf(path, sizeof(path), "%s", path_of(name));
	for (char *p = path + sizeof(dir); (p = strchr(p, '/')); *p++ = '/') {
		*p = 0;
		assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
	}
	assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
}

static void make_file(const char *name, const void *data, size_t len)
{
	CLEANUP_CLOSE int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(io_write_full(fd, data, len), 0);
}

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(dir) || chmod(dir, 0755) < 0)
		return -1;
	make_dir(".chunks");
	return store_open(dir, &store, NULL);
}

static int teardown(void **state)
{
	char cmd[64];

	(void)state;
	store_close(store);
	(void)snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

/* Root may read everything: be nobody for a while. */
static bool dropped;

static void drop(void)
{
	dropped = geteuid() == 0;
	if (dropped)
		assert_int_equal(seteuid(NOBODY), 0);
}

static void regain(void)
{
	if (dropped)
		assert_int_equal(seteuid(0), 0);
}

struct seen {
	char text[2000];
	int stop_with;
};

static int on_ns(void *arg, const char *ns)
{
	struct seen *s = arg;

	(void)strcat(strcat(s->text, *ns ? ns : "."), " ");
	return s->stop_with;
}

/* TYPE/ID@TIME, and a letter for each: unfinished, protected, size known. */
static int on_snapshot(void *arg, const struct store_snapshot_info *i)
{
	struct seen *s = arg;
	const size_t n = strlen(s->text);

	(void)snprintf(s->text + n, sizeof(s->text) - n, "%s/%s@%lld%s%s%s,%zu ", i->type, i->id, (long long)i->time,
		       i->finished ? "" : "u", i->protected_ ? "p" : "", i->has_size ? "s" : "", i->nr_files);
	return s->stop_with;
}

static void test_namespaces(void **state)
{
	static const struct {
		const char *from;
		unsigned int depth;
		int want;
		const char *text;
	} cases[] = {
		{ "", 0, 0, ". " },
		{ "", 1, 0, ". a b " },
		{ "", 2, 0, ". a a/b b b/c " },
		{ "", 7, 0, ". a a/b a/b/c a/b/c/d a/b/c/d/e a/b/c/d/e/f a/b/c/d/e/f/g b b/c " },
		{ "a/b/c/d/e/f", 7, 0, "a/b/c/d/e/f a/b/c/d/e/f/g " },
		{ "a/b/c/d/e/f/g", 7, 0, "a/b/c/d/e/f/g " },
		{ "a/b/c/d/e/f/g/h", 7, -EINVAL, "" },
		{ "none", 7, -ENOENT, "" }, { "a/none", 7, -ENOENT, "" }, { "plain", 7, -ENOTDIR, "" },
		{ "..", 7, -EINVAL, "" }, { "a/../b", 7, -EINVAL, "" }, { "/a", 7, -EINVAL, "" }, { "a/", 7, -EINVAL, "" },
		{ "a//b", 7, -EINVAL, "" }, { ".hidden", 7, -EINVAL, "" }, { "with space", 7, -EINVAL, "" },
	};
	struct seen stopped = { .stop_with = -ECANCELED };

	(void)state;
	make_dir("ns/a/ns/b/ns/c/ns/d/ns/e/ns/f/ns/g/ns/h");
	make_dir("ns/b/ns/c");
	make_dir("ns/.hidden");
	make_dir("ns/with space");
	make_dir("ns/a\033[1m");
	make_file("ns/plain", "x", 1);
	assert_int_equal(symlink("a", path_of("ns/link")), 0);
	make_file("ns/b/ns/c/ns", "no directory", 12);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err err = ERR_INIT;
		struct seen s = { 0 };
		int r = store_list_ns(store, cases[i].from, cases[i].depth, on_ns, &s, &err);

		if (r != cases[i].want || strcmp(s.text, cases[i].text) != 0)
			print_message("'%s', depth %u: %d '%s'\n", cases[i].from, cases[i].depth, r, s.text);
		assert_int_equal(r, cases[i].want);
		assert_string_equal(s.text, cases[i].text);
		assert_true(r == 0 || err.text[0]);
	}
	assert_int_equal(store_list_ns(store, "", 7, on_ns, &stopped, NULL), -ECANCELED);
	assert_string_equal(stopped.text, ". ");
}

/* What may not be looked into is an error, not left away. */
static void test_unreadable(void **state)
{
	struct seen s = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	make_dir("ns/b/ns/locked/ns/in");
	make_dir("ns/b/vm/1/2024-01-01T00:00:00Z");
	assert_int_equal(chmod(path_of("ns/b/ns/locked"), 0), 0);
	drop();
	assert_int_equal(store_list_ns(store, "b", 7, on_ns, &s, &err), -EACCES);
	assert_true(err.text[0]);
	s = (struct seen){ 0 };
	assert_int_equal(store_list(store, "b", on_snapshot, &s, &err), 0);
	assert_string_equal(s.text, "vm/1@1704067200u,0 ");
	regain();
	for (size_t i = 0; i < 3; i++) {
		static const char *const locked[] = { "ns/b/vm", "ns/b/vm/1", "ns/b/vm/1/2024-01-01T00:00:00Z" };

		assert_int_equal(chmod(path_of(locked[i]), 0), 0);
		drop();
		s = (struct seen){ 0 };
		err = ERR_INIT;
		assert_int_equal(store_list(store, "b", on_snapshot, &s, &err), -EACCES);
		assert_true(err.text[0] && !s.text[0]);
		regain();
		assert_int_equal(chmod(path_of(locked[i]), 0755), 0);
	}
	assert_int_equal(chmod(path_of("ns/b/ns/locked"), 0755), 0);
}

static void test_snapshots(void **state)
{
	static const char *const groups[] = { "vm/10", "vm/9", "ct/7", "host/b.c", "host/a" };
	static const char *const odd[] = {
		"vm/9/2024-01-01T00:00:00", "vm/9/2024-13-01T00:00:00Z", "vm/9/2024-02-30T00:00:00Z", "vm/9/2024-01-01t00:00:00z",
		"vm/9/.tmp", "vm/.hidden", "vm/a b", "zz/1/2024-01-01T00:00:00Z", "vm/10/2024-01-01T00:00:00Z.new",
	};
	struct err err = ERR_INIT;
	struct seen s = { 0 };
	char name[200];

	(void)state;
	for (size_t i = 0; i < sizeof(groups) / sizeof(*groups); i++) {
		(void)snprintf(name, sizeof(name), "ns/snaps/%s/2024-01-01T00:00:00Z", groups[i]);
		make_dir(name);
	}
	for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
		(void)snprintf(name, sizeof(name), "ns/snaps/%s", odd[i]);
		make_dir(name);
	}
	make_file("ns/snaps/vm/9/2024-01-03T00:00:00Z", "no directory", 12);
	make_file("ns/snaps/vm/77", "no group", 8);
	assert_int_equal(symlink("9", path_of("ns/snaps/vm/8")), 0);
	assert_int_equal(symlink("2024-01-01T00:00:00Z", path_of("ns/snaps/vm/9/2024-01-04T00:00:00Z")), 0);
	make_dir("ns/snaps/ct/7/2023-01-01T00:00:00Z");
	make_file("ns/snaps/ct/7/2023-01-01T00:00:00Z/index.json.blob", "no manifest", 11);
	make_file("ns/snaps/ct/7/2023-01-01T00:00:00Z/.protected", "", 0);
	make_file("ns/snaps/ct/7/2024-01-01T00:00:00Z/disk.img.fidx", "", 0);
	make_file("ns/snaps/ct/7/2024-01-01T00:00:00Z/disk.img.tmp_fidx", "", 0);
	assert_int_equal(store_list(store, "snaps", on_snapshot, &s, &err), 0);
	assert_string_equal(s.text, "ct/7@1672531200p,1 ct/7@1704067200u,1 host/a@1704067200u,0 host/b.c@1704067200u,0 "
				    "vm/9@1704067200u,0 vm/10@1704067200u,0 ");
	s = (struct seen){ .stop_with = -ECANCELED };
	assert_int_equal(store_list(store, "snaps", on_snapshot, &s, &err), -ECANCELED);
	/* It is the caller's word, not that of a group that is gone. */
	s = (struct seen){ .stop_with = -ENOENT };
	assert_int_equal(store_list(store, "snaps", on_snapshot, &s, &err), -ENOENT);
	assert_string_equal(s.text, "ct/7@1672531200p,1 ");
}

static void test_group(void **state)
{
	static const struct {
		const char *type, *id;
		int want;
		const char *text;
	} cases[] = {
		{ "vm", "9", 0, "vm/9@1704067200u,0 " },
		{ "vm", "11", -ENOENT, "" }, { "ct", "9", -ENOENT, "" }, { "host", "none", -ENOENT, "" },
		{ "vm", "77", -ENOENT, "" },	/* a file */
		{ "vm", "8", -ENOENT, "" },	/* a symbolic link */
		{ "zz", "1", -EINVAL, "" }, { "vm", "", -EINVAL, "" }, { "vm", "..", -EINVAL, "" }, { "vm", "9/x", -EINVAL, "" },
		{ "", "9", -EINVAL, "" }, { "vm", "a b", -EINVAL, "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err err = ERR_INIT;
		struct seen s = { 0 };
		int r = store_list_group(store, "snaps", cases[i].type, cases[i].id, on_snapshot, &s, &err);

		if (r != cases[i].want)
			print_message("%s/%s: %d\n", cases[i].type, cases[i].id, r);
		assert_int_equal(r, cases[i].want);
		assert_string_equal(s.text, cases[i].text);
		assert_true(r == 0 || err.text[0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_namespaces), cmocka_unit_test(test_unreadable), cmocka_unit_test(test_snapshots),
		cmocka_unit_test(test_group),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
