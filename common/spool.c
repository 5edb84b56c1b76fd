/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/grow.h"
#include "common/io.h"
#include "common/log.h"

#define BLOCK ((size_t)256 << 10)

struct spool_block {
	uint8_t *data;		/* NULL: in the file */
	uint64_t at;		/* block of the file */
	bool has_place;		/* @at is its own */
};

static int file = -1;
static atomic_uint_fast64_t file_blocks;
static atomic_bool tried;
static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;

static void open_file(void)
{
	const char *dir = getenv("TMPDIR");
	char name[4096];

	if (file >= 0)
		return;
	dir = dir && *dir ? dir : "/var/tmp";
	file = open(dir, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	if (file < 0 && snprintf(name, sizeof(name), "%s/pluck-XXXXXX", dir) < (int)sizeof(name)) {
		file = mkostemp(name, O_CLOEXEC);
		if (file >= 0)
			(void)unlink(name);
	}
	if (file < 0)
		log_debug("no temporary file in '%s', large tables stay in memory: %s", dir, strerror(errno));
}

void spool_prepare(void)
{
	(void)pthread_mutex_lock(&opening);
	open_file();
	atomic_store(&tried, true);
	(void)pthread_mutex_unlock(&opening);
}

static bool has_file(void)
{
	if (!atomic_load(&tried))
		spool_prepare();
	return file >= 0;
}

static int write_at(uint64_t off, const uint8_t *p, size_t len)
{
	for (size_t done = 0; done < len;) {
		const ssize_t n = pwrite(file, p + done, len - done, (off_t)(off + done));

		if (n < 0 && errno != EINTR)
			return -errno;
		done += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/* Moves a block to the file, and its memory to @to. */
static int move_out(struct spool_block *b, struct spool_block *to)
{
	int r;

	if (!b->has_place)
		b->at = atomic_fetch_add(&file_blocks, 1);
	b->has_place = true;
	r = write_at(b->at * BLOCK, b->data, BLOCK);
	if (r < 0)
		return r;
	to->data = b->data;
	b->data = NULL;
	return 0;
}

/* The last block is full: another one, with its memory if that is enough. */
static int next_block(struct spool *s)
{
	struct spool_block *next;
	int r = grow(&s->block, &s->room, s->nr_blocks, sizeof(*s->block));

	if (r < 0)
		return r;
	next = &s->block[s->nr_blocks];
	if (s->nr_blocks == s->nr_made) {
		*next = (struct spool_block){ 0 };
		s->nr_made++;
	}
	if (s->nr_blocks >= SPOOL_MEMORY / BLOCK && has_file())
		r = move_out(next - 1, next);
	else
		next->data = malloc(BLOCK);
	if (r < 0)
		return r;
	if (!next->data)
		return -ENOMEM;
	s->nr_blocks++;
	return 0;
}

int spool_add(struct spool *s, const void *p, size_t n)
{
	const uint8_t *from = p;

	while (n) {
		const size_t at = (size_t)(s->len % BLOCK);
		size_t part = BLOCK - at;
		int r;

		if (s->len == (uint64_t)s->nr_blocks * BLOCK && (r = next_block(s)) < 0)
			return r;
		if (part > n)
			part = n;
		memcpy(s->block[s->nr_blocks - 1].data + at, from, part);
		s->len += part;
		from += part;
		n -= part;
	}
	return 0;
}

int spool_cut(struct spool *s, uint64_t len)
{
	const size_t nr = (size_t)((len + BLOCK - 1) / BLOCK);
	struct spool_block *last = nr ? &s->block[nr - 1] : NULL;
	uint8_t *memory = NULL;

	if (len >= s->len)
		return 0;
	for (; s->nr_blocks > nr; s->nr_blocks--) {
		struct spool_block *b = &s->block[s->nr_blocks - 1];

		if (!memory)
			memory = b->data;
		else
			free(b->data);
		b->data = NULL;
	}
	s->len = len;
	/* What is appended to is in memory; what lies behind it had some. */
	if (last && !last->data) {
		last->data = memory;
		return io_pread_full(file, memory, BLOCK, last->at * BLOCK);
	}
	free(memory);
	return 0;
}

int spool_read(const struct spool *s, uint64_t off, void *p, size_t n)
{
	uint8_t *to = p;
	int r = 0;

	if (off > s->len || n > s->len - off)
		return -ERANGE;
	while (n && r == 0) {
		const struct spool_block *b = &s->block[off / BLOCK];
		const size_t at = (size_t)(off % BLOCK), part = n < BLOCK - at ? n : BLOCK - at;

		if (b->data)
			memcpy(to, b->data + at, part);
		else
			r = io_pread_full(file, to, part, b->at * BLOCK + at);
		to += part;
		off += part;
		n -= part;
	}
	return r;
}

int spool_find(const struct spool *s, uint64_t key, void *record, size_t size)
{
	uint64_t lo = 0, hi = s->len / size, seen;
	int r = 0;

	while (lo < hi) {
		const uint64_t mid = lo + (hi - lo) / 2;

		r = spool_read(s, mid * size, &seen, sizeof(seen));
		if (r < 0)
			return r;
		if (seen < key)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo >= s->len / size)
		return 0;
	r = spool_read(s, lo * size, record, size);
	memcpy(&seen, record, sizeof(seen));
	return r < 0 ? r : seen == key;
}

void spool_free(struct spool *s)
{
	for (size_t i = 0; i < s->nr_blocks; i++)
		free(s->block[i].data);
	free(s->block);
	*s = (struct spool){ 0 };
}

/* A part of the file that nobody else has. Return: where it begins. */
static uint64_t take_part(uint64_t len)
{
	return atomic_fetch_add(&file_blocks, (len + BLOCK - 1) / BLOCK) * BLOCK;
}

int spool_area_new(size_t len, struct spool_area *ret)
{
	struct spool_area a = { .len = len };
	void *p = MAP_FAILED;

	if (len > SPOOL_MEMORY && has_file()) {
		a.at = take_part(len);
		p = mmap(NULL, len, PROT_READ, MAP_SHARED, file, (off_t)a.at);
	}
	a.mapped = p != MAP_FAILED;
	a.p = a.mapped ? p : malloc(len);
	if (!a.p)
		return -ENOMEM;
	*ret = a;
	return 0;
}

/* The file takes no more. */
static int area_to_memory(struct spool_area *a)
{
	uint8_t *p = malloc(a->len);

	if (!p)
		return -ENOMEM;
	memcpy(p, a->p, a->done);
	(void)munmap(a->p, a->len);
	a->p = p;
	a->mapped = false;
	return 0;
}

int spool_area_add(struct spool_area *a, const void *p, size_t n)
{
	int r = 0;

	if (n > a->len - a->done)
		return -ERANGE;
	if (a->mapped && write_at(a->at + a->done, p, n) < 0)
		r = area_to_memory(a);
	if (r == 0 && !a->mapped)
		memcpy(a->p + a->done, p, n);
	a->done += r == 0 ? n : 0;
	return r;
}

void spool_area_free(struct spool_area *a)
{
	if (a->mapped)
		(void)munmap(a->p, a->len);
	else
		free(a->p);
	*a = (struct spool_area){ 0 };
}

int spool_space_new(uint64_t len, struct spool_space *ret)
{
	struct spool_space s = { .len = len };

	if (len > SIZE_MAX)
		return -ENOMEM;
	if (len > SPOOL_SPACE_MEMORY && has_file()) {
		s.at = take_part(len);
	} else {
		s.memory = calloc(1, (size_t)len);
		if (!s.memory)
			return -ENOMEM;
	}
	*ret = s;
	return 0;
}

int spool_space_read(const struct spool_space *s, uint64_t off, void *p, size_t n)
{
	uint8_t *to = p;

	if (off > s->len || n > s->len - off)
		return -ERANGE;
	if (s->memory) {
		memcpy(to, s->memory + off, n);
		return 0;
	}
	while (n) {
		const ssize_t r = pread(file, to, n, (off_t)(s->at + off));

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0) {	/* the file does not reach so far yet */
			memset(to, 0, n);
			return 0;
		}
		to += r;
		off += (uint64_t)r;
		n -= (size_t)r;
	}
	return 0;
}

static int space_to_memory(struct spool_space *s)
{
	uint8_t *p = malloc((size_t)s->len);
	const int r = p ? spool_space_read(s, 0, p, (size_t)s->len) : -ENOMEM;

	if (r < 0) {
		free(p);
		return r;
	}
	s->memory = p;
	return 0;
}

int spool_space_write(struct spool_space *s, uint64_t off, const void *p, size_t n)
{
	int r = 0;

	if (off > s->len || n > s->len - off)
		return -ERANGE;
	if (!s->memory && write_at(s->at + off, p, n) < 0)
		r = space_to_memory(s);
	if (r == 0 && s->memory)
		memcpy(s->memory + off, p, n);
	return r;
}

void spool_space_free(struct spool_space *s)
{
	free(s->memory);
	*s = (struct spool_space){ 0 };
}
