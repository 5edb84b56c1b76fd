/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_LIB_GOLDEN_H
#define TESTS_LIB_GOLDEN_H

/*
 * What the reference implementation wrote ($PLUCK_GOLDEN, else ../shared/golden: see its README), unpacked beneath a
 * directory of the test's own. To be included behind cmocka.h, by one file of a program.
 */

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/lib/shell.h"

static char golden[PATH_MAX];		/* where it is */
static char dir[] = "/tmp/pluck-golden-XXXXXX";	/* what is unpacked */
static bool golden_there;

/** golden_open() - find it, make the directory. Return: is it there? */
static inline bool golden_open(void)
{
	const char *from = getenv("PLUCK_GOLDEN");

	golden_there = realpath(from ? from : "../shared/golden", golden) && mkdtemp(dir);
	return golden_there;
}

/** run() - a command line that must succeed */
#define run(...) assert_int_equal(shell(__VA_ARGS__), 0)

/** golden_unpack() - the tar @path, relative to the golden data and without .tar.zst */
static inline void golden_unpack(const char *path)
{
	run("cd %s && zstd -dcq --long=27 %s/%s.tar.zst | tar xf - --no-same-owner", dir, golden, path);
}

/** golden_unpack_old() - the stores of earlier releases */
static inline void golden_unpack_old(void)
{
	golden_unpack("old/stores/server-0.8.9");
	golden_unpack("old/stores/server-1.1.14");
	golden_unpack("old/stores/server-4.2.3");
}

/** golden_close() - a cmocka teardown */
static inline int golden_close(void **state)
{
	(void)state;
	return golden_there ? shell("chmod -R u+w %s 2>&-; rm -rf %s", dir, dir) : 0;
}

/** have_golden() - is it there? Says so if not. */
static inline bool have_golden(void)
{
	if (!golden_there)
		print_message("skipped: no golden data ($PLUCK_GOLDEN, ../shared/golden)\n");
	return golden_there;
}

#endif
