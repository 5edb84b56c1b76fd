/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The client against an agent that lies: whatever it says, no success, in bounded time and memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "common/buf.h"
#include "common/wire.h"
#include "host/client/client.h"

#define TICKET "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define TIMEOUT_MS 300		/* where silence is the lie; else a busy machine would be one */
#define SECONDS_MAX 60		/* against a hang */
#ifdef __SANITIZE_ADDRESS__
#define GROWTH_MAX_KIB (1 << 20)	/* freed memory is kept to catch its use */
#else
#define GROWTH_MAX_KIB (96 << 10)
#endif

#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
#define SIZED(n) "HTTP/1.1 200 OK\r\nContent-Length: " #n "\r\n\r\n"
#define TRAILER0 "pluck-entries: 0\r\npluck-bytes: 0\r\npluck-errors: 0\r\npluck-xxh64: ef46db3751d8e999\r\n"
#define A "{\"path\":\"YQ==\",\"type\":\"f\"}\n"

enum ask { LIST, TREE, STAT, DISKS, EXTRACT, RUN };

struct lie {
	const char *name;
	enum ask ask;
	int want, or;			/* -EPROTO if both are 0 */
	const char *raw;		/* the answer, then the end */
	const char *lines;		/* body of a chunked answer whose trailer is right */
	unsigned int entries, errors;	/* what that trailer says */
	void (*tell)(int fd);		/* anything else; the end when it returns */
};

/* Return: false when the client has gone. */
static bool say(int fd, const void *p, size_t n)
{
	while (n) {
		ssize_t w = send(fd, p, n, MSG_NOSIGNAL);

		if (w <= 0)
			return false;
		p = (const char *)p + w;
		n -= (size_t)w;
	}
	return true;
}

static bool say_text(int fd, const char *s)
{
	return say(fd, s, strlen(s));
}

static bool say_chunk(int fd, const char *p, size_t n)
{
	char line[32];

	return say(fd, line, (size_t)snprintf(line, sizeof(line), "%zx\r\n", n)) && say(fd, p, n) && say_text(fd, "\r\n");
}

static void for_ever(int fd, const char *s)
{
	while (say_text(fd, s))
		;
}

static void say_end(int fd, uint64_t entries, uint64_t bytes, uint64_t errors, uint64_t hash)
{
	char text[256];

	(void)snprintf(text, sizeof(text), "0\r\npluck-entries: %llu\r\npluck-bytes: %llu\r\npluck-errors: %llu\r\npluck-xxh64: %016llx\r\n\r\n",
		       (unsigned long long)entries, (unsigned long long)bytes, (unsigned long long)errors, (unsigned long long)hash);
	(void)say_text(fd, text);
}

static void say_lines(int fd, const struct lie *l)
{
	size_t n = strlen(l->lines);

	if (say_text(fd, CHUNKED) && (!n || say_chunk(fd, l->lines, n)))
		say_end(fd, l->entries, n, l->errors, XXH64(l->lines, n, 0));
}

static void endless_head(int fd)
{
	(void)say_text(fd, "HTTP/1.1 200 OK\r\n");
	for_ever(fd, "a: b\r\n");
}

static void endless_field(int fd)
{
	(void)say_text(fd, "HTTP/1.1 200 OK\r\na: ");
	for_ever(fd, "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
}

static void endless_trailer(int fd)
{
	(void)say_text(fd, CHUNKED "0\r\n");
	for_ever(fd, "a: b\r\n");
}

static void endless_chunk_size(int fd)
{
	(void)say_text(fd, CHUNKED);
	for_ever(fd, "0000000000000000");
}

static void endless_body(int fd)
{
	(void)say_text(fd, CHUNKED "7fffffffffffffff\r\n{\"data\":[");
	for_ever(fd, "                                                                ");
}

static void endless_error(int fd)
{
	(void)say_text(fd, "HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\npluck-error: EIO\r\n\r\n");
	for (;;)
		if (!say_chunk(fd, "\033]0;owned\a\033[2J", 15))
			return;
}

static void endless_line(int fd)
{
	(void)say_text(fd, CHUNKED "ffffffff\r\n{\"path\":\"");
	for_ever(fd, "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh");
}

/* @n times @s in one body between @before and a line feed. */
static void say_many(int fd, const char *before, const char *s, size_t n)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	buf_str(&b, before);
	while (n--)
		buf_str(&b, s);
	buf_u8(&b, '\n');
	if (say_text(fd, CHUNKED) && say_chunk(fd, (const char *)b.data, b.len))
		say_end(fd, 1, b.len, 0, XXH64(b.data, b.len, 0));
}

