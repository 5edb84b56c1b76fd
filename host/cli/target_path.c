/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The path grammar: what of a target a path names. */
#include <errno.h>
#include <string.h>

#include "common/b64.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/path.h"
#include "host/cli/archive.h"
#include "host/cli/stored.h"
#include "host/cli/target.h"

const char *target_archive(const struct target *t, size_t disk)
{
	return t->disks[disk].archive ? t->disks[disk].archive : t->disks[disk].name;
}

static bool same(const char *p, size_t len, const char *name)
{
	return len == strlen(name) && !memcmp(p, name, len);
}

/* Exactly so first, then with less behind it. */
static int find_disk(const struct target *t, const char *p, size_t len, size_t *ret, struct err *err)
{
	char q[300];

	for (size_t i = 0; i < t->nr_disks; i++) {
		if (same(p, len, target_archive(t, i))) {
			*ret = i;
			return 0;
		}
	}
	for (size_t i = 0; i < t->nr_disks; i++) {
		size_t stem = stored_without(p, len, t->store ? ".img" : WIRE_DISK_SUFFIX);

		if (same(p, stem, t->disks[i].name)) {
			*ret = i;
			return 0;
		}
	}
	log_quote(p, len, q, sizeof(q));
	return err_text(err, -ENOENT, "no %s '%s': list / shows what there is", t->store ? "archive" : "disk", q);
}

static int append_component(struct buf *b, const char *p, size_t len, struct err *err)
{
	if (memchr(p, 0, len))
		return err_text(err, -EINVAL, "the path has a NUL byte");
	if (len == 1 && *p == '.')
		return 0;
	if (len == 2 && !memcmp(p, "..", 2))
		return err_text(err, -EINVAL, "'..' is not possible in a path");
	buf_u8(b, '/');
	buf_add(b, p, len);
	return 0;
}

/* What is left of a path behind the archive. */
static int parse_inner(const char *p, size_t left, struct target_path *ret, struct err *err)
{
	const char *c;
	size_t n;
	int r = 0;

	ret->archive_len = ret->bytes.len;
	while (r == 0 && path_next(&p, &left, &c, &n))
		r = append_component(&ret->bytes, c, n, err);
	return r == 0 && buf_ok(&ret->bytes) < 0 ? err_set(err, buf_ok(&ret->bytes), "path") : r;
}

static int parse_path(const struct target *t, const char *p, size_t left, struct target_path *ret, struct err *err)
{
	const char *c;
	size_t n;
	int r;

	if (!left)
		return err_text(err, -EINVAL, "the path is empty");
	if (left > WIRE_PATH_MAX)
		return err_set(err, -ENAMETOOLONG, "path");
	ret->root = !path_next(&p, &left, &c, &n);
	if (ret->root)
		return 0;
	r = find_disk(t, c, n, &ret->disk, err);
	if (r < 0 && t->snapshot)
		ret->archive = archive_resolve(t->snapshot, c, n);
	if (r < 0 && !ret->archive)
		return r;
	buf_str(&ret->bytes, ret->archive ? ret->archive : target_archive(t, ret->disk));
	return parse_inner(p, left, ret, err);
}

/* @t: NULL: @archive is all there is. */
static int parse(const struct target *t, const char *archive, const char *text, size_t len, bool base64,
		 struct target_path *ret, struct err *err)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	int r;

	*ret = (struct target_path){ .bytes = BUF_INIT, .archive = archive };
	if (base64) {
		if (b64_decode(&raw, text, len) < 0)
			return err_text(err, -EINVAL, "the path is not base64");
		text = (const char *)raw.data;
		len = raw.len;
	}
	if (!t && len > WIRE_PATH_MAX)
		r = err_set(err, -ENAMETOOLONG, "path");
	else
		r = t ? parse_path(t, text, len, ret, err) : parse_inner(text, len, ret, err);
	if (r < 0)
		target_path_free(ret);
	return r;
}

int target_path(const struct target *t, const char *text, size_t len, bool base64, struct target_path *ret,
		struct err *err)
{
	return parse(t, NULL, text, len, base64, ret, err);
}

int target_path_within(const char *archive, const char *text, size_t len, bool base64, struct target_path *ret,
		       struct err *err)
{
	return parse(NULL, archive, text, len, base64, ret, err);
}

void target_path_free(struct target_path *p)
{
	buf_free(&p->bytes);
}

const char *target_inner(const struct target_path *p, size_t *ret_len)
{
	size_t skip = p->archive_len < p->bytes.len ? p->archive_len + 1 : p->bytes.len;

	*ret_len = p->bytes.len - skip;
	return *ret_len ? (const char *)p->bytes.data + skip : "";
}
