/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/pxar/dec_attrs.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/pxar/dec_items.h"
#include "common/pxar/format.h"

#define CHARGE_ITEM 64		/* what an item costs us besides its bytes */

void dec_attrs_reset(struct dec_attrs *a)
{
	a->charged = 0;
	buf_reset(&a->bytes);
	a->nr_xattrs = a->nr_acls = 0;
	a->has_fcaps = false;
}

void dec_attrs_free(struct dec_attrs *a)
{
	buf_free(&a->bytes);
	free(a->spans);
	free(a->xattrs);
	free(a->acls);
	free(a->segments);
}

bool dec_attrs_is(uint64_t type, bool ext)
{
	switch (type) {
	case PXAR_XATTR:
	case PXAR_ACL_USER:
	case PXAR_ACL_GROUP:
	case PXAR_ACL_GROUP_OBJ:
	case PXAR_ACL_DEFAULT:
	case PXAR_ACL_DEFAULT_USER:
	case PXAR_ACL_DEFAULT_GROUP:
	case PXAR_FCAPS:
	case PXAR_QUOTA_PROJID:
		return true;
	case PXAR_EXT_XATTR_ANY:
	case PXAR_EXT_LINK:
	case PXAR_EXT_HOLES:
	case PXAR_EXT_META_ERROR:
		return ext;
	}
	return false;
}

static int grow(void *pp, size_t *room, size_t want, size_t size)
{
	void **p = pp, *more;
	size_t n = *room ? *room : 16;

	if (want <= *room)
		return 0;
	while (n < want)
		n *= 2;
	more = reallocarray(*p, n, size);
	if (!more)
		return -ENOMEM;
	*p = more;
	*room = n;
	return 0;
}

static int take_xattr(struct dec_attrs *a, struct cur c, bool any)
{
	const uint8_t *nul = c.left ? memchr(c.p, 0, c.left) : NULL;
	struct dec_span s = { .name = a->bytes.len, .any = any };

	if (!nul || nul == c.p || (size_t)(nul - c.p) > PXAR_XATTR_NAME_MAX)
		return -EBADMSG;
	s.name_len = (size_t)(nul - c.p);
	s.value = s.name + s.name_len + 1;
	s.value_len = c.left - s.name_len - 1;
	if (s.value_len > PXAR_XATTR_VALUE_MAX)
		return -EBADMSG;
	if (grow(&a->spans, &a->room_xattrs, a->nr_xattrs + 1, sizeof(*a->spans)) < 0)
		return -ENOMEM;
	buf_add(&a->bytes, c.p, c.left);
	a->spans[a->nr_xattrs++] = s;
	return buf_ok(&a->bytes);
}

static int take_fcaps(struct dec_attrs *a, struct cur c)
{
	if (a->has_fcaps)
		return -EBADMSG;
	a->has_fcaps = true;
	a->fcaps = a->bytes.len;
	a->fcaps_len = c.left;
	buf_add(&a->bytes, c.p, c.left);
	buf_u8(&a->bytes, 0);	/* so that an empty value has an address */
	return buf_ok(&a->bytes);
}

static int take_acl(struct dec_attrs *a, uint64_t type, struct cur c)
{
	struct pxar_acl_entry e = { .type = type };

	if (cur_u64le(&c, &e.id) < 0 || cur_u64le(&c, &e.perm) < 0 || cur_end(&c) < 0 || e.perm > 7)
		return -EBADMSG;
	if (grow(&a->acls, &a->room_acls, a->nr_acls + 1, sizeof(*a->acls)) < 0)
		return -ENOMEM;
	a->acls[a->nr_acls++] = e;
	return 0;
}

static int take_once(struct cur c, uint64_t max, bool *has, uint64_t *ret)
{
	uint64_t v;

	if (*has || cur_u64le(&c, &v) < 0 || cur_end(&c) < 0 || v > max)
		return -EBADMSG;
	*has = true;
	*ret = v;
	return 0;
}

