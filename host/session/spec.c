/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/session/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <jansson.h>
#include <openssl/evp.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "host/source/store/key.h"
#include "host/source/store/store.h"

struct spec_copy {
	struct session_spec spec;
	struct session_disk disks[SESSION_DISKS_MAX];
	json_t *json;		/* owns the strings */
	struct crypt_key key;
};

static int check_name(const char *name, struct err *err)
{
	size_t len = name ? strlen(name) : 0;

	if (!len || len > WIRE_DISK_NAME_MAX || strchr(name, '/') || strchr(name, '\n') || !strcmp(name, ".") ||
		!strcmp(name, ".."))
		return err_text(err, -EINVAL, "a disk cannot have this name (1 to 255 bytes, no '/' or line feed)");
	return 0;
}

/* The agent parses it; here it must only be text of its form. */
static int check_mount(const char *text, struct err *err)
{
	size_t len = text ? strlen(text) : 0;

	for (size_t i = 0; i < len; i++)
		if (((unsigned char)text[i] < ' ' && text[i] != '\n') || (unsigned char)text[i] > '~')
			return err_text(err, -EINVAL, "options for mounts: only printable ASCII");
	if (len > WIRE_MOUNT_MAX || (len && text[len - 1] != '\n'))
		return err_text(err, -EINVAL, "options for mounts: too long");
	return 0;
}

int spec_check(const struct session_spec *spec, struct err *err)
{
	if (!spec->nr_disks)
		return err_text(err, -EINVAL, "no disks");
	if (spec->nr_disks > SESSION_DISKS_MAX)
		return err_text(err, -E2BIG, "%zu disks: at most %d fit one session", spec->nr_disks, SESSION_DISKS_MAX);
	if (spec->memory_mib && (spec->memory_mib < SPEC_MEMORY_MIN_MIB || spec->memory_mib > SPEC_MEMORY_MAX_MIB))
		return err_text(err, -EINVAL, "memory of %u MiB: %d to %d will do", spec->memory_mib,
			SPEC_MEMORY_MIN_MIB, SPEC_MEMORY_MAX_MIB);
	for (size_t i = 0; i < spec->nr_disks; i++) {
		int r = check_name(spec->disks[i].name, err);

		if (r < 0)
			return r;
		if (spec->repository ? !spec->disks[i].archive : !spec->disks[i].file)
			return err_text(err, -EINVAL, "disk '%s' without a source", spec->disks[i].name);
		for (size_t k = 0; k < i; k++)
			if (!strcmp(spec->disks[i].name, spec->disks[k].name))
				return err_text(err, -EINVAL, "two disks are named '%s'", spec->disks[i].name);
	}
	if (spec->repository && !spec->snapshot)
		return err_text(err, -EINVAL, "no snapshot");
	return check_mount(spec->mount, err);
}

/* A snapshot removed and made again under its name is another one. */
static void add_snapshot_identity(struct buf *b, const char *repo, const struct session_spec *spec)
{
	CLEANUP_BUF struct buf path = BUF_INIT;
	CLEANUP_FREE char *ns = strdup(spec->ns ? spec->ns : "");
	char *save = NULL;
	struct statx sx;

	buf_str(&path, repo);
	for (char *p = ns ? strtok_r(ns, "/", &save) : NULL; p; p = strtok_r(NULL, "/", &save))
		buf_fmt(&path, "/ns/%s", p);
	buf_fmt(&path, "/%s", spec->snapshot);
	if (buf_ok(&path) == 0 && statx(AT_FDCWD, buf_cstr(&path), 0, STATX_INO | STATX_BTIME, &sx) == 0)
		buf_fmt(b, "%u:%u %llu %lld.%u", sx.stx_dev_major, sx.stx_dev_minor, (unsigned long long)sx.stx_ino,
			(long long)sx.stx_btime.tv_sec, sx.stx_btime.tv_nsec);
	buf_u8(b, 0);
}

