/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/pxar/dec_items.h"

#include <sys/stat.h>

#include "common/err.h"
#include "common/path.h"
#include "common/pxar/format.h"

#define PRELUDE_MAX (1 << 20)

static const struct {
	uint64_t type, min, max;
} sizes[] = {
	{ PXAR_FORMAT_VERSION, 8, 8 },
	{ PXAR_PRELUDE, 0, PRELUDE_MAX },
	{ PXAR_ENTRY, 40, 40 },
	{ PXAR_ENTRY_V1, 32, 32 },
	{ PXAR_FILENAME, 2, PXAR_NAME_MAX + 1 },
	{ PXAR_SYMLINK, 1, PXAR_TARGET_MAX + 1 },
	{ PXAR_DEVICE, 16, 16 },
	{ PXAR_XATTR, 2, PXAR_XATTR_NAME_MAX + 1 + PXAR_XATTR_VALUE_MAX },
	{ PXAR_ACL_USER, 16, 16 },
	{ PXAR_ACL_GROUP, 16, 16 },
	{ PXAR_ACL_GROUP_OBJ, 8, 8 },
	{ PXAR_ACL_DEFAULT, 32, 32 },
	{ PXAR_ACL_DEFAULT_USER, 16, 16 },
	{ PXAR_ACL_DEFAULT_GROUP, 16, 16 },
	{ PXAR_FCAPS, 0, PXAR_XATTR_VALUE_MAX },
	{ PXAR_QUOTA_PROJID, 8, 8 },
	{ PXAR_HARDLINK, 10, 8 + PXAR_TARGET_MAX + 1 },
	{ PXAR_PAYLOAD, 0, INT64_MAX },
	{ PXAR_PAYLOAD_REF, 16, 16 },
	{ PXAR_GOODBYE, 24, INT64_MAX },
	{ PXAR_EXT_HOLES, 8, 8 + 16 * PXAR_SEGMENTS_MAX },
	{ PXAR_EXT_ERROR, 11, PXAR_ERROR_MAX },
	{ PXAR_EXT_DIR_ERROR, 11, PXAR_ERROR_MAX },
	{ PXAR_EXT_META_ERROR, 11, PXAR_ERROR_MAX },
	{ PXAR_EXT_XATTR_ANY, 2, PXAR_XATTR_NAME_MAX + 1 + PXAR_XATTR_VALUE_MAX },
	{ PXAR_EXT_LINK, 8, 8 },
};

bool dec_item_fits(uint64_t type, uint64_t content)
{
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		if (sizes[i].type == type)
			return content >= sizes[i].min && content <= sizes[i].max &&
			       (type != PXAR_GOODBYE || content % 24 == 0);
	return false;
}

int dec_item_text(struct cur c, bool target, char *ret, size_t *ret_len)
{
	const size_t len = c.left ? c.left - 1 : 0;

	if (!c.left || len > (target ? PXAR_TARGET_MAX : PXAR_NAME_MAX) || memchr(c.p, 0, c.left) != c.p + len)
		return -EBADMSG;
	if (!target && (!len || memchr(c.p, '/', len) || (c.p[0] == '.' && (len == 1 || (len == 2 && c.p[1] == '.')))))
		return -EBADMSG;
	*ret_len = len;
	return cur_copy(&c, ret, len + 1);
}

int dec_item_entry(struct cur c, struct pxar_entry *ret)
{
	uint64_t mtime;
	uint32_t zero;

	if (cur_u64le(&c, &ret->mode) < 0 || cur_u64le(&c, &ret->flags) < 0 || cur_u32le(&c, &ret->uid) < 0 ||
	    cur_u32le(&c, &ret->gid) < 0 || cur_u64le(&c, &mtime) < 0 || cur_u32le(&c, &ret->mtime_ns) < 0 ||
	    cur_u32le(&c, &zero) < 0 || cur_end(&c) < 0 || ret->mtime_ns >= 1000000000)
		return -EBADMSG;
	ret->mtime_s = (int64_t)mtime;
	return 0;
}

int dec_item_entry_v1(struct cur c, struct pxar_entry *ret)
{
	uint64_t ns;

	if (cur_u64le(&c, &ret->mode) < 0 || cur_u64le(&c, &ret->flags) < 0 || cur_u32le(&c, &ret->uid) < 0 ||
	    cur_u32le(&c, &ret->gid) < 0 || cur_u64le(&c, &ns) < 0 || cur_end(&c) < 0)
		return -EBADMSG;
	ret->mtime_s = (int64_t)(ns / 1000000000);
	ret->mtime_ns = (uint32_t)(ns % 1000000000);
	return 0;
}

/* A relative path whose components are names. */
static bool good_path(const char *p, size_t len)
{
	size_t n;

	for (;; p += n + 1, len -= n + 1) {
		const char *slash = memchr(p, '/', len);

		n = slash ? (size_t)(slash - p) : len;
		if (!n || (p[0] == '.' && (n == 1 || (n == 2 && p[1] == '.'))))
			return false;
		if (!slash)
			return true;
	}
}

int dec_item_hardlink(struct cur c, uint64_t pos, char *ret_target, struct pxar_entry *ret)
{
	uint64_t distance;

	if (cur_u64le(&c, &distance) < 0 || !distance || distance > pos)
		return -EBADMSG;
	if (dec_item_text(c, true, ret_target, &ret->target_len) < 0 || !good_path(ret_target, ret->target_len))
		return -EBADMSG;
	ret->link_pos = pos - distance;
	return 0;
}

int dec_item_device(struct cur c, struct pxar_entry *ret)
{
	uint64_t maj, min;

	if (cur_u64le(&c, &maj) < 0 || cur_u64le(&c, &min) < 0 || cur_end(&c) < 0 || maj > UINT32_MAX || min > UINT32_MAX)
		return -EBADMSG;
	ret->dev_major = (uint32_t)maj;
	ret->dev_minor = (uint32_t)min;
	return 0;
}

int dec_item_payload_ref(struct cur c, struct pxar_entry *ret)
{
	uint64_t off, size, end;

	if (cur_u64le(&c, &off) < 0 || cur_u64le(&c, &size) < 0 || cur_end(&c) < 0 || off < PXAR_HEADER_SIZE ||
	    size > INT64_MAX || __builtin_add_overflow(off, PXAR_HEADER_SIZE + size, &end) || end > INT64_MAX)
		return -EBADMSG;
	ret->payload_ref = true;
	ret->payload_off = off;
	ret->size = ret->payload_size = size;
	return 0;
}

int dec_item_error(struct cur c, struct pxar_error *ret)
{
	const uint8_t *nul;
	size_t n;

	if (cur_u64le(&c, &ret->off) < 0 || !c.left || c.p[c.left - 1] || !(nul = memchr(c.p, 0, c.left)))
		return -EBADMSG;
	n = (size_t)(nul - c.p);
	ret->code = err_from_name((const char *)c.p, n);
	if (!n || cur_skip(&c, n + 1) < 0 || !c.left || memchr(c.p, 0, c.left) != c.p + c.left - 1)
		return -EBADMSG;
	n = c.left - 1 < sizeof(ret->text) ? c.left - 1 : sizeof(ret->text) - 1;
	memcpy(ret->text, c.p, n);
	ret->text[n] = 0;
	return 0;
}
