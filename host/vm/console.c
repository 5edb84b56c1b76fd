/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/vm/console.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"
#include "common/log.h"

#define CONSOLE_LINE_MAX 1024	/* longer lines are cut in the tail */
#define CONSOLE_SIGNS 4
#define CONSOLE_SIGN_MAX 160

struct console {
	int fd;
	uint64_t total;
	size_t room, len, at;	/* ring: @len bytes that end before @at */
	char data[];
};

struct console *console_new(int fd, size_t room)
{
	struct console *c = calloc(1, sizeof(*c) + room);

	if (!c) {
		if (fd >= 0)
			(void)close(fd);
		return NULL;
	}
	c->fd = fd;
	c->room = room;
	if (fd >= 0)
		(void)io_set_nonblock(fd);
	return c;
}

void console_free(struct console *c)
{
	if (!c)
		return;
	if (c->fd >= 0)
		(void)close(c->fd);
	free(c);
}

int console_fd(const struct console *c)
{
	return c->fd;
}

uint64_t console_total(const struct console *c)
{
	return c->total;
}

void console_add(struct console *c, const void *p, size_t n)
{
	const char *from = p;

	c->total += n;
	if (n > c->room) {
		from += n - c->room;
		n = c->room;
	}
	while (n) {
		size_t part = c->room - c->at < n ? c->room - c->at : n;

		memcpy(c->data + c->at, from, part);
		c->at = (c->at + part) % c->room;
		c->len = c->len + part > c->room ? c->room : c->len + part;
		from += part;
		n -= part;
	}
}

int console_read(struct console *c)
{
	char part[4096];

	for (int i = 0; i < 16; i++) {
		ssize_t n = c->fd < 0 ? 0 : read(c->fd, part, sizeof(part));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 1;
		if (n <= 0)
			return 0;
		console_add(c, part, (size_t)n);
	}
	return 1;
}

static char byte_at(const struct console *c, size_t i)
{
	return c->data[(c->at + c->room - c->len + i) % c->room];
}

/* One line, escaped, without its line end; @from to @end in the ring. */
static size_t quote_line(const struct console *c, size_t from, size_t end, char *ret, size_t room)
{
	char line[CONSOLE_LINE_MAX];
	size_t n = 0;

	while (end > from && byte_at(c, end - 1) == '\r')
		end--;
	while (from < end && n < sizeof(line))
		line[n++] = byte_at(c, from++);
	log_quote(line, n, ret, room);
	return strlen(ret);
}

size_t console_tail(const struct console *c, char *ret, size_t room)
{
	char quoted[CONSOLE_LINE_MAX * 4 + 16];
	size_t end = c->len, at = room;

	if (!room)
		return 0;
	/* Lines are put in from the end of @ret until one does not fit. */
	ret[--at] = 0;
	while (end && (byte_at(c, end - 1) == '\n' || byte_at(c, end - 1) == '\r'))
		end--;
	while (end) {
		size_t from = end, n;

		while (from && byte_at(c, from - 1) != '\n')
			from--;
		n = quote_line(c, from, end, quoted, sizeof(quoted));
		if (n + 1 > at)
			break;
		ret[--at] = '\n';
		at -= n;
		memcpy(ret + at, quoted, n);
		end = from ? from - 1 : 0;
	}
	memmove(ret, ret + at, room - at);
	return room - at - 1;
}

/* Where @sign is in a line of the ring; it only serves to choose lines. */
static bool line_has(const struct console *c, size_t from, size_t end, const char *sign)
{
	const size_t len = strlen(sign);

	for (; from + len <= end; from++) {
		size_t n = 0;

		while (n < len && byte_at(c, from + n) == sign[n])
			n++;
		if (n == len)
			return true;
	}
	return false;
}

static bool is_sign(const struct console *c, size_t from, size_t end)
{
	static const char *const signs[] = {
		"Kernel panic", "BUG: ",	"kernel BUG at ", "divide error", "invalid opcode", "general protection fault",
		"page fault",	"Out of memory", "unable to mount", "power off: ",
	};

	for (size_t i = 0; i < sizeof(signs) / sizeof(*signs); i++)
		if (line_has(c, from, end, signs[i]))
			return true;
	return false;
}

size_t console_signs(const struct console *c, char *ret, size_t room)
{
	char quoted[CONSOLE_SIGN_MAX];
	size_t at = 0, nr = 0;

	if (!room)
		return 0;
	*ret = 0;
	for (size_t from = 0, end; from < c->len && nr < CONSOLE_SIGNS; from = end + 1) {
		size_t n;

		for (end = from; end < c->len && byte_at(c, end) != '\n'; end++)
			;
		if (!is_sign(c, from, end))
			continue;
		n = quote_line(c, from, end, quoted, sizeof(quoted));
		if (at + n + 2 > room)
			break;
		memcpy(ret + at, quoted, n);
		at += n;
		ret[at++] = '\n';
		ret[at] = 0;
		nr++;
	}
	return at;
}