static void deep_line(int fd)
{
	say_many(fd, "{\"path\":", "[", 200000);
}

static void deep_answer(int fd)
{
	say_many(fd, "{\"data\":", "[", 100000);
}

/* Each costs a hundred times what it takes on the wire. */
static void many_objects(int fd)
{
	say_many(fd, "{\"data\":[{}", ",{}", 1300000);
}

static void many_in_line(int fd)
{
	say_many(fd, "{\"path\":\"\",\"type\":\"d\",\"x\":[{}", ",{}", 87000);
}

static void silence(int fd)
{
	struct pollfd p = { .fd = fd };

	(void)poll(&p, 1, SECONDS_MAX * 1000);
}

static void silence_in_body(int fd)
{
	(void)say_text(fd, CHUNKED "10\r\n{\"path\":");
	silence(fd);
}

static void silence_before_trailer(int fd)
{
	(void)say_text(fd, CHUNKED "5\r\nhello\r\n");
	silence(fd);
}

static void drip(int fd, const char *s)
{
	for (size_t i = 0; i < (size_t)SECONDS_MAX * 20; i++) {
		if (!say(fd, s, 1))
			return;
		s += s[1] != 0;
		(void)poll(NULL, 0, 50);
	}
}

static void drip_head(int fd)
{
	drip(fd, "HTTP/1.1 200 OK\r\na: bbbbbbbb");
}

static void drip_trailer(int fd)
{
	(void)say_text(fd, CHUNKED "5\r\nhello\r\n0\r\n");
	drip(fd, "pluck-entries: 1");
}

static void drip_chunk_size(int fd)
{
	(void)say_text(fd, CHUNKED);
	drip(fd, "0");
}

static void two_answers(int fd)
{
	(void)say_text(fd, SIZED(11) "{\"data\":{}}" SIZED(11) "{\"data\":{}}");
}

static void wrong_hash(int fd)
{
	(void)say_text(fd, CHUNKED "5\r\nhello\r\n");
	say_end(fd, 1, 5, 0, 1);
}

static void wrong_bytes(int fd)
{
	(void)say_text(fd, CHUNKED "5\r\nhello\r\n");
	say_end(fd, 1, 4, 0, XXH64("hello", 5, 0));
}

static void huge_chunk(int fd)
{
	(void)say_text(fd, CHUNKED "1\r\na\r\nffffffffffffffff\r\nb");
}

#define LINE(name, text, n) { name, LIST, .lines = text, .entries = n }
#define ENTRY(name, fields) LINE(name, "{" fields "}\n", 1)
#define RAW(name, ask, text) { name, ask, .raw = text }
#define TELL(name, ask, fn) { name, ask, .tell = fn }

