/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/entry.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"

#define TARGET_MAX 4096
#define NSEC 1000000000

char entry_type(unsigned int mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return 'd';
	case S_IFREG:
		return 'f';
	case S_IFLNK:
		return 'l';
	case S_IFBLK:
		return 'b';
	case S_IFCHR:
		return 'c';
	case S_IFIFO:
		return 'p';
	case S_IFSOCK:
		return 's';
	default:
		return '?';
	}
}

void entry_error(struct jsonw *w, int error, const char *what)
{
	struct err e = ERR_INIT;

	err_set(&e, error, "%s", what);
	jsonw_key(w, "error");
	jsonw_object_begin(w);
	jsonw_key_string(w, "name", err_name(error));
	jsonw_key_string(w, "text", e.text);
	jsonw_object_end(w);
}

void entry_mtime(const struct statx *st, int64_t *ret_s, uint32_t *ret_ns)
{
	const int32_t ns = (int32_t)st->stx_mtime.tv_nsec;

	*ret_s = st->stx_mtime.tv_sec;
	*ret_ns = 0;
	if (ns >= 0 && ns < NSEC) {
		*ret_ns = (uint32_t)ns;
	} else if (ns < 0 && ns > -NSEC && *ret_s > INT64_MIN) {
		--*ret_s;
		*ret_ns = (uint32_t)(NSEC + ns);
	}
}

static void stat_fields(struct jsonw *w, const struct statx *st)
{
	const unsigned int kind = st->stx_mode & S_IFMT;
	int64_t seconds;
	uint32_t ns;

	jsonw_key_u64(w, "mode", st->stx_mode);
	jsonw_key_u64(w, "uid", st->stx_uid);
	jsonw_key_u64(w, "gid", st->stx_gid);
	jsonw_key_u64(w, "size", st->stx_size);
	entry_mtime(st, &seconds, &ns);
	jsonw_key_i64(w, "mtime", seconds);
	jsonw_key_u64(w, "mtime-nsec", ns);
	jsonw_key_u64(w, "links", st->stx_nlink);
	jsonw_key_u64(w, "inode", st->stx_ino);
	if (kind != S_IFBLK && kind != S_IFCHR)
		return;
	jsonw_key(w, "rdev");
	jsonw_array_begin(w);
	jsonw_u64(w, st->stx_rdev_major);
	jsonw_u64(w, st->stx_rdev_minor);
	jsonw_array_end(w);
}

bool entry_fields(struct native *native, struct jsonw *w, const char *path, size_t path_len, int dirfd,
		  const char *name, const struct statx *st, int error, const char *what)
{
	const char type[2] = { st ? entry_type(st->stx_mode) : '?', 0 };
	struct statx mended;

	jsonw_key_b64(w, "path", path, path_len);
	jsonw_key_string(w, "type", type);
	if (st) {
		mended = *st;
		native_stat(native, -1, dirfd, name, &mended);
		stat_fields(w, &mended);
	}
	if (type[0] == 'l') {
		char target[TARGET_MAX + 1];
		ssize_t n = native_readlink(native, dirfd, name, st->stx_ino, target, sizeof(target));

		if (n >= 0 && n <= TARGET_MAX) {
			jsonw_key_b64(w, "target", target, (size_t)n);
		} else if (!error) {
			error = n < 0 ? (int)n : -ENAMETOOLONG;
			what = "read the link";
		}
	}
	if (error)
		entry_error(w, error, what);
	return error;
}
