/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/ntfs.h"

#include <endian.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>	/* the library's headers take its macros for a sign of struct timespec */

#include <ntfs-3g/attrib.h>
#include <ntfs-3g/dir.h>
#include <ntfs-3g/inode.h>
#include <ntfs-3g/logging.h>
#include <ntfs-3g/unistr.h>
#include <ntfs-3g/volume.h>

#include "agent/agent.h"
#include "agent/holes.h"
#include "common/cleanup.h"
#include "common/cur.h"

#define TAG_MOUNT_POINT 0xa0000003
#define TAG_LX_SYMLINK 0xa000001d

#define STREAMS_MAX 1024	/* of a file */
#define NTFS_NAME_MAX 255	/* UTF-16 units */

#define WINDOW 32		/* MFT records read at once: files of a directory often lie side by side */

struct ntfs {
	ntfs_volume *vol;
	uint8_t *window;		/* WINDOW records from number @first on, of which @nr were read; NULL: not yet */
	uint64_t first;
	size_t nr;
};

struct ntfs_stream {
	ntfs_inode *ni;
	ntfs_attr *na;
};

/* The library can map owners by name; the VM has no names, and the C library's look-up is not for static programs. */
struct passwd *getpwnam(const char *name)
{
	(void)name;
	return NULL;
}

struct passwd *getpwuid(uid_t uid)
{
	(void)uid;
	return NULL;
}

struct group *getgrnam(const char *name)
{
	(void)name;
	return NULL;
}

struct group *getgrgid(gid_t gid)
{
	(void)gid;
	return NULL;
}

/* The library's close functions return a status: nothing was changed, so it does not matter. */
static void close_inode(ntfs_inode **ni)
{
	if (*ni)
		(void)ntfs_inode_close(*ni);
}

static void put_search(ntfs_attr_search_ctx **ctx)
{
	if (*ctx)
		ntfs_attr_put_search_ctx(*ctx);
}

static void close_attr(ntfs_attr **na)
{
	if (*na)
		ntfs_attr_close(*na);
}

static int last_error(void)
{
	return errno ? -errno : -EIO;
}

int ntfs_open(const char *dev, struct ntfs **ret)
{
	CLEANUP(ntfs_closep) struct ntfs *n = calloc(1, sizeof(*n));
	char path[AGENT_DEV_MAX + 8];

	if (!n)
		return -ENOMEM;
	(void)snprintf(path, sizeof(path), "/dev/%s", dev);
	ntfs_log_set_handler(ntfs_log_handler_null);
	errno = 0;
	n->vol = ntfs_mount(path, NTFS_MNT_RDONLY | NTFS_MNT_FORENSIC);
	if (!n->vol)
		return last_error();
	*ret = TAKE_PTR(n);
	return 0;
}

void ntfs_close(struct ntfs *n)
{
	if (n && n->vol)
		(void)ntfs_umount(n->vol, TRUE);
	if (n)
		free(n->window);
	free(n);
}

/* May a record have an attribute of this type, with a name or without? */
static bool record_may_have(const uint8_t *p, size_t len, uint32_t wanted, bool named)
{
	struct cur c = cur_of(p, len), attr;
	uint8_t non_resident, name_len;
	uint32_t type, size;
	uint16_t off;

	/* its attributes begin where 0x14 says; of each: type, size, is it non-resident, length of its name */
	if (len < 4 || memcmp(p, "FILE", 4) != 0 || cur_skip(&c, 0x14) < 0 || cur_u16le(&c, &off) < 0 || off < 0x16 ||
	    cur_skip(&c, off - 0x16u) < 0)
		return true;
	for (;;) {
		attr = c;
		if (cur_u32le(&attr, &type) < 0)
			return true;
		if (type == const_le32_to_cpu(AT_END))
			return false;
		if (cur_u32le(&attr, &size) < 0 || cur_u8(&attr, &non_resident) < 0 || cur_u8(&attr, &name_len) < 0 ||
		    size < 16 || cur_skip(&c, size) < 0 || type == const_le32_to_cpu(AT_ATTRIBUTE_LIST) ||
		    (type == wanted && !name_len == !named))
			return true;
	}
}

bool ntfs_record_has_streams(const uint8_t *p, size_t len)
{
	return record_may_have(p, len, const_le32_to_cpu(AT_DATA), true);
}

bool ntfs_record_has_descriptor(const uint8_t *p, size_t len)
{
	return record_may_have(p, len, const_le32_to_cpu(AT_SECURITY_DESCRIPTOR), false);
}

/* Looked at by reading alone: the library takes far longer to open a file than its record takes to be read. */
static bool may_have(struct ntfs *n, uint64_t ino, bool (*has)(const uint8_t *p, size_t len))
{
	const size_t size = n->vol->mft_record_size;
	const uint64_t first = ino - ino % WINDOW;

	if (!n->window && !(n->window = malloc(WINDOW * size)))
		return true;
	if (!n->nr || first != n->first) {
		const s64 nr = ntfs_attr_mst_pread(n->vol->mft_na, (s64)(first * size), WINDOW, (u32)size, n->window);

		n->nr = nr > 0 ? (size_t)nr : 0;
		n->first = first;
	}
	return ino - first >= n->nr || has(n->window + (ino - first) * size, size);
}

