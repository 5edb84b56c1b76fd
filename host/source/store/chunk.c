/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/source/store/chunk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "host/source/store/blob.h"
#include "host/source/store/key.h"

char *chunk_path(const uint8_t digest[static DIGEST_BYTES], char ret[static CHUNK_PATH])
{
	char hex[DIGEST_HEX + 1];

	digest_to_hex(digest, hex);
	(void)snprintf(ret, CHUNK_PATH, "%.4s/%s", hex, hex);
	return ret;
}

int chunk_open_file(int dirfd, const char *path, size_t max, size_t *ret_len, struct err *err)
{
	CLEANUP_CLOSE int fd = -1;
	struct stat st;

	fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return err_set(err, -errno, "open '%s'", path);
	if (fstat(fd, &st) < 0)
		return err_set(err, -errno, "stat '%s'", path);
	if (!S_ISREG(st.st_mode))
		return err_text(err, -EBADMSG, "'%s' is no regular file", path);
	if ((uint64_t)st.st_size > max)
		return err_text(err, -EFBIG, "'%s' has %lld bytes, at most %zu are allowed", path, (long long)st.st_size, max);
	*ret_len = (size_t)st.st_size;
	return TAKE_FD(fd);
}

int chunk_read_file(int dirfd, const char *path, size_t max, struct buf *out, struct err *err)
{
	CLEANUP_CLOSE int fd = -1;
	size_t len;
	uint8_t *p;
	int r;

	fd = chunk_open_file(dirfd, path, max, &len, err);
	if (fd < 0)
		return fd;
	buf_reset(out);
	p = buf_reserve(out, len + 1);
	if (!p)
		return err_set(err, buf_ok(out), "read '%s'", path);
	r = io_read_full(fd, p, len);
	if (r < 0)
		return err_set(err, r, "read '%s'", path);
	out->len = len;
	p[len] = 0;
	return 0;
}

int chunk_loader_init(struct chunk_loader *l)
{
	*l = (struct chunk_loader){ .codec = blob_codec_new(), .file = { .limit = BLOB_FILE_MAX + 1 } };
	return l->codec ? 0 : -ENOMEM;
}

void chunk_loader_free(struct chunk_loader *l)
{
	blob_codec_free(l->codec);
	buf_free(&l->file);
	*l = (struct chunk_loader){ 0 };
}

static int check_mode(int kind, const struct crypt_key *key, struct err *err)
{
	if (kind >= 0 && blob_kind_encrypted(kind) != !!key)
		return err_text(err, -EBADMSG, key ? "is not encrypted, but its index says that it must be" :
				"is encrypted, but its index says that it must not be");
	return 0;
}

static int decode(struct chunk_loader *l, const uint8_t digest[static DIGEST_BYTES], const struct crypt_key *key,
		  void *out, size_t n, struct err *err)
{
	uint8_t has[DIGEST_BYTES];
	int r;

	r = check_mode(blob_kind(l->file.data, l->file.len), key, err);
	if (r == 0)
		r = blob_decode_exact(l->codec, l->file.data, l->file.len, key, out, n, err);
	if (r < 0)
		return r;
	if (digest_sha256(out, n, key ? key->id_key : NULL, key ? KEY_BYTES : 0, has) < 0)
		return err_set(err, -EIO, "digest");
	return memcmp(has, digest, DIGEST_BYTES) ? err_text(err, -EBADMSG, "contents do not have this digest") : 0;
}

/* The file of a chunk. */
static int read_chunk(struct chunk_loader *l, int chunks_fd, const char *path, struct err *err)
{
	static const struct {
		int code;
		const char *why;
	} odd[] = {
		{ -EFBIG, "larger than any chunk" }, { -ENODATA, "cut while it was read" }, { -ELOOP, "a symbolic link" },
		{ -EBADMSG, "no regular file" },
	};
	int r = chunk_read_file(chunks_fd, path, BLOB_FILE_MAX, &l->file, NULL);	/* its text names the path again */

	if (r == -ENOENT || (r == 0 && !l->file.len))
		return err_text(err, -EIO, "chunk %s is missing (file '.chunks/%s')", path + 5, path);
	for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++)
		if (r == odd[i].code)
			return err_text(err, -EBADMSG, "chunk %s (file '.chunks/%s') is damaged: %s", path + 5, path, odd[i].why);
	if (r < 0)
		return err_text(err, r == -ENOMEM ? r : -EIO, "chunk %s (file '.chunks/%s'): %s", path + 5, path, strerror(-r));
	return 0;
}

int chunk_load(struct chunk_loader *l, int chunks_fd, const uint8_t digest[static DIGEST_BYTES],
	       const struct crypt_key *key, void *out, size_t n, struct err *err)
{
	char path[CHUNK_PATH];
	int r = read_chunk(l, chunks_fd, chunk_path(digest, path), err);

	if (r < 0)
		return r;
	r = decode(l, digest, key, out, n, err);
	return r < 0 ? err_ctx(err, r, "chunk %s (file '.chunks/%s') is damaged", path + 5, path) : 0;
}

int chunk_check_sealed(struct chunk_loader *l, int chunks_fd, const uint8_t digest[static DIGEST_BYTES],
		       struct err *err)
{
	char path[CHUNK_PATH];
	int kind, r = read_chunk(l, chunks_fd, chunk_path(digest, path), err);

	if (r < 0)
		return r;
	kind = blob_check(l->file.data, l->file.len, err);
	if (kind < 0)
		r = kind;
	else if (!blob_kind_encrypted(kind))
		r = err_text(err, -EBADMSG, "is not encrypted, but its index says that it must be");
	return r < 0 ? err_ctx(err, r, "chunk %s (file '.chunks/%s') is damaged", path + 5, path) : 0;
}
