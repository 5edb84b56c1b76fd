/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Snapshots written by store_backup() and read back, and what damage in the store does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "host/source/store/chunk.h"
#include "host/source/store/priv.h"

#define CHUNK (4u << 20)
#define TIME INT64_C(1704067200)
#define NAME "vm/100/2024-01-01T00:00:00Z"

static char dir[] = "/tmp/pluck-store-XXXXXX";
static struct store *store;
static int image_fd = -1;
static const size_t image_len = 6 * CHUNK + 777;	/* data, zeros, hole, data, zeros written, data, odd end */
static uint8_t *image;

static char *path_of(const char *name, char ret[static 512])
{
	(void)snprintf(ret, 512, "%s/%s", dir, name);
	return ret;
}

static int make_image(void)
{
	char path[512];
	uint32_t x = 1;

	image = calloc(1, image_len);
	image_fd = open(path_of("image", path), O_RDWR | O_CREAT, 0600);
	if (!image || image_fd < 0)
		return -1;
	for (size_t i = 0; i < image_len; i++) {
		size_t chunk = i / CHUNK;

		x = x * 1664525 + 1013904223;
		if (chunk == 0 || chunk == 5 || chunk == 6)
			image[i] = (uint8_t)(x >> 24);
		else if (chunk == 3)
			image[i] = (uint8_t)(i % 251);
	}
	if (ftruncate(image_fd, (off_t)image_len) < 0)
		return -1;
	for (size_t c = 0; c < 7; c++) {
		size_t n = c < 6 ? CHUNK : 777;

		if (c != 2 && pwrite(image_fd, image + c * CHUNK, n, (off_t)(c * CHUNK)) != (ssize_t)n)
			return -1;
	}
	return 0;
}

static int setup(void **state)
{
	char path[512];

	(void)state;
	if (!mkdtemp(dir) || make_image() < 0 || mkdir(path_of("ds", path), 0755) < 0 ||
	    mkdir(path_of("ds/.chunks", path), 0750) < 0)
		return -1;
	return store_open(path_of("ds", path), &store, NULL);
}

