/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/vm/vm.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"

static const char *const needed[] = { "vmlinux", "initramfs.cpio" };

/* Name of the first file that is not there; NULL if all are. */
static const char *missing_in(const char *dir)
{
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(needed) / sizeof(*needed); i++) {
		int n = snprintf(path, sizeof(path), "%s/%s", dir, needed[i]);

		if (n < 0 || (size_t)n >= sizeof(path) || access(path, R_OK) < 0)
			return needed[i];
	}
	return NULL;
}

static int take(const char *dir, char **ret, struct err *err)
{
	*ret = realpath(dir, NULL);
	return *ret ? 0 : err_set(err, -errno, "'%s'", dir);
}

int vm_find_libdir(char **ret, struct err *err)
{
	const char *env = getenv("PLUCK_LIBDIR");
	char exe[PATH_MAX], dir[PATH_MAX + 32];
	ssize_t n;

	if (env && *env) {
		const char *what = missing_in(env);

		if (what)
			return err_text(err, -ENOENT, "PLUCK_LIBDIR: '%s' has no readable %s", env, what);
		return take(env, ret, err);
	}
	n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	if (n > 0) {
		char *slash;

		exe[n] = 0;
		slash = strrchr(exe, '/');
		*(slash ? slash : exe) = 0;
		if (!missing_in(exe))
			return take(exe, ret, err);
		(void)snprintf(dir, sizeof(dir), "%s/../lib/pluck", exe);
		if (!missing_in(dir))
			return take(dir, ret, err);
	}
	if (!missing_in(PLUCK_PREFIX "/lib/pluck"))
		return take(PLUCK_PREFIX "/lib/pluck", ret, err);
	return err_text(err, -ENOENT,
		"the files of the micro-VM (vmlinux, initramfs.cpio, tools.img) are neither beside the program nor "
		"in " PLUCK_PREFIX "/lib/pluck; PLUCK_LIBDIR names another directory");
}
