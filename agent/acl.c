/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/acl.h"

#include "common/cur.h"
#include "common/pxar/format.h"

#define ACL_VERSION 2

enum acl_tag { TAG_USER_OBJ = 1, TAG_USER = 2, TAG_GROUP_OBJ = 4, TAG_GROUP = 8, TAG_MASK = 16, TAG_OTHER = 32 };

static int set_base(bool *has, uint64_t *at, uint64_t perm)
{
	if (*has)
		return -EBADMSG;
	*has = true;
	*at = perm;
	return 0;
}

static int base_entry(struct acl_base *b, unsigned int tag, uint64_t perm)
{
	switch (tag) {
	case TAG_USER_OBJ:
		return set_base(&b->has_user_obj, &b->user_obj, perm);
	case TAG_GROUP_OBJ:
		return set_base(&b->has_group_obj, &b->group_obj, perm);
	case TAG_OTHER:
		return set_base(&b->has_other, &b->other, perm);
	case TAG_MASK:
		return set_base(&b->has_mask, &b->mask, perm);
	default:
		return -EBADMSG;
	}
}

static uint64_t named_type(unsigned int tag, bool is_default)
{
	if (tag == TAG_USER)
		return is_default ? PXAR_ACL_DEFAULT_USER : PXAR_ACL_USER;
	return is_default ? PXAR_ACL_DEFAULT_GROUP : PXAR_ACL_GROUP;
}

int acl_parse(const void *p, size_t len, bool is_default, struct pxar_acl_entry *v, size_t max, size_t *ret_nr,
	      struct acl_base *ret_base)
{
	struct cur c = cur_of(p, len);
	struct acl_base base = { 0 };
	uint32_t version, id;
	uint16_t tag, perm;
	size_t nr = 0;

	if (cur_u32le(&c, &version) < 0 || version != ACL_VERSION)
		return -EBADMSG;
	while (c.left) {
		if (cur_u16le(&c, &tag) < 0 || cur_u16le(&c, &perm) < 0 || cur_u32le(&c, &id) < 0 || perm > 7)
			return -EBADMSG;
		if (tag != TAG_USER && tag != TAG_GROUP) {
			if (base_entry(&base, tag, perm) < 0)
				return -EBADMSG;
			continue;
		}
		if (nr == max)
			return -E2BIG;
		v[nr++] = (struct pxar_acl_entry){ named_type(tag, is_default), id, perm };
	}
	if (!base.has_user_obj || !base.has_group_obj || !base.has_other || (nr && !base.has_mask))
		return -EBADMSG;
	*ret_nr = nr;
	*ret_base = base;
	return 0;
}