static int one_stream(ntfs_inode *ni, ntfschar *name, unsigned int name_len, ntfs_stream_fn *fn, void *arg)
{
	CLEANUP(close_attr) ntfs_attr *na = ntfs_attr_open(ni, AT_DATA, name, name_len);
	char *text;
	int r;

	if (!na)
		return last_error();
	text = ntfs_attr_name_get(name, (int)name_len);
	if (!text)
		return last_error();
	r = na->data_size < 0 ? -EUCLEAN : fn(arg, text, (uint64_t)na->data_size, na);
	ntfs_attr_name_free(&text);
	return r;
}

int ntfs_each_stream(struct ntfs *n, uint64_t ino, ntfs_stream_fn *fn, void *arg)
{
	CLEANUP(close_inode) ntfs_inode *ni = NULL;
	CLEANUP(put_search) ntfs_attr_search_ctx *ctx = NULL;
	int r = 0;

	if (!may_have(n, ino, ntfs_record_has_streams))
		return 0;
	errno = 0;
	ni = ntfs_inode_open(n->vol, ino);
	if (!ni)
		return last_error();
	ctx = ntfs_attr_get_search_ctx(ni, NULL);
	if (!ctx)
		return -ENOMEM;
	for (int i = 0; r == 0; i++) {
		ntfschar name[NTFS_NAME_MAX];
		unsigned int len;

		errno = 0;
		if (ntfs_attr_lookup(AT_DATA, NULL, 0, CASE_SENSITIVE, 0, NULL, 0, ctx) < 0)
			return errno == ENOENT ? 0 : last_error();
		len = ctx->attr->name_length;
		/* the later extents of one attribute come as entries of their own */
		if (!len || (ctx->attr->non_resident && ctx->attr->lowest_vcn))
			continue;
		if (i == STREAMS_MAX)
			return -E2BIG;
		memcpy(name, (const uint8_t *)ctx->attr + le16_to_cpu(ctx->attr->name_offset), len * sizeof(*name));
		r = one_stream(ni, name, len, fn, arg);
	}
	return r;
}

int ntfs_read_stream(void *stream, void *p, size_t len)
{
	s64 n;

	errno = 0;
	n = ntfs_attr_pread(stream, 0, (s64)len, p);
	return n < 0 ? last_error() : (size_t)n == len ? 0 : -EIO;
}

void ntfs_stream_close(struct ntfs_stream *s)
{
	if (!s)
		return;
	close_attr(&s->na);
	close_inode(&s->ni);
	free(s);
}

static void ntfs_stream_closep(struct ntfs_stream **s)
{
	ntfs_stream_close(*s);
}

int ntfs_stream_open(struct ntfs *n, uint64_t ino, const char *name, struct ntfs_stream **ret)
{
	CLEANUP(ntfs_stream_closep) struct ntfs_stream *s = calloc(1, sizeof(*s));
	CLEANUP_FREE ntfschar *wide = NULL;
	int len;

	if (!s)
		return -ENOMEM;
	len = ntfs_mbstoucs(name, &wide);
	if (len <= 0 || len > NTFS_NAME_MAX)
		return -ENOENT;
	errno = 0;
	s->ni = ntfs_inode_open(n->vol, ino);
	if (!s->ni)
		return last_error();
	s->na = ntfs_attr_open(s->ni, AT_DATA, wide, (u32)len);
	if (!s->na)
		return last_error();
	if (s->na->data_size < 0)
		return -EUCLEAN;
	*ret = TAKE_PTR(s);
	return 0;
}

uint64_t ntfs_stream_size(const struct ntfs_stream *s)
{
	return (uint64_t)s->na->data_size;
}

ssize_t ntfs_stream_read(struct ntfs_stream *s, uint64_t off, void *p, size_t len)
{
	s64 n;

	errno = 0;
	n = ntfs_attr_pread(s->na, (s64)off, (s64)len, p);
	return n < 0 ? last_error() : (ssize_t)n;
}

int ntfs_stream_map(struct ntfs_stream *s, struct holes *ret)
{
	const uint64_t size = ntfs_stream_size(s);
	const s64 written = s->na->initialized_size;
	const uint64_t end = written >= 0 && (uint64_t)written < size ? (uint64_t)written : size;
	const unsigned int bits = s->na->ni->vol->cluster_size_bits;
	uint64_t at = 0;
	int r = 0;

	/* The runs of compressed streams end where the compressed bytes do. */
	if (!NAttrNonResident(s->na) || NAttrCompressed(s->na) || ntfs_attr_map_whole_runlist(s->na) < 0 || !s->na->rl)
		return holes_add(ret, 0, end);
	for (const runlist_element *e = s->na->rl; r == 0 && e->length > 0 && at < end; e++) {
		const uint64_t left = end - at;
		const uint64_t len = (uint64_t)e->length > left >> bits ? left : (uint64_t)e->length << bits;

		if (e->lcn != LCN_HOLE && e->lcn < 0)
			break;
		if (e->lcn >= 0)
			r = holes_add(ret, at, len);
		at += len;
	}
	return r < 0 ? r : holes_add(ret, at, end - at);
}

