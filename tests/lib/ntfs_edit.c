/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writes into an NTFS image what ntfsprogs have no program for. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <ntfs-3g/attrib.h>
#include <ntfs-3g/dir.h>
#include <ntfs-3g/inode.h>
#include <ntfs-3g/logging.h>
#include <ntfs-3g/reparse.h>
#include <ntfs-3g/unistr.h>
#include <ntfs-3g/volume.h>

static const char usage[] =
	"usage: ntfs_edit IMAGE PATH stream NAME SIZE [OFFSET TEXT]...  a sparse stream\n"
	"       ntfs_edit IMAGE PATH claim NAME SIZE                    lets a stream that is there say that it has this size\n"
	"       ntfs_edit IMAGE PATH reparse TAG TEXT                   a reparse point\n"
	"       ntfs_edit IMAGE PATH attributes BITS                    Windows' attributes, added\n";

static s64 number(const char *s)
{
	return (s64)strtoull(s, NULL, 0);
}

static int fail(const char *what)
{
	(void)fprintf(stderr, "ntfs_edit: %s: %s\n", what, strerror(errno));
	return 1;
}

static int put_stream(ntfs_inode *ni, ntfschar *name, u32 len, char **arg)
{
	ntfs_attr *na;

	if (ntfs_attr_add(ni, AT_DATA, name, (u8)len, NULL, 0) < 0)
		return fail("add the stream");
	na = ntfs_attr_open(ni, AT_DATA, name, len);
	if (!na || ntfs_attr_truncate(na, number(arg[0])) < 0)
		return fail("its size");
	for (arg++; arg[0] && arg[1]; arg += 2) {
		if (ntfs_attr_pwrite(na, number(arg[0]), (s64)strlen(arg[1]), arg[1]) < 0)
			return fail("write");
	}
	ntfs_attr_close(na);
	return 0;
}

static int claim(ntfs_inode *ni, ntfschar *name, u32 len, s64 size)
{
	ntfs_attr_search_ctx *ctx = ntfs_attr_get_search_ctx(ni, NULL);

	if (!ctx || ntfs_attr_lookup(AT_DATA, name, len, CASE_SENSITIVE, 0, NULL, 0, ctx) < 0 || !ctx->attr->non_resident)
		return fail("the stream");
	ctx->attr->data_size = ctx->attr->initialized_size = cpu_to_sle64(size);
	ctx->attr->allocated_size = cpu_to_sle64((size + 65535) & ~(s64)65535);
	ntfs_inode_mark_dirty(ctx->ntfs_ino);
	ntfs_attr_put_search_ctx(ctx);
	return 0;
}

static int put_reparse(ntfs_inode *ni, u32 tag, const char *text)
{
	char data[8 + 1024] = { 0 };
	const u16 len = (u16)strlen(text);

	tag = cpu_to_le32(tag);
	memcpy(data, &tag, 4);
	memcpy(data + 4, &(u16){ cpu_to_le16(len) }, 2);
	memcpy(data + 8, text, len);
	return ntfs_set_ntfs_reparse_data(ni, data, 8u + len, 0) < 0 ? fail("reparse point") : 0;
}

static int edit(ntfs_inode *ni, char **arg, int nr)
{
	ntfschar *name = NULL;
	int len = nr > 2 ? ntfs_mbstoucs(arg[1], &name) : 0;

	if (nr >= 3 && !strcmp(arg[0], "stream") && len > 0)
		return put_stream(ni, name, (u32)len, arg + 2);
	if (nr == 3 && !strcmp(arg[0], "claim") && len > 0)
		return claim(ni, name, (u32)len, number(arg[2]));
	if (nr == 3 && !strcmp(arg[0], "reparse") && strlen(arg[2]) <= 1024)
		return put_reparse(ni, (u32)number(arg[1]), arg[2]);
	if (nr != 2 || strcmp(arg[0], "attributes") != 0)
		return fail(usage);
	ni->flags |= cpu_to_le32((u32)number(arg[1]));
	ntfs_inode_mark_dirty(ni);
	NInoFileNameSetDirty(ni);
	return 0;
}

int main(int argc, char **argv)
{
	ntfs_volume *vol;
	ntfs_inode *ni;
	int r;

	if (argc < 4) {
		(void)fputs(usage, stderr);
		return 2;
	}
	ntfs_log_set_handler(ntfs_log_handler_null);
	vol = ntfs_mount(argv[1], 0);
	ni = vol ? ntfs_pathname_to_inode(vol, NULL, argv[2]) : NULL;
	if (!ni)
		return fail(argv[2]);
	r = edit(ni, argv + 3, argc - 3);
	if (ntfs_inode_close(ni) < 0 || ntfs_umount(vol, FALSE) < 0)
		return fail("write the image");
	return r;
}
