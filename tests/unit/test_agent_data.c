/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/data.h"
#include "common/cleanup.h"
#include "common/http.h"
#include "common/io.h"

/* Offsets and sizes around the alignment and the size of a chunk; the directory may or may not allow direct reads. */
static const struct {
	size_t front, size, from, end;
} cases[] = {
	{ 0, 1, 0, 1 },			{ 0, 4096, 0, 4096 },	       { 100, 32768, 0, 32768 },	{ 100, 40000, 0, 40000 },
	{ 4064, 40000, 0, 40000 },	{ 32768, 300001, 0, 300001 },  { 32769, 300001, 0, 300001 },	{ 200000, 70000, 0, 70000 },
	{ 7, 300001, 4095, 300001 },	{ 7, 300001, 4096, 300000 },   { 7, 300001, 5000, 5001 },	{ 0, 1000000, 0, 999999 },
};

static uint8_t byte_at(size_t i)
{
	return (uint8_t)(i * 2654435761u >> 13);
}

static int temp_file(void)
{
	char name[] = "test-data-XXXXXX";
	int fd = mkstemp(name);

	assert_true(fd >= 0);
	assert_int_equal(unlink(name), 0);
	return fd;
}

static void fill(struct reply *r, size_t n)
{
	CLEANUP_FREE uint8_t *p = calloc(1, n + 1);

	memset(p, 'f', n);
	assert_int_equal(reply_write(r, p, n), 0);
}

static void check_body(int fd, size_t front, size_t from, size_t end)
{
	const size_t size = (size_t)lseek(fd, 0, SEEK_END);
	CLEANUP_FREE char *text = malloc(size);
	struct http_body body;
	struct http_head head;
	const char *p, *run;
	size_t left, n, at = 0;
	long head_end;
	int r;

	assert_int_equal(io_pread_full(fd, text, size, 0), 0);
	head_end = http_head_end(text, size);
	assert_true(head_end > 0);
	assert_int_equal(http_parse_response(text, (size_t)head_end, &head), 0);
	assert_int_equal(http_body_init(&body, &head), 0);
	p = text + head_end;
	left = size - (size_t)head_end;
	do {
		r = http_body_next(&body, &p, &left, &run, &n);
		assert_true(r >= 0);
		for (size_t i = 0; i < n; i++, at++)
			assert_int_equal((uint8_t)run[i], at < front ? 'f' : byte_at(from + at - front));
	} while (r == 0);
	assert_int_equal(at, front + end - from);
}

static void test_data(void **state)
{
	(void)state;
	for (size_t c = 0; c < sizeof(cases) / sizeof(*cases); c++) {
		CLEANUP_CLOSE int out = temp_file(), in = temp_file();
		CLEANUP_FREE uint8_t *p = malloc(cases[c].size);
		uint64_t off = cases[c].from;
		struct reply r;
		struct data d;
		int error = 0;

		print_message("%zu: %zu+%zu, %zu to %zu\n", c, cases[c].front, cases[c].size, cases[c].from, cases[c].end);
		for (size_t i = 0; i < cases[c].size; i++)
			p[i] = byte_at(i);
		assert_int_equal(io_write_full(in, p, cases[c].size), 0);
		assert_int_equal(fsync(in), 0);
		assert_int_equal(reply_init(&r, out), 0);
		reply_begin(&r, "text/plain");
		fill(&r, cases[c].front);
		data_begin(&d, in, cases[c].size);
		assert_int_equal(data_readable(&d, off), 0);
		while (off < cases[c].end) {
			ssize_t n = data_send(&d, &r, off, cases[c].end, &error);

			assert_true(n > 0);
			off += (uint64_t)n;
		}
		assert_int_equal(data_send(&d, &r, cases[c].size, cases[c].size + 1, &error), 0);
		assert_int_equal(error, -ENODATA);
		assert_int_equal(data_readable(&d, cases[c].size), -ENODATA);
		assert_int_equal(reply_end(&r), 0);
		reply_free(&r);
		check_body(out, cases[c].front, cases[c].from, cases[c].end);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_data) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
