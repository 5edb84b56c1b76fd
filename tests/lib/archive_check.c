/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/archive_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/b64.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "common/pxar/format.h"

#define EXTRA "LnB4YXJleGNsdWRlLWNsaQ=="	/* .pxarexclude-cli */

static void add_line(struct manifest_check *c, const char *line)
{
	json_t *o = json_loads(line, JSON_DECODE_INT_AS_REAL, NULL), *list;
	const char *p = json_string_value(json_object_get(o, "p"));

	if (!p)
		abort();
	if (!json_object_get(o, "ex")) {
		list = json_object_get(c->by_path, p);
		if (!list) {
			list = json_array();
			json_object_set_new(c->by_path, p, list);
		}
		json_array_append(list, o);
		c->nr++;
	}
	json_decref(o);
}

void check_load(struct manifest_check *c, const char *file, bool go)
{
	CLEANUP_FREE char *line = NULL;
	size_t room = 0;
	char cmd[4200];
	FILE *f;

	*c = (struct manifest_check){ .by_path = json_object(), .go = go };
	(void)snprintf(cmd, sizeof(cmd), "zstd -dcq '%s'", file);
	f = popen(cmd, "r");
	if (!f)
		abort();
	while (getline(&line, &room, f) > 0)
		add_line(c, line);
	if (pclose(f) != 0)
		abort();
}

void check_free(struct manifest_check *c)
{
	json_decref(c->by_path);
}

static char *b64(const void *p, size_t len)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	b64_encode(&b, p, len);
	return strdup(buf_cstr(&b) ? buf_cstr(&b) : "");
}

static double number(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static char type_of(const struct pxar_entry *e)
{
	switch (e->kind) {
	case PXAR_KIND_DIR:
		return 'd';
	case PXAR_KIND_FILE:
		return 'f';
	case PXAR_KIND_SYMLINK:
		return 'l';
	case PXAR_KIND_HARDLINK:
		return 'h';
	case PXAR_KIND_FIFO:
		return 'p';
	case PXAR_KIND_SOCKET:
		return 's';
	case PXAR_KIND_DEVICE:
		return S_ISBLK(e->mode) ? 'b' : 'c';
	}
	return '?';
}

static char type_wanted(const json_t *o)
{
	static const char *const go[] = { "dir", "d", "file", "f", "hardlink", "h", "symlink", "l", "block", "b", "char", "c",
					  "fifo", "p", "socket", "s" };
	const char *t = text(o, "t");

	for (size_t i = 0; i < sizeof(go) / sizeof(*go); i += 2)
		if (!strcmp(go[i], t))
			return *go[i + 1];
	return *t == 'f' && json_object_get(o, "hl") ? 'h' : *t;
}

static void perm(struct buf *b, uint64_t p)
{
	buf_fmt(b, "%c%c%c", p & 4 ? 'r' : '-', p & 2 ? 'w' : '-', p & 1 ? 'x' : '-');
}

static void acl_ids(struct buf *b, const struct pxar_entry *e, uint64_t type, const char *name)
{
	for (size_t i = 0; i < e->nr_acls; i++) {
		if (e->acls[i].type != type)
			continue;
		buf_fmt(b, ",%s:%" PRIu64 ":", name, e->acls[i].id);
		perm(b, e->acls[i].perm);
	}
}

static void acl_text(struct buf *b, const struct pxar_entry *e, bool dflt)
{
	const uint64_t mask = dflt ? e->acl_default.mask : (e->mode >> 3 & 7);
	const uint64_t group = dflt ? e->acl_default.group_obj : e->has_acl_group_obj ? e->acl_group_obj : mask;
	bool some = dflt ? e->has_acl_default : e->has_acl_group_obj;

	for (size_t i = 0; i < e->nr_acls && !dflt; i++)
		some |= e->acls[i].type == PXAR_ACL_USER || e->acls[i].type == PXAR_ACL_GROUP;
	if (!some)
		return;
	buf_str(b, "user::");
	perm(b, dflt ? e->acl_default.user_obj : e->mode >> 6);
	acl_ids(b, e, dflt ? PXAR_ACL_DEFAULT_USER : PXAR_ACL_USER, "user");
	buf_str(b, ",group::");
	perm(b, group);
	acl_ids(b, e, dflt ? PXAR_ACL_DEFAULT_GROUP : PXAR_ACL_GROUP, "group");
	if (!dflt || mask != PXAR_ACL_NO_MASK) {
		buf_str(b, ",mask::");
		perm(b, mask);
	}
	buf_str(b, ",other::");
	perm(b, dflt ? e->acl_default.other : e->mode);
}

static bool same_acl(const json_t *o, const struct pxar_entry *e, bool dflt)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	acl_text(&b, e, dflt);
	return !strcmp(buf_cstr(&b), text(o, dflt ? "dacl" : "acl"));
}

