/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/native.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/disk.h"
#include "agent/resolve.h"

#define NTFS3_MAGIC 0x7366746e
#define HFSPLUS_MAGIC 0x482b
#define TAG_DEDUP 0x80000013

/* The kernel name of the device that a file system is on. */
static int device_of(int root_fd, char ret[static AGENT_DEV_MAX])
{
	char path[64], target[512], *name;
	struct statx st;
	ssize_t n;
	int r = resolve_stat(root_fd, ".", &st);

	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", st.stx_dev_major, st.stx_dev_minor);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = 0;
	name = strrchr(target, '/');
	if (!name || strlen(name + 1) >= AGENT_DEV_MAX)
		return -ENOENT;
	strcpy(ret, name + 1);
	return 0;
}

void native_begin(struct native *n, int root_fd)
{
	struct statfs fs;

	*n = (struct native){ .kind = NATIVE_NONE };
	if (fstatfs(root_fd, &fs) < 0)
		return;
	if (fs.f_type == NTFS3_MAGIC)
		n->kind = NATIVE_NTFS;
	else if (fs.f_type == HFSPLUS_MAGIC)
		n->kind = NATIVE_HFSPLUS;
	if (n->kind)
		n->error = device_of(root_fd, n->dev);
}

void native_end(struct native *n)
{
	ntfs_close(n->ntfs);
	*n = (struct native){ .kind = NATIVE_NONE };
}

int native_ntfs(struct native *n, struct ntfs **ret)
{
	if (!n->ntfs && !n->error)
		n->error = ntfs_open(n->dev, &n->ntfs);
	*ret = n->ntfs;
	return n->error;
}

ssize_t native_readlink(struct native *n, int dirfd, const char *name, uint64_t ino, char *ret, size_t room)
{
	uint8_t data[NTFS_REPARSE_MAX];
	ssize_t len = readlinkat(dirfd, name, ret, room);
	struct ntfs *ntfs;
	uint32_t tag;
	size_t size;

	if (len >= 0)
		return len;
	if (errno != EINVAL || n->kind != NATIVE_NTFS || native_ntfs(n, &ntfs) < 0 ||
	    ntfs_read_reparse(ntfs, ino, &tag, data, &size) < 0)
		return errno ? -errno : -EINVAL;
	return ntfs_link_target(tag, data, size, ret, room);
}

/* Windows' attributes of a file. */
#define ATTR_REPARSE_POINT 0x400
#define ATTR_ELSEWHERE (0x1000 | 0x40000 | 0x400000)	/* offline, recall on open, recall on data access */

int native_check_data(struct native *n, int fd, const struct statx *st, const char **ret_what)
{
	uint8_t data[NTFS_REPARSE_MAX];
	uint32_t attr = 0, tag;
	struct ntfs *ntfs;
	size_t size;
	int r;

	if (n->kind != NATIVE_NTFS || !st->stx_size)
		return 0;
	if (fgetxattr(fd, "system.ntfs_attrib", &attr, sizeof(attr)) != sizeof(attr) || !(attr & ATTR_REPARSE_POINT))
		return 0;
	*ret_what = "the contents are not in this volume (offline or in a cloud)";
	if (attr & ATTR_ELSEWHERE)
		return -EREMOTE;
	*ret_what = "read the reparse point";
	r = native_ntfs(n, &ntfs);
	if (r == 0)
		r = ntfs_read_reparse(ntfs, st->stx_ino, &tag, data, &size);
	if (r < 0)
		return r == -ENODATA ? 0 : r;
	*ret_what = "the contents are deduplicated by Windows and cannot be put together";
	return tag == TAG_DEDUP ? -EREMOTE : 0;
}

/* The head of com.apple.decmpfs. Return: 0; negative errno. */
static int compressed_head(int fd, int dirfd, const char *name, struct decmpfs_head *ret)
{
	uint8_t attr[DECMPFS_XATTR_MAX];
	char path[32 + 4096];
	ssize_t n;

	if (fd < 0 && snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dirfd, name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	n = fd >= 0 ? fgetxattr(fd, DECMPFS_XATTR, attr, sizeof(attr)) : lgetxattr(path, DECMPFS_XATTR, attr, sizeof(attr));
	return n < 0 ? -errno : decmpfs_parse(attr, (size_t)n, ret);
}

static bool may_be_compressed(const struct native *n, const struct statx *st)
{
	return n->kind == NATIVE_HFSPLUS && S_ISREG(st->stx_mode) && !st->stx_size;
}

void native_stat(const struct native *n, int fd, int dirfd, const char *name, struct statx *st)
{
	struct decmpfs_head head;

	if (may_be_compressed(n, st) && compressed_head(fd, dirfd, name, &head) == 0)
		st->stx_size = head.size;
}

int native_decoder(const struct native *n, int fd, const struct statx *st, struct decmpfs **ret, const char **ret_what)
{
	struct statx own;
	int dev, r = 0;

	*ret = NULL;
	if (n->kind != NATIVE_HFSPLUS || !S_ISREG(st->stx_mode))
		return 0;
	/* its own size, not the mended one */
	if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &own) < 0)
		return -errno;
	if (own.stx_size || fgetxattr(fd, DECMPFS_XATTR, NULL, 0) < 0)
		return 0;
	dev = n->error ? n->error : disk_open(n->dev);
	if (dev >= 0)
		r = decmpfs_open(fd, dev, (uint32_t)own.stx_ino, ret);
	if (dev < 0)
		r = dev;
	*ret_what = r == -EOPNOTSUPP ? "compressed by macOS in a way that is not decoded, such as LZBITMAP" :
		    r < 0	     ? "decompress what macOS compressed (decmpfs)" : *ret_what;
	return r;
}

const char *native_open_failed(int error)
{
	return error == -ENOKEY ? "the file is encrypted and there is no key" : "open the file";
}
