/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/spool_area.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/spool.h"
#include "common/spool_file.h"

int spool_area_new(size_t len, struct spool_area *ret)
{
	struct spool_area a = { .len = len };
	const void *p = NULL;

	if (len > SPOOL_MEMORY && spool_file_has()) {
		a.at = spool_file_take(len);
		p = spool_file_map(a.at, len);
	}
	a.mapped = p;
	a.p = p ? (uint8_t *)(uintptr_t)p : malloc(len);
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
	if (a->mapped && spool_file_write(a->at + a->done, p, n) < 0)
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
	if (len > SPOOL_SPACE_MEMORY && spool_file_has()) {
		s.at = spool_file_take(len);
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
	if (off > s->len || n > s->len - off)
		return -ERANGE;
	if (s->memory) {
		memcpy(p, s->memory + off, n);
		return 0;
	}
	return spool_file_read(s->at + off, p, n);
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
	if (!s->memory && spool_file_write(s->at + off, p, n) < 0)
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
