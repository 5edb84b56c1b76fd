/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * archive_store STORE INDEX CHUNK_BYTES TREE: directories and regular files of TREE as an archive in chunks of one length.
 * TREE may be "entries:DIRS:FILES": so many directories with so many empty files each, that are nowhere on a disk.
 * Prints what a manifest says of the index file: size and checksum. STORE "-": INDEX gets the archive itself.
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/io.h"
#include "common/pxar/encode.h"
#include "host/source/store/blob.h"
#include "host/source/store/digest.h"
#include "host/source/store/put.h"
#include "host/source/store/store.h"

static const uint8_t magic[8] = { 0x1c, 0x91, 0x4e, 0xa5, 0x19, 0xba, 0xb3, 0xcd };

static struct {
	struct store *store;		/* NULL: a plain archive */
	struct blob_codec *codec;
	struct buf room, items, index;
	struct pxar_enc *enc;
	uint8_t *chunk;
	size_t chunk_bytes, chunk_len;
	uint64_t size;
	int plain_fd;
} out;

static void must(int r, const char *what)
{
	if (r >= 0)
		return;
	(void)fprintf(stderr, "archive_store: %s: %s\n", what, strerror(-r));
	exit(1);
}

static void end_chunk(void)
{
	uint8_t digest[DIGEST_BYTES];
	uint64_t new_bytes;

	if (!out.chunk_len)
		return;
	if (out.store) {
		must(digest_sha256(out.chunk, out.chunk_len, NULL, 0, digest), "digest");
		must(put_chunk(out.store, out.codec, &out.room, NULL, digest, out.chunk, out.chunk_len, &new_bytes, NULL), "chunk");
		buf_u64le(&out.index, out.size);
		buf_add(&out.index, digest, sizeof(digest));
	} else {
		must(io_write_full(out.plain_fd, out.chunk, out.chunk_len), "write");
	}
	out.chunk_len = 0;
}

static void put(const uint8_t *p, size_t n)
{
	while (n) {
		size_t some = out.chunk_bytes - out.chunk_len;

		if (some > n)
			some = n;
		memcpy(out.chunk + out.chunk_len, p, some);
		out.chunk_len += some;
		out.size += some;
		p += some;
		n -= some;
		if (out.chunk_len == out.chunk_bytes)
			end_chunk();
	}
}

static void put_items(void)
{
	must(buf_ok(&out.items), "items");
	put(out.items.data, out.items.len);
	buf_reset(&out.items);
}

static void add_entry(struct pxar_entry *e, const char *name)
{
	e->name = name;
	e->name_len = strlen(name);
	must(pxar_enc_entry(out.enc, e), name);
	put_items();
}

static void add_file(int dirfd, const char *name, const struct stat *st)
{
	struct pxar_entry e = { .kind = PXAR_KIND_FILE, .mode = st->st_mode, .uid = st->st_uid, .gid = st->st_gid, .mtime_s = st->st_mtim.tv_sec,
				.mtime_ns = (uint32_t)st->st_mtim.tv_nsec, .size = (uint64_t)st->st_size, .payload_size = (uint64_t)st->st_size };
	uint8_t *bytes = malloc(e.size + 1);
	int fd = openat(dirfd, name, O_RDONLY);

	must(fd < 0 ? -errno : 0, name);
	must(bytes ? io_read_full(fd, bytes, e.size) : -ENOMEM, name);
	add_entry(&e, name);
	put(bytes, e.size);
	pxar_enc_payload(out.enc, e.size);
	free(bytes);
	(void)close(fd);
}

static void end_dir(void)
{
	int more;

	do {
		more = pxar_enc_dir_end(out.enc);
		must(more < 0 ? more : 0, "directory");
		put_items();
	} while (more);
}

static void add_dir(int at, const char *path, const char *name)
{
	struct dirent **list;
	struct stat st;
	int fd = openat(at, path, O_RDONLY | O_DIRECTORY), n;

	must(fd < 0 || fstat(fd, &st) < 0 ? -errno : 0, path);
	struct pxar_entry e = { .kind = PXAR_KIND_DIR, .mode = st.st_mode, .uid = st.st_uid, .gid = st.st_gid, .mtime_s = st.st_mtim.tv_sec,
				.mtime_ns = (uint32_t)st.st_mtim.tv_nsec };
	add_entry(&e, name);
	n = scandirat(fd, ".", &list, NULL, alphasort);
	must(n < 0 ? -errno : 0, path);
	for (int i = 0; i < n; i++) {
		const char *child = list[i]->d_name;

		if (strcmp(child, ".") && strcmp(child, "..")) {
			must(fstatat(fd, child, &st, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0, child);
			if (S_ISDIR(st.st_mode))
				add_dir(fd, child, child);
			else if (S_ISREG(st.st_mode))
				add_file(fd, child, &st);
		}
		free(list[i]);
	}
	free(list);
	(void)close(fd);
	end_dir();
}

static void add_made(unsigned int dirs, unsigned int files)
{
	struct pxar_entry d = { .kind = PXAR_KIND_DIR, .mode = S_IFDIR | 0755, .mtime_s = 1700000000 };
	struct pxar_entry f = { .kind = PXAR_KIND_FILE, .mode = S_IFREG | 0644, .mtime_s = 1700000000 };
	char name[32];

	add_entry(&d, "");
	for (unsigned int i = 0; i < dirs; i++) {
		(void)snprintf(name, sizeof(name), "d%06u", i);
		add_entry(&d, name);
		for (unsigned int j = 0; j < files; j++) {
			(void)snprintf(name, sizeof(name), "f%06u", j);
			add_entry(&f, name);
		}
		end_dir();
	}
	end_dir();
}

static void write_index(const char *path)
{
	uint8_t head[4096] = { 0 }, csum[DIGEST_BYTES];
	char hex[DIGEST_HEX + 1];
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	must(fd < 0 ? -errno : 0, path);
	must(buf_ok(&out.index), "index");
	must(digest_sha256(out.index.data, out.index.len, NULL, 0, csum), "digest");
	memcpy(head, magic, sizeof(magic));
	memcpy(head + 32, csum, sizeof(csum));
	must(io_write_full(fd, head, sizeof(head)), path);
	must(io_write_full(fd, out.index.data, out.index.len), path);
	must(close(fd) < 0 ? -errno : 0, path);
	digest_to_hex(csum, hex);
	(void)printf("%" PRIu64 " %s\n", out.size, hex);
}

int main(int argc, char **argv)
{
	const size_t big = (size_t)1 << 30;
	unsigned int dirs, files;

	if (argc != 5)
		return 2;
	out.chunk_bytes = strtoul(argv[3], NULL, 0);
	out.chunk = malloc(out.chunk_bytes);
	out.codec = blob_codec_new();
	out.room.limit = out.items.limit = out.index.limit = big;
	out.enc = pxar_enc_new(&out.items, 0);
	if (!out.chunk_bytes || !out.chunk || !out.codec || !out.enc)
		return 1;
	if (strcmp(argv[1], "-")) {
		must(store_open(argv[1], &out.store, NULL), argv[1]);
	} else {
		out.plain_fd = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0644);
		must(out.plain_fd < 0 ? -errno : 0, argv[2]);
	}
	if (sscanf(argv[4], "entries:%u:%u", &dirs, &files) == 2)
		add_made(dirs, files);
	else
		add_dir(AT_FDCWD, argv[4], "");
	end_chunk();
	if (out.store)
		write_index(argv[2]);
	return 0;
}
