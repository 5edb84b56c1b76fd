/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/source/store/put.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "host/source/store/blob.h"
#include "host/source/store/chunk.h"
#include "host/source/store/priv.h"

/* What root makes belongs to the owner of the store. */
static int give_to_owner(const struct store *s, int fd)
{
	return geteuid() == 0 && s->uid != 0 ? fchown(fd, s->uid, s->gid) : 0;
}

int put_dir(const struct store *s, int dirfd, const char *name, bool *ret_new, struct err *err)
{
	CLEANUP_CLOSE int fd = -1;
	bool made = mkdirat(dirfd, name, 0755) == 0;

	if (!made && errno != EEXIST)
		return err_set(err, -errno, "make directory '%s'", name);
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || (made && give_to_owner(s, fd) < 0))
		return err_set(err, -errno, "make directory '%s'", name);
	if (ret_new)
		*ret_new = made;
	return 0;
}

static int write_tmp(const struct store *s, int dirfd, const char *tmp, const void *p, size_t n)
{
	CLEANUP_CLOSE int fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);

	if (fd < 0)
		return -errno;
	if (give_to_owner(s, fd) < 0)
		return -errno;
	return io_write_full(fd, p, n);
}

int put_file(const struct store *s, int dirfd, const char *name, const char *tmp, const void *p, size_t n,
	     struct err *err)
{
	int r;

	(void)unlinkat(dirfd, tmp, 0);	/* what a writer left that died */
	r = write_tmp(s, dirfd, tmp, p, n);
	if (r == 0 && renameat(dirfd, tmp, dirfd, name) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(dirfd, tmp, 0);
	return r < 0 ? err_set(err, r, "write '%s'", name) : 0;
}

/* Is there a file that can be this chunk? Damage inside is for verification to find. */
static bool have_chunk(int chunks_fd, const char *path, bool encrypted)
{
	CLEANUP_CLOSE int fd = openat(chunks_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	size_t n = encrypted ? BLOB_HEADER_CRYPT : BLOB_HEADER;
	uint8_t head[BLOB_HEADER_CRYPT];
	struct stat st;
	int kind;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || io_read_full(fd, head, n) < 0)
		return false;
	kind = blob_kind(head, n);
	return kind >= 0 && blob_kind_encrypted(kind) == encrypted;
}

static int touch(int chunks_fd, const char *path, struct err *err)
{
	const struct timespec now[2] = { { .tv_nsec = UTIME_NOW }, { .tv_nsec = UTIME_OMIT } };

	if (utimensat(chunks_fd, path, now, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(err, -errno, "touch '.chunks/%s'", path);
	return 0;
}

/*
 * Gives a written chunk its name. If another writer was faster, its file stays.
 * Return: 1 if ours has the name now; 0 if there is another; negative errno.
 */
static int name_chunk(int chunks_fd, const char *tmp, const char *path, bool encrypted)
{
	if (renameat2(chunks_fd, tmp, chunks_fd, path, RENAME_NOREPLACE) == 0)
		return 1;
	if (errno == EEXIST && have_chunk(chunks_fd, path, encrypted))
		return unlinkat(chunks_fd, tmp, 0) < 0 ? -errno : 0;
	if (errno != EEXIST && errno != EINVAL && errno != ENOSYS)
		return -errno;
	return renameat(chunks_fd, tmp, chunks_fd, path) < 0 ? -errno : 1;
}

int put_chunk(const struct store *s, struct blob_codec *codec, struct buf *room, const struct crypt_key *key,
	      const uint8_t digest[static DIGEST_BYTES], const void *p, size_t n, uint64_t *ret_new_bytes, struct err *err)
{
	static atomic_uint serial;
	char path[CHUNK_PATH], dir[5], tmp[CHUNK_PATH + 40];
	int r;

	(void)chunk_path(digest, path);
	if (have_chunk(s->chunks_fd, path, key)) {
		*ret_new_bytes = 0;
		return touch(s->chunks_fd, path, err);
	}
	r = blob_encode_key(codec, key, p, n, room);
	if (r < 0)
		return err_set(err, r, "encode chunk");
	memcpy(dir, path, 4);
	dir[4] = 0;
	(void)snprintf(tmp, sizeof(tmp), "%s.tmp_%d_%u", path, (int)getpid(), atomic_fetch_add(&serial, 1));
	r = write_tmp(s, s->chunks_fd, tmp, room->data, room->len);
	if (r == -ENOENT) {
		r = put_dir(s, s->chunks_fd, dir, NULL, err);
		if (r < 0)
			return r;
		r = write_tmp(s, s->chunks_fd, tmp, room->data, room->len);
	}
	if (r == 0)
		r = name_chunk(s->chunks_fd, tmp, path, key);
	if (r < 0) {
		(void)unlinkat(s->chunks_fd, tmp, 0);
		return err_set(err, r, "write '.chunks/%s'", path);
	}
	*ret_new_bytes = r ? room->len : 0;
	return 0;
}
