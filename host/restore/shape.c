/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/restore/shape.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Of another owner: what was meant for the first one goes, without being missed. */
static bool is_owners(const struct pxar_xattr *x)
{
	return !strcmp(x->name, "security.capability") || !strcmp(x->name, "security.selinux");
}

static bool keeps(const struct restore_options *o, bool owned, const struct pxar_xattr *x)
{
	if (o->xattrs == RESTORE_XATTRS_NONE || (!owned && is_owners(x)))
		return false;
	return o->xattrs == RESTORE_XATTRS_ALL || !strncmp(x->name, "user.", 5);
}

static int keep_xattrs(struct shape *s, const struct restore_options *o, bool owned)
{
	struct pxar_entry *e = &s->entry;
	size_t nr = 0;

	if (e->nr_xattrs > s->room) {
		struct pxar_xattr *v = reallocarray(s->xattrs, e->nr_xattrs, sizeof(*v));

		if (!v)
			return -1;
		s->xattrs = v;
		s->room = e->nr_xattrs;
	}
	for (size_t i = 0; i < e->nr_xattrs; i++)
		if (keeps(o, owned, &e->xattrs[i]))
			s->xattrs[nr++] = e->xattrs[i];
	e->xattrs = s->xattrs;
	e->nr_xattrs = nr;
	return 0;
}

/* The group's bits of the mode are the mask while there is a list; without it they must not give more than the list did. */
static void drop_acls(struct pxar_entry *e)
{
	if (e->has_acl_group_obj)
		e->mode = (e->mode & ~(uint64_t)070) | (e->mode & e->acl_group_obj << 3 & 070);
	e->acls = NULL;
	e->nr_acls = 0;
	e->has_acl_group_obj = e->has_acl_default = false;
}

const struct pxar_entry *shape_entry(struct shape *s, const struct restore_options *o, const struct pxar_entry *e)
{
	const bool owned = !o->set_uid && !o->set_gid;

	if (e->kind == PXAR_KIND_HARDLINK || (owned && o->xattrs == RESTORE_XATTRS_ALL))
		return e;
	s->entry = *e;
	if (o->set_uid)
		s->entry.uid = o->uid;
	if (o->set_gid)
		s->entry.gid = o->gid;
	if (!owned && e->kind != PXAR_KIND_DIR)
		s->entry.mode &= ~(uint64_t)(S_ISUID | S_ISGID);
	if (!owned || o->xattrs != RESTORE_XATTRS_ALL)
		s->entry.fcaps = NULL;
	if (o->xattrs != RESTORE_XATTRS_ALL)
		drop_acls(&s->entry);
	return keep_xattrs(s, o, owned) < 0 ? NULL : &s->entry;
}

void shape_free(struct shape *s)
{
	free(s->xattrs);
}
