/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Listing: what the directories say, with what the manifests add. A manifest that cannot be read takes only sizes away. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/grow.h"
#include "host/source/store/blob.h"
#include "host/source/store/chunk.h"
#include "host/source/store/priv.h"

#define LIST_NAMES_MAX (1u << 20)
#define NOTES_MAX (1u << 20)

struct names {
	char **v;
	size_t nr, room;
};

static void names_free(struct names *n)
{
	for (size_t i = 0; i < n->nr; i++)
		free(n->v[i]);
	free(n->v);
}

#define CLEANUP_NAMES CLEANUP(names_free)

static int names_add(struct names *n, const char *name)
{
	if (n->nr == LIST_NAMES_MAX)
		return -E2BIG;
	if (grow(&n->v, &n->room, n->nr, sizeof(*n->v)) < 0)
		return -ENOMEM;
	n->v[n->nr] = strdup(name);
	return n->v[n->nr] ? (n->nr++, 0) : -ENOMEM;
}

typedef bool name_filter(const char *name);

static bool is_id(const char *name)
{
	return names_check_id(name, strlen(name)) == 0;
}

static bool is_time(const char *name)
{
	int64_t t;

	return strlen(name) == NAMES_TIME_TEXT - 1 && names_parse_time(name, NAMES_TIME_TEXT - 1, &t) == 0;
}

static bool is_file(const char *name)
{
	return names_file_kind(name, strlen(name)) >= 0;
}

static int compare_ids(const void *a, const void *b)
{
	return names_compare_ids(*(const char *const *)a, *(const char *const *)b);
}

static int compare_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The accepted names of a directory, sorted. @fd is taken over. */
static int read_names(int fd, name_filter *filter, int (*compare)(const void *, const void *), struct names *ret)
{
	CLEANUP_DIR DIR *dir = fdopendir(fd);
	struct dirent *de;

	if (!dir) {
		int r = -errno;

		(void)close(fd);
		return r;
	}
	for (;;) {
		int r;

		errno = 0;
		de = readdir(dir);
		if (!de && errno)
			return -errno;
		if (!de)
			break;
		r = filter(de->d_name) ? names_add(ret, de->d_name) : 0;
		if (r < 0)
			return r;
	}
	if (ret->nr)
		qsort(ret->v, ret->nr, sizeof(*ret->v), compare);
	return 0;
}

/* First line of foreign text, cut where @ret is full but not within a character. */
static void first_line(const char *text, char *ret, size_t room)
{
	size_t n = strcspn(text, "\n");

	if (n >= room) {
		n = room - 1;
		while (n && ((unsigned char)text[n] & 0xc0) == 0x80)
			n--;
	}
	memcpy(ret, text, n);
	ret[n] = 0;
}

/* The first line of a group's notes, with its end. */
static void read_group_comment(int group_fd, char *ret, size_t room)
{
	CLEANUP_BUF struct buf file = { .limit = NOTES_MAX + 1 };
	const char *text;
	size_t n;

	ret[0] = 0;
	if (chunk_read_file(group_fd, "notes", NOTES_MAX, &file, NULL) < 0)
		return;
	text = buf_cstr(&file);
	if (!text)
		return;
	first_line(text, ret, room - 1);
	n = strlen(ret);
	if (text[n] == '\n')
		memcpy(ret + n, "\n", 2);
}

static void read_owner(int group_fd, char *ret, size_t room)
{
	CLEANUP_BUF struct buf file = { .limit = 4097 };

	ret[0] = 0;
	if (chunk_read_file(group_fd, "owner", 4096, &file, NULL) < 0)
		return;
	while (file.len && strchr(" \t\r\n", file.data[file.len - 1]))
		file.len--;
	if (file.len && file.len < room) {
		memcpy(ret, file.data, file.len);
		ret[file.len] = 0;
		if (strlen(ret) != file.len)
			ret[0] = 0;
	}
}

/* What opening a directory says of a name that has none: gone meanwhile, a file, a symbolic link. */
static bool is_none(int code)
{
	return code == -ENOENT || code == -ENOTDIR || code == -ELOOP;
}

struct listing {
	struct store *store;
	const char *ns;
	store_snapshot_fn *fn;
	void *arg;
};

