/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef COMMON_PXAR_ENTRY_H
#define COMMON_PXAR_ENTRY_H

/* One member of an archive with all its metadata: what the decoder gives and the encoder takes. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct pxar_xattr {
	const char *name;	/* name_len bytes, NUL behind them */
	size_t name_len;
	const uint8_t *value;
	size_t value_len;
	bool any;		/* XATTR_ANY: outside the official list */
};

struct pxar_acl_entry {
	uint64_t type;		/* PXAR_ACL_USER, _GROUP, _DEFAULT_USER or _DEFAULT_GROUP */
	uint64_t id;
	uint64_t perm;		/* 0 to 7 */
};

struct pxar_segment {
	uint64_t off, len;	/* data within the logical file */
};

/* In-band error of a member (ERROR, META_ERROR). */
struct pxar_error {
	int code;		/* negative errno, 0: none */
	uint64_t off;		/* first bad byte; UINT64_MAX if not known */
	char text[256];		/* foreign text, NUL-terminated: quote before printing */
};

enum pxar_kind {
	PXAR_KIND_DIR,
	PXAR_KIND_FILE,
	PXAR_KIND_SYMLINK,
	PXAR_KIND_HARDLINK,
	PXAR_KIND_DEVICE,	/* mode says block or char */
	PXAR_KIND_FIFO,
	PXAR_KIND_SOCKET,
};

struct pxar_entry {
	const char *name;	/* one checked component; "" for the root; NUL-terminated */
	size_t name_len;
	enum pxar_kind kind;
	uint64_t mode;		/* full st_mode; hard links: 0 */
	uint64_t flags;
	uint32_t uid, gid;
	int64_t mtime_s;	/* floor */
	uint32_t mtime_ns;
	uint64_t size;		/* logical size of a file */
	uint64_t payload_size;	/* bytes that come as data; less than size with holes */
	uint64_t payload_off;	/* PAYLOAD_REF: position in the payload stream */
	bool payload_ref;
	const char *target;	/* symlink: target; hard link: path of the first name from the root; NUL-terminated */
	size_t target_len;
	uint64_t link_pos;	/* hard link: stream position of the target's FILENAME item */
	uint64_t pos;		/* stream position of this member's FILENAME (root: ENTRY) item */
	uint64_t link_id;	/* LINK item; 0 if none */
	uint32_t dev_major, dev_minor;
	const struct pxar_xattr *xattrs;
	size_t nr_xattrs;
	const uint8_t *fcaps;	/* value of security.capability; NULL if none */
	size_t fcaps_len;
	const struct pxar_acl_entry *acls;
	size_t nr_acls;
	bool has_acl_group_obj, has_acl_default, has_projid;
	uint64_t acl_group_obj;
	struct {
		uint64_t user_obj, group_obj, other, mask;	/* mask PXAR_ACL_NO_MASK: none */
	} acl_default;
	uint64_t projid;
	const struct pxar_segment *segments;	/* HOLES: data segments; NULL if the file came without */
	size_t nr_segments;
	bool has_segments;
	struct pxar_error meta_error;	/* META_ERROR: the entry lacks some of its metadata */
};

/** pxar_kind_of_mode() - Return: a kind; -1 for a mode of no known type. */
static inline int pxar_kind_of_mode(uint64_t mode)
{
	if (mode > 0177777)
		return -1;
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return PXAR_KIND_DIR;
	case S_IFREG:
		return PXAR_KIND_FILE;
	case S_IFLNK:
		return PXAR_KIND_SYMLINK;
	case S_IFBLK:
	case S_IFCHR:
		return PXAR_KIND_DEVICE;
	case S_IFIFO:
		return PXAR_KIND_FIFO;
	case S_IFSOCK:
		return PXAR_KIND_SOCKET;
	}
	return -1;
}

#endif
