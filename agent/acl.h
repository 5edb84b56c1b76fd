/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_ACL_H
#define AGENT_ACL_H

/* POSIX ACLs as the kernel's attributes system.posix_acl_* hold them. */

#include "common/pxar/entry.h"

#define ACL_ENTRIES_MAX 8192

/* The entries without a name. */
struct acl_base {
	bool has_user_obj, has_group_obj, has_other, has_mask;
	uint64_t user_obj, group_obj, other, mask;
};

/**
 * acl_parse() - take an attribute's value apart
 * @is_default: named entries become PXAR_ACL_DEFAULT_*
 * @v, @max: room for named entries; @ret_nr how many came
 * Return: 0; -EBADMSG for what is no valid ACL; -E2BIG.
 */
int acl_parse(const void *p, size_t len, bool is_default, struct pxar_acl_entry *v, size_t max, size_t *ret_nr,
	      struct acl_base *ret_base);

#endif