/* One text for each disk, the same for every call that means the same disk. */
static int disk_key(const struct session_spec *spec, const struct session_disk *d, char **ret, struct err *err)
{
	struct stat st;
	int n;

	if (spec->repository) {
		n = asprintf(ret, "%s %s", d->archive, d->name);
	} else if (stat(d->file, &st) < 0) {
		*ret = NULL;
		return err_set(err, -errno, "open '%s'", d->file);
	} else {
		n = asprintf(ret, "%llu %llu %llu %lld.%09ld %s", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino,
			     (unsigned long long)st.st_size, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, d->name);
	}
	if (n < 0) {
		*ret = NULL;
		return err_set(err, -ENOMEM, "session");
	}
	return 0;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_disks(struct buf *b, const struct session_spec *spec, struct err *err)
{
	char *keys[SESSION_DISKS_MAX] = { NULL };
	int r = 0;

	for (size_t i = 0; i < spec->nr_disks && r == 0; i++)
		r = disk_key(spec, &spec->disks[i], &keys[i], err);
	if (r == 0)
		qsort(keys, spec->nr_disks, sizeof(*keys), compare);
	for (size_t i = 0; i < spec->nr_disks; i++) {
		if (r == 0)
			buf_add(b, keys[i], strlen(keys[i]) + 1);
		free(keys[i]);
	}
	return r;
}

int spec_hash(const struct session_spec *spec, char ret[static STATE_HASH_LEN + 1], struct err *err)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	CLEANUP_FREE char *repo = NULL;
	unsigned char md[EVP_MAX_MD_SIZE];
	int r;

	if (spec->repository) {
		repo = realpath(spec->repository, NULL);
		if (!repo)
			return err_set(err, -errno, "repository '%s'", spec->repository);
		buf_add(&b, repo, strlen(repo) + 1);
		buf_add(&b, spec->ns ? spec->ns : "", (spec->ns ? strlen(spec->ns) : 0) + 1);
		buf_add(&b, spec->snapshot, strlen(spec->snapshot) + 1);
		add_snapshot_identity(&b, repo, spec);
	}
	r = add_disks(&b, spec, err);
	if (r < 0)
		return r;
	if (spec->mount)
		buf_str(&b, spec->mount);
	if (buf_ok(&b) < 0 || !EVP_Digest(b.data, b.len, md, NULL, EVP_sha256(), NULL))
		return err_set(err, -ENOMEM, "session");
	for (int i = 0; i < STATE_HASH_LEN / 2; i++)
		(void)sprintf(ret + 2 * i, "%02x", md[i]);
	return 0;
}

int spec_open_state(const struct session_spec *spec, char ret_hash[static STATE_HASH_LEN + 1], struct err *err)
{
	int r = spec_check(spec, err);

	if (r == 0)
		r = spec_hash(spec, ret_hash, err);
	return r < 0 ? r : state_open_dir(err);
}

/* "disk:NAME=FILE,...": in one order, however the caller gave them, since they are one session. */
static void name_disks(const struct session_spec *spec, struct buf *out)
{
	char *text[SESSION_DISKS_MAX] = { NULL };
	size_t nr = 0;

	for (; nr < spec->nr_disks; nr++) {
		const struct session_disk *d = &spec->disks[nr];
		CLEANUP_FREE char *file = realpath(d->file, NULL);

		if (asprintf(&text[nr], "%s=%s", d->name, file ? file : d->file) < 0) {
			out->error = -ENOMEM;
			break;
		}
	}
	qsort(text, nr, sizeof(*text), compare);
	buf_str(out, "disk:");
	for (size_t i = 0; i < nr; i++) {
		buf_fmt(out, "%s%s", i ? "," : "", text[i]);
		free(text[i]);
	}
}

/* "fs-type ext4\n" becomes " fs-type=ext4". */
static void add_mount_name(struct buf *b, const char *text)
{
	while (text && *text) {
		const size_t key = strcspn(text, " "), line = strcspn(text, "\n");

		if (key >= line)
			return;
		buf_fmt(b, " %.*s=%.*s", (int)key, text, (int)(line - key - 1), text + key + 1);
		text += line + (text[line] == '\n');
	}
}

char *session_name(const struct session_spec *spec)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	CLEANUP_FREE char *repo = NULL;

	if (spec->repository) {
		repo = realpath(spec->repository, NULL);
		buf_fmt(&b, "%s:", repo ? repo : spec->repository);
		if (spec->ns && *spec->ns)
			buf_fmt(&b, "%s/", spec->ns);
		buf_str(&b, spec->snapshot);
	} else {
		name_disks(spec, &b);
	}
	add_mount_name(&b, spec->mount);
	return buf_cstr(&b) ? strdup(buf_cstr(&b)) : NULL;
}

void spec_tell_disks(const struct session_spec *spec, struct jsonw *w)
{
	jsonw_key(w, "disks");
	jsonw_array_begin(w);
	for (size_t i = 0; i < spec->nr_disks; i++)
		jsonw_string(w, spec->disks[i].name, strlen(spec->disks[i].name));
	jsonw_array_end(w);
}

/* Paths may have any bytes, JSON strings may not: one character a byte. */
static json_t *bytes(const char *s)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	for (; s && *s; s++)
		buf_fmt(&b, "%02x", (unsigned char)*s);
	return s ? json_string(b.len ? buf_cstr(&b) : "") : json_null();
}

/* Decodes in place: half the digits become the bytes. */
static int unbytes(json_t *j, const char *key, json_t *store, const char **ret)
{
	json_t *v = json_object_get(j, key);
	CLEANUP_FREE char *out = NULL;
	const char *s;
	size_t n;

	*ret = NULL;
	if (!v || json_is_null(v))
		return 0;
	s = json_string_value(v);
	n = s ? strlen(s) : 1;
	out = malloc(n + 1);
	if (!out || n % 2)
		return out ? -EBADMSG : -ENOMEM;
	for (size_t i = 0; i < n / 2; i++) {
		unsigned int byte;

		if (sscanf(s + 2 * i, "%2x", &byte) != 1 || !byte)
			return -EBADMSG;
		out[i] = (char)byte;
	}
	out[n / 2] = 0;
	v = json_stringn_nocheck(out, n / 2);
	if (!v || json_array_append_new(store, v) < 0)
		return -ENOMEM;
	*ret = json_string_value(v);
	return 0;
}

