/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "host/source/store/blob.h"
#include "host/source/store/chunk.h"
#include "host/source/store/priv.h"

CLEANUP_DEFINE(struct snapshot *, snapshot_close)
CLEANUP_DEFINE(struct manifest *, manifest_free)

void snapshot_close(struct snapshot *sn)
{
	if (!sn)
		return;
	manifest_free(sn->manifest);
	lock_release(&sn->lock);
	if (sn->fd >= 0)
		(void)close(sn->fd);
	crypt_key_wipe(&sn->key);
	free(sn);
}

const struct store_file *snapshot_files(const struct snapshot *sn, size_t *ret_nr)
{
	*ret_nr = sn->manifest->nr_files;
	return sn->manifest->files;
}

/* Shared, as long as the snapshot is open. */
static int lock(struct snapshot *sn, const char *ns, const char *text, struct err *err)
{
	int r;

	if (sn->store->lock == STORE_LOCK_NONE)
		return 0;
	r = lock_take(sn->store->path, ns, text, sn->fd, false, &sn->lock, err);
	if (r < 0 || !sn->lock.weak)
		return r;
	if (sn->store->lock == STORE_LOCK_REQUIRE)
		return err_text(err, -ENOLCK, "snapshot %s cannot be locked: it may be removed while it is read", text);
	log_warn("snapshot %s cannot be locked: it may be removed while it is read", text);
	return 0;
}

/* Opens and locks the directory; after locking it must still be there under its name. */
static int open_locked(struct snapshot *sn, const char *ns, const char *text, struct err *err)
{
	CLEANUP_CLOSE int again = -1;
	struct stat a, b;
	int r;

	sn->fd = store_open_dir(sn->store, ns, text, err);
	if (sn->fd < 0)
		return sn->fd == -ENOENT || sn->fd == -ENOTDIR ? err_text(err, -ENOENT, "snapshot %s does not exist", text) :
		       sn->fd;
	r = lock(sn, ns, text, err);
	if (r < 0)
		return r;
	again = store_open_dir(sn->store, ns, text, NULL);
	if (again < 0 || fstat(sn->fd, &a) < 0 || fstat(again, &b) < 0 || a.st_ino != b.st_ino || a.st_dev != b.st_dev)
		return err_text(err, -ENOENT, "snapshot %s was removed", text);
	return 0;
}

static int read_manifest(struct snapshot *sn, const char *text, struct err *err)
{
	CLEANUP_BUF struct buf file = { .limit = BLOB_FILE_MAX + 1 };
	int r;

	r = chunk_read_file(sn->fd, MANIFEST_NAME, BLOB_FILE_MAX, &file, err);
	if (r == -ENOENT)
		return err_text(err, -ENOENT, "snapshot %s is not finished (no manifest)", text);
	if (r == -EACCES)
		return store_denied(sn->store, r, "open manifest", err);
	if (r < 0)
		return r;
	r = manifest_decode(file.data, file.len, &sn->manifest, err);
	if (r == 0)
		r = manifest_check_name(sn->manifest, &sn->name, err);
	if (r == 0 && !sn->sealed)
		r = manifest_check_key(sn->manifest, sn->has_key ? &sn->key : NULL, err);
	return r;
}

static int open_snapshot(struct store *s, const char *ns, const char *name, const struct crypt_key *key, bool sealed,
			 struct snapshot **ret, struct err *err)
{
	CLEANUP(snapshot_closep) struct snapshot *sn = calloc(1, sizeof(*sn));
	char text[NAMES_SNAPSHOT_TEXT];
	int r;

	if (!sn)
		return err_set(err, -ENOMEM, "open snapshot");
	sn->store = s;
	sn->fd = -1;
	sn->lock = LOCK_INIT;
	sn->sealed = sealed;
	if (names_parse_snapshot(name, &sn->name) < 0)
		return err_text(err, -EINVAL, "bad snapshot name, expected TYPE/ID/YYYY-MM-DDTHH:MM:SSZ");
	(void)names_format_snapshot(&sn->name, text);
	if (key) {
		(void)mlock(sn, sizeof(*sn));	/* where the limits allow it */
		sn->has_key = true;
		sn->key = *key;
	}
	r = open_locked(sn, ns, text, err);
	if (r < 0)
		return r;
	r = read_manifest(sn, text, err);
	if (r < 0)
		return err_ctx(err, r, "snapshot %s", text);
	*ret = TAKE_PTR(sn);
	return 0;
}

