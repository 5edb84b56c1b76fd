/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * chunk_limit STORE THREADS INDEX...: reads, decompresses and hashes the chunks of index files, and does nothing else: what no reader
 * of this data can beat. Uses libzstd and libcrypto alone, none of pluck's code. Prints the bytes that came out.
 */
#include <fcntl.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#define CHUNK_MAX ((size_t)17 << 20)
#define HEAD 12			/* of a blob: magic and CRC */
#define INDEX_HEAD 4096

static const char *store;
static const uint8_t *digests;	/* of one index: every stride bytes */
static size_t nr, stride, next;
static unsigned long long total;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static size_t read_file(const char *path, uint8_t *p, size_t room)
{
	int fd = open(path, O_RDONLY);
	ssize_t n, all = 0;

	if (fd < 0)
		die(path);
	while ((n = read(fd, p + all, room - (size_t)all)) > 0)
		all += n;
	(void)close(fd);
	return (size_t)all;
}

static void one(const uint8_t *digest, uint8_t *file, uint8_t *data, ZSTD_DCtx *z)
{
	static const uint8_t zstd_magic[4] = { 0x28, 0xb5, 0x2f, 0xfd };
	char path[4096], hex[65];
	uint8_t has[32];
	const uint8_t *p = data;
	size_t n;

	for (int i = 0; i < 32; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	(void)snprintf(path, sizeof(path), "%s/.chunks/%.4s/%s", store, hex, hex);
	n = read_file(path, file, CHUNK_MAX);
	if (n > HEAD + 4 && !memcmp(file + HEAD, zstd_magic, 4)) {
		n = ZSTD_decompressDCtx(z, data, CHUNK_MAX, file + HEAD, n - HEAD);
	} else {
		p = file + HEAD;
		n -= HEAD;
	}
	if (ZSTD_isError(n) || !EVP_Digest(p, n, has, NULL, EVP_sha256(), NULL) || memcmp(has, digest, 32))
		die(path);
	(void)pthread_mutex_lock(&lock);
	total += n;
	(void)pthread_mutex_unlock(&lock);
}

static void *work(void *arg)
{
	uint8_t *file = malloc(CHUNK_MAX), *data = malloc(CHUNK_MAX);
	ZSTD_DCtx *z = ZSTD_createDCtx();

	(void)arg;
	if (!file || !data || !z)
		die("memory");
	for (;;) {
		size_t i;

		(void)pthread_mutex_lock(&lock);
		i = next++;
		(void)pthread_mutex_unlock(&lock);
		if (i >= nr)
			break;
		one(digests + i * stride, file, data, z);
	}
	(void)ZSTD_freeDCtx(z);
	free(file);
	free(data);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t t[16];
	int threads;

	if (argc < 4 || (threads = atoi(argv[2])) < 1 || threads > 16)
		return 2;
	store = argv[1];
	for (int a = 3; a < argc; a++) {
		struct stat st;
		uint8_t *index;

		if (stat(argv[a], &st) < 0 || !(index = malloc((size_t)st.st_size)))
			die(argv[a]);
		if (read_file(argv[a], index, (size_t)st.st_size) < INDEX_HEAD)
			die(argv[a]);
		stride = strstr(argv[a], ".didx") ? 40 : 32;
		nr = ((size_t)st.st_size - INDEX_HEAD) / stride;
		digests = index + INDEX_HEAD + stride - 32;
		next = 0;
		for (int i = 0; i < threads; i++)
			if (pthread_create(&t[i], NULL, work, NULL))
				die("thread");
		for (int i = 0; i < threads; i++)
			(void)pthread_join(t[i], NULL);
		free(index);
	}
	(void)printf("%llu\n", total);
	return 0;
}