static int teardown(void **state)
{
	char cmd[64];

	(void)state;
	store_close(store);
	free(image);
	(void)close(image_fd);
	(void)snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

static int backup(const char *id, int64_t time, struct backup_stats *st, struct err *e)
{
	CLEANUP_CLOSE int conf = memfd_create("conf", MFD_CLOEXEC);
	const struct backup_input in[] = { { "drive-scsi0.img", image_fd }, { "qemu-server.conf", conf } };

	assert_int_equal(io_write_full(conf, "memory: 512\n", 12), 0);
	return store_backup(store, "", "vm", id, time, in, 2, NULL, NULL, st, e);
}

static void check_image(struct source *s)
{
	static const size_t at[][2] = {
		{ 0, 6 * CHUNK + 777 }, { 1, 2 }, { CHUNK - 5, 10 }, { 6 * CHUNK, 777 }, { 6 * CHUNK + 776, 1 }, { 100, 3 * CHUNK },
		{ 6 * CHUNK + 777, 0 }, { 2 * CHUNK, CHUNK }, { 3 * CHUNK, CHUNK }, { CHUNK + 1, 2 * CHUNK },
	};
	uint8_t *p = malloc(image_len);

	assert_non_null(p);
	for (size_t i = 0; i < sizeof(at) / sizeof(*at); i++) {
		memset(p, 0xee, image_len);
		assert_int_equal(source_read_at(s, p, at[i][1], at[i][0], NULL), 0);
		assert_memory_equal(p, image + at[i][0], at[i][1]);
	}
	assert_int_equal(source_read_at(s, p, 1, image_len, NULL), -ERANGE);
	assert_int_equal(source_read_at(s, p, 2, image_len - 1, NULL), -ERANGE);
	assert_int_equal(source_read_at(s, p, 1, UINT64_MAX, NULL), -ERANGE);
	free(p);
}

static void test_round_trip(void **state)
{
	CLEANUP_BUF struct buf conf = BUF_INIT;
	struct backup_stats st;
	struct snapshot *sn;
	struct source *s;
	struct err e = ERR_INIT;
	size_t nr;

	(void)state;
	assert_int_equal(backup("100", TIME, &st, &e), 0);
	assert_int_equal(st.chunks, 7);
	assert_int_equal(st.new_chunks, 5);
	assert_int_equal(st.bytes, image_len + 12);
	assert_int_equal(snapshot_open(store, "", NAME, &sn, &e), 0);
	assert_string_equal(snapshot_files(sn, &nr)[0].name, "drive-scsi0.img.fidx");
	assert_int_equal(nr, 2);
	assert_int_equal(snapshot_read_blob(sn, "qemu-server.conf.blob", &conf, &e), 0);
	assert_string_equal(buf_cstr(&conf), "memory: 512\n");
	assert_int_equal(snapshot_open_image(sn, "drive-scsi0.img.fidx", &s, &e), 0);
	assert_int_equal(s->size_bytes, image_len);
	assert_int_equal(s->unit_bytes, CHUNK);
	for (uint64_t unit = 0; unit < 9; unit++)
		assert_int_equal(source_is_zero(s, unit), unit == 1 || unit == 2 || unit == 4);
	check_image(s);
	source_close(s);
	assert_int_equal(snapshot_open_image(sn, "drive-scsi1.img.fidx", &s, &e), -ENOENT);
	assert_int_equal(snapshot_open_image(sn, "qemu-server.conf.blob", &s, &e), -EINVAL);
	assert_int_equal(snapshot_open_image(sn, "../x.img.fidx", &s, &e), -ENOENT);
	snapshot_close(sn);
}

static void test_second_backup_writes_nothing(void **state)
{
	struct backup_stats st;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(backup("100", TIME + 1, &st, &e), 0);
	assert_int_equal(st.chunks, 7);
	assert_int_equal(st.new_chunks, 0);
	assert_int_equal(backup("100", TIME + 1, &st, &e), -EEXIST);
}

static int count(void *arg, const struct store_snapshot_info *i)
{
	assert_string_equal(i->type, "vm");
	assert_true(i->finished && i->has_size && !i->protected_ && i->owner[0]);
	assert_int_equal(i->nr_files, 3);
	(*(int *)arg)++;
	return 0;
}

static void test_list(void **state)
{
	struct err e = ERR_INIT;
	int n = 0;

	(void)state;
	assert_int_equal(store_list(store, "", count, &n, &e), 0);
	assert_int_equal(n, 2);
	assert_int_equal(store_list(store, "none", count, &n, &e), -ENOENT);
	assert_int_equal(store_list(store, "../x", count, &n, &e), -EINVAL);
}

static int stop(void *arg, const char *name, uint64_t done, uint64_t total)
{
	(void)arg, (void)name, (void)done, (void)total;
	return -EINTR;
}

static int grow(void *arg, const char *name, uint64_t done, uint64_t total)
{
	(void)name, (void)done, (void)total;
	return ftruncate(*(int *)arg, (off_t)(2 * CHUNK));
}

static bool exists(const char *name)
{
	char path[512];

	return access(path_of(name, path), F_OK) == 0;
}

static void test_failed_backup_leaves_nothing(void **state)
{
	CLEANUP_CLOSE int small = memfd_create("small", MFD_CLOEXEC), pipe_fd = -1, other = -1;
	struct backup_input in[] = { { "a.img", image_fd }, { "b.img", small } };
	struct backup_stats st;
	struct err e = ERR_INIT;
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pipe_fd = fds[0];
	other = fds[1];
	assert_int_equal(store_backup(store, "", "vm", "200", TIME, in, 2, NULL, NULL, &st, &e), -EINVAL);	/* empty */
	in[1].fd = pipe_fd;
	assert_int_equal(store_backup(store, "", "vm", "200", TIME, in, 2, NULL, NULL, &st, &e), -EINVAL);
	in[1] = in[0];
	assert_int_equal(store_backup(store, "", "vm", "200", TIME, in, 2, NULL, NULL, &st, &e), -EINVAL);	/* twice */
	in[1].name = "../x.img";
	assert_int_equal(store_backup(store, "", "vm", "200", TIME, in, 2, NULL, NULL, &st, &e), -EINVAL);
	in[1].name = "index.json";
	assert_int_equal(store_backup(store, "", "vm", "200", TIME, in, 2, NULL, NULL, &st, &e), -EINVAL);
	assert_int_equal(store_backup(store, "", "vm", "200", TIME, in, 1, stop, NULL, &st, &e), -EINTR);
	assert_int_equal(ftruncate(small, CHUNK), 0);
	in[0].fd = small;
	assert_int_equal(store_backup(store, "", "vm", "200", TIME, in, 1, grow, &small, &st, &e), -EIO);
	assert_non_null(strstr(e.text, "changed its size"));
	assert_int_equal(store_backup(store, "none", "vm", "200", TIME, in, 1, NULL, NULL, &st, &e), -ENOENT);
	assert_int_equal(store_backup(store, "", "vm", "../200", TIME, in, 1, NULL, NULL, &st, &e), -EINVAL);
	assert_int_equal(store_backup(store, "", "vm", "200", 0, in, 1, NULL, NULL, &st, &e), -EINVAL);
	assert_false(exists("ds/vm/200"));
	assert_true(exists("ds/vm/100"));
}

static void test_locks(void **state)
{
	CLEANUP_CLOSE int group = -1, sn_dir = -1, gc = -1;
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct backup_stats st;
	struct snapshot *sn;
	char path[512];
	struct err e = ERR_INIT;

	(void)state;
	group = open(path_of("ds/vm/100", path), O_RDONLY | O_DIRECTORY);
	assert_int_equal(flock(group, LOCK_EX | LOCK_NB), 0);
	assert_int_equal(backup("100", TIME + 2, &st, &e), -EBUSY);
	assert_false(exists("ds/vm/100/2024-01-01T00:00:02Z"));
	assert_int_equal(flock(group, LOCK_UN), 0);
	sn_dir = open(path_of("ds/" NAME, path), O_RDONLY | O_DIRECTORY);
	assert_int_equal(flock(sn_dir, LOCK_EX | LOCK_NB), 0);
	assert_int_equal(snapshot_open(store, "", NAME, &sn, &e), -EBUSY);
	assert_int_equal(flock(sn_dir, LOCK_UN), 0);
	assert_int_equal(snapshot_open(store, "", NAME, &sn, &e), 0);
	assert_int_equal(flock(sn_dir, LOCK_EX | LOCK_NB), -1);	/* held by the reader */
	snapshot_close(sn);
	assert_int_equal(flock(sn_dir, LOCK_EX | LOCK_NB), 0);
	gc = open(path_of("ds/.lock", path), O_RDWR);
	assert_int_equal(fcntl(gc, F_OFD_SETLK, &fl), 0);
	assert_int_equal(backup("100", TIME + 2, &st, &e), -EBUSY);
	assert_non_null(strstr(e.text, "shared lock"));
}

static void chunk_of(size_t i, char path[static 512])
{
	uint8_t digest[32];
	char name[CHUNK_PATH];
	size_t n = i < 6 ? CHUNK : 777;

	assert_int_equal(digest_sha256(image + i * CHUNK, n, NULL, 0, digest), 0);
	(void)snprintf(path, 512, "%s/ds/.chunks/%s", dir, chunk_path(digest, name));
}

static void damage(size_t chunk, void (*how)(const char *path), int want, const char *text)
{
	char path[512], saved[530], digest[65];
	uint8_t *p = malloc(image_len);
	struct snapshot *sn;
	struct source *s;
	struct err e = ERR_INIT;

	chunk_of(chunk, path);
	(void)snprintf(digest, sizeof(digest), "%s", strrchr(path, '/') + 1);
	(void)snprintf(saved, sizeof(saved), "%s.saved", path);
	assert_int_equal(rename(path, saved), 0);
	how(path);
	assert_int_equal(snapshot_open(store, "", NAME, &sn, &e), 0);
	assert_int_equal(snapshot_open_image(sn, "drive-scsi0.img.fidx", &s, &e), 0);
	assert_int_equal(source_read_at(s, p, 1, chunk * CHUNK, &e), want);
	print_message("%s\n", e.text);
	assert_non_null(strstr(e.text, digest));
	assert_non_null(strstr(e.text, ".chunks/"));
	assert_non_null(strstr(e.text, text));
	assert_int_equal(source_read_at(s, p, image_len, 0, NULL), want);
	for (size_t i = 0; i < 7; i++)	/* the others go on */
		assert_int_equal(source_read_at(s, p, i < 6 ? CHUNK : 777, i * CHUNK, NULL), i == chunk ? want : 0);
	source_close(s);
	snapshot_close(sn);
	(void)unlink(path);
	(void)rmdir(path);
	assert_int_equal(rename(saved, path), 0);
	free(p);
}

static void do_nothing(const char *path)
{
	(void)path;
}

static void write_at(const char *path, const void *p, size_t n)
{
	CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CREAT, 0600);

	assert_int_equal(io_write_full(fd, p, n), 0);
}

