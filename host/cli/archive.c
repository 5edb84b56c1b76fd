/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/cli/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "host/archive/catalog.h"
#include "host/archive/stream.h"

#define NAME_MAX_STORED 256
#define CATALOG_CACHE ((size_t)16 << 20)
#define UNIFIED ".pxar.didx"
#define META ".mpxar.didx"
#define PAYLOAD ".ppxar.didx"

static const char *find(const struct snapshot *sn, const char *stem, size_t len, const char *suffix)
{
	const struct store_file *f;
	size_t nr;

	f = snapshot_files(sn, &nr);
	for (size_t i = 0; i < nr; i++)
		if (!strncmp(f[i].name, stem, len) && !strcmp(f[i].name + len, suffix))
			return f[i].name;
	return NULL;
}

/* Return: length without the suffix, or without it and ".didx"; 0 if it has neither. */
static size_t stem_of(const char *p, size_t len, const char *suffix)
{
	const size_t full = strlen(suffix), brief = full - strlen(".didx");

	if (len > full && !memcmp(p + len - full, suffix, full))
		return len - full;
	if (len > brief && !memcmp(p + len - brief, suffix, brief))
		return len - brief;
	return 0;
}

const char *archive_resolve(const struct snapshot *sn, const char *p, size_t len)
{
	const char *name = NULL;
	size_t n;

	if (len >= NAME_MAX_STORED || memchr(p, 0, len))
		return NULL;
	n = stem_of(p, len, META);
	n = n ? n : stem_of(p, len, PAYLOAD);
	if (n)
		return find(sn, p, n, META);
	n = stem_of(p, len, UNIFIED);
	n = n ? n : len;
	name = find(sn, p, n, UNIFIED);
	return name ? name : find(sn, p, n, META);
}

static int open_source(struct snapshot *sn, const char *file, struct source **ret, struct err *err)
{
	struct chunks *c;
	int r = snapshot_open_archive(sn, file, &c, err);

	return r < 0 ? r : stream_open(c, STREAM_CACHE_BYTES, ret, err);
}

int archive_open(struct snapshot *sn, const char *stored, struct archive_file *ret, struct err *err)
{
	const size_t stem = stem_of(stored, strlen(stored), META);
	const char *payload = stem ? find(sn, stored, stem, PAYLOAD) : NULL;
	struct archive_file f = { 0 };
	int r = open_source(sn, stored, &f.meta, err);

	if (r == 0 && payload)
		r = open_source(sn, payload, &f.payload, err);
	if (r == 0)
		r = access_open(f.meta, f.payload, &f.a, err);
	if (r < 0) {
		archive_close(&f);
		return err_ctx(err, r, "archive '%s'", stored);
	}
	*ret = f;
	return 0;
}

struct chunks *archive_data_chunks(const struct archive_file *f)
{
	struct source *s = access_is_split(f->a) ? f->payload : f->meta;

	return s ? stream_chunks(s) : NULL;
}

static int open_plain(const char *file, struct source **ret, struct err *err)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char q[300];

	if (fd < 0)
		return err_set(err, -errno, "open '%s'", log_quote(file, strlen(file), q, sizeof(q)));
	return source_open_raw(fd, ret, err);
}

int archive_open_plain(const struct archive_name *name, struct archive_file *ret, struct err *err)
{
	struct archive_file f = { 0 };
	int r = open_plain(name->meta, &f.meta, err);

	if (r == 0 && name->payload)
		r = open_plain(name->payload, &f.payload, err);
	if (r == 0)
		r = access_open(f.meta, f.payload, &f.a, err);
	if (r < 0) {
		archive_close(&f);
		return r;
	}
	*ret = f;
	return 0;
}

int archive_open_catalog(struct snapshot *sn, struct source **ret, struct err *err)
{
	struct chunks *c;
	int r = snapshot_open_archive(sn, CATALOG_NAME, &c, err);

	return r < 0 ? r : stream_open(c, CATALOG_CACHE, ret, err);
}

void archive_close(struct archive_file *f)
{
	access_free(f->a);
	source_close(f->meta);
	source_close(f->payload);
	*f = (struct archive_file){ 0 };
}

