/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing a snapshot. Locks first, chunks next, index files, and the manifest last of all, when everything else is on the
 * disk: a snapshot is there as a whole or has no manifest. A failed backup removes its directory; chunks that it wrote are
 * left to garbage collection.
 */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "host/source/store/backup_image.h"
#include "host/source/store/blob.h"
#include "host/source/store/index_fixed.h"
#include "host/source/store/priv.h"
#include "host/source/store/put.h"

struct backup {
	const struct store *store;
	const char *ns;
	struct snapshot_name name;
	char time_text[NAMES_TIME_TEXT];
	int group_fd, fd, gc_fd;	/* group and snapshot directory; the lock on the whole store */
	bool new_group, new_snapshot;
	struct lock group_lock, lock;
	const struct crypt_key *key;	/* signs the manifest; NULL: nobody does */
	bool sign_only;			/* and encrypts nothing */
	json_t *files;
	struct backup_stats stats;
	backup_progress_fn *progress;
	void *arg;
};

/* Removes the files of an unfinished snapshot and its directory. */
static void undo_snapshot(struct backup *b)
{
	CLEANUP_DIR DIR *dir = fdopendir(b->fd);
	struct dirent *de;

	if (dir)
		b->fd = -1;	/* closed with dir */
	while (dir && (de = readdir(dir)))
		(void)unlinkat(dirfd(dir), de->d_name, 0);
	(void)unlinkat(b->group_fd, b->time_text, AT_REMOVEDIR);
}

/* The same for the group. Nobody else is in it while we hold its lock. */
static void undo_group(struct backup *b)
{
	CLEANUP_CLOSE int type_fd = -1;

	(void)unlinkat(b->group_fd, "owner", 0);
	type_fd = store_open_dir(b->store, b->ns, b->name.type, NULL);
	if (type_fd >= 0)
		(void)unlinkat(type_fd, b->name.id, AT_REMOVEDIR);
}

static void backup_end(struct backup *b)
{
	if (b->new_snapshot)
		undo_snapshot(b);
	if (b->new_group && b->group_lock.dir_fd >= 0)
		undo_group(b);
	if (b->fd >= 0)
		(void)close(b->fd);
	if (b->group_fd >= 0)
		(void)close(b->group_fd);
	lock_release(&b->lock);
	lock_release(&b->group_lock);
	if (b->gc_fd >= 0)
		(void)close(b->gc_fd);
	json_decref(b->files);
}