bool ntfs_says_hibernated(const uint8_t head[static NTFS_HIBERNATION_HEAD])
{
	/* once it was resumed, it says "wake"; some versions of Windows write capitals */
	return !memcmp(head, "hibr", 4) || !memcmp(head, "HIBR", 4);
}

bool ntfs_is_hibernated(struct ntfs *n)
{
	CLEANUP(close_inode) ntfs_inode *ni = ntfs_pathname_to_inode(n->vol, NULL, NTFS_HIBERNATION_FILE);
	CLEANUP(close_attr) ntfs_attr *na = ni ? ntfs_attr_open(ni, AT_DATA, NULL, 0) : NULL;
	uint8_t head[NTFS_HIBERNATION_HEAD];

	return na && ntfs_attr_pread(na, 0, sizeof(head), head) == sizeof(head) && ntfs_says_hibernated(head);
}

int ntfs_read_reparse(struct ntfs *n, uint64_t ino, uint32_t *ret_tag, uint8_t *ret, size_t *ret_len)
{
	CLEANUP(close_inode) ntfs_inode *ni = NULL;
	CLEANUP(close_attr) ntfs_attr *na = NULL;
	uint8_t head[8];
	struct cur c = cur_of(head, sizeof(head));
	uint16_t len;

	errno = 0;
	ni = ntfs_inode_open(n->vol, ino);
	if (!ni)
		return last_error();
	na = ntfs_attr_open(ni, AT_REPARSE_POINT, NULL, 0);
	if (!na)
		return errno == ENOENT ? -ENODATA : last_error();
	/* tag; length of the data; two reserved bytes */
	if (ntfs_attr_pread(na, 0, sizeof(head), head) != sizeof(head) || cur_u32le(&c, ret_tag) < 0 ||
	    cur_u16le(&c, &len) < 0 || len > NTFS_REPARSE_MAX || ntfs_attr_pread(na, sizeof(head), len, ret) != len)
		return -EUCLEAN;
	*ret_len = len;
	return 0;
}

ssize_t ntfs_read_descriptor(struct ntfs *n, uint64_t ino, void *ret, size_t room)
{
	CLEANUP(close_inode) ntfs_inode *ni = NULL;
	CLEANUP(close_attr) ntfs_attr *na = NULL;
	s64 len;

	if (!may_have(n, ino, ntfs_record_has_descriptor))
		return -ENODATA;
	errno = 0;
	ni = ntfs_inode_open(n->vol, ino);
	if (!ni)
		return last_error();
	na = ntfs_attr_open(ni, AT_SECURITY_DESCRIPTOR, NULL, 0);
	if (!na)
		return errno == ENOENT ? -ENODATA : last_error();
	if (na->data_size < 0 || (uint64_t)na->data_size > room)
		return -E2BIG;
	len = ntfs_attr_pread(na, 0, na->data_size, ret);
	return len == na->data_size ? (ssize_t)len : -EIO;
}

/* Its substitute name, without the object manager's prefix and with slashes. */
static ptrdiff_t mount_point_target(const uint8_t *p, size_t len, char *ret, size_t room)
{
	static const char prefix[] = "\\??\\";
	struct cur c = cur_of(p, len), name;
	CLEANUP_FREE char *text = NULL;
	CLEANUP_FREE ntfschar *copy = NULL;
	uint16_t off, size;
	const char *s;
	int n;

	/* offset and length of the substitute name, and of the print name; names */
	if (cur_u16le(&c, &off) < 0 || cur_u16le(&c, &size) < 0 || cur_skip(&c, 4) < 0 || cur_skip(&c, off) < 0 ||
	    cur_sub(&c, size, &name) < 0 || size % 2 || !size)
		return -EUCLEAN;
	copy = malloc(size);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, name.p, size);
	n = ntfs_ucstombs(copy, size / 2, &text, 0);
	if (n < 0)
		return -EUCLEAN;
	s = !strncmp(text, prefix, strlen(prefix)) ? text + strlen(prefix) : text;
	n = snprintf(ret, room, "%s", s);
	if (n <= 0 || (size_t)n >= room)
		return -EUCLEAN;
	for (char *q = ret; *q; q++)
		if (*q == '\\')
			*q = '/';
	return n;
}

ptrdiff_t ntfs_link_target(uint32_t tag, const uint8_t *p, size_t len, char *ret, size_t room)
{
	if (tag == TAG_MOUNT_POINT)
		return mount_point_target(p, len, ret, room);
	if (tag != TAG_LX_SYMLINK)
		return -EINVAL;
	/* a version, then the target in UTF-8 */
	if (len <= 4 || len - 4 >= room || memchr(p + 4, 0, len - 4))
		return -EUCLEAN;
	memcpy(ret, p + 4, len - 4);
	ret[len - 4] = 0;
	return (ptrdiff_t)(len - 4);
}