static void add_file(struct store_snapshot_info *i, struct store_file *files, struct store_file f)
{
	files[i->nr_files++] = f;
	if (f.has_size && __builtin_add_overflow(i->size, f.size, &i->size))
		i->size = UINT64_MAX;
}

/* Files of the manifest in its order, the manifest, then what else lies there. */
static void fill_files(struct store_snapshot_info *i, struct store_file *files, const struct manifest *m,
		       uint64_t m_size, const struct names *names)
{
	for (size_t k = 0; m && k < m->nr_files; k++)
		add_file(i, files, m->files[k]);
	if (m)
		add_file(i, files, (struct store_file){ .name = MANIFEST_NAME, .has_size = true, .size = m_size,
							.crypt_mode = m->has_signature ? "sign-only" : "none" });
	for (size_t k = 0; k < names->nr; k++)
		if (!m || (strcmp(names->v[k], MANIFEST_NAME) && !manifest_find(m, names->v[k])))
			add_file(i, files, (struct store_file){ .name = names->v[k] });
	i->has_size = m != NULL;
	i->files = files;
}

CLEANUP_DEFINE(struct manifest *, manifest_free)

static int list_snapshot(const struct listing *l, int fd, struct store_snapshot_info *i)
{
	CLEANUP(manifest_freep) struct manifest *m = NULL;
	CLEANUP_BUF struct buf file = { .limit = BLOB_FILE_MAX + 1 };
	CLEANUP_NAMES struct names names = { 0 };
	CLEANUP_FREE struct store_file *files = NULL;
	struct snapshot_name want = { .time = i->time };
	struct stat st;
	int names_fd, r;

	i->finished = fstatat(fd, MANIFEST_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0;
	i->protected_ = fstatat(fd, ".protected", &st, AT_SYMLINK_NOFOLLOW) == 0;
	(void)snprintf(want.type, sizeof(want.type), "%s", i->type);
	(void)snprintf(want.id, sizeof(want.id), "%s", i->id);
	if (i->finished && chunk_read_file(fd, MANIFEST_NAME, BLOB_FILE_MAX, &file, NULL) == 0 &&
	    manifest_decode(file.data, file.len, &m, NULL) == 0 && manifest_check_name(m, &want, NULL) < 0) {
		manifest_free(m);
		m = NULL;
	}
	names_fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = names_fd < 0 ? -errno : read_names(names_fd, is_file, compare_text, &names);
	if (r < 0)
		return r;
	files = calloc(names.nr + (m ? m->nr_files : 0) + 1, sizeof(*files));
	if (!files)
		return -ENOMEM;
	fill_files(i, files, m, file.len, &names);
	if (m && m->notes)
		first_line(m->notes, i->comment, sizeof(i->comment));
	if (m && m->has_fp)
		(void)key_fp_format(m->fp, i->fingerprint);
	i->verify_state = m ? m->verify_state : NULL;
	i->verify_upid = m ? m->verify_upid : NULL;
	return l->fn(l->arg, i);
}

/* Return: 0, also if there is no such directory: then *ret_none; negative errno. */
static int list_group(const struct listing *l, const char *type, const char *id, bool *ret_none, struct err *err)
{
	CLEANUP_NAMES struct names times = { 0 };
	char path[NAMES_SNAPSHOT_TEXT], owner[128], comment[256];
	CLEANUP_CLOSE int group = -1;
	struct err why = ERR_INIT;
	int r;

	(void)snprintf(path, sizeof(path), "%s/%s", type, id);
	group = store_open_dir(l->store, l->ns, path, &why);
	*ret_none = is_none(group);
	if (group < 0)
		return *ret_none ? 0 : err_text(err, group, "%s", why.text);
	read_owner(group, owner, sizeof(owner));
	read_group_comment(group, comment, sizeof(comment));
	r = openat(group, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = r < 0 ? -errno : read_names(r, is_time, compare_text, &times);
	if (r < 0)
		return err_set(err, r, "list '%s'", path);
	for (size_t k = 0; k < times.nr && r >= 0; k++) {
		struct store_snapshot_info i = { .type = type, .id = id };
		CLEANUP_CLOSE int fd = openat(group, times.v[k], O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

		if (fd < 0 && is_none(-errno))
			continue;
		if (fd < 0)
			return store_denied(l->store, -errno, path, err);
		(void)names_parse_time(times.v[k], NAMES_TIME_TEXT - 1, &i.time);
		memcpy(i.owner, owner, sizeof(owner));
		memcpy(i.group_comment, comment, sizeof(comment));
		r = list_snapshot(l, fd, &i);
	}
	return r;
}

int store_list_group(struct store *s, const char *ns, const char *type, const char *id, store_snapshot_fn *fn,
		     void *arg, struct err *err)
{
	const struct listing l = { .store = s, .ns = ns, .fn = fn, .arg = arg };
	bool none;
	int r;

	if (names_check_type(type) < 0 || names_check_id(id, strlen(id)) < 0)
		return err_text(err, -EINVAL, "bad group name");
	r = list_group(&l, type, id, &none, err);
	return r == 0 && none ? err_text(err, -ENOENT, "group %s/%s does not exist", type, id) : r;
}

struct ns_listing {
	struct store *store;
	store_ns_fn *fn;
	void *arg;
};

/* Names are at most 7 levels deep (names_ns_path() refuses more), so this does not recurse far. */
static int list_ns(const struct ns_listing *l, const char *ns, unsigned int depth, struct err *err)
{
	CLEANUP_NAMES struct names names = { 0 };
	char below[NAMES_NS_MAX + NAMES_ID_MAX + 2], inner[NAMES_ID_MAX + 4];
	CLEANUP_BUF struct buf path = BUF_INIT;
	int r = l->fn(l->arg, ns);

	if (r < 0 || !depth)
		return r;
	r = store_open_dir(l->store, ns, "ns", NULL);
	if (is_none(r))
		return 0;
	if (r >= 0)
		r = read_names(r, is_id, compare_text, &names);
	if (r < 0)
		return store_denied(l->store, r, "read namespaces", err);
	for (size_t k = 0; k < names.nr && r == 0; k++) {
		(void)snprintf(below, sizeof(below), "%s%s%s", ns, *ns ? "/" : "", names.v[k]);
		buf_reset(&path);
		if (names_ns_path(below, &path) < 0)
			continue;	/* too deep or too long for a namespace */
		(void)snprintf(inner, sizeof(inner), "ns/%s", names.v[k]);
		r = store_open_dir(l->store, ns, inner, NULL);
		if (is_none(r)) {
			r = 0;
			continue;
		}
		if (r < 0)
			return store_denied(l->store, r, "read namespaces", err);
		(void)close(r);
		r = list_ns(l, below, depth - 1, err);
	}
	return r < 0 ? r : 0;
}

int store_list_ns(struct store *s, const char *ns, unsigned int depth, store_ns_fn *fn, void *arg, struct err *err)
{
	const struct ns_listing l = { .store = s, .fn = fn, .arg = arg };
	CLEANUP_CLOSE int base = store_open_dir(s, ns, ".", err);

	if (base < 0)
		return base == -ENOENT ? err_text(err, -ENOENT, "namespace '%s' does not exist", ns) : base;
	return list_ns(&l, ns, depth, err);
}

int store_list(struct store *s, const char *ns, store_snapshot_fn *fn, void *arg, struct err *err)
{
	static const char *const types[] = { "ct", "host", "vm" };
	struct listing l = { .store = s, .ns = ns, .fn = fn, .arg = arg };
	CLEANUP_CLOSE int base = store_open_dir(s, ns, ".", err);

	if (base < 0)
		return base == -ENOENT ? err_text(err, -ENOENT, "namespace '%s' does not exist", ns) : base;
	for (size_t t = 0; t < 3; t++) {
		CLEANUP_NAMES struct names ids = { 0 };
		bool none;
		int r = store_open_dir(s, ns, types[t], err);

		if (r == -ENOENT) {
			if (err)
				*err = ERR_INIT;
			continue;
		}
		if (r >= 0)
			r = read_names(r, is_id, compare_ids, &ids);
		for (size_t k = 0; k < ids.nr && r >= 0; k++)
			r = list_group(&l, types[t], ids.v[k], &none, err);
		if (r < 0)
			return err && err->text[0] ? r : err_set(err, r, "list '%s'", types[t]);
	}
	return 0;
}