/* The group has an owner from its first backup on. */
static int write_owner(const struct backup *b, struct err *err)
{
	struct passwd *pw = getpwuid(geteuid());
	bool usable = pw && names_check_id(pw->pw_name, strlen(pw->pw_name)) == 0;
	char line[128];

	if (faccessat(b->group_fd, "owner", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	(void)snprintf(line, sizeof(line), "%.100s@pam\n", usable ? pw->pw_name : "root");
	return put_file(b->store, b->group_fd, "owner", ".tmp_owner", line, strlen(line), err);
}

static int open_group(struct backup *b, struct err *err)
{
	char path[NAMES_SNAPSHOT_TEXT];
	CLEANUP_CLOSE int base = -1, type_fd = -1;
	int r;

	base = store_open_dir(b->store, b->ns, ".", err);
	if (base < 0)
		return base == -ENOENT ? err_text(err, -ENOENT, "namespace '%s' does not exist", b->ns) : base;
	r = put_dir(b->store, base, b->name.type, NULL, err);
	if (r < 0)
		return r;
	type_fd = openat(base, b->name.type, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (type_fd < 0)
		return err_set(err, -errno, "open '%s'", b->name.type);
	r = put_dir(b->store, type_fd, b->name.id, &b->new_group, err);
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "%s/%s", b->name.type, b->name.id);
	b->group_fd = store_open_dir(b->store, b->ns, path, err);
	if (b->group_fd < 0)
		return b->group_fd;
	r = lock_take(b->store->path, b->ns, path, b->group_fd, true, &b->group_lock, err);
	return r == 0 ? write_owner(b, err) : r;
}

static int open_snapshot(struct backup *b, struct err *err)
{
	char path[NAMES_SNAPSHOT_TEXT];
	int r;

	(void)names_format_snapshot(&b->name, path);
	r = put_dir(b->store, b->group_fd, b->time_text, &b->new_snapshot, err);
	if (r < 0)
		return r;
	if (!b->new_snapshot)
		return err_text(err, -EEXIST, "snapshot %s exists already", path);
	b->fd = store_open_dir(b->store, b->ns, path, err);
	if (b->fd < 0)
		return b->fd;
	return lock_take(b->store->path, b->ns, path, b->fd, true, &b->lock, err);
}

static const struct crypt_key *encrypts(const struct backup *b)
{
	return b->sign_only ? NULL : b->key;
}

static int add_file(struct backup *b, const char *name, uint64_t size, const uint8_t csum[static 32])
{
	const char *mode = !b->key ? "none" : b->sign_only ? "sign-only" : "encrypt";
	char hex[DIGEST_HEX + 1];

	digest_to_hex(csum, hex);
	return json_array_append_new(b->files, json_pack("{s:s,s:s,s:s,s:I}", "filename", name, "crypt-mode", mode, "csum",
							 hex, "size", (json_int_t)size)) < 0 ? -ENOMEM : 0;
}

/* Writes a finished file of the snapshot under its stored name. */
static int put(struct backup *b, const char *stored, const struct buf *file, struct err *err)
{
	size_t stem = strlen(stored) - 4;	/* "x.img.fidx" is "x.img.tmp_fidx" until it is whole */
	char tmp[NAMES_ID_MAX + 8];

	(void)snprintf(tmp, sizeof(tmp), "%.*stmp_%s", (int)stem, stored, stored + stem);
	return put_file(b->store, b->fd, stored, tmp, file->data, file->len, err);
}

static int add_image(struct backup *b, const struct backup_input *in, const char *stored, struct err *err)
{
	CLEANUP_BUF struct buf file = { .limit = INDEX_FILE_MAX };
	CLEANUP_FREE uint8_t *digests = NULL;
	uint8_t uuid[16], csum[32];
	uint64_t size;
	int r;

	r = backup_image(b->store, in, encrypts(b), b->progress, b->arg, &b->stats, &digests, &size, err);
	if (r < 0)
		return r;
	if (getrandom(uuid, sizeof(uuid), 0) != sizeof(uuid))
		return err_set(err, -errno, "random bytes");
	uuid[6] = (uuid[6] & 0x0f) | 0x40;
	uuid[8] = (uuid[8] & 0x3f) | 0x80;
	r = index_fixed_write(size, BACKUP_CHUNK_BYTES, digests, uuid, b->name.time, &file, csum);
	if (r < 0)
		return err_set(err, r, "make '%s'", stored);
	r = put(b, stored, &file, err);
	if (r == 0 && add_file(b, stored, size, csum) < 0)
		r = err_set(err, -ENOMEM, "make manifest");
	return r;
}

static int read_input(const struct backup_input *in, struct buf *out, struct err *err)
{
	for (;;) {
		uint8_t *p = buf_reserve(out, 65536);
		ssize_t n = p ? pread(in->fd, p, 65536, (off_t)out->len) : -1;

		if (!p)
			return err_set(err, buf_ok(out) == -E2BIG ? -EFBIG : -ENOMEM, "read '%s'", in->name);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(err, -errno, "read '%s'", in->name);
		if (!n)
			return 0;
		out->len += (size_t)n;
	}
}

static int add_blob(struct backup *b, const struct backup_input *in, const char *stored, struct err *err)
{
	CLEANUP_BUF struct buf text = { .limit = BLOB_CHUNK_MAX }, file = BUF_INIT;
	struct blob_codec *codec = blob_codec_new();
	uint8_t csum[32];
	int r;

	if (!codec)
		return err_set(err, -ENOMEM, "back up '%s'", in->name);
	r = read_input(in, &text, err);
	if (r == 0 && (r = blob_encode_key(codec, encrypts(b), text.data, text.len, &file)) < 0)
		(void)err_set(err, r, "encode '%s'", in->name);
	blob_codec_free(codec);
	if (r == 0)
		r = put(b, stored, &file, err);
	if (r < 0)
		return r;
	if (digest_sha256(file.data, file.len, NULL, 0, csum) < 0 || add_file(b, stored, file.len, csum) < 0)
		return err_set(err, -ENOMEM, "make manifest");
	b->stats.bytes += text.len;
	b->stats.new_bytes += file.len;
	return 0;
}

static int add_input(struct backup *b, const struct backup_input *in, struct err *err)
{
	CLEANUP_BUF struct buf stored = BUF_INIT;
	int kind;

	if (names_stored(in->name, &stored) < 0 || !buf_cstr(&stored) || !strcmp(buf_cstr(&stored), MANIFEST_NAME))
		return err_text(err, -EINVAL, "'%s' is no name for an archive (NAME.img or NAME.conf)", in->name);
	kind = names_file_kind(buf_cstr(&stored), stored.len);
	if (faccessat(b->fd, buf_cstr(&stored), F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return err_text(err, -EINVAL, "'%s' is given twice", in->name);
	if (kind == NAMES_FIDX)
		return add_image(b, in, buf_cstr(&stored), err);
	if (kind == NAMES_BLOB)
		return add_blob(b, in, buf_cstr(&stored), err);
	return err_text(err, -EINVAL, "'%s': only images (.img) and small files (.conf, .log, .json) can be backed up",
			in->name);
}

static json_t *make_manifest(const struct backup *b)
{
	const struct backup_stats *st = &b->stats;

	return json_pack("{s:s,s:s,s:I,s:O,s:n,s:{s:{s:I,s:I,s:I,s:I}}}", "backup-type", b->name.type, "backup-id", b->name.id,
			 "backup-time", (json_int_t)b->name.time, "files", b->files, "signature", "unprotected",
			 "chunk_upload_stats", "count", (json_int_t)st->chunks, "size", (json_int_t)st->bytes,
			 "compressed_size", (json_int_t)st->new_bytes, "duplicates",
			 (json_int_t)(st->chunks - st->new_chunks));
}

/* Signs all of it but what is marked as unprotected. */
static int sign(const struct backup *b, json_t *root)
{
	const struct manifest m = { .root = root };
	CLEANUP_BUF struct buf text = BUF_INIT;
	char hex[DIGEST_HEX + 1], fp[KEY_FP_TEXT];
	uint8_t sig[32];
	int r;

	if (!b->key)
		return 0;
	r = manifest_canonical(&m, &text);
	if (r == 0)
		r = crypt_key_sign(b->key, text.data, text.len, sig);
	if (r < 0)
		return r;
	digest_to_hex(sig, hex);
	if (json_object_set_new(root, "signature", json_string(hex)) < 0 ||
	    json_object_set_new(json_object_get(root, "unprotected"), "key-fingerprint",
				json_string(key_fp_format(b->key->fingerprint, fp))) < 0)
		return -ENOMEM;
	return 0;
}

static int fsync_file(int dirfd, const char *name)
{
	CLEANUP_CLOSE int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* All that the manifest will promise is on the disk before it gets its name. */
static int finish(struct backup *b, struct err *err)
{
	static const char tmp[] = "index.json.tmp_blob";
	json_auto_t *root = make_manifest(b);
	CLEANUP_FREE char *text = root && sign(b, root) == 0 ? json_dumps(root, JSON_INDENT(2) | JSON_SORT_KEYS) : NULL;
	CLEANUP_BUF struct buf file = BUF_INIT;
	struct blob_codec *codec = blob_codec_new();
	int r = text && codec ? blob_encode(codec, text, strlen(text), &file) : -ENOMEM;

	blob_codec_free(codec);
	if (r < 0)
		return err_set(err, r, "make manifest");
	r = put_file(b->store, b->fd, tmp, ".tmp_manifest", file.data, file.len, err);
	if (r < 0)
		return r;
	if (syncfs(b->store->chunks_fd) < 0 || syncfs(b->fd) < 0)
		return err_set(err, -errno, "write the datastore to disk");
	r = fsync_file(b->fd, tmp);
	if (r == 0 && renameat(b->fd, tmp, b->fd, MANIFEST_NAME) < 0)
		r = -errno;
	if (r == 0 && fsync(b->fd) < 0)
		r = -errno;
	return r < 0 ? err_set(err, r, "write manifest") : 0;
}

int store_backup(struct store *s, const char *ns, const char *type, const char *id, int64_t time,
		 const struct backup_input *in, size_t nr_in, backup_progress_fn *progress, void *arg,
		 struct backup_stats *ret, struct err *err)
{
	return store_backup_key(s, ns, type, id, time, in, nr_in, NULL, false, progress, arg, ret, err);
}

int store_backup_key(struct store *s, const char *ns, const char *type, const char *id, int64_t time,
		     const struct backup_input *in, size_t nr_in, const struct crypt_key *key, bool sign_only,
		     backup_progress_fn *progress, void *arg, struct backup_stats *ret, struct err *err)
{
	CLEANUP(backup_end) struct backup b = { .store = s, .ns = ns, .group_fd = -1, .fd = -1, .gc_fd = -1,
						.group_lock = LOCK_INIT, .lock = LOCK_INIT, .progress = progress, .arg = arg, .key = key,
						.sign_only = sign_only };
	int r;

	if (names_check_type(type) < 0 || names_check_id(id, strlen(id)) < 0)
		return err_text(err, -EINVAL, "bad backup type or id");
	if (time < 1 || names_format_time(time, b.time_text) < 0)
		return err_text(err, -EINVAL, "bad backup time");
	memcpy(b.name.type, type, strlen(type) + 1);
	memcpy(b.name.id, id, strlen(id) + 1);
	b.name.time = time;
	b.files = json_array();
	if (!b.files)
		return err_set(err, -ENOMEM, "backup");
	r = lock_take_store(s->fd, &b.gc_fd, err);
	if (r == 0)
		r = open_group(&b, err);
	if (r == 0)
		r = open_snapshot(&b, err);
	for (size_t i = 0; i < nr_in && r == 0; i++)
		r = add_input(&b, &in[i], err);
	if (r == 0)
		r = finish(&b, err);
	if (r < 0)
		return r;
	b.new_snapshot = b.new_group = false;	/* they stay */
	*ret = b.stats;
	return 0;
}