char *spec_to_json(const struct session_spec *spec)
{
	CLEANUP_FREE char *repo = spec->repository ? realpath(spec->repository, NULL) : NULL;
	json_t *disks = json_array(), *j;
	char *text;

	for (size_t i = 0; i < spec->nr_disks; i++) {
		const struct session_disk *d = &spec->disks[i];
		CLEANUP_FREE char *file = d->file ? realpath(d->file, NULL) : NULL;

		(void)json_array_append_new(disks, json_pack("{s:o,s:o,s:o}", "name", bytes(d->name), "file",
							   bytes(file ? file : d->file), "archive", bytes(d->archive)));
	}
	j = json_pack("{s:o,s:o,s:o,s:o,s:o,s:I,s:I,s:I,s:I,s:I,s:I}", "repository",
		bytes(repo ? repo : spec->repository), "ns", bytes(spec->ns), "snapshot", bytes(spec->snapshot), "mount",
		bytes(spec->mount), "disks", disks, "memory", (json_int_t)spec->memory_mib, "idle",
		(json_int_t)spec->idle_timeout_s, "accel", (json_int_t)spec->accel, "reduced",
		(json_int_t)spec->reduced_jail, "debug", (json_int_t)spec->debug, "lock", (json_int_t)spec->lock);
	text = j ? json_dumps(j, JSON_COMPACT) : NULL;
	json_decref(j);
	return text;
}

static int take_number(json_t *j, const char *key, uint32_t *ret)
{
	json_t *v = json_object_get(j, key);

	if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > UINT32_MAX)
		return -EBADMSG;
	*ret = (uint32_t)json_integer_value(v);
	return 0;
}

static int take_all(struct spec_copy *c, json_t *j, json_t *store)
{
	json_t *disks = json_object_get(j, "disks");
	uint32_t accel, reduced, debug;

	if (!json_is_array(disks) || json_array_size(disks) > SESSION_DISKS_MAX ||
		take_number(j, "memory", &c->spec.memory_mib) < 0 ||
		take_number(j, "idle", &c->spec.idle_timeout_s) < 0 || take_number(j, "accel", &accel) < 0 ||
		take_number(j, "reduced", &reduced) < 0 || take_number(j, "debug", &debug) < 0 ||
		take_number(j, "lock", &c->spec.lock) < 0 || c->spec.lock > STORE_LOCK_NONE ||
		unbytes(j, "repository", store, &c->spec.repository) < 0 || unbytes(j, "ns", store, &c->spec.ns) < 0 ||
		unbytes(j, "snapshot", store, &c->spec.snapshot) < 0 ||
		unbytes(j, "mount", store, &c->spec.mount) < 0)
		return -EBADMSG;
	c->spec.accel = (enum session_accel)accel;
	c->spec.reduced_jail = reduced;
	c->spec.debug = debug;
	c->spec.disks = c->disks;
	c->spec.nr_disks = json_array_size(disks);
	for (size_t i = 0; i < c->spec.nr_disks; i++) {
		json_t *d = json_array_get(disks, i);

		if (unbytes(d, "name", store, &c->disks[i].name) < 0 || unbytes(d, "file", store, &c->disks[i].file) < 0 ||
		    unbytes(d, "archive", store, &c->disks[i].archive) < 0)
			return -EBADMSG;
	}
	return 0;
}

int spec_from_json(const char *text, size_t len, struct spec_copy **ret, struct err *err)
{
	CLEANUP(spec_copy_freep) struct spec_copy *c = calloc(1, sizeof(*c));
	json_t *j;
	int r;

	if (!c)
		return err_set(err, -ENOMEM, "spec");
	c->json = json_array();
	j = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	r = j && c->json ? take_all(c, j, c->json) : -EBADMSG;
	json_decref(j);
	if (r < 0)
		return err_set(err, r, "spec of the session");
	r = spec_check(&c->spec, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(c);
	return 0;
}

int spec_copy_set_key(struct spec_copy *c, const void *data, struct err *err)
{
	(void)mlock(&c->key, sizeof(c->key));	/* where the limits allow it */
	if (crypt_key_init(&c->key, data) < 0)
		return err_text(err, -EIO, "derive from the key");
	c->spec.key = &c->key;
	return 0;
}

const struct session_spec *spec_copy_get(const struct spec_copy *c)
{
	return &c->spec;
}

void spec_copy_free(struct spec_copy *c)
{
	if (!c)
		return;
	json_decref(c->json);
	crypt_key_wipe(&c->key);
	free(c);
}
