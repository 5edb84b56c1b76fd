/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/jsonw.h"
#include "host/cli/archive.h"

CLEANUP_DEFINE(struct access_member *, access_member_free)

static void put_xattr(struct jsonw *w, const char *name, size_t name_len, const void *value, size_t len)
{
	jsonw_object_begin(w);
	jsonw_key_b64(w, "name", name, name_len);
	jsonw_key_b64(w, "value", value, len);
	jsonw_object_end(w);
}

static void put_xattrs(struct jsonw *w, const struct pxar_entry *e)
{
	static const char fcaps[] = "security.capability";

	jsonw_key(w, "xattrs");
	jsonw_array_begin(w);
	for (size_t i = 0; i < e->nr_xattrs; i++)
		put_xattr(w, e->xattrs[i].name, e->xattrs[i].name_len, e->xattrs[i].value, e->xattrs[i].value_len);
	if (e->fcaps)
		put_xattr(w, fcaps, sizeof(fcaps) - 1, e->fcaps, e->fcaps_len);
	jsonw_array_end(w);
}

static void acl_entry(struct buf *b, const char *who, uint64_t perm)
{
	buf_fmt(b, "%s%s:%c%c%c", b->len ? "," : "", who, perm & 4 ? 'r' : '-', perm & 2 ? 'w' : '-', perm & 1 ? 'x' : '-');
}

static void acl_ids(struct buf *b, const struct pxar_entry *e, uint64_t type, const char *who)
{
	char text[64];

	for (size_t i = 0; i < e->nr_acls; i++) {
		if (e->acls[i].type != type)
			continue;
		(void)snprintf(text, sizeof(text), "%s:%llu", who, (unsigned long long)e->acls[i].id);
		acl_entry(b, text, e->acls[i].perm);
	}
}

static size_t count_acl(const struct pxar_entry *e, uint64_t a, uint64_t b)
{
	size_t n = 0;

	for (size_t i = 0; i < e->nr_acls; i++)
		n += e->acls[i].type == a || e->acls[i].type == b;
	return n;
}

/* The text form of ACLs, as getfacl has it, on one line. */
static void put_acls(struct jsonw *w, const struct pxar_entry *e)
{
	CLEANUP_BUF struct buf b = BUF_INIT, d = BUF_INIT;

	if (e->has_acl_group_obj || count_acl(e, PXAR_ACL_USER, PXAR_ACL_GROUP)) {
		acl_entry(&b, "user:", e->mode >> 6);
		acl_ids(&b, e, PXAR_ACL_USER, "user");
		acl_entry(&b, "group:", e->has_acl_group_obj ? e->acl_group_obj : e->mode >> 3);
		acl_ids(&b, e, PXAR_ACL_GROUP, "group");
		acl_entry(&b, "mask:", e->mode >> 3);
		acl_entry(&b, "other:", e->mode);
		jsonw_key_bytes(w, "acl", b.data, b.len);
	}
	if (e->has_acl_default) {
		acl_entry(&d, "user:", e->acl_default.user_obj);
		acl_ids(&d, e, PXAR_ACL_DEFAULT_USER, "user");
		acl_entry(&d, "group:", e->acl_default.group_obj);
		acl_ids(&d, e, PXAR_ACL_DEFAULT_GROUP, "group");
		if (e->acl_default.mask != PXAR_ACL_NO_MASK)
			acl_entry(&d, "mask:", e->acl_default.mask);
		acl_entry(&d, "other:", e->acl_default.other);
		jsonw_key_bytes(w, "default-acl", d.data, d.len);
	}
	if (buf_ok(&b) < 0 || buf_ok(&d) < 0)
		w->out->error = -ENOMEM;
}

void archive_write_stat(struct jsonw *w, const struct pxar_entry *e)
{
	jsonw_key_u64(w, "mode", e->mode);
	jsonw_key_u64(w, "uid", e->uid);
	jsonw_key_u64(w, "gid", e->gid);
	if (e->kind == PXAR_KIND_FILE)
		jsonw_key_u64(w, "size", e->size);
	jsonw_key_i64(w, "mtime", e->mtime_s);
	jsonw_key_u64(w, "mtime-nsec", e->mtime_ns);
	if (e->flags)
		jsonw_key_u64(w, "flags", e->flags);
	if (e->has_projid)
		jsonw_key_u64(w, "project", e->projid);
	if (e->kind == PXAR_KIND_DEVICE) {
		jsonw_key(w, "rdev");
		jsonw_array_begin(w);
		jsonw_u64(w, e->dev_major);
		jsonw_u64(w, e->dev_minor);
		jsonw_array_end(w);
	}
	put_acls(w, e);
	put_xattrs(w, e);
}

/* Of a hard link: the metadata of the file it refers to. */
static int stat_of(struct access *a, const char *inner, size_t len, struct buf *out, struct err *err)
{
	CLEANUP(access_member_freep) struct access_member *m = access_member_new();
	CLEANUP(access_member_freep) struct access_member *target = access_member_new();
	struct jsonw w = JSONW(out);
	char type[2] = "";
	int r;

	if (!m || !target)
		return err_set(err, -ENOMEM, "stat");
	r = access_find(a, inner, len, m, err);
	if (r == 0 && m->entry.kind == PXAR_KIND_HARDLINK)
		r = access_follow(a, m, target, err);
	if (r < 0)
		return r;
	jsonw_object_begin(&w);
	type[0] = archive_type(&m->entry);
	jsonw_key_string(&w, "type", type);
	if (m->entry.target)
		jsonw_key_b64(&w, "target", m->entry.target, m->entry.target_len);
	archive_write_stat(&w, m->entry.kind == PXAR_KIND_HARDLINK ? &target->entry : &m->entry);
	jsonw_object_end(&w);
	return 0;
}

int archive_stat_file(const struct archive_file *f, const char *inner, size_t inner_len, json_t **ret, struct err *err)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	int r = stat_of(f->a, inner, inner_len, &out, err);

	if (r < 0)
		return r;
	*ret = buf_cstr(&out) ? json_loads(buf_cstr(&out), 0, NULL) : NULL;
	return *ret ? 0 : err_set(err, -ENOMEM, "stat");
}

int archive_stat(struct snapshot *sn, const char *stored, const char *inner, size_t inner_len, json_t **ret,
		 struct err *err)
{
	struct archive_file f;
	int r = archive_open(sn, stored, &f, err);

	if (r < 0)
		return r;
	r = archive_stat_file(&f, inner, inner_len, ret, err);
	archive_close(&f);
	return r < 0 ? err_ctx(err, r, "archive '%s'", stored) : 0;
}