static const struct lie lies[] = {
	TELL("endless head", STAT, endless_head), TELL("endless field", STAT, endless_field),
	TELL("endless trailer", EXTRACT, endless_trailer), TELL("endless chunk size", LIST, endless_chunk_size),
	TELL("endless stat", STAT, endless_body), TELL("endless disks", DISKS, endless_body),
	TELL("endless line", LIST, endless_line),
	{ "endless error", LIST, -EIO, -EPROTO, .tell = endless_error },
	TELL("deep line", LIST, deep_line), TELL("deep answer", DISKS, deep_answer),
	TELL("many objects", DISKS, many_objects), TELL("many objects, stat", STAT, many_objects),
	TELL("many objects in a line", LIST, many_in_line),
	{ "silence", LIST, -ETIMEDOUT, .tell = silence },
	{ "silence in the body", LIST, -ETIMEDOUT, .tell = silence_in_body },
	{ "silence before the trailer", EXTRACT, -ETIMEDOUT, .tell = silence_before_trailer },
	{ "slow head", LIST, -ETIMEDOUT, .tell = drip_head },
	{ "slow trailer", EXTRACT, -ETIMEDOUT, .tell = drip_trailer },
	{ "slow chunk size", EXTRACT, -ETIMEDOUT, -EPROTO, .tell = drip_chunk_size },
	TELL("wrong hash", EXTRACT, wrong_hash), TELL("wrong count of bytes", EXTRACT, wrong_bytes),
	TELL("chunk beyond all sizes", LIST, huge_chunk),

	{ "nothing", STAT, -ENODATA, .raw = "" },
	{ "half a head", STAT, -ENODATA, .raw = "HTTP/1.1 200" },
	{ "head alone", LIST, -ENODATA, .raw = CHUNKED },
	{ "half a chunk", EXTRACT, -ENODATA, .raw = CHUNKED "10\r\nhello" },
	{ "chunks without an end", EXTRACT, -ENODATA, .raw = CHUNKED "5\r\nhello\r\n" },
	{ "end without its last line", EXTRACT, -ENODATA, .raw = CHUNKED "0\r\n" },
	{ "half a trailer", EXTRACT, -ENODATA, .raw = CHUNKED "0\r\npluck-entries: 0\r\n" },
	{ "length not met", STAT, -ENODATA, .raw = SIZED(100) "{\"data\":{}}" },
	RAW("no HTTP", STAT, "hello\r\n\r\n"),
	RAW("HTTP/1.0", STAT, "HTTP/1.0 200 OK\r\nContent-Length: 11\r\n\r\n{\"data\":{}}"),
	RAW("status 99", STAT, "HTTP/1.1 099 OK\r\nContent-Length: 11\r\n\r\n{\"data\":{}}"),
	RAW("status 2000", STAT, "HTTP/1.1 2000 OK\r\nContent-Length: 11\r\n\r\n{\"data\":{}}"),
	RAW("status 204", STAT, "HTTP/1.1 204 OK\r\nContent-Length: 0\r\n\r\n"),
	RAW("status 302", STAT, "HTTP/1.1 302 OK\r\nContent-Length: 0\r\nLocation: http://x/\r\n\r\n"),
	RAW("both lengths", STAT, "HTTP/1.1 200 OK\r\nContent-Length: 11\r\nTransfer-Encoding: chunked\r\n\r\n{\"data\":{}}"),
	RAW("length twice", STAT, "HTTP/1.1 200 OK\r\nContent-Length: 11\r\nContent-Length: 11\r\n\r\n{\"data\":{}}"),
	RAW("no length", STAT, "HTTP/1.1 200 OK\r\n\r\n{\"data\":{}}"),
	RAW("negative length", STAT, "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{\"data\":{}}"),
	RAW("length beyond 64 bits", STAT, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n{\"data\":{}}"),
	RAW("other coding", STAT, "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
	RAW("folded field", STAT, "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n x\r\n\r\n{\"data\":{}}"),
	RAW("bare LF", STAT, "HTTP/1.1 200 OK\nContent-Length: 11\n\n\r\n\r\n{\"data\":{}}"),
	RAW("stream with a length", EXTRACT, SIZED(0)),
	RAW("list with a length", LIST, SIZED(0)),
	RAW("chunk extension", EXTRACT, CHUNKED "0;x=1\r\n" TRAILER0 "\r\n"),
	RAW("chunk size not hexadecimal", EXTRACT, CHUNKED "0x0\r\n" TRAILER0 "\r\n"),
	RAW("chunk size missing", EXTRACT, CHUNKED "\r\n" TRAILER0 "\r\n"),
	RAW("chunk too short", EXTRACT, CHUNKED "2\r\nhello\r\n0\r\n" TRAILER0 "\r\n"),
	RAW("chunk too long", EXTRACT, CHUNKED "6\r\nhello\r\n0\r\n" TRAILER0 "\r\n"),
	RAW("no trailer", EXTRACT, CHUNKED "0\r\n\r\n"),
	RAW("no trailer, list", LIST, CHUNKED "0\r\n\r\n"),
	RAW("no trailer, run", RUN, CHUNKED "0\r\n\r\n"),
	RAW("trailer in the head", EXTRACT, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" TRAILER0 "\r\n0\r\n\r\n"),
	RAW("trailer without entries", EXTRACT, CHUNKED "0\r\npluck-bytes: 0\r\npluck-errors: 0\r\npluck-xxh64: ef46db3751d8e999\r\n\r\n"),
	RAW("trailer without bytes", EXTRACT, CHUNKED "0\r\npluck-entries: 0\r\npluck-errors: 0\r\npluck-xxh64: ef46db3751d8e999\r\n\r\n"),
	RAW("trailer without errors", EXTRACT, CHUNKED "0\r\npluck-entries: 0\r\npluck-bytes: 0\r\npluck-xxh64: ef46db3751d8e999\r\n\r\n"),
	RAW("trailer without hash", EXTRACT, CHUNKED "0\r\npluck-entries: 0\r\npluck-bytes: 0\r\npluck-errors: 0\r\n\r\n"),
	RAW("trailer field twice", EXTRACT, CHUNKED "0\r\n" TRAILER0 "pluck-errors: 0\r\n\r\n"),
	RAW("trailer with a length", EXTRACT, CHUNKED "0\r\n" TRAILER0 "Content-Length: 0\r\n\r\n"),
	RAW("trailer with words", EXTRACT, CHUNKED "0\r\npluck-entries: none\r\npluck-bytes: 0\r\npluck-errors: 0\r\npluck-xxh64: ef46db3751d8e999\r\n\r\n"),
	RAW("negative count", EXTRACT, CHUNKED "0\r\npluck-entries: 0\r\npluck-bytes: 0\r\npluck-errors: -1\r\npluck-xxh64: ef46db3751d8e999\r\n\r\n"),
	RAW("short hash", EXTRACT, CHUNKED "0\r\npluck-entries: 0\r\npluck-bytes: 0\r\npluck-errors: 0\r\npluck-xxh64: ef46db3751d8e99\r\n\r\n"),
	RAW("capital hash", EXTRACT, CHUNKED "0\r\npluck-entries: 0\r\npluck-bytes: 0\r\npluck-errors: 0\r\npluck-xxh64: EF46DB3751D8E999\r\n\r\n"),
	RAW("exit status 256", RUN, CHUNKED "0\r\n" TRAILER0 "pluck-exit: 256\r\n\r\n"),
	RAW("exit status in words", RUN, CHUNKED "0\r\n" TRAILER0 "pluck-exit: ok\r\n\r\n"),
	{ "gave up", EXTRACT, -EUCLEAN, .raw = CHUNKED "0\r\npluck-error: EUCLEAN\r\n\r\n" },
	{ "gave up beside a good trailer", EXTRACT, -EIO, .raw = CHUNKED "0\r\n" TRAILER0 "pluck-error: EWHAT\r\n\r\n" },
	/* names of errors that mean something of our own side */
	{ "gave up with EPIPE", EXTRACT, -EIO, .raw = CHUNKED "0\r\npluck-error: EPIPE\r\n\r\n" },
	{ "gave up with ENOSPC", EXTRACT, -EIO, .raw = CHUNKED "0\r\npluck-error: ENOSPC\r\n\r\n" },
	{ "refused with EPIPE", LIST, -EIO, .raw = "HTTP/1.1 400 No\r\nContent-Length: 0\r\npluck-error: EPIPE\r\n\r\n" },
	{ "refused with EINTR", LIST, -EIO, .raw = "HTTP/1.1 400 No\r\nContent-Length: 0\r\npluck-error: EINTR\r\n\r\n" },
	RAW("refused without a name", LIST, "HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n"),
	{ "refused, half a text", LIST, -ENODATA, .raw = "HTTP/1.1 400 No\r\nContent-Length: 10\r\npluck-error: ENOENT\r\n\r\nabc" },

	RAW("stat: no JSON", STAT, SIZED(5) "hello"),
	RAW("stat: empty", STAT, SIZED(0)),
	RAW("stat: no data", STAT, SIZED(2) "{}"),
	RAW("stat: null", STAT, SIZED(13) "{\"data\":null}"),
	RAW("stat: array", STAT, SIZED(11) "{\"data\":[]}"),
	RAW("stat: data twice", STAT, SIZED(21) "{\"data\":{},\"data\":{}}"),
	RAW("stat: bytes behind it", STAT, SIZED(12) "{\"data\":{}}x"),
	RAW("stat: not UTF-8", STAT, SIZED(18) "{\"data\":{\"a\":\"\xff\"}}"),
	RAW("disks: object", DISKS, SIZED(11) "{\"data\":{}}"),
	RAW("disks: text", DISKS, SIZED(11) "{\"data\":\"\"}"),

	LINE("no JSON", "hello\n", 1), LINE("empty line", "\n", 1), LINE("array", "[]\n", 1), LINE("empty object", "{}\n", 1),
	LINE("no line feed", "{\"path\":\"YQ==\",\"type\":\"f\"}", 1), LINE("two objects in a line", "{}{}\n", 1),
	LINE("more lines than said", A A, 1), LINE("fewer lines than said", A, 2),
	{ "more errors than said", LIST, .lines = "{\"path\":\"YQ==\",\"type\":\"?\",\"error\":{\"name\":\"EIO\",\"text\":\"\"}}\n", .entries = 1 },
	{ "fewer errors than said", LIST, .lines = A, .entries = 1, .errors = 1 },
	ENTRY("no path", "\"type\":\"f\""), ENTRY("path a number", "\"path\":5,\"type\":\"f\""),
	ENTRY("path not base64", "\"path\":\"a b\",\"type\":\"f\""), ENTRY("path not padded", "\"path\":\"YQ\",\"type\":\"f\""),
	ENTRY("path twice", "\"path\":\"YQ==\",\"path\":\"YQ==\",\"type\":\"f\""),
	ENTRY("path ..", "\"path\":\"Li4=\",\"type\":\"f\""), ENTRY("path .", "\"path\":\"Lg==\",\"type\":\"f\""),
	ENTRY("path ../x", "\"path\":\"Li4veA==\",\"type\":\"f\""), ENTRY("path /etc", "\"path\":\"L2V0Yw==\",\"type\":\"f\""),
	ENTRY("path /", "\"path\":\"Lw==\",\"type\":\"f\""), ENTRY("path a/", "\"path\":\"YS8=\",\"type\":\"f\""),
	ENTRY("path a//b", "\"path\":\"YS8vYg==\",\"type\":\"f\""), ENTRY("path with NUL", "\"path\":\"YQBi\",\"type\":\"f\""),
	ENTRY("path beneath", "\"path\":\"YS9i\",\"type\":\"f\""),
	{ "path a/../b", TREE, .lines = "{\"path\":\"YS8uLi9i\",\"type\":\"f\"}\n", .entries = 1 },
	ENTRY("no type", "\"path\":\"YQ==\""), ENTRY("type x", "\"path\":\"YQ==\",\"type\":\"x\""),
	ENTRY("type of two", "\"path\":\"YQ==\",\"type\":\"ff\""), ENTRY("empty type", "\"path\":\"YQ==\",\"type\":\"\""),
	ENTRY("type a number", "\"path\":\"YQ==\",\"type\":1"),
	ENTRY("half a stat", "\"path\":\"YQ==\",\"type\":\"f\",\"mode\":33188"),
	ENTRY("mode in words", "\"path\":\"YQ==\",\"type\":\"f\",\"mode\":\"x\""),
	ENTRY("negative size", "\"path\":\"YQ==\",\"type\":\"f\",\"size\":-1"),
	ENTRY("size 1e3", "\"path\":\"YQ==\",\"type\":\"f\",\"size\":1e3"),
	ENTRY("size beyond 64 bits", "\"path\":\"YQ==\",\"type\":\"f\",\"size\":99999999999999999999"),
	ENTRY("uid beyond 32 bits", "\"path\":\"YQ==\",\"type\":\"f\",\"uid\":4294967296"),
	ENTRY("nanoseconds", "\"path\":\"YQ==\",\"type\":\"f\",\"mode\":1,"
			     "\"uid\":0,\"gid\":0,\"size\":0,\"links\":1,\"inode\":1,\"mtime\":0,\"mtime-nsec\":1000000000"),
	ENTRY("rdev of three", "\"path\":\"YQ==\",\"type\":\"b\",\"rdev\":[1,2,3]"),
	ENTRY("rdev an object", "\"path\":\"YQ==\",\"type\":\"b\",\"rdev\":{\"a\":1,\"b\":2}"),
	ENTRY("target a number", "\"path\":\"YQ==\",\"type\":\"l\",\"target\":1"),
	ENTRY("error in words", "\"path\":\"YQ==\",\"type\":\"f\",\"error\":\"EIO\""),
	ENTRY("error without a name", "\"path\":\"YQ==\",\"type\":\"f\",\"error\":{\"text\":\"x\"}"),
	ENTRY("error name with an escape", "\"path\":\"YQ==\",\"type\":\"f\",\"error\":{\"name\":\"E\\u001b[2J\"}"),
	ENTRY("NUL in a text", "\"path\":\"YQ==\",\"type\":\"f\",\"error\":{\"name\":\"EIO\",\"text\":\"a\\u0000b\"}"),
};

struct agent {
	pthread_t thread;
	int fd;
	const struct lie *lie;
	const char *bytes;	/* instead of a lie: the answer */
	size_t len;
};

static void *agent_main(void *arg)
{
	const struct agent *a = arg;
	char request[4096];
	size_t len = 0;
	ssize_t n;

	while (len < sizeof(request) && (n = recv(a->fd, request + len, sizeof(request) - len, 0)) > 0) {
		len += (size_t)n;
		if (!memmem(request, len, "\r\n\r\n", 4))
			continue;
		if (!a->lie)
			(void)say(a->fd, a->bytes, a->len);
		else if (a->lie->tell)
			a->lie->tell(a->fd);
		else if (a->lie->lines)
			say_lines(a->fd, a->lie);
		else
			(void)say_text(a->fd, a->lie->raw);
		break;
	}
	(void)shutdown(a->fd, SHUT_RDWR);
	return NULL;
}

static struct client *begin(struct agent *a)
{
	struct client *c;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	a->fd = pair[1];
	assert_int_equal(pthread_create(&a->thread, NULL, agent_main, a), 0);
	c = client_new(pair[0], TICKET);
	assert_non_null(c);
	client_set_timeout(c, a->lie && a->lie->want == -ETIMEDOUT ? TIMEOUT_MS : SECONDS_MAX * 1000);
	return c;
}

static void end(struct agent *a, struct client *c)
{
	client_free(c);
	assert_int_equal(pthread_join(a->thread, NULL), 0);
	(void)close(a->fd);
}

static int on_entry(void *arg, const struct client_entry *e)
{
	uint64_t *nr = arg;

	(*nr)++;
	assert_null(memchr(e->path, 0, e->path_len));
	return 0;
}

static int drain(struct client *c, struct buf *ret, struct err *err)
{
	char block[4096];
	ssize_t n;

	while ((n = client_read(c, block, sizeof(block), err)) > 0)
		if (ret)
			buf_add(ret, block, (size_t)n);
	return (int)n;
}

static int ask(struct client *c, enum ask what, struct buf *ret, struct err *err)
{
	const struct client_extract x = { .format = "plain" };
	json_t *o = NULL;
	uint64_t nr = 0;
	int r;

	switch (what) {
	case LIST:
	case TREE:
		return client_list(c, "d", 1, what == TREE, on_entry, &nr, NULL, err);
	case STAT:
	case DISKS:
		r = what == STAT ? client_stat(c, "d", 1, &o, err) : client_disks(c, &o, err);
		json_decref(o);
		return r;
	case EXTRACT:
		r = client_extract_begin(c, "d", 1, &x, err);
		break;
	default:
		r = client_run_begin(c, "true", 5, err);
	}
	return r < 0 ? r : drain(c, ret, err);
}

static long rss_kib(void)
{
	struct rusage u;

	assert_int_equal(getrusage(RUSAGE_SELF, &u), 0);
	return u.ru_maxrss;
}

static double now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void check_text(const struct err *err)
{
	assert_true(err->text[0]);
	for (const char *p = err->text; *p; p++)
		assert_true((unsigned char)*p >= ' ' && *p != 0x7f);
}

static void test_lies(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
		const struct lie *l = &lies[i];
		struct agent a = { .lie = l };
		struct err err = ERR_INIT;
		struct client *c = begin(&a);
		const long rss = rss_kib();
		const double start = now();
		int want = l->want ? l->want : -EPROTO, r;

		r = ask(c, l->ask, NULL, &err);
		print_message("%s: %d %s, %ld KiB, %.2f s\n", l->name, r, err.text, rss_kib() - rss, now() - start);
		assert_true(r == want || (l->or && r == l->or));
		check_text(&err);
		assert_true(rss_kib() - rss < GROWTH_MAX_KIB);
		assert_true(now() - start < SECONDS_MAX);
		end(&a, c);
	}
}

/* An answer that came before its question answers another one. */
static void test_answer_too_early(void **state)
{
	static const struct lie two = { "two answers", STAT, .tell = two_answers };
	struct agent a = { .lie = &two };
	struct err err = ERR_INIT;
	struct client *c = begin(&a);

	(void)state;
	assert_int_equal(ask(c, STAT, NULL, &err), 0);
	assert_int_equal(ask(c, STAT, NULL, &err), -EPROTO);
	end(&a, c);
}

/* A million entries that could not be examined, each with a text that attacks the terminal: counted, nothing kept. */
static void million(int fd)
{
	static const char line[] = "{\"path\":\"YQ==\",\"type\":\"?\",\"error\":{\"name\":\"EIO\",\"text\":\"\\u001b[2J\\u001b]0;x\\u0007\"}}\n";
	static char many[64 * (sizeof(line) - 1)];
	XXH64_state_t *h = XXH64_createState();
	const unsigned int nr = 1000000 / 64;

	for (size_t i = 0; i < 64; i++)
		memcpy(many + i * (sizeof(line) - 1), line, sizeof(line) - 1);
	(void)XXH64_reset(h, 0);
	if (say_text(fd, CHUNKED))
		for (unsigned int i = 0; i < nr && say_chunk(fd, many, sizeof(many)); i++)
			(void)XXH64_update(h, many, sizeof(many));
	say_end(fd, nr * 64, nr * sizeof(many), nr * 64, XXH64_digest(h));
	(void)XXH64_freeState(h);
}

static void test_million_errors(void **state)
{
	static const struct lie l = { "million", LIST, .tell = million };
	struct client_totals t = { 0 };
	struct agent a = { .lie = &l };
	struct client *c = begin(&a);
	const long rss = rss_kib();
	uint64_t nr = 0;

	(void)state;
	assert_int_equal(client_list(c, "d", 1, false, on_entry, &nr, &t, NULL), 0);
	assert_int_equal(nr, 1000000);
	assert_int_equal(t.errors, 1000000);
	assert_true(rss_kib() - rss < GROWTH_MAX_KIB);
	end(&a, c);
}

static int answer(enum ask what, const char *p, size_t len, struct buf *ret)
{
	struct agent a = { .bytes = p, .len = len };
	struct err err = ERR_INIT;
	struct client *c = begin(&a);
	int r = ask(c, what, ret, &err);

	if (r < 0)
		check_text(&err);
	end(&a, c);
	return r;
}

static void good_extract(struct buf *b)
{
	buf_str(b, CHUNKED "5\r\nhello\r\n6\r\n world\r\n0\r\n");
	buf_fmt(b, "pluck-entries: 1\r\npluck-bytes: 11\r\npluck-errors: 0\r\npluck-xxh64: %016llx\r\n\r\n",
		(unsigned long long)XXH64("hello world", 11, 0));
}

/* Cut anywhere it is not complete; with any bit changed it is refused, or what came is right all the same. */
static void test_cut_and_flipped(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT, got = BUF_INIT;

	(void)state;
	good_extract(&b);
	assert_int_equal(answer(EXTRACT, (char *)b.data, b.len, &got), 0);
	for (size_t cut = 0; cut < b.len; cut++)
		assert_int_equal(answer(EXTRACT, (char *)b.data, cut, NULL), -ENODATA);
	for (size_t bit = 0; bit < b.len * 8; bit++) {
		int r;

		b.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		buf_reset(&got);
		r = answer(EXTRACT, (char *)b.data, b.len, &got);
		if (r == 0)
			assert_true(got.len == 11 && !memcmp(got.data, "hello world", 11));
		b.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

/* A line about the volume: bounded, and nothing of it reaches the terminal as it is; none is left for the next answer. */
static void test_notes(void **state)
{
	static const struct {
		const char *value;
		int want;
		const char *note;
	} cases[] = {
		{ "its journal is not replayed", 0, "its journal is not replayed" }, { "", 0, NULL }, { "a\\b", 0, "a\\\\b" },
		{ "a\033[2J", -EPROTO, NULL }, { "caf\303\251", -EPROTO, NULL }, { "a\r\npluck-note: b", -EPROTO, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		CLEANUP_BUF struct buf b = BUF_INIT;
		struct agent a = { 0 };
		struct client *c;

		buf_fmt(&b, "HTTP/1.1 200 OK\r\nContent-Length: 11\r\npluck-note: %s\r\n\r\n{\"data\":{}}", cases[i].value);
		a = (struct agent){ .bytes = (char *)b.data, .len = b.len };
		c = begin(&a);
		assert_int_equal(ask(c, STAT, NULL, NULL), cases[i].want);
		if (cases[i].note)
			assert_string_equal(client_note(c), cases[i].note);
		else
			assert_null(client_note(c));
		end(&a, c);
	}
}

static void test_long_note(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct agent a = { 0 };
	struct client *c;

	(void)state;
	buf_str(&b, "HTTP/1.1 200 OK\r\nContent-Length: 11\r\npluck-note: ");
	for (size_t i = 0; i < 10000; i++)
		buf_u8(&b, '\\');
	buf_str(&b, "\r\n\r\n{\"data\":{}}");
	a = (struct agent){ .bytes = (char *)b.data, .len = b.len };
	c = begin(&a);
	assert_int_equal(ask(c, STAT, NULL, NULL), 0);
	assert_non_null(client_note(c));
	assert_true(strlen(client_note(c)) < 1024);
	end(&a, c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lies), cmocka_unit_test(test_answer_too_early), cmocka_unit_test(test_million_errors),
		cmocka_unit_test(test_cut_and_flipped), cmocka_unit_test(test_notes), cmocka_unit_test(test_long_note),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