static void make_empty(const char *path)
{
	write_at(path, "", 0);
}

static void make_short(const char *path)
{
	write_at(path, "\x42\xab\x38\x07\xbe\x83\x70\xa1\0\0", 10);
}

static void make_other(const char *path)
{
	write_at(path, "\x42\xab\x38\x07\xbe\x83\x70\xa1\x86\xa6\x10\x36hello", 17);
}

static void make_crypt(const char *path)
{
	uint8_t b[44] = { 0x7b, 0x67, 0x85, 0xbe, 0x22, 0x2d, 0x4c, 0xf0 };

	write_at(path, b, sizeof(b));
}

static void make_flipped(const char *path)
{
	char saved[530];
	CLEANUP_FREE char *data = NULL;
	size_t len;

	(void)snprintf(saved, sizeof(saved), "%s.saved", path);
	assert_int_equal(io_read_file(-1, saved, 32 << 20, &data, &len), 0);
	data[len / 2] ^= 1;
	write_at(path, data, len);
}

static void make_dir(const char *path)
{
	assert_int_equal(mkdir(path, 0700), 0);
}

static void make_link(const char *path)
{
	char saved[530];

	(void)snprintf(saved, sizeof(saved), "%s.saved", path);
	assert_int_equal(symlink(saved, path), 0);
}