int snapshot_open_key(struct store *s, const char *ns, const char *name, const struct crypt_key *key,
		      struct snapshot **ret, struct err *err)
{
	return open_snapshot(s, ns, name, key, false, ret, err);
}

int snapshot_open_sealed(struct store *s, const char *ns, const char *name, struct snapshot **ret, struct err *err)
{
	return open_snapshot(s, ns, name, NULL, true, ret, err);
}

int snapshot_open(struct store *s, const char *ns, const char *name, struct snapshot **ret, struct err *err)
{
	return snapshot_open_key(s, ns, name, NULL, ret, err);
}

enum snapshot_seal snapshot_seal(const struct snapshot *sn)
{
	bool encrypted = false;

	for (size_t i = 0; i < sn->manifest->nr_files; i++)
		encrypted = encrypted || !strcmp(sn->manifest->files[i].crypt_mode, "encrypt");
	if (encrypted)
		return SNAPSHOT_ENCRYPTED;
	return sn->manifest->has_signature || sn->manifest->has_fp ? SNAPSHOT_SIGNED : SNAPSHOT_OPEN;
}

bool snapshot_verified(const struct snapshot *sn)
{
	return sn->has_key && sn->manifest->has_signature;
}

const uint8_t *snapshot_fingerprint(const struct snapshot *sn)
{
	return sn->manifest->has_fp ? sn->manifest->fp : NULL;
}

static int check_blob(const struct store_file *f, const struct buf *file, struct err *err)
{
	bool wrapped_key = !strcmp(f->name, "rsa-encrypted.key.blob");	/* encrypted, but not as a blob */
	bool encrypt = !strcmp(f->crypt_mode, "encrypt") && !wrapped_key;
	uint8_t csum[DIGEST_BYTES];
	int kind = blob_kind(file->data, file->len);

	if (f->has_csum) {
		if (f->size != file->len)
			return err_text(err, -EBADMSG, "wrong size for file '%s'", f->name);
		if (digest_sha256(file->data, file->len, NULL, 0, csum) < 0)
			return err_set(err, -EIO, "digest");
		if (memcmp(csum, f->csum, sizeof(csum)))
			return err_text(err, -EBADMSG, "wrong checksum for file '%s'", f->name);
	}
	if (kind >= 0 && blob_kind_encrypted(kind) != encrypt)
		return err_text(err, -EBADMSG, "file '%s' %s encrypted, against the manifest", f->name,
				encrypt ? "is not" : "is");
	return 0;
}

/* The manifest as it is now: notes and the result of a verification may have changed since the snapshot was opened. */
static int read_manifest_text(struct snapshot *sn, const struct buf *file, struct buf *out, struct err *err)
{
	CLEANUP(manifest_freep) struct manifest *m = NULL;
	int r = manifest_decode(file->data, file->len, &m, err);

	if (r == 0)
		r = manifest_check_name(m, &sn->name, err);
	return r < 0 ? r : blob_decode(file->data, file->len, NULL, BLOB_MANIFEST_MAX, out, err);
}

int snapshot_read_blob(struct snapshot *sn, const char *name, struct buf *out, struct err *err)
{
	CLEANUP_BUF struct buf file = { .limit = BLOB_FILE_MAX + 1 };
	const struct store_file *f = manifest_find(sn->manifest, name);
	int r;

	if (names_file_kind(name, strlen(name)) != NAMES_BLOB)
		return err_text(err, -EINVAL, "not the name of a blob");
	if (!f && strcmp(name, "client.log.blob") && strcmp(name, MANIFEST_NAME))
		return err_text(err, -ENOENT, "file '%s' is not in the manifest", name);
	r = chunk_read_file(sn->fd, name, BLOB_FILE_MAX, &file, err);
	if (r == -ENOENT && !f)
		return err_text(err, -ENOENT, "the snapshot has no file '%s'", name);
	if (r == 0 && f)
		r = check_blob(f, &file, err);
	if (r < 0)
		return r;
	if (!strcmp(name, MANIFEST_NAME))
		return read_manifest_text(sn, &file, out, err);
	r = blob_decode(file.data, file.len, sn->has_key ? &sn->key : NULL, STORE_BLOB_MAX, out, err);
	return r < 0 ? err_ctx(err, r, "file '%s'", name) : 0;
}