static int take_acl_default(struct cur c, struct pxar_entry *e)
{
	uint64_t v[4];

	for (size_t i = 0; i < 4; i++)
		if (cur_u64le(&c, &v[i]) < 0 || (v[i] > 7 && (i < 3 || v[i] != PXAR_ACL_NO_MASK)))
			return -EBADMSG;
	if (e->has_acl_default || cur_end(&c) < 0)
		return -EBADMSG;
	e->has_acl_default = true;
	e->acl_default.user_obj = v[0];
	e->acl_default.group_obj = v[1];
	e->acl_default.other = v[2];
	e->acl_default.mask = v[3];
	return 0;
}

static int take_link(struct cur c, struct pxar_entry *e)
{
	bool has = e->link_id;

	return take_once(c, UINT64_MAX, &has, &e->link_id) < 0 || !e->link_id ? -EBADMSG : 0;
}

/* Segments ascend, do not touch, are not empty, and lie within the file. */
static int take_holes(struct dec_attrs *a, struct cur c, struct pxar_entry *e)
{
	uint64_t end = 0;

	if (e->has_segments || !S_ISREG(e->mode) || cur_u64le(&c, &e->size) < 0 || c.left % 16 ||
	    c.left / 16 > PXAR_SEGMENTS_MAX || e->size > INT64_MAX)
		return -EBADMSG;
	e->has_segments = true;
	e->nr_segments = c.left / 16;
	if (grow(&a->segments, &a->room_segments, e->nr_segments, sizeof(*a->segments)) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < e->nr_segments; i++) {
		struct pxar_segment s;

		if (cur_u64le(&c, &s.off) < 0 || cur_u64le(&c, &s.len) < 0 || !s.len || s.off < end ||
		    (i && s.off == end) || s.off > e->size || s.len > e->size - s.off)
			return -EBADMSG;
		end = s.off + s.len;
		e->payload_size += s.len;
		a->segments[i] = s;
	}
	return 0;
}

int dec_attrs_item(struct dec_attrs *a, uint64_t type, struct cur c, struct pxar_entry *e)
{
	if (type == PXAR_EXT_HOLES)
		return take_holes(a, c, e);
	a->charged += c.left + CHARGE_ITEM;
	if (a->charged > PXAR_ATTRS_MAX)
		return -EBADMSG;
	switch (type) {
	case PXAR_XATTR:
	case PXAR_EXT_XATTR_ANY:
		return take_xattr(a, c, type == PXAR_EXT_XATTR_ANY);
	case PXAR_FCAPS:
		return take_fcaps(a, c);
	case PXAR_ACL_USER:
	case PXAR_ACL_GROUP:
	case PXAR_ACL_DEFAULT_USER:
	case PXAR_ACL_DEFAULT_GROUP:
		return take_acl(a, type, c);
	case PXAR_ACL_GROUP_OBJ:
		return take_once(c, 7, &e->has_acl_group_obj, &e->acl_group_obj);
	case PXAR_ACL_DEFAULT:
		return take_acl_default(c, e);
	case PXAR_QUOTA_PROJID:
		return take_once(c, UINT64_MAX, &e->has_projid, &e->projid);
	case PXAR_EXT_LINK:
		return take_link(c, e);
	case PXAR_EXT_META_ERROR:
		return e->meta_error.code ? -EBADMSG : dec_item_error(c, &e->meta_error);
	}
	return -EBADMSG;
}

int dec_attrs_finish(struct dec_attrs *a, struct pxar_entry *e)
{
	if (a->nr_xattrs) {
		struct pxar_xattr *v = reallocarray(a->xattrs, a->nr_xattrs, sizeof(*v));

		if (!v)
			return -ENOMEM;
		a->xattrs = v;
	}
	for (size_t i = 0; i < a->nr_xattrs; i++) {
		const struct dec_span *s = &a->spans[i];

		a->xattrs[i] = (struct pxar_xattr){ (const char *)a->bytes.data + s->name, s->name_len,
						    a->bytes.data + s->value, s->value_len, s->any };
	}
	e->xattrs = a->nr_xattrs ? a->xattrs : NULL;
	e->nr_xattrs = a->nr_xattrs;
	e->acls = a->nr_acls ? a->acls : NULL;
	e->nr_acls = a->nr_acls;
	e->segments = e->nr_segments ? a->segments : NULL;
	e->fcaps = a->has_fcaps ? a->bytes.data + a->fcaps : NULL;
	e->fcaps_len = a->has_fcaps ? a->fcaps_len : 0;
	return 0;
}