static void make_fifo(const char *path)
{
	assert_int_equal(mkfifo(path, 0600), 0);
}

static void make_huge(const char *path)
{
	make_empty(path);
	assert_int_equal(truncate(path, INT64_C(1) << 40), 0);
}

/* A right blob of other data of the right length. */
static void make_swapped(const char *path)
{
	char other[512];
	CLEANUP_FREE char *data = NULL;
	size_t len;

	chunk_of(3, other);
	assert_int_equal(io_read_file(-1, other, 32 << 20, &data, &len), 0);
	write_at(path, data, len);
}

static void test_damage(void **state)
{
	(void)state;
	damage(0, do_nothing, -EIO, "is missing");
	damage(0, make_empty, -EIO, "is missing");
	damage(3, make_short, -EBADMSG, "too short");
	damage(3, make_other, -EBADMSG, "holds 5 bytes");
	damage(6, make_other, -EBADMSG, "holds 5 bytes");
	damage(3, make_crypt, -EBADMSG, "is encrypted");
	damage(3, make_flipped, -EBADMSG, "wrong CRC");
	damage(5, make_flipped, -EBADMSG, "wrong CRC");
	damage(5, make_swapped, -EBADMSG, "do not have this digest");
	damage(3, make_dir, -EBADMSG, "no regular file");
	damage(3, make_link, -EBADMSG, "a symbolic link");
	damage(3, make_fifo, -EBADMSG, "no regular file");
	damage(3, make_huge, -EBADMSG, "larger than any chunk");
}

/* A backup heals what it can see: a chunk file that is empty or is no blob. */
static void test_backup_heals(void **state)
{
	struct backup_stats st;
	struct err e = ERR_INIT;
	char path[512];

	(void)state;
	chunk_of(0, path);
	assert_int_equal(truncate(path, 0), 0);
	chunk_of(3, path);
	write_at(path, "garbage garbage", 15);
	assert_int_equal(backup("100", TIME + 5, &st, &e), 0);
	assert_int_equal(st.new_chunks, 2);
}

static int backup_key(int64_t time, const struct crypt_key *key, bool sign_only, struct backup_stats *st)
{
	CLEANUP_CLOSE int conf = memfd_create("conf", MFD_CLOEXEC);
	const struct backup_input in[] = { { "drive-scsi0.img", image_fd }, { "qemu-server.conf", conf } };

	assert_int_equal(io_write_full(conf, "memory: 512\n", 12), 0);
	return store_backup_key(store, "", "vm", "key", time, in, 2, key, sign_only, NULL, NULL, st, NULL);
}

