/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_LIB_MEM_SOURCE_H
#define TESTS_LIB_MEM_SOURCE_H

/* Bytes in memory as a source. */

#include <string.h>

#include "host/source/source.h"

struct mem_source {
	struct source src;
	const uint8_t *bytes;
	uint64_t bad_from, bad_to;	/* reads that touch this range fail */
	uint64_t expected[4];
	size_t nr_expected;
};

static inline int mem_source_read(struct source *s, void *p, size_t n, uint64_t off, struct err *err)
{
	struct mem_source *m = (struct mem_source *)s;

	if (off < m->bad_to && off + n > m->bad_from)
		return err_text(err, -EIO, "bad range");
	if (n)
		memcpy(p, m->bytes + off, n);
	return 0;
}

static inline void mem_source_expect(struct source *s, uint64_t off)
{
	struct mem_source *m = (struct mem_source *)s;

	if (m->nr_expected < sizeof(m->expected) / sizeof(*m->expected))
		m->expected[m->nr_expected++] = off;
}

static inline void mem_source_close(struct source *s)
{
	(void)s;
}

static inline struct mem_source mem_source(const void *p, size_t len)
{
	static const struct source_ops ops = {
		.read_at = mem_source_read, .expect = mem_source_expect, .close = mem_source_close,
	};

	return (struct mem_source){ .src = { .ops = &ops, .size_bytes = len, .unit_bytes = 65536, .raw_fd = -1 }, .bytes = p };
}

#endif