/* In the form of the Go writers: only that every number is there. */
static bool same_go_acl(const json_t *o, const struct pxar_entry *e)
{
	const json_t *acl = json_object_get(o, "acl");
	size_t nr = e->nr_acls + e->has_acl_group_obj + e->has_acl_default +
		    (e->has_acl_default && e->acl_default.mask != PXAR_ACL_NO_MASK);
	char key[64];

	for (size_t i = 0; i < e->nr_acls; i++) {
		const uint64_t t = e->acls[i].type;

		(void)snprintf(key, sizeof(key), "%s%s:%" PRIu64,
			       t == PXAR_ACL_DEFAULT_USER || t == PXAR_ACL_DEFAULT_GROUP ? "default_" : "",
			       t == PXAR_ACL_USER || t == PXAR_ACL_DEFAULT_USER ? "user" : "group", e->acls[i].id);
		if (!json_object_get(acl, key) || number(acl, key) != (double)e->acls[i].perm)
			return false;
	}
	if (e->has_acl_group_obj && number(acl, "group_obj") != (double)e->acl_group_obj)
		return false;
	if (e->has_acl_default &&
	    json_number_value(json_array_get(json_object_get(acl, "default"), 1)) != (double)e->acl_default.group_obj)
		return false;
	return json_object_size(acl) == nr;
}

static uint64_t flags_of(const char *letters)
{
	static const struct {
		char letter;
		uint64_t flag;
	} map[] = { { 'a', PXAR_FLAG_APPEND }, { 'A', PXAR_FLAG_NOATIME }, { 'c', PXAR_FLAG_COMPRESS }, { 'C', PXAR_FLAG_NOCOW },
		    { 'd', PXAR_FLAG_NODUMP }, { 'D', PXAR_FLAG_DIRSYNC }, { 'i', PXAR_FLAG_IMMUTABLE }, { 'S', PXAR_FLAG_SYNC },
		    { 'm', PXAR_FLAG_NOCOMPRESS }, { 'P', PXAR_FLAG_PROJINHERIT } };
	uint64_t flags = 0;

	for (; *letters; letters++)
		for (size_t i = 0; i < sizeof(map) / sizeof(*map); i++)
			if (map[i].letter == *letters)
				flags |= map[i].flag;
	return flags;
}

static bool kept_xattr(const char *name)
{
	return !strncmp(name, "user.", 5) || !strncmp(name, "trusted.", 8) || !strcmp(name, "security.NTACL");
}

/* Every attribute that official writers keep is there, and nothing else. */
static bool same_xattrs(const json_t *o, const struct pxar_entry *e, bool go)
{
	const bool attrs = go || e->kind == PXAR_KIND_DIR || e->kind == PXAR_KIND_FILE;
	const char *key, *fc = text(o, "fc");
	size_t wanted = 0, found = 0;
	json_t *v;

	json_object_foreach(json_object_get((json_t *)o, "x"), key, v) {
		CLEANUP_BUF struct buf name = BUF_INIT;

		if (go)
			buf_str(&name, key);
		else if (b64_decode(&name, key, strlen(key)) < 0)
			return false;
		if (go && !strcmp(key, "security.capability")) {
			fc = json_string_value(v);
			continue;
		}
		if (!attrs || !kept_xattr(buf_cstr(&name)))
			continue;
		wanted++;
		for (size_t i = 0; i < e->nr_xattrs; i++) {
			CLEANUP_FREE char *value = b64(e->xattrs[i].value, e->xattrs[i].value_len);

			found += !strcmp(e->xattrs[i].name, buf_cstr(&name)) && !strcmp(value, json_string_value(v));
		}
	}
	if (wanted != found || wanted != e->nr_xattrs)
		return false;
	CLEANUP_FREE char *has = e->fcaps ? b64(e->fcaps, e->fcaps_len) : strdup("");

	return !strcmp(has, attrs ? fc : "");
}