static void check_with_key(const char *name, const struct crypt_key *key, enum snapshot_seal seal)
{
	CLEANUP_BUF struct buf conf = BUF_INIT;
	struct crypt_key other = *key;
	struct snapshot *sn;
	struct source *s;

	assert_int_equal(snapshot_open(store, "", name, &sn, NULL), -ENOKEY);
	other.fingerprint[31] ^= 1;
	assert_int_equal(snapshot_open_key(store, "", name, &other, &sn, NULL), -EKEYREJECTED);
	other = *key;
	other.id_key[0] ^= 1;	/* of the right fingerprint: the signature tells */
	assert_int_equal(snapshot_open_key(store, "", name, &other, &sn, NULL), -EBADMSG);
	assert_int_equal(snapshot_open_key(store, "", name, key, &sn, NULL), 0);
	assert_int_equal(snapshot_seal(sn), seal);
	assert_true(snapshot_verified(sn));
	assert_int_equal(snapshot_read_blob(sn, "qemu-server.conf.blob", &conf, NULL), 0);
	assert_string_equal(buf_cstr(&conf), "memory: 512\n");
	assert_int_equal(snapshot_open_image(sn, "drive-scsi0.img.fidx", &s, NULL), 0);
	for (uint64_t unit = 0; unit < 7; unit++)
		assert_int_equal(source_is_zero(s, unit), unit == 1 || unit == 2 || unit == 4);
	check_image(s);
	source_close(s);
	snapshot_close(sn);
}

/* Encrypted chunks are others than plain ones; those that are signed alone are the same. */
static void test_keys(void **state)
{
	struct backup_stats st, plain;
	struct snapshot *sn;
	struct crypt_key key;
	uint8_t data[KEY_BYTES];

	(void)state;
	memset(data, 'k', sizeof(data));
	assert_int_equal(crypt_key_init(&key, data), 0);
	assert_int_equal(backup_key(TIME, NULL, false, &plain), 0);
	assert_int_equal(backup_key(TIME + 1, &key, true, &st), 0);
	assert_int_equal(st.new_chunks, 0);
	assert_int_equal(backup_key(TIME + 2, &key, false, &st), 0);
	assert_int_equal(st.new_chunks, 5);
	assert_int_equal(backup_key(TIME + 3, &key, false, &st), 0);
	assert_int_equal(st.new_chunks, 0);
	assert_int_equal(snapshot_open(store, "", "vm/key/2024-01-01T00:00:00Z", &sn, NULL), 0);
	assert_int_equal(snapshot_seal(sn), SNAPSHOT_OPEN);
	assert_false(snapshot_verified(sn));
	snapshot_close(sn);
	check_with_key("vm/key/2024-01-01T00:00:01Z", &key, SNAPSHOT_SIGNED);
	check_with_key("vm/key/2024-01-01T00:00:02Z", &key, SNAPSHOT_ENCRYPTED);
	check_with_key("vm/key/2024-01-01T00:00:03Z", &key, SNAPSHOT_ENCRYPTED);
}

static void *read_all(void *arg)
{
	struct source *s = arg;
	uint8_t *p = malloc(image_len);

	for (int i = 0; p && i < 3; i++)
		for (size_t at = 0; at + 100000 <= image_len; at += 1000003)
			if (source_read_at(s, p, 100000, at, NULL) < 0 || memcmp(p, image + at, 100000)) {
				free(p);
				return NULL;
			}
	free(p);
	return s;
}

static void test_threads(void **state)
{
	pthread_t t[4];
	struct snapshot *sn;
	struct source *s;
	void *ok;

	(void)state;
	assert_int_equal(snapshot_open(store, "", NAME, &sn, NULL), 0);
	assert_int_equal(snapshot_open_image(sn, "drive-scsi0.img.fidx", &s, NULL), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, read_all, s), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(t[i], &ok), 0);
		assert_ptr_equal(ok, s);
	}
	source_close(s);
	snapshot_close(sn);
}

static void expect_image(int want, const char *text)
{
	struct snapshot *sn;
	struct source *s = NULL;
	struct err e = ERR_INIT;

	assert_int_equal(snapshot_open(store, "", NAME, &sn, &e), 0);
	assert_int_equal(snapshot_open_image(sn, "drive-scsi0.img.fidx", &s, &e), want);
	print_message("%s\n", e.text);
	assert_non_null(strstr(e.text, text));
	source_close(s);
	snapshot_close(sn);
}