struct archive_stream {
	struct archive_file f;
	struct tree *tree;		/* NULL: the contents of m */
	struct access_member *m;
	uint64_t off;
};

bool archive_stream_is_container(const struct archive_stream *s)
{
	return s->tree && tree_is_container(s->tree);
}

void archive_stream_want(struct archive_stream *s, const struct filter *f, bool no_data)
{
	if (s->tree)
		tree_want(s->tree, f, no_data);
}

void archive_stream_close(struct archive_stream *s)
{
	if (!s)
		return;
	tree_free(s->tree);
	access_member_free(s->m);
	archive_close(&s->f);
	free(s);
}

CLEANUP_DEFINE(struct archive_stream *, archive_stream_close)
CLEANUP_DEFINE(struct access_member *, access_member_free)

static int open_contents(struct archive_stream *s, const char *inner, size_t len, struct err *err)
{
	CLEANUP(access_member_freep) struct access_member *link = access_member_new();
	int r;

	s->m = access_member_new();
	if (!s->m || !link)
		return err_set(err, -ENOMEM, "extract");
	r = access_find(s->f.a, inner, len, s->m, err);
	if (r == 0 && s->m->entry.kind == PXAR_KIND_HARDLINK) {
		struct access_member *target = link;

		link = s->m;
		s->m = target;
		r = access_follow(s->f.a, link, target, err);
	}
	if (r < 0)
		return r;
	if (s->m->entry.kind == PXAR_KIND_DIR)
		return err_text(err, -EINVAL, "a directory has no contents to write: use --format tar");
	return access_check_data(s->f.a, s->m, err);
}

int archive_stream_of(struct archive_file *f, const char *inner, size_t inner_len, enum archive_form form,
		      tree_note_fn *note, void *arg, struct archive_stream **ret, struct err *err)
{
	CLEANUP(archive_stream_closep) struct archive_stream *s = calloc(1, sizeof(*s));
	int r;

	if (!s) {
		archive_close(f);
		return err_set(err, -ENOMEM, "extract");
	}
	s->f = *f;
	*f = (struct archive_file){ 0 };
	if (form == ARCHIVE_PLAIN)
		r = open_contents(s, inner, inner_len, err);
	else
		r = tree_open(s->f.a, inner, inner_len, form == ARCHIVE_RESTORE, note, arg, &s->tree, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(s);
	return 0;
}

int archive_stream_open(struct snapshot *sn, const char *stored, const char *inner, size_t inner_len,
			enum archive_form form, tree_note_fn *note, void *arg, struct archive_stream **ret,
			struct err *err)
{
	struct archive_file f;
	int r = archive_open(sn, stored, &f, err);

	if (r < 0)
		return r;
	r = archive_stream_of(&f, inner, inner_len, form, note, arg, ret, err);
	return r < 0 ? err_ctx(err, r, "archive '%s'", stored) : 0;
}

ssize_t archive_stream_read(struct archive_stream *s, void *p, size_t n, struct err *err)
{
	uint64_t left;
	int r;

	if (s->tree)
		return tree_read(s->tree, p, n, err);
	left = s->m->entry.size - s->off;
	if (n > left)
		n = (size_t)left;
	if (n > SSIZE_MAX)
		n = SSIZE_MAX;
	if (!n)
		return 0;
	r = access_read(s->f.a, s->m, p, n, s->off, err);
	if (r < 0)
		return r;
	s->off += n;
	return (ssize_t)n;
}

char archive_type(const struct pxar_entry *e)
{
	static const char types[] = { [PXAR_KIND_DIR] = 'd', [PXAR_KIND_FILE] = 'f', [PXAR_KIND_SYMLINK] = 'l',
				      [PXAR_KIND_HARDLINK] = 'h', [PXAR_KIND_FIFO] = 'p', [PXAR_KIND_SOCKET] = 's',
				      [PXAR_KIND_DEVICE] = 'c' };

	return e->kind == PXAR_KIND_DEVICE && S_ISBLK(e->mode) ? 'b' : types[e->kind];
}