static bool same_time(const json_t *o, const struct pxar_entry *e, bool go)
{
	double d;

	if (!go)
		return number(o, "sec") == (double)e->mtime_s && number(o, "ns") == (double)e->mtime_ns;
	d = number(o, "mt") - ((double)e->mtime_s * 1e9 + e->mtime_ns);
	return d < 4096 && d > -4096;	/* a double holds no more of it */
}

static bool same_target(const json_t *o, const struct pxar_entry *e, const char *key)
{
	CLEANUP_FREE char *has = b64(e->target, e->target_len);

	return !strcmp(has, text(o, key));
}

/* Return: the field that differs; NULL. */
static const char *differs(const struct manifest_check *c, const json_t *o, const struct pxar_entry *e, const char *sha, bool links)
{
	const char want = type_wanted(o);
	const json_t *r = json_object_get(o, "r");

	if (type_of(e) != (want == 'h' && !links ? 'f' : want))
		return "type";
	if (e->kind == PXAR_KIND_HARDLINK)
		return same_target(o, e, c->go ? "l" : "hl") ? NULL : "target";
	if (e->kind == PXAR_KIND_FILE && (number(o, "s") != (double)e->size || (sha && strcmp(sha, text(o, "h")))))
		return "contents";
	if (c->go && want == 'h')
		return NULL;
	if ((e->mode & 07777) != strtoul(text(o, "m"), NULL, 8) || number(o, "u") != e->uid || number(o, "g") != e->gid)
		return "mode or owner";
	if (!same_time(o, e, c->go))
		return "time";
	if (e->kind == PXAR_KIND_SYMLINK && !same_target(o, e, "l"))
		return "target";
	if (e->kind == PXAR_KIND_DEVICE && (json_number_value(json_array_get(r, 0)) != e->dev_major ||
					    json_number_value(json_array_get(r, 1)) != e->dev_minor))
		return "device";
	if (!same_xattrs(o, e, c->go))
		return "xattrs";
	if (c->go ? !same_go_acl(o, e) : !(c->no_dir_acl && e->kind == PXAR_KIND_DIR) &&
	    (e->kind == PXAR_KIND_DIR || e->kind == PXAR_KIND_FILE) && (!same_acl(o, e, false) || !same_acl(o, e, true)))
		return "acl";
	if ((c->go ? strtoull(text(o, "fl"), NULL, 16) : flags_of(text(o, "fl"))) != e->flags)
		return "flags";
	if (number(o, c->go ? "quota" : "pj") != (double)(e->has_projid ? e->projid : 0))
		return "project";
	return NULL;
}

void check_member(struct manifest_check *c, const char *path, size_t path_len, const struct pxar_entry *e, const char *sha,
		  bool links)
{
	CLEANUP_FREE char *p = b64(path, path_len);
	json_t *list = json_object_get(c->by_path, p);
	const char *what = "not in the manifest";

	if (!list && !strcmp(p, EXTRA))
		return;
	for (size_t i = 0; i < json_array_size(list); i++) {
		what = differs(c, json_array_get(list, i), e, sha, links);
		if (!what) {
			json_array_remove(list, i);
			c->seen++;
			return;
		}
	}
	(void)fprintf(stderr, "'%.*s': %s\n", (int)path_len, path, what);
	c->failures++;
}

unsigned int check_done(struct manifest_check *c)
{
	if (c->seen == c->nr)
		return c->failures;
	(void)fprintf(stderr, "%zu of %zu members seen\n", c->seen, c->nr);
	return c->failures + 1;
}
