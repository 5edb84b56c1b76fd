/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/http.h"

#define T(s) s, sizeof(s) - 1
#define NR(a) (sizeof(a) / sizeof(*(a)))

static const struct {
	const char *name, *in;
	size_t len;
	int want;
} requests[] = {
	{ "plain", T("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 0 },
	{ "no fields", T("GET /a?b=c HTTP/1.1\r\n\r\n"), 0 },
	{ "length 0", T("GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"), 0 },
	{ "post", T("POST / HTTP/1.1\r\n\r\n"), -EOPNOTSUPP },
	{ "lower-case method", T("get / HTTP/1.1\r\n\r\n"), -EOPNOTSUPP },
	{ "method no token", T("G(T / HTTP/1.1\r\n\r\n"), -EBADMSG },
	{ "body by length", T("GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\n"), -EBADMSG },
	{ "body by chunks", T("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"), -EBADMSG },
	{ "both lengths", T("GET / HTTP/1.1\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n"), -EBADMSG },
	{ "two lengths", T("GET / HTTP/1.1\r\nContent-Length: 0\r\ncontent-length: 0\r\n\r\n"), -EBADMSG },
	{ "two tickets", T("GET / HTTP/1.1\r\nAuthorization: a\r\nauthorization: b\r\n\r\n"), -EBADMSG },
	{ "1.0", T("GET / HTTP/1.0\r\n\r\n"), -EBADMSG },
	{ "http in lower case", T("GET / http/1.1\r\n\r\n"), -EBADMSG },
	{ "0.9", T("GET /\r\n\r\n"), -EBADMSG },
	{ "absolute target", T("GET http://x/ HTTP/1.1\r\n\r\n"), -EBADMSG },
	{ "fragment", T("GET /a#b HTTP/1.1\r\n\r\n"), -EBADMSG },
	{ "two spaces", T("GET  / HTTP/1.1\r\n\r\n"), -EBADMSG },
	{ "space in target", T("GET /a b HTTP/1.1\r\n\r\n"), -EBADMSG },
	{ "tab in target", T("GET /a\tb HTTP/1.1\r\n\r\n"), -EBADMSG },
	{ "space behind version", T("GET / HTTP/1.1 \r\n\r\n"), -EBADMSG },
	{ "NUL in target", T("GET /\0 HTTP/1.1\r\n\r\n"), -EBADMSG },
	{ "non-ASCII target", T("GET /\xc3\xa9 HTTP/1.1\r\n\r\n"), -EBADMSG },
	{ "bare LF in start", T("GET / HTTP/1.1\nHost: x\r\n\r\n"), -EBADMSG },
	{ "bare LF in fields", T("GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n"), -EBADMSG },
	{ "bare CR", T("GET / HTTP/1.1\r\nA: b\rC: d\r\n\r\n"), -EBADMSG },
	{ "folding", T("GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n"), -EBADMSG },
	{ "space before colon", T("GET / HTTP/1.1\r\nA : b\r\n\r\n"), -EBADMSG },
	{ "no colon", T("GET / HTTP/1.1\r\nAb\r\n\r\n"), -EBADMSG },
	{ "no name", T("GET / HTTP/1.1\r\n: b\r\n\r\n"), -EBADMSG },
	{ "NUL in value", T("GET / HTTP/1.1\r\nA: b\0c\r\n\r\n"), -EBADMSG },
	{ "NUL in name", T("GET / HTTP/1.1\r\nA\0: b\r\n\r\n"), -EBADMSG },
	{ "non-ASCII value", T("GET / HTTP/1.1\r\nA: \xff\r\n\r\n"), -EBADMSG },
	{ "DEL in value", T("GET / HTTP/1.1\r\nA: \x7f\r\n\r\n"), -EBADMSG },
	{ "empty line first", T("\r\nGET / HTTP/1.1\r\n\r\n"), -EBADMSG },
	{ "bytes behind the end", T("GET / HTTP/1.1\r\n\r\nX"), -EBADMSG },
	{ "no end", T("GET / HTTP/1.1\r\nA: b\r\n"), -EBADMSG },
	{ "empty", T(""), -EBADMSG },
};

static void test_requests(void **state)
{
	(void)state;
	for (size_t i = 0; i < NR(requests); i++) {
		struct http_head h;

		print_message("%s\n", requests[i].name);
		assert_int_equal(http_parse_request(requests[i].in, requests[i].len, &h), requests[i].want);
	}
}

static const struct {
	const char *name, *in;
	size_t len;
	int want, status;
	bool has_length, chunked, close;
	uint64_t length;
} responses[] = {
	{ "length", T("HTTP/1.1 200 OK\r\nContent-Length:  12 \r\n\r\n"), 0, 200, true, false, false, 12 },
	{ "chunked", T("HTTP/1.1 404 \r\nTransfer-Encoding: Chunked\r\n\r\n"), 0, 404, false, true, false, 0 },
	{ "close", T("HTTP/1.1 200 a b\r\nConnection: x, Close\r\n\r\n"), 0, 200, false, false, true, 0 },
	{ "largest length", T("HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n"), 0, 200, true, false, false,
	  UINT64_MAX },
	{ "length overflow", T("HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n"), .want = -EBADMSG },
	{ "negative length", T("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), .want = -EBADMSG },
	{ "signed length", T("HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n"), .want = -EBADMSG },
	{ "hex length", T("HTTP/1.1 200 OK\r\nContent-Length: 0x1\r\n\r\n"), .want = -EBADMSG },
	{ "empty length", T("HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n"), .want = -EBADMSG },
	{ "list of lengths", T("HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n"), .want = -EBADMSG },
	{ "two lengths", T("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"), .want = -EBADMSG },
	{ "both lengths", T("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n"), .want = -EBADMSG },
	{ "gzip", T("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"), .want = -EBADMSG },
	{ "identity", T("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n"), .want = -EBADMSG },
	{ "two codings", T("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), .want = -EBADMSG },
	{ "status 99", T("HTTP/1.1 099 x\r\n\r\n"), .want = -EBADMSG },
	{ "status 600", T("HTTP/1.1 600 x\r\n\r\n"), .want = -EBADMSG },
	{ "four digits", T("HTTP/1.1 2000 x\r\n\r\n"), .want = -EBADMSG },
	{ "no reason", T("HTTP/1.1 200\r\n\r\n"), .want = -EBADMSG },
	{ "HTTP/2", T("HTTP/2.0 200 x\r\n\r\n"), .want = -EBADMSG },
	{ "NUL in reason", T("HTTP/1.1 200 \0\r\n\r\n"), .want = -EBADMSG },
	{ "escape in reason", T("HTTP/1.1 200 \x1b[31m\r\n\r\n"), .want = -EBADMSG },
};

static void test_responses(void **state)
{
	(void)state;
	for (size_t i = 0; i < NR(responses); i++) {
		struct http_head h = { 0 };

		print_message("%s\n", responses[i].name);
		assert_int_equal(http_parse_response(responses[i].in, responses[i].len, &h), responses[i].want);
		assert_int_equal(h.status, responses[i].status);
		assert_int_equal(h.has_length, responses[i].has_length);
		assert_int_equal(h.chunked, responses[i].chunked);
		assert_int_equal(h.close, responses[i].close);
		assert_true(h.length == responses[i].length);
	}
}

static void test_head_limits(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct http_head h;

	(void)state;
	assert_int_equal(http_head_end("GET / HTTP/1.1\r\n\r", 17), 0);
	assert_int_equal(http_head_end("GET / HTTP/1.1\r\n\r\nabc", 21), 18);
	buf_str(&b, "GET / HTTP/1.1\r\n");
	for (int i = 0; i < HTTP_FIELDS_MAX; i++)
		buf_fmt(&b, "A%d: b\r\n", i);
	buf_str(&b, "\r\n");
	assert_int_equal(http_parse_request(b.data, b.len, &h), 0);
	assert_int_equal(h.nr_fields, HTTP_FIELDS_MAX);
	assert_non_null(http_field(&h, "a31"));
	assert_null(http_field(&h, "a32"));
	b.len -= 2;
	buf_str(&b, "One-Too-Many: x\r\n\r\n");
	assert_int_equal(http_parse_request(b.data, b.len, &h), -EBADMSG);
	buf_reset(&b);
	while (b.len < HTTP_HEAD_MAX)
		buf_u8(&b, 'a');
	assert_int_equal(http_head_end(b.data, b.len - 1), 0);
	assert_int_equal(http_head_end(b.data, b.len), -EBADMSG);
	memcpy(b.data + b.len - 4, "\r\n\r\n", 4);
	assert_int_equal(http_head_end(b.data, b.len), HTTP_HEAD_MAX);
}

static const struct {
	const char *target, *name, *value;
	int want;
} queries[] = {
	{ "/x?path=YQ%3d%3D", "path", "YQ==", 1 },
	{ "/x?a=1&path=b+c&d", "path", "b c", 1 },
	{ "/x?a=1&path=b+c&d", "d", "", 1 },
	{ "/x?a=1&path=b%2bc", "path", "b+c", 1 },
	{ "/x?a=1", "path", "", 0 },
	{ "/x", "path", "", 0 },
	{ "/x?", "", "", 1 },
	{ "/x?Path=1", "path", "", 0 },
	{ "/x?path=1=2?3", "path", "1=2?3", 1 },
	{ "/x?path=1&path=1", "path", "", -EBADMSG },
	{ "/x?path=1&p%61th=2", "path", "", -EBADMSG },
	{ "/x?path=%", "path", "", -EBADMSG },
	{ "/x?path=%4", "path", "", -EBADMSG },
	{ "/x?path=a%4&b=1", "path", "", -EBADMSG },
	{ "/x?path=%g0", "path", "", -EBADMSG },
	{ "/x?path=%00", "path", "\0", 1 },
};

static void test_query(void **state)
{
	(void)state;
	for (size_t i = 0; i < NR(queries); i++) {
		CLEANUP_BUF struct buf b = BUF_INIT;
		struct http_head h = { .target = queries[i].target, .target_len = strlen(queries[i].target) };

		print_message("%s\n", queries[i].target);
		buf_u8(&b, '!');
		assert_int_equal(http_query(&h, queries[i].name, &b), queries[i].want);
		assert_true(http_target_path(&h, "/x"));
		assert_false(http_target_path(&h, "/"));
		assert_int_equal(b.len, 1 + (i == NR(queries) - 1 ? 1 : strlen(queries[i].value)));
		assert_memory_equal(b.data + 1, queries[i].value, b.len - 1);
	}
}

static void test_escape(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT, back = BUF_INIT, target = BUF_INIT;
	uint8_t all[256];
	struct http_head h;

	(void)state;
	for (int i = 0; i < 256; i++)
		all[i] = (uint8_t)i;
	http_escape(&b, "aZ9-_.~ /+=\0\xff", 13);
	assert_string_equal(buf_cstr(&b), "aZ9-_.~%20%2F%2B%3D%00%FF");
	buf_str(&target, "GET /?p=");
	http_escape(&target, all, sizeof(all));
	buf_str(&target, " HTTP/1.1\r\n\r\n");
	assert_int_equal(http_parse_request(target.data, target.len, &h), 0);
	assert_int_equal(http_query(&h, "p", &back), 1);
	assert_int_equal(back.len, sizeof(all));
	assert_memory_equal(back.data, all, sizeof(all));
}

#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

static const struct {
	const char *name, *in;
	size_t len;
	int want;		/* 1 complete; 0 not yet */
	const char *data;
} bodies[] = {
	{ "two chunks", T("3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n"), 1, "abcd" },
	{ "trailer", T("3\r\nabc\r\n0\r\npluck-entries: 7\r\nB: c\r\n\r\n"), 1, "abc" },
	{ "empty", T("0\r\n\r\n"), 1, "" },
	{ "upper case", T("A\r\n0123456789\r\n0\r\n\r\n"), 1, "0123456789" },
	{ "zeros in front", T("0000000000000001\r\na\r\n00\r\n\r\n"), 1, "a" },
	{ "cut in data", T("3\r\nab"), 0, "ab" },
	{ "cut in line", T("3"), 0, "" },
	{ "cut before trailer", T("3\r\nabc\r\n0\r\n"), 0, "abc" },
	{ "17 digits", T("00000000000000001\r\na\r\n0\r\n\r\n"), -EBADMSG, "" },
	{ "huge chunk", T("ffffffffffffffff\r\na"), 0, "a" },
	{ "sum overflows", T("1\r\na\r\nffffffffffffffff\r\nb"), -EBADMSG, "a" },
	{ "extension", T("3;x=y\r\nabc\r\n0\r\n\r\n"), -EBADMSG, "" },
	{ "space in size", T("3 \r\nabc\r\n0\r\n\r\n"), -EBADMSG, "" },
	{ "sign", T("+3\r\nabc\r\n0\r\n\r\n"), -EBADMSG, "" },
	{ "0x", T("0x3\r\nabc\r\n0\r\n\r\n"), -EBADMSG, "" },
	{ "no size", T("\r\nabc\r\n0\r\n\r\n"), -EBADMSG, "" },
	{ "bare LF behind size", T("3\nabc\r\n0\r\n\r\n"), -EBADMSG, "" },
	{ "bare LF behind data", T("3\r\nabc\n0\r\n\r\n"), -EBADMSG, "abc" },
	{ "data too long", T("3\r\nabcd\r\n0\r\n\r\n"), -EBADMSG, "abc" },
	{ "NUL in size", T("3\0\r\nabc\r\n0\r\n\r\n"), -EBADMSG, "" },
	{ "trailer with bare LF", T("0\r\na: b\n\r\n"), -EBADMSG, "" },
	{ "trailer folded", T("0\r\na: b\r\n c\r\n\r\n"), -EBADMSG, "" },
	{ "trailer twice", T("0\r\na: b\r\nA: c\r\n\r\n"), -EBADMSG, "" },
	{ "trailer with framing", T("0\r\nContent-Length: 1\r\n\r\n"), -EBADMSG, "" },
	{ "trailer non-ASCII", T("0\r\na: \x80\r\n\r\n"), -EBADMSG, "" },
};

/* Feeds @step bytes at a time. */
static int run_body(const char *head, const char *in, size_t len, size_t step, struct buf *data, struct http_body *b)
{
	struct http_head h;
	int r = 0;

	assert_int_equal(http_parse_response(head, strlen(head), &h), 0);
	assert_int_equal(http_body_init(b, &h), 0);
	for (size_t at = 0; at < len && r == 0;) {
		size_t n = len - at < step ? len - at : step, left = n, got;
		const char *p = in + at, *run;

		do {
			r = http_body_next(b, &p, &left, &run, &got);
			buf_add(data, run, r ? 0 : got);
		} while (r == 0 && (left || got));
		at += n;
	}
	return r;
}

static void test_bodies(void **state)
{
	(void)state;
	for (size_t i = 0; i < NR(bodies); i++) {
		print_message("%s\n", bodies[i].name);
		for (size_t step = 1; step < 40; step++) {
			CLEANUP_BUF struct buf data = BUF_INIT;
			struct http_body b;

			assert_int_equal(run_body(CHUNKED, bodies[i].in, bodies[i].len, step, &data, &b), bodies[i].want);
			assert_string_equal(buf_cstr(&data), bodies[i].data);
			if (bodies[i].want == 1)
				assert_int_equal(b.total, data.len);
		}
	}
}

static void test_trailer(void **state)
{
	CLEANUP_BUF struct buf data = BUF_INIT, in = BUF_INIT;
	struct http_body b;
	uint64_t v;

	(void)state;
	buf_str(&in, "3\r\nabc\r\n0\r\nPluck-Entries: 7\r\nB:  c d \r\n\r\nHTTP/1.1");
	assert_int_equal(run_body(CHUNKED, (char *)in.data, in.len, 7, &data, &b), 1);
	assert_int_equal(http_field_u64(http_trailer(&b, "pluck-entries"), &v), 0);
	assert_int_equal(v, 7);
	assert_int_equal(http_trailer(&b, "b")->value_len, 3);
	assert_null(http_trailer(&b, "c"));
	buf_reset(&in);
	buf_str(&in, "0\r\na: ");
	while (in.len < HTTP_TRAILER_MAX + 16)
		buf_u8(&in, 'x');
	buf_str(&in, "\r\n\r\n");
	buf_reset(&data);
	assert_int_equal(run_body(CHUNKED, (char *)in.data, in.len, 100, &data, &b), -EBADMSG);
	buf_reset(&in);
	buf_str(&in, "0\r\n");
	for (int i = 0; i <= HTTP_FIELDS_MAX; i++)
		buf_fmt(&in, "a%d: b\r\n", i);
	buf_str(&in, "\r\n");
	assert_int_equal(run_body(CHUNKED, (char *)in.data, in.len, 100, &data, &b), -EBADMSG);
}

static void test_fixed(void **state)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
	CLEANUP_BUF struct buf data = BUF_INIT;
	const char *p = NULL, *run;
	struct http_head h = { 0 };
	struct http_body b;
	size_t left = 0, got;

	(void)state;
	assert_int_equal(run_body(head, "helloHTTP", 9, 9, &data, &b), 1);
	assert_string_equal(buf_cstr(&data), "hello");
	assert_int_equal(http_body_init(&b, &h), -EBADMSG);
	h.has_length = true;
	assert_int_equal(http_body_init(&b, &h), 0);
	assert_int_equal(http_body_next(&b, &p, &left, &run, &got), 1);
	buf_reset(&data);
	http_write_chunk_line(&data, 0x1000);
	assert_string_equal(buf_cstr(&data), "1000\r\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests), cmocka_unit_test(test_responses), cmocka_unit_test(test_head_limits),
		cmocka_unit_test(test_query),	 cmocka_unit_test(test_escape),	   cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_trailer),	 cmocka_unit_test(test_fixed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