static void test_index_against_manifest(void **state)
{
	CLEANUP_FREE char *data = NULL, *conf = NULL;
	CLEANUP_BUF struct buf out = BUF_INIT;
	struct snapshot *sn;
	char path[512];
	size_t len;

	(void)state;
	(void)path_of("ds/" NAME "/drive-scsi0.img.fidx", path);
	assert_int_equal(io_read_file(-1, path, 1 << 20, &data, &len), 0);
	data[len - 1] ^= 1;
	write_at(path, data, len);
	expect_image(-EBADMSG, "wrong checksum");
	data[len - 1] ^= 1;
	data[64] ^= 1;
	write_at(path, data, len);
	expect_image(-EBADMSG, "wrong size");
	assert_int_equal(truncate(path, 100), 0);
	expect_image(-EBADMSG, "shorter than its header");
	assert_int_equal(unlink(path), 0);
	expect_image(-ENOENT, "drive-scsi0.img.fidx");
	(void)path_of("ds/" NAME "/qemu-server.conf.blob", path);
	assert_int_equal(io_read_file(-1, path, 1 << 20, &conf, &len), 0);
	conf[8] ^= 1;
	write_at(path, conf, len);
	assert_int_equal(snapshot_open(store, "", NAME, &sn, NULL), 0);
	assert_int_equal(snapshot_read_blob(sn, "qemu-server.conf.blob", &out, NULL), -EBADMSG);
	snapshot_close(sn);
}

static void test_manifest_of_another(void **state)
{
	struct snapshot *sn;
	struct err e = ERR_INIT;
	char from[512], to[512];

	(void)state;
	(void)path_of("ds/vm/100/2024-01-01T00:00:01Z/index.json.blob", from);
	(void)path_of("ds/" NAME "/index.json.blob", to);
	assert_int_equal(rename(from, to), 0);
	assert_int_equal(snapshot_open(store, "", NAME, &sn, &e), -EBADMSG);
	assert_non_null(strstr(e.text, "another snapshot"));
	assert_int_equal(snapshot_open(store, "", "vm/100/2024-01-01T00:00:01Z", &sn, &e), -ENOENT);
	assert_non_null(strstr(e.text, "not finished"));
	assert_int_equal(snapshot_open(store, "", "vm/100/2024-01-01T00:00:09Z", &sn, &e), -ENOENT);
	assert_int_equal(snapshot_open(store, "", "vm/100", &sn, &e), -EINVAL);
	assert_int_equal(snapshot_open(store, "..", NAME, &sn, &e), -EINVAL);
}

static void test_raw(void **state)
{
	uint8_t p[1000];
	struct source *s;
	char path[512];

	(void)state;
	assert_int_equal(source_open_raw(open(path_of("image", path), O_RDONLY | O_CLOEXEC), &s, NULL), 0);
	assert_int_equal(s->size_bytes, image_len);
	assert_true(s->raw_fd >= 0);
	assert_int_equal(source_read_at(s, p, 777, 6 * CHUNK, NULL), 0);
	assert_memory_equal(p, image + 6 * CHUNK, 777);
	assert_int_equal(source_read_at(s, p, 778, 6 * CHUNK, NULL), -ERANGE);
	assert_false(source_is_zero(s, 1));
	source_close(s);
	assert_int_equal(source_open_raw(open(dir, O_RDONLY | O_CLOEXEC), &s, NULL), -EISDIR);
	assert_int_equal(source_open_raw(open("/dev/null", O_RDONLY | O_CLOEXEC), &s, NULL), -EINVAL);
}

static void test_not_a_store(void **state)
{
	struct store *s;
	struct err e = ERR_INIT;
	char path[512];

	(void)state;
	assert_int_equal(store_open(dir, &s, &e), -ENOENT);
	assert_non_null(strstr(e.text, "not a datastore"));
	assert_int_equal(store_open(path_of("none", path), &s, &e), -ENOENT);
	assert_int_equal(store_open(path_of("image", path), &s, &e), -ENOTDIR);
	assert_int_equal(store_create(dir, &e), -EEXIST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_second_backup_writes_nothing),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_failed_backup_leaves_nothing),
		cmocka_unit_test(test_locks),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_backup_heals),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_index_against_manifest),
		cmocka_unit_test(test_manifest_of_another),
		cmocka_unit_test(test_raw),
		cmocka_unit_test(test_not_a_store),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
